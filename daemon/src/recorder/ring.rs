//! The folder of a recording: its files, of which the oldest make room.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use knock_engine::time::Timestamp;
use knock_frontend::files::{Files, Handle, Open, Parents};
use knock_frontend::format::Clock;
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
pub struct Ring<F: Files> {
    files: F,
    folder: PathBuf,
    /// Locked as long as it is open.
    _lock: F::Handle,
    /// How much all files may take.
    most_bytes: u64,
    /// The names of the files with their lengths, the oldest first. The last one grows.
    names: VecDeque<(OsString, u64)>,
    clock: Clock,
}

impl<F: Files> Ring<F> {
    /// Opens a recording in a folder, which is made where only its last part is missing, and takes
    /// it for this daemon alone. All files together take so many bytes.
    ///
    /// # Errors
    ///
    /// The folder can't be made or used, or another daemon records there.
    pub fn open(files: &F, folder: &Path, most_bytes: u64) -> Result<Self, RecorderError> {
        if let Err(source) = files.make_folder(folder, Parents::Expected)
            && source.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(RecorderError::Make { folder: folder.to_owned(), source });
        }
        let cannot_use = |source| RecorderError::Use { folder: folder.to_owned(), source };
        let lock = files.open_folder(folder).map_err(cannot_use)?;
        let taken = crate::lock::take(|| lock.try_lock(), |span| files.pause(span));
        if !taken.map_err(cannot_use)? {
            return Err(RecorderError::Taken { folder: folder.to_owned() });
        }
        let names = list(&lock).map_err(cannot_use)?;
        let (files, folder) = (files.clone(), folder.to_owned());
        Ok(Self { files, folder, _lock: lock, most_bytes, names, clock: Clock::default() })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the file that begins at this time, for its owner alone. The folder is found by its
    /// name each time: it may have been moved away, and another one made.
    pub(super) fn create(&mut self, at: Timestamp) -> io::Result<F::Handle> {
        let stamp = self.clock.rfc3339(at).replace(['-', ':'], "");
        let name = OsString::from(format!("{PREFIX}{stamp}{SUFFIX}"));
        let file = self.files.open_folder(&self.folder)?.open(&name, Open::CreateNew)?;
        self.names.push_back((name, 0));
        Ok(file)
    }

    /// Notes how long the newest file is, and removes the oldest ones that are too much.
    pub(super) fn set_length(&mut self, bytes: u64) -> io::Result<()> {
        if let Some((_, length)) = self.names.back_mut() {
            *length = bytes;
        }
        let mut all: u64 = self.names.iter().map(|(_, length)| length).sum();
        while all > self.most_bytes && self.names.len() > 1 {
            let Some((name, length)) = self.names.pop_front() else { break };
            all -= length;
            match self.files.open_folder(&self.folder).and_then(|folder| folder.remove(&name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }
}

/// Returns the files that a recording has left in a folder, the oldest first.
fn list(folder: &impl Handle) -> io::Result<VecDeque<(OsString, u64)>> {
    let is_ours = |name: &OsStr| {
        name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX))
    };
    let mut files = folder.list()?;
    files.retain(|(name, _)| is_ours(name));
    files.sort();
    Ok(files.into())
}
