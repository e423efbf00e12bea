//! An engine's state as plain data: what a recording begins with, so that it can be replayed from
//! there.

use std::net::IpAddr;
use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};

use crate::packet::Protocol;
use crate::time::Timestamp;

/// Everything that an engine remembers, beside its config and the local addresses.
///
/// Doors are numbered as they stand in the config, from 0. Whatever has an order is listed in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The engine's time.
    pub now: Timestamp,
    /// How many deadlines were set at that time.
    pub issued: u32,
    /// The attempts, in the order in which they began; then what is remembered of other sources,
    /// in the order in which it would make room.
    pub places: Vec<Place>,
    /// The doors that are held open.
    pub leases: Vec<Lease>,
    /// Doors of leases that the config does not have (any more), each as its section is written.
    pub former_doors: Vec<String>,
    /// The sources that failed (S13), those that failed least recently first.
    pub failures: Vec<Failures>,
    /// The starts that must wait (S11), the least recent first.
    pub cooldowns: Vec<Cooldown>,
    /// How many places, failures and cooldowns were left out because they were too many; the
    /// oldest are.
    pub left_out: u64,
}

/// What is known of a source at a door.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The source.
    pub source: IpAddr,
    /// The door.
    pub door: u16,
    /// Its attempt, if it has one.
    pub attempt: Option<Attempt>,
    /// The packets that are remembered to tell retransmissions (S8.1), the oldest first.
    pub remembered: Vec<Remembered>,
}

/// An attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The number of knocks matched.
    pub stage: u8,
    /// When the first knock came.
    pub first: Timestamp,
    /// Its deadline's place among those set at that time.
    pub order: u32,
    /// When the last knock came that matched.
    pub last: Timestamp,
    /// The distinct stray ports (S8.6).
    pub strays: Vec<(Protocol, u16)>,
}

/// A TCP packet that is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// When it came.
    pub at: Timestamp,
    /// Its destination port.
    pub destination_port: NonZeroU16,
    /// Its source port.
    pub source_port: u16,
    /// Its sequence number.
    pub sequence_number: u32,
}

/// A door held open for a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The source.
    pub source: IpAddr,
    /// The door as it was when the lease began.
    pub door: LeasedDoor,
    /// When it ends.
    pub until: Timestamp,
    /// When that was decided.
    pub since: Timestamp,
    /// Its deadline's place among those set at that time.
    pub order: u32,
    /// How many doors of the same name stood before its own in the config.
    pub namesake: u16,
    /// The door at which a completion finds it; none where that door is gone or has another lease
    /// for the source.
    pub renewed_at: Option<u16>,
    /// Whether another lease has taken its part.
    pub is_superseded: bool,
}

/// The door of a lease, which keeps the commands that it began with (S16).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeasedDoor {
    /// The config's door of this number.
    Current(u16),
    /// The one at this place of [`Snapshot::former_doors`].
    Former(usize),
}

/// The failures of a source, or of a /64, at a door (S13).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// The source; the first address of an IPv6 network.
    pub source: IpAddr,
    /// The door.
    pub door: u16,
    /// When each failure stops counting, the oldest first.
    pub expiries: Vec<Timestamp>,
    /// When the source is listened to again.
    pub locked_until: Option<Timestamp>,
}

/// A start that must wait (S11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cooldown {
    /// The source.
    pub source: IpAddr,
    /// The door.
    pub door: u16,
    /// When the door may start for the source again.
    pub until: Timestamp,
}
