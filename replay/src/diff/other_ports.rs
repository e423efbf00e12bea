//! Which other ports a source hit around an opening, by which a scanner is known.

use std::collections::HashMap;
use std::net::IpAddr;

use fixedbitset::FixedBitSet;
use knock_engine::config::Config;
use knock_engine::local::LocalAddresses;
use knock_engine::packet::{Protocol, TcpFlags};
use knock_engine::time::Timestamp;

use super::Difference;
use crate::fleet::Listener;
use crate::run::frames::Candidate;
use crate::scanners::{self, AROUND, DoorPorts};

/// Collects the ports, whatever the engines make of them.
pub(super) struct OtherPorts {
    local: LocalAddresses,
    openings: Vec<Around>,
    /// Which openings are a source's.
    of_source: HashMap<IpAddr, Vec<usize>>,
}

/// What is around an opening.
struct Around {
    from: Timestamp,
    to: Timestamp,
    /// The door as each config has it; at least one does.
    doors: Vec<DoorPorts>,
    /// The other ports: those of TCP, then those of UDP.
    ports: FixedBitSet,
}

impl OtherPorts {
    pub(super) fn new(configs: &[&Config], differences: &[Difference]) -> Self {
        let mut of_source: HashMap<_, Vec<usize>> = HashMap::new();
        let around = |(index, difference): (usize, &Difference)| {
            let opening = &difference.opening;
            of_source.entry(opening.source).or_default().push(index);
            let doors = configs.iter().flat_map(|config| &config.doors);
            let its = doors.filter(|door| door.name == opening.door);
            let before = u64::try_from(AROUND.as_nanos()).unwrap_or(u64::MAX);
            Around {
                from: Timestamp::from_nanos(opening.first.as_nanos().saturating_sub(before)),
                to: opening.at.saturating_add(AROUND),
                doors: its.map(|door| DoorPorts::of(door)).collect(),
                ports: FixedBitSet::new(),
            }
        };
        let openings = differences.iter().enumerate().map(around).collect();
        Self { local: LocalAddresses::Unknown, openings, of_source }
    }

    /// Returns how many there were around an opening.
    pub(super) fn count(&self, opening: usize) -> usize {
        self.openings[opening].ports.count_ones(..)
    }
}

impl Listener for OtherPorts {
    #[inline]
    fn admits(&self, protocol: Protocol, _destination_port: u16, flags: TcpFlags) -> bool {
        scanners::begins(protocol, flags)
    }

    fn local_addresses(&mut self, local: &LocalAddresses) {
        self.local = local.clone();
    }

    fn packet(&mut self, candidate: &Candidate) {
        let Candidate { packet, at, .. } = candidate;
        let Some(openings) = self.of_source.get(&packet.source) else { return };
        let protocol = packet.protocol();
        if !scanners::begins(protocol, scanners::flags(packet)) {
            return;
        }
        let port = (protocol, packet.destination_port);
        let is_other = |door: &DoorPorts| door.has_other(port, packet.destination, &self.local);
        let bit = usize::from(port.1) + if protocol == Protocol::Tcp { 0 } else { 1 << 16 };
        for index in openings {
            let around = &mut self.openings[*index];
            if (around.from..=around.to).contains(at) && around.doors.iter().all(is_other) {
                around.ports.grow_and_insert(bit);
            }
        }
    }
}
