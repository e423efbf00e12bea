//! Decompression, chosen by the first bytes.

use std::fmt;
use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder;

use super::feed::{Feed, MAGIC_BYTES};

/// How a trace is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    Plain,
    /// gzip, any number of members.
    Gzip,
    /// zstd, any number of frames.
    Zstd,
    /// lz4's frame format, any number of frames.
    Lz4,
}

impl Compression {
    /// Tells the compression by the first bytes.
    fn of(magic: &[u8]) -> Self {
        let Ok(magic) = <[u8; MAGIC_BYTES]>::try_from(magic) else { return Self::Plain };
        match u32::from_le_bytes(magic) {
            // pzstd begins with a skippable frame.
            0xfd2f_b528 | 0x184d_2a50..=0x184d_2a5f => Self::Zstd,
            0x184d_2204 => Self::Lz4,
            _ if magic[..3] == [0x1f, 0x8b, 8] => Self::Gzip,
            _ => Self::Plain,
        }
    }

    /// Returns the compression's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The most that is decompressed at once: of the piece in which a decompressor finds damage it
/// gives nothing, so pieces are small.
const PIECE: usize = 16 << 10;

/// Why no more bytes come, other than that all have come.
#[derive(Debug)]
pub(super) enum Fault {
    /// The compressed stream ends too early.
    Truncated,
    /// The compressed stream is corrupt.
    Corrupt(String),
    /// The operating system failed.
    Io(io::Error),
}

type Buffered<R> = BufReader<Feed<R>>;

/// A trace's bytes after decompression.
///
/// Output streams through the caller's buffer, so a file that decompresses to very much costs
/// time, not memory; a zstd window over 128 MiB is refused by the decompressor.
pub(super) enum Input<R: Read> {
    Plain(Feed<R>),
    Gzip(Box<MultiGzDecoder<Buffered<R>>>),
    Zstd(Box<zstd::Decoder<'static, Buffered<R>>>),
    Lz4(Box<Lz4<R>>),
}

impl<R: Read> Input<R> {
    /// Looks at the first bytes and sets up what decompresses them.
    pub(super) fn new(mut feed: Feed<R>) -> io::Result<Self> {
        Ok(match Compression::of(feed.peek_magic()?) {
            Compression::Plain => Self::Plain(feed),
            Compression::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(buffered(feed)))),
            Compression::Zstd => Self::Zstd(Box::new(zstd::Decoder::with_buffer(buffered(feed))?)),
            Compression::Lz4 => Self::Lz4(Box::new(Lz4 {
                decoder: FrameDecoder::new(buffered(feed)),
                frame_end: None,
            })),
        })
    }

    pub(super) fn compression(&self) -> Compression {
        match self {
            Self::Plain(_) => Compression::Plain,
            Self::Gzip(_) => Compression::Gzip,
            Self::Zstd(_) => Compression::Zstd,
            Self::Lz4(_) => Compression::Lz4,
        }
    }

    /// Reads what is there, at least one byte unless the trace has ended.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Fault> {
        let room = buffer.len().min(PIECE);
        let result = match self {
            Self::Plain(feed) => return feed.read(buffer).map_err(Fault::Io),
            Self::Gzip(decoder) => decoder.read(&mut buffer[..room]),
            Self::Zstd(decoder) => decoder.read(&mut buffer[..room]),
            Self::Lz4(decoder) => decoder.read(&mut buffer[..room]),
        };
        result.map_err(|error| {
            if self.feed().has_failed() {
                Fault::Io(error)
            } else if error.kind() == io::ErrorKind::UnexpectedEof {
                Fault::Truncated
            } else {
                Fault::Corrupt(error.to_string())
            }
        })
    }

    /// Returns how far the file itself was read, in bytes from its beginning.
    pub(super) fn file_position(&self) -> u64 {
        let buffered = match self {
            Self::Plain(_) => 0,
            Self::Gzip(decoder) => decoder.get_ref().buffer().len(),
            Self::Zstd(decoder) => decoder.get_ref().buffer().len(),
            Self::Lz4(decoder) => decoder.decoder.get_ref().buffer().len(),
        };
        self.feed().position() - buffered as u64
    }

    fn feed(&self) -> &Feed<R> {
        match self {
            Self::Plain(feed) => feed,
            Self::Gzip(decoder) => decoder.get_ref().get_ref(),
            Self::Zstd(decoder) => decoder.get_ref().get_ref(),
            Self::Lz4(decoder) => decoder.decoder.get_ref().get_ref(),
        }
    }
}

fn buffered<R: Read>(feed: Feed<R>) -> Buffered<R> {
    BufReader::with_capacity(64 * 1024, feed)
}

/// Reads one lz4 frame after the other.
///
/// The decoder below reports the end of a frame, the end of the file, and a file cut between two
/// blocks of a frame all in the same way, as a read of no bytes. What tells them apart is where
/// the file stood at the last end of a frame.
pub(super) struct Lz4<R: Read> {
    decoder: FrameDecoder<Buffered<R>>,
    frame_end: Option<u64>,
}

impl<R: Read> Lz4<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.decoder.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let feed = self.decoder.get_ref();
            let position = feed.get_ref().position() - feed.buffer().len() as u64;
            if !feed.get_ref().has_ended() {
                self.frame_end = Some(position);
            } else if self.frame_end == Some(position) {
                return Ok(0);
            } else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}
