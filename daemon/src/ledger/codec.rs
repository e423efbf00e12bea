//! The bytes of a ledger: headers of halves, and frames of steps. Every decoder here is total.
//!
//! All numbers are little-endian. A half begins with a header of 64 bytes:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `knockdLG` |
//! | 4 | version of the format, 1 |
//! | 4 | CRC-32 of the header with zeros here |
//! | 8 | generation of the half |
//! | 8 | length of a half |
//! | 8 | a number above that of every hold so far |
//! | 4 | how many snapshot frames follow |
//! | 20 | zeros |
//!
//! Later versions keep the first sixteen bytes as they are, so that an old program knows a newer
//! ledger. A frame begins at a multiple of 8 bytes: magic, length of the payload, generation
//! (8 bytes), CRC-32 of all of it but magic and CRC, kind, payload. Its generation tells it from
//! what an older use of the half has left behind.

use std::net::IpAddr;

use ipnet::IpNet;

use super::boot::{Boot, BootId};
use super::record::{Entry, HoldId, StartOutcome};
use super::step::{Change, Step};

/// The version of the format that this program writes, and the newest that it reads.
pub(super) const VERSION: u32 = 1;
/// The length of a half's header in bytes.
pub(super) const HEADER_LEN: usize = 64;
/// What frames and halves begin at a multiple of, in bytes.
pub(super) const ALIGN: usize = 8;
/// The longest half that is written or believed, in bytes.
pub(super) const MAX_HALF_LEN: usize = 1 << 28;
/// The longest payload of a frame in bytes.
pub(super) const MAX_PAYLOAD: usize = 1 << 20;
/// The longest name of a door, and the longest stop command, in bytes. Linux runs no command
/// whose text is longer than this.
pub(super) const MAX_TEXT: usize = 128 << 10;

const HEADER_MAGIC: [u8; 8] = *b"knockdLG";
const FRAME_MAGIC: [u8; 4] = [0xa9, b'k', b'L', 0x1d];
const FRAME_HEAD: usize = 24;

/// What a half says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) generation: u64,
    /// The length of a half in bytes.
    pub(super) half_len: usize,
    /// A number above that of every hold so far.
    pub(super) next_hold: u64,
    /// How many snapshot frames follow, at least.
    pub(super) entries: u32,
}

/// A header that can be told from chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnyHeader {
    /// One of ours.
    Known(Header),
    /// One of a version that is not known here.
    Newer(u32),
}

impl Header {
    /// Returns the header's bytes.
    pub(super) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..8].copy_from_slice(&HEADER_MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.generation.to_le_bytes());
        bytes[24..32].copy_from_slice(&(self.half_len as u64).to_le_bytes());
        bytes[32..40].copy_from_slice(&self.next_hold.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.entries.to_le_bytes());
        let sum = crc32fast::hash(&bytes);
        bytes[12..16].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads the header at this offset, if there is one.
    pub(super) fn decode(bytes: &[u8], offset: usize) -> Option<AnyHeader> {
        let mut header = *bytes.get(offset..)?.first_chunk::<HEADER_LEN>()?;
        if header[..8] != HEADER_MAGIC {
            return None;
        }
        let mut reader = Reader(&header[8..]);
        let (version, sum) = (reader.u32()?, reader.u32()?);
        let generation = reader.u64()?;
        let half_len = usize::try_from(reader.u64()?).ok();
        let (next_hold, entries) = (reader.u64()?, reader.u32()?);
        header[12..16].fill(0);
        if crc32fast::hash(&header) != sum {
            return None;
        }
        if version > VERSION {
            return Some(AnyHeader::Newer(version));
        }
        let half_len = half_len.filter(|len| (HEADER_LEN..=MAX_HALF_LEN).contains(len))?;
        if offset != 0 && offset != half_len {
            return None;
        }
        let known = Self { generation, half_len, next_hold, entries };
        Some(AnyHeader::Known(known))
    }
}

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameKind {
    /// One entry of the state in which the half began.
    Snapshot,
    /// The steps of one append: all of them happened, or none.
    Log,
}

/// A frame whose checksum is right and whose steps are all known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Where it begins.
    pub(super) offset: usize,
    /// Where the next one begins.
    pub(super) end: usize,
    pub(super) generation: u64,
    pub(super) kind: FrameKind,
    pub(super) steps: Vec<Step>,
}

/// Returns the length of a frame with a payload this long, filler included.
pub(super) const fn frame_len(payload: usize) -> usize {
    (FRAME_HEAD + payload).next_multiple_of(ALIGN)
}

/// Appends a frame and its filler.
pub(super) fn push_frame(out: &mut Vec<u8>, generation: u64, kind: FrameKind, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("payloads are bounded");
    let kind: u32 = match kind {
        FrameKind::Snapshot => 1,
        FrameKind::Log => 2,
    };
    let end = out.len() + frame_len(payload.len());
    out.extend(FRAME_MAGIC);
    out.extend(length.to_le_bytes());
    out.extend(generation.to_le_bytes());
    out.extend(frame_sum(length, generation, kind, payload).to_le_bytes());
    out.extend(kind.to_le_bytes());
    out.extend(payload);
    out.resize(end, 0);
}

fn frame_sum(length: u32, generation: u64, kind: u32, payload: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&length.to_le_bytes());
    sum.update(&generation.to_le_bytes());
    sum.update(&kind.to_le_bytes());
    sum.update(payload);
    sum.finalize()
}

