//! A one-time file in a file system.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use super::{MarkCause, Replace};
use crate::files::{Files, Handle, Kind, Open, RealFiles, RealHandle};

/// The longest file that is read, in bytes.
const MAX_LEN: u64 = 64 << 20;
/// How often the file may be replaced by others between finding and locking it.
const MAX_REPLACED: usize = 8;

/// A one-time file, locked against other daemons that mark it, in its folder.
#[derive(Debug)]
pub struct OneTimeFile<H = RealHandle> {
    folder: H,
    name: OsString,
    new_name: OsString,
    file: H,
    new: Option<H>,
}

impl OneTimeFile {
    /// Finds the file, through symbolic links, and locks it. It doesn't wait for the lock: behind
    /// it the ledger waits.
    ///
    /// # Errors
    ///
    /// See [`MarkCause`]. Nothing was written.
    pub fn open(path: &Path) -> Result<Self, MarkCause> {
        Self::open_in(&RealFiles, path)
    }
}

impl<H: Handle> OneTimeFile<H> {
    /// Like [`OneTimeFile::open`], in whatever file system this is.
    ///
    /// # Errors
    ///
    /// See [`MarkCause`]. Nothing was written.
    pub fn open_in(files: &impl Files<Handle = H>, path: &Path) -> Result<Self, MarkCause> {
        let path = files.resolve(path).map_err(MarkCause::Read)?;
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(MarkCause::NotAFile);
        };
        let folder = files.open_folder(folder).map_err(MarkCause::Folder)?;
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
fn lock<H: Handle>(folder: &H, name: &OsString) -> Result<Option<H>, MarkCause> {
    let file = folder.open(name, Open::Read).map_err(MarkCause::Read)?;
    if !file.try_lock().map_err(MarkCause::Read)? {
        return Err(MarkCause::Busy);
    }
    let attributes = file.attributes().map_err(MarkCause::Read)?;
    let named = match folder.attributes_of(name) {
        Ok(named) => named,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(MarkCause::Read(error)),
    };
    if named.identity != attributes.identity {
        return Ok(None);
    }
    if attributes.kind != Kind::File || attributes.len > MAX_LEN {
        return Err(MarkCause::NotAFile);
    }
    if attributes.links > 1 {
        return Err(MarkCause::HardLinks(attributes.links));
    }
    Ok(Some(file))
}

impl<H: Handle> Replace for OneTimeFile<H> {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        self.file.read_all(MAX_LEN)
    }

    fn discard_new(&mut self) -> io::Result<()> {
        self.new = None;
        match self.folder.remove(&self.new_name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn write_new(&mut self, text: &[u8]) -> io::Result<()> {
        let mut new = self.folder.open(&self.new_name, Open::CreateNew)?;
        new.write_all(text)?;
        new.set_owner(&self.file.attributes()?)?;
        self.new = Some(new);
        Ok(())
    }

    fn sync_new(&mut self) -> io::Result<()> {
        self.new.as_ref().map_or(Ok(()), H::sync)
    }

    fn replace(&mut self) -> io::Result<()> {
        self.folder.rename(&self.new_name, &self.name)
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        self.folder.sync()
    }
}
