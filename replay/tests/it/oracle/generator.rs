//! Random configs and captures, from a seed.

use std::net::IpAddr;

use knock_replay::knockd08::Families;

use super::case::{Capture, Case, Frame};

/// A small random source (SplitMix64): the same seed gives the same cases for ever.
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Draws from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.between(0, 99) < percent
    }

    pub(super) fn choose<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[usize::try_from(self.between(0, list.len() as u64 - 1)).unwrap()]
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.between(0, 255)).unwrap()
    }
}

const PORTS: [u16; 4] = [7000, 7001, 7002, 7003];
const FLAGS: [&str; 6] = ["fin", "syn", "rst", "psh", "ack", "urg"];

/// The transport protocol of a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp,
    Udp,
}

impl Transport {
    pub(super) fn choose(rng: &mut Rng, udp_percent: u64) -> Self {
        if rng.percent(udp_percent) { Self::Udp } else { Self::Tcp }
    }
}

type Knock = (u16, Transport);

struct Door {
    sequence: Vec<Knock>,
    timeout: &'static str,
    /// The bit's number in the flag byte, and whether it must be set.
    flags: Vec<(usize, bool)>,
    target: Option<&'static str>,
    /// The text of the door's one-time file, in place of the sequence.
    one_time: Option<String>,
    commands: String,
}

/// A packet before it is bytes.
struct Packet {
    at_us: u64,
    source: IpAddr,
    destination: IpAddr,
    protocol: Transport,
    port: u16,
    flags: u8,
}

/// Which cases to make.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Those of the experiments that the rules were found with.
    Plain,
    /// With one-time sequences, `-4`, odd timeouts and targets, commands, other link layers,
    /// damaged headers, VLAN tags and extension headers besides.
    Wild,
}

/// Makes one case.
pub(super) fn case(kind: Kind, seed: u64) -> Case {
    let mut rng = Rng::new(seed);
    let interfaces: [&[&str]; 5] = [
        &["10.0.0.1"],
        &["10.0.0.1", "10.0.0.2"],
        &["10.0.0.1", "2001:db8::1"],
        &["2001:db8::1"],
        &[],
    ];
    let local: Vec<&str> = rng.choose(&interfaces).to_vec();
    let mut doors = doors(&mut rng, kind);
    if !local.contains(&"10.0.0.1") {
        // Without IPv4, knockd survives its last sequence and then reads freed memory; a line
        // that nobody knocks keeps the file from running out.
        doors.iter_mut().filter_map(|door| door.one_time.as_mut()).for_each(|file| *file += " 1\n");
    }
    let packets = packets(&mut rng, &doors, &local);
    let link_type = match kind {
        Kind::Wild if rng.percent(20) => *rng.choose(&[113, 101, 12, 276]),
        Kind::Plain | Kind::Wild => 1,
    };
    let families = match kind {
        Kind::Wild if rng.percent(25) => Families::OnlyIpv4,
        Kind::Plain | Kind::Wild => Families::Both,
    };
    let mut frames = Vec::new();
    for packet in &packets {
        let mut bytes = packet_bytes(packet);
        // Cutting off the header's end would make knockd read memory that is not the capture's.
        if kind == Kind::Wild && !bytes.is_empty() {
            bytes.extend_from_slice(&[0; 64]);
        }
        let ethertype = if packet.source.is_ipv6() { [0x86, 0xdd] } else { [8, 0] };
        let mut frame = with_link(link_type, ethertype, bytes);
        if kind == Kind::Wild {
            spoil(&mut rng, &mut frame, link_type);
        }
        frames.push(Frame { at_ns: packet.at_us * 1000, bytes: frame });
    }
    let name = |index: usize| format!("otp{index}.txt");
    let files = doors
        .iter()
        .enumerate()
        .filter_map(|(index, door)| Some((name(index), door.one_time.clone()?)));
    Case {
        config: config_text(&doors, name).into_bytes(),
        files: files.collect(),
        local: local.iter().map(|ip| ip.parse().unwrap()).collect(),
        families,
        capture: Capture { link_type, frames },
    }
}

