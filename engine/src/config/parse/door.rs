//! A door's section, gathered line by line.

use std::ops::Range;
use std::time::Duration;

use super::address::{parse_addresses, parse_grant, parse_networks};
use super::command::parse_command;
use super::duration::{Least, Span};
use super::flags::parse_flags;
use super::keys::{CommandKey, DoorKey, Setting, SpanKey};
use super::number::Whole;
use super::ports::parse_ports;
use super::problem::{Problem, Problems};
use super::sequence::parse_sequence;
use super::text::Piece;
use super::word::Word;
use crate::config::{
    Command, Door, FailureLimit, KnockFlags, PortRange, PortSet, Sequence, Sequences,
};

/// A setting that was given, rightly or wrongly, and where its value stands.
#[derive(Debug)]
struct Given<T> {
    span: Range<usize>,
    /// `None` where it is an error.
    value: Option<T>,
}

/// A door whose section is being read.
#[derive(Debug)]
pub(super) struct DoorBuilder {
    /// Where the header stands.
    header: Range<usize>,
    /// What needs no more thought at the end; its sequence is no more than a place holder.
    door: Door,
    sequence: Option<Given<Sequence>>,
    one_time_path: Option<Given<String>>,
    flags: Option<KnockFlags>,
    ignore_ports: Vec<PortRange>,
    retransmit_window: Option<Duration>,
    max_failures: u16,
    failure_window: Option<Given<Duration>>,
    lockout: Option<Given<Duration>>,
}

