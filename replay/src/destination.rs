//! Files that get their names when they are complete.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, StdoutLock, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use tempfile::NamedTempFile;

use crate::run::OutputError;

/// What to do about files that exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnExisting {
    Refuse,
    Replace,
}

/// Where something is written to.
pub(crate) enum Destination {
    Standard(BufWriter<StdoutLock<'static>>),
    File(Box<Pending>),
}

/// A file that has no name yet.
pub(crate) struct Pending {
    out: BufWriter<NamedTempFile<File>>,
    path: PathBuf,
    on_existing: OnExisting,
}

impl Destination {
    const BUFFER: usize = 64 << 10;

    /// Opens a destination; `-` is standard output.
    ///
    /// # Errors
    ///
    /// The file exists and may not be replaced, its folder can't be written to, or standard output
    /// is a terminal.
    pub(crate) fn open(path: &Path, on_existing: OnExisting) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            if io::stdout().is_terminal() {
                bail!("standard output is a terminal: name a file with -o, or pipe it elsewhere");
            }
            let out = BufWriter::with_capacity(Self::BUFFER, io::stdout().lock());
            return Ok(Self::Standard(out));
        }
        if on_existing == OnExisting::Refuse && path.symlink_metadata().is_ok() {
            return Err(exists(path));
        }
        // A rename would replace a device too.
        if path.metadata().is_ok_and(|its| !its.is_file()) {
            bail!("{}: is no regular file: name another one, or - for a pipe", path.display());
        }
        let folder = path.parent().filter(|its| !its.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        if !folder.is_dir() {
            bail!("{}: there is no such folder: make it first", path.display());
        }
        let file = tempfile::Builder::new()
            .prefix(".knock-replay-")
            .tempfile_in(folder)
            .with_context(|| format!("{}: cannot write into its folder", path.display()))?;
        let out = BufWriter::with_capacity(Self::BUFFER, file);
        Ok(Self::File(Box::new(Pending { out, path: path.to_owned(), on_existing })))
    }

    /// Returns an error of writing with the place.
    pub(crate) fn explain(path: &Path, error: io::Error) -> anyhow::Error {
        if path == Path::new("-") {
            return OutputError::from(error).into();
        }
        anyhow!(error).context(format!("{}: cannot write; nothing is left there", path.display()))
    }

    /// Gives the file its name, once all of it is on the disk.
    ///
    /// # Errors
    ///
    /// The disk is full or fails, or meanwhile somebody else made a file of that name.
    pub(crate) fn complete(self) -> anyhow::Result<()> {
        let mut pending = match self {
            Self::Standard(mut out) => return Ok(out.flush().map_err(OutputError::from)?),
            Self::File(pending) => pending,
        };
        let path = pending.path;
        let flushed = pending.out.flush().and_then(|()| pending.out.get_ref().as_file().sync_all());
        flushed.map_err(|error| Self::explain(&path, error))?;
        let (file, _) = pending.out.into_parts();
        match pending.on_existing {
            OnExisting::Replace => file.persist(&path),
            OnExisting::Refuse => file.persist_noclobber(&path),
        }
        .map_err(|error| {
            let is_there = error.error.kind() == io::ErrorKind::AlreadyExists;
            if is_there { exists(&path) } else { Self::explain(&path, error.error) }
        })?;
        Ok(())
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Standard(out) => out.write(bytes),
            Self::File(pending) => pending.out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Standard(out) => out.flush(),
            Self::File(pending) => pending.out.flush(),
        }
    }
}

fn exists(path: &Path) -> anyhow::Error {
    anyhow!("{}: exists, and is left as it is: name another file, or use --force", path.display())
}
