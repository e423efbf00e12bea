//! The operating system's files.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, Metadata};
use std::io::{self, Read as _, Seek as _, Write};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::{
    AtFlags, Dir, FallocateFlags, FileType, FlockOperation, Gid, Mode, OFlags, Uid, fallocate,
    fchmod, fchown, fcntl_lock, flock, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::{Flock, FlockType, fcntl_getlk, geteuid};

use super::{Attributes, Files, Handle, Kind, Open, Parents};

/// The operating system's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFiles;

/// An open file or folder of the operating system.
#[derive(Debug)]
pub struct RealHandle(File);

impl Files for RealFiles {
    type Handle = RealHandle;

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        fs::canonicalize(path)
    }

    fn attributes(&self, path: &Path) -> io::Result<Attributes> {
        fs::metadata(path).map(|metadata| Attributes::from(&metadata))
    }

    fn make_folder(&self, path: &Path, parents: Parents) -> io::Result<()> {
        DirBuilder::new().recursive(parents == Parents::Made).mode(0o700).create(path)
    }

    fn open_folder(&self, path: &Path) -> io::Result<RealHandle> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(RealHandle(File::from(rustix::fs::open(path, flags, Mode::empty())?)))
    }

    fn user(&self) -> u32 {
        geteuid().as_raw()
    }

    fn pause(&self, span: Duration) {
        thread::sleep(span);
    }
}

impl Handle for RealHandle {
    fn open(&self, name: &OsStr, how: Open) -> io::Result<Self> {
        // Without NONBLOCK a named pipe in its place would hold the program up for ever.
        let always = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let flags = match how {
            Open::Read => OFlags::RDONLY,
            Open::Write => OFlags::RDWR | OFlags::CREATE,
            Open::CreateNew => OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL,
        };
        let opened = openat(&self.0, name, always | flags, Mode::RUSR | Mode::WUSR)?;
        Ok(Self(File::from(opened)))
    }

    fn attributes_of(&self, name: &OsStr) -> io::Result<Attributes> {
        let stat = statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Folder,
            FileType::Symlink
            | FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => Kind::Other,
        };
        Ok(Attributes {
            kind,
            len: u64::try_from(stat.st_size).unwrap_or(0),
            owner: stat.st_uid,
            group: stat.st_gid,
            mode: stat.st_mode & 0o7777,
            #[expect(clippy::useless_conversion, reason = "its width differs between processors")]
            links: u64::from(stat.st_nlink),
            identity: (stat.st_dev, stat.st_ino),
        })
    }

    fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(renameat(&self.0, from, &self.0, to)?)
    }

    fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.0, name, AtFlags::empty())?)
    }

    fn list(&self) -> io::Result<Vec<(OsString, u64)>> {
        let mut files = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let name = OsString::from_vec(entry?.file_name().to_bytes().to_vec());
            match self.attributes_of(&name) {
                Ok(attributes) if attributes.kind == Kind::File => {
                    files.push((name, attributes.len));
                }
                Ok(_) => {}
                // It has gone meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(files)
    }

    fn attributes(&self) -> io::Result<Attributes> {
        self.0.metadata().map(|metadata| Attributes::from(&metadata))
    }

    fn try_lock(&self) -> io::Result<bool> {
        match flock(&self.0, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        // A second lock of another kind, only there to tell whose it is: that is what the kernel
        // knows of a record lock and not of a whole file's. It needs a file that may be written.
        let _ = fcntl_lock(&self.0, FlockOperation::NonBlockingLockExclusive);
        Ok(true)
    }

    fn lock_holder(&self) -> Option<i32> {
        let found = fcntl_getlk(&self.0, &Flock::from(FlockType::WriteLock)).ok().flatten()?;
        found.pid.map(|process| process.as_raw_nonzero().get())
    }

    fn read_all(&self, most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        (&self.0).rewind()?;
        (&self.0).take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }

    fn allocate(&self, from: u64, len: u64) -> io::Result<()> {
        match fallocate(&self.0, FallocateFlags::empty(), from, len) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn set_owner(&self, like: &Attributes) -> io::Result<()> {
        let made = self.attributes()?;
        if (like.owner, like.group) != (made.owner, made.group) {
            let (owner, group) = (Uid::from_raw(like.owner), Gid::from_raw(like.group));
            fchown(&self.0, Some(owner), Some(group))?;
        }
        // After the owner, whose change takes away some bits of the mode.
        Ok(fchmod(&self.0, Mode::from_raw_mode(like.mode))?)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}

impl Write for RealHandle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl From<&Metadata> for Attributes {
    fn from(metadata: &Metadata) -> Self {
        let file_type = metadata.file_type();
        let is_special = file_type.is_fifo() || file_type.is_socket();
        let kind = match (file_type.is_file(), file_type.is_dir()) {
            (true, _) if !is_special => Kind::File,
            (_, true) => Kind::Folder,
            _ => Kind::Other,
        };
        Self {
            kind,
            len: metadata.len(),
            owner: metadata.uid(),
            group: metadata.gid(),
            mode: metadata.mode() & 0o7777,
            links: metadata.nlink(),
            identity: (metadata.dev(), metadata.ino()),
        }
    }
}
