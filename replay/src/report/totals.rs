//! The counters of a run, whatever its format.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use foldhash::fast::FixedState;
use knock_engine::config::Door;
use knock_engine::output::{Event, EventKind, Output, ResetReason};
use knock_engine::time::Timestamp;
use serde::Serialize;

use crate::knockd08::Decision;

/// Everything that a run counted.
#[derive(Clone, Debug)]
pub struct Totals {
    /// Whose decisions they are: `sesame` or `knockd-0.8`.
    pub decided_as: &'static str,
    /// Where the local addresses came from.
    pub local: LocalOrigin,
    /// Packets read.
    pub packets: u64,
    /// Captured bytes of these packets.
    pub bytes: u64,
    /// The earliest stamp; `None` where there was no packet.
    pub first: Option<Timestamp>,
    /// The latest stamp; `None` where there was no packet.
    pub last: Option<Timestamp>,
    /// Packets that were handed to the engine.
    pub judged: u64,
    /// Packets that no door listens to, by their port and flags alone.
    pub irrelevant: u64,
    /// Packets that could not be decoded (S3), by cause.
    pub skipped: BTreeMap<&'static str, u64>,
    /// How often the clock stepped back (S1).
    pub clock_steps: u64,
    /// Whether a trace ended in the middle of a record.
    pub truncated: bool,
    /// The damaged stretches, in the order in which they were met.
    pub damage: Vec<Damage>,
    /// The doors' own totals, in the order of the config.
    pub doors: Vec<DoorTotals>,
    /// The door of the output before, which often is that of the next.
    latest: usize,
}

impl Totals {
    /// Makes totals in which nothing has happened yet.
    #[must_use]
    pub fn new<'a>(
        decided_as: &'static str,
        local: LocalOrigin,
        doors: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        Self {
            decided_as,
            local,
            packets: 0,
            bytes: 0,
            first: None,
            last: None,
            judged: 0,
            irrelevant: 0,
            skipped: BTreeMap::new(),
            clock_steps: 0,
            truncated: false,
            damage: Vec::new(),
            doors: doors.into_iter().map(DoorTotals::new).collect(),
            latest: 0,
        }
    }

    /// Counts a packet of this stamp and captured length.
    pub fn count_packet(&mut self, at: Timestamp, captured: usize) {
        let mut tally = Tally::default();
        tally.count(at, captured);
        self.add(&tally);
    }

    /// Adds what a stretch of frames came to.
    pub fn add(&mut self, tally: &Tally) {
        if tally.packets == 0 {
            return;
        }
        self.packets += tally.packets;
        self.bytes += tally.bytes;
        self.irrelevant += tally.irrelevant;
        self.first = Some(self.first.map_or(tally.first, |first| first.min(tally.first)));
        self.last = self.last.max(Some(tally.last));
    }

    /// Counts packets that could not be decoded.
    pub fn count_skipped(&mut self, cause: &'static str, packets: u64) {
        if packets > 0 {
            *self.skipped.entry(cause).or_default() += packets;
        }
    }

    /// Counts a decision of the original.
    pub fn count_decision(&mut self, decision: &Decision) {
        let door = match decision {
            Decision::Stage(step) | Decision::Timeout(step) => &step.door,
            Decision::Open { step, .. } | Decision::Lost { step, .. } => &step.door,
            Decision::Disabled { door, .. } | Decision::Crash { door, .. } => door,
        };
        let Some(totals) = self.doors.get_mut(door.index) else { return };
        match decision {
            Decision::Stage(step) => totals.attempts += u64::from(step.stage == 1),
            Decision::Open { .. } => totals.opens += 1,
            Decision::Timeout(_) => totals.timeouts += 1,
            Decision::Lost { reason, .. } => *totals.lost.entry(reason.name()).or_default() += 1,
            Decision::Disabled { .. } => totals.disabled = true,
            Decision::Crash { .. } => {}
        }
    }

    /// Counts what an output says. Actions follow from events and are not counted.
    pub fn count_output(&mut self, output: &Output, doors: &Doors) {
        let Output::Event(event) = output else { return };
        let index = event.door().and_then(|door| {
            if doors.is(self.latest, door) { Some(self.latest) } else { doors.index(door) }
        });
        self.latest = index.unwrap_or(self.latest);
        let totals = index.and_then(|index| self.doors.get_mut(index));
        match (event, totals) {
            (Event::ClockStep { .. }, _) => self.clock_steps += 1,
            (Event::Disabled { .. }, Some(totals)) => totals.disabled = true,
            (Event::Door(event), Some(totals)) => {
                let stage = event.progress.as_ref().map_or(0, |progress| progress.stage);
                totals.count(event.kind, stage);
            }
            (Event::Disabled { .. } | Event::Door(_), None) => {}
        }
    }

    /// Tells whether any door opened.
    #[must_use]
    pub fn any_opened(&self) -> bool {
        self.doors.iter().any(|door| door.opens > 0)
    }

    /// Returns how many packets could not be decoded.
    #[must_use]
    pub fn all_skipped(&self) -> u64 {
        self.skipped.values().sum()
    }
}

