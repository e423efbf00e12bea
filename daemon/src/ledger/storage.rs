//! What a ledger lies on.

use std::io;

/// Bytes that outlive the program: a file, or what a test puts in its place.
///
/// The ledger expects what disks give: a write that was not synced may be there after a crash, in
/// part or not at all, and in any order with others that were not synced; what was synced stays,
/// and no write harms bytes outside its own range.
pub trait Storage {
    /// Reads everything.
    ///
    /// # Errors
    ///
    /// It can't be read.
    fn read_all(&mut self) -> io::Result<Vec<u8>>;

    /// Makes it at least this long, with zeros that take their place on the disk at once.
    ///
    /// # Errors
    ///
    /// There is no room. Then it has at least its old length and content.
    fn grow(&mut self, len: u64) -> io::Result<()>;

    /// Writes these bytes over those that are there.
    ///
    /// # Errors
    ///
    /// Not all could be written; what is in the range then is not known.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Waits until all that was written is safe.
    ///
    /// # Errors
    ///
    /// Some of what was written since the last success may be lost, for good.
    fn sync(&mut self) -> io::Result<()>;
}

/// A ledger in memory.
impl Storage for Vec<u8> {
    fn read_all(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.clone())
    }

    fn grow(&mut self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
        if len > self.len() {
            self.resize(len, 0);
        }
        Ok(())
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let range = usize::try_from(offset).ok().and_then(|from| self.get_mut(from..));
        let range = range.and_then(|range| range.get_mut(..bytes.len()));
        range.ok_or(io::ErrorKind::UnexpectedEof)?.copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}
