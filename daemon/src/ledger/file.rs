//! A ledger as a file: where it is, who may hold it, and how it is written.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use knock_frontend::files::{
    Attributes, Files, Handle, Kind, Open, Parents, RealFiles, RealHandle,
};
use thiserror::Error;

use super::{Boot, HALF_LEN, Ledger, LedgerError, Recovered, Storage};
use crate::lock;

/// The longest file that is read, in bytes: more than a million open doors need.
const MAX_LEN: u64 = 1 << 30;

/// A ledger's file, locked for this process.
#[derive(Debug)]
pub struct LedgerFile<H = RealHandle> {
    file: H,
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
        Self::open_in(&RealFiles, folder, name)
    }
}

impl<H: Handle> LedgerFile<H> {
    /// Like [`LedgerFile::open`], in whatever file system this is.
    ///
    /// # Errors
    ///
    /// See [`LedgerFileCause`].
    pub fn open_in(
        files: &impl Files<Handle = H>,
        folder: &Path,
        name: &str,
    ) -> Result<Self, LedgerFileError> {
        let path = folder.join(name);
        let at = |path: &Path| {
            let path = path.to_owned();
            move |cause| LedgerFileError { path, cause }
        };
        make_folder(files, folder).map_err(at(folder))?;
        let opened = files.open_folder(folder).map_err(LedgerFileCause::Folder);
        let folder_handle = opened.map_err(at(folder))?;
        // The name of a ledger that was ever written is safe: a disk that fails now must not keep
        // what is owed from being read.
        let is_new = files.attributes(&path).map_or(true, |file| file.len == 0);
        let opened = Self::open_in_folder(files, &folder_handle, name).map_err(at(&path))?;
        if is_new {
            folder_handle
                .sync()
                .or_else(ignore_read_only)
                .map_err(LedgerFileCause::Folder)
                .map_err(at(folder))?;
        }
        Ok(opened)
    }

    fn open_in_folder(
        files: &impl Files<Handle = H>,
        folder: &H,
        name: &str,
    ) -> Result<Self, LedgerFileCause> {
        let name = OsStr::new(name);
        let (file, read_only) = match folder.open(name, Open::Write) {
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                (folder.open(name, Open::Read), true)
            }
            opened => (opened, false),
        };
        let file = file.map_err(LedgerFileCause::Open)?;
        let attributes = file.attributes().map_err(LedgerFileCause::Open)?;
        if attributes.kind != Kind::File {
            return Err(LedgerFileCause::NotAFile);
        }
        check_owner(&attributes, files.user())?;
        if attributes.mode & 0o022 != 0 {
            return Err(LedgerFileCause::Exposed);
        }
        let is_ours = lock::take(|| file.try_lock(), |span| files.pause(span));
        if !is_ours.map_err(LedgerFileCause::Open)? {
            return Err(LedgerFileCause::InUse { process: file.lock_holder() });
        }
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
        Self::open_file_in(&RealFiles, (folder, name), boot, HALF_LEN)
    }
}

impl<H: Handle> Ledger<LedgerFile<H>> {
    /// Like [`Ledger::open_file`], in whatever file system this is; a new one gets halves of so
    /// many bytes.
    ///
    /// # Errors
    ///
    /// The file can't be used, or holds something else; see [`LedgerFileCause`].
    pub fn open_file_in(
        files: &impl Files<Handle = H>,
        (folder, name): (&Path, &str),
        boot: Boot,
        half_len: usize,
    ) -> Result<(Self, Recovered), LedgerFileError> {
        let file = LedgerFile::open_in(files, folder, name)?;
        Self::open_sized(file, boot, half_len)
            .map_err(|cause| LedgerFileError { path: folder.join(name), cause: cause.into() })
    }
}

fn make_folder(files: &impl Files, folder: &Path) -> Result<(), LedgerFileCause> {
    let is_there = files.attributes(folder).is_ok_and(|found| found.kind == Kind::Folder);
    if !is_there {
        files.make_folder(folder, Parents::Made).map_err(LedgerFileCause::Folder)?;
        let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = files.open_folder(parent.unwrap_or(Path::new(".")));
        parent.and_then(|parent| parent.sync()).map_err(LedgerFileCause::Folder)?;
    }
    let mode = files.attributes(folder).map_err(LedgerFileCause::Folder)?.mode;
    // Where the sticky bit is set, others can't replace a file of ours, and one of theirs is
    // found out by its owner.
    if mode & 0o022 != 0 && mode & 0o1000 == 0 {
        return Err(LedgerFileCause::Exposed);
    }
    Ok(())
}

const fn check_owner(attributes: &Attributes, user: u32) -> Result<(), LedgerFileCause> {
    let owner = attributes.owner;
    if owner == user { Ok(()) } else { Err(LedgerFileCause::Foreign { owner, user }) }
}

fn ignore_read_only(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::ReadOnlyFilesystem { Ok(()) } else { Err(error) }
}

impl<H: Handle> Storage for LedgerFile<H> {
    fn read_all(&mut self) -> io::Result<Vec<u8>> {
        let len = self.file.attributes()?.len;
        if len > MAX_LEN {
            let message = format!("it has {len} bytes, which is more than {MAX_LEN}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        self.file.read_all(MAX_LEN)
    }

    fn grow(&mut self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        let old_len = self.file.attributes()?.len;
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

impl<H: Handle> LedgerFile<H> {
    fn check_writable(&self) -> io::Result<()> {
        if self.read_only { Err(io::ErrorKind::ReadOnlyFilesystem.into()) } else { Ok(()) }
    }

    /// Takes the room, then writes zeros to it: room that was only promised is counted when it is
    /// first written, and some file systems then find that there is none.
    fn fill(&self, from: u64, to: u64) -> io::Result<()> {
        self.file.allocate(from, to - from)?;
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
