//! The pid file (`-p`): tells others the daemon's process number, and keeps a second one away.

use std::fs::{File, Permissions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use thiserror::Error;

/// How often the file may vanish between opening and locking it.
const TRIES: usize = 100;

/// No process number is longer, in bytes.
const LONGEST: u64 = 20;

/// A pid file that is ours: locked, readable by everybody, removed when this is dropped.
///
/// What a daemon leaves that was killed is not locked, so the next one takes it over.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    file: File,
}

/// Why there is no pid file.
#[derive(Debug, Error)]
pub enum PidFileError {
    /// Another daemon holds it.
    #[error(
        "{}: held by {}; stop that daemon first, or give this one another file with -p",
        .path.display(), process(*.pid)
    )]
    Taken {
        /// The file.
        path: PathBuf,
        /// The other daemon's process number, where the file tells it.
        pid: Option<u32>,
    },
    /// There is something else at this place, and it is left alone.
    #[error("{}: {what}, not a pid file; remove it, or give another file with -p", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The operating system says no.
    #[error(
        "{}: can't {doing} the pid file: {source}; its folder must exist and be writable, \
         or give another file with -p",
        .path.display()
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// What failed: `open`, `write`, ...
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl PidFile {
    /// Makes the file, or takes over one that nobody holds, and writes this process's number.
    ///
    /// To be called in the process that stays, that is after going to the background.
    ///
    /// # Errors
    ///
    /// Fails where another daemon holds the file, where it is no pid file, and where it can't be
    /// opened or written.
    pub fn create(path: &Path) -> Result<Self, PidFileError> {
        let io = |doing| move |source| PidFileError::Io { path: path.to_owned(), doing, source };
        // The daemon's working directory changes before the file is removed.
        let absolute = std::path::absolute(path).map_err(io("find"))?;
        let mut file = lock(path)?;
        let left = read(&mut file).map_err(io("read"))?;
        if !left.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_whitespace()) {
            return Err(PidFileError::Foreign { path: path.to_owned(), what: "not a number" });
        }
        let pid_file = Self { path: absolute, file };
        pid_file.write().map_err(io("write"))?;
        Ok(pid_file)
    }

    fn write(&self) -> io::Result<()> {
        let mut file = &self.file;
        // The umask may have taken away that others can read it.
        file.set_permissions(Permissions::from_mode(0o644))?;
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(format!("{}\n", std::process::id()).as_bytes())
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // While it is locked nobody else takes it over, so what is removed is ours. There is
        // nobody to tell if that fails, and the next daemon takes it over anyway.
        if is_at(&self.file, &self.path).unwrap_or(false) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Opens the file and locks it.
fn lock(path: &Path) -> Result<File, PidFileError> {
    let io = |doing| move |source| PidFileError::Io { path: path.to_owned(), doing, source };
    for _ in 0..TRIES {
        let mut file = open(path)?;
        let attempt = || match file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        };
        let is_ours = crate::lock::take(attempt, std::thread::sleep);
        if !is_ours.map_err(io("lock"))? {
            let pid = read(&mut file).ok().and_then(|text| text.trim().parse().ok());
            return Err(PidFileError::Taken { path: path.to_owned(), pid });
        }
        // The one before may have removed it after we opened it: then we hold a file without name.
        if is_at(&file, path).map_err(io("find"))? {
            return Ok(file);
        }
    }
    Err(io("keep")(io::Error::other("somebody keeps removing it")))
}

fn open(path: &Path) -> Result<File, PidFileError> {
    let foreign = |what| PidFileError::Foreign { path: path.to_owned(), what };
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags | OFlags::NONBLOCK, Mode::from(0o644)) {
        Ok(file) => File::from(file),
        Err(Errno::LOOP) => return Err(foreign("a symbolic link")),
        Err(Errno::ISDIR) => return Err(foreign("a folder")),
        Err(error) => {
            let (path, source) = (path.to_owned(), error.into());
            return Err(PidFileError::Io { path, doing: "open", source });
        }
    };
    match file.metadata() {
        Ok(metadata) if !metadata.is_file() => Err(foreign("not a regular file")),
        // A second name may be that of a file that somebody wants to see overwritten.
        Ok(metadata) if metadata.nlink() > 1 => Err(foreign("a file with several names")),
        Ok(_) => Ok(file),
        Err(source) => Err(PidFileError::Io { path: path.to_owned(), doing: "look at", source }),
    }
}

/// Reads what a pid file may hold, and a little more if it holds more.
fn read(file: &mut File) -> io::Result<String> {
    let mut text = Vec::new();
    file.rewind()?;
    file.take(LONGEST).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Tells whether the file's name is this.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let here = file.metadata()?;
    match path.symlink_metadata() {
        Ok(there) => Ok((here.dev(), here.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn process(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}
