//! `--format jsonl`: one object a line. `docs/FORMATS.md` describes every field.

use std::borrow::Cow;
use std::io::{self, Write};

use knock_engine::output::{Action, DoorEvent, Event, EventKind, Output, Trigger};
use knock_engine::packet::Packet;
use knock_engine::time::Timestamp;
use knock_frontend::escape::append_json_line;
use knock_frontend::event_line::EventLine;
use knock_frontend::format::Clock;
use knock_frontend::severity::Severity;
use serde::Serialize;

use super::original::{Cause, Close, OriginalReport};
use super::totals::{Damage, DoorTotals, LocalOrigin, Totals};
use super::{Command, Origin, Report};
use crate::knockd08::{Commands, CrashCause, Decision, Step};

/// The report as lines of JSON.
#[derive(Debug)]
pub struct Jsonl<W> {
    out: W,
    traces: Vec<String>,
    clock: Clock,
    /// Stamps and lines are made in these, again and again.
    at: String,
    line: Vec<u8>,
    /// Whether the lines are those of a daemon's log.
    is_of_recording: bool,
    /// An `open` whose command is not decided yet, and the events behind it.
    held: Vec<(Event, Option<Origin>)>,
}

impl<W: Write> Jsonl<W> {
    /// Makes a report that writes to `out`; `traces` are the names of the traces, as given.
    #[must_use]
    pub fn new(out: W, traces: Vec<String>) -> Self {
        let (at, line) = (String::new(), Vec::new());
        Self {
            out,
            traces,
            clock: Clock::default(),
            at,
            line,
            is_of_recording: false,
            held: Vec::new(),
        }
    }

    /// Makes the lines those that the daemon wrote to its log: with the severity, and without the
    /// command of an `open`, for the recording has lines for commands.
    #[must_use]
    pub fn of_recording(mut self) -> Self {
        self.is_of_recording = true;
        self
    }

    /// Writes an event, or keeps it back behind an `open` that waits for its command.
    fn event(&mut self, event: &Event, origin: Option<Origin>) -> io::Result<()> {
        if let Event::Door(door_event) = event {
            let kind = door_event.kind;
            if self.resolves_held(door_event) {
                self.release(None)?;
            }
            if kind == EventKind::Open
                && !self.is_of_recording
                && door_event.door.start_command(door_event.source).is_some()
            {
                self.release(None)?;
                self.held.push((event.clone(), origin));
                return Ok(());
            }
        }
        if self.held.is_empty() {
            return self.write_event(event, origin, None);
        }
        self.held.push((event.clone(), origin));
        Ok(())
    }

    /// Tells whether this event says that the held `open` runs no command.
    fn resolves_held(&self, event: &DoorEvent) -> bool {
        let decides = matches!(
            event.kind,
            EventKind::Renew | EventKind::Suppressed | EventKind::Refused | EventKind::Stage
        );
        decides && !self.held.is_empty()
    }

    /// Writes what was held back; the `open` at its head with this command.
    fn release(&mut self, command: Option<&str>) -> io::Result<()> {
        let mut held = std::mem::take(&mut self.held);
        for (index, (event, origin)) in held.drain(..).enumerate() {
            self.write_event(&event, origin, command.filter(|_| index == 0))?;
        }
        self.held = held;
        Ok(())
    }

    fn write_event(
        &mut self,
        event: &Event,
        origin: Option<Origin>,
        command: Option<&str>,
    ) -> io::Result<()> {
        self.at.clear();
        self.clock.append_rfc3339(event.at(), &mut self.at);
        let from = match event {
            Event::ClockStep { from, .. } => Some(self.clock.rfc3339(*from)),
            Event::Disabled { .. } | Event::Door(_) => None,
        };
        let mut line = EventLine::new(&self.at, event.name());
        line.from = from.as_deref();
        line.door = event.door().map(|door| door.name.as_str());
        line.command = command.map(Cow::Borrowed);
        let mut caused_by_frame = true;
        if let Event::Door(event) = event {
            caused_by_frame = event.trigger != Trigger::Deadline;
            line.fill(event);
        }
        if let Some(origin) = origin.filter(|_| caused_by_frame) {
            line.trace = Some(self.traces.get(origin.trace).map(String::as_str));
            line.frame = Some(Some(origin.frame));
        }
        self.line.clear();
        if self.is_of_recording {
            append_json_line(&mut self.line, &LoggedLine::new(line, event))?;
        } else {
            append_json_line(&mut self.line, &line)?;
        }
        self.out.write_all(&self.line)
    }
}

/// An event's line as a daemon logs it.
#[derive(Serialize)]
struct LoggedLine<'a> {
    #[serde(flatten)]
    line: EventLine<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lockout_ns: Option<u64>,
    severity: &'static str,
}

impl<'a> LoggedLine<'a> {
    fn new(line: EventLine<'a>, event: &Event) -> Self {
        let lockout = match event {
            Event::Door(event) if event.kind == EventKind::Lockout => event.door.failure_limit,
            Event::Door(_) | Event::Disabled { .. } | Event::ClockStep { .. } => None,
        };
        let lockout_ns = lockout.and_then(|its| u64::try_from(its.lockout.as_nanos()).ok());
        Self { line, lockout_ns, severity: Severity::of(event).name() }
    }
}

