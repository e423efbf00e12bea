//! What the engine says: events for people and logs, actions for the caller to carry out.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Door;
use crate::packet::Packet;
use crate::time::Timestamp;

/// One output, in the order in which it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Something that must be done.
    Action(Action),
    /// Something that happened.
    Event(Event),
}

/// Something that the caller must do. Exhaustive on purpose: no caller may skip one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Mark this line of the door's one-time file as used, before anything else runs (S12).
    Consume {
        /// When the sequence was completed.
        at: Timestamp,
        /// The door.
        door: Arc<Door>,
        /// The source that completed the sequence.
        source: IpAddr,
        /// The line's number in the file, counted from 1.
        line: usize,
    },
    /// Run the door's start command for this source (S11).
    Start {
        /// When the sequence was completed.
        at: Timestamp,
        /// The door.
        door: Arc<Door>,
        /// The source that gets in.
        source: IpAddr,
        /// When the lease ends; `None` for a door without a stop command.
        until: Option<Timestamp>,
    },
    /// The source knocked again: its lease lasts longer. Run the start command only where its
    /// effect is found to be missing (S11).
    Renew {
        /// When the sequence was completed.
        at: Timestamp,
        /// The door as it was when the lease began.
        door: Arc<Door>,
        /// The source that holds the lease.
        source: IpAddr,
        /// When the lease ends now.
        until: Timestamp,
    },
    /// Run the stop command that belonged to the start (S11, S16).
    Stop {
        /// When the lease ended.
        at: Timestamp,
        /// The door as it was when the lease began.
        door: Arc<Door>,
        /// The source that held the lease.
        source: IpAddr,
    },
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The clock stepped back by more than a second: all attempts are dropped (S1).
    ClockStep {
        /// The new stamp.
        at: Timestamp,
        /// The time that had been reached before.
        from: Timestamp,
    },
    /// The last line of a door's one-time file is used up: it ignores everything (S12).
    Disabled {
        /// When the last line was used.
        at: Timestamp,
        /// The door.
        door: Arc<Door>,
    },
    /// Something between a source and a door.
    Door(DoorEvent),
}

impl Event {
    /// Returns when it happened: for an expiry its deadline, whenever it was noticed (S2).
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        match self {
            Self::ClockStep { at, .. } | Self::Disabled { at, .. } => *at,
            Self::Door(event) => event.at,
        }
    }

    /// Returns its name, such as `stage` or `clock_step`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ClockStep { .. } => "clock_step",
            Self::Disabled { .. } => "disabled",
            Self::Door(event) => event.kind.name(),
        }
    }

    /// Returns its door; all have one but `clock_step`.
    #[must_use]
    pub const fn door(&self) -> Option<&Arc<Door>> {
        match self {
            Self::ClockStep { .. } => None,
            Self::Disabled { door, .. } => Some(door),
            Self::Door(event) => Some(&event.door),
        }
    }
}

/// Something that happened between a source and a door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorEvent {
    /// When it happened.
    pub at: Timestamp,
    /// The door.
    pub door: Arc<Door>,
    /// The source.
    pub source: IpAddr,
    /// What happened.
    pub kind: EventKind,
    /// What brought it about.
    pub trigger: Trigger,
    /// How far the source's attempt was, for the kinds that tell it.
    pub progress: Option<Progress>,
}

/// What can happen between a source and a door, in the words of the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// The next knock came, or the first (S7, S8.2).
    Stage,
    /// A TCP retransmission of a knock that the door saw before (S8.1).
    Duplicate,
    /// The last matched knock came again (S8.4).
    Repeat,
    /// The first knock came again at stage 1: the attempt begins anew (S8.3).
    Restart,
    /// A packet to a port that is not in the sequence (S8.6).
    Stray,
    /// The attempt ended without opening.
    Reset(ResetReason),
    /// The attempt's deadline passed (S9).
    Timeout,
    /// The sequence is complete (S10).
    Open,
    /// The completion made a lease last longer (S11).
    Renew,
    /// A lease ended (S11).
    Close,
    /// The completion came within the door's `cooldown` (S11).
    Suppressed,
    /// The completion would have needed a lease, and the table is full (S14).
    Refused,
    /// The door ignores the source for a while (S13).
    Lockout,
    /// The attempt, or what was remembered of the source, made room for a new attempt (S14).
    Evicted,
}

impl EventKind {
    /// Returns the event's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stage => "stage",
            Self::Duplicate => "duplicate",
            Self::Repeat => "repeat",
            Self::Restart => "restart",
            Self::Stray => "stray",
            Self::Reset(_) => "reset",
            Self::Timeout => "timeout",
            Self::Open => "open",
            Self::Renew => "renew",
            Self::Close => "close",
            Self::Suppressed => "suppressed",
            Self::Refused => "refused",
            Self::Lockout => "lockout",
            Self::Evicted => "evicted",
        }
    }
}

/// Why an attempt ended by `reset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResetReason {
    /// Another knock packet of the door came than the next one (S8.5).
    OutOfOrder,
    /// More distinct stray ports than `max_strays` (S8.6).
    Strays,
    /// Another source used up the one-time sequence (S12).
    SequenceUsed,
}

impl ResetReason {
    /// Returns the reason's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OutOfOrder => "out_of_order",
            Self::Strays => "strays",
            Self::SequenceUsed => "sequence_used",
        }
    }
}

impl fmt::Display for ResetReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What brought an event about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// This packet, sent by the event's own source.
    Packet(Packet),
    /// A packet that moved another attempt (`evicted`, and `reset` for `sequence_used`).
    OtherAttempt,
    /// A deadline that passed; no packet.
    Deadline,
}

/// How far an attempt is, and how it stands with its deadline.
///
/// For an attempt that an event ends, this is how it stood when it ended. A `duplicate` where
/// there is no attempt has stage 0, no gap, and zero for the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The number of knocks matched so far.
    pub stage: u8,
    /// The number of knocks in the sequence.
    pub of: u8,
    /// The time since the attempt's previous matched knock; `None` at its first.
    pub gap: Option<Duration>,
    /// The time since the attempt's first knock.
    pub elapsed: Duration,
    /// The time left until the attempt's deadline.
    pub margin: Duration,
}
