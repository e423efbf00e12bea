//! The ledger: what is owed to open doors, safe on disk before any door opens.
//!
//! # How it stays safe
//!
//! The file has two halves, and its room is taken when it is made: zeros are written to all of
//! it, so that a disk that is full later keeps no door shut. One half is in use. It begins with a
//! header and a snapshot, a frame for each open door; then come the appends, one frame each,
//! written in place and synced. A frame counts only where its checksum and its generation are
//! right, so that an append that a crash tears is not there at all.
//!
//! When the half is full, the other one is written anew: header, snapshot and the append that
//! found no room, in one go, then synced. Its generation is one higher. Until all of its snapshot
//! is there it does not count as a base, and the half in use is not touched: it is the only good
//! copy. If more is owed than a half has room for, the file grows, and the new half is written
//! where nothing was before.
//!
//! After a write or sync that failed nobody knows what the disk holds there, so the ledger never
//! goes on behind it: the next append writes the other half anew. **Records whose append failed
//! may be found after a crash**, though not after a later append succeeded. That harms nobody: a
//! found intent runs a stop once more than was needed, and every other record was true.
//!
//! Deadlines are stored as nanoseconds since boot, each with the name of its boot, so that a clock
//! that is set changes nothing and a deadline of another boot is known for one.

mod boot;
mod codec;
mod file;
mod name;
mod record;
mod recover;
mod step;
mod storage;

use std::io;

use thiserror::Error;

pub use boot::{Boot, BootId};
pub use file::{LedgerFile, LedgerFileCause, LedgerFileError};
pub use name::file_name;
pub use record::{Entry, HoldId, Record, StartOutcome};
pub use recover::{Damage, DamageCause};
pub use storage::Storage;

use crate::alarm::{self, Bug};
use codec::{FrameKind, HEADER_LEN, Header, frame_len, push_frame};
use recover::{first_header, next_after, recover};
use step::{Change, Owed, Step};

/// The length of a half in bytes where nothing else is said: enough for 4,000 open doors with
/// stop commands of 150 bytes.
pub const HALF_LEN: usize = 1 << 20;

/// What an intent leaves free in a half, in bytes, so that what comes after it always finds room.
const RESERVE: usize = 1024;

/// Why there is no ledger. Clauses that follow the file's name.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// It could not be read.
    #[error("the ledger can't be read")]
    Read(#[source] io::Error),
    /// It is something else.
    #[error("this is no ledger of knockd; move it away, or set StateDir to another folder")]
    NotALedger,
    /// A newer program wrote it.
    #[error(
        "this ledger has format {version}, and this knockd knows formats up to {known}; start the \
         newer knockd once more and stop it with all doors closed, or set StateDir to another \
         folder", known = codec::VERSION
    )]
    Newer {
        /// The version of its format.
        version: u32,
    },
}

/// What a ledger said when it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// What is owed, in the order of the holds' numbers.
    pub entries: Vec<Entry>,
    /// What could not be read.
    pub damage: Vec<Damage>,
}

/// A place for a half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Region {
    offset: usize,
    len: usize,
}

impl Region {
    const fn end(self) -> usize {
        self.offset + self.len
    }

    /// Returns the place of the other half.
    const fn other(self) -> Self {
        Self { offset: if self.offset == 0 { self.len } else { 0 }, len: self.len }
    }

    /// Returns the second half of a file whose halves are so much longer that it lies behind all
    /// that is there.
    fn beyond(self, file_len: usize) -> Self {
        let mut len = self.len;
        while len < file_len {
            len = len.saturating_mul(2);
        }
        Self { offset: len, len }
    }
}

/// An open ledger.
#[derive(Debug)]
pub struct Ledger<S> {
    storage: S,
    boot: Boot,
    owed: Owed,
    next_hold: u64,
    /// The newest generation that was ever tried.
    generation: u64,
    /// How many bytes the storage has, at least.
    storage_len: usize,
    /// Whether all that could be read is known to be on disk.
    durable: bool,
    state: State,
}

/// Where the next append goes.
#[derive(Clone, Copy, Debug)]
enum State {
    /// Nothing is there yet.
    Fresh { half_len: usize },
    /// A new half comes first.
    Rewrite { target: Region },
    /// Into this half, at this offset.
    Ready { half: Region, end: usize },
}

impl<S: Storage> Ledger<S> {
    /// Reads a ledger, or an empty storage that will become one. Nothing is written.
    ///
    /// # Errors
    ///
    /// The storage can't be read, or holds something else.
    pub fn open(storage: S, boot: Boot) -> Result<(Self, Recovered), LedgerError> {
        Self::open_sized(storage, boot, HALF_LEN)
    }

