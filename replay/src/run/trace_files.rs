//! Traces that are read more than once.

use std::fs::File;
use std::io::{self, Seek as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::trace::{OnDamage, TraceReader, Traces};

/// The traces, such that they can be read more than once.
pub(crate) struct TraceFiles<'a> {
    paths: &'a [PathBuf],
    /// What came from standard input, where it is read more than once.
    spool: Option<File>,
}

impl<'a> TraceFiles<'a> {
    pub(crate) fn open(paths: &'a [PathBuf], is_read_twice: bool) -> anyhow::Result<Self> {
        let has_stdin = paths.iter().any(|path| path == Path::new("-"));
        let spool = (has_stdin && is_read_twice).then(|| {
            let mut spool = tempfile::tempfile()?;
            io::copy(&mut io::stdin().lock(), &mut spool)?;
            Ok::<_, io::Error>(spool)
        });
        let spool = spool.transpose().context(
            "standard input: cannot be kept in a temporary file, as is needed to read it twice",
        )?;
        Ok(Self { paths, spool })
    }

    pub(crate) fn traces(&self, on_damage: OnDamage) -> anyhow::Result<Traces<File>> {
        let mut readers = Vec::with_capacity(self.paths.len());
        for path in self.paths {
            readers.push(match &self.spool {
                Some(spool) if path == Path::new("-") => {
                    let mut file = spool.try_clone().context("standard input")?;
                    file.rewind().context("standard input")?;
                    TraceReader::new(file, "standard input", on_damage)?
                }
                _ => TraceReader::open(path, on_damage)?,
            });
        }
        Ok(Traces::new(readers))
    }
}