impl<W: Write> Report for Jsonl<W> {
    fn command(&mut self, command: &Command<'_>) -> io::Result<()> {
        self.out.write_all(command.line.get().as_bytes())?;
        self.out.write_all(b"\n")
    }

    fn output(&mut self, output: &Output, origin: Option<Origin>) -> io::Result<()> {
        match output {
            Output::Event(event) => self.event(event, origin),
            Output::Action(Action::Start { door, source, .. }) => {
                let command = door.start_command(*source);
                let command = command.map(|command| command.expand(*source, door.grant));
                self.release(command.as_deref())
            }
            // The events `renew` and `close` stand for these two.
            Output::Action(Action::Consume { .. } | Action::Renew { .. } | Action::Stop { .. }) => {
                Ok(())
            }
        }
    }

    fn packet(&mut self, _packet: &Packet, _at: Timestamp, _origin: Origin) -> io::Result<()> {
        self.release(None)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self, totals: &Totals) -> io::Result<()> {
        self.release(None)?;
        let first = totals.first.map(|at| self.clock.rfc3339(at));
        let last = totals.last.map(|at| self.clock.rfc3339(at));
        self.line.clear();
        append_json_line(&mut self.line, &SummaryLine::new(totals, first, last))?;
        self.out.write_all(&self.line)?;
        self.out.flush()
    }
}

impl<W: Write> OriginalReport for Jsonl<W> {
    fn decision(&mut self, decision: &Decision, cause: &Cause) -> io::Result<()> {
        let (name, at) = match decision {
            Decision::Stage(step) => ("stage", step.at),
            Decision::Open { step, .. } => ("open", step.at),
            Decision::Timeout(step) => ("timeout", step.at),
            Decision::Disabled { at, .. } => ("disabled", *at),
            Decision::Crash { at, .. } => ("crash", *at),
            // knockd says nothing about these; the summary counts them.
            Decision::Lost { .. } => return Ok(()),
        };
        self.at.clear();
        self.clock.append_rfc3339(at, &mut self.at);
        let mut line = EventLine::new(&self.at, name);
        if let Some(origin) = cause.origin {
            line.trace = Some(self.traces.get(origin.trace).map(String::as_str));
            line.frame = Some(Some(origin.frame));
        }
        match decision {
            Decision::Stage(step) => fill_step(&mut line, step, cause.packet.as_ref()),
            Decision::Open { step, commands } => {
                fill_step(&mut line, step, cause.packet.as_ref());
                if let Commands::Run { start, .. } = commands {
                    line.command = Some(Cow::Borrowed(start));
                }
            }
            // The packet at which it was noticed can be anybody's.
            Decision::Timeout(step) => fill_step(&mut line, step, None),
            Decision::Disabled { door, .. } => line.door = Some(&door.name),
            Decision::Crash { door, cause, .. } => {
                line.door = Some(&door.name);
                line.reason = Some(match cause {
                    CrashCause::LastSequence => "last_sequence",
                    CrashCause::FilterRejectsAll => "filter_rejects_all",
                });
            }
            Decision::Lost { .. } => {}
        }
        self.line.clear();
        append_json_line(&mut self.line, &line)?;
        self.out.write_all(&self.line)
    }

    fn close(&mut self, close: &Close) -> io::Result<()> {
        self.at.clear();
        self.clock.append_rfc3339(close.at, &mut self.at);
        let mut line = EventLine::new(&self.at, "close");
        line.door = Some(&close.door.name);
        line.source = Some(close.source);
        line.command = Some(Cow::Borrowed(&close.command));
        self.line.clear();
        append_json_line(&mut self.line, &line)?;
        self.out.write_all(&self.line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self, totals: &Totals) -> io::Result<()> {
        Report::finish(self, totals)
    }
}

/// Fills in what a step of the original's tells.
fn fill_step<'a>(line: &mut EventLine<'a>, step: &'a Step, packet: Option<&Packet>) {
    line.door = Some(&step.door.name);
    line.source = Some(step.source);
    line.stage = u8::try_from(step.stage).ok();
    line.of = u8::try_from(step.of).ok();
    if let Some(packet) = packet.filter(|packet| packet.source == step.source) {
        line.destination = Some(packet.destination);
        line.protocol = Some(packet.protocol().name());
        line.port = Some(packet.destination_port);
    }
}

/// The last line.
#[derive(Debug, Serialize)]
struct SummaryLine<'a> {
    event: &'static str,
    r#as: &'static str,
    local: LocalOrigin,
    packets: u64,
    bytes: u64,
    first: Option<String>,
    last: Option<String>,
    judged: u64,
    irrelevant: u64,
    skipped: &'a std::collections::BTreeMap<&'static str, u64>,
    clock_steps: u64,
    truncated: bool,
    damage: &'a [Damage],
    doors: &'a [DoorTotals],
}

impl<'a> SummaryLine<'a> {
    fn new(totals: &'a Totals, first: Option<String>, last: Option<String>) -> Self {
        Self {
            event: "summary",
            r#as: totals.decided_as,
            local: totals.local,
            packets: totals.packets,
            bytes: totals.bytes,
            first,
            last,
            judged: totals.judged,
            irrelevant: totals.irrelevant,
            skipped: &totals.skipped,
            clock_steps: totals.clock_steps,
            truncated: totals.truncated,
            damage: &totals.damage,
            doors: &totals.doors,
        }
    }
}
