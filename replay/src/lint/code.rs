//! The codes of the findings: what there is to find.

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Weaker or more fragile than it need be.
    Warning,
    /// A stranger gets in, or the door does not do what its section says.
    Error,
}

impl Severity {
    /// Returns its name, as in the output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Something that can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// `scan-opens`.
    ScanOpens,
    /// `scan-order`.
    ScanOrder,
    /// `udp-scan`.
    UdpScan,
    /// `mixed-udp`.
    MixedUdp,
    /// `flag-scan`.
    FlagScan,
    /// `opens-with`.
    OpensWith,
    /// `first-again`.
    FirstAgain,
    /// `few-knocks`.
    FewKnocks,
    /// `known-port`.
    KnownPort,
    /// `no-stop`.
    NoStop,
    /// `stop-differs`.
    StopDiffers,
    /// `append`.
    Append,
    /// `no-wait`.
    NoWait,
    /// `no-address`.
    NoAddress,
    /// `quoted-address`.
    QuotedAddress,
    /// `one-family`.
    OneFamily,
    /// `sleep`.
    Sleep,
    /// `no-check`.
    NoCheck,
    /// `zero-timeout`.
    ZeroTimeout,
    /// `forged-lockout`.
    ForgedLockout,
    /// `world-readable`.
    WorldReadable,
    /// `config-warning`.
    ConfigWarning,
    /// `unused-allow`.
    UnusedAllow,
}

/// Each code with its name, how bad it is, and what it says in a line; in the order of [`Code`].
const TABLE: [(Code, &str, Severity, &str); 23] = {
    use Severity::{Error, Warning};
    [
        (Code::ScanOpens, "scan-opens", Error, "a plain port scan opens the door"),
        (Code::ScanOrder, "scan-order", Warning, "the ports stand in the order of a scan"),
        (Code::UdpScan, "udp-scan", Error, "UDP knocks only, and a UDP scan is never broken off"),
        (Code::MixedUdp, "mixed-udp", Warning, "UDP knocks that a scan finds one by one"),
        (Code::FlagScan, "flag-scan", Error, "tcpflags that a scan or ordinary traffic satisfies"),
        (Code::OpensWith, "opens-with", Warning, "the knock of another door opens it too"),
        (Code::FirstAgain, "first-again", Warning, "the first knock comes again in the sequence"),
        (Code::FewKnocks, "few-knocks", Warning, "fewer than four knocks"),
        (Code::KnownPort, "known-port", Warning, "a knock at the port of a well-known service"),
        (Code::NoStop, "no-stop", Warning, "what the start command opens is never closed"),
        (
            Code::StopDiffers,
            "stop-differs",
            Error,
            "the stop command does not undo the start command",
        ),
        (Code::Append, "append", Warning, "a rule at the end of a chain, perhaps behind a REJECT"),
        (Code::NoWait, "no-wait", Warning, "iptables without -w"),
        (Code::NoAddress, "no-address", Error, "a command that opens for everybody"),
        (Code::QuotedAddress, "quoted-address", Warning, "%IP% or %NET% in quotes of its own"),
        (Code::OneFamily, "one-family", Warning, "an IPv4 command for IPv6 sources"),
        (Code::Sleep, "sleep", Warning, "a command that sleeps"),
        (Code::NoCheck, "no-check", Warning, "open for long, and no check_command"),
        (Code::ZeroTimeout, "zero-timeout", Error, "the door closes in the moment it opens"),
        (
            Code::ForgedLockout,
            "forged-lockout",
            Warning,
            "max_failures, which strangers can trigger",
        ),
        (
            Code::WorldReadable,
            "world-readable",
            Warning,
            "everybody on the host can read the sequences",
        ),
        (Code::ConfigWarning, "config-warning", Warning, "the config has a warning"),
        (Code::UnusedAllow, "unused-allow", Warning, "a comment that allows nothing"),
    ]
};

impl Code {
    /// Returns every code, in the order of the documentation.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.into_iter().map(|(code, ..)| code)
    }

    /// Returns the code of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        TABLE.into_iter().find_map(|(code, its, ..)| (its == name).then_some(code))
    }

    /// Returns its name, which never changes.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// Tells how bad it is.
    #[must_use]
    pub fn severity(self) -> Severity {
        self.row().2
    }

    /// Says in a line what it means.
    #[must_use]
    pub fn title(self) -> &'static str {
        self.row().3
    }

    /// Tells whether it is about a whole file, so that a comment anywhere in the config allows it.
    #[must_use]
    pub const fn is_of_file(self) -> bool {
        matches!(self, Self::WorldReadable)
    }

    fn row(self) -> (Self, &'static str, Severity, &'static str) {
        TABLE[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_codes() {
        for (index, code) in Code::all().enumerate() {
            assert_eq!(code as usize, index);
            assert_eq!(Code::find(code.name()), Some(code));
        }
    }
}
