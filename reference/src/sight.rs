//! What a door sees, and what of it concerns the door (S4, S5).

use std::net::IpAddr;

use knock_engine::config::Knock;
use knock_engine::packet::{Packet, Protocol, Transport};

use crate::Reference;

/// How a packet concerns a door (S5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Concern {
    /// It is this knock, which is a step of the door's sequence.
    Knock(Knock),
    /// It is a stray.
    Stray,
}

impl Reference {
    /// Tells whether a packet concerns any door (S5). What concerns none changes nothing, so a
    /// capture filter may drop it.
    #[must_use]
    pub fn concerns(&self, packet: &Packet) -> bool {
        (0..self.doors.len()).any(|door| self.concern(door, packet).is_some())
    }

    /// S5: how a packet concerns a door; `None` where it does not exist for the door. A door
    /// without a line left ignores everything (S12).
    pub(crate) fn concern(&self, door: usize, packet: &Packet) -> Option<Concern> {
        self.doors[door].sequence()?;
        if !self.sees(door, packet) {
            return None;
        }
        match self.step_with_its_port(door, packet) {
            Some(knock) => self.has_knock_flags(door, packet).then_some(Concern::Knock(knock)),
            None => self.is_stray(door, packet).then_some(Concern::Stray),
        }
    }

    /// S4: destination and source must suit the door.
    fn sees(&self, door: usize, packet: &Packet) -> bool {
        self.is_for(door, packet.destination) && self.doors[door].door.admits(packet.source)
    }

    /// S4: one of the targets or, without targets, a local address.
    fn is_for(&self, door: usize, destination: IpAddr) -> bool {
        let targets = &self.doors[door].door.targets;
        if targets.is_empty() {
            self.local.contains(destination)
        } else {
            targets.contains(&destination)
        }
    }

    /// The step of the door's sequence that has the packet's protocol and destination port.
    fn step_with_its_port(&self, door: usize, packet: &Packet) -> Option<Knock> {
        let knocks = self.doors[door].sequence()?.knocks();
        let its = (packet.protocol(), packet.destination_port);
        knocks.iter().copied().find(|knock| (knock.protocol, knock.port.get()) == its)
    }

    /// S5: a TCP knock has the door's knock flags; UDP has no flags.
    fn has_knock_flags(&self, door: usize, packet: &Packet) -> bool {
        match packet.transport {
            Transport::Tcp { flags, .. } => self.doors[door].door.flags.accept(flags),
            Transport::Udp => true,
        }
    }

    /// S5: whether a packet to a port that is no step of its protocol is a stray.
    fn is_stray(&self, door: usize, packet: &Packet) -> bool {
        let state = &self.doors[door];
        if state.door.max_strays.is_none() {
            return false;
        }
        if state.door.ignore_ports.contains(packet.protocol(), packet.destination_port) {
            return false;
        }
        match packet.protocol() {
            Protocol::Tcp => {
                packet.is_initial_syn()
                    || self.has_knock_flags(door, packet) && !state.door.flags.accept_data()
            }
            Protocol::Udp => {
                state.sequence().is_some_and(|sequence| state.door.has_udp_strays(sequence))
            }
        }
    }
}
