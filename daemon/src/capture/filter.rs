//! The kernel's filter: a superset of what concerns a door (S5).
//!
//! There is one filter per config, made when the config is read and never replaced until the next
//! config, because a replacement loses packets. So it names nothing that changes in between: all
//! unused lines of one-time files count, and addresses, local ones or those of `target`, `allow`
//! and `deny`, don't appear. What it lets pass:
//!
//! - TCP by flags and destination port: for each door, what could be a knock packet or a stray of
//!   it. With strays, that is every initial SYN to a port that is not on the `ignore_ports` of
//!   all doors; with `max_strays = off` on all doors, the knock ports alone;
//! - UDP by destination port: the UDP steps, and with `udp_strays` what no such door ignores;
//! - IPv6 with an extension header, whole: a filter can't follow the chain;
//! - frames with a VLAN tag in them, whole. On Linux these are rare: the kernel takes the outer
//!   tag out of a received frame before the filter sees it, so the tests above see through it,
//!   and what is left is the inner of two tags.
//!
//! Everything else stays in the kernel: established connections, answers to this host's own
//! connections, UDP to other ports.

use std::collections::BTreeMap;

use knock_engine::config::{Config, Door, KnockFlags, Sequence, Sequences};
use knock_engine::packet::{Protocol, TcpFlags};
use knock_engine::wire::LinkType;
use pcap::{BpfProgram, Capture, Linktype};
use thiserror::Error;

use super::plain_reason;
use super::ports::Ports;
use super::program;

/// The most port ranges a filter names. Where a config needs more, the smallest gaps between
/// ports are let through too, so [`MAX_INSTRUCTIONS`] is never reached.
const MAX_RANGES: usize = 128;

/// The same where the program can't be optimised.
const MAX_RANGES_UNOPTIMISED: usize = 12;

/// The most different `tcpflags` a filter tells apart; beyond that it looks at ports alone.
const MAX_FLAG_TESTS: usize = 4;

/// The longest program that a kernel takes. Filters stay below a quarter of it, because older
/// kernels charge twice the memory of a program to `net.core.optmem_max`, which is 20 KiB there.
pub const MAX_INSTRUCTIONS: usize = 4_096;

/// The extension headers of IPv6 that the decoder steps over.
const EXTENSION_HEADERS: [u8; 8] = [0, 43, 44, 51, 60, 135, 139, 140];

/// The EtherTypes of VLAN tags that the decoder steps over.
const VLAN_TAGS: [&str; 3] = ["0x8100", "0x88a8", "0x9100"];

/// Which versions of IP are heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpVersions {
    /// IPv4 and IPv6.
    Both,
    /// IPv4 alone: `-4`.
    OnlyV4,
}

/// What of the traffic can concern a door of a config (S5), by what a capture filter can see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    versions: IpVersions,
    tcp: Vec<(FlagTest, Ports)>,
    udp: Ports,
}

/// Why there is no filter for a link type.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FilterError {
    /// Packets of that link type are never captured live.
    #[error("a live capture can't be filtered on link type {0}")]
    LinkType(LinkType),
    /// libpcap does not compile the text.
    #[error("libpcap can't compile the capture filter: {reason}; the filter is: {text}")]
    Compile {
        /// The filter's text.
        text: String,
        /// What libpcap says.
        reason: String,
    },
    /// An instruction of the program can't be loaded into the kernel.
    #[error("the capture filter for link type {0} has an instruction that can't be loaded: {1}")]
    Unloadable(LinkType, String),
    /// The program is longer than [`MAX_INSTRUCTIONS`].
    #[error("the capture filter has {0} instructions, and {MAX_INSTRUCTIONS} are allowed")]
    TooLong(usize),
}

impl Filter {
    /// Makes the filter of a config.
    #[must_use]
    pub fn new(config: &Config, versions: IpVersions) -> Self {
        let mut parts = Parts::default();
        for door in &config.doors {
            match &door.sequences {
                Sequences::Fixed(sequence) => parts.add(door, [sequence]),
                Sequences::OneTime { lines, .. } => {
                    parts.add(door, lines.iter().map(|line| &line.sequence));
                }
            }
        }
        parts.into_filter(versions)
    }

