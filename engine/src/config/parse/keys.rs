//! The keys and the sections that they belong in.

use super::table::KEYS;
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
    KEYS.iter().find(|known| written.is_word(known.name)).map(|known| (known.name, known.key))
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
    KEYS.iter().filter(move |known| belongs(known.key)).map(|known| known.name)
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
