//! The format of knockd 0.8, so that whatever reads its log goes on working.
//!
//! What knockd says too is said in the same words. What it doesn't is of the same shape, `SOURCE:
//! DOOR: words`, and has none of the words that stand for one of its own events.

use std::fmt::{self, Display, Write as _};
use std::net::IpAddr;

use knock_engine::output::{DoorEvent, Event, EventKind, ResetReason, Trigger};
use knock_frontend::escape::Escaped;
use knock_frontend::format::{Counted, Span, Times};

use super::format::{Verbosity, cut};
use super::message::{CommandEvent, CommandKind, Exit, Message, Severity, Subject, What};

/// Appends what a message says.
pub(super) fn append(text: &mut String, message: &Message, verbosity: Verbosity) {
    // Writing to a String cannot fail.
    let _ = match &message.what {
        What::Event(event) => write_event(text, event, verbosity),
        What::Command { subject, kind, event } => write_command(text, subject, *kind, event),
        What::Notice { severity, text: notice } => {
            let label = match severity {
                Severity::Info => "",
                Severity::Warning => "warning: ",
                Severity::Error => "error: ",
            };
            write!(text, "{label}{}", Foreign(notice))
        }
        What::NotLogged { door, lines } => {
            let lines = Counted(*lines, "more line");
            match door {
                Some(door) => write!(text, "{}: {lines} not logged (LogLimit)", Foreign(door)),
                None => write!(text, "warning: {lines} of other doors not logged (LogLimit)"),
            }
        }
        What::Lost { lines, reason } => {
            let lines = Counted(*lines, "line");
            write!(text, "warning: {lines} of this log lost: {}", Foreign(reason))
        }
    };
}

fn write_event(text: &mut String, event: &Event, verbosity: Verbosity) -> fmt::Result {
    match event {
        Event::ClockStep { at, from } => {
            let step = Span(from.saturating_duration_since(*at));
            write!(text, "warning: the clock stepped back by {step}: all attempts are dropped")
        }
        Event::Disabled { door, .. } => write!(
            text,
            "no more sequences left in the one time sequences file for door {} --> disabling the \
             door",
            Foreign(&door.name)
        ),
        Event::Door(event) => {
            write!(text, "{}: {}: {}", event.source, Foreign(&event.door.name), Words(event))?;
            match event.trigger {
                Trigger::Packet(packet) if verbosity == Verbosity::Debug => write!(
                    text,
                    " ({}/{} to {})",
                    packet.destination_port,
                    packet.protocol().name(),
                    packet.destination
                ),
                Trigger::Packet(_) | Trigger::OtherAttempt | Trigger::Deadline => Ok(()),
            }
        }
    }
}

/// What happened between a source and a door, in knockd's words or in like ones.
struct Words<'a>(&'a DoorEvent);

impl Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = self.0.progress.map_or(0, |progress| progress.stage);
        match self.0.kind {
            EventKind::Stage => write!(f, "Stage {stage}"),
            EventKind::Open => f.write_str("OPEN SESAME"),
            EventKind::Timeout => write!(f, "sequence timeout (stage {stage})"),
            EventKind::Close => f.write_str("command timeout"),
            EventKind::Reset(reason) => {
                let reason = match reason {
                    ResetReason::OutOfOrder => "out of order",
                    ResetReason::Strays => "too many other ports",
                    ResetReason::SequenceUsed => "another source used the sequence",
                };
                write!(f, "sequence broken (stage {stage}): {reason}")
            }
            EventKind::Renew => f.write_str("open already, stays open longer"),
            EventKind::Suppressed => f.write_str("no command: within the cooldown"),
            EventKind::Refused => f.write_str("no command: max_leases doors are open"),
            EventKind::Lockout => {
                f.write_str("locked out: too many attempts failed")?;
                let limit = self.0.door.failure_limit;
                limit.map_or(Ok(()), |limit| write!(f, " (for {})", Span(limit.lockout)))
            }
            EventKind::Duplicate => write!(f, "retransmission ignored (stage {stage})"),
            EventKind::Repeat => write!(f, "repeat ignored (stage {stage})"),
            EventKind::Restart => f.write_str("begun anew (stage 1)"),
            EventKind::Stray => write!(f, "other port (stage {stage})"),
            EventKind::Evicted => f.write_str("forgotten to make room (max_attempts)"),
        }
    }
}

fn write_command(
    text: &mut String,
    subject: &Subject,
    kind: CommandKind,
    event: &CommandEvent,
) -> fmt::Result {
    let door = Foreign(&subject.door);
    // These two are knockd's own, which does not name the source in them.
    match (kind, event) {
        (CommandKind::Start | CommandKind::Stop, CommandEvent::Running { command }) => {
            return write!(text, "{door}: running command: {}", Foreign(command));
        }
        (
            CommandKind::Start | CommandKind::Stop,
            CommandEvent::Failed { exit: Exit::Status(status) },
        ) => return write!(text, "{door}: command returned non-zero status code ({status})"),
        _ => {}
    }
    write!(text, "{}: {door}: ", subject.source)?;
    write_command_words(text, subject.source, kind, event)
}

fn write_command_words(
    text: &mut String,
    source: IpAddr,
    kind: CommandKind,
    event: &CommandEvent,
) -> fmt::Result {
    let name = kind.name();
    match event {
        CommandEvent::Expired => text.write_str("command timeout"),
        CommandEvent::Running { command } => {
            write!(text, "running {name} command: {}", Foreign(command))
        }
        CommandEvent::WouldRun { command } => {
            write!(text, "{name} command not run (--dry-run): {}", Foreign(command))
        }
        CommandEvent::Failed { exit } => {
            write!(text, "{name} command {}", Foreign(&exit.to_string()))
        }
        CommandEvent::Printed { line } => {
            write!(text, "{name} command printed: {}", Foreign(line))
        }
        CommandEvent::PrintedMore { bytes } => {
            let bytes = Counted(*bytes, "more byte");
            write!(text, "{name} command printed {bytes}, which are not logged")
        }
        CommandEvent::StillRunning { elapsed } => {
            let elapsed = Span(*elapsed);
            write!(text, "{name} command has been running for {elapsed} and goes on")
        }
        CommandEvent::Retry { attempt, delay } => {
            write!(text, "{name} command is tried again in {} (try {attempt})", Span(*delay))
        }
        CommandEvent::GivenUp { attempts } => write!(
            text,
            "{name} command failed {} and is given up: the door may still be open for {source}; \
             see to it, or run knockd --close-all",
            Times(u64::from(*attempts))
        ),
        CommandEvent::NotStarted { reason } => {
            write!(text, "{name} command not run, the door stays shut: {}", Foreign(reason))
        }
        CommandEvent::EffectMissing => {
            text.write_str("check_command finds it shut: the start command runs again")
        }
        CommandEvent::Recovered { remaining } => {
            write!(text, "found open at start-up, stays open for {}", Span(*remaining))
        }
    }
}

/// Text from the config, a command or the system: cut where it is too long, and escaped.
struct Foreign<'a>(&'a str);

impl Display for Foreign<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped(&cut(self.0)).fmt(f)
    }
}
