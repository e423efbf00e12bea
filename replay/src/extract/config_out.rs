//! The config that fits an extract whose packets are mapped, with its one-time files.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::bail;
use knock_engine::config::{Config, OneTimeLine, Sequences};

use crate::destination::{Destination, OnExisting};

/// Files that are complete and have no names yet.
pub(super) struct ConfigOut(Vec<Destination>);

impl ConfigOut {
    /// Writes a config, and beside it the one-time files that it names from then on: the config's
    /// name with `.one-time-` and the number of the door.
    ///
    /// # Errors
    ///
    /// A file exists and may not be replaced, or can't be written.
    pub(super) fn write(
        mut config: Config,
        path: &Path,
        on_existing: OnExisting,
    ) -> anyhow::Result<Self> {
        let Some(name) = path.to_str().filter(|name| *name != "-" && is_plain(name)) else {
            bail!("--config-out: name a file, without blanks, quotes and other such characters");
        };
        let mut files = Vec::new();
        for (index, door) in config.doors.iter_mut().enumerate() {
            if let Sequences::OneTime { path, lines } = &mut Arc::make_mut(door).sequences {
                *path = format!("{name}.one-time-{}", index + 1);
                files.push(write(Path::new(path), &one_time_text(lines), on_existing)?);
            }
        }
        files.push(write(path, &config.to_string(), on_existing)?);
        Ok(Self(files))
    }

    /// Gives the files their names.
    ///
    /// # Errors
    ///
    /// The disk fails, or meanwhile somebody else made such a file.
    pub(super) fn complete(self) -> anyhow::Result<()> {
        self.0.into_iter().try_for_each(Destination::complete)
    }
}

/// Tells whether a path stands in a config as it is.
fn is_plain(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+,@%".contains(c))
}

/// Returns the text of a one-time file. Lines that were used are comments, so that the others keep
/// their numbers.
fn one_time_text(lines: &[OneTimeLine]) -> String {
    let mut text = String::new();
    let mut next = 1;
    for line in lines {
        for _ in next..line.number {
            text.push_str("#\n");
        }
        next = line.number + 1;
        // A String takes whatever is written to it.
        let _ = writeln!(text, "{}", line.sequence);
    }
    text
}

fn write(path: &Path, text: &str, on_existing: OnExisting) -> anyhow::Result<Destination> {
    let mut file = Destination::open(path, on_existing)?;
    file.write_all(text.as_bytes()).map_err(|error| Destination::explain(path, error))?;
    Ok(file)
}