fn doors(rng: &mut Rng, kind: Kind) -> Vec<Door> {
    let mut doors: Vec<Door> = Vec::new();
    for index in 0..rng.between(1, 4) {
        let mut sequence = Vec::new();
        if !doors.is_empty() && rng.percent(40) {
            // Share a prefix with another door.
            let other = rng.choose(&doors).sequence.clone();
            let length = usize::try_from(rng.between(1, 3)).unwrap();
            sequence.extend(other.into_iter().take(length));
            for _ in 0..rng.between(0, 2) {
                sequence.push((*rng.choose(&PORTS), Transport::Tcp));
            }
        } else {
            for _ in 0..rng.between(1, 4) {
                sequence.push((*rng.choose(&PORTS), Transport::choose(rng, 33)));
            }
        }
        let flags = flags(rng);
        let target = *rng.choose(&[
            None,
            None,
            None,
            Some("10.9.9.9"),
            Some("2001:db8::99"),
            Some("10.0.0.1"),
        ]);
        let timeout = *rng.choose(&["1", "2", "3", "5"]);
        let mut door =
            Door { sequence, timeout, flags, target, one_time: None, commands: String::new() };
        if kind == Kind::Wild {
            make_wild(rng, &mut door, index);
        }
        doors.push(door);
    }
    doors
}

fn flags(rng: &mut Rng) -> Vec<(usize, bool)> {
    let mut flags: Vec<(usize, bool)> = Vec::new();
    for _ in 0..*rng.choose(&[0, 0, 1, 1, 2]) {
        let bit = usize::try_from(rng.between(0, 5)).unwrap();
        if !flags.iter().any(|&(known, _)| known == bit) {
            flags.push((bit, rng.percent(50)));
        }
    }
    if rng.percent(40) { vec![(1, true)] } else { flags }
}

fn make_wild(rng: &mut Rng, door: &mut Door, index: u64) {
    door.timeout = *rng.choose(&["1", "2", "3", "5", "3s", "0", "-1", "abc", "4294967298"]);
    if rng.percent(10) {
        door.target = Some(*rng.choose(&["2001:DB8::99", "10.9.9.09", "10.0.0.77"]));
    }
    if rng.percent(30) {
        door.one_time = Some(one_time_text(rng, &mut door.sequence));
    }
    let names = ["start_command", "stop_command", "start_command_6", "stop_command_6"];
    for name in names {
        if rng.percent(40) {
            let value =
                if rng.percent(15) { String::new() } else { format!("{name}-{index} %IP%") };
            door.commands += &format!(" {name} = {value}\n");
        }
    }
    if rng.percent(50) {
        door.commands += &format!(" cmd_timeout = {}\n", rng.choose(&["0", "7", "-1", "2x"]));
    }
}

/// Makes a one-time file and puts all its knocks in `sequence`, so that the packets play them.
fn one_time_text(rng: &mut Rng, sequence: &mut Vec<Knock>) -> String {
    let mut text = String::new();
    let mut knocks = Vec::new();
    for _ in 0..rng.between(1, 6) {
        match rng.between(0, 9) {
            0 => text += "# comment\n",
            1 => text += "\n",
            2 => text += "99999\n",
            _ => {
                let line: Vec<Knock> = (0..rng.between(1, 3))
                    .map(|_| (*rng.choose(&PORTS), Transport::choose(rng, 20)))
                    .collect();
                text += &format!(" {}\n", sequence_text(&line));
                knocks.extend(line);
            }
        }
    }
    if !knocks.is_empty() {
        *sequence = knocks;
    }
    text
}

