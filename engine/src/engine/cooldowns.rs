//! Doors without a stop command do not start again at once for the same source (S11).

use std::time::Duration;

use super::DoorIndex;
use super::recency::{Key, RecencyTable};
use super::source::{KeyedHasher, SourceKey};
use crate::snapshot::Cooldown;
use crate::time::Timestamp;

/// When each source may start each door again.
#[derive(Debug)]
pub(super) struct Cooldowns {
    ends: RecencyTable<Timestamp>,
}

impl Cooldowns {
    pub(super) fn new(hasher: KeyedHasher, capacity: usize) -> Self {
        Self { ends: RecencyTable::new(hasher, capacity) }
    }

    pub(super) fn set_capacity(&mut self, capacity: usize) {
        self.ends.set_capacity(capacity);
    }

    /// Tells whether the door may start for the source, and if so counts that as done.
    pub(super) fn admit(
        &mut self,
        door: DoorIndex,
        source: SourceKey,
        cooldown: Duration,
        now: Timestamp,
    ) -> bool {
        if cooldown.is_zero() {
            return true;
        }
        if self.ends.get(&(door, source)).is_some_and(|end| now < *end) {
            return false;
        }
        self.ends.forget_oldest_while(|end| *end <= now);
        let end = now.saturating_add(cooldown);
        *self.ends.touch((door, source), || end) = end;
        true
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Copies the newest ends, the oldest of them first.
    pub(super) fn export(&self, most: usize) -> Vec<Cooldown> {
        let export = |((door, source), until): (Key, &Timestamp)| Cooldown {
            source: source.address(),
            door,
            until: *until,
        };
        self.ends.newest(most).into_iter().map(export).collect()
    }

    /// Adds an end of a snapshot, as the newest.
    pub(super) fn import(&mut self, key: Key, until: Timestamp) {
        self.ends.touch(key, || until);
    }

    /// Moves all ends with the clock, so that what remains of them remains (S1).
    pub(super) fn step_clock(&mut self, from: Timestamp, to: Timestamp) {
        // What is over stays over: its end becomes the new time itself.
        self.ends.for_each(|end| *end = end.moved(from, to));
    }

    /// Replaces the doors (S16).
    pub(super) fn replace_doors(&mut self, successor: impl Fn(DoorIndex) -> Option<DoorIndex>) {
        self.ends.replace_doors(successor);
    }
}
