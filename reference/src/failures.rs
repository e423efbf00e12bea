//! Failures and lockouts (S13).

use std::net::{IpAddr, Ipv6Addr};

use knock_engine::output::{DoorEvent, EventKind, Trigger};
use knock_engine::time::Timestamp;

use crate::Reference;

/// The failures of a source's prefix at one door, and its lockout there.
#[derive(Clone, Debug)]
pub(crate) struct FailureRecord {
    pub(crate) door: usize,
    prefix: IpAddr,
    /// Until when each failure counts, the oldest first.
    pub(crate) count_until: Vec<Timestamp>,
    /// Until when the door ignores the prefix.
    pub(crate) locked_until: Option<Timestamp>,
}

/// What came of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nothing more.
    Tolerated,
    /// The door ignores the source from now on.
    LockedOut,
}

impl Reference {
    /// S13: whether the door ignores the source.
    pub(crate) fn is_locked_out(&self, door: usize, source: IpAddr) -> bool {
        let record = self.failures.iter().find(|record| record.is_of(door, source));
        record.and_then(|record| record.locked_until).is_some_and(|until| self.now < until)
    }

    /// S13: counts a failed attempt; the one that reaches `max_failures` brings a lockout.
    pub(crate) fn fail(
        &mut self,
        door: usize,
        source: IpAddr,
        at: Timestamp,
        trigger: Trigger,
    ) -> Failure {
        let Some(limit) = self.doors[door].door.failure_limit else { return Failure::Tolerated };
        let mut record = self.take_record(door, source);
        record.count_until.retain(|until| *until > at);
        record.count_until.push(at.saturating_add(limit.window));
        let is_locked_out = record.count_until.len() >= usize::from(limit.max_failures);
        if is_locked_out {
            record.count_until.clear();
            record.locked_until = record.locked_until.max(Some(at.saturating_add(limit.lockout)));
        }
        self.failures.push(record);
        self.keep_newest_failures();
        if !is_locked_out {
            return Failure::Tolerated;
        }
        self.push_event(DoorEvent {
            at,
            door: self.doors[door].door.clone(),
            source,
            kind: EventKind::Lockout,
            trigger,
            progress: None,
        });
        Failure::LockedOut
    }

    /// Takes the record of a source out of the list, to be put back as the newest.
    fn take_record(&mut self, door: usize, source: IpAddr) -> FailureRecord {
        match self.failures.iter().position(|record| record.is_of(door, source)) {
            Some(index) => self.failures.remove(index),
            None => FailureRecord {
                door,
                prefix: prefix(source),
                count_until: Vec::new(),
                locked_until: None,
            },
        }
    }

    /// S14: as many records as attempts; the one with the oldest newest failure goes first.
    pub(crate) fn keep_newest_failures(&mut self) {
        let surplus = self.failures.len().saturating_sub(self.max_attempts());
        self.failures.drain(..surplus);
    }
}

impl FailureRecord {
    fn is_of(&self, door: usize, source: IpAddr) -> bool {
        self.door == door && self.prefix == prefix(source)
    }
}

/// S13: IPv6 sources are counted and locked out by /64, IPv4 sources each by itself.
fn prefix(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
    }
}
