//! A ledger as a file: where it is, who may hold it, and how it is written.

use std::fs::{self, DirBuilder, File, Metadata};
use std::io::{self, Read as _, Seek as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, FlockOperation, Mode, OFlags, fallocate, fcntl_lock, flock};
use rustix::io::Errno;
use rustix::process::{Flock, FlockType, fcntl_getlk, geteuid};
use thiserror::Error;

use super::{Boot, Ledger, LedgerError, Recovered, Storage};
use crate::lock;

/// The longest file that is read, in bytes: more than a million open doors need.
const MAX_LEN: u64 = 1 << 30;

/// A ledger's file, locked for this process.
#[derive(Debug)]
pub struct LedgerFile {
    file: File,
    /// The file system is read-only, so that what is owed is known but nothing can be added.
    read_only: bool,
}

/// Why a ledger's file can't be used; its message names the file and the way out.
#[derive(Debug, Error)]
#[error("{path}: {cause}", path = path.display())]
pub struct LedgerFileError {
    /// The file, or the folder that it should be in.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub cause: LedgerFileCause,
}

/// What is wrong with a ledger's file.
#[derive(Debug, Error)]
pub enum LedgerFileCause {
    /// Another process has it.
    #[error(
        "the ledger is in use by {}; two daemons need different Interface keys, or each a StateDir \
         of its own", process_name(*.process)
    )]
    InUse {
        /// The other process, where it can be told.
        process: Option<i32>,
    },
    /// It can't be opened or made.
    #[error("the ledger can't be opened: {0}; StateDir says where it lies")]
    Open(io::Error),
    /// The folder can't be made or read.
    #[error("the folder for the ledger can't be used: {0}; StateDir names another one")]
    Folder(io::Error),
    /// Others could put commands in it.
    #[error(
        "others may write here, but what a ledger says is run as a command; take that from them \
         with chmod go-w, or set StateDir to another folder"
    )]
    Exposed,
    /// Somebody else could put commands in it.
    #[error(
        "it belongs to user {owner}, not to {user}, but what a ledger says is run as a command; \
         start knockd as its owner, or set StateDir to another folder"
    )]
    Foreign {
        /// Whose it is.
        owner: u32,
        /// Who wants it.
        user: u32,
    },
    /// It is a folder, a device or the like.
    #[error("this is no regular file; move it away, or set StateDir to another folder")]
    NotAFile,
    /// It can't be read as a ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

fn process_name(process: Option<i32>) -> String {
    process.map_or_else(|| "another process".to_owned(), |process| format!("process {process}"))
}

impl LedgerFile {
    /// Opens and locks a ledger's file, and makes it and its folder where they are missing.
    ///
    /// The lock ends with the process. Its number is that of the process that calls this, so a
    /// daemon calls it after it went to the background.
    ///
    /// # Errors
    ///
    /// See [`LedgerFileCause`].
    pub fn open(folder: &Path, name: &str) -> Result<Self, LedgerFileError> {
        let path = folder.join(name);
        let at = |path: &Path| {
            let path = path.to_owned();
            move |cause| LedgerFileError { path, cause }
        };
        make_folder(folder).map_err(at(folder))?;
        // The name of a ledger that was ever written is safe: a disk that fails now must not keep
        // what is owed from being read.
        let is_new = path.metadata().map_or(true, |file| file.len() == 0);
        let opened = Self::open_in_folder(&path).map_err(at(&path))?;
        if is_new {
            sync_folder(folder)
                .or_else(ignore_read_only)
                .map_err(LedgerFileCause::Folder)
                .map_err(at(folder))?;
        }
        Ok(opened)
    }

    fn open_in_folder(path: &Path) -> Result<Self, LedgerFileCause> {
        // Without NONBLOCK a named pipe in its place would hold the daemon up for ever.
        let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let mode = Mode::RUSR | Mode::WUSR;
        let (file, read_only) =
            match rustix::fs::open(path, flags | OFlags::RDWR | OFlags::CREATE, mode) {
                Err(Errno::ROFS) => (rustix::fs::open(path, flags | OFlags::RDONLY, mode), true),
                opened => (opened, false),
            };
        let file = File::from(file.map_err(|error| LedgerFileCause::Open(error.into()))?);
        let metadata = file.metadata().map_err(LedgerFileCause::Open)?;
        if !metadata.is_file() {
            return Err(LedgerFileCause::NotAFile);
        }
        check_owner(&metadata)?;
        if metadata.mode() & 0o022 != 0 {
            return Err(LedgerFileCause::Exposed);
        }
        lock_file(&file)?;
        Ok(Self { file, read_only })
    }
}

