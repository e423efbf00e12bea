//! What a ledger that is read at start-up asks for.

use knock_engine::time::Timestamp;

use super::Supervisor;
use super::hold::Hold;
use crate::alarm::{self, Bug};
use crate::ledger::Entry;
use crate::log::{CommandEvent, CommandKind, Severity};

/// What to do about stops that have failed for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenUp {
    /// Leave them to people; they stay in the ledger.
    Leave,
    /// Try them once more (`--close-all`).
    TryOnce,
}

impl Supervisor {
    /// Takes up what a ledger tells of: doors that are overdue, or were opened before the machine
    /// last booted, are closed at once, the others at their deadline.
    pub fn recover(&mut self, entries: Vec<Entry>, given_up: GivenUp, now: Timestamp) {
        self.now = self.now.max(now);
        let mut left = 0_usize;
        let mut due = Vec::new();
        for entry in entries {
            if entry.given_up && given_up == GivenUp::Leave {
                left += 1;
                continue;
            }
            let is_overdue = entry.deadline.is_none_or(|deadline| deadline <= self.now);
            if !is_overdue && alarm::is_on(Bug::RecoveryForgets) {
                continue;
            }
            let id = entry.hold;
            let hold = Hold::recovered(entry, self.now);
            let (subject, deadline) = (hold.subject.clone(), hold.deadline);
            self.insert(id, hold);
            match deadline {
                Some(deadline) if deadline > self.now => {
                    let remaining = deadline.saturating_duration_since(self.now);
                    self.say(subject, CommandKind::Stop, CommandEvent::Recovered { remaining });
                }
                Some(_) | None => due.push(id),
            }
        }
        // Only now: whether a stop may run depends on the others.
        for id in due {
            self.hold_is_due(id);
        }
        if left > 0 {
            let text = format!(
                "{left} stop commands failed for good in earlier runs and are kept in the ledger: \
                 see to these doors, then run knockd --close-all"
            );
            self.notice(Severity::Warning, text);
        }
        self.dispatch();
    }
}
