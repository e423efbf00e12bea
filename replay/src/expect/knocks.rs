//! Knocks written out: `198.51.100.7 2222/udp, +300ms 3333/tcp, +300ms 4444/udp`.
//!
//! A line is what one source sends: its address, `-> DESTINATION` where that matters, and packets
//! behind commas. Time begins at 0 in every line, so several lines happen side by side.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use knock_engine::packet::{Packet, Protocol, TcpFlags, Transport};
use knock_engine::time::Timestamp;

use super::problem::quote;
use super::span;
use crate::report::Origin;
use crate::run::frames::Candidate;

/// Where knocks go when nothing says where: addresses for documentation.
const DESTINATION_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const DESTINATION_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

/// What is wrong in a text of knocks, and at which of its bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) at: Range<usize>,
    pub(super) message: String,
    pub(super) help: String,
}

/// Everything that is sent in a case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Script {
    lines: Vec<Line>,
}

/// What one source sends.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    /// Its number in the text, counted from 1.
    number: usize,
    source: IpAddr,
    destination: Option<IpAddr>,
    volleys: Vec<Volley>,
}

/// A packet, or a run of like ones.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Volley {
    when: When,
    ports: RangeInclusive<u16>,
    protocol: Protocol,
    flags: TcpFlags,
    times: u32,
    every: Duration,
    fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// So long after the packet before on the line.
    After(Duration),
    /// So long after the beginning.
    At(Duration),
}

/// What becomes of a packet on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Arrives,
    Lost,
    /// It is the same packet as an earlier one, sent again by the kernel.
    Retransmitted,
}

impl Volley {
    fn packets(&self) -> u64 {
        let ports = u64::from(*self.ports.end() - *self.ports.start()) + 1;
        ports * u64::from(self.times)
    }

    /// How long after its first packet its last one is sent.
    fn length(&self) -> Duration {
        let gaps = u32::try_from(self.packets() - 1).unwrap_or(u32::MAX);
        self.every.saturating_mul(gaps)
    }
}

impl Script {
    /// The most packets of a case, lost ones included.
    pub(super) const MAX_PACKETS: u64 = 1_000_000;

    /// The most lines of a case.
    pub(super) const MAX_LINES: usize = 100_000;

    /// Reads a text of knocks.
    ///
    /// # Errors
    ///
    /// Tells everything that is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, Vec<Wrong>> {
        let mut parser = Parser { text, wrong: Vec::new(), packets: 0 };
        let mut lines = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default();
            if !line.trim().is_empty() {
                lines.extend(parser.line(number, line));
            }
            if parser.packets > Self::MAX_PACKETS || lines.len() > Self::MAX_LINES {
                let most = format!(
                    "a case has at most {} packets, on {} lines",
                    Self::MAX_PACKETS,
                    Self::MAX_LINES
                );
                parser.wrong(line.trim(), "up to here these are too many packets", &most);
                break;
            }
        }
        if parser.wrong.is_empty() { Ok(Self { lines }) } else { Err(parser.wrong) }
    }

    /// Returns the packets that arrive, in the order of their times; equal ones as the lines have
    /// them. `local` are the case's local addresses: the first of a family is where knocks go.
    ///
    /// A packet's origin is its line, as [named](Self::names), and its number there.
    pub(super) fn packets(&self, local: &[IpAddr]) -> Vec<Candidate> {
        let first = |is_v4: bool| local.iter().copied().find(|it| it.is_ipv4() == is_v4);
        let destinations =
            (first(true).unwrap_or(DESTINATION_V4), first(false).unwrap_or(DESTINATION_V6));
        let mut sender = Sender { serial: 0, packets: Vec::new() };
        for (trace, line) in self.lines.iter().enumerate() {
            let (v4, v6) = destinations;
            let usual = if line.source.is_ipv4() { v4 } else { v6 };
            sender.send(trace, line, line.destination.unwrap_or(usual));
        }
        sender.packets.sort_by_key(|candidate| candidate.at);
        sender.packets
    }

    /// Returns a name for each line. There are two at least, for only of several traces a report
    /// tells the name.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.lines.iter().map(|line| format!("line {}", line.number)).collect();
        names.resize(names.len().max(2), String::new());
        names
    }
}

