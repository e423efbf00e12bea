//! What the ledger remembers.

use std::net::IpAddr;

use ipnet::IpNet;
use knock_engine::time::Timestamp;

/// One opening of a door for a source, from its intent to the end of its stop. Numbers are never
/// used again in the life of a ledger file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldId(pub u64);

/// How a start command ended, as far as its stop has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StartOutcome {
    /// It succeeded: what it did is there.
    Done,
    /// It failed: its stop runs once, whatever that stop says.
    Failed,
}

/// One step in the life of a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A start command is about to run; it must not before this is safe on disk.
    Intent {
        /// The hold.
        hold: HoldId,
        /// The door's name.
        door: String,
        /// The source.
        source: IpAddr,
        /// The network that `%NET%` stood for, for the stop's environment.
        network: IpNet,
        /// The expanded stop command.
        stop: String,
        /// When the stop is due, in engine time.
        deadline: Timestamp,
    },
    /// The start command has ended.
    Started {
        /// The hold.
        hold: HoldId,
        /// How.
        outcome: StartOutcome,
    },
    /// The hold's deadline has moved.
    Renewed {
        /// The hold.
        hold: HoldId,
        /// The new deadline, in engine time.
        deadline: Timestamp,
    },
    /// The stop command is about to run.
    StopBegun {
        /// The hold.
        hold: HoldId,
    },
    /// Nothing is owed any more: the stop has run, or the start never did.
    Ended {
        /// The hold.
        hold: HoldId,
    },
    /// The stop has failed for good; it is kept for `--close-all`.
    GivenUp {
        /// The hold.
        hold: HoldId,
    },
}

impl Record {
    /// Returns the hold that it is about.
    #[must_use]
    pub const fn hold(&self) -> HoldId {
        match self {
            Self::Intent { hold, .. }
            | Self::Started { hold, .. }
            | Self::Renewed { hold, .. }
            | Self::StopBegun { hold }
            | Self::Ended { hold }
            | Self::GivenUp { hold } => *hold,
        }
    }

    /// Tells whether nothing comes after it for its hold.
    #[must_use]
    pub const fn is_last(&self) -> bool {
        matches!(self, Self::Ended { .. } | Self::GivenUp { .. })
    }
}

/// A hold as a ledger that is read at start-up knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The hold.
    pub hold: HoldId,
    /// The door's name.
    pub door: String,
    /// The source.
    pub source: IpAddr,
    /// The network that `%NET%` stood for.
    pub network: IpNet,
    /// The expanded stop command.
    pub stop: String,
    /// When the stop is due, in engine time; `None` where the machine has booted since.
    pub deadline: Option<Timestamp>,
    /// How the start ended; `None` where it may or may not have run.
    pub started: Option<StartOutcome>,
    /// Whether the stop has begun to run before.
    pub stop_begun: bool,
    /// Whether the stop has failed for good before.
    pub given_up: bool,
}
