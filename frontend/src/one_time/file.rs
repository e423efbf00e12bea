//! A one-time file on a real file system.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{
    AtFlags, FlockOperation, Gid, Mode, OFlags, Uid, fchmod, fchown, flock, openat, renameat,
    statat, unlinkat,
};
use rustix::io::Errno;

use super::{MarkCause, Replace};

/// The longest file that is read, in bytes.
const MAX_LEN: u64 = 64 << 20;
/// How often the file may be replaced by others between finding and locking it.
const MAX_REPLACED: usize = 8;

/// A one-time file, locked against other daemons that mark it, in its folder.
#[derive(Debug)]
pub struct OneTimeFile {
    folder: OwnedFd,
    name: OsString,
    new_name: OsString,
    file: File,
    new: Option<File>,
}

impl OneTimeFile {
    /// Finds the file, through symbolic links, and locks it. It doesn't wait for the lock: behind
    /// it the ledger waits.
    ///
    /// # Errors
    ///
    /// See [`MarkCause`]. Nothing was written.
    pub fn open(path: &Path) -> Result<Self, MarkCause> {
        let path = fs::canonicalize(path).map_err(MarkCause::Read)?;
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(MarkCause::NotAFile);
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(folder, flags, Mode::empty())
            .map_err(|error| MarkCause::Folder(error.into()))?;
        let mut new_name = OsString::from(".");
        new_name.push(name);
        new_name.push(".knockd-new");
        let name = name.to_owned();
        for _ in 0..MAX_REPLACED {
            if let Some(file) = lock(&folder, &name)? {
                return Ok(Self { folder, name, new_name, file, new: None });
            }
        }
        Err(MarkCause::Busy)
    }
}

/// Opens and locks the file; `None` where another one has taken its name meanwhile.
fn lock(folder: &OwnedFd, name: &OsString) -> Result<Option<File>, MarkCause> {
    let read = |error: Errno| MarkCause::Read(error.into());
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(folder, name, flags, Mode::empty()).map_err(read)?);
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
        Errno::WOULDBLOCK => MarkCause::Busy,
        error => read(error),
    })?;
    let metadata = file.metadata().map_err(MarkCause::Read)?;
    let named = match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(named) => named,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(read(error)),
    };
    if (named.st_dev, named.st_ino) != (metadata.dev(), metadata.ino()) {
        return Ok(None);
    }
    if !metadata.is_file() || metadata.len() > MAX_LEN {
        return Err(MarkCause::NotAFile);
    }
    if metadata.nlink() > 1 {
        return Err(MarkCause::HardLinks(metadata.nlink()));
    }
    Ok(Some(file))
}

impl Replace for OneTimeFile {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        self.file.rewind()?;
        (&self.file).take(MAX_LEN).read_to_end(&mut text)?;
        Ok(text)
    }

    fn discard_new(&mut self) -> io::Result<()> {
        self.new = None;
        match unlinkat(&self.folder, &self.new_name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn write_new(&mut self, text: &[u8]) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let mut new = File::from(openat(&self.folder, &self.new_name, flags, mode)?);
        new.write_all(text)?;
        let (old, made) = (self.file.metadata()?, new.metadata()?);
        if (old.uid(), old.gid()) != (made.uid(), made.gid()) {
            let (owner, group) = (Uid::from_raw(old.uid()), Gid::from_raw(old.gid()));
            fchown(&new, Some(owner), Some(group))?;
        }
        // After the owner, whose change takes away some bits of the mode.
        fchmod(&new, Mode::from_raw_mode(old.mode() & 0o7777))?;
        self.new = Some(new);
        Ok(())
    }

    fn sync_new(&mut self) -> io::Result<()> {
        self.new.as_ref().map_or(Ok(()), File::sync_all)
    }

    fn replace(&mut self) -> io::Result<()> {
        Ok(renameat(&self.folder, &self.new_name, &self.folder, &self.name)?)
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.folder)?)
    }
}
