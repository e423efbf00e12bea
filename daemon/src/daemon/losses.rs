//! What is lost when too much comes at once: when to look for it, and how often to say it.

use std::time::Duration;

use knock_engine::time::Timestamp;

/// How long after a packet the kernel is asked whether it had to drop others. So a quiet network
/// wakes nobody.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// How often, at most, it is said that the table of attempts is full: it stays so in a flood.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Looks for losses behind traffic.
#[derive(Debug, Default)]
pub(super) struct Losses {
    /// When to look next; `None` while nothing has come since the last look.
    due: Option<Timestamp>,
    /// How many evictions were told so far.
    told: u64,
    told_at: Option<Timestamp>,
}

impl Losses {
    /// Notes that packets came.
    pub(super) fn note_traffic(&mut self, now: Timestamp) {
        self.due.get_or_insert(now.saturating_add(LOOK_AFTER));
    }

    /// Returns when to look.
    pub(super) const fn poll_timeout(&self) -> Option<Timestamp> {
        self.due
    }

    /// Tells whether it is time to look.
    pub(super) fn is_due(&mut self, now: Timestamp) -> bool {
        let is_due = self.due.is_some_and(|due| due <= now);
        if is_due {
            self.due = None;
        }
        is_due
    }

    /// Returns how many evictions there are to tell of, given how many there have been in all. What
    /// comes within a minute of the last time is told later; somebody must look then, so this sets
    /// the time for it.
    pub(super) fn evictions_to_tell(&mut self, all: u64, now: Timestamp) -> Option<u64> {
        if all == self.told {
            return None;
        }
        let next = self.told_at.map(|at| at.saturating_add(SAY_EVERY));
        if let Some(next) = next.filter(|next| *next > now) {
            self.due = Some(next);
            return None;
        }
        self.told_at = Some(now);
        Some(all - std::mem::replace(&mut self.told, all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Timestamp {
        Timestamp::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn traffic_is_looked_behind_once_and_quiet_never() {
        let mut losses = Losses::default();
        assert_eq!(losses.poll_timeout(), None);
        losses.note_traffic(at(10));
        losses.note_traffic(at(11));
        assert_eq!(losses.poll_timeout(), Some(at(11)));
        assert!(!losses.is_due(at(10)));
        assert!(losses.is_due(at(11)));
        assert!(!losses.is_due(at(12)));
        assert_eq!(losses.poll_timeout(), None);
    }

    #[test]
    fn evictions_are_told_once_a_minute_and_none_is_forgotten() {
        let mut losses = Losses::default();
        assert_eq!(losses.evictions_to_tell(0, at(10)), None);
        assert_eq!(losses.evictions_to_tell(5, at(10)), Some(5));
        assert_eq!(losses.evictions_to_tell(8, at(20)), None);
        assert_eq!(losses.poll_timeout(), Some(at(70)), "the three are told then");
        assert!(losses.is_due(at(70)));
        assert_eq!(losses.evictions_to_tell(9, at(70)), Some(4));
        assert_eq!(losses.evictions_to_tell(9, at(200)), None);
    }
}