impl Ledger<LedgerFile> {
    /// Opens, locks and reads the ledger of this name, or begins one.
    ///
    /// # Errors
    ///
    /// The file can't be used, or holds something else; see [`LedgerFileCause`].
    pub fn open_file(
        folder: &Path,
        name: &str,
        boot: Boot,
    ) -> Result<(Self, Recovered), LedgerFileError> {
        let file = LedgerFile::open(folder, name)?;
        Self::open(file, boot)
            .map_err(|cause| LedgerFileError { path: folder.join(name), cause: cause.into() })
    }
}

fn make_folder(folder: &Path) -> Result<(), LedgerFileCause> {
    if !folder.is_dir() {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(folder).map_err(LedgerFileCause::Folder)?;
        let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
        sync_folder(parent.unwrap_or(Path::new("."))).map_err(LedgerFileCause::Folder)?;
    }
    let metadata = fs::metadata(folder).map_err(LedgerFileCause::Folder)?;
    // Where the sticky bit is set, others can't replace a file of ours, and one of theirs is
    // found out by its owner.
    if metadata.mode() & 0o022 != 0 && metadata.mode() & 0o1000 == 0 {
        return Err(LedgerFileCause::Exposed);
    }
    Ok(())
}

fn check_owner(metadata: &Metadata) -> Result<(), LedgerFileCause> {
    let (owner, user) = (metadata.uid(), geteuid().as_raw());
    if owner == user { Ok(()) } else { Err(LedgerFileCause::Foreign { owner, user }) }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn ignore_read_only(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::ReadOnlyFilesystem { Ok(()) } else { Err(error) }
}

/// Locks the file. The second lock of another kind is only there to tell whose it is: that is
/// what the kernel knows of a record lock and not of a whole file's.
fn lock_file(file: &File) -> Result<(), LedgerFileCause> {
    let is_ours = lock::take(|| match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    });
    if !is_ours.map_err(LedgerFileCause::Open)? {
        return Err(LedgerFileCause::InUse { process: holder(file) });
    }
    // It needs a file that may be written; without it the message names nobody.
    let _ = fcntl_lock(file, FlockOperation::NonBlockingLockExclusive);
    Ok(())
}

fn holder(file: &File) -> Option<i32> {
    let found = fcntl_getlk(file, &Flock::from(FlockType::WriteLock)).ok().flatten()?;
    found.pid.map(|process| process.as_raw_nonzero().get())
}

impl Storage for LedgerFile {
    fn read_all(&mut self) -> io::Result<Vec<u8>> {
        let len = self.file.metadata()?.len();
        if len > MAX_LEN {
            let message = format!("it has {len} bytes, which is more than {MAX_LEN}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
        self.file.rewind()?;
        (&self.file).take(MAX_LEN).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn grow(&mut self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        let old_len = self.file.metadata()?.len();
        if len <= old_len {
            return Ok(());
        }
        self.fill(old_len, len).inspect_err(|_| {
            // What could be taken goes back to whoever needs it; if even that fails, the file is
            // longer than it need be, and the next try goes on from there.
            let _ = self.file.set_len(old_len);
        })
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.check_writable()?;
        self.file.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.check_writable()?;
        self.file.sync_data()
    }
}

impl LedgerFile {
    fn check_writable(&self) -> io::Result<()> {
        if self.read_only { Err(Errno::ROFS.into()) } else { Ok(()) }
    }

    /// Takes the room, then writes zeros to it: room that was only promised is counted when it is
    /// first written, and some file systems then find that there is none.
    fn fill(&self, from: u64, to: u64) -> io::Result<()> {
        match fallocate(&self.file, FallocateFlags::empty(), from, to - from) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
        let zeros = [0; 1 << 16];
        let mut offset = from;
        while offset < to {
            let length = (to - offset).min(zeros.len() as u64);
            let chunk = &zeros[..usize::try_from(length).unwrap_or(zeros.len())];
            self.file.write_all_at(chunk, offset)?;
            offset += length;
        }
        Ok(())
    }
}
