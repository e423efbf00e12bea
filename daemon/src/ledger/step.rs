//! What each record does to what is owed.

use std::collections::BTreeMap;

use knock_engine::time::Timestamp;

use super::codec::snapshot_len;
use super::record::{Entry, HoldId, Record, StartOutcome};

/// A change of one hold, as a ledger of whatever boot tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) hold: HoldId,
    pub(super) change: Change,
}

/// What changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It is there now.
    Open(Box<Entry>),
    Started(StartOutcome),
    Renewed(Option<Timestamp>),
    StopBegun,
    Ended,
    GivenUp,
}

impl From<&Record> for Step {
    fn from(record: &Record) -> Self {
        let (hold, change) = match record {
            Record::Intent { hold, door, source, network, stop, deadline } => {
                let entry = Entry {
                    hold: *hold,
                    door: door.clone(),
                    source: *source,
                    network: *network,
                    stop: stop.clone(),
                    deadline: Some(*deadline),
                    started: None,
                    stop_begun: false,
                    given_up: false,
                };
                (hold, Change::Open(Box::new(entry)))
            }
            Record::Started { hold, outcome } => (hold, Change::Started(*outcome)),
            Record::Renewed { hold, deadline } => (hold, Change::Renewed(Some(*deadline))),
            Record::StopBegun { hold } => (hold, Change::StopBegun),
            Record::Ended { hold } => (hold, Change::Ended),
            Record::GivenUp { hold } => (hold, Change::GivenUp),
        };
        Self { hold: *hold, change }
    }
}

/// What is owed, and how much room that takes.
#[derive(Clone, Debug, Default)]
pub(super) struct Owed {
    entries: BTreeMap<HoldId, Entry>,
    /// The sum of the lengths of the entries' snapshot frames.
    snapshot_len: usize,
}

impl Owed {
    /// Applies a step. One that concerns a hold that is not there changes nothing.
    pub(super) fn apply(&mut self, step: Step) {
        let Step { hold, change } = step;
        if let Change::Open(entry) = change {
            self.snapshot_len += snapshot_len(&entry);
            let replaced = self.entries.insert(hold, *entry);
            self.snapshot_len -= replaced.as_ref().map_or(0, snapshot_len);
            return;
        }
        let Some(entry) = self.entries.get_mut(&hold) else { return };
        match change {
            Change::Open(_) => {}
            Change::Started(outcome) => entry.started = Some(outcome),
            Change::Renewed(deadline) => entry.deadline = deadline,
            Change::StopBegun => entry.stop_begun = true,
            Change::GivenUp => entry.given_up = true,
            Change::Ended => {
                self.snapshot_len -= snapshot_len(entry);
                self.entries.remove(&hold);
            }
        }
    }

    /// Returns what is owed, in the order of the holds' numbers.
    pub(super) fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.values()
    }

    /// Returns how many bytes the snapshot frames of all entries take.
    pub(super) const fn snapshot_len(&self) -> usize {
        self.snapshot_len
    }
}
