//! The keys and the sections that they belong in.

use super::text::Piece;

/// A setting, whatever its spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// `UseSyslog`, which stands alone, and which knockd accepts in any section (R55).
    UseSyslog,
    /// A setting of `[options]`.
    Options(OptionKey),
    /// A setting of a door.
    Door(DoorKey),
}

/// A setting of `[options]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OptionKey {
    LogFile,
    LogFormat,
    LogLimit,
    PidFile,
    Interface,
    BufferSize,
    StateDir,
    Record,
    RecordSize,
    OnStop,
    MaxAttempts,
    MaxLeases,
    MaxCommands,
    CommandTimeout,
}

/// A setting of a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DoorKey {
    Sequence,
    OneTimeSequences,
    TcpFlags,
    Target,
    Allow,
    Deny,
    MaxStrays,
    UdpStrays,
    IgnorePorts,
    MaxFailures,
    Grant,
    Span(SpanKey),
    Command(CommandKey),
}

/// A setting of a door that is a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SpanKey {
    SeqTimeout,
    RetransmitWindow,
    Cooldown,
    FailureWindow,
    Lockout,
    CmdTimeout,
}

/// A setting of a door that is a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CommandKey {
    Start,
    StartV6,
    Stop,
    StopV6,
    Check,
    CheckV6,
}

/// Every spelling of every key, in lower case.
const KEYS: [(&str, Key); 41] = [
    ("usesyslog", Key::UseSyslog),
    ("logfile", Key::Options(OptionKey::LogFile)),
    ("logformat", Key::Options(OptionKey::LogFormat)),
    ("loglimit", Key::Options(OptionKey::LogLimit)),
    ("pidfile", Key::Options(OptionKey::PidFile)),
    ("interface", Key::Options(OptionKey::Interface)),
    ("buffersize", Key::Options(OptionKey::BufferSize)),
    ("statedir", Key::Options(OptionKey::StateDir)),
    ("record", Key::Options(OptionKey::Record)),
    ("recordsize", Key::Options(OptionKey::RecordSize)),
    ("onstop", Key::Options(OptionKey::OnStop)),
    ("max_attempts", Key::Options(OptionKey::MaxAttempts)),
    ("max_leases", Key::Options(OptionKey::MaxLeases)),
    ("max_commands", Key::Options(OptionKey::MaxCommands)),
    ("command_timeout", Key::Options(OptionKey::CommandTimeout)),
    ("sequence", Key::Door(DoorKey::Sequence)),
    ("one_time_sequences", Key::Door(DoorKey::OneTimeSequences)),
    ("seq_timeout", Key::Door(DoorKey::Span(SpanKey::SeqTimeout))),
    ("timeout", Key::Door(DoorKey::Span(SpanKey::SeqTimeout))),
    ("tcpflags", Key::Door(DoorKey::TcpFlags)),
    ("target", Key::Door(DoorKey::Target)),
    ("allow", Key::Door(DoorKey::Allow)),
    ("deny", Key::Door(DoorKey::Deny)),
    ("max_strays", Key::Door(DoorKey::MaxStrays)),
    ("udp_strays", Key::Door(DoorKey::UdpStrays)),
    ("ignore_ports", Key::Door(DoorKey::IgnorePorts)),
    ("retransmit_window", Key::Door(DoorKey::Span(SpanKey::RetransmitWindow))),
    ("cooldown", Key::Door(DoorKey::Span(SpanKey::Cooldown))),
    ("max_failures", Key::Door(DoorKey::MaxFailures)),
    ("failure_window", Key::Door(DoorKey::Span(SpanKey::FailureWindow))),
    ("lockout", Key::Door(DoorKey::Span(SpanKey::Lockout))),
    ("start_command", Key::Door(DoorKey::Command(CommandKey::Start))),
    ("command", Key::Door(DoorKey::Command(CommandKey::Start))),
    ("start_command_6", Key::Door(DoorKey::Command(CommandKey::StartV6))),
    ("command_6", Key::Door(DoorKey::Command(CommandKey::StartV6))),
    ("stop_command", Key::Door(DoorKey::Command(CommandKey::Stop))),
    ("stop_command_6", Key::Door(DoorKey::Command(CommandKey::StopV6))),
    ("check_command", Key::Door(DoorKey::Command(CommandKey::Check))),
    ("check_command_6", Key::Door(DoorKey::Command(CommandKey::CheckV6))),
    ("cmd_timeout", Key::Door(DoorKey::Span(SpanKey::CmdTimeout))),
    ("grant", Key::Door(DoorKey::Grant)),
];

/// A key with its value, both fit to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting<'a> {
    /// The key as it was written, in lower case.
    pub(super) name: &'static str,
    /// The value, without blanks at its ends.
    pub(super) value: Piece<'a>,
    /// The value as text.
    pub(super) text: &'a str,
}

/// Looks a key up, in whatever case it is written, and returns its spelling in lower case too.
pub(super) fn find_key(written: Piece<'_>) -> Option<(&'static str, Key)> {
    KEYS.into_iter().find(|(name, _)| written.is_word(name))
}

/// Returns the keys of `[options]`.
pub(super) fn option_keys() -> impl Iterator<Item = &'static str> + Clone {
    names(|key| matches!(key, Key::UseSyslog | Key::Options(_)))
}

/// Returns the keys of a door.
pub(super) fn door_keys() -> impl Iterator<Item = &'static str> + Clone {
    names(|key| matches!(key, Key::Door(_)))
}

fn names(belongs: fn(Key) -> bool) -> impl Iterator<Item = &'static str> + Clone {
    KEYS.into_iter().filter(move |(_, key)| belongs(*key)).map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_in_any_case() {
        let key = |name: &'static str| find_key(Piece::new(name.as_bytes(), 0)).map(|(_, key)| key);
        assert_eq!(key("SeQuEnCe"), Some(Key::Door(DoorKey::Sequence)));
        assert_eq!(key("Timeout"), key("seq_timeout"));
        assert_eq!(key("Command_6"), key("START_COMMAND_6"));
        assert_eq!(key("sequenz"), None);
        assert_eq!(key(""), None);
    }
}
