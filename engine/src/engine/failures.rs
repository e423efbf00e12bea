//! Sources that keep failing are ignored for a while (S13).

use std::collections::VecDeque;

use super::DoorIndex;
use super::recency::{Key, RecencyTable};
use super::source::{KeyedHasher, SourceKey};
use crate::config::FailureLimit;
use crate::snapshot;
use crate::time::Timestamp;

/// The failures of one source at one door.
#[derive(Debug, Default)]
struct Record {
    /// When each failure stops counting, oldest first.
    expiries: VecDeque<Timestamp>,
    /// When the source is listened to again.
    locked_until: Option<Timestamp>,
}

impl Record {
    fn means_nothing(&self, now: Timestamp) -> bool {
        self.locked_until.is_none_or(|until| until <= now)
            && self.expiries.back().is_none_or(|expiry| *expiry <= now)
    }
}

/// The failure counts and lockouts of all sources and doors.
#[derive(Debug)]
pub(super) struct Failures {
    records: RecencyTable<Record>,
}

impl Failures {
    pub(super) fn new(hasher: KeyedHasher, capacity: usize) -> Self {
        Self { records: RecencyTable::new(hasher, capacity) }
    }

    pub(super) fn set_capacity(&mut self, capacity: usize) {
        self.records.set_capacity(capacity);
    }

    /// Tells whether the door ignores the source.
    pub(super) fn is_locked_out(&self, door: DoorIndex, source: SourceKey, now: Timestamp) -> bool {
        let record = self.records.get(&(door, source.failure_prefix()));
        record.and_then(|record| record.locked_until).is_some_and(|until| now < until)
    }

    /// Counts a failure and tells whether it is the one that locks the source out.
    pub(super) fn count(
        &mut self,
        door: DoorIndex,
        source: SourceKey,
        limit: FailureLimit,
        at: Timestamp,
    ) -> bool {
        self.records.forget_oldest_while(|record| record.means_nothing(at));
        let record = self.records.touch((door, source.failure_prefix()), Record::default);
        while record.expiries.front().is_some_and(|expiry| *expiry <= at) {
            record.expiries.pop_front();
        }
        record.expiries.push_back(at.saturating_add(limit.window));
        if record.expiries.len() < usize::from(limit.max_failures) {
            return false;
        }
        record.expiries.clear();
        let until = at.saturating_add(limit.lockout);
        record.locked_until = record.locked_until.max(Some(until));
        true
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Copies the newest records, the oldest of them first.
    pub(super) fn export(&self, most: usize) -> Vec<snapshot::Failures> {
        let export = |((door, source), record): (Key, &Record)| snapshot::Failures {
            source: source.address(),
            door,
            expiries: record.expiries.iter().copied().collect(),
            locked_until: record.locked_until,
        };
        self.records.newest(most).into_iter().map(export).collect()
    }

    /// Adds a record of a snapshot, as the newest.
    pub(super) fn import(&mut self, its: &snapshot::Failures) {
        let key = (its.door, SourceKey::new(its.source).failure_prefix());
        let expiries = its.expiries.iter().copied().collect();
        self.records.touch(key, || Record { expiries, locked_until: its.locked_until });
    }

    /// Moves all ends with the clock, so that what remains of them remains (S1).
    pub(super) fn step_clock(&mut self, from: Timestamp, to: Timestamp) {
        self.records.for_each(|record| {
            record.expiries.retain(|expiry| *expiry > from);
            for expiry in &mut record.expiries {
                *expiry = expiry.moved(from, to);
            }
            record.locked_until = record
                .locked_until
                .filter(|until| *until > from)
                .map(|until| until.moved(from, to));
        });
    }

    /// Replaces the doors (S16).
    pub(super) fn replace_doors(&mut self, successor: impl Fn(DoorIndex) -> Option<DoorIndex>) {
        self.records.replace_doors(successor);
    }
}