fn packets(rng: &mut Rng, doors: &[Door], local: &[&str]) -> Vec<Packet> {
    let mut destinations = if local.is_empty() { vec!["10.0.0.1"] } else { local.to_vec() };
    destinations.extend(destinations.clone());
    destinations.extend(doors.iter().filter_map(|door| door.target));
    destinations.push("10.0.0.77");
    let sources_v4: Vec<_> = (1..rng.between(2, 5)).map(|i| format!("192.0.2.{i}")).collect();
    let sources_v6 = ["2001:db8:f::1".to_owned(), "2001:db8:f::2".to_owned()];
    let mut play = Vec::new();
    let mut at_us = 1_700_000_000_000_000 + rng.between(0, 999_999);
    let mut packets = Vec::new();
    for _ in 0..rng.between(5, 60) {
        at_us = later(rng, at_us);
        let mut destination = *rng.choose(&destinations);
        let is_v6 = destination.contains(':');
        let source = if is_v6 { rng.choose(&sources_v6) } else { rng.choose(&sources_v4) }.clone();
        let (port, protocol, flags) = if rng.percent(80) {
            let (knock, door) = next_knock(rng, doors, &source, &mut play);
            if let Some(target) = door.target
                && target.contains(':') == is_v6
                && rng.percent(80)
            {
                destination = target;
            }
            let wanted = door.flags.iter().filter(|(_, set)| *set);
            let wanted = wanted.fold(0, |flags, (bit, _)| flags | 1 << bit);
            (knock.0, knock.1, if rng.percent(85) { wanted } else { rng.byte() & 63 })
        } else {
            let port = *rng.choose(&[PORTS[0], PORTS[1], PORTS[2], PORTS[3], 22]);
            let any = rng.byte() & 63;
            (port, Transport::choose(rng, 50), *rng.choose(&[2, 2, 16, 18, 1, any]))
        };
        packets.push(Packet {
            at_us,
            source: source.parse().unwrap(),
            destination: parse_address(destination),
            protocol,
            port,
            flags,
        });
    }
    packets
}

/// Parses a target, also one with a leading zero.
fn parse_address(text: &str) -> IpAddr {
    text.replace(".09", ".9").parse().unwrap()
}

fn later(rng: &mut Rng, at_us: u64) -> u64 {
    if rng.percent(1) {
        return at_us - 200_000;
    }
    let random = rng.between(0, 2_500_000);
    at_us + *rng.choose(&[0, 1000, 100_000, 300_000, 700_000, 1_000_000, random, 50_000])
}

/// Plays some door's sequence onward, with a few wrong knocks.
fn next_knock<'a>(
    rng: &mut Rng,
    doors: &'a [Door],
    source: &str,
    play: &mut Vec<(String, usize, usize)>,
) -> (Knock, &'a Door) {
    let any_door = |rng: &mut Rng| usize::try_from(rng.between(0, doors.len() as u64 - 1)).unwrap();
    let place = play.iter().position(|(who, ..)| who == source).unwrap_or_else(|| {
        play.push((source.to_owned(), any_door(rng), 0));
        play.len() - 1
    });
    let (_, door, knock) = play[place].clone();
    let sequence = &doors[door].sequence;
    let played = if rng.percent(90) {
        sequence[knock]
    } else {
        (*rng.choose(&PORTS), Transport::choose(rng, 50))
    };
    let goes_on = knock + 1 < sequence.len() && rng.percent(95);
    let next = if goes_on { (door, knock + 1) } else { (any_door(rng), 0) };
    play[place] = (source.to_owned(), next.0, next.1);
    (played, &doors[door])
}

fn sequence_text(sequence: &[Knock]) -> String {
    let knocks = sequence.iter().map(|(port, protocol)| match protocol {
        Transport::Tcp => format!("{port}:tcp"),
        Transport::Udp => format!("{port}:udp"),
    });
    knocks.collect::<Vec<_>>().join(",")
}

fn config_text(doors: &[Door], file_name: impl Fn(usize) -> String) -> String {
    let mut text = "[options]\n".to_owned();
    for (index, door) in doors.iter().enumerate() {
        text += &format!("[d{index}]\n");
        text += &match &door.one_time {
            Some(_) => format!(" one_time_sequences = {}\n", file_name(index)),
            None => format!(" sequence = {}\n", sequence_text(&door.sequence)),
        };
        text += &format!(" seq_timeout = {}\n", door.timeout);
        let flags = door
            .flags
            .iter()
            .map(|(bit, set)| format!("{}{}", if *set { "" } else { "!" }, FLAGS[*bit]));
        let flags = flags.collect::<Vec<_>>().join(",");
        if !flags.is_empty() {
            text += &format!(" tcpflags = {flags}\n");
        }
        if let Some(target) = door.target {
            text += &format!(" target = {target}\n");
        }
        text += &door.commands;
    }
    text
}

