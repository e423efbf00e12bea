//! When a process dies: at any boundary between two of its effects.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use crate::marks::sometimes;

/// An effect on the world; the process can die right before any of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is what it is called")]
pub enum Point {
    Begin,
    Read,
    MakeFolder,
    Create,
    Write,
    Sync,
    SyncFolder,
    Rename,
    Remove,
    Send,
    Answer,
    Start,
    Stop,
    Check,
    Kill,
    Reap,
    End,
}

/// What the process is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// It opens its files and takes up what is owed.
    Opening,
    /// It works.
    Working,
    /// It reads its config anew.
    Reloading,
    /// It was asked to stop.
    Closing,
}

/// A boundary at which a process died: what it was about, what it did last, what it did not do.
pub type CrashPoint = (Phase, Point, Point);

/// The life of a process.
#[derive(Debug)]
pub struct Fate {
    /// How many effects there were.
    effects: Cell<u64>,
    /// Before which effect it dies; 0 for never.
    dies_before: Cell<u64>,
    is_dead: Cell<bool>,
    died_just_now: Cell<bool>,
    phase: Cell<Phase>,
    last: Cell<Point>,
    died_at: Cell<Option<CrashPoint>>,
    /// All boundaries that were seen, whether it died there or not.
    seen: RefCell<BTreeSet<CrashPoint>>,
}

impl Fate {
    /// Makes the life of a process that dies before this effect, counted from 1; 0 for never.
    #[must_use]
    pub const fn new(dies_before: u64) -> Self {
        Self {
            effects: Cell::new(0),
            dies_before: Cell::new(dies_before),
            is_dead: Cell::new(false),
            died_just_now: Cell::new(false),
            phase: Cell::new(Phase::Opening),
            last: Cell::new(Point::Begin),
            died_at: Cell::new(None),
            seen: RefCell::new(BTreeSet::new()),
        }
    }

    /// Notes that an effect is about to be; tells whether the process lives to see it.
    pub fn reach(&self, point: Point) -> bool {
        if self.is_dead.get() {
            self.died_just_now.set(false);
            return false;
        }
        self.effects.set(self.effects.get() + 1);
        let boundary = (self.phase.get(), self.last.get(), point);
        self.seen.borrow_mut().insert(boundary);
        if self.effects.get() == self.dies_before.get() {
            self.is_dead.set(true);
            self.died_just_now.set(true);
            self.died_at.set(Some(boundary));
            sometimes!(
                boundary.1 == Point::Answer && point == Point::Start,
                "crash between the sync of an intent and its start"
            );
            sometimes!(point == Point::Write, "crash in a write to the ledger");
            return false;
        }
        self.last.set(point);
        true
    }

    /// Kills the process now.
    pub fn kill(&self) {
        if !self.is_dead.replace(true) {
            self.died_at.set(Some((self.phase.get(), self.last.get(), Point::End)));
        }
    }

    /// Lets it die before the effect that comes so many effects from now; 0 for never.
    pub fn doom(&self, effects: u64) {
        self.dies_before.set(if effects == 0 { 0 } else { self.effects.get() + effects });
    }

    /// Tells whether it is dead.
    #[must_use]
    pub const fn is_dead(&self) -> bool {
        self.is_dead.get()
    }

    /// Tells whether the effect that was asked for last is the one that it died before.
    #[must_use]
    pub const fn died_just_now(&self) -> bool {
        self.died_just_now.get()
    }

    /// Says what the process is about now.
    pub fn enter(&self, phase: Phase) {
        self.phase.set(phase);
    }

    /// Returns what it is about.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Returns where it died.
    #[must_use]
    pub const fn died_at(&self) -> Option<CrashPoint> {
        self.died_at.get()
    }

    /// Returns how many effects it had.
    #[must_use]
    pub const fn effects(&self) -> u64 {
        self.effects.get()
    }

    /// Takes all boundaries between two effects that were seen.
    #[must_use]
    pub fn take_seen(&self) -> BTreeSet<CrashPoint> {
        self.seen.take()
    }
}
