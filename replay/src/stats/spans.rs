//! Many spans in little room: their percentiles, to three significant digits.

use std::collections::BTreeMap;
use std::time::Duration;

/// How often each span occurred. Each is kept with three significant digits, so there are at most
/// some thousands of different ones, however many come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Spans {
    /// By nanoseconds.
    counts: BTreeMap<u64, u64>,
    number: u64,
    longest: Duration,
}

impl Spans {
    pub(super) fn add(&mut self, span: Duration) {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        *self.counts.entry(rounded(nanos)).or_default() += 1;
        self.number += 1;
        self.longest = self.longest.max(span);
    }

    pub(super) fn add_all(&mut self, other: &Self) {
        for (nanos, count) in &other.counts {
            *self.counts.entry(*nanos).or_default() += count;
        }
        self.number += other.number;
        self.longest = self.longest.max(other.longest);
    }

    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Returns the longest one, exactly; zero where there is none.
    pub(super) const fn longest(&self) -> Duration {
        self.longest
    }

    /// Returns the least span that so many of a hundred don't exceed; zero where there is none.
    pub(super) fn percentile(&self, percent: u64) -> Duration {
        let rank = (u128::from(self.number) * u128::from(percent)).div_ceil(100).max(1);
        let mut seen = 0_u128;
        for (nanos, count) in &self.counts {
            seen += u128::from(*count);
            if seen >= rank {
                return Duration::from_nanos(*nanos).min(self.longest);
            }
        }
        self.longest
    }
}

/// Rounds to three significant digits.
fn rounded(nanos: u64) -> u64 {
    let digits = nanos.checked_ilog10().unwrap_or(0);
    let unit = 10_u64.pow(digits.saturating_sub(2));
    (nanos / unit + u64::from(nanos % unit >= unit.div_ceil(2) && unit > 1)).saturating_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_list() {
        let mut spans = Spans::default();
        assert_eq!((spans.percentile(50), spans.longest()), (Duration::ZERO, Duration::ZERO));
        (1..=200).rev().for_each(|ms| spans.add(Duration::from_millis(ms)));
        let ms = |percent| spans.percentile(percent).as_millis();
        assert_eq!([ms(0), ms(50), ms(90), ms(99), ms(100)], [1, 100, 180, 198, 200]);
        let mut twice = spans.clone();
        twice.add_all(&spans);
        assert_eq!((twice.number(), twice.percentile(50)), (400, spans.percentile(50)));
    }

    #[test]
    fn a_span_keeps_three_digits_and_the_longest_all() {
        for (nanos, kept) in [
            (0, 0),
            (7, 7),
            (999, 999),
            (1_004, 1_000),
            (1_005, 1_010),
            (999_500, 1_000_000),
            (123_456_789, 123_000_000),
        ] {
            assert_eq!(rounded(nanos), kept, "{nanos}");
        }
        assert!(rounded(u64::MAX) > u64::MAX / 2);
        let mut spans = Spans::default();
        spans.add(Duration::from_nanos(123_456_789));
        assert_eq!(spans.longest(), Duration::from_nanos(123_456_789));
        assert_eq!(spans.percentile(50), Duration::from_nanos(123_000_000));
        spans.add(Duration::MAX);
        assert_eq!(spans.longest(), Duration::MAX);
    }
}