/// Reads the frame at this offset, if a whole and right one is there.
pub(super) fn frame_at(bytes: &[u8], offset: usize, boot: &Boot) -> Option<Frame> {
    let mut reader = Reader(bytes.get(offset..)?);
    if reader.take(4)? != FRAME_MAGIC {
        return None;
    }
    let (length, generation) = (reader.u32()?, reader.u64()?);
    let (sum, kind) = (reader.u32()?, reader.u32()?);
    let payload = reader.take(usize::try_from(length).ok().filter(|&it| it <= MAX_PAYLOAD)?)?;
    if frame_sum(length, generation, kind, payload) != sum {
        return None;
    }
    let kind = match kind {
        1 => FrameKind::Snapshot,
        2 => FrameKind::Log,
        _ => return None,
    };
    let end = offset + frame_len(payload.len());
    let mut reader = Reader(payload);
    let mut steps = Vec::new();
    while !reader.0.is_empty() {
        steps.push(reader.step(boot)?);
    }
    Some(Frame { offset, end, generation, kind, steps })
}

const OPEN: u8 = 1;
const STARTED: u8 = 2;
const RENEWED: u8 = 3;
const STOP_BEGUN: u8 = 4;
const ENDED: u8 = 5;
const GIVEN_UP: u8 = 6;

/// Returns the length of an entry's snapshot frame.
pub(super) fn snapshot_len(entry: &Entry) -> usize {
    let address = |address: IpAddr| if address.is_ipv4() { 5 } else { 17 };
    let fixed = 1 + 8 + 24 + 1 + 1 + 4 + 4;
    let addresses = address(entry.source) + address(entry.network.addr());
    frame_len(fixed + addresses + entry.door.len() + entry.stop.len())
}

/// Appends a step's bytes.
pub(super) fn push_step(out: &mut Vec<u8>, step: &Step, boot: &Boot) {
    let mut begin = |tag: u8| {
        out.push(tag);
        out.extend(step.hold.0.to_le_bytes());
    };
    match &step.change {
        Change::Open(entry) => {
            begin(OPEN);
            push_entry(out, entry, boot);
        }
        Change::Started(outcome) => {
            begin(STARTED);
            out.push(started_bits(Some(*outcome)));
        }
        Change::Renewed(deadline) => {
            begin(RENEWED);
            out.extend(boot.encode(*deadline));
        }
        Change::StopBegun => begin(STOP_BEGUN),
        Change::Ended => begin(ENDED),
        Change::GivenUp => begin(GIVEN_UP),
    }
}

fn push_entry(out: &mut Vec<u8>, entry: &Entry, boot: &Boot) {
    out.extend(boot.encode(entry.deadline));
    let flags = u8::from(entry.stop_begun) << 2 | u8::from(entry.given_up) << 3;
    out.push(started_bits(entry.started) | flags);
    push_address(out, entry.source);
    push_address(out, entry.network.addr());
    out.push(entry.network.prefix_len());
    for text in [&entry.door, &entry.stop] {
        let length = u32::try_from(text.len()).expect("texts are bounded");
        out.extend(length.to_le_bytes());
        out.extend(text.as_bytes());
    }
}

const fn started_bits(started: Option<StartOutcome>) -> u8 {
    match started {
        None => 0,
        Some(StartOutcome::Done) => 1,
        Some(StartOutcome::Failed) => 2,
    }
}

fn push_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            out.push(4);
            out.extend(address.octets());
        }
        IpAddr::V6(address) => {
            out.push(6);
            out.extend(address.octets());
        }
    }
}

/// What is left to read. Every reader gives `None` where the bytes are too few or senseless.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.first_chunk().copied()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn step(&mut self, boot: &Boot) -> Option<Step> {
        let tag = self.u8()?;
        let hold = HoldId(self.u64()?);
        let change = match tag {
            OPEN => Change::Open(Box::new(self.entry(hold, boot)?)),
            STARTED => Change::Started(self.started()??),
            RENEWED => Change::Renewed(self.deadline(boot)?),
            STOP_BEGUN => Change::StopBegun,
            ENDED => Change::Ended,
            GIVEN_UP => Change::GivenUp,
            _ => return None,
        };
        Some(Step { hold, change })
    }

    fn entry(&mut self, hold: HoldId, boot: &Boot) -> Option<Entry> {
        let deadline = self.deadline(boot)?;
        let flags = self.u8()?;
        let started = started_from_bits(flags & 3)?;
        let (stop_begun, given_up) = (flags & 4 != 0, flags & 8 != 0);
        if flags & !15 != 0 {
            return None;
        }
        let source = self.address()?;
        let network = self.address()?;
        let network = IpNet::new(network, self.u8()?).ok()?;
        let (door, stop) = (self.text()?, self.text()?);
        Some(Entry { hold, door, source, network, stop, deadline, started, stop_begun, given_up })
    }

    fn started(&mut self) -> Option<Option<StartOutcome>> {
        started_from_bits(self.u8()?)
    }

    fn deadline(&mut self, boot: &Boot) -> Option<Option<knock_engine::time::Timestamp>> {
        let id = BootId(self.array()?);
        Some(boot.decode(id, self.u64()?))
    }

    fn address(&mut self) -> Option<IpAddr> {
        match self.u8()? {
            4 => self.array::<4>().map(IpAddr::from),
            6 => self.array::<16>().map(IpAddr::from),
            _ => None,
        }
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.u32()?).ok().filter(|&length| length <= MAX_TEXT)?;
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }
}

const fn started_from_bits(bits: u8) -> Option<Option<StartOutcome>> {
    match bits {
        0 => Some(None),
        1 => Some(Some(StartOutcome::Done)),
        2 => Some(Some(StartOutcome::Failed)),
        _ => None,
    }
}
