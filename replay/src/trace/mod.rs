//! Reading captures: pcap and pcapng, plain or compressed, from files and live pipes.
//!
//! A trace is found by its first bytes, never by its name. [`TraceReader`] reads one trace and
//! lends one [`Frame`] at a time out of its buffer; [`Traces`] merges several by time stamp.
//! Nothing is allocated per frame, and a frame is handed out as soon as its last byte is there, so
//! `tcpdump -w - | knock-replay run -c f -` works live.
//!
//! ```
//! use knock_replay::trace::{OnDamage, Traces};
//! # fn main() -> Result<(), knock_replay::trace::TraceError> {
//! # let dir = std::env::temp_dir().join(format!("trace-doc-{}.pcap", std::process::id()));
//! # let mut header = [0_u8; 24];
//! # header[..4].copy_from_slice(&0xa1b2_c3d4_u32.to_le_bytes());
//! # std::fs::write(&dir, header).expect("the temporary folder takes a file");
//! # let path = dir.as_path();
//! let mut traces = Traces::open(&[path], OnDamage::Stop)?;
//! while let Some(frame) = traces.next()? {
//!     println!("{} frame {}: {} bytes", frame.at, frame.number, frame.captured.len());
//! }
//! # let _ = std::fs::remove_file(&dir);
//! # Ok(())
//! # }
//! ```
//!
//! What is forgiven: a packet that was captured longer than the snap length or than its original
//! length, microseconds beyond a second, a snap length of 0, interface descriptions that break
//! the rules in what does not matter here. (A pcap record whose header contradicts itself is
//! handed out only once the header behind it is there, because damage makes such records too.)
//! What is not forgiven: see [`Damage`]. A trace that merely ends too early is no error, see
//! [`Ending`].
//!
//! The crate `pcap-file` is named in `pcap` and `pcapng` only. It splits bytes into records and
//! blocks; the fields within are read here, because its typed layer refuses whole sections over
//! details (a time resolution of 2^-32, a name that is no UTF-8) and allocates for options.

mod compression;
mod error;
mod feed;
mod interface;
mod merge;
mod open;
mod pcap;
mod pcapng;
mod reader;
mod skips;
mod step;
mod window;

pub use compression::Compression;
pub use error::{Damage, Layer, Position, Skipped, TraceError};
pub use merge::Traces;
pub use reader::TraceReader;
pub use skips::SkipLog;

use knock_engine::time::Timestamp;
use knock_frontend::recording::BLOCK_TYPE;

/// A captured frame, lent until the next one is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// When it was captured.
    ///
    /// A stamp before 1970 reads as [`Timestamp::ZERO`], one after 2554 as [`Timestamp::MAX`];
    /// what is finer than a nanosecond is cut off. Stamps can step back within a trace. A pcapng
    /// Simple Packet Block carries no stamp: it gets that of the frame before it in its trace.
    pub at: Timestamp,
    /// The link type, a LINKTYPE number; in a pcapng each interface has its own.
    pub link_type: u32,
    /// The bytes captured, from the link-layer header on.
    pub captured: &'a [u8],
    /// How long the frame was before a snap length cut it, as the trace says it.
    pub original: u32,
    /// The frame's number within its trace, from 1.
    pub number: u64,
    /// Which trace it comes from: the place on the command line, from 0.
    pub trace: usize,
}

impl Frame<'_> {
    /// The link type of what is no frame: a note of a daemon's recording. No real one is that
    /// large.
    pub const NOTE: u32 = BLOCK_TYPE;

    /// Tells whether it is a note of a recording, whose block's content is `captured`. Notes come
    /// only where they were [asked for](Traces::tell_notes); they have the number of the frame
    /// before.
    #[must_use]
    pub const fn is_note(&self) -> bool {
        self.link_type == Self::NOTE
    }
}

/// Tells which frames are worth a stop.
///
/// Closures do; a type of one's own can insist on being compiled into the loop over the frames,
/// which is not sure of a closure.
pub trait Sieve {
    /// Tells whether to stop at a frame. Each frame is asked for once, in order.
    fn stops_at(&mut self, frame: &Frame<'_>) -> bool;
}

impl<F: FnMut(&Frame<'_>) -> bool> Sieve for F {
    fn stops_at(&mut self, frame: &Frame<'_>) -> bool {
        self(frame)
    }
}

/// What to do about a damaged stretch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDamage {
    /// Report it as an error; the trace ends there.
    #[default]
    Stop,
    /// Skip it, write it down in the [`SkipLog`], and read on behind it.
    Resync,
}

/// How a trace ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// After its last record.
    Complete,
    /// Within a record, as when the capturing program was killed or the disk was full.
    Truncated {
        /// Where the record that was cut off begins (after decompression).
        offset: u64,
        /// How many bytes of the record (as far as its header tells) are missing; `None` where
        /// the compressed stream was cut, which does not tell.
        missing: Option<u64>,
    },
}

/// The format of a trace, without its compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The classic format, one link type for all frames.
    Pcap,
    /// Blocks, sections and interfaces.
    PcapNg,
}
