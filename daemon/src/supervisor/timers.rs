//! What the supervisor waits for.

use std::collections::{BTreeMap, BTreeSet};

use knock_engine::time::Timestamp;

use super::effect::ChildId;
use crate::ledger::HoldId;

/// What to do at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The hold's stop is due, or its next try.
    Hold(HoldId),
    /// The child has run for too long.
    Child(ChildId),
    /// Notes that could not be written are to be written again.
    Notes,
}

/// Moments at which something is to be done, each thing at one moment at most.
#[derive(Debug, Default)]
pub(super) struct Timers {
    queue: BTreeSet<(Timestamp, Timer)>,
    set: BTreeMap<Timer, Timestamp>,
}

impl Timers {
    /// Sets a timer, in place of where it was.
    pub(super) fn set(&mut self, timer: Timer, at: Timestamp) {
        self.clear(timer);
        self.set.insert(timer, at);
        self.queue.insert((at, timer));
    }

    /// Forgets a timer.
    pub(super) fn clear(&mut self, timer: Timer) {
        if let Some(at) = self.set.remove(&timer) {
            self.queue.remove(&(at, timer));
        }
    }

    /// Returns the next moment.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Takes a timer whose moment has come, oldest first.
    pub(super) fn pop(&mut self, now: Timestamp) -> Option<(Timestamp, Timer)> {
        let (at, timer) = *self.queue.first().filter(|(at, _)| *at <= now)?;
        self.clear(timer);
        Some((at, timer))
    }
}
