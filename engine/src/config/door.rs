//! A door and the types of its settings.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::packet::{Protocol, TcpFlags};

/// The most knocks a sequence can have, as in knockd.
pub const MAX_KNOCKS: usize = 32;

/// A named section of the config: a sequence and what it opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// The section's name. Any text without a line break: escape it before it meets a terminal.
    pub name: String,
    /// `sequence` or `one_time_sequences`: what opens the door.
    pub sequences: Sequences,
    /// `seq_timeout`: how long after its first knock an attempt ends (S7).
    pub seq_timeout: Duration,
    /// `tcpflags`: the flags that a TCP knock must have (S5).
    pub flags: KnockFlags,
    /// `target`: the destinations that the door sees; empty for the local addresses (S4).
    pub targets: Vec<IpAddr>,
    /// `allow`: the only sources that the door sees; `None` for all (S4).
    pub allow: Option<Vec<IpNet>>,
    /// `deny`: sources that the door never sees (S4).
    pub deny: Vec<IpNet>,
    /// `max_strays`: distinct stray ports that an attempt survives, 0 to 1,024; `None` for `off`,
    /// which means that there are no strays (S5, S8).
    pub max_strays: Option<u16>,
    /// `udp_strays`: whether UDP to other ports is a stray; `None` where the config doesn't say
    /// and the sequence decides (S5, [`Door::has_udp_strays`]).
    pub udp_strays: Option<bool>,
    /// `ignore_ports`: ports that are never strays (S5).
    pub ignore_ports: PortSet,
    /// `retransmit_window`: how long a TCP knock is remembered (S8); zero for off.
    pub retransmit_window: Duration,
    /// `cooldown`: how long after a start a door without a stop command doesn't start again for
    /// the same source (S11); zero for off.
    pub cooldown: Duration,
    /// `max_failures`, `failure_window` and `lockout` (S13); `None` for off.
    pub failure_limit: Option<FailureLimit>,
    /// The commands (S11).
    pub commands: Commands,
    /// `cmd_timeout`: how long a lease lasts (S11).
    pub cmd_timeout: Duration,
    /// `grant`: the network around the source that `%NET%` stands for.
    pub grant: Grant,
}

impl Door {
    /// The default of `seq_timeout` (S7).
    pub const DEFAULT_SEQ_TIMEOUT: Duration = Duration::from_secs(25);
    /// The default of `max_strays` (S8).
    pub const DEFAULT_MAX_STRAYS: u16 = 8;
    /// The largest `max_strays`.
    pub const MAX_STRAYS: u16 = 1024;
    /// The least default of `retransmit_window` (S8): longer than a kernel repeats a SYN.
    pub const LEAST_RETRANSMIT_WINDOW: Duration = Duration::from_secs(130);
    /// The default of `cmd_timeout` (S11).
    pub const DEFAULT_CMD_TIMEOUT: Duration = Duration::from_secs(10);

    /// Makes a door of that name and sequence with every other setting at its default.
    #[must_use]
    pub fn new(name: impl Into<String>, sequences: Sequences) -> Self {
        Self {
            name: name.into(),
            sequences,
            seq_timeout: Self::DEFAULT_SEQ_TIMEOUT,
            flags: KnockFlags::default(),
            targets: Vec::new(),
            allow: None,
            deny: Vec::new(),
            max_strays: Some(Self::DEFAULT_MAX_STRAYS),
            udp_strays: None,
            ignore_ports: PortSet::default(),
            retransmit_window: Self::LEAST_RETRANSMIT_WINDOW,
            cooldown: Duration::ZERO,
            failure_limit: None,
            commands: Commands::default(),
            cmd_timeout: Self::DEFAULT_CMD_TIMEOUT,
            grant: Grant::default(),
        }
    }

    /// Tells whether UDP to a port that is no UDP step of `sequence` is a stray (S5): as the
    /// config says, else where all steps are UDP. Never with `max_strays = off`.
    #[must_use]
    pub fn has_udp_strays(&self, sequence: &Sequence) -> bool {
        let all_udp = || sequence.knocks().iter().all(|knock| knock.protocol == Protocol::Udp);
        self.max_strays.is_some() && self.udp_strays.unwrap_or_else(all_udp)
    }

    /// Tells whether `allow` and `deny` let the door see packets from this source (S4).
    #[must_use]
    pub fn admits(&self, source: IpAddr) -> bool {
        let listed = |nets: &[IpNet]| nets.iter().any(|net| net.contains(&source));
        self.allow.as_deref().is_none_or(listed) && !listed(&self.deny)
    }