/// Makes packets of lines.
struct Sender {
    /// How many packets were new so far: it makes sequence numbers and ports.
    serial: u32,
    packets: Vec<Candidate>,
}

impl Sender {
    const FIRST_PORT: u16 = 49_152;

    fn send(&mut self, trace: usize, line: &Line, destination: IpAddr) {
        let mut sent: HashMap<(Protocol, u16), u32> = HashMap::new();
        let mut frame = 0;
        let mut now = Duration::ZERO;
        for volley in &line.volleys {
            now = match volley.when {
                When::After(gap) => now + gap,
                When::At(time) => time,
            };
            let ports = (0..volley.times).flat_map(|_| volley.ports.clone());
            for (index, port) in ports.enumerate() {
                if index > 0 {
                    now += volley.every;
                }
                frame += 1;
                let earlier = sent.get(&(volley.protocol, port)).copied();
                let serial = earlier
                    .filter(|_| volley.fate == Fate::Retransmitted)
                    .unwrap_or_else(|| self.next_serial());
                sent.insert((volley.protocol, port), serial);
                if volley.fate == Fate::Lost {
                    continue;
                }
                let packet = packet_of((line.source, destination), volley, port, serial);
                let at = Timestamp::ZERO.saturating_add(now);
                self.packets.push(Candidate { packet, at, origin: Origin { trace, frame } });
            }
        }
    }

    const fn next_serial(&mut self) -> u32 {
        self.serial += 1;
        self.serial
    }
}

fn packet_of(
    (source, destination): (IpAddr, IpAddr),
    volley: &Volley,
    port: u16,
    serial: u32,
) -> Packet {
    let transport = match volley.protocol {
        Protocol::Tcp => Transport::Tcp { sequence_number: serial, flags: volley.flags },
        Protocol::Udp => Transport::Udp,
    };
    let ephemeral = u16::try_from(serial % 16_384).unwrap_or_default();
    Packet {
        source,
        destination,
        source_port: Sender::FIRST_PORT + ephemeral,
        destination_port: port,
        transport,
    }
}

/// Reads lines, and notes what is wrong.
struct Parser<'a> {
    text: &'a str,
    wrong: Vec<Wrong>,
    packets: u64,
}

impl<'a> Parser<'a> {
    fn wrong(&mut self, what: &str, message: impl Into<String>, help: &str) {
        // `what` is a part of the text: the difference of their addresses is its place.
        let start = what.as_ptr().addr().saturating_sub(self.text.as_ptr().addr());
        let start = start.min(self.text.len());
        let at = start..start + what.len();
        self.wrong.push(Wrong { at, message: message.into(), help: help.to_owned() });
    }

    fn line(&mut self, number: usize, line: &'a str) -> Option<Line> {
        let mut parts = line.split(',');
        let head = parts.next()?;
        let mut words = head.split_whitespace().peekable();
        let source = self.address(words.next()?)?;
        let mut destination = None;
        if let Some(arrow) = words.next_if_eq(&"->") {
            let Some(word) = words.next() else {
                self.wrong(arrow, "no destination behind ->", "write an address there");
                return None;
            };
            let address = self.address(word)?;
            if address.is_ipv4() != source.is_ipv4() {
                self.wrong(
                    word,
                    format!("{source} can't send to {address}"),
                    "write two addresses of the same family",
                );
            }
            destination = Some(address);
        }
        let mut volleys = Vec::new();
        let mut known: HashSet<(Protocol, u16)> = HashSet::new();
        let mut end = Duration::ZERO;
        let first = (head, words.collect::<Vec<_>>());
        let rest = parts.map(|part| (part, part.split_whitespace().collect()));
        for (part, words) in std::iter::once(first).chain(rest) {
            let volley = self.volley(part, &words)?;
            self.packets = self.packets.saturating_add(volley.packets());
            if self.packets > Script::MAX_PACKETS {
                return None;
            }
            end = match volley.when {
                When::After(gap) => end.saturating_add(gap),
                When::At(time) => time,
            };
            end = end.saturating_add(volley.length());
            if end > span::LONGEST {
                self.wrong(part.trim(), "this is sent too late", "a case lasts at most 100 years");
                return None;
            }
            let ports = || volley.ports.clone().map(|port| (volley.protocol, port));
            if volley.fate == Fate::Retransmitted && !ports().all(|port| known.contains(&port)) {
                let help = "send it once before, on the same line";
                self.wrong(part.trim(), "there is nothing to retransmit", help);
            }
            known.extend(ports());
            volleys.push(volley);
        }
        Some(Line { number, source, destination, volleys })
    }

