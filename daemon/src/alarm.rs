//! Ten bugs that can be switched on, one at a time, to see that the simulation finds them.
//!
//! The first five are knockd's own. They are there only with the feature `alarm`, which nothing but
//! `make sim-alarm` turns on; without it `is_on` is `false` at compile time, and nothing is left of
//! them.

#[cfg(feature = "alarm")]
use std::sync::atomic::{AtomicUsize, Ordering};

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// When the oldest attempt at a door ends, all others there are forgotten.
    ForgetsOthers,
    /// What is owed to an open door is kept in memory alone.
    StopInMemory,
    /// A one-time sequence is marked as used while its start runs already.
    ConsumedAfterStart,
    /// Windows are measured by the wall clock.
    WallClock,
    /// A fragment that is not the first is read as if it began with ports.
    FragmentsAreHeaders,
    /// A ledger's doors that are not overdue are not taken up.
    RecoveryForgets,
    /// A stop that has begun to run counts as done.
    EndedTooEarly,
    /// A new config takes the stops of open doors away.
    ReloadForgets,
    /// Records of the ledger are not synced.
    UnsyncedLedger,
    /// An eviction from the table of attempts takes the source's open door with it.
    EvictionForgets,
}

impl Bug {
    /// Every bug.
    pub const ALL: [Self; 10] = [
        Self::ForgetsOthers,
        Self::StopInMemory,
        Self::ConsumedAfterStart,
        Self::WallClock,
        Self::FragmentsAreHeaders,
        Self::RecoveryForgets,
        Self::EndedTooEarly,
        Self::ReloadForgets,
        Self::UnsyncedLedger,
        Self::EvictionForgets,
    ];

    /// Returns its name, as the simulation takes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ForgetsOthers => "forgets-others",
            Self::StopInMemory => "stop-in-memory",
            Self::ConsumedAfterStart => "consumed-after-start",
            Self::WallClock => "wall-clock",
            Self::FragmentsAreHeaders => "fragments-are-headers",
            Self::RecoveryForgets => "recovery-forgets",
            Self::EndedTooEarly => "ended-too-early",
            Self::ReloadForgets => "reload-forgets",
            Self::UnsyncedLedger => "unsynced-ledger",
            Self::EvictionForgets => "eviction-forgets",
        }
    }
}

/// Which bug is on: its number and one, or 0.
#[cfg(feature = "alarm")]
static ON: AtomicUsize = AtomicUsize::new(0);

/// Turns a bug on, and all others off.
#[cfg(feature = "alarm")]
pub fn turn_on(bug: Option<Bug>) {
    ON.store(bug.map_or(0, |bug| bug as usize + 1), Ordering::Relaxed);
}

/// Tells whether a bug is on.
#[cfg(feature = "alarm")]
pub(crate) fn is_on(bug: Bug) -> bool {
    ON.load(Ordering::Relaxed) == bug as usize + 1
}

/// Tells whether a bug is on: none ever is.
#[cfg(not(feature = "alarm"))]
pub(crate) const fn is_on(_bug: Bug) -> bool {
    false
}