impl DoorBuilder {
    pub(super) fn new(name: String, header: Range<usize>) -> Self {
        let place_holder = Sequences::OneTime { path: String::new(), lines: Vec::new() };
        Self {
            header,
            door: Door::new(name, place_holder),
            sequence: None,
            one_time_path: None,
            flags: None,
            ignore_ports: Vec::new(),
            retransmit_window: None,
            max_failures: 0,
            failure_window: None,
            lockout: None,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.door.name
    }

    /// Notes that a key has a value that can't be read at all, so that nobody asks for the key.
    pub(super) fn set_unreadable(&mut self, key: DoorKey, value: Piece<'_>) {
        if key == DoorKey::Sequence {
            self.sequence = Some(Given { span: value.span(), value: None });
        } else if key == DoorKey::OneTimeSequences {
            self.one_time_path = Some(Given { span: value.span(), value: None });
        }
    }

    /// Applies a setting. A later line replaces an earlier one of the same key, as in knockd;
    /// but lines of `tcpflags` (R54), `allow`, `deny` and `ignore_ports` add up.
    pub(super) fn set(&mut self, key: DoorKey, setting: Setting<'_>, problems: &mut Problems) {
        let Setting { value, text, .. } = setting;
        let span = value.span();
        let door = &mut self.door;
        match key {
            DoorKey::Sequence => {
                self.sequence = Some(Given { span, value: parse_sequence(value, problems) });
            }
            DoorKey::OneTimeSequences => {
                let path = (!text.is_empty()).then(|| text.to_owned());
                if path.is_none() {
                    let problem = Problem::error(span.clone(), "one_time_sequences has no value");
                    problems.push(problem.help("it names a file with a sequence in each line"));
                }
                self.one_time_path = Some(Given { span, value: path });
            }
            DoorKey::TcpFlags => {
                self.flags = parse_flags(self.flags, value, problems).or(self.flags);
            }
            DoorKey::Target => replace(&mut door.targets, parse_addresses(value, problems)),
            DoorKey::Allow => {
                let networks = parse_networks(value, problems).unwrap_or_default();
                door.allow.get_or_insert_default().extend(networks);
            }
            DoorKey::Deny => {
                door.deny.extend(parse_networks(value, problems).unwrap_or_default());
            }
            DoorKey::MaxStrays => replace(&mut door.max_strays, parse_max_strays(value, problems)),
            DoorKey::UdpStrays => door.udp_strays = parse_yes_or_no(setting, problems),
            DoorKey::IgnorePorts => {
                self.ignore_ports.extend(parse_ports(value, problems).unwrap_or_default());
            }
            DoorKey::MaxFailures => {
                let range = 0..=u32::from(FailureLimit::MAX_FAILURES);
                let max_failures = Whole { key: "max_failures", range, or_else: "; 0 is off" };
                replace(&mut self.max_failures, max_failures.parse_short(value, problems));
            }
            DoorKey::Grant => replace(&mut door.grant, parse_grant(value, problems)),
            DoorKey::Span(key) => self.set_span(key, setting, problems),
            DoorKey::Command(key) => self.set_command(key, parse_command(setting, problems)),
        }
    }

    fn set_span(&mut self, key: SpanKey, setting: Setting<'_>, problems: &mut Problems) {
        let Setting { name, value, .. } = setting;
        let least = match key {
            SpanKey::SeqTimeout => Least::ZeroForNegative,
            SpanKey::CmdTimeout => Least::WrapForNegative,
            SpanKey::FailureWindow | SpanKey::Lockout => Least::AboveZero,
            SpanKey::RetransmitWindow | SpanKey::Cooldown => Least::Zero,
        };
        let parsed = Span { key: name, least }.parse(value, problems);
        let given = Given { span: value.span(), value: parsed };
        match key {
            SpanKey::SeqTimeout => {
                if parsed == Some(Duration::ZERO) {
                    let message = format!(
                        "{name} {} is taken as 0 s: a door of several knocks never opens",
                        value.quoted()
                    );
                    let help = "write how many seconds a whole knock may take";
                    problems.push(Problem::warning(value.span(), message).help(help));
                }
                replace(&mut self.door.seq_timeout, parsed);
            }
            SpanKey::CmdTimeout => replace(&mut self.door.cmd_timeout, parsed),
            SpanKey::Cooldown => replace(&mut self.door.cooldown, parsed),
            SpanKey::RetransmitWindow => self.retransmit_window = parsed,
            SpanKey::FailureWindow => self.failure_window = Some(given),
            SpanKey::Lockout => self.lockout = Some(given),
        }
    }

    fn set_command(&mut self, key: CommandKey, command: Option<Command>) {
        let commands = &mut self.door.commands;
        match key {
            CommandKey::Start => commands.start = command,
            CommandKey::StartV6 => commands.start_v6 = Some(command),
            CommandKey::Stop => commands.stop = command,
            CommandKey::StopV6 => commands.stop_v6 = Some(command),
            CommandKey::Check => commands.check = command,
            CommandKey::CheckV6 => commands.check_v6 = Some(command),
        }
    }

    /// Makes the door of what was gathered; `None` where it is an error.
    pub(super) fn finish(mut self, problems: &mut Problems) -> Option<Door> {
        let failure_limit = self.failure_limit(problems);
        let sequences = self.sequences(problems)?;
        let Self { mut door, flags, ignore_ports, retransmit_window, .. } = self;
        let default_window = door.seq_timeout.max(Door::LEAST_RETRANSMIT_WINDOW);
        door.sequences = sequences;
        door.flags = flags.unwrap_or_default();
        door.ignore_ports = PortSet::new(ignore_ports);
        door.retransmit_window = retransmit_window.unwrap_or(default_window);
        door.failure_limit = failure_limit;
        Some(door)
    }

    fn sequences(&mut self, problems: &mut Problems) -> Option<Sequences> {
        let name = super::quote(self.door.name.as_bytes());
        match (self.sequence.take(), self.one_time_path.take()) {
            (Some(sequence), None) => sequence.value.map(Sequences::Fixed),
            (None, Some(path)) => {
                path.value.map(|path| Sequences::OneTime { path, lines: Vec::new() })
            }
            (None, None) => {
                let message = format!("door {name} has no sequence");
                let help = "write sequence = PORT,PORT,... or one_time_sequences = FILE";
                problems.push(Problem::error(self.header.clone(), message).help(help));
                None
            }
            (Some(sequence), Some(path)) => {
                let later =
                    if sequence.span.start > path.span.start { sequence.span } else { path.span };
                let message = format!("door {name} has both sequence and one_time_sequences");
                problems.push(Problem::error(later, message).help("leave one of them out"));
                None
            }
        }
    }

    fn failure_limit(&self, problems: &mut Problems) -> Option<FailureLimit> {
        if self.max_failures == 0 {
            let idle = [("failure_window", &self.failure_window), ("lockout", &self.lockout)];
            for (key, given) in idle {
                let Some(given) = given else { continue };
                let message = format!("{key} has no effect without max_failures");
                let help = "max_failures = 3, say, locks a source out after its third failure";
                problems.push(Problem::warning(given.span.clone(), message).help(help));
            }
            return None;
        }
        let given = |given: &Option<Given<Duration>>| given.as_ref().and_then(|given| given.value);
        Some(FailureLimit {
            max_failures: self.max_failures,
            window: given(&self.failure_window).unwrap_or(FailureLimit::DEFAULT_WINDOW),
            lockout: given(&self.lockout).unwrap_or(FailureLimit::DEFAULT_LOCKOUT),
        })
    }
}

/// Replaces a setting, unless its new value is an error.
fn replace<T>(setting: &mut T, parsed: Option<T>) {
    if let Some(parsed) = parsed {
        *setting = parsed;
    }
}

/// Reads a number, or `off`, which is `Some(None)`.
fn parse_max_strays(value: Piece<'_>, problems: &mut Problems) -> Option<Option<u16>> {
    if value.is_word("off") {
        return Some(None);
    }
    let range = 0..=u32::from(Door::MAX_STRAYS);
    Whole { key: "max_strays", range, or_else: ", or off" }.parse_short(value, problems).map(Some)
}

fn parse_yes_or_no(setting: Setting<'_>, problems: &mut Problems) -> Option<bool> {
    let yes_or_no = Word {
        words: [("yes", true), ("no", false)],
        synonyms: &[
            ("true", "yes"),
            ("on", "yes"),
            ("1", "yes"),
            ("false", "no"),
            ("off", "no"),
            ("0", "no"),
        ],
        negation: "neither yes nor no",
        allowed: "yes or no",
    };
    yes_or_no.parse(setting, problems)
}