    /// Tells whether the filter lets nothing pass, because no door can be opened.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.tcp.is_empty() && self.udp.is_empty()
    }

    /// Returns the filter in the language of pcap-filter(7), a clause per line.
    ///
    /// # Errors
    ///
    /// [`FilterError::LinkType`] where libpcap on Linux never captures with that link type.
    pub fn text(&self, link: LinkType) -> Result<String, FilterError> {
        let (_, has_ether_types) = live(link)?;
        if self.is_empty() {
            // An empty text would let everything pass, and a text that can't match is an error.
            return Ok("greater 0x40000000".to_owned());
        }
        let mut clauses = Vec::new();
        for (flags, ports) in &self.tcp {
            clauses.extend(self.tcp_clauses(*flags, ports));
        }
        if !self.udp.is_empty() {
            let family = match self.versions {
                IpVersions::Both => "",
                IpVersions::OnlyV4 => "ip and ",
            };
            clauses.push(format!("{family}{}", self.udp.text("udp")));
        }
        if self.versions == IpVersions::Both {
            let kinds = EXTENSION_HEADERS.map(|kind| format!("ip6[6] = {kind}"));
            clauses.push(kinds.join(" or "));
        }
        if has_ether_types {
            clauses.push(VLAN_TAGS.map(|tag| format!("ether proto {tag}")).join(" or "));
        }
        Ok(format!("({})", clauses.join(")\nor (")))
    }

    /// Compiles the filter for a link type.
    ///
    /// # Errors
    ///
    /// See [`FilterError`]; none is to be expected for a link type that has a [`text`](Self::text).
    pub fn compile(&self, link: LinkType) -> Result<BpfProgram, FilterError> {
        let text = self.text(link)?;
        let (data_link, _) = live(link)?;
        let compile = |optimise| {
            Capture::dead(data_link).and_then(|dead| dead.compile(&text, optimise)).map_err(
                |error| FilterError::Compile { text: text.clone(), reason: plain_reason(&error) },
            )
        };
        let mut program = compile(self.can_be_optimised())?;
        if !program::reads_only_what_it_wrote(&program) {
            program = compile(false)?;
        }
        match program.get_instructions().len() {
            length if length > MAX_INSTRUCTIONS => Err(FilterError::TooLong(length)),
            _ => Ok(program),
        }
    }

    /// Tells whether libpcap's optimiser may be let loose on the filter. Where a text has the same
    /// arithmetic twice, as in two tests of TCP flags, that of libpcap 1.10 can drop the
    /// instruction that keeps a result and leave the one that reads it; then packets are lost.
    fn can_be_optimised(&self) -> bool {
        self.tcp.len() <= 1
    }

    fn tcp_clauses(&self, flags: FlagTest, ports: &Ports) -> Vec<String> {
        let ports_v4 = (*ports != Ports::all()).then(|| ports.text("tcp"));
        let ports_v6 = ports_v4.clone();
        // `tcp[13]` is false for a later fragment; so is any test of a port.
        let v4 = match (flags.text("tcp[tcpflags]"), ports_v4) {
            (None, None) => ports.text("tcp"),
            (Some(test), None) => test,
            (None, Some(ports)) => format!("ip and {ports}"),
            (Some(test), Some(ports)) => format!("{test} and {ports}"),
        };
        if self.versions == IpVersions::OnlyV4 {
            return vec![format!("ip and {v4}")];
        }
        let v6: Vec<String> = ["ip6[6] = 6".to_owned()]
            .into_iter()
            .chain(flags.text("ip6[53]"))
            .chain(ports_v6)
            .collect();
        vec![v4, v6.join(" and ")]
    }
}

/// Returns the number that libpcap on Linux has for a link type that it captures live, and whether
/// its frames say by an EtherType what they hold.
const fn live(link: LinkType) -> Result<(Linktype, bool), FilterError> {
    match link {
        LinkType::Ethernet => Ok((Linktype(1), true)),
        LinkType::LinuxSll => Ok((Linktype(113), true)),
        LinkType::LinuxSll2 => Ok((Linktype(276), true)),
        // `DLT_RAW`: the one link type whose number in captures, 101, is another.
        LinkType::Raw => Ok((Linktype(12), false)),
        LinkType::Ipv4 | LinkType::Ipv6 | LinkType::Null | LinkType::Loop => {
            Err(FilterError::LinkType(link))
        }
    }
}

/// Whether some TCP flags are set and some are clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct FlagTest {
    /// The bits that are looked at.
    mask: u8,
    /// Their values.
    value: u8,
}

impl FlagTest {
    /// Any flags.
    const ANY: Self = Self { mask: 0, value: 0 };

