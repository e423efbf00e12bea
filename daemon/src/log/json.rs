//! One object of JSON a line, with the field names of `docs/FORMATS.md` and a few more.

use std::borrow::Cow;
use std::time::Duration;

use knock_engine::output::Event;
use knock_engine::time::Timestamp;
use knock_frontend::escape::append_json_line;
use knock_frontend::event_line::EventLine;
use serde::Serialize;

use super::format::{Verbosity, cut};
use super::message::{CommandEvent, CommandKind, Exit, Message, Subject, What};

/// The stamps of a line, as text.
pub(super) struct Stamps<'a> {
    /// When it happened.
    pub(super) at: &'a str,
    /// `clock_step`: the time that had been reached before.
    pub(super) from: Option<String>,
}

/// Returns where a clock stepped back from, as the wall clock that shows `wall` now would tell it.
pub(super) fn stepped_from(message: &Message, wall: Timestamp) -> Option<Timestamp> {
    match &message.what {
        What::Event(Event::ClockStep { at, from }) => {
            Some(wall.saturating_add(from.saturating_duration_since(*at)))
        }
        What::Event(Event::Disabled { .. } | Event::Door(_))
        | What::Command { .. }
        | What::Notice { .. }
        | What::NotLogged { .. }
        | What::Lost { .. } => None,
    }
}

/// Makes the line, without its line break.
pub(super) fn line(message: &Message, stamps: &Stamps<'_>, verbosity: Verbosity) -> String {
    let mut line = LogLine {
        event: EventLine::live(stamps.at, message.what.name()),
        more: More { severity: message.what.severity().name(), ..More::default() },
    };
    line.event.from = stamps.from.as_deref();
    match &message.what {
        What::Event(event) => line.fill_event(event, verbosity),
        What::Command { subject, kind, event } => line.fill_command(subject, *kind, event),
        What::Notice { text, .. } => line.more.message = Some(cut(text)),
        What::NotLogged { door, lines } => {
            line.event.door = door.as_deref();
            line.event.reason = Some("log_limit");
            line.more.lines = Some(*lines);
        }
        What::Lost { lines, reason } => {
            line.more.lines = Some(*lines);
            line.more.message = Some(cut(reason));
        }
    }
    let mut bytes = Vec::with_capacity(256);
    // Neither a Vec nor any of these fields refuses to be written.
    let _ = append_json_line(&mut bytes, &line);
    bytes.pop();
    String::from_utf8(bytes).unwrap_or_default()
}

/// A line: an event's fields, and what only the daemon has to say.
#[derive(Serialize)]
struct LogLine<'a> {
    #[serde(flatten)]
    event: EventLine<'a>,
    #[serde(flatten)]
    more: More<'a>,
}

/// The order of the fields is the order in which they are written.
#[derive(Default, Serialize)]
struct More<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#try: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tries: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lockout_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Cow<'a, str>>,
    severity: &'static str,
}

impl<'a> LogLine<'a> {
    fn fill_event(&mut self, event: &'a Event, verbosity: Verbosity) {
        self.event.door = event.door().map(|door| door.name.as_str());
        let Event::Door(event) = event else { return };
        self.event.fill(event);
        if event.kind == knock_engine::output::EventKind::Lockout {
            self.more.lockout_ns = event.door.failure_limit.map(|limit| nanos(limit.lockout));
        }
        if verbosity < Verbosity::Debug {
            self.event.hide_knock();
        }
    }

    fn fill_command(&mut self, subject: &'a Subject, kind: CommandKind, event: &'a CommandEvent) {
        let (line, more) = (&mut self.event, &mut self.more);
        line.door = Some(&subject.door);
        line.source = Some(subject.source);
        more.kind = Some(kind.name());
        match event {
            CommandEvent::Expired => more.kind = None,
            CommandEvent::EffectMissing => {}
            CommandEvent::Running { command } | CommandEvent::WouldRun { command } => {
                line.command = Some(cut(command));
            }
            CommandEvent::Failed { exit } => match exit {
                Exit::Status(status) => more.status = Some(*status),
                Exit::Signal(signal) => more.signal = Some(*signal),
                Exit::TimedOut => line.reason = Some("timed_out"),
                Exit::NotRun(reason) => {
                    line.reason = Some("not_run");
                    more.message = Some(cut(reason));
                }
            },
            CommandEvent::Printed { line } => more.message = Some(cut(line)),
            CommandEvent::PrintedMore { bytes } => more.bytes = Some(*bytes),
            CommandEvent::StillRunning { elapsed } => line.elapsed_ns = Some(nanos(*elapsed)),
            CommandEvent::Retry { attempt, delay } => {
                more.r#try = Some(*attempt);
                more.delay_ns = Some(nanos(*delay));
            }
            CommandEvent::GivenUp { attempts } => more.tries = Some(*attempts),
            CommandEvent::NotStarted { reason } => more.message = Some(cut(reason)),
            CommandEvent::Recovered { remaining } => {
                more.kind = None;
                more.remaining_ns = Some(nanos(*remaining));
            }
        }
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
