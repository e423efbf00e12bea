//! Loads in which knocks hide among other traffic: P1 and P4.

use std::io::{self, Write};

use knock_engine::packet::{Packet, TcpFlags, Transport};

use super::address::{client, peer_v4, peer_v6, stranger};
use super::traffic::{Traffic, local};
use super::{KNOCK_PORTS, Plan};
use crate::frame::LONGEST;

/// The length of a full-size frame in P4.
pub(super) const FULL_SIZE: u16 = LONGEST;

/// The hosts that talk to the services.
const PEERS: u64 = 20_000;
/// The services; the first is the busiest.
const SERVICES: [u16; 6] = [443, 443, 443, 80, 25, 22];

/// P1: background, and in it exactly the planned number of SYNs, spread evenly by chance.
///
/// Of the SYNs to knock ports, an honest client's three come in a row every 1,000; the others
/// come from strangers that scan. Other SYNs, 0.5 % of all packets, are new connections to the
/// services (four in five) and scans of random ports. That is a busy server's share: a connection
/// of 200 incoming packets begins with one SYN. About 10,000 packets come per second.
pub(super) fn mixed<W: Write>(mut traffic: Traffic<W>, plan: Plan) -> io::Result<()> {
    let mut knocks_left = plan.knock_syns;
    let mut others_left = plan.other_syns;
    for packets_left in (1..=plan.packets).rev() {
        // Selection sampling: with the shares of what is left, the totals come out exactly.
        let drawn = traffic.random.below(packets_left);
        if drawn < knocks_left {
            knock(&mut traffic, plan.knock_syns - knocks_left)?;
            knocks_left -= 1;
        } else if drawn < knocks_left + others_left {
            other_syn(&mut traffic)?;
            others_left -= 1;
        } else {
            background(&mut traffic)?;
        }
        let gap_us = traffic.random.below(200);
        traffic.wait_us(gap_us);
    }
    traffic.finish()
}

/// P4: full-size data segments, whole, and honest clients whose knocks are spread evenly.
pub(super) fn bulk<W: Write>(mut traffic: Traffic<W>, plan: Plan) -> io::Result<()> {
    let spacing = plan.packets / plan.knock_syns;
    let mut knocks = 0;
    for index in 0..plan.packets {
        if index % spacing == spacing / 2 && knocks < plan.knock_syns {
            traffic.syn(client(knocks / 3), port_of(knocks % 3))?;
            knocks += 1;
        } else {
            let packet = data(&mut traffic);
            traffic.send(&packet, FULL_SIZE)?;
        }
        // A gigabit line.
        traffic.wait_us(12);
    }
    traffic.finish()
}

/// Sends the SYN to a knock port that has this number among them.
fn knock<W: Write>(traffic: &mut Traffic<W>, number: u64) -> io::Result<()> {
    let step = number % 1000;
    if step < 3 {
        return traffic.syn(client(number / 1000), port_of(step));
    }
    let index = traffic.random.below(1 << 27);
    let port = port_of(traffic.random.below(3));
    traffic.syn(stranger(index), port)
}

fn port_of(step: u64) -> u16 {
    usize::try_from(step)
        .ok()
        .and_then(|index| KNOCK_PORTS.get(index).copied())
        .expect("a step is below three")
}

fn other_syn<W: Write>(traffic: &mut Traffic<W>) -> io::Result<()> {
    if traffic.random.chance(800) {
        let peer = peer(traffic);
        let port = service(traffic);
        return traffic.syn(peer, port);
    }
    let index = traffic.random.below(1 << 27);
    let port = traffic.random.between(1, u16::MAX);
    // A scan that happens to hit a knock port would be one knock too many.
    let port = if KNOCK_PORTS.contains(&port) { port + 1 } else { port };
    traffic.syn(stranger(index), port)
}

/// Sends a packet that begins nothing: in 1,000, 150 are UDP, 350 bare acknowledgements, 10 end a
/// connection, 5 are answers to SYNs that this host sent, and the rest is data.
fn background<W: Write>(traffic: &mut Traffic<W>) -> io::Result<()> {
    let kind = traffic.random.below(1000);
    let mut packet = data(traffic);
    let length = match kind {
        0..150 => {
            packet.transport = Transport::Udp;
            traffic.random.between(60, 1400)
        }
        150..500 => with_flags(&mut packet, TcpFlags::ACK, 60),
        500..506 => with_flags(&mut packet, TcpFlags::FIN.union(TcpFlags::ACK), 60),
        506..510 => with_flags(&mut packet, TcpFlags::RST, 60),
        510..515 => {
            packet.source_port = 443;
            packet.destination_port = traffic.ephemeral_port();
            with_flags(&mut packet, TcpFlags::SYN.union(TcpFlags::ACK), 74)
        }
        515..800 => 1500,
        _ => traffic.random.between(60, 1500),
    };
    traffic.send(&packet, length)
}

/// Makes a data segment: seven in ten from a client of a service here, the others from a service
/// elsewhere; 15 % by IPv6.
fn data<W: Write>(traffic: &mut Traffic<W>) -> Packet {
    let source = peer(traffic);
    let (service, ephemeral) = (service(traffic), traffic.ephemeral_port());
    let incoming = traffic.random.chance(700);
    let (source_port, destination_port) =
        if incoming { (ephemeral, service) } else { (service, ephemeral) };
    let pushed = if traffic.random.chance(250) { TcpFlags::PSH } else { TcpFlags::NONE };
    let transport = Transport::Tcp {
        sequence_number: traffic.random.word(),
        flags: TcpFlags::ACK.union(pushed),
    };
    Packet { source, destination: local(source), source_port, destination_port, transport }
}

fn with_flags(packet: &mut Packet, new_flags: TcpFlags, length: u16) -> u16 {
    if let Transport::Tcp { flags, .. } = &mut packet.transport {
        *flags = new_flags;
    }
    length
}

fn peer<W: Write>(traffic: &mut Traffic<W>) -> std::net::IpAddr {
    let index = traffic.random.below(PEERS);
    if traffic.random.chance(150) { peer_v6(index) } else { peer_v4(index) }
}

fn service<W: Write>(traffic: &mut Traffic<W>) -> u16 {
    traffic.random.pick(&SERVICES).expect("there are services")
}