/// Counts a stretch of frames: what can be counted without a look at the doors.
#[derive(Clone, Copy, Debug)]
pub struct Tally {
    packets: u64,
    bytes: u64,
    first: Timestamp,
    last: Timestamp,
    /// Packets that no door listens to.
    pub irrelevant: u64,
}

impl Default for Tally {
    fn default() -> Self {
        let (first, last) = (Timestamp::MAX, Timestamp::ZERO);
        Self { packets: 0, bytes: 0, first, last, irrelevant: 0 }
    }
}

impl Tally {
    /// How many frames one stretch has at most, so that others get a word in between.
    const LONGEST: u64 = 65_536;

    /// Counts a frame of this stamp and captured length.
    #[inline]
    pub fn count(&mut self, at: Timestamp, captured: usize) {
        self.packets += 1;
        self.bytes += captured as u64;
        self.first = self.first.min(at);
        self.last = self.last.max(at);
    }

    /// Tells whether the stretch is long enough.
    #[inline]
    #[must_use]
    pub fn is_time_to_look_up(&self) -> bool {
        self.packets >= Self::LONGEST
    }
}

/// Where the local addresses of a run came from (S4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LocalOrigin {
    /// From `--local`.
    Given,
    /// From the interfaces that the traces describe.
    Recorded,
    /// They aren't known: every unicast destination counts as local.
    Assumed,
}

/// A stretch of a trace that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The trace, as the command line names it.
    pub trace: String,
    /// Where it begins, in bytes from the start of the trace after decompression.
    pub offset: u64,
    /// How many bytes were skipped; `None` where reading ended there.
    pub bytes: Option<u64>,
    /// What is wrong.
    pub cause: String,
}

/// What one door's events came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DoorTotals {
    /// The door's name.
    pub door: String,
    /// Attempts that began.
    pub attempts: u64,
    /// Sequences completed.
    pub opens: u64,
    /// Completions that renewed a lease.
    pub renewals: u64,
    /// Attempts that ran out of time.
    pub timeouts: u64,
    /// Attempts that were broken, by reason.
    pub resets: Resets,
    /// Leases that ended.
    pub closes: u64,
    /// Sources locked out.
    pub lockouts: u64,
    /// TCP retransmissions of knocks.
    pub duplicates: u64,
    /// Repeats of the last knock.
    pub repeats: u64,
    /// Attempts begun anew at stage 1.
    pub restarts: u64,
    /// Packets to ports outside the sequence, during an attempt.
    pub strays: u64,
    /// Attempts and remembered sources that made room.
    pub evicted: u64,
    /// Completions within the cooldown.
    pub suppressed: u64,
    /// Completions for which there was no lease left.
    pub refused: u64,
    /// Whether the last one-time sequence was used up.
    pub disabled: bool,
    /// With `--as knockd-0.8`: knocks and attempts that were lost, by reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub lost: BTreeMap<&'static str, u64>,
}

