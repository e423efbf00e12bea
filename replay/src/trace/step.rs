//! What the two formats have in common: one step through the bytes, and the search behind damage.

use knock_engine::time::Timestamp;

use super::error::Damage;

/// No record is believed to be longer, whatever a header says; libpcap's largest snap length.
pub(super) const LARGEST_RECORD: u32 = 128 << 20;
/// A record up to this length is always believed; libpcap's usual largest snap length.
pub(super) const USUAL_RECORD: u32 = 256 << 10;

/// The bytes that are there.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) bytes: &'a [u8],
    /// Whether no more will come.
    pub(super) ended: bool,
}

/// What stands at the beginning of a [`View`].
pub(super) enum Step {
    /// A record with a frame.
    Frame(Record),
    /// A note of a daemon's recording, whose content stands where a frame would.
    Note(Record),
    /// Something complete that is no frame.
    Other {
        /// Its length.
        size: usize,
    },
    /// It cannot be told before `need` bytes are there.
    More {
        /// How many bytes, from the beginning of the view.
        need: usize,
    },
    /// Something damaged.
    Damaged {
        /// What is wrong.
        cause: Damage,
        /// Its length, if that can be trusted.
        size: Option<usize>,
    },
}

/// A record with a frame, by places in a [`View`].
pub(super) struct Record {
    /// The record's length.
    pub(super) size: usize,
    /// Where in it the frame begins.
    pub(super) from: usize,
    /// Where in it the frame ends.
    pub(super) to: usize,
    pub(super) at: Timestamp,
    pub(super) link_type: u32,
    /// How long the frame was before a snap length cut it.
    pub(super) original: u32,
}

/// Whether reading could go on at some place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    /// Yes.
    Good,
    /// No.
    Bad,
    /// It cannot be told before `need` bytes are there.
    More {
        /// How many bytes, from the beginning of the view.
        need: usize,
    },
}

/// The byte order of a format's own fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Big,
    Little,
}

impl Order {
    /// Reads two bytes; the caller has checked that they are there.
    #[inline]
    pub(super) fn u16(self, bytes: &[u8], at: usize) -> u16 {
        let field = [bytes[at], bytes[at + 1]];
        match self {
            Self::Big => u16::from_be_bytes(field),
            Self::Little => u16::from_le_bytes(field),
        }
    }

    /// Reads four bytes; the caller has checked that they are there.
    #[inline]
    pub(super) fn u32(self, bytes: &[u8], at: usize) -> u32 {
        let field = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        match self {
            Self::Big => u32::from_be_bytes(field),
            Self::Little => u32::from_le_bytes(field),
        }
    }

    /// Reads eight bytes; the caller has checked that they are there.
    pub(super) fn u64(self, bytes: &[u8], at: usize) -> u64 {
        let (first, second) = (self.u32(bytes, at), self.u32(bytes, at + 4));
        match self {
            Self::Big => u64::from(first) << 32 | u64::from(second),
            Self::Little => u64::from(second) << 32 | u64::from(first),
        }
    }
}
