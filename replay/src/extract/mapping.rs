//! What stands in an extract in place of addresses and ports.

use std::net::IpAddr;
use std::sync::Arc;

use etherparse::{IpHeaders, PacketBuilder, PacketBuilderStep, TcpHeader};
use knock_engine::config::{Command, Commands, Config, Door, OneTimeLine, Options, Sequences};
use knock_engine::packet::{Packet, TcpFlags, Transport};

use super::addresses::Addresses;
use super::key::Key;
use super::ports::Ports;

/// Maps packets and configs alike, so that the engine decides alike.
pub(super) struct Mapping {
    addresses: Option<Addresses>,
    ports: Option<Ports>,
}

/// What shall be hidden.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hidden {
    pub(super) addresses: bool,
    pub(super) ports: bool,
}

impl Mapping {
    pub(super) fn new(hidden: Hidden, key: Key) -> Self {
        let ports = hidden.ports.then(|| Ports::new(&key));
        Self { addresses: hidden.addresses.then(|| Addresses::new(key)), ports }
    }

    pub(super) fn address(&mut self, address: IpAddr) -> IpAddr {
        self.addresses.as_mut().map_or(address, |its| its.map(address))
    }

    fn port(&self, port: u16) -> u16 {
        self.ports.as_ref().map_or(port, |its| its.map(port))
    }

    /// Makes a packet anew, from its IP header on: whatever the engine does not look at (S3) is
    /// left behind.
    pub(super) fn packet(&mut self, packet: &Packet, bytes: &mut Vec<u8>) -> std::io::Result<()> {
        let parties = (self.address(packet.source), self.address(packet.destination));
        let from = self.port(packet.source_port);
        let to = self.port(packet.destination_port);
        bytes.clear();
        let built = match packet.transport {
            Transport::Udp => datagram(parties)?.udp(from, to).write(bytes, &[]),
            Transport::Tcp { sequence_number, flags } => {
                let mut header = TcpHeader::new(from, to, sequence_number, u16::MAX);
                header.fin = flags.contains(TcpFlags::FIN);
                header.syn = flags.contains(TcpFlags::SYN);
                header.rst = flags.contains(TcpFlags::RST);
                header.psh = flags.contains(TcpFlags::PSH);
                header.ack = flags.contains(TcpFlags::ACK);
                header.urg = flags.contains(TcpFlags::URG);
                datagram(parties)?.tcp_header(header).write(bytes, &[])
            }
        };
        built.map_err(std::io::Error::other)
    }

    /// Makes the config by which the engine decides about mapped packets as the given one does about
    /// the packets themselves. Commands, which can hold addresses and ports, are left out, and so
    /// are all options that decide nothing.
    pub(super) fn config(&mut self, config: &Config) -> Config {
        let options = Options {
            max_attempts: config.options.max_attempts,
            max_leases: config.options.max_leases,
            ..Options::default()
        };
        let doors = config.doors.iter().map(|door| Arc::new(self.door(door))).collect();
        Config { options, doors }
    }

    fn door(&mut self, door: &Door) -> Door {
        let Door { targets, allow, deny, .. } = door;
        Door {
            sequences: self.sequences(&door.sequences),
            targets: targets.iter().map(|its| self.address(*its)).collect(),
            allow: allow.as_ref().map(|nets| nets.iter().map(|net| self.net(*net)).collect()),
            deny: deny.iter().map(|net| self.net(*net)).collect(),
            ignore_ports: match &self.ports {
                None => door.ignore_ports.clone(),
                Some(ports) => ports.map_set(&door.ignore_ports),
            },
            commands: silent(&door.commands),
            ..door.clone()
        }
    }

    fn net(&mut self, net: ipnet::IpNet) -> ipnet::IpNet {
        self.addresses.as_mut().map_or(net, |its| its.map_net(net))
    }

    fn sequences(&self, sequences: &Sequences) -> Sequences {
        let Some(ports) = &self.ports else { return sequences.clone() };
        match sequences {
            Sequences::Fixed(sequence) => Sequences::Fixed(ports.map_sequence(sequence)),
            Sequences::OneTime { path, lines } => {
                let map = |line: &OneTimeLine| OneTimeLine {
                    number: line.number,
                    sequence: ports.map_sequence(&line.sequence),
                };
                Sequences::OneTime { path: path.clone(), lines: lines.iter().map(map).collect() }
            }
        }
    }
}

/// Returns commands that do nothing, where there are any: whether there are decides (S11).
fn silent(commands: &Commands) -> Commands {
    let plain = |its: &Option<Command>| its.as_ref().and_then(|_| Command::new("true"));
    let v6 = |its: &Option<Option<Command>>| its.as_ref().map(plain);
    Commands {
        start: plain(&commands.start),
        start_v6: v6(&commands.start_v6),
        stop: plain(&commands.stop),
        stop_v6: v6(&commands.stop_v6),
        check: plain(&commands.check),
        check_v6: v6(&commands.check_v6),
    }
}

/// Begins a packet between two addresses of the same family.
fn datagram(parties: (IpAddr, IpAddr)) -> std::io::Result<PacketBuilderStep<IpHeaders>> {
    const HOPS: u8 = 64;
    match parties {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            Ok(PacketBuilder::ipv4(from.octets(), to.octets(), HOPS))
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            Ok(PacketBuilder::ipv6(from.octets(), to.octets(), HOPS))
        }
        _ => Err(std::io::Error::other("a packet between two families of addresses")),
    }
}