    /// SYN without ACK, RST and FIN (S5).
    const INITIAL_SYN: Self = Self {
        mask: TcpFlags::SYN.bits()
            | TcpFlags::ACK.bits()
            | TcpFlags::RST.bits()
            | TcpFlags::FIN.bits(),
        value: TcpFlags::SYN.bits(),
    };

    /// Makes the test that passes what a door's knock flags accept (S5).
    fn of(flags: KnockFlags) -> Self {
        let required = flags.required();
        let matters =
            |flag: TcpFlags| required.contains(flag) || !flags.accept(required.union(flag));
        let looked_at = TcpFlags::NAMED.iter().filter(|(flag, _)| matters(*flag));
        let mask = looked_at.fold(0, |mask, (flag, _)| mask | flag.bits());
        Self { mask, value: required.bits() }
    }

    /// Writes the test of a byte of the packet; `None` where everything passes.
    fn text(self, byte: &str) -> Option<String> {
        let value = match self.value {
            0 => "0".to_owned(),
            value => names(value),
        };
        (self.mask != 0).then(|| format!("{byte} & {} = {value}", names(self.mask)))
    }
}

/// Names flags as pcap-filter(7) does.
fn names(bits: u8) -> String {
    let named = [
        (TcpFlags::FIN, "tcp-fin"),
        (TcpFlags::SYN, "tcp-syn"),
        (TcpFlags::RST, "tcp-rst"),
        (TcpFlags::PSH, "tcp-push"),
        (TcpFlags::ACK, "tcp-ack"),
        (TcpFlags::URG, "tcp-urg"),
    ];
    let set = named.iter().filter(|(flag, _)| bits & flag.bits() != 0);
    let names: Vec<&str> = set.map(|(_, name)| *name).collect();
    match names.as_slice() {
        [one] => (*one).to_owned(),
        many => format!("({})", many.join("|")),
    }
}

/// What the doors ask for, before it is put in order.
#[derive(Default)]
struct Parts {
    tcp: BTreeMap<FlagTest, Vec<(u16, u16)>>,
    udp: Vec<(u16, u16)>,
}

impl Parts {
    /// Adds what can concern a door with one of these sequences.
    fn add<'a>(&mut self, door: &Door, sequences: impl IntoIterator<Item = &'a Sequence>) {
        let flags = FlagTest::of(door.flags);
        let (mut is_open_to_knocks, mut has_udp_strays) = (false, false);
        for sequence in sequences {
            is_open_to_knocks = true;
            has_udp_strays |= door.has_udp_strays(sequence);
            for knock in sequence.knocks() {
                let port = knock.port.get();
                match knock.protocol {
                    Protocol::Tcp => self.tcp.entry(flags).or_default().push((port, port)),
                    Protocol::Udp => self.udp.push((port, port)),
                }
            }
        }
        if is_open_to_knocks && door.max_strays.is_some() {
            let strays = stray_ports(door, Protocol::Tcp);
            self.tcp.entry(FlagTest::INITIAL_SYN).or_default().extend(strays.ranges());
            if !door.flags.accept_data() {
                self.tcp.entry(flags).or_default().extend(strays.ranges());
            }
        }
        if has_udp_strays {
            self.udp.extend(stray_ports(door, Protocol::Udp).ranges());
        }
    }

    fn into_filter(self, versions: IpVersions) -> Filter {
        let mut by_test = self.tcp;
        if by_test.len() > MAX_FLAG_TESTS {
            let everything = by_test.into_values().flatten().collect();
            by_test = BTreeMap::from([(FlagTest::ANY, everything)]);
        }
        let tcp = by_test.into_iter().map(|(test, ranges)| (test, Ports::new(ranges)));
        let mut tcp: Vec<(FlagTest, Ports)> = tcp.filter(|(_, ports)| !ports.is_empty()).collect();
        let mut udp = Ports::new(self.udp);
        let most = if tcp.len() <= 1 { MAX_RANGES } else { MAX_RANGES_UNOPTIMISED };
        let share = most / (tcp.len() + 1);
        for ports in tcp.iter_mut().map(|(_, ports)| ports).chain([&mut udp]) {
            ports.widen(share);
        }
        Filter { versions, tcp, udp }
    }
}

/// Returns the ports that the door doesn't ignore.
fn stray_ports(door: &Door, protocol: Protocol) -> Ports {
    let of_protocol = door
        .ignore_ports
        .ranges()
        .iter()
        .filter(|range| range.protocol.is_none_or(|its| its == protocol));
    Ports::new(of_protocol.map(|range| (range.first, range.last)).collect()).complement()
}
