//! A limit for the lines that strangers can cause, so that nobody fills the disk from outside.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use knock_engine::time::Timestamp;

/// How long lines are counted together, from the first one on.
const SPAN: Duration = Duration::from_secs(1);

/// Lets so many lines a second pass for each door, and counts the rest. Sans-IO.
///
/// A door is known only while its second lasts, and at most [`Limiter::MAX_DOORS`] are at a time;
/// all others count as one door, so memory and the sum of all lines are bounded too.
#[derive(Debug)]
pub struct Limiter {
    per_second: u32,
    now: Timestamp,
    windows: HashMap<Arc<str>, Window>,
    /// When each window ends: they are equally long, so this is the order in which they began.
    ends: VecDeque<(Timestamp, Arc<str>)>,
    /// How many windows hold lines back.
    holding: usize,
}

#[derive(Debug, Default)]
struct Window {
    passed: u32,
    held: u64,
}

/// Lines that were held back in a second that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// When that second ended.
    pub at: Timestamp,
    /// The door's name; `None` for doors beyond [`Limiter::MAX_DOORS`].
    pub door: Option<String>,
    /// How many lines.
    pub lines: u64,
}

impl Limiter {
    /// The default of `LogLimit`.
    pub const DEFAULT_PER_SECOND: u32 = 20;
    /// How many doors are counted one by one within a second.
    pub const MAX_DOORS: usize = 1024;

    /// Makes a limiter that lets so many lines a second pass for each door; 0 lets all pass.
    #[must_use]
    pub fn new(per_second: u32) -> Self {
        let (windows, ends) = (HashMap::new(), VecDeque::new());
        Self { per_second, now: Timestamp::ZERO, windows, ends, holding: 0 }
    }

    /// Tells whether a line of this door may be logged, and counts it.
    ///
    /// Seconds that are over must have been asked for with [`Limiter::poll_held`] before.
    pub fn admits(&mut self, door: &str, now: Timestamp) -> bool {
        if self.per_second == 0 {
            return true;
        }
        self.now = self.now.max(now);
        // A section's name is never empty, so that one is free for all the others.
        let is_full = self.windows.len() >= Self::MAX_DOORS;
        let name = if is_full && !self.windows.contains_key(door) { "" } else { door };
        let Some(window) = self.windows.get_mut(name) else {
            let name: Arc<str> = name.into();
            self.ends.push_back((self.now.saturating_add(SPAN), Arc::clone(&name)));
            self.windows.insert(name, Window { passed: 1, held: 0 });
            return true;
        };
        if window.passed < self.per_second {
            window.passed += 1;
            return true;
        }
        if window.held == 0 {
            self.holding += 1;
        }
        window.held = window.held.saturating_add(1);
        false
    }

    /// Returns what was held back in a second that is over, the oldest first, until `None`.
    pub fn poll_held(&mut self, now: Timestamp) -> Option<Held> {
        self.now = self.now.max(now);
        while self.ends.front().is_some_and(|(end, _)| *end <= self.now) {
            let (at, name) = self.ends.pop_front()?;
            let window = self.windows.remove(&name).unwrap_or_default();
            if window.held > 0 {
                self.holding -= 1;
                let door = Some(&*name).filter(|name| !name.is_empty()).map(str::to_owned);
                return Some(Held { at, door, lines: window.held });
            }
        }
        None
    }

    /// Returns when [`Limiter::poll_held`] is worth asking next; `None` while nothing is held
    /// back, so that an idle daemon sleeps.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        if self.holding == 0 {
            return None;
        }
        self.ends.front().map(|(end, _)| *end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    fn held(millis: u64, door: Option<&str>, lines: u64) -> Option<Held> {
        Some(Held { at: at(millis), door: door.map(str::to_owned), lines })
    }

    #[test]
    fn each_door_has_its_own_second_and_its_rest_is_told_once() {
        let mut limiter = Limiter::new(2);
        let passed = [0, 100, 200, 999].map(|millis| limiter.admits("a", at(millis)));
        assert_eq!(passed, [true, true, false, false]);
        assert!(limiter.admits("b", at(500)));
        assert_eq!(limiter.poll_timeout(), Some(at(1000)));
        assert_eq!(limiter.poll_held(at(999)), None);
        assert_eq!(limiter.poll_held(at(1000)), held(1000, Some("a"), 2));
        assert_eq!(limiter.poll_held(at(1000)), None);
        // Nothing of b is held back, so nobody has to wake up for it.
        assert_eq!(limiter.poll_timeout(), None);
        assert!(limiter.admits("a", at(1000)));
        assert_eq!(limiter.poll_held(at(5000)), None);
    }

    #[test]
    fn zero_is_off() {
        let mut limiter = Limiter::new(0);
        assert!((0..1000).all(|_| limiter.admits("a", at(0))));
        assert_eq!((limiter.poll_timeout(), limiter.poll_held(at(9999))), (None, None));
    }

    #[test]
    fn a_clock_that_steps_back_does_not_stretch_a_second() {
        let mut limiter = Limiter::new(1);
        assert!(limiter.admits("a", at(5000)));
        assert!(!limiter.admits("a", at(0)));
        assert_eq!(limiter.poll_held(at(6000)), held(6000, Some("a"), 1));
    }

    #[test]
    fn however_many_doors_there_are_memory_and_lines_are_bounded() {
        let mut limiter = Limiter::new(3);
        let lines = 100_000;
        let passed =
            (0..lines).filter(|number| limiter.admits(&format!("door {number}"), at(0))).count();
        assert_eq!(passed, Limiter::MAX_DOORS + 3);
        assert_eq!(limiter.windows.len(), Limiter::MAX_DOORS + 1);
        let rest = u64::try_from(lines - passed).unwrap();
        assert_eq!(limiter.poll_held(at(1000)), held(1000, None, rest));
        assert_eq!((limiter.windows.len(), limiter.ends.len(), limiter.holding), (0, 0, 0));
    }
}
