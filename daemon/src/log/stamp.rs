//! Wall-clock time in the local time zone.

use jiff::tz::TimeZone;
use knock_engine::time::Timestamp;

const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// As long as `2026-11-22T10:00:00`.
const SECOND_LENGTH: usize = 19;
/// As long as `2026-11-22T10:00`.
const MINUTE_LENGTH: usize = 16;

/// Writes stamps as the local wall clock, and remembers the last second's text.
#[derive(Clone, Debug)]
pub(super) struct LocalClock {
    zone: TimeZone,
    second: Option<u64>,
    /// As `2026-11-22T10:00:00+01:00`.
    text: String,
}

impl LocalClock {
    /// Makes a clock of this time zone.
    pub(super) const fn new(zone: TimeZone) -> Self {
        Self { zone, second: None, text: String::new() }
    }

    /// Appends knockd's stamp: `2026-11-22 10:00`.
    pub(super) fn append_minute(&mut self, wall: Timestamp, line: &mut String) {
        let text = self.second_text(wall);
        let (date, time) = text[..MINUTE_LENGTH].split_once('T').unwrap_or_default();
        line.push_str(date);
        line.push(' ');
        line.push_str(time);
    }

    /// Appends RFC 3339 with milliseconds and the offset: `2026-11-22T10:00:00.123+01:00`.
    pub(super) fn append_rfc3339(&mut self, wall: Timestamp, line: &mut String) {
        use std::fmt::Write as _;
        let millis = wall.as_nanos() % NANOS_PER_SECOND / 1_000_000;
        let (second, offset) = self.second_text(wall).split_at(SECOND_LENGTH);
        // Writing to a String cannot fail.
        let _ = write!(line, "{second}.{millis:03}{offset}");
    }

    fn second_text(&mut self, wall: Timestamp) -> &str {
        let second = wall.as_nanos() / NANOS_PER_SECOND;
        if self.second != Some(second) {
            self.second = Some(second);
            let civil = i64::try_from(second)
                .ok()
                .and_then(|second| jiff::Timestamp::from_second(second).ok())
                .expect("invariant: every Timestamp lies before the year 2555");
            let civil = civil.to_zoned(self.zone.clone());
            self.text = civil.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
        }
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamps(zone: &TimeZone, nanos: u64) -> String {
        let mut clock = LocalClock::new(zone.clone());
        let mut line = String::new();
        clock.append_minute(Timestamp::from_nanos(nanos), &mut line);
        line.push_str(" | ");
        clock.append_rfc3339(Timestamp::from_nanos(nanos), &mut line);
        line
    }

    #[test]
    fn the_local_hour_and_its_offset_change_with_the_season() {
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let winter = 1_795_329_845_123_999_999;
        assert_eq!(stamps(&berlin, winter), "2026-11-22 07:44 | 2026-11-22T07:44:05.123+01:00");
        let summer = 1_784_703_845_000_000_000;
        assert_eq!(stamps(&berlin, summer), "2026-07-22 09:04 | 2026-07-22T09:04:05.000+02:00");
    }

    #[test]
    fn the_whole_range_can_be_told() {
        let utc = TimeZone::UTC;
        assert_eq!(stamps(&utc, 0), "1970-01-01 00:00 | 1970-01-01T00:00:00.000+00:00");
        assert_eq!(stamps(&utc, u64::MAX), "2554-07-21 23:34 | 2554-07-21T23:34:33.709+00:00");
    }
}
