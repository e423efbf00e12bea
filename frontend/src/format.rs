//! Spans, counts and stamps as people read them.

use std::fmt;
use std::time::Duration;

use knock_engine::time::Timestamp;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A span in the unit that suits it, with three significant digits: `10 ms`, `14.7 s`.
///
/// From 1,000 s on it is told in two units: `16 min 40 s`, `2 h 5 min`, `3 d 4 h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A pad needs the whole text; a span has at most some twenty characters.
        f.pad(&self.text())
    }
}

impl Span {
    fn text(self) -> String {
        const UNITS: [(&str, u128); 4] =
            [("ns", 1), ("µs", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)];
        let nanos = self.0.as_nanos();
        if nanos == 0 {
            return "0 s".to_owned();
        }
        for (name, unit) in UNITS {
            // What rounds to 1,000 of a unit belongs to the next one.
            if nanos * 10 < unit * 9_995 {
                return format!("{} {name}", three_digits(nanos, unit));
            }
        }
        let half = u64::from(self.0.subsec_millis() >= 500);
        long_span(self.0.as_secs().saturating_add(half))
    }
}

/// Divides, rounds to three significant digits, and drops zeros behind the point.
fn three_digits(value: u128, unit: u128) -> String {
    let decimals = if value * 1_000 < unit * 9_995 {
        2
    } else if value * 100 < unit * 9_995 {
        1
    } else {
        0
    };
    let scale = 10_u128.pow(decimals);
    let scaled = (value * scale + unit / 2) / unit;
    let (whole, fraction) = (scaled / scale, scaled % scale);
    if fraction == 0 {
        return whole.to_string();
    }
    let width = usize::try_from(decimals).unwrap_or(0);
    format!("{whole}.{fraction:0width$}").trim_end_matches('0').to_owned()
}

fn long_span(seconds: u64) -> String {
    let (large, large_name, small, small_name) = match seconds {
        0..3_600 => (seconds / 60, "min", seconds % 60, "s"),
        3_600..86_400 => (seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        _ => (seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    };
    if small == 0 {
        return format!("{large} {large_name}");
    }
    format!("{large} {large_name} {small} {small_name}")
}

/// A number with a comma between thousands: `1,048,576`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(pub u64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        let mut text = String::with_capacity(digits.len() + digits.len() / 3);
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        f.pad(&text)
    }
}

/// A number and what it counts, with the plural's `s`: `1 packet`, `2,000 packets`.
#[derive(Clone, Copy, Debug)]
pub struct Counted<'a>(pub u64, pub &'a str);

impl fmt::Display for Counted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} {}{plural}", Count(self.0), self.1)
    }
}

/// How often something happened: `once`, `2 times`.
#[derive(Clone, Copy, Debug)]
pub struct Times(pub u64);

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("once"),
            number => write!(f, "{} times", Count(number)),
        }
    }
}

/// A number of bytes in powers of 1,000: `640 B`, `1.24 MB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, u128); 4] =
            [("B", 1), ("kB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000)];
        let bytes = u128::from(self.0);
        let last = UNITS.len() - 1;
        for (index, (name, unit)) in UNITS.into_iter().enumerate() {
            if bytes * 10 < unit * 9_995 || index == last {
                return write!(f, "{} {name}", three_digits(bytes, unit));
            }
        }
        Ok(())
    }
}

/// Writes stamps as RFC 3339 in UTC, and remembers the last second's text: a report is a run of
/// stamps that mostly share it.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    second: Option<u64>,
    /// Date and time to the second, as `2026-11-22T10:00:00`.
    text: String,
}

impl Clock {
    /// Appends the stamp with nine decimals: `2026-11-22T10:00:00.123456789Z`.
    pub fn append_rfc3339(&mut self, at: Timestamp, text: &mut String) {
        use fmt::Write as _;
        text.push_str(self.second_text(at));
        // Writing to a String cannot fail.
        let _ = write!(text, ".{:09}Z", at.as_nanos() % NANOS_PER_SECOND);
    }

