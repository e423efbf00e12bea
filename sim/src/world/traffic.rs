//! Packets: who sends which, and what the network does to them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use knock_engine::config::{Door, Sequence, Sequences};
use knock_engine::packet::{Packet, Protocol, TcpFlags, Transport};

use super::{SCANNER, World};
use crate::ears::Sent;
use crate::schedule::{Act, MILLI, SECOND};
use crate::swarm::Class;

impl World {
    /// Puts a packet on its last way: the network and the kernel do to it what they do.
    pub(super) fn arrive(&mut self, mut sent: Sent) {
        let Some(life) = &mut self.life else { return };
        sent.is_minded = life.oracle.minds(sent.packet.source);
        if self.swarm.strikes(Class::KernelDrops, 200) {
            life.ears.drop_newest(1);
            return;
        }
        life.ears.arrive(sent);
    }

    /// Sends a packet through the network.
    pub(crate) fn send(&mut self, packet: Packet, at: u64) {
        let mut sent = Sent { packet, is_fragment: false, is_minded: true };
        if self.swarm.strikes(Class::Loss, 300) {
            return;
        }
        if self.swarm.strikes(Class::Fragments, 300) {
            sent.is_fragment = packet.source.is_ipv4();
        }
        let mut at = at;
        if self.swarm.strikes(Class::Reordering, 300) {
            at += self.swarm.random(Class::Reordering).span(MILLI, 2 * SECOND);
        }
        if self.swarm.strikes(Class::Duplicates, 300) {
            let again = at + self.swarm.random(Class::Duplicates).span(MILLI, 100 * SECOND);
            self.schedule.add(again, Act::Packet(sent));
        }
        self.schedule.add(at, Act::Packet(sent));
    }

    /// Makes a packet to this machine.
    pub(crate) fn packet(&mut self, source: IpAddr, step: (Protocol, u16)) -> Packet {
        self.next_port = self.next_port.checked_add(1).unwrap_or(1024);
        let destination = match source {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
        };
        let transport = match step.0 {
            Protocol::Udp => Transport::Udp,
            Protocol::Tcp => Transport::Tcp {
                sequence_number: u32::from(self.next_port) << 8,
                flags: TcpFlags::SYN,
            },
        };
        let (source_port, destination_port) = (self.next_port, step.1);
        Packet { source, destination, source_port, destination_port, transport }
    }

    /// Returns the steps that open a door now.
    pub(crate) fn steps(&self, door: &Door) -> Vec<(Protocol, u16)> {
        let steps = |sequence: &Sequence| {
            sequence.knocks().iter().map(|knock| (knock.protocol, knock.port.get())).collect()
        };
        match &door.sequences {
            Sequences::Fixed(sequence) => steps(sequence),
            Sequences::OneTime { lines, .. } => {
                lines.first().map_or_else(Vec::new, |line| steps(&line.sequence))
            }
        }
    }

    /// Returns the doors as the engine has them now.
    pub(crate) fn doors(&self) -> Vec<Arc<Door>> {
        self.life.as_ref().map_or_else(Vec::new, |life| life.daemon.engine().config().doors)
    }

    /// Somebody knocks, right or nearly so.
    pub(super) fn knock(&mut self) {
        let doors = self.doors();
        if doors.is_empty() {
            return;
        }
        let door = &doors[self.random.index(doors.len())];
        let mut steps = self.steps(door);
        let source = *self.random.pick(&self.sources);
        let window = u64::try_from(door.seq_timeout.as_nanos()).unwrap_or(SECOND);
        let is_slow = self.random.chance(100);
        match self.random.below(12) {
            0 => steps.reverse(),
            1 if steps.len() > 1 => steps.truncate(steps.len() - 1),
            2 => steps.insert(steps.len() / 2, (Protocol::Tcp, 7)),
            _ => {}
        }
        let mut at = self.earth.now.get();
        for step in steps.iter().copied() {
            let packet = self.packet(source, step);
            self.send(packet, at);
            let most = (window / (steps.len() as u64)).max(2);
            at += if is_slow { most * 2 } else { self.random.span(1, most) };
        }
        if self.random.chance(200) {
            // They knock again, soon.
            self.schedule.add(at + self.random.span(MILLI, 10 * SECOND), Act::Knock);
        }
    }

    /// First knocks with forged sources, and some of second ones.
    pub(super) fn flood(&mut self) {
        let doors = self.doors();
        let Some(door) = doors.first() else { return };
        let steps = self.steps(door);
        let is_small = self.plan.max_attempts.is_some() || self.minds_everybody();
        let most = if is_small { 200 } else { 12_000 };
        self.swarm.note(Class::Flood);
        let mut random = self.swarm.random(Class::Flood).fork();
        let ports: Vec<_> = steps.iter().copied().chain([(Protocol::Tcp, 9)]).collect();
        for _ in 0..random.span(10, most) {
            let source = Ipv4Addr::new(
                10,
                u8::try_from(random.below(4)).unwrap_or(0),
                u8::try_from(random.below(256)).unwrap_or(0),
                u8::try_from(random.below(256)).unwrap_or(0),
            );
            // Whoever forges a source at random does not send a whole sequence with it.
            let part = ports.len().saturating_sub(2).max(1);
            let is_single = steps.len() < 2;
            let step = if is_single { (Protocol::Tcp, 9) } else { ports[random.index(part)] };
            let packet = self.packet(IpAddr::V4(source), step);
            self.arrive(Sent { packet, is_fragment: false, is_minded: false });
        }
    }

    pub(super) fn minds_everybody(&self) -> bool {
        let stranger = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0));
        self.life.as_ref().is_some_and(|life| life.oracle.minds(stranger))
    }

    /// Wrong knocks with the source of a knocker.
    pub(super) fn forge(&mut self) {
        let doors = self.doors();
        if doors.is_empty() {
            return;
        }
        self.swarm.note(Class::VictimForgery);
        let mut random = self.swarm.random(Class::VictimForgery).fork();
        let victim = *random.pick(&self.sources);
        let steps = self.steps(&doors[random.index(doors.len())]);
        let mut at = self.earth.now.get();
        for _ in 0..random.between(1, 12) {
            let wrong = (Protocol::Tcp, 20_000 + u16::try_from(random.below(50)).unwrap_or(0));
            let step =
                if steps.is_empty() || random.chance(600) { wrong } else { *random.pick(&steps) };
            let packet = self.packet(victim, step);
            self.send(packet, at);
            at += random.span(1, SECOND);
        }
    }

    /// A port scan, in order or at random.
    pub(super) fn scan(&mut self) {
        self.swarm.note(Class::Scans);
        let mut random = self.swarm.random(Class::Scans).fork();
        let is_known = random.chance(500);
        let stranger = IpAddr::V4(Ipv4Addr::from(SCANNER));
        let source = if is_known { *random.pick(&self.sources) } else { stranger };
        let (is_ordered, first) = (random.chance(500), random.between(900, 5000));
        let mut at = self.earth.now.get();
        for step in 0..random.span(20, 600) {
            let port = if is_ordered { first + step } else { random.between(1, 6000) };
            let protocol = if random.chance(200) { Protocol::Udp } else { Protocol::Tcp };
            let packet = self.packet(source, (protocol, u16::try_from(port).unwrap_or(1)));
            self.schedule
                .add(at, Act::Packet(Sent { packet, is_fragment: false, is_minded: true }));
            at += random.span(1000, 20 * MILLI);
        }
    }
}
