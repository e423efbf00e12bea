//! Attempts that ended for want of a knock, for as long as that knock may still come and explain
//! them.

use std::net::IpAddr;
use std::time::Duration;

use knock_engine::config::{Door, Knock};
use knock_engine::local::LocalAddresses;
use knock_engine::packet::{Packet, Transport};
use knock_engine::time::Timestamp;

use crate::report::advice::Port;
use crate::report::block::BlockId;
use crate::report::memory::{Bounded, Place};
use crate::report::totals::Doors;

/// An attempt that ended without opening.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) door: usize,
    /// The knock that was to come next, and its number counted from 1.
    pub(super) expected: Knock,
    pub(super) number: u8,
    /// When the attempt ended.
    pub(super) at: Timestamp,
    pub(super) cause: EndCause,
    pub(super) block: BlockId,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum EndCause {
    TimedOut,
    /// Another knock came first.
    Overtaken {
        by: Port,
    },
}

/// The attempts that ended lately, by source.
#[derive(Debug)]
pub(super) struct Hindsight {
    ended: Bounded<IpAddr, Vec<Ended>>,
}

impl Default for Hindsight {
    fn default() -> Self {
        Self { ended: Bounded::new(Self::MAX_SOURCES) }
    }
}

impl Hindsight {
    const MAX_SOURCES: usize = 16_384;
    const MAX_PER_SOURCE: usize = 8;
    /// How long after a timeout the missing knock is still taken for a late one.
    const LATEST: Duration = Duration::from_secs(60);
    /// How long after it was overtaken a knock is still taken for the same try.
    pub(super) const OVERTAKING: Duration = Duration::from_secs(1);

    /// Remembers the newest attempt of a source at a door.
    pub(super) fn remember(&mut self, place: Place, ended: Ended) {
        if let Some(list) = self.ended.get_mut(&place.0) {
            list.retain(|other| other.door != place.1);
            if list.len() >= Self::MAX_PER_SOURCE {
                list.remove(0);
            }
            list.push(ended);
            return;
        }
        self.ended.insert(place.0, vec![ended]);
    }

    /// Forgets what ended of a source at a door: another try has begun, or none can.
    pub(super) fn forget(&mut self, (source, door): Place) {
        if let Some(list) = self.ended.get_mut(&source) {
            list.retain(|ended| ended.door != door);
        }
    }

    pub(super) fn clear(&mut self) {
        self.ended.clear();
    }

    /// Takes out the attempt that lacked this knock.
    pub(super) fn find(
        &mut self,
        packet: &Packet,
        at: Timestamp,
        doors: &Doors,
        local: &LocalAddresses,
    ) -> Option<Ended> {
        let list = self.ended.get_mut(&packet.source)?;
        let lacks = |ended: &Ended| {
            let latest = match ended.cause {
                EndCause::TimedOut => Self::LATEST,
                EndCause::Overtaken { .. } => Self::OVERTAKING,
            };
            at.saturating_duration_since(ended.at) <= latest
                && doors.all().get(ended.door).is_some_and(|door| {
                    is_knock(door, ended.expected, packet) && sees(door, local, packet)
                })
        };
        let index = list.iter().position(lacks)?;
        Some(list.remove(index))
    }
}

/// Tells whether the packet is this knock for the door (S5).
fn is_knock(door: &Door, knock: Knock, packet: &Packet) -> bool {
    let flags_fit = match packet.transport {
        Transport::Tcp { flags, .. } => door.flags.accept(flags),
        Transport::Udp => true,
    };
    Port::of(knock) == Port(packet.protocol(), packet.destination_port) && flags_fit
}

/// Tells whether the door sees the packet (S4).
fn sees(door: &Door, local: &LocalAddresses, packet: &Packet) -> bool {
    let for_it = if door.targets.is_empty() {
        local.contains(packet.destination)
    } else {
        door.targets.contains(&packet.destination)
    };
    for_it && door.admits(packet.source)
}
