//! What port scans, and the knocks of other doors, do to a door: found by running the engine.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use knock_engine::config::{Config, Door, Options, Sequence, Sequences};
use knock_engine::local::LocalAddresses;
use knock_engine::output::{Event, EventKind, Output};
use knock_engine::packet::{Packet, Protocol, TcpFlags, Transport};
use knock_engine::time::Timestamp;
use knock_engine::{Engine, HashKey};

/// How many packets a second a simulated scan sends.
pub(super) const SCAN_RATE: u64 = 100_000;

/// The gap between two packets of a scan.
const GAP: Duration = Duration::from_nanos(1_000_000_000 / SCAN_RATE);

/// Long enough for every attempt of a usual door to be over.
const PAUSE: Duration = Duration::from_secs(10);

const DESTINATION: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const SCANNER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));

/// What a scanner sends to each port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// TCP with these flags.
    Tcp(TcpFlags, &'static str),
    /// UDP.
    Udp,
    /// A SYN, then UDP.
    Both,
}

const FIN_PSH_URG: TcpFlags = TcpFlags::FIN.union(TcpFlags::PSH).union(TcpFlags::URG);

/// The usual SYN scan.
pub(super) const SYN: Probe = Probe::Tcp(TcpFlags::SYN, "SYN");

/// The scans by other flags that scanners offer.
pub(super) const FLAG_PROBES: [Probe; 6] = [
    Probe::Tcp(TcpFlags::ACK, "ACK"),
    Probe::Tcp(TcpFlags::FIN, "FIN"),
    Probe::Tcp(TcpFlags::NONE, "NULL"),
    Probe::Tcp(FIN_PSH_URG, "Xmas"),
    Probe::Tcp(TcpFlags::FIN.union(TcpFlags::ACK), "FIN+ACK"),
    Probe::Tcp(TcpFlags::SYN.union(TcpFlags::ACK), "SYN+ACK"),
];

impl Probe {
    /// Tells whether it sends packets of this protocol.
    pub(super) const fn has(self, protocol: Protocol) -> bool {
        match self {
            Self::Tcp(..) => matches!(protocol, Protocol::Tcp),
            Self::Udp => matches!(protocol, Protocol::Udp),
            Self::Both => true,
        }
    }

    /// Returns its name, as in "a SYN scan".
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Tcp(_, name) => name,
            Self::Udp => "UDP",
            Self::Both => "SYN and UDP",
        }
    }
}

/// In which order a scanner visits ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// From 1 up.
    Ascending,
    /// From 65535 down.
    Descending,
}

impl Order {
    /// Both orders.
    pub(super) const BOTH: [Self; 2] = [Self::Ascending, Self::Descending];

    /// Returns its name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ascending => "ascending",
            Self::Descending => "descending",
        }
    }

    /// Returns its name in front of which an article stands.
    pub(super) const fn with_article(self) -> &'static str {
        match self {
            Self::Ascending => "an ascending",
            Self::Descending => "a descending",
        }
    }
}

/// How a scan fared at a door.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fate {
    /// Whether it opened the door.
    pub(super) opened: bool,
    /// The knocks that it matched, at best.
    pub(super) stage: usize,
    /// Other ports that the attempt which opened it met on its way.
    pub(super) strays: usize,
}

/// Returns the door as a stranger finds it whom it sees: with this sequence, without lists of
/// addresses, lockouts and commands. It is named by its number.
pub(super) fn bare(door: &Door, sequence: &Sequence, number: usize) -> Arc<Door> {
    let mut bare = door.clone();
    bare.name = number.to_string();
    bare.sequences = Sequences::Fixed(sequence.clone());
    bare.targets = Vec::new();
    bare.allow = None;
    bare.deny = Vec::new();
    bare.failure_limit = None;
    // No packet here comes twice, so none need be remembered; with thousands of doors that counts.
    bare.retransmit_window = Duration::ZERO;
    bare.commands = knock_engine::config::Commands::default();
    Arc::new(bare)
}

fn engine(doors: Vec<Arc<Door>>) -> Engine {
    let config = Config { options: Options::default(), doors };
    Engine::new(config, LocalAddresses::Unknown, HashKey::default())
}

/// Scans these ports at all doors, which are numbered by [`bare`], and notes how each fared.
pub(super) fn scan(
    doors: &[Arc<Door>],
    probe: Probe,
    ports: impl Iterator<Item = u16>,
    fates: &mut [Fate],
) {
    let mut strays = vec![0; fates.len()];
    let mut engine = engine(doors.to_vec());
    let mut sender = Sender::new(SCANNER);
    for port in ports {
        let tcp = |flags| (Protocol::Tcp, flags);
        let (first, second) = match probe {
            Probe::Tcp(flags, _) => (tcp(flags), None),
            Probe::Udp => ((Protocol::Udp, TcpFlags::NONE), None),
            Probe::Both => (tcp(TcpFlags::SYN), Some((Protocol::Udp, TcpFlags::NONE))),
        };
        for (protocol, flags) in [Some(first), second].into_iter().flatten() {
            sender.send(&mut engine, protocol, flags, port);
        }
        while let Some(output) = engine.poll_output() {
            note(&output, fates, &mut strays);
        }
    }
}

