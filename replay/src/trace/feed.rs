//! The bytes of a trace as they come, before decompression.

use std::io::{self, Read};

/// How many bytes tell a format.
pub(super) const MAGIC_BYTES: usize = 4;

/// A reader that can be asked for its first bytes without losing them.
///
/// It retries interrupted reads, because not every decompressor does, and remembers whether the
/// reader below it ended or failed, because the decompressors do not tell that apart from damage.
pub(super) struct Feed<R> {
    inner: R,
    magic: [u8; MAGIC_BYTES],
    /// Which bytes of `magic` still have to be handed out.
    unread: std::ops::Range<usize>,
    handed_out: u64,
    ended: bool,
    failed: bool,
}

impl<R: Read> Feed<R> {
    pub(super) fn new(inner: R) -> Self {
        Self {
            inner,
            magic: [0; MAGIC_BYTES],
            unread: 0..0,
            handed_out: 0,
            ended: false,
            failed: false,
        }
    }

    /// Reads the first bytes, at most [`MAGIC_BYTES`], and keeps them to be read again.
    ///
    /// To be called before anything is read.
    pub(super) fn peek_magic(&mut self) -> io::Result<&[u8]> {
        while self.unread.end < MAGIC_BYTES {
            let count = read_through(&mut self.inner, &mut self.magic[self.unread.end..])?;
            if count == 0 {
                break;
            }
            self.unread.end += count;
        }
        Ok(&self.magic[self.unread.clone()])
    }

    /// Returns how many bytes were read from this feed.
    pub(super) fn position(&self) -> u64 {
        self.handed_out
    }

    /// Tells whether a read found the end.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Tells whether the reader below failed.
    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }
}

impl<R: Read> Read for Feed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = if self.unread.is_empty() {
            read_through(&mut self.inner, buffer).inspect_err(|_| self.failed = true)?
        } else {
            let count = self.unread.len().min(buffer.len());
            buffer[..count].copy_from_slice(&self.magic[self.unread.start..][..count]);
            self.unread.start += count;
            count
        };
        self.ended |= count == 0;
        self.handed_out += count as u64;
        Ok(count)
    }
}

/// Reads once, again after an interruption.
fn read_through(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