    /// Returns the stamp with nine decimals.
    #[must_use]
    pub fn rfc3339(&mut self, at: Timestamp) -> String {
        let mut text = String::with_capacity(30);
        self.append_rfc3339(at, &mut text);
        text
    }

    /// Returns the day, as `2026-11-22`.
    #[must_use]
    pub fn date(&mut self, at: Timestamp) -> &str {
        self.second_text(at).split('T').next().unwrap_or_default()
    }

    /// Returns the time of the day with three decimals, as `10:00:00.123`.
    #[must_use]
    pub fn time(&mut self, at: Timestamp) -> String {
        let millis = at.as_nanos() % NANOS_PER_SECOND / 1_000_000;
        let time = self.second_text(at).split('T').nth(1).unwrap_or_default();
        format!("{time}.{millis:03}")
    }

    fn second_text(&mut self, at: Timestamp) -> &str {
        let second = at.as_nanos() / NANOS_PER_SECOND;
        if self.second != Some(second) {
            self.second = Some(second);
            let civil = i64::try_from(second)
                .ok()
                .and_then(|second| jiff::Timestamp::from_second(second).ok())
                .expect("invariant: every Timestamp lies before the year 2555");
            self.text = civil.to_string();
            self.text.truncate("2026-11-22T10:00:00".len());
        }
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_three_significant_digits() {
        let cases: [(u64, &str); 22] = [
            (0, "0 s"),
            (1, "1 ns"),
            (999, "999 ns"),
            (1_000, "1 µs"),
            (1_234, "1.23 µs"),
            (9_996, "10 µs"),
            (999_499, "999 µs"),
            (999_500, "1 ms"),
            (10_000_000, "10 ms"),
            (300_900_000, "301 ms"),
            (603_000_000, "603 ms"),
            (999_499_999, "999 ms"),
            (999_500_000, "1 s"),
            (1_400_000_000, "1.4 s"),
            (14_698_000_000, "14.7 s"),
            (99_960_000_000, "100 s"),
            (300_000_000_000, "300 s"),
            (999_499_000_000, "999 s"),
            (999_500_000_000, "16 min 40 s"),
            (3_600_000_000_000, "1 h"),
            (7_500_000_000_000, "2 h 5 min"),
            (90_000_000_000_000, "1 d 1 h"),
        ];
        for (nanos, expected) in cases {
            assert_eq!(Span(Duration::from_nanos(nanos)).to_string(), expected, "{nanos}");
        }
        assert_eq!(Span(Duration::MAX).to_string(), "213503982334601 d 7 h");
    }

    #[test]
    fn counts_and_bytes_are_readable() {
        assert_eq!(Count(0).to_string(), "0");
        assert_eq!(Count(999).to_string(), "999");
        assert_eq!(Count(1_048_576).to_string(), "1,048,576");
        assert_eq!(Counted(1, "packet").to_string(), "1 packet");
        assert_eq!(Counted(0, "packet").to_string(), "0 packets");
        assert_eq!(Bytes(640).to_string(), "640 B");
        assert_eq!(Bytes(1_234_567).to_string(), "1.23 MB");
        assert_eq!(Bytes(12_345_000_000_000).to_string(), "12345 GB");
    }

    #[test]
    fn stamps_are_rfc_3339_over_the_whole_range() {
        let mut clock = Clock::default();
        assert_eq!(clock.rfc3339(Timestamp::ZERO), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(clock.rfc3339(Timestamp::MAX), "2554-07-21T23:34:33.709551615Z");
        let at = Timestamp::from_nanos(1_700_000_000_123_456_789);
        assert_eq!(clock.rfc3339(at), "2023-11-14T22:13:20.123456789Z");
        assert_eq!(clock.date(at), "2023-11-14");
        assert_eq!(clock.time(at), "22:13:20.123");
    }
}