/// Attempts that were broken, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Resets {
    /// Another knock of the door came than the next one.
    pub out_of_order: u64,
    /// More other ports were hit than `max_strays`.
    pub strays: u64,
    /// Another source used up the one-time sequence.
    pub sequence_used: u64,
}

impl Resets {
    /// Returns all of them.
    #[must_use]
    pub const fn sum(self) -> u64 {
        self.out_of_order + self.strays + self.sequence_used
    }
}

impl DoorTotals {
    fn new(door: &str) -> Self {
        Self { door: door.to_owned(), ..Self::default() }
    }

    /// Returns how many attempts were broken, or, of the original, how much was lost.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.resets.sum() + self.lost.values().sum::<u64>()
    }

    fn count(&mut self, kind: EventKind, stage: u8) {
        let counter = match kind {
            EventKind::Stage if stage == 1 => &mut self.attempts,
            EventKind::Stage => return,
            EventKind::Duplicate => &mut self.duplicates,
            EventKind::Repeat => &mut self.repeats,
            EventKind::Restart => &mut self.restarts,
            EventKind::Stray => &mut self.strays,
            EventKind::Reset(ResetReason::OutOfOrder) => &mut self.resets.out_of_order,
            EventKind::Reset(ResetReason::Strays) => &mut self.resets.strays,
            EventKind::Reset(ResetReason::SequenceUsed) => &mut self.resets.sequence_used,
            EventKind::Timeout => &mut self.timeouts,
            EventKind::Open => &mut self.opens,
            EventKind::Renew => &mut self.renewals,
            EventKind::Close => &mut self.closes,
            EventKind::Suppressed => &mut self.suppressed,
            EventKind::Refused => &mut self.refused,
            EventKind::Lockout => &mut self.lockouts,
            EventKind::Evicted => &mut self.evicted,
        };
        *counter += 1;
    }
}

/// The doors of a config, and which of them an event speaks of.
///
/// Names don't tell: two doors may bear the same one. Events carry the config's own doors, so
/// their address does.
#[derive(Clone, Debug)]
pub struct Doors {
    all: Vec<Arc<Door>>,
    by_address: HashMap<usize, usize, FixedState>,
}

impl Doors {
    /// Takes the doors of a config, in its order.
    #[must_use]
    pub fn new(doors: &[Arc<Door>]) -> Self {
        let address = |door: &Arc<Door>| Arc::as_ptr(door).addr();
        let by_address = doors.iter().enumerate().map(|(i, door)| (address(door), i)).collect();
        Self { all: doors.to_vec(), by_address }
    }

    /// Returns the doors, in the order of the config.
    #[must_use]
    pub fn all(&self) -> &[Arc<Door>] {
        &self.all
    }

    /// Returns the doors' names, in the order of the config.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|door| door.name.as_str())
    }

    /// Tells whether this very door is the one at a place of the config.
    fn is(&self, index: usize, door: &Arc<Door>) -> bool {
        self.all.get(index).is_some_and(|known| Arc::ptr_eq(known, door))
    }

    /// Returns which of the doors this is; `None` for a door of another config.
    #[must_use]
    pub fn index(&self, door: &Arc<Door>) -> Option<usize> {
        let known = self.by_address.get(&Arc::as_ptr(door).addr()).copied();
        let is_same = |other: &Arc<Door>| other == door;
        // In a recording, a door of a later config is the one of its name.
        let bears_its_name = |other: &Arc<Door>| other.name == door.name;
        known
            .or_else(|| self.all.iter().position(is_same))
            .or_else(|| self.all.iter().position(bears_its_name))
    }
}
