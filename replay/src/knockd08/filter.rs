//! The capture filter that knockd 0.8 makes of its config (R1-R7, R48): what it can see at all.

use knock_engine::packet::Protocol;

use super::config::{DoorConfig, FlagSpec, Knock, Target};
use super::decode::Filtered;
use super::host::{Family, Host};

/// The filter: for each family one term for each door, in config order; IPv4 first.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    ipv4: Vec<Term>,
    ipv6: Vec<Term>,
}

impl Filter {
    /// Makes the filter, or none where knockd sets none: without addresses or without doors (R6).
    pub(super) fn new(doors: &[DoorConfig], host: &Host) -> Option<Self> {
        if doors.is_empty() || !(host.has(Family::Ipv4) || host.has(Family::Ipv6)) {
            return None;
        }
        let terms = |family| {
            let doors = doors.iter().filter(|_| host.has(family));
            doors.map(|door| Term::new(door, &door.sequence)).collect()
        };
        Some(Self { ipv4: terms(Family::Ipv4), ipv6: terms(Family::Ipv6) })
    }

    /// Makes the IPv4 term of a door anew for its next sequence; the IPv6 term stays (R48).
    pub(super) fn renew(&mut self, index: usize, door: &DoorConfig, sequence: &[Knock]) {
        if let Some(term) = self.ipv4.get_mut(index) {
            *term = Term::new(door, sequence);
        }
    }

    /// Tells whether the filter lets a packet through.
    pub(super) fn passes(&self, packet: &Filtered, host: &Host) -> bool {
        self.families()
            .into_iter()
            .any(|(family, terms)| terms.iter().any(|term| term.passes(packet, family, host)))
    }

    /// Tells whether the filter can never be true, which libpcap refuses (R7).
    pub(super) fn rejects_all(&self, host: &Host) -> bool {
        let mut terms = self
            .families()
            .into_iter()
            .flat_map(|(family, terms)| terms.iter().map(move |term| (family, term)));
        terms.all(|(family, term)| term.rejects_all(family, host))
    }

    fn families(&self) -> [(Family, &[Term]); 2] {
        [(Family::Ipv4, &self.ipv4), (Family::Ipv6, &self.ipv6)]
    }
}

/// What one door adds to the filter for one family.
#[derive(Clone, Debug)]
struct Term {
    tcp: Vec<u16>,
    udp: Vec<u16>,
    flags: FlagSpec,
    target: Option<Target>,
}

impl Term {
    fn new(door: &DoorConfig, sequence: &[Knock]) -> Self {
        let ports = |protocol: Protocol| {
            let knocks = sequence.iter().filter(|knock| knock.protocol == protocol);
            knocks.map(|knock| knock.port).collect()
        };
        Self {
            tcp: ports(Protocol::Tcp),
            udp: ports(Protocol::Udp),
            flags: door.flags,
            target: door.target,
        }
    }

    fn passes(&self, packet: &Filtered, family: Family, host: &Host) -> bool {
        let here = match self.target {
            Some(target) => packet.destination == target.address,
            None => Family::of(packet.destination) == family && host.contains(packet.destination),
        };
        let ports = match packet.protocol {
            Protocol::Tcp => &self.tcp,
            Protocol::Udp => &self.udp,
        };
        if !here || !ports.contains(&packet.port) {
            return false;
        }
        if packet.protocol == Protocol::Udp || self.flags.is_empty() {
            return true;
        }
        // The expression for flags reads one family only (R5). Where they were not captured it is
        // false; libpcap leaves it out where another term is true anyway.
        Family::of(packet.destination) == family
            && packet.flags.is_some_and(|flags| self.flags.accepts(flags))
    }

    fn rejects_all(&self, family: Family, host: &Host) -> bool {
        let host_of_family = match self.target {
            Some(target) => Family::of(target.address) == family,
            None => host.has(family),
        };
        self.udp.is_empty() && !self.flags.is_empty() && !host_of_family
    }
}