    /// Returns the start command for a source of this family, if there is one (S11).
    #[must_use]
    pub fn start_command(&self, source: IpAddr) -> Option<&Command> {
        Commands::choose(&self.commands.start, &self.commands.start_v6, source)
    }

    /// Returns the stop command for a source of this family, if there is one (S11).
    #[must_use]
    pub fn stop_command(&self, source: IpAddr) -> Option<&Command> {
        Commands::choose(&self.commands.stop, &self.commands.stop_v6, source)
    }

    /// Returns the check command for a source of this family, if there is one (S11).
    #[must_use]
    pub fn check_command(&self, source: IpAddr) -> Option<&Command> {
        Commands::choose(&self.commands.check, &self.commands.check_v6, source)
    }
}

/// What opens a door: always the same sequence, or the next line of a file (S12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sequences {
    /// `sequence`.
    Fixed(Sequence),
    /// `one_time_sequences`.
    OneTime {
        /// The path of the file, as the config has it.
        path: String,
        /// The file's unused lines, in its order.
        lines: Vec<OneTimeLine>,
    },
}

/// An unused line of a one-time file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneTimeLine {
    /// Its number in the file, counted from 1.
    pub number: usize,
    /// The sequence that stands there.
    pub sequence: Sequence,
}

/// The knocks that open a door, 1 to [`MAX_KNOCKS`] of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sequence(Vec<Knock>);

impl Sequence {
    /// Makes a sequence; `None` where there are no knocks or more than [`MAX_KNOCKS`].
    #[must_use]
    pub fn new(knocks: Vec<Knock>) -> Option<Self> {
        (1..=MAX_KNOCKS).contains(&knocks.len()).then_some(Self(knocks))
    }

    /// Returns the knocks; there is at least one.
    #[must_use]
    pub fn knocks(&self) -> &[Knock] {
        &self.0
    }
}

impl fmt::Display for Sequence {
    /// Writes it as a config has it: `7000:tcp,8000:udp`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, knock) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write!(f, "{knock}")?;
        }
        Ok(())
    }
}

/// One step of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Knock {
    /// The protocol.
    pub protocol: Protocol,
    /// The destination port.
    pub port: NonZeroU16,
}

impl fmt::Display for Knock {
    /// Writes it as a config has it: `7000:tcp`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.port, self.protocol)
    }
}

/// A door's `tcpflags`: flags that a TCP knock must have and flags that it must not (S5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KnockFlags {
    required: TcpFlags,
    forbidden: TcpFlags,
}

impl KnockFlags {
    /// Makes the flags from what a config mentions: plain names and names behind `!`.
    ///
    /// A flag on both sides is required: the config parser lets the last mention win.
    #[must_use]
    pub const fn new(required: TcpFlags, forbidden: TcpFlags) -> Self {
        Self { required, forbidden: forbidden.difference(required) }
    }

    /// Returns the flags that the config asks for.
    #[must_use]
    pub const fn required(self) -> TcpFlags {
        self.required
    }

    /// Returns the flags that the config mentions behind `!`.
    #[must_use]
    pub const fn forbidden(self) -> TcpFlags {
        self.forbidden
    }

    /// Tells whether a segment with these flags satisfies them (S5): each required flag set, each
    /// forbidden one clear, and, where SYN is required, ACK, RST and FIN clear unless required.
    #[must_use]
    pub const fn accept(self, flags: TcpFlags) -> bool {
        let mut clear = self.forbidden;
        if self.required.contains(TcpFlags::SYN) {
            let implied = TcpFlags::ACK.union(TcpFlags::RST).union(TcpFlags::FIN);
            clear = clear.union(implied.difference(self.required));
        }
        flags.contains(self.required) && flags.intersection(clear).is_empty()
    }

    /// Tells whether a plain data segment (ACK, or ACK and PSH) would satisfy them (S5).
    #[must_use]
    pub const fn accept_data(self) -> bool {
        self.accept(TcpFlags::ACK) || self.accept(TcpFlags::ACK.union(TcpFlags::PSH))
    }
}

impl Default for KnockFlags {
    /// Returns `syn` (S5).
    fn default() -> Self {
        Self::new(TcpFlags::SYN, TcpFlags::NONE)
    }
}

impl fmt::Display for KnockFlags {
    /// Writes them as a config has them: `syn,!ack`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (flag, name) in TcpFlags::NAMED {
            let sign = match (self.required.contains(flag), self.forbidden.contains(flag)) {
                (true, _) => "",
                (false, true) => "!",
                (false, false) => continue,
            };
            write!(f, "{separator}{sign}{name}")?;
            separator = ",";
        }
        Ok(())
    }
}

/// A set of destination ports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PortSet(Vec<PortRange>);