    fn address(&mut self, word: &'a str) -> Option<IpAddr> {
        let address = word.parse().ok();
        if address.is_none() {
            let help = "a line begins with the source: 198.51.100.7 7000/tcp, +300ms 8000/tcp";
            self.wrong(word, format!("{} is no address", quote(word)), help);
        }
        address
    }

    fn volley(&mut self, part: &'a str, words: &[&'a str]) -> Option<Volley> {
        let mut words = words.iter().copied().peekable();
        let when = match words.peek().and_then(|word| Some((*word, word.split_at_checked(1)?))) {
            Some((word, ("+", gap))) => When::After(self.span(word, gap)?),
            Some((word, ("@", time))) => When::At(self.span(word, time)?),
            _ => When::After(Duration::ZERO),
        };
        if words.peek().is_some_and(|word| word.starts_with(['+', '@'])) {
            words.next();
        }
        let Some(word) = words.next() else {
            let what = if part.trim().is_empty() { part } else { part.trim() };
            self.wrong(
                what,
                "a packet is missing",
                "write a port and a protocol, such as 7000/tcp",
            );
            return None;
        };
        let (ports, protocol, flags) = self.target(word)?;
        let (times, every, fate) = (1, Duration::ZERO, Fate::Arrives);
        let mut volley = Volley { when, ports, protocol, flags, times, every, fate };
        while let Some(word) = words.next() {
            match (word, word.strip_prefix('x').map(str::parse)) {
                ("lost", _) => volley.fate = Fate::Lost,
                ("retransmitted", _) => volley.fate = Fate::Retransmitted,
                ("every", _) => {
                    let gap = words.next().unwrap_or_default();
                    volley.every = self.span(if gap.is_empty() { word } else { gap }, gap)?;
                }
                (_, Some(Ok(times))) if times > 0 => volley.times = times,
                _ => {
                    let help = "behind a packet stand x3, every 100ms, lost or retransmitted";
                    self.wrong(word, format!("{} is unknown here", quote(word)), help);
                    return None;
                }
            }
        }
        Some(volley)
    }

    fn span(&mut self, word: &'a str, text: &'a str) -> Option<Duration> {
        span::parse(text)
            .map_err(|help| self.wrong(word, format!("{} is no time", quote(word)), &help))
            .ok()
    }

    /// Reads `7000/tcp`, `1-1024/tcp` or `7000/tcp:syn+ack`.
    fn target(&mut self, word: &'a str) -> Option<(RangeInclusive<u16>, Protocol, TcpFlags)> {
        let help = "write a port and a protocol: 7000/tcp, 9000/udp, 1-1024/tcp, 7000/tcp:syn+ack";
        let parsed = word.split_once('/').and_then(|(ports, protocol)| {
            let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
            let ports = first.parse::<u16>().ok()?..=last.parse().ok()?;
            let (protocol, flags) = protocol.split_once(':').unwrap_or((protocol, ""));
            let protocol = match protocol {
                "tcp" => Protocol::Tcp,
                "udp" => Protocol::Udp,
                _ => return None,
            };
            (!ports.is_empty()).then_some((ports, protocol, flags))
        });
        let Some((ports, protocol, flags)) = parsed else {
            self.wrong(word, format!("{} is no packet", quote(word)), help);
            return None;
        };
        let flags = match (protocol, flags) {
            (_, "") if !word.contains(':') => TcpFlags::SYN,
            (Protocol::Tcp, "none") => TcpFlags::NONE,
            (Protocol::Tcp, names) => {
                let sets = names.split('+').map(|name| {
                    TcpFlags::NAMED.iter().find(|(_, known)| *known == name).map(|(flag, _)| *flag)
                });
                let all: Option<Vec<TcpFlags>> = sets.collect();
                let Some(all) = all else {
                    let help = "flags are fin, syn, rst, psh, ack and urg, joined by +, or none";
                    self.wrong(word, format!("{} are no flags", quote(names)), help);
                    return None;
                };
                all.into_iter().fold(TcpFlags::NONE, TcpFlags::union)
            }
            (Protocol::Udp, _) => {
                self.wrong(word, "UDP has no flags", "leave them out");
                return None;
            }
        };
        Some((ports, protocol, flags))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        let script = Script::parse(text).unwrap();
        let tell = |candidate: &Candidate| {
            let Candidate { packet, at, origin } = candidate;
            let Packet { source, destination, source_port, destination_port, .. } = packet;
            let what = match packet.transport {
                Transport::Tcp { sequence_number, flags } => format!("{sequence_number} {flags}"),
                Transport::Udp => "udp".to_owned(),
            };
            format!(
                "{at} {source}:{source_port} > {destination}:{destination_port} {what} {}:{}",
                origin.trace, origin.frame
            )
        };
        script.packets(&[]).iter().map(tell).collect()
    }

    #[test]
    fn everything_that_can_be_written_is_sent() {
        let text = "\
            198.51.100.7 2222/udp, +300ms 3333/tcp x2 every 10ms, 4444/tcp:fin+ack # a comment\n\
            \n\
            2001:db8::7 -> 2001:db8::2 @100ms 1-3/tcp every 1ms\n\
            203.0.113.9 7000/tcp lost, +1s 7000/tcp retransmitted, 8000/tcp:none\n";
        insta::assert_snapshot!(told(text).join("\n"), @r"
        0.000000000 198.51.100.7:49153 > 192.0.2.1:2222 udp 0:1
        0.100000000 2001:db8::7:49157 > 2001:db8::2:1 5 syn 1:1
        0.101000000 2001:db8::7:49158 > 2001:db8::2:2 6 syn 1:2
        0.102000000 2001:db8::7:49159 > 2001:db8::2:3 7 syn 1:3
        0.300000000 198.51.100.7:49154 > 192.0.2.1:3333 2 syn 0:2
        0.310000000 198.51.100.7:49155 > 192.0.2.1:3333 3 syn 0:3
        0.310000000 198.51.100.7:49156 > 192.0.2.1:4444 4 fin,ack 0:4
        1.000000000 203.0.113.9:49160 > 192.0.2.1:7000 8 syn 2:2
        1.000000000 203.0.113.9:49161 > 192.0.2.1:8000 9  2:3
        ");
    }

    #[test]
    fn knocks_go_to_the_first_local_address_of_their_family() {
        let script = Script::parse("2001:db8::7 1/udp\n198.51.100.7 1/udp").unwrap();
        let local = ["203.0.113.1", "203.0.113.2", "2001:db8::9"].map(|it| it.parse().unwrap());
        let to: Vec<_> =
            script.packets(&local).iter().map(|it| it.packet.destination.to_string()).collect();
        assert_eq!(to, ["2001:db8::9", "203.0.113.1"]);
    }

    #[test]
    fn a_million_packets_are_the_most() {
        assert!(Script::parse("198.51.100.7 7000/tcp x1000000").is_ok());
        let wrong = Script::parse("198.51.100.7 7000/tcp x1000000, 1/udp").unwrap_err();
        assert_eq!(wrong[0].help, "a case has at most 1000000 packets, on 100000 lines");
        assert!(Script::parse("198.51.100.7 0-65535/tcp x4294967295 every 1h").is_err());
    }
}
