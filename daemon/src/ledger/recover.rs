//! Reading a ledger: what is owed, what is damaged, and where to write next.
//!
//! All right frames are searched for, wherever they are. The base is the half of the newest
//! generation whose header and whole snapshot are there; what is older doesn't count any more.
//! The appends of a newer generation than the base's count, too: such a half was either being
//! written when the program ended, or it was whole once and is damaged now. What is left of its
//! snapshot doesn't count, because it only repeats what the base says.

use std::fmt;

use super::boot::Boot;
use super::codec::{ALIGN, AnyHeader, FrameKind, HEADER_LEN, Header, frame_at};
use super::step::{Owed, Step};
use super::{LedgerError, Region};

/// A stretch of a ledger that could not be read, so that what it said is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where it begins, in bytes.
    pub offset: u64,
    /// How long it is.
    pub bytes: u64,
    /// What is wrong there.
    pub cause: DamageCause,
}

/// What is wrong with a stretch of a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DamageCause {
    /// There are no records, but there are some behind it.
    Records,
    /// The header of a half is unreadable.
    Header,
    /// The file ends before its time.
    CutShort,
    /// Neither half is whole; ended holds may look open.
    NoWholeHalf,
}

impl fmt::Display for Damage {
    /// Writes `192 bytes from byte 4096 on: unreadable records`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = match self.cause {
            DamageCause::Records => "unreadable records",
            DamageCause::Header => "an unreadable header",
            DamageCause::CutShort => "missing at the end of the file",
            DamageCause::NoWholeHalf => {
                "neither half is whole, so doors may look open that are shut"
            }
        };
        write!(f, "{} bytes from byte {} on: {cause}", self.bytes, self.offset)
    }
}

/// What was read.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) owed: Owed,
    pub(super) damage: Vec<Damage>,
    /// A number above that of every hold that was seen.
    pub(super) next_hold: u64,
    /// The newest generation that was seen.
    pub(super) generation: u64,
    /// Where the next half may be written without harm; `None` where nothing is there yet.
    pub(super) target: Option<Region>,
}

/// Reads a ledger.
pub(super) fn recover(bytes: &[u8], boot: &Boot, half_len: usize) -> Result<Found, LedgerError> {
    let scan = Scan::new(bytes, boot)?;
    if scan.headers.is_empty() && scan.spots.is_empty() {
        if !is_unfinished(bytes, half_len) {
            return Err(LedgerError::NotALedger);
        }
        let (owed, damage) = (Owed::default(), Vec::new());
        return Ok(Found { owed, damage, next_hold: 1, generation: 0, target: None });
    }
    let base = scan.base();
    let floor = base.map_or(0, |(_, header)| header.generation);
    let (owed, next_hold) = scan.replay(bytes, boot, floor);
    let mut damage = scan.damage(floor);
    let is_safe = base.is_some() && !scan.generations_behind(floor).any(|it| scan.logs(it) >= 2);
    let mut at = |offset: usize, end: usize, cause| {
        let length = end.saturating_sub(offset);
        damage.push(Damage { offset: offset as u64, bytes: length as u64, cause });
    };
    let target = match base {
        Some((offset, header)) => {
            let half = Region { offset, len: header.half_len };
            if bytes.len() < half.end() {
                at(bytes.len(), half.end(), DamageCause::CutShort);
            }
            half.other()
        }
        None => {
            at(0, bytes.len(), DamageCause::NoWholeHalf);
            Region { offset: 0, len: half_len }
        }
    };
    let target = if is_safe { target } else { target.beyond(bytes.len()) };
    let generation = scan.newest_generation();
    Ok(Found { owed, damage, next_hold, generation, target: Some(target) })
}

/// Returns the header that a new ledger begins with.
pub(super) const fn first_header(half_len: usize) -> Header {
    Header { generation: 1, half_len, next_hold: 1, entries: 0 }
}

/// Tells whether these bytes are what a crash leaves of a ledger that is being made: zeros, and of
/// the header some bytes or none.
fn is_unfinished(bytes: &[u8], half_len: usize) -> bool {
    let header = first_header(half_len).encode();
    let (head, rest) = bytes.split_at(bytes.len().min(HEADER_LEN));
    head.iter().zip(&header).all(|(&byte, &made)| byte == 0 || byte == made)
        && rest.iter().all(|&byte| byte == 0)
}

/// Where a right frame is.
#[derive(Clone, Copy, Debug)]
struct Spot {
    offset: usize,
    end: usize,
    generation: u64,
    kind: FrameKind,
}

/// All that is right in a ledger, by generation and place.
#[derive(Debug)]
struct Scan {
    headers: Vec<(usize, Header)>,
    spots: Vec<Spot>,
}

