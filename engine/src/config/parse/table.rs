//! Every key of a config: its spelling, what it stands for, and what is to be said of it.
//!
//! This is the one place where a key is explained. The man page knockd.conf(5) is made of it, and a
//! test compares the tables of `docs/CONFIG.md` with it, word by word. A new key is a new entry
//! here, which has no default for any of its fields.

use super::keys::{CommandKey, DoorKey, Key, OptionKey, SpanKey};

/// What there is to say of a key, in the words and the light markup of `docs/CONFIG.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPage {
    /// Its name, as it is written in examples; any case is understood.
    pub name: &'static str,
    /// Where it belongs.
    pub group: KeyGroup,
    /// What its value may be, with range and unit, and what it does.
    pub value: &'static str,
    /// What holds without it. In backticks where it is a value that can be written.
    pub default: &'static str,
    /// A line of a config.
    pub example: &'static str,
}

/// What a key is about, which is the section of the documentation that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyGroup {
    /// The keys of `[options]`.
    Options,
    /// What opens a door.
    Opens,
    /// What a door sees.
    Sees,
    /// What breaks a knock.
    Breaks,
    /// What a door does.
    Does,
    /// What becomes of sources that keep failing.
    Failures,
}

impl KeyGroup {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 6] =
        [Self::Options, Self::Opens, Self::Sees, Self::Breaks, Self::Does, Self::Failures];

    /// Returns the heading of its keys.
    #[must_use]
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Options => "`[options]`",
            Self::Opens => "Doors: what opens them",
            Self::Sees => "Doors: what they see",
            Self::Breaks => "Doors: what breaks a knock",
            Self::Does => "Doors: what they do",
            Self::Failures => "Doors: sources that keep failing",
        }
    }
}

/// Returns what there is to say of every key, in the order of the documentation.
pub fn key_pages() -> impl Iterator<Item = &'static KeyPage> {
    KEYS.iter().map(|known| &known.page)
}

/// A spelling of a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct KnownKey {
    /// In lower case, as messages have it.
    pub(super) name: &'static str,
    /// What it stands for.
    pub(super) key: Key,
    /// What there is to say of it.
    pub(super) page: KeyPage,
}

