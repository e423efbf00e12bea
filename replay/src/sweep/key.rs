//! The keys that can be swept, and their values.

use std::fmt;
use std::time::Duration;

use knock_engine::config::{self, Diagnostic, Door};

/// A key of a door that can be swept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    SeqTimeout,
    MaxStrays,
    RetransmitWindow,
    CmdTimeout,
    Cooldown,
    MaxFailures,
    FailureWindow,
    Lockout,
}

impl Key {
    pub(super) const ALL: [Self; 8] = [
        Self::SeqTimeout,
        Self::MaxStrays,
        Self::RetransmitWindow,
        Self::CmdTimeout,
        Self::Cooldown,
        Self::MaxFailures,
        Self::FailureWindow,
        Self::Lockout,
    ];

    /// Returns the key of this name, in whatever case it is written.
    pub(super) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.name().eq_ignore_ascii_case(name))
    }

    /// Returns its name, as a config has it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::SeqTimeout => "seq_timeout",
            Self::MaxStrays => "max_strays",
            Self::RetransmitWindow => "retransmit_window",
            Self::CmdTimeout => "cmd_timeout",
            Self::Cooldown => "cooldown",
            Self::MaxFailures => "max_failures",
            Self::FailureWindow => "failure_window",
            Self::Lockout => "lockout",
        }
    }

    /// Returns its name in JSON, which for a span ends in the unit.
    pub(super) const fn json_name(self) -> &'static str {
        match self {
            Self::SeqTimeout => "seq_timeout_ns",
            Self::MaxStrays => "max_strays",
            Self::RetransmitWindow => "retransmit_window_ns",
            Self::CmdTimeout => "cmd_timeout_ns",
            Self::Cooldown => "cooldown_ns",
            Self::MaxFailures => "max_failures",
            Self::FailureWindow => "failure_window_ns",
            Self::Lockout => "lockout_ns",
        }
    }

    /// Returns what a door has there.
    pub(super) fn value(self, door: &Door) -> Value {
        let limit = door.failure_limit;
        let number = |number: Option<u16>| number.map_or(Value::Off, |it| Value::Number(it.into()));
        let span = |span: Option<Duration>| span.map_or(Value::Off, Value::Span);
        match self {
            Self::SeqTimeout => Value::Span(door.seq_timeout),
            Self::MaxStrays => number(door.max_strays),
            Self::RetransmitWindow => Value::Span(door.retransmit_window),
            Self::CmdTimeout => Value::Span(door.cmd_timeout),
            Self::Cooldown => Value::Span(door.cooldown),
            Self::MaxFailures => number(limit.map(|limit| limit.max_failures)),
            Self::FailureWindow => span(limit.map(|limit| limit.window)),
            Self::Lockout => span(limit.map(|limit| limit.lockout)),
        }
    }

    /// Reads a value as a config's parser does.
    ///
    /// # Errors
    ///
    /// What the parser says is wrong with it.
    pub(super) fn read(self, text: &str) -> Result<Value, String> {
        if text.contains(char::is_control) {
            return Err("a value has no control characters".to_owned());
        }
        // A config has no word for it, but the tables have.
        if self == Self::MaxFailures && text.eq_ignore_ascii_case("off") {
            return Ok(Value::Off);
        }
        // A door on which every key means something.
        let name = self.name();
        let door = format!("[door]\nsequence = 1\nmax_failures = 1\n{name} = {text}\n");
        let parsed = config::parse(door.as_bytes());
        let door = parsed.config.as_ref().and_then(|config| config.doors.first());
        match (parsed.diagnostics.first(), door) {
            // What a config gets away with, with a warning, is hardly what was wanted here.
            (Some(diagnostic), _) => Err(said(diagnostic)),
            (None, Some(door)) => Ok(self.value(door)),
            (None, None) => Err("it makes no door".to_owned()),
        }
    }

    /// Writes a setting as a config has it.
    pub(super) fn setting(self, value: Value) -> String {
        let name = self.name();
        match value {
            Value::Span(span) => {
                let nanos = format!("{:09}", span.subsec_nanos());
                format!("{name} = {}.{nanos}s", span.as_secs())
            }
            Value::Number(number) => format!("{name} = {number}"),
            Value::Off if self == Self::MaxFailures => format!("{name} = 0"),
            Value::Off => format!("{name} = off"),
        }
    }
}

/// The value of a key. They are in the order from the strictest to the most lenient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Value {
    Span(Duration),
    Number(u64),
    Off,
}

impl fmt::Display for Value {
    /// Writes it exactly, for whoever wants to put it into a config: spans in seconds, or in
    /// milliseconds below one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Span(span) => f.pad(&exact(*span)),
            Self::Number(number) => f.pad(&number.to_string()),
            Self::Off => f.pad("off"),
        }
    }
}

fn exact(span: Duration) -> String {
    let (seconds, nanos) = (span.as_secs(), span.subsec_nanos());
    if nanos == 0 {
        return format!("{seconds} s");
    }
    if seconds == 0 && nanos % 1_000_000 == 0 {
        return format!("{} ms", nanos / 1_000_000);
    }
    format!("{seconds}.{} s", format!("{nanos:09}").trim_end_matches('0'))
}

/// Returns what a parser's diagnostic says, without its place in a text that nobody wrote.
pub(super) fn said(diagnostic: &Diagnostic) -> String {
    let message = &diagnostic.message;
    match (&diagnostic.replacement, &diagnostic.help) {
        (Some(replacement), _) => format!("{message} (did you mean \"{}\"?)", replacement.text),
        (None, Some(help)) => format!("{message} ({help})"),
        (None, None) => message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for (key, text, shown) in [
            (Key::SeqTimeout, "1500ms", "1.5 s"),
            (Key::SeqTimeout, "250ms", "250 ms"),
            (Key::RetransmitWindow, "2m", "120 s"),
            (Key::CmdTimeout, "1h", "3600 s"),
            (Key::Cooldown, "0", "0 s"),
            (Key::MaxStrays, "12", "12"),
            (Key::MaxStrays, "off", "off"),
            (Key::MaxFailures, "0", "off"),
            (Key::MaxFailures, "off", "off"),
            (Key::MaxFailures, "3", "3"),
            (Key::FailureWindow, "30", "30 s"),
            (Key::Lockout, "5m", "300 s"),
        ] {
            let value = key.read(text).unwrap();
            assert_eq!(value.to_string(), shown, "{}", key.name());
            let written = key.setting(value);
            let (_, again) = written.split_once(" = ").unwrap();
            assert_eq!(key.read(again), Ok(value), "{written}");
        }
    }

    #[test]
    fn what_the_parser_refuses_is_told_in_its_words() {
        let said = [
            (Key::SeqTimeout, "15 parsecs"),
            (Key::SeqTimeout, "-5"),
            (Key::MaxStrays, "2000"),
            (
                Key::MaxStrays,
                "8
sequence = 1",
            ),
            (Key::CmdTimeout, ""),
            (Key::Lockout, "1e9"),
        ]
        .map(|(key, text)| format!("{} = {text:?}: {}", key.name(), key.read(text).unwrap_err()));
        insta::assert_snapshot!(said.join(
            "
"
        ));
    }
}
