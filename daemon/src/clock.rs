//! The daemon's time: the boot-time clock, moved to the epoch once.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use knock_engine::time::Timestamp;
use rustix::time::{ClockId, clock_gettime};

use crate::alarm::{self, Bug};

/// Engine time: `CLOCK_BOOTTIME` plus an offset that is fixed when the daemon starts.
///
/// It runs through a suspend and never steps, so neither a clock that is set nor a lid that is
/// closed stretches a window or a door. Only log lines show the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// The engine time at which the machine booted.
    boot: Timestamp,
}

impl Clock {
    /// Makes a clock that agrees with the wall clock now.
    #[must_use]
    pub fn start() -> Self {
        Self::started_at(wall_now(), boot_nanos())
    }

    /// Makes a clock from what the wall clock and the boot-time clock show now, in nanoseconds.
    #[must_use]
    pub const fn started_at(wall: u64, since_boot: u64) -> Self {
        Self { boot: Timestamp::from_nanos(wall.saturating_sub(since_boot)) }
    }

    /// Makes a clock from the engine time at which the machine booted.
    #[must_use]
    pub const fn from_boot(boot: Timestamp) -> Self {
        Self { boot }
    }

    /// Returns the engine time at which the machine booted.
    #[must_use]
    pub const fn boot(self) -> Timestamp {
        self.boot
    }

    /// Returns the engine time now.
    #[must_use]
    pub fn now(self) -> Timestamp {
        self.shown(wall_now, boot_nanos())
    }

    /// Returns the engine time where the clocks show this; the wall clock does not matter.
    pub fn shown(self, wall: impl FnOnce() -> u64, since_boot: u64) -> Timestamp {
        if alarm::is_on(Bug::WallClock) {
            return Self::started_at(wall(), since_boot).at(since_boot);
        }
        self.at(since_boot)
    }

    /// Returns the engine time at which the boot-time clock shows so many nanoseconds.
    #[must_use]
    pub fn at(self, since_boot: u64) -> Timestamp {
        self.boot.saturating_add(Duration::from_nanos(since_boot))
    }

    /// Returns how long after boot a moment is, which is what a timer takes.
    #[must_use]
    pub const fn since_boot(self, at: Timestamp) -> Duration {
        at.saturating_duration_since(self.boot)
    }

    /// Returns what the wall clock showed, or will show, at a moment, as far as it is known now.
    ///
    /// The two clocks are told apart in whole milliseconds. So as long as nobody sets the wall
    /// clock, a log has the very stamps that a recording has, which is in engine time.
    #[must_use]
    pub fn wall(self, at: Timestamp) -> Timestamp {
        let ahead = i128::from(wall_now()) - i128::from(self.now().as_nanos());
        let wall = i128::from(at.as_nanos()) + whole_millis(ahead);
        Timestamp::from_nanos(u64::try_from(wall.max(0)).unwrap_or(u64::MAX))
    }
}

/// Rounds nanoseconds to the nearest whole millisecond.
const fn whole_millis(nanos: i128) -> i128 {
    (nanos + 500_000).div_euclid(1_000_000) * 1_000_000
}

fn boot_nanos() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec));
    seconds.unwrap_or(0).saturating_mul(1_000_000_000).saturating_add(nanos.unwrap_or(0))
}

fn wall_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engine_time_agrees_with_the_wall_clock_and_moves_on() {
        let clock = Clock::start();
        let (first, second) = (clock.now(), clock.now());
        assert!(first <= second);
        let wall = Timestamp::from_nanos(wall_now());
        assert!(wall.saturating_duration_since(second) < Duration::from_secs(5));
    }

    #[test]
    fn small_differences_between_the_clocks_are_none() {
        let rounded = [(0, 0), (499_999, 0), (500_000, 1), (-500_000, 0), (-500_001, -1)];
        for (nanos, millis) in rounded {
            assert_eq!(whole_millis(nanos), millis * 1_000_000, "{nanos}");
        }
    }

    #[test]
    fn the_wall_clock_is_told_for_moments_before_and_after_now() {
        let clock = Clock::start();
        let ahead = clock.now().saturating_add(Duration::from_secs(60));
        let wall_ahead = clock.wall(ahead).as_nanos();
        let wall = wall_now();
        assert!((58..62).contains(&((wall_ahead - wall + 500_000_000) / 1_000_000_000)));
        let behind = Timestamp::from_nanos(clock.now().as_nanos() - 60_000_000_000);
        let wall_behind = clock.wall(behind).as_nanos();
        assert!((58..62).contains(&((wall - wall_behind + 500_000_000) / 1_000_000_000)));
    }
}