/// Every spelling of every key.
pub(super) const KEYS: &[KnownKey] = &[
    KnownKey {
        name: "usesyslog",
        key: Key::UseSyslog,
        page: KeyPage {
            name: "UseSyslog",
            group: KeyGroup::Options,
            value: "none: the word stands alone. Log through syslog. It is accepted in any \
                section, as in knockd.",
            default: "off",
            example: "UseSyslog",
        },
    },
    KnownKey {
        name: "logfile",
        key: Key::Options(OptionKey::LogFile),
        page: KeyPage {
            name: "LogFile",
            group: KeyGroup::Options,
            value: "The file to log to. Empty means none.",
            default: "none",
            example: "LogFile = /var/log/knockd.log",
        },
    },
    KnownKey {
        name: "logformat",
        key: Key::Options(OptionKey::LogFormat),
        page: KeyPage {
            name: "LogFormat",
            group: KeyGroup::Options,
            value: "`knockd`: lines as knockd 0.8 writes them, to the minute. `rfc3339`: for \
                people, with milliseconds and reasons. `json`: one object a line, with the \
                field names of [FORMATS.md](FORMATS.md).",
            default: "`knockd`",
            example: "LogFormat = json",
        },
    },
    KnownKey {
        name: "loglimit",
        key: Key::Options(OptionKey::LogLimit),
        page: KeyPage {
            name: "LogLimit",
            group: KeyGroup::Options,
            value: "0 to 1000000. How many lines a second, of those that strangers can cause, \
                are logged for each door; the rest is counted. 0 is no limit.",
            default: "`20`",
            example: "LogLimit = 100",
        },
    },
    KnownKey {
        name: "pidfile",
        key: Key::Options(OptionKey::PidFile),
        page: KeyPage {
            name: "PidFile",
            group: KeyGroup::Options,
            value: "The file for the daemon's process number. Empty means none.",
            default: "none",
            example: "PidFile = /run/knockd.pid",
        },
    },
    KnownKey {
        name: "interface",
        key: Key::Options(OptionKey::Interface),
        page: KeyPage {
            name: "Interface",
            group: KeyGroup::Options,
            value: "A list of the interfaces to listen on, or `any` for all of them. Empty \
                means none.",
            default: "the default route's, and `eth0`",
            example: "Interface = eth0, tun0",
        },
    },
    KnownKey {
        name: "buffersize",
        key: Key::Options(OptionKey::BufferSize),
        page: KeyPage {
            name: "BufferSize",
            group: KeyGroup::Options,
            value: "64K to 1G. The kernel's memory, for each capture, for packets that were not \
                looked at yet: bytes, or a number with `K`, `M` or `G` (powers of 1024) right \
                behind it.",
            default: "`8M`",
            example: "BufferSize = 32M",
        },
    },
    KnownKey {
        name: "statedir",
        key: Key::Options(OptionKey::StateDir),
        page: KeyPage {
            name: "StateDir",
            group: KeyGroup::Options,
            value: "The folder for the ledger of open doors: an absolute path. It must outlast \
                the daemon. On a full disk the daemon runs, with room for some thousands of \
                open doors set aside; where the folder can't be written at all it does not \
                start.",
            default: "`/var/lib/knockd`",
            example: "StateDir = /srv/knockd",
        },
    },
    KnownKey {
        name: "record",
        key: Key::Options(OptionKey::Record),
        page: KeyPage {
            name: "Record",
            group: KeyGroup::Options,
            value: "The folder for a recording of what the doors see: an absolute path, of a \
                folder for this daemon alone; it is made where only its last part is missing. \
                Empty means none. See [RECORDING.md](RECORDING.md).",
            default: "none",
            example: "Record = /var/lib/knockd/record",
        },
    },
    KnownKey {
        name: "recordsize",
        key: Key::Options(OptionKey::RecordSize),
        page: KeyPage {
            name: "RecordSize",
            group: KeyGroup::Options,
            value: "1M to 1T. How much the recording may take on disk; the oldest of it makes \
                room.",
            default: "`64M`",
            example: "RecordSize = 1G",
        },
    },
    KnownKey {
        name: "onstop",
        key: Key::Options(OptionKey::OnStop),
        page: KeyPage {
            name: "OnStop",
            group: KeyGroup::Options,
            value: "What becomes of open doors when the daemon is stopped. `close`: they are \
                closed. `keep`: they stay open until their time is over or the daemon runs \
                again, whichever is later.",
            default: "`close`",
            example: "OnStop = keep",
        },
    },
    KnownKey {
        name: "max_attempts",
        key: Key::Options(OptionKey::MaxAttempts),
        page: KeyPage {
            name: "max_attempts",
            group: KeyGroup::Options,
            value: "1 to 16777216. How many pairs of a source and a door are remembered at once \
                (S14).",
            default: "`1048576`",
            example: "max_attempts = 100000",
        },
    },
    KnownKey {
        name: "max_leases",
        key: Key::Options(OptionKey::MaxLeases),
        page: KeyPage {
            name: "max_leases",
            group: KeyGroup::Options,
            value: "1 to 16777216. How many doors are held open at once, each for one source \
                (S14).",
            default: "`65536`",
            example: "max_leases = 1000",
        },
    },
    KnownKey {
        name: "max_commands",
        key: Key::Options(OptionKey::MaxCommands),
        page: KeyPage {
            name: "max_commands",
            group: KeyGroup::Options,
            value: "1 to 1024. How many start and check commands run side by side; as many stop \
                commands may run beside them.",
            default: "`16`",
            example: "max_commands = 4",
        },
    },
    KnownKey {
        name: "command_timeout",
        key: Key::Options(OptionKey::CommandTimeout),
        page: KeyPage {
            name: "command_timeout",
            group: KeyGroup::Options,
            value: "A span above 0: how long a command may take before it is killed. A start \
                command of a door without a stop command may take as long as it likes.",
            default: "`30`",
            example: "command_timeout = 10s",
        },
    },
    KnownKey {
        name: "sequence",
        key: Key::Door(DoorKey::Sequence),
        page: KeyPage {
            name: "sequence",
            group: KeyGroup::Opens,
            value: "1 to 32 knocks: a list of ports, 1 to 65535, each with `:tcp` or `:udp` \
                behind it where it is not TCP. A port may repeat.",
            default: "must be given",
            example: "sequence = 7000,8000:udp,9000",
        },
    },
    KnownKey {
        name: "one_time_sequences",
        key: Key::Door(DoorKey::OneTimeSequences),
        page: KeyPage {
            name: "one_time_sequences",
            group: KeyGroup::Opens,
            value: "A file with a sequence in each line; each opens the door once (S12). See \
                below.",
            default: "none",
            example: "one_time_sequences = /etc/knockd/ssh.seqs",
        },
    },
    KnownKey {
        name: "seq_timeout",
        key: Key::Door(DoorKey::Span(SpanKey::SeqTimeout)),
        page: KeyPage {
            name: "seq_timeout",
            group: KeyGroup::Opens,
            value: "A span from 0 on, counted from the first knock: the last one must come \
                before its end (S7, S9). With 0 only doors of one knock open.",
            default: "`25`",
            example: "seq_timeout = 5",
        },
    },
    KnownKey {
        name: "timeout",
        key: Key::Door(DoorKey::Span(SpanKey::SeqTimeout)),
        page: KeyPage {
            name: "timeout",
            group: KeyGroup::Opens,
            value: "Another name for `seq_timeout`.",
            default: "`25`",
            example: "timeout = 1.5s",
        },
    },
    KnownKey {
        name: "tcpflags",
        key: Key::Door(DoorKey::TcpFlags),
        page: KeyPage {
            name: "tcpflags",
            group: KeyGroup::Opens,
            value: "A list of `fin`, `syn`, `rst`, `psh`, `ack` and `urg`: flags that a TCP \
                knock must have, and with `!` in front those that it must not have. The last \
                mention of a flag counts. Where `syn` is asked for, `ack`, `rst` and `fin` must \
                be clear unless they are mentioned without `!` (S5). UDP knocks have no flags.",
            default: "`syn`",
            example: "tcpflags = syn, !urg",
        },
    },
    KnownKey {
        name: "target",
        key: Key::Door(DoorKey::Target),
        page: KeyPage {
            name: "target",
            group: KeyGroup::Sees,
            value: "A list of IPv4 and IPv6 addresses: the door sees only packets to these \
                (S4). Host names are not looked up.",
            default: "the host's own addresses",
            example: "target = 192.0.2.2, 2001:db8::2",
        },
    },
    KnownKey {
        name: "allow",
        key: Key::Door(DoorKey::Allow),
        page: KeyPage {
            name: "allow",
            group: KeyGroup::Sees,
            value: "A list of addresses and networks: the only sources that the door sees (S4).",
            default: "all",
            example: "allow = 192.0.2.0/24, 2001:db8::/32",
        },
    },
    KnownKey {
        name: "deny",
        key: Key::Door(DoorKey::Deny),
        page: KeyPage {
            name: "deny",
            group: KeyGroup::Sees,
            value: "A list of addresses and networks: sources that the door never sees, also \
                where `allow` names them (S4).",
            default: "none",
            example: "deny = 192.0.2.66",
        },
    },
    KnownKey {
        name: "max_strays",
        key: Key::Door(DoorKey::MaxStrays),
        page: KeyPage {
            name: "max_strays",
            group: KeyGroup::Breaks,
            value: "0 to 1024: how many different ports beside the sequence an attempt \
                survives. `off`: other ports never matter, and a scan in the right order opens \
                the door, as it does with knockd.",
            default: "`8`",
            example: "max_strays = off",
        },
    },
    KnownKey {
        name: "udp_strays",
        key: Key::Door(DoorKey::UdpStrays),
        page: KeyPage {
            name: "udp_strays",
            group: KeyGroup::Breaks,
            value: "`yes` or `no`: whether UDP packets can be strays.",
            default: "`yes` where all knocks of the sequence are UDP, else `no`",
            example: "udp_strays = yes",
        },
    },
    KnownKey {
        name: "ignore_ports",
        key: Key::Door(DoorKey::IgnorePorts),
        page: KeyPage {
            name: "ignore_ports",
            group: KeyGroup::Breaks,
            value: "A list of ports and ranges, for both protocols or for one: these are never \
                strays.",
            default: "none",
            example: "ignore_ports = 22, 53:udp, 6000-6010:tcp",
        },
    },
    KnownKey {
        name: "retransmit_window",
        key: Key::Door(DoorKey::Span(SpanKey::RetransmitWindow)),
        page: KeyPage {
            name: "retransmit_window",
            group: KeyGroup::Breaks,
            value: "A span from 0 on: how long a TCP knock is remembered, so that the kernel's \
                repetition of the same packet counts for nothing (S8). 0 is off.",
            default: "the larger of `seq_timeout` and 130 s",
            example: "retransmit_window = 3m",
        },
    },
    KnownKey {
        name: "start_command",
        key: Key::Door(DoorKey::Command(CommandKey::Start)),
        page: KeyPage {
            name: "start_command",
            group: KeyGroup::Does,
            value: "What is run when the door opens, by a shell. Without it nothing is run, \
                whatever the other commands.",
            default: "none",
            example: "start_command = nft add element inet filter knocked { %IP% }",
        },
    },
    KnownKey {
        name: "command",
        key: Key::Door(DoorKey::Command(CommandKey::Start)),
        page: KeyPage {
            name: "command",
            group: KeyGroup::Does,
            value: "Another name for `start_command`.",
            default: "none",
            example: "command = /usr/local/bin/wake",
        },
    },
    KnownKey {
        name: "stop_command",
        key: Key::Door(DoorKey::Command(CommandKey::Stop)),
        page: KeyPage {
            name: "stop_command",
            group: KeyGroup::Does,
            value: "What is run when `cmd_timeout` is over. With it the door is held open: a \
                source that knocks again meanwhile stays in for longer, and the start command \
                does not run again (S11).",
            default: "none",
            example: "stop_command = nft delete element inet filter knocked { %IP% }",
        },
    },
    KnownKey {
        name: "check_command",
        key: Key::Door(DoorKey::Command(CommandKey::Check)),
        page: KeyPage {
            name: "check_command",
            group: KeyGroup::Does,
            value: "Tells the daemon, by exiting with 0, that the start command's effect is \
                still there. Where it is not, a renewing knock runs the start command again \
                (S11).",
            default: "none",
            example: "check_command = nft get element inet filter knocked { %IP% }",
        },
    },
    KnownKey {
        name: "start_command_6",
        key: Key::Door(DoorKey::Command(CommandKey::StartV6)),
        page: KeyPage {
            name: "start_command_6",
            group: KeyGroup::Does,
            value: "In place of `start_command` for IPv6 sources. Empty means none for them.",
            default: "the plain form",
            example: "start_command_6 = nft add element inet filter knocked6 { %IP% }",
        },
    },
    KnownKey {
        name: "command_6",
        key: Key::Door(DoorKey::Command(CommandKey::StartV6)),
        page: KeyPage {
            name: "command_6",
            group: KeyGroup::Does,
            value: "Another name for `start_command_6`.",
            default: "the plain form",
            example: "command_6 =",
        },
    },
    KnownKey {
        name: "stop_command_6",
        key: Key::Door(DoorKey::Command(CommandKey::StopV6)),
        page: KeyPage {
            name: "stop_command_6",
            group: KeyGroup::Does,
            value: "In place of `stop_command` for IPv6 sources. Empty means none for them.",
            default: "the plain form",
            example: "stop_command_6 = nft delete element inet filter knocked6 { %IP% }",
        },
    },
    KnownKey {
        name: "check_command_6",
        key: Key::Door(DoorKey::Command(CommandKey::CheckV6)),
        page: KeyPage {
            name: "check_command_6",
            group: KeyGroup::Does,
            value: "In place of `check_command` for IPv6 sources. Empty means none for them.",
            default: "the plain form",
            example: "check_command_6 = nft get element inet filter knocked6 { %IP% }",
        },
    },
    KnownKey {
        name: "cmd_timeout",
        key: Key::Door(DoorKey::Span(SpanKey::CmdTimeout)),
        page: KeyPage {
            name: "cmd_timeout",
            group: KeyGroup::Does,
            value: "A span from 0 on: how long after the last knock the stop command runs (S11).",
            default: "`10`",
            example: "cmd_timeout = 1h",
        },
    },
    KnownKey {
        name: "cooldown",
        key: Key::Door(DoorKey::Span(SpanKey::Cooldown)),
        page: KeyPage {
            name: "cooldown",
            group: KeyGroup::Does,
            value: "A span from 0 on, for doors without a stop command: how long after the \
                start command ran it does not run again for the same source (S11). 0 is off.",
            default: "`0`",
            example: "cooldown = 30",
        },
    },
    KnownKey {
        name: "grant",
        key: Key::Door(DoorKey::Grant),
        page: KeyPage {
            name: "grant",
            group: KeyGroup::Does,
            value: "Prefix lengths for `%NET%`, for IPv4 (0 to 32) and, behind a comma, for \
                IPv6 (0 to 128). One length alone is for IPv4. The slashes may be left out.",
            default: "`/32, /128`",
            example: "grant = /24, /56",
        },
    },
    KnownKey {
        name: "max_failures",
        key: Key::Door(DoorKey::MaxFailures),
        page: KeyPage {
            name: "max_failures",
            group: KeyGroup::Failures,
            value: "0 to 1000: how many failed attempts lock a source out of this door. 0 is \
                off. IPv6 sources are counted by /64.",
            default: "`0`",
            example: "max_failures = 5",
        },
    },
    KnownKey {
        name: "failure_window",
        key: Key::Door(DoorKey::Span(SpanKey::FailureWindow)),
        page: KeyPage {
            name: "failure_window",
            group: KeyGroup::Failures,
            value: "A span above 0, within which they count together.",
            default: "`60`",
            example: "failure_window = 2m",
        },
    },
    KnownKey {
        name: "lockout",
        key: Key::Door(DoorKey::Span(SpanKey::Lockout)),
        page: KeyPage {
            name: "lockout",
            group: KeyGroup::Failures,
            value: "A span above 0: how long the door then ignores the source.",
            default: "`300`",
            example: "lockout = 1h",
        },
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_named_once_and_by_its_own_name() {
        for (index, known) in KEYS.iter().enumerate() {
            let KnownKey { name, key, page } = known;
            assert_eq!(*name, page.name.to_lowercase());
            assert!(KEYS[..index].iter().all(|other| other.name != *name), "{name} twice");
            let is_option = matches!(key, Key::UseSyslog | Key::Options(_));
            assert_eq!(is_option, page.group == KeyGroup::Options, "{name}");
            assert_eq!(page.example.split('=').next().unwrap().trim(), page.name);
        }
    }

    #[test]
    fn groups_come_in_their_order_and_every_one_has_keys() {
        let groups: Vec<_> = KEYS.iter().map(|known| known.page.group).collect();
        assert!(groups.is_sorted());
        assert!(KeyGroup::ALL.iter().all(|group| groups.contains(group)));
    }

    #[test]
    fn every_text_says_something() {
        for KnownKey { page, .. } in KEYS {
            assert!(page.value.ends_with('.') && !page.default.is_empty(), "{page:?}");
            assert_eq!(page.value.matches('`').count() % 2, 0, "{page:?}");
        }
    }
}
