//! The one seam to the file system: what the programs ask of it whose files must survive a crash.
//!
//! The ledger, one-time files, the recording and the config go through [`Files`], so a simulation
//! can put a disk of its own in its place: one that forgets what was not synced, tears it, runs
//! full, and fails at any call. [`RealFiles`] is the operating system's, and decides nothing.

mod real;

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use real::{RealFiles, RealHandle};

/// A file system.
pub trait Files: Clone {
    /// An open file or folder.
    type Handle: Handle;

    /// Reads a file, through links.
    ///
    /// # Errors
    ///
    /// It is not there or can't be read.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Returns the path without links in it.
    ///
    /// # Errors
    ///
    /// Something of it is not there.
    fn resolve(&self, path: &Path) -> io::Result<PathBuf>;

    /// Tells what is there, through links.
    ///
    /// # Errors
    ///
    /// Nothing is.
    fn attributes(&self, path: &Path) -> io::Result<Attributes>;

    /// Makes a folder for its owner alone.
    ///
    /// # Errors
    ///
    /// It is there already, unless its parents may be made with it; or it can't be made.
    fn make_folder(&self, path: &Path, parents: Parents) -> io::Result<()>;

    /// Opens a folder.
    ///
    /// # Errors
    ///
    /// It is not there, or no folder.
    fn open_folder(&self, path: &Path) -> io::Result<Self::Handle>;

    /// Returns the number of the user whose process this is.
    fn user(&self) -> u32;

    /// Waits. Whoever can't have a lock does so before it tries again.
    fn pause(&self, span: Duration);
}

/// Whether parents are made too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parents {
    /// They are, and it is no error if all is there.
    Made,
    /// They must be there, and the folder must not.
    Expected,
}

/// How to open a file. Never through a link, never waiting for anybody, and not for children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// To read what is there.
    Read,
    /// To read and write; it is made for its owner alone where it is missing.
    Write,
    /// To write a new one, for its owner alone; it must not be there.
    CreateNew,
}

/// An open file or folder, which lasts as long as this does. Names are those in the folder.
/// Writing ([`io::Write`]) adds to the file's end.
pub trait Handle: io::Write + Sized {
    /// Opens a file in this folder.
    ///
    /// # Errors
    ///
    /// It is not there, or is there, or can't be opened or made.
    fn open(&self, name: &OsStr, how: Open) -> io::Result<Self>;

    /// Tells what has a name in this folder; a link is a link.
    ///
    /// # Errors
    ///
    /// Nothing has it.
    fn attributes_of(&self, name: &OsStr) -> io::Result<Attributes>;

    /// Gives a file in this folder another name, at once, whatever had that name before.
    ///
    /// # Errors
    ///
    /// It can't be renamed; everything is as it was.
    fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()>;

    /// Takes a name out of this folder.
    ///
    /// # Errors
    ///
    /// It is not there or can't be removed.
    fn remove(&self, name: &OsStr) -> io::Result<()>;

    /// Returns the names of the files in this folder, in any order, with their lengths.
    ///
    /// # Errors
    ///
    /// It can't be read.
    fn list(&self) -> io::Result<Vec<(OsString, u64)>>;

    /// Tells what this is.
    ///
    /// # Errors
    ///
    /// The file system fails.
    fn attributes(&self) -> io::Result<Attributes>;

    /// Locks it for this process, until it is dropped; tells whether that was possible. Never
    /// waits.
    ///
    /// # Errors
    ///
    /// The file system knows no locks.
    fn try_lock(&self) -> io::Result<bool>;

    /// Returns which process has locked it, where that can be told.
    fn lock_holder(&self) -> Option<i32>;

    /// Reads it from its beginning, but no more than so many bytes.
    ///
    /// # Errors
    ///
    /// It can't be read.
    fn read_all(&self, most: u64) -> io::Result<Vec<u8>>;

    /// Writes some of these bytes at this offset, and returns how many.
    ///
    /// # Errors
    ///
    /// None could be written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Takes the room for this range, as far as the file system can promise it.
    ///
    /// # Errors
    ///
    /// There is none.
    fn allocate(&self, from: u64, len: u64) -> io::Result<()>;

    /// Cuts it to this length.
    ///
    /// # Errors
    ///
    /// It can't be written.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Gives it an owner, a group and a mode.
    ///
    /// # Errors
    ///
    /// This process may not.
    fn set_owner(&self, like: &Attributes) -> io::Result<()>;

    /// Waits until its content is safe on disk.
    ///
    /// # Errors
    ///
    /// Some of it may be lost, for good.
    fn sync_data(&self) -> io::Result<()>;

    /// Waits until all of it is safe on disk: of a folder, which file has which name.
    ///
    /// # Errors
    ///
    /// Some of it may be lost, for good.
    fn sync(&self) -> io::Result<()>;

    /// Writes all of these bytes at this offset.
    ///
    /// # Errors
    ///
    /// Not all could be written; what is there then is not known.
    fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_at(bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    bytes = &bytes[written..];
                    offset += written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// What is known of a file beside its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// What it is.
    pub kind: Kind,
    /// Its length in bytes.
    pub len: u64,
    /// The number of its owner.
    pub owner: u32,
    /// The number of its group.
    pub group: u32,
    /// Its permissions, as `chmod` counts them.
    pub mode: u32,
    /// How many names it has.
    pub links: u64,
    /// What tells it from all others: its device and number.
    pub identity: (u64, u64),
}

/// What something in a folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A link, a device, a pipe or the like.
    Other,
}
