//! The traffic: four captures that together ask for everything that a replay costs.
//!
//! All of them are what a host with the addresses [`LOCAL_V4`] and [`LOCAL_V6`] would record of
//! the packets that come in. Each is replayed with [`CONFIG`]: one door, three TCP knocks.

mod address;
mod background;
mod knocks;
mod traffic;

use std::fmt;
use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;

use traffic::Traffic;

/// The IPv4 address of the host that everything is sent to.
pub const LOCAL_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// Its IPv6 address.
pub const LOCAL_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
/// The ports of the door's sequence, all TCP.
pub const KNOCK_PORTS: [u16; 3] = [7000, 8000, 9000];

/// The config that every load is replayed with; knockd 0.8 reads it too.
pub const CONFIG: &str = "\
[options]
UseSyslog

[bench]
sequence = 7000,8000,9000
seq_timeout = 25
tcpflags = syn
start_command = true %IP%
cmd_timeout = 10
stop_command = true %IP%
";

/// The pcap filter that passes what concerns the door of [`CONFIG`] (S5) and nothing else.
///
/// These are the initial SYNs to the host: to a knock port they are knock packets, to any other
/// port strays. UDP concerns no door here, for `udp_strays` is off where not all steps are UDP.
/// `tcp[...]` in a filter means IPv4 only, so IPv6 is spelt out by offset: byte 53 holds the flags
/// of a segment without extension headers, which is what the loads contain. 0x17 is ACK, RST, SYN
/// and FIN; 0x02 is SYN.
pub const FILTER: &str = "(dst host 192.0.2.1 and tcp[13] & 0x17 = 0x02) \
     or (dst host 2001:db8::1 and ip6 proto 6 and ip6[53] & 0x17 = 0x02)";

/// How many times smaller than full size a load is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale(pub NonZeroU32);

impl Scale {
    /// Full size.
    pub const FULL: Self = Self(NonZeroU32::MIN);

    fn of(self, count: u64) -> u64 {
        (count / u64::from(self.0.get())).max(1)
    }
}

/// One of the captures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// 10,000,000 background packets of 60 to 1,500 bytes cut to 96, 1 % of them SYNs to knock
    /// ports: what a replay of ordinary traffic costs.
    P1,
    /// 1,000,000 distinct sources that hit the first port within 10 s, one honest knock among
    /// them: what a forged flood costs.
    P2,
    /// 200,000 sources that each knock correctly, 1,000 starting per second: what success costs.
    P3,
    /// 1 GB of full-size packets with 40 knocks: what it costs to read past payload.
    P4,
}

/// What a load contains, exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The packets.
    pub packets: u64,
    /// Of these, the initial SYNs to one of [`KNOCK_PORTS`].
    pub knock_syns: u64,
    /// Of these, the initial SYNs to other ports.
    pub other_syns: u64,
    /// Sources that knock the whole sequence in order and in time: the opens to expect.
    pub opens: u64,
}

/// What `knock-replay run` should need at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wanted {
    /// CPU time as a multiple of `tcpdump` with [`FILTER`].
    pub to_tcpdump: f64,
    /// CPU time as a multiple of `cat`.
    pub to_cat: Option<f64>,
    /// Peak resident memory in MB of 1,000,000 bytes.
    pub peak_mb: f64,
}

impl Load {
    /// All loads, in the order of the table.
    pub const ALL: [Self; 4] = [Self::P1, Self::P2, Self::P3, Self::P4];

    /// Returns the name, such as `p1`: the name of its directory, too.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::P1 => "p1",
            Self::P2 => "p2",
            Self::P3 => "p3",
            Self::P4 => "p4",
        }
    }

    /// Finds a load by its name in either case.
    ///
    /// # Errors
    ///
    /// A message that lists the names.
    pub fn from_name(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|load| load.name().eq_ignore_ascii_case(name));
        found.ok_or_else(|| "the loads are p1, p2, p3 and p4".to_owned())
    }

    /// Returns what it contains at this scale.
    #[must_use]
    pub fn plan(self, scale: Scale) -> Plan {
        match self {
            Self::P1 => {
                // A hundred SYNs are the least that leave room for one honest knock among others.
                let packets = scale.of(10_000_000).max(10_000);
                let (knock_syns, other_syns) = (packets / 100, packets / 200);
                Plan { packets, knock_syns, other_syns, opens: knock_syns.div_ceil(1000) }
            }
            Self::P2 => {
                let sources = scale.of(1_000_000).max(4);
                Plan { packets: sources + 2, knock_syns: sources + 2, other_syns: 0, opens: 1 }
            }
            Self::P3 => {
                let opens = scale.of(200_000);
                Plan { packets: 3 * opens, knock_syns: 3 * opens, other_syns: 0, opens }
            }
            Self::P4 => {
                let record = u64::from(background::FULL_SIZE) + 16;
                let opens = scale.of(40);
                let packets = scale.of(1_000_000_000 / record).max(6 * opens);
                Plan { packets, knock_syns: 3 * opens, other_syns: 0, opens }
            }
        }
    }

    /// Returns the limits that `knock-replay run` is held to.
    #[must_use]
    pub const fn wanted(self) -> Wanted {
        match self {
            Self::P1 => Wanted { to_tcpdump: 0.35, to_cat: Some(1.6), peak_mb: 16.0 },
            Self::P2 => Wanted { to_tcpdump: 1.5, to_cat: None, peak_mb: 96.0 },
            Self::P3 => Wanted { to_tcpdump: 1.0, to_cat: None, peak_mb: 32.0 },
            Self::P4 => Wanted { to_tcpdump: 0.7, to_cat: None, peak_mb: 16.0 },
        }
    }

    /// Writes the capture; equal scales and seeds write equal bytes.
    ///
    /// # Errors
    ///
    /// What writing brings.
    pub fn write(self, scale: Scale, seed: u64, out: impl Write) -> io::Result<()> {
        let plan = self.plan(scale);
        match self {
            Self::P1 => background::mixed(Traffic::new(out, 96, seed)?, plan),
            Self::P2 => knocks::flood(Traffic::new(out, 96, seed)?, plan),
            Self::P3 => knocks::crowd(Traffic::new(out, 96, seed)?, plan),
            Self::P4 => background::bulk(Traffic::new(out, u16::MAX, seed)?, plan),
        }
    }
}

impl fmt::Display for Load {
    /// Writes the name in upper case, as the table has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name().to_uppercase())
    }
}