impl Scan {
    fn new(bytes: &[u8], boot: &Boot) -> Result<Self, LedgerError> {
        let mut scan = Self { headers: Vec::new(), spots: Vec::new() };
        let mut offset = 0;
        while offset < bytes.len() {
            if bytes[offset] == 0 {
                offset += ALIGN;
            } else if let Some(header) = Header::decode(bytes, offset) {
                match header {
                    AnyHeader::Known(header) => scan.headers.push((offset, header)),
                    AnyHeader::Newer(version) => return Err(LedgerError::Newer { version }),
                }
                offset += HEADER_LEN;
            } else if let Some(frame) = frame_at(bytes, offset, boot) {
                let (generation, kind) = (frame.generation, frame.kind);
                scan.spots.push(Spot { offset, end: frame.end, generation, kind });
                offset = frame.end;
            } else {
                offset += ALIGN;
            }
        }
        scan.spots.sort_by_key(|spot| (spot.generation, spot.offset));
        Ok(scan)
    }

    fn newest_generation(&self) -> u64 {
        let headers = self.headers.iter().map(|(_, header)| header.generation);
        headers.chain(self.spots.iter().map(|spot| spot.generation)).max().unwrap_or(0)
    }

    fn of_generation(&self, generation: u64) -> &[Spot] {
        let from = self.spots.partition_point(|spot| spot.generation < generation);
        let behind = self.spots.partition_point(|spot| spot.generation <= generation);
        &self.spots[from..behind]
    }

    /// Returns the generations of frames that are newer than this one, each once.
    fn generations_behind(&self, floor: u64) -> impl Iterator<Item = u64> {
        let from = self.spots.partition_point(|spot| spot.generation <= floor);
        let groups = self.spots[from..].chunk_by(|one, next| one.generation == next.generation);
        groups.map(|group| group[0].generation)
    }

    /// Returns how many appends to this generation are there. From two on the first was synced.
    fn logs(&self, generation: u64) -> usize {
        let spots = self.of_generation(generation).iter();
        spots.filter(|spot| spot.kind == FrameKind::Log).count()
    }

    /// Returns the newest header whose snapshot is whole, and where it is.
    fn base(&self) -> Option<(usize, Header)> {
        let whole = self.headers.iter().filter(|(offset, header)| self.is_whole(*offset, header));
        whole.max_by_key(|(_, header)| header.generation).copied()
    }

    fn is_whole(&self, offset: usize, header: &Header) -> bool {
        let mut end = offset + HEADER_LEN;
        let mut entries = 0;
        for spot in self.of_generation(header.generation) {
            if spot.offset != end || spot.kind != FrameKind::Snapshot {
                break;
            }
            end = spot.end;
            entries += 1;
        }
        entries >= header.entries
    }

    /// Applies what counts, and returns what is owed and the next number for a hold.
    fn replay(&self, bytes: &[u8], boot: &Boot, floor: u64) -> (Owed, u64) {
        let mut owed = Owed::default();
        let mut next_hold = self.headers.iter().map(|(_, it)| it.next_hold).max().unwrap_or(1);
        let from = self.spots.partition_point(|spot| spot.generation < floor);
        let repeats =
            |spot: &Spot| floor > 0 && spot.generation > floor && spot.kind == FrameKind::Snapshot;
        for spot in self.spots[from..].iter().filter(|spot| !repeats(spot)) {
            let steps = frame_at(bytes, spot.offset, boot).map_or_else(Vec::new, |it| it.steps);
            for step in steps {
                next_hold = next_hold.max(next_after(&step));
                owed.apply(step);
            }
        }
        (owed, next_hold)
    }

    /// Finds the gaps between frames that count. A half that was being written when the program
    /// ended has gaps that lose nothing; one with two appends was whole before the second.
    fn damage(&self, floor: u64) -> Vec<Damage> {
        let newer = self.generations_behind(floor).filter(|it| floor == 0 || self.logs(*it) >= 2);
        let mut damage = Vec::new();
        for generation in std::iter::once(floor).chain(newer) {
            let spots = self.of_generation(generation);
            let Some(first) = spots.first() else { continue };
            let header = self.headers.iter().find(|(_, it)| it.generation == generation);
            let mut expected = match header {
                Some((offset, _)) => offset + HEADER_LEN,
                None => {
                    let offset = first.offset.saturating_sub(HEADER_LEN) as u64;
                    let (bytes, cause) = (HEADER_LEN as u64, DamageCause::Header);
                    damage.push(Damage { offset, bytes, cause });
                    first.offset
                }
            };
            for spot in spots {
                let (offset, cause) = (expected as u64, DamageCause::Records);
                match spot.offset.saturating_sub(expected) as u64 {
                    0 => {}
                    bytes => damage.push(Damage { offset, bytes, cause }),
                }
                expected = spot.end;
            }
        }
        damage
    }
}

/// Returns the least number that is above a step's hold.
pub(super) const fn next_after(step: &Step) -> u64 {
    step.hold.0.saturating_add(1)
}