    /// Reads a ledger like [`Ledger::open`]; a new one gets halves of this many bytes.
    ///
    /// # Errors
    ///
    /// The storage can't be read, or holds something else.
    ///
    /// # Panics
    ///
    /// The length is 0, no multiple of 4096, or above 256 MiB.
    pub fn open_sized(
        mut storage: S,
        boot: Boot,
        half_len: usize,
    ) -> Result<(Self, Recovered), LedgerError> {
        assert!(half_len > 0 && half_len.is_multiple_of(4096), "halves are whole pages");
        assert!(half_len <= codec::MAX_HALF_LEN, "halves are bounded");
        let bytes = storage.read_all().map_err(LedgerError::Read)?;
        let found = recover(&bytes, &boot, half_len)?;
        let state = match found.target {
            None => State::Fresh { half_len },
            Some(target) => State::Rewrite { target },
        };
        let entries = found.owed.entries().cloned().collect();
        let ledger = Self {
            storage,
            boot,
            owed: found.owed,
            next_hold: found.next_hold,
            generation: found.generation,
            storage_len: bytes.len(),
            durable: false,
            state,
        };
        Ok((ledger, Recovered { entries, damage: found.damage }))
    }

    /// Returns the first number that no hold ever had. It moves on as intents are appended;
    /// whoever hands out numbers before that counts on from here.
    #[must_use]
    pub const fn next_hold(&self) -> HoldId {
        HoldId(self.next_hold)
    }

