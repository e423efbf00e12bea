//! What can be wrong with a trace, and where.

use std::fmt;
use std::io;

use knock_frontend::recording::NoteError;
use thiserror::Error;

/// Why a trace cannot be read, or not any further.
///
/// Each message begins with the trace's name and says what can be done.
#[derive(Debug, Error)]
pub enum TraceError {
    /// The file cannot be opened.
    #[error("{trace}: cannot open: {source}{}", open_hint(.source))]
    Open {
        /// The trace.
        trace: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// Standard input is named as two traces, of which each would take bytes from the other.
    #[error("standard input (-) is named twice; it can be one trace only")]
    StandardInputTwice,
    /// The path names a directory.
    #[error("{trace}: is a directory; name the captures in it")]
    Directory {
        /// The trace.
        trace: String,
    },
    /// There is not a single byte.
    #[error(
        "{trace}: is empty, not even a capture's header is there; tcpdump writes that when it \
         stops, or at once with -U"
    )]
    Empty {
        /// The trace.
        trace: String,
    },
    /// The first bytes are not those of a capture.
    #[error(
        "{trace}: is not a capture: it begins with {start}; pcap and pcapng are read, plain or \
         compressed with gzip, zstd or lz4"
    )]
    NotACapture {
        /// The trace.
        trace: String,
        /// Its first bytes, fit for a terminal.
        start: String,
    },
    /// The first bytes are those of a format that is known but not read.
    #[error("{trace}: {format} is not supported; {hint}")]
    Unsupported {
        /// The trace.
        trace: String,
        /// The format's name.
        format: &'static str,
        /// How to turn it into a supported one.
        hint: &'static str,
    },
    /// The operating system failed to read on.
    #[error("{trace}: cannot read on at {position}: {source}")]
    Read {
        /// The trace.
        trace: String,
        /// How far it was read.
        position: Position,
        /// What the operating system says.
        source: io::Error,
    },
    /// A stretch of the trace makes no sense, and more of the trace follows.
    #[error("{trace}: damaged at {position}: {cause}; --resync skips what is damaged")]
    Damaged {
        /// The trace.
        trace: String,
        /// Where the damage begins.
        position: Position,
        /// What is wrong there.
        cause: Damage,
    },
}

/// Returns what to do about a file that does not open, where that is known.
fn open_hint(source: &io::Error) -> &'static str {
    if source.kind() == io::ErrorKind::PermissionDenied {
        "; run as a user who may read it, or pipe it in and name the trace -"
    } else if source.kind() == io::ErrorKind::NotFound {
        "; check the path"
    } else {
        ""
    }
}

/// A place in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The byte offset, from 0.
    pub byte: u64,
    /// What the offset counts in.
    pub layer: Layer,
}

/// What a byte offset counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The bytes of the file.
    File,
    /// The bytes that decompressing the file gives.
    Decompressed,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.layer {
            Layer::File => write!(f, "byte {}", self.byte),
            Layer::Decompressed => write!(f, "byte {} after decompression", self.byte),
        }
    }
}

/// A damaged stretch that was skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Where it begins.
    pub position: Position,
    /// Its length in bytes.
    pub bytes: u64,
    /// What was wrong at its beginning.
    pub cause: Damage,
}

/// What makes a stretch of a trace damaged.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Damage {
    /// A packet record claims more bytes than any capture has in a record.
    #[error("a record of {length} bytes is longer than the limit of {limit}")]
    RecordTooLong {
        /// The length claimed.
        length: u32,
        /// The longest that is believed.
        limit: u32,
    },
    /// A record header of zeros, as a crash of the capturing machine leaves them.
    #[error("a record header of zeros")]
    ZeroHeader,
    /// A record header contradicts itself, and what stands within the record or behind it shows
    /// that its length is wrong.
    #[error("a record header that contradicts itself and the records behind it")]
    Contradiction,
    /// Another capture was appended with its own file header.
    #[error("another capture was appended here; name both captures instead")]
    Appended,
    /// A record claims to reach beyond the end, but good records follow within it.
    #[error("a record reaches beyond the end of the trace, but holds good records")]
    RunsPastEnd,
    /// A note of a daemon's recording can't be read.
    #[error(transparent)]
    Note(NoteError),
    /// A block length below 12 or no multiple of 4.
    #[error("a block of {length} bytes (the least is 12, in steps of 4)")]
    BlockLength {
        /// The length claimed.
        length: u32,
    },
    /// A block claims more bytes than is believed.
    #[error("a block of {length} bytes is longer than the limit of {limit}")]
    BlockTooLong {
        /// The length claimed.
        length: u32,
        /// The longest that is believed for its type.
        limit: u32,
    },
    /// The two lengths around a block differ.
    #[error("a block begins with length {length} and ends with length {trailer}")]
    BlockTrailer {
        /// The length at its beginning.
        length: u32,
        /// The length at its end.
        trailer: u32,
    },
    /// A section header whose byte order cannot be told.
    #[error("a section header with byte-order magic {magic:08x}")]
    ByteOrder {
        /// The magic, read as big-endian.
        magic: u32,
    },
    /// A block too short for the fields of its type.
    #[error("a block of type {block} has {room} bytes of content and needs {needed}")]
    BlockContent {
        /// The block type.
        block: u32,
        /// How many bytes of content it has.
        room: usize,
        /// How many its fields need.
        needed: usize,
    },
    /// A packet of an interface that was not described.
    #[error("a packet of interface {interface}, while {known} are described")]
    UnknownInterface {
        /// The interface's number, from 0.
        interface: u32,
        /// How many interfaces the section has described so far.
        known: usize,
    },
    /// A section describes more interfaces than is believed.
    #[error("more than {limit} interfaces in a section")]
    TooManyInterfaces {
        /// The most that are believed.
        limit: usize,
    },
    /// The compressed stream is corrupt; nothing behind it can be decompressed.
    #[error("corrupt {format} stream: {message}")]
    Compression {
        /// The name of the compression.
        format: &'static str,
        /// What the decompressor says.
        message: String,
    },
}