impl PortSet {
    /// Makes a set of ranges, which may overlap and stand in any order.
    #[must_use]
    pub fn new(ranges: Vec<PortRange>) -> Self {
        Self(ranges)
    }

    /// Tells whether the port is in the set.
    #[must_use]
    pub fn contains(&self, protocol: Protocol, port: u16) -> bool {
        self.0.iter().any(|range| {
            range.protocol.is_none_or(|its| its == protocol)
                && (range.first..=range.last).contains(&port)
        })
    }

    /// Returns the ranges.
    #[must_use]
    pub fn ranges(&self) -> &[PortRange] {
        &self.0
    }
}

/// A range of destination ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortRange {
    /// The protocol; `None` for both.
    pub protocol: Option<Protocol>,
    /// The first port of the range.
    pub first: u16,
    /// The last port of the range, which belongs to it.
    pub last: u16,
}

/// When a door stops listening to a source that keeps failing (S13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureLimit {
    /// `max_failures`: failed attempts that bring a lockout, 1 to 1,000.
    pub max_failures: u16,
    /// `failure_window`: the span within which they count together.
    pub window: Duration,
    /// `lockout`: how long the door then ignores the source.
    pub lockout: Duration,
}

impl FailureLimit {
    /// The largest `max_failures`.
    pub const MAX_FAILURES: u16 = 1000;
    /// The default of `failure_window` (S13).
    pub const DEFAULT_WINDOW: Duration = Duration::from_secs(60);
    /// The default of `lockout` (S13).
    pub const DEFAULT_LOCKOUT: Duration = Duration::from_secs(300);
}

/// A door's commands (S11). An empty command in the config is `None`, except where it stands for
/// "none" in a `_6` form: that is `Some(None)`, and no fall-back to the plain one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commands {
    /// `start_command`.
    pub start: Option<Command>,
    /// `start_command_6`.
    pub start_v6: Option<Option<Command>>,
    /// `stop_command`.
    pub stop: Option<Command>,
    /// `stop_command_6`.
    pub stop_v6: Option<Option<Command>>,
    /// `check_command`.
    pub check: Option<Command>,
    /// `check_command_6`.
    pub check_v6: Option<Option<Command>>,
}

impl Commands {
    fn choose<'a>(
        plain: &'a Option<Command>,
        v6: &'a Option<Option<Command>>,
        source: IpAddr,
    ) -> Option<&'a Command> {
        match v6 {
            Some(command) if source.is_ipv6() => command.as_ref(),
            _ => plain.as_ref(),
        }
    }
}

/// A command with the tokens `%IP%` and `%NET%` still in it. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Command(String);

impl Command {
    /// Makes a command; `None` where the text is empty or blank.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        (!text.trim().is_empty()).then_some(Self(text))
    }

    /// Returns the text with its tokens.
    #[must_use]
    pub fn template(&self) -> &str {
        &self.0
    }

    /// Returns the text with `%IP%` replaced by the source and `%NET%` by its network.
    ///
    /// Both are in canonical form (RFC 5952 for IPv6), so nothing but `0-9a-f.:/` gets in.
    #[must_use]
    pub fn expand(&self, source: IpAddr, grant: Grant) -> String {
        let with_address = self.0.replace("%IP%", &source.to_string());
        with_address.replace("%NET%", &grant.network(source).to_string())
    }
}

/// The prefix lengths of the networks that `%NET%` stands for, a length per family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    v4: u8,
    v6: u8,
}

impl Grant {
    /// Makes a grant; `None` where a length is above 32 for IPv4 or 128 for IPv6.
    #[must_use]
    pub const fn new(v4: u8, v6: u8) -> Option<Self> {
        if v4 <= 32 && v6 <= 128 { Some(Self { v4, v6 }) } else { None }
    }

    /// Returns the prefix length for IPv4, 0 to 32.
    #[must_use]
    pub const fn v4(self) -> u8 {
        self.v4
    }

    /// Returns the prefix length for IPv6, 0 to 128.
    #[must_use]
    pub const fn v6(self) -> u8 {
        self.v6
    }

    /// Returns the source's network of that length, its host bits clear.
    #[must_use]
    pub fn network(self, source: IpAddr) -> IpNet {
        match source {
            IpAddr::V4(address) => IpNet::V4(Ipv4Net::new_assert(address, self.v4).trunc()),
            IpAddr::V6(address) => IpNet::V6(Ipv6Net::new_assert(address, self.v6).trunc()),
        }
    }
}

impl Default for Grant {
    /// Returns the address alone: 32 and 128 bits.
    fn default() -> Self {
        Self { v4: 32, v6: 128 }
    }
}