/// Makes an Ethernet frame of a packet with a protocol, a destination port and TCP flags.
pub(super) fn ethernet_frame(
    source: &str,
    destination: &str,
    (protocol, port, flags): (Transport, u16, u8),
) -> Vec<u8> {
    let source = parse_address(source);
    let ethertype = if source.is_ipv6() { [0x86, 0xdd] } else { [8, 0] };
    let destination = parse_address(destination);
    let packet = Packet { at_us: 0, source, destination, protocol, port, flags };
    with_link(1, ethertype, packet_bytes(&packet))
}

fn packet_bytes(packet: &Packet) -> Vec<u8> {
    let mut transport = [40_000_u16.to_be_bytes(), packet.port.to_be_bytes()].concat();
    let number = match packet.protocol {
        Transport::Tcp => {
            let rest = [0, 0, 0, 1, 0, 0, 0, 0, 0x50, packet.flags, 0xff, 0xff, 0, 0, 0, 0];
            transport.extend_from_slice(&rest);
            6
        }
        Transport::Udp => {
            transport.extend_from_slice(&[0, 8, 0, 0]);
            17
        }
    };
    let length = u8::try_from(transport.len()).unwrap();
    let mut bytes = match (packet.source, packet.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut header = vec![0x45, 0, 0, 20 + length, 0, 1, 0, 0, 64, number, 0, 0];
            header.extend_from_slice(&source.octets());
            header.extend_from_slice(&destination.octets());
            header
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let mut header = vec![0x60, 0, 0, 0, 0, length, number, 64];
            header.extend_from_slice(&source.octets());
            header.extend_from_slice(&destination.octets());
            header
        }
        _ => unreachable!("a packet's addresses are of one family"),
    };
    bytes.extend_from_slice(&transport);
    bytes
}

fn with_link(link_type: u32, ethertype: [u8; 2], packet: Vec<u8>) -> Vec<u8> {
    let mut frame = match link_type {
        1 => vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2],
        113 => vec![0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 2, 0, 0],
        _ => return packet,
    };
    frame.extend_from_slice(&ethertype);
    frame.extend(packet);
    frame
}

/// Damages a frame's headers now and then, or puts a tag or an extension header in.
fn spoil(rng: &mut Rng, frame: &mut Vec<u8>, link_type: u32) {
    let ip = match link_type {
        1 => 14,
        113 => 16,
        _ => 0,
    };
    match rng.between(0, 19) {
        0 => {
            // The version and the header length.
            frame[ip] = rng.byte();
        }
        1 => frame[ip] = 0x40 | rng.byte() & 0x0f,
        2 => {
            let at = usize::try_from(rng.between(0, 47)).unwrap();
            frame[at] = rng.byte();
        }
        3 if ip == 14 => {
            let tag = *rng.choose(&[[0x81, 0, 0, 5], [0x88, 0xa8, 0, 5], [8, 0, 8, 0]]);
            frame.splice(12..12, tag);
        }
        4 if frame[ip] >> 4 == 6 => {
            let next = std::mem::replace(&mut frame[ip + 6], *rng.choose(&[0, 43, 44, 60]));
            frame.splice(ip + 40..ip + 40, [next, 0, 0, 0, 0, 0, 0, 0]);
        }
        5 if frame[ip] >> 4 == 4 => {
            // A fragment, first or later.
            frame[ip + 6] = *rng.choose(&[0x20, 0x40, 0x00, 0x1f]);
            frame[ip + 7] = *rng.choose(&[0, 0, 4]);
        }
        6 => {
            let number = if frame[ip] >> 4 == 6 { ip + 6 } else { ip + 9 };
            frame[number] = *rng.choose(&[1, 2, 6, 17, 58]);
        }
        _ => {}
    }
}
