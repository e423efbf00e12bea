//! The folder of a recording: its files, of which the oldest make room.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use knock_engine::time::Timestamp;
use knock_frontend::format::Clock;
use rustix::fs::{FlockOperation, flock};
use thiserror::Error;

/// What the names of the files begin and end with. Between them is the stamp of the beginning, so
/// that the order of the names is that of time.
const PREFIX: &str = "knockd-";
const SUFFIX: &str = ".pcapng";

/// Why nothing can be recorded.
#[derive(Debug, Error)]
pub enum RecorderError {
    /// The folder can't be made.
    #[error("Record {}: it can't be made: {source}; make it for the user that knockd runs as", .folder.display())]
    Make {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder can't be used.
    #[error("Record {}: {source}; name a folder that knockd may write to, or leave Record out", .folder.display())]
    Use {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another daemon has the folder.
    #[error("Record {}: another daemon records there; each needs a folder of its own", .folder.display())]
    Taken {
        /// The folder.
        folder: PathBuf,
    },
    /// There is no thread for it.
    #[error(
        "can't start a thread for the recording: {0}: raise the limit of processes (ulimit -u)"
    )]
    Thread(io::Error),
}

/// The files of a recording.
#[derive(Debug)]
pub(super) struct Ring {
    folder: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
    /// How much all files may take.
    most_bytes: u64,
    /// The files with their lengths, the oldest first. The last one grows.
    files: VecDeque<(PathBuf, u64)>,
    clock: Clock,
}

impl Ring {
    pub(super) fn open(folder: &Path, most_bytes: u64) -> Result<Self, RecorderError> {
        let made = fs::DirBuilder::new().mode(0o700).create(folder);
        if let Err(source) = made
            && source.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(RecorderError::Make { folder: folder.to_owned(), source });
        }
        let cannot_use = |source| RecorderError::Use { folder: folder.to_owned(), source };
        let lock = File::open(folder).map_err(cannot_use)?;
        let take = || match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        };
        if !crate::lock::take(take).map_err(cannot_use)? {
            return Err(RecorderError::Taken { folder: folder.to_owned() });
        }
        let files = list(folder).map_err(cannot_use)?;
        let clock = Clock::default();
        Ok(Self { folder: folder.to_owned(), _lock: lock, most_bytes, files, clock })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the file that begins at this time, for its owner alone.
    pub(super) fn create(&mut self, at: Timestamp) -> io::Result<File> {
        let stamp = self.clock.rfc3339(at).replace(['-', ':'], "");
        let path = self.folder.join(format!("{PREFIX}{stamp}{SUFFIX}"));
        let file = File::options().write(true).create_new(true).mode(0o600).open(&path)?;
        self.files.push_back((path, 0));
        Ok(file)
    }

    /// Notes how long the newest file is, and removes the oldest ones that are too much.
    pub(super) fn set_length(&mut self, bytes: u64) -> io::Result<()> {
        if let Some((_, length)) = self.files.back_mut() {
            *length = bytes;
        }
        let mut all: u64 = self.files.iter().map(|(_, length)| length).sum();
        while all > self.most_bytes && self.files.len() > 1 {
            let Some((path, length)) = self.files.pop_front() else { break };
            all -= length;
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }
}

/// Returns the files that a recording has left in a folder, the oldest first.
fn list(folder: &Path) -> io::Result<VecDeque<(PathBuf, u64)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_ours = |name: &str| name.starts_with(PREFIX) && name.ends_with(SUFFIX);
        if name.to_str().is_some_and(is_ours) && entry.file_type()?.is_file() {
            files.push((entry.path(), entry.metadata()?.len()));
        }
    }
    files.sort();
    Ok(files.into())
}