    /// Returns what is owed, in the order of the holds' numbers.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.owed.entries()
    }

    /// Closes the ledger and returns what it lay on.
    pub fn into_storage(self) -> S {
        self.storage
    }

    /// Does now what the next append would have to do first: takes the room of a new ledger, or
    /// writes the half anew where a start or a failure before asks for it.
    ///
    /// # Errors
    ///
    /// The storage can't be written. The next append tries again.
    pub fn prepare(&mut self) -> io::Result<()> {
        match self.state {
            State::Fresh { half_len } => self.format(half_len),
            State::Rewrite { target } => self.rewrite(target, &[], 0),
            State::Ready { .. } => Ok(()),
        }
    }

    /// Appends records; they are safe on disk when it returns. All of them are, or none.
    ///
    /// # Errors
    ///
    /// They could not be written, or are too long ([`io::ErrorKind::InvalidInput`]). The ledger
    /// is as good as before and can be appended to again. What became of the records is in the
    /// documentation of this module.
    pub fn append(&mut self, records: &[Record]) -> io::Result<()> {
        let steps: Vec<Step> = records.iter().map(Step::from).collect();
        if steps.is_empty() {
            return Ok(());
        }
        let payload = encode(&steps, &self.boot)?;
        let added = steps.iter().map(added_len).sum();
        self.next_hold = steps.iter().map(next_after).fold(self.next_hold, u64::max);
        self.write(&payload, added)?;
        for step in steps {
            self.owed.apply(step);
        }
        Ok(())
    }

    /// Writes a frame where there is room for it. `added` is by how much the snapshot of what is
    /// owed may become longer.
    fn write(&mut self, payload: &[u8], added: usize) -> io::Result<()> {
        if let State::Fresh { half_len } = self.state {
            self.format(half_len)?;
        }
        match self.state {
            State::Fresh { half_len } => unreachable!("{half_len} bytes were just formatted"),
            State::Rewrite { target } => self.rewrite(target, payload, added),
            State::Ready { half, end } => {
                let behind = end + frame_len(payload.len());
                if behind > half.end() || !self.is_enough(half, payload, added) {
                    return self.rewrite(half.other(), payload, added);
                }
                let mut frame = Vec::with_capacity(frame_len(payload.len()));
                push_frame(&mut frame, self.generation, FrameKind::Log, payload);
                self.state = State::Rewrite { target: half.other() };
                self.storage.write_at(end as u64, &frame)?;
                if !alarm::is_on(Bug::UnsyncedLedger) {
                    self.storage.sync()?;
                }
                self.state = State::Ready { half, end: behind };
                Ok(())
            }
        }
    }

    /// Returns how much a new half needs: the snapshot and the append, and that all of it can be
    /// a snapshot later. What frees room may use the reserve.
    const fn needed(&self, payload: &[u8], added: usize) -> usize {
        let frame = if payload.is_empty() { 0 } else { frame_len(payload.len()) };
        let reserve = if added > 0 { added + RESERVE } else { 0 };
        HEADER_LEN + self.owed.snapshot_len() + frame + reserve
    }

    const fn is_enough(&self, half: Region, payload: &[u8], added: usize) -> bool {
        added == 0 || self.needed(payload, added) <= half.len
    }

    /// Takes the room of a new ledger and makes an empty one of it.
    fn format(&mut self, half_len: usize) -> io::Result<()> {
        let half = Region { offset: 0, len: half_len };
        self.grow(half.other())?;
        self.storage.write_at(0, &first_header(half_len).encode())?;
        self.storage.sync()?;
        self.durable = true;
        self.generation = 1;
        self.state = State::Ready { half, end: HEADER_LEN };
        Ok(())
    }

    /// Writes a half anew: all that is owed, and a frame behind it if its payload is not empty.
    fn rewrite(&mut self, target: Region, payload: &[u8], added: usize) -> io::Result<()> {
        let target = self.room(target, self.needed(payload, added))?;
        self.make_durable()?;
        self.generation += 1;
        let (bytes, entries) = self.half(target, payload);
        debug_assert!(bytes.len() <= target.len, "{entries} entries have room");
        self.state = State::Rewrite { target };
        self.storage.write_at(target.offset as u64, &bytes)?;
        self.storage.sync()?;
        self.state = State::Ready { half: target, end: target.offset + bytes.len() };
        Ok(())
    }

    /// Makes sure that what was read when the ledger was opened is on disk before any of it is
    /// written over. A killed program leaves bytes behind that are still on their way there, or,
    /// after a sync that failed, count as written and are not; so all are written again.
    fn make_durable(&mut self) -> io::Result<()> {
        if !self.durable {
            let bytes = self.storage.read_all()?;
            self.storage.write_at(0, &bytes)?;
            self.storage.sync()?;
            self.durable = true;
        }
        Ok(())
    }

    /// Returns the bytes of a half, and how many entries its snapshot has.
    fn half(&self, target: Region, payload: &[u8]) -> (Vec<u8>, u32) {
        let entries = u32::try_from(self.owed.entries().len()).expect("entries fit into a half");
        let (generation, next_hold) = (self.generation, self.next_hold);
        let header = Header { generation, half_len: target.len, next_hold, entries };
        let mut bytes = header.encode().to_vec();
        let mut snapshot = Vec::new();
        for entry in self.owed.entries() {
            let change = Change::Open(Box::new(entry.clone()));
            snapshot.clear();
            codec::push_step(&mut snapshot, &Step { hold: entry.hold, change }, &self.boot);
            push_frame(&mut bytes, generation, FrameKind::Snapshot, &snapshot);
        }
        if !payload.is_empty() {
            push_frame(&mut bytes, generation, FrameKind::Log, payload);
        }
        (bytes, entries)
    }

    /// Finds room for a new half: in the target or, where that is nearly too small, behind
    /// everything else.
    fn room(&mut self, target: Region, needed: usize) -> io::Result<Region> {
        if needed > target.len / 4 * 3 {
            let mut len = target.len;
            while len < needed.saturating_mul(2) {
                len = len.saturating_mul(2);
            }
            let wider = Region { offset: len, len }.beyond(self.storage_len);
            match self.grow(wider) {
                Ok(()) => return Ok(wider),
                Err(error) if needed > target.len => return Err(error),
                Err(_) => {}
            }
        }
        self.grow(target)?;
        Ok(target)
    }

    /// Makes sure that the storage reaches to the end of a region.
    fn grow(&mut self, region: Region) -> io::Result<()> {
        if region.len > codec::MAX_HALF_LEN {
            let message = format!("a ledger has at most {} bytes", 2 * codec::MAX_HALF_LEN);
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
        }
        if region.end() > self.storage_len {
            self.storage.grow(region.end() as u64)?;
            self.storage.sync()?;
            self.storage_len = region.end();
        }
        Ok(())
    }
}

/// Returns by how much a step can lengthen the snapshot.
fn added_len(step: &Step) -> usize {
    match &step.change {
        Change::Open(entry) => codec::snapshot_len(entry),
        Change::Started(_)
        | Change::Renewed(_)
        | Change::StopBegun
        | Change::Ended
        | Change::GivenUp => 0,
    }
}

/// Returns the payload of an append.
fn encode(steps: &[Step], boot: &Boot) -> io::Result<Vec<u8>> {
    let refuse = |message: String| Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    let mut payload = Vec::new();
    for step in steps {
        if let Change::Open(entry) = &step.change {
            for (what, text) in [("door's name", &entry.door), ("stop command", &entry.stop)] {
                if text.len() > codec::MAX_TEXT {
                    let (long, limit) = (text.len(), codec::MAX_TEXT);
                    return refuse(format!("a {what} of {long} bytes is longer than {limit}"));
                }
            }
        }
        codec::push_step(&mut payload, step, boot);
    }
    if payload.len() > codec::MAX_PAYLOAD {
        return refuse(format!("{} records at once are too many", steps.len()));
    }
    Ok(payload)
}