fn note(output: &Output, fates: &mut [Fate], strays: &mut [usize]) {
    let Output::Event(Event::Door(event)) = output else { return };
    let Ok(number) = event.door.name.parse::<usize>() else { return };
    let stage = event.progress.map_or(0, |progress| usize::from(progress.stage));
    let fate = &mut fates[number];
    match event.kind {
        EventKind::Stage => {
            fate.stage = fate.stage.max(stage);
            if stage == 1 {
                strays[number] = 0;
            }
        }
        EventKind::Stray => strays[number] += 1,
        EventKind::Open if !fate.opened => {
            fate.opened = true;
            fate.strays = strays[number];
        }
        EventKind::Open
        | EventKind::Duplicate
        | EventKind::Repeat
        | EventKind::Restart
        | EventKind::Reset(_)
        | EventKind::Timeout
        | EventKind::Renew
        | EventKind::Close
        | EventKind::Suppressed
        | EventKind::Refused
        | EventKind::Lockout
        | EventKind::Evicted => {}
    }
}

/// Knocks at a door, which is numbered 0, with UDP packets to so many other ports in front of each
/// of its UDP knocks and as many behind it, as in a scan, and tells how that fared.
pub(super) fn knock_among_udp(door: &Arc<Door>, sequence: &Sequence, others: usize) -> Fate {
    let (mut fates, mut strays) = ([Fate::default()], [0]);
    let mut engine = engine(vec![Arc::clone(door)]);
    let mut sender = Sender::new(SCANNER);
    let is_other = |port: &u16| sequence.knocks().iter().all(|knock| knock.port.get() != *port);
    for knock in sequence.knocks() {
        let others = if knock.protocol == Protocol::Udp { others } else { 0 };
        let mut others: Vec<_> =
            all_ports(Order::Ascending).filter(is_other).take(2 * others).collect();
        let behind = others.split_off(others.len() / 2);
        for port in others {
            sender.send(&mut engine, Protocol::Udp, TcpFlags::NONE, port);
        }
        sender.send(&mut engine, knock.protocol, door.flags.required(), knock.port.get());
        for port in behind {
            sender.send(&mut engine, Protocol::Udp, TcpFlags::NONE, port);
        }
    }
    while let Some(output) = engine.poll_output() {
        note(&output, &mut fates, &mut strays);
    }
    fates[0]
}

/// Returns all ports in an order.
pub(super) fn all_ports(order: Order) -> Box<dyn Iterator<Item = u16>> {
    match order {
        Order::Ascending => Box::new(1..=u16::MAX),
        Order::Descending => Box::new((1..=u16::MAX).rev()),
    }
}

/// Knocks at each door in turn, each time as somebody else, and tells which other doors it opened:
/// pairs of the door that was knocked at and one that opened with it.
pub(super) fn knocks(doors: &[Arc<Door>]) -> Vec<(usize, usize)> {
    let mut engine = engine(doors.to_vec());
    let mut pairs = Vec::new();
    let mut now = Timestamp::ZERO.saturating_add(PAUSE);
    for (number, door) in doors.iter().enumerate() {
        let Sequences::Fixed(sequence) = &door.sequences else { continue };
        let mut sender = Sender::new(source(number));
        sender.now = now;
        for knock in sequence.knocks() {
            sender.send(&mut engine, knock.protocol, door.flags.required(), knock.port.get());
        }
        while let Some(output) = engine.poll_output() {
            if let Output::Event(Event::Door(event)) = output
                && event.kind == EventKind::Open
                && event.source == sender.source
                && let Ok(opened) = event.door.name.parse::<usize>()
                && opened != number
                && pairs.last() != Some(&(number, opened))
            {
                pairs.push((number, opened));
            }
        }
        now = now.saturating_add(PAUSE);
    }
    pairs
}

/// Returns an address for each number: there are more than a config can have doors.
fn source(number: usize) -> IpAddr {
    let number = u32::try_from(number).unwrap_or(u32::MAX) & 0x00ff_ffff;
    IpAddr::V4(Ipv4Addr::from(0x0a00_0000 | number))
}

/// Somebody who sends packets, each from a new port and with a new sequence number.
struct Sender {
    source: IpAddr,
    count: u32,
    now: Timestamp,
}

impl Sender {
    fn new(source: IpAddr) -> Self {
        Self { source, count: 0, now: Timestamp::ZERO.saturating_add(PAUSE) }
    }

    fn send(&mut self, engine: &mut Engine, protocol: Protocol, flags: TcpFlags, port: u16) {
        self.count += 1;
        self.now = self.now.saturating_add(GAP);
        let transport = match protocol {
            Protocol::Tcp => Transport::Tcp { sequence_number: self.count, flags },
            Protocol::Udp => Transport::Udp,
        };
        let packet = Packet {
            source: self.source,
            destination: DESTINATION,
            source_port: 40_000,
            destination_port: port,
            transport,
        };
        engine.handle_packet(&packet, self.now);
    }
}
