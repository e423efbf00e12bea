//! A stamp of RFC 3339, the severity, the event's name, then `name=value` and nothing else.

use std::fmt::{self, Display, Write as _};
use std::net::IpAddr;
use std::time::Duration;

use knock_engine::output::{DoorEvent, Event, EventKind, Trigger};
use knock_frontend::escape::{Escaped, is_unsafe};

use super::format::{Verbosity, cut};
use super::message::{CommandEvent, CommandKind, Exit, Message, Subject, What};

/// Appends what a message says; the stamp is there already.
pub(super) fn append(text: &mut String, message: &Message, verbosity: Verbosity) {
    let what = &message.what;
    // Writing to a String cannot fail.
    let _ = write!(text, "{} {}", what.severity().name(), what.name());
    let _ = match what {
        What::Event(event) => append_event(text, event, verbosity),
        What::Command { subject, kind, event } => append_command(text, subject, *kind, event),
        What::Notice { text: notice, .. } => write!(text, " message={}", Value(notice)),
        What::NotLogged { door, lines } => {
            let door = door.as_deref().map_or(Ok(()), |door| write!(text, " door={}", Value(door)));
            door.and_then(|()| write!(text, " lines={lines} reason=log_limit"))
        }
        What::Lost { lines, reason } => write!(text, " lines={lines} message={}", Value(reason)),
    };
}

fn append_event(text: &mut String, event: &Event, verbosity: Verbosity) -> fmt::Result {
    match event {
        Event::ClockStep { at, from } => {
            write!(text, " step_ms={}", millis(from.saturating_duration_since(*at)))
        }
        Event::Disabled { door, .. } => write!(text, " door={}", Value(&door.name)),
        Event::Door(event) => append_door_event(text, event, verbosity),
    }
}

fn append_door_event(text: &mut String, event: &DoorEvent, verbosity: Verbosity) -> fmt::Result {
    append_subject(text, event.source, &event.door.name)?;
    if let Some(progress) = event.progress {
        write!(text, " stage={}/{}", progress.stage, progress.of)?;
        if let Some(gap) = progress.gap {
            write!(text, " gap_ms={}", millis(gap))?;
        }
        // Without an attempt there is nothing that could have lasted.
        if progress.stage > 0 {
            let (elapsed, margin) = (millis(progress.elapsed), millis(progress.margin));
            write!(text, " elapsed_ms={elapsed} margin_ms={margin}")?;
        }
    }
    if let EventKind::Reset(reason) = event.kind {
        write!(text, " reason={}", reason.name())?;
    }
    if let (EventKind::Lockout, Some(limit)) = (event.kind, event.door.failure_limit) {
        write!(text, " lockout_ms={}", millis(limit.lockout))?;
    }
    match event.trigger {
        Trigger::Packet(packet) if verbosity == Verbosity::Debug => write!(
            text,
            " destination={} protocol={} port={}",
            packet.destination,
            packet.protocol().name(),
            packet.destination_port
        ),
        Trigger::Packet(_) | Trigger::OtherAttempt | Trigger::Deadline => Ok(()),
    }
}

fn append_command(
    text: &mut String,
    subject: &Subject,
    kind: CommandKind,
    event: &CommandEvent,
) -> fmt::Result {
    append_subject(text, subject.source, &subject.door)?;
    if !matches!(event, CommandEvent::Expired | CommandEvent::Recovered { .. }) {
        write!(text, " kind={}", kind.name())?;
    }
    match event {
        CommandEvent::Expired | CommandEvent::EffectMissing => Ok(()),
        CommandEvent::Running { command } | CommandEvent::WouldRun { command } => {
            write!(text, " command={}", Value(command))
        }
        CommandEvent::Failed { exit } => match exit {
            Exit::Status(status) => write!(text, " status={status}"),
            Exit::Signal(signal) => write!(text, " signal={signal}"),
            Exit::TimedOut => text.write_str(" reason=timed_out"),
            Exit::NotRun(reason) => write!(text, " reason=not_run message={}", Value(reason)),
        },
        CommandEvent::Printed { line } => write!(text, " message={}", Value(line)),
        CommandEvent::PrintedMore { bytes } => write!(text, " bytes={bytes}"),
        CommandEvent::StillRunning { elapsed } => write!(text, " elapsed_ms={}", millis(*elapsed)),
        CommandEvent::Retry { attempt, delay } => {
            write!(text, " try={attempt} delay_ms={}", millis(*delay))
        }
        CommandEvent::GivenUp { attempts } => write!(text, " tries={attempts}"),
        CommandEvent::NotStarted { reason } => write!(text, " message={}", Value(reason)),
        CommandEvent::Recovered { remaining } => {
            write!(text, " remaining_ms={}", millis(*remaining))
        }
    }
}

/// The source comes first: no text of the config stands before it.
fn append_subject(text: &mut String, source: IpAddr, door: &str) -> fmt::Result {
    write!(text, " source={source} door={}", Value(door))
}

const fn millis(span: Duration) -> u128 {
    span.as_millis()
}

/// Foreign text as a value: in quotation marks where it holds more than a word, with `\"`, `\\`
/// and escapes of what is unsafe in them.
struct Value<'a>(&'a str);

impl Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = cut(self.0);
        let is_word = |character: char| {
            !matches!(character, ' ' | '"' | '=' | '\\')
                && !character.is_whitespace()
                && !is_unsafe(character)
        };
        if !text.is_empty() && text.chars().all(is_word) {
            return f.write_str(&text);
        }
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        write!(f, "\"{}\"", Escaped(&quoted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_one_word_or_quoted() {
        let cases = [
            ("openSSH", "openSSH"),
            ("für-alle", "für-alle"),
            ("", "\"\""),
            ("two words", "\"two words\""),
            ("a=b", "\"a=b\""),
            ("say \"hi\"", "\"say \\\"hi\\\"\""),
            ("a\\n", "\"a\\\\n\""),
            ("a\nb", "\"a\\nb\""),
        ];
        for (raw, expected) in cases {
            assert_eq!(Value(raw).to_string(), expected, "{raw:?}");
        }
    }
}
