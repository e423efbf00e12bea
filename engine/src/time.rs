//! Time as captures know it: nanoseconds since the Unix epoch.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment, in nanoseconds since the Unix epoch (1970-01-01T00:00:00Z).
///
/// The range ends in the year 2554. Sums saturate there (S1), so a hostile stamp can make a
/// deadline that never comes but never one that has wrapped into the past.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The Unix epoch itself.
    pub const ZERO: Self = Self(0);
    /// The last moment that can be told.
    pub const MAX: Self = Self(u64::MAX);

    /// Makes a stamp from nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Returns the nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Adds a span; stays at [`Timestamp::MAX`] where the sum would lie beyond it.
    #[must_use]
    pub fn saturating_add(self, span: Duration) -> Self {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }

    /// Returns how long `earlier` lies before this stamp, or `None` where it lies after it.
    ///
    /// There is no `-`: a clock that stepped back must be a case somebody has thought of.
    #[must_use]
    pub const fn checked_duration_since(self, earlier: Self) -> Option<Duration> {
        match self.0.checked_sub(earlier.0) {
            Some(nanos) => Some(Duration::from_nanos(nanos)),
            None => None,
        }
    }

    /// Returns how long `earlier` lies before this stamp, or zero where it lies after it.
    #[must_use]
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Returns this stamp after the clock was set from `from` to `to`: as long after `to` as it
    /// was after `from`. A stamp that is not after `from` becomes `to`.
    #[must_use]
    pub const fn moved(self, from: Self, to: Self) -> Self {
        Self(to.0.saturating_add(self.0.saturating_sub(from.0)))
    }
}

impl fmt::Display for Timestamp {
    /// Writes seconds and nine decimals, as `1700000000.123456789`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_saturate() {
        let late = Timestamp::from_nanos(u64::MAX - 1);
        assert_eq!(late.saturating_add(Duration::from_nanos(1)), Timestamp::MAX);
        assert_eq!(late.saturating_add(Duration::from_nanos(2)), Timestamp::MAX);
        assert_eq!(late.saturating_add(Duration::MAX), Timestamp::MAX);
    }

    #[test]
    fn a_step_back_is_not_a_duration() {
        let (early, late) = (Timestamp::from_nanos(5), Timestamp::from_nanos(7));
        assert_eq!(late.checked_duration_since(early), Some(Duration::from_nanos(2)));
        assert_eq!(early.checked_duration_since(late), None);
        assert_eq!(early.saturating_duration_since(late), Duration::ZERO);
    }
}
