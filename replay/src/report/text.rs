//! `--format text`: a block per attempt, for people.
//!
//! An attempt's rows are collected while it goes on; when it ends they become a [`Block`]. What
//! explains a failure may come a little later (the knock that was overtaken, or that was too
//! late), so a block waits in a queue until it can no longer be explained better. Blocks leave the
//! queue in order. All of this memory is bounded; a flood makes reports terser, not larger.

mod hindsight;
mod queue;

use std::io::{self, Write};
use std::time::Duration;

use knock_engine::config::{Door, Knock, Sequence, Sequences};
use knock_engine::local::LocalAddresses;
use knock_engine::output::{
    Action, DoorEvent, Event, EventKind, Output, Progress, ResetReason, Trigger,
};
use knock_engine::packet::{Packet, Protocol};
use knock_engine::time::Timestamp;

use self::hindsight::{EndCause, Ended, Hindsight};
use self::queue::Queue;
use super::advice::{self, Port};
use super::block::{Block, BlockId, Hit, Lone, LoneEnd, Mood, Note, Printer, Row};
use super::memory::{Again, Attempt, Bounded, Place};
use super::style::Palette;
use super::summary;
use super::totals::{Doors, Totals};
use super::{Command, Origin, Report};
use knock_frontend::format::{Counted, Span};

/// How the packets come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// From files: a block may wait until later packets explain it.
    Recorded,
    /// As they happen: every line appears at once, and explanations follow as lines of their own.
    Live,
}

/// How the text is to look.
#[derive(Clone, Debug)]
pub struct TextOptions {
    /// The colours.
    pub palette: Palette,
    /// The columns of the terminal.
    pub width: usize,
    /// How the packets come.
    pub pace: Pace,
    /// The local addresses, as the engine has them.
    pub local: LocalAddresses,
    /// The command line that says more where nothing opened.
    pub explain: String,
}

/// The report as text.
#[derive(Debug)]
pub struct Text<W> {
    out: W,
    printer: Printer,
    buffer: String,
    doors: Doors,
    local: LocalAddresses,
    pace: Pace,
    explain: String,
    /// The current line of each door with one-time sequences (S12).
    one_time: Vec<usize>,
    attempts: Bounded<Place, Attempt>,
    hindsight: Hindsight,
    queue: Queue,
    /// The block of an `open` that doesn't know yet what will run.
    opened: Option<(Place, BlockId)>,
}

impl<W: Write> Text<W> {
    /// Attempts that are remembered row by row. The oldest of more is told without its rows.
    const MAX_ATTEMPTS: usize = 65_536;
    /// How long the block of a timed out attempt waits for its late knock.
    const LATE_WAIT: Duration = Duration::from_secs(10);

    /// Makes a report that writes to `out`; `traces` are the names of the traces, as given.
    #[must_use]
    pub fn new(out: W, traces: &[String], doors: Doors, options: TextOptions) -> Self {
        Self {
            out,
            printer: Printer::new(options.palette, options.width, traces),
            buffer: String::new(),
            one_time: vec![0; doors.all().len()],
            doors,
            local: options.local,
            pace: options.pace,
            explain: options.explain,
            attempts: Bounded::new(Self::MAX_ATTEMPTS),
            hindsight: Hindsight::default(),
            queue: Queue::default(),
            opened: None,
        }
    }

    fn event(&mut self, event: &Event, origin: Option<Origin>) {
        match event {
            Event::ClockStep { at, from } => self.clock_step(*at, *from),
            Event::Disabled { at, door } => {
                let told = "disabled: no one-time sequence is left";
                let mut block = Block::new(*at, Mood::Bad, told);
                block.door = Some(door.name.clone());
                self.queue.push(block);
            }
            Event::Door(event) => {
                let Some(door) = self.doors.index(&event.door) else { return };
                self.door_event(event, (event.source, door), origin);
            }
        }
    }

    fn door_event(&mut self, event: &DoorEvent, place: Place, origin: Option<Origin>) {
        match (event.kind, event.trigger, event.progress) {
            (EventKind::Stage | EventKind::Restart, Trigger::Packet(packet), Some(progress)) => {
                self.knock(event.kind, place, Hit::new(&packet, &progress, origin));
            }
            (EventKind::Duplicate | EventKind::Repeat, Trigger::Packet(packet), _) => {
                let again = Again {
                    protocol: packet.protocol(),
                    port: packet.destination_port,
                    retransmitted: event.kind == EventKind::Duplicate,
                    count: 1,
                };
                if let Some(attempt) = self.attempts.get_mut(&place) {
                    attempt.note_again(again);
                }
            }
            (EventKind::Stray, Trigger::Packet(packet), _) => {
                if let Some(attempt) = self.attempts.get_mut(&place) {
                    attempt.note_stray((packet.protocol(), packet.destination_port));
                }
            }
            (EventKind::Open, _, Some(progress)) => self.open(event, place, progress),
            (EventKind::Timeout, _, Some(progress)) => self.timeout(event, place, progress),
            (EventKind::Reset(reason), _, Some(progress)) => {
                self.reset(event, reason, (place, origin), progress);
            }
            (EventKind::Evicted, _, _) => self.evicted(event, place),
            (EventKind::Renew | EventKind::Suppressed | EventKind::Refused, _, _) => {
                self.nothing_runs(event, place);
            }
            (EventKind::Close, _, _) => self.close(event),
            (EventKind::Lockout, _, _) => self.lockout(event, place),
            (
                EventKind::Stage
                | EventKind::Duplicate
                | EventKind::Repeat
                | EventKind::Restart
                | EventKind::Stray
                | EventKind::Open
                | EventKind::Timeout
                | EventKind::Reset(_),
                _,
                _,
            ) => {
                debug_assert!(false, "invariant: a {} has a packet", event.kind.name());
            }
        }
    }

    fn knock(&mut self, kind: EventKind, place: Place, hit: Hit) {
        if kind == EventKind::Restart {
            let restarts = self.attempts.get_mut(&place).map_or(0, |attempt| attempt.restarts);
            let attempt = Attempt { rows: vec![Row::Knock(hit)], restarts: restarts + 1 };
            self.attempts.insert(place, attempt);
        } else if hit.stage == 1 {
            self.hindsight.forget(place);
            self.attempts.insert(place, Attempt { rows: vec![Row::Knock(hit)], restarts: 0 });
        } else if let Some(attempt) = self.attempts.get_mut(&place) {
            attempt.rows.push(Row::Knock(hit));
        }
    }

    fn open(&mut self, event: &DoorEvent, place: Place, progress: Progress) {
        let window = Span(event.door.seq_timeout);
        let verdict = if progress.of == 1 {
            "opened at its only knock".to_owned()
        } else {
            format!("opened in {} of {window}", Span(progress.elapsed))
        };
        let mut block = self.end(event, place, Mood::Good, verdict);
        if event.door.start_command(event.source).is_none() {
            block.notes.push(Note::Text("the door has no start_command: nothing runs".to_owned()));
        }
        let close_call = advice::close_call(progress.margin, event.door.seq_timeout);
        block.notes.extend(close_call.filter(|_| progress.of > 1).map(Note::Text));
        let id = self.queue.push(block);
        self.opened = Some((place, id));
    }

    /// Takes the rows of an attempt that ended and makes its block.
    fn end(&mut self, event: &DoorEvent, place: Place, mood: Mood, verdict: String) -> Block {
        let attempt = self.attempts.remove(&place).unwrap_or_default();
        let mut block = Block::new(event.at, mood, verdict);
        block.source = Some(event.source);
        block.door = Some(event.door.name.clone());
        block.rows = attempt.rows;
        if attempt.restarts > 0 {
            block.rows.insert(0, Row::Restarts(attempt.restarts));
        }
        block
    }

    fn timeout(&mut self, event: &DoorEvent, place: Place, progress: Progress) {
        let Progress { stage, of, .. } = progress;
        let window = Span(event.door.seq_timeout);
        let verdict = format!("timed out after {window}, {stage} of {of} knocks");
        let mut block = self.end(event, place, Mood::Notable, verdict);
        if is_lone(&block) {
            block.lone = Some(Lone { end: LoneEnd::TimedOut, attempts: 1 });
            block.mood = Mood::Faint;
        }
        let expected = self.expected(place.1, stage);
        if let Some(expected) = expected.filter(|_| block.lone.is_none()) {
            block.notes.push(Note::Text(missing(&block, Port::of(expected), stage + 1)));
        }
        block.hold_until = self.hold(event.at, Self::LATE_WAIT);
        let id = self.push_ended(block);
        if let Some(expected) = expected {
            let cause = EndCause::TimedOut;
            let (door, at, number) = (place.1, event.at, stage + 1);
            self.hindsight.remember(place, Ended { door, expected, number, at, cause, block: id });
        }
    }

    fn reset(
        &mut self,
        event: &DoorEvent,
        reason: ResetReason,
        (place, origin): (Place, Option<Origin>),
        progress: Progress,
    ) {
        let Progress { stage, of, elapsed, .. } = progress;
        let window = Span(event.door.seq_timeout);
        let verdict = match reason {
            ResetReason::SequenceUsed => format!("ended with {stage} of {of} knocks"),
            ResetReason::OutOfOrder | ResetReason::Strays => {
                format!("failed after {} of {window}, {stage} of {of} knocks", Span(elapsed))
            }
        };
        let mut block = self.end(event, place, Mood::Bad, verdict);
        let broke = match event.trigger {
            Trigger::Packet(packet) => Some(Hit::new(&packet, &progress, origin)),
            Trigger::OtherAttempt | Trigger::Deadline => None,
        };
        block.rows.extend(broke.map(Row::Broke));
        match (reason, broke) {
            (ResetReason::OutOfOrder, Some(hit)) => {
                self.out_of_order(event, place, hit, block);
                return;
            }
            (ResetReason::Strays, _) => {
                let max_strays = event.door.max_strays.unwrap_or_default();
                block.notes.push(Note::Text(advice::scanned(max_strays)));
            }
            (ResetReason::SequenceUsed | ResetReason::OutOfOrder, _) => {
                let told = "another source used up the one-time sequence";
                block.notes.push(Note::Text(told.to_owned()));
            }
        }
        self.queue.push(block);
    }

    fn out_of_order(&mut self, event: &DoorEvent, place: Place, hit: Hit, mut block: Block) {
        if let Some(sequence) = self.sequence(place.1) {
            let told = advice::out_of_order(sequence, hit.stage, hit.port);
            block.notes.push(Note::Text(told));
        }
        block.hold_until = self.hold(event.at, Hindsight::OVERTAKING);
        let id = self.queue.push(block);
        if let Some(expected) = self.expected(place.1, hit.stage) {
            let cause = EndCause::Overtaken { by: hit.port };
            let (door, at, number) = (place.1, event.at, hit.stage + 1);
            self.hindsight.remember(place, Ended { door, expected, number, at, cause, block: id });
        }
    }

    fn evicted(&mut self, event: &DoorEvent, place: Place) {
        // What was only remembered of a source has no attempt and is no news; nor can an attempt
        // be told that was forgotten here.
        let Some(attempt) = self.attempts.get_mut(&place) else { return };
        let knocks = attempt.rows.iter().filter(|row| matches!(row, Row::Knock(_))).count();
        let verdict = format!("evicted at knock {knocks}: max_attempts reached");
        let mut block = self.end(event, place, Mood::Bad, verdict);
        if is_lone(&block) {
            block.lone = Some(Lone { end: LoneEnd::Evicted, attempts: 1 });
            block.mood = Mood::Faint;
        }
        block.hold_until = self.hold(event.at, Hindsight::OVERTAKING);
        self.push_ended(block);
    }

    /// Queues the block of an attempt; one with nothing to tell joins those before it.
    fn push_ended(&mut self, mut block: Block) -> BlockId {
        if block.lone.is_some() {
            block.rows.clear();
        }
        self.queue.push_or_fold(block)
    }

    fn nothing_runs(&mut self, event: &DoorEvent, place: Place) {
        let Some((opened, id)) = self.opened.take() else { return };
        let Some(block) = self.queue.get_mut(id).filter(|_| opened == place) else { return };
        let told = if event.kind == EventKind::Renew {
            format!("open already: stays open for another {}", Span(event.door.cmd_timeout))
        } else if event.kind == EventKind::Suppressed {
            let cooldown = Span(event.door.cooldown);
            format!("within the cooldown of {cooldown}: start_command doesn't run again")
        } else {
            block.mood = Mood::Bad;
            "as many doors are open as max_leases allows: nothing runs".to_owned()
        };
        block.notes.push(Note::Text(told));
    }

    fn close(&mut self, event: &DoorEvent) {
        let verdict = format!("closed, {} after its last knock", Span(event.door.cmd_timeout));
        let mut block = Block::new(event.at, Mood::Strong, verdict);
        block.source = Some(event.source);
        block.door = Some(event.door.name.clone());
        if let Some(command) = event.door.stop_command(event.source) {
            block.notes.push(Note::Runs(command.expand(event.source, event.door.grant)));
        }
        self.queue.push(block);
    }

    fn lockout(&mut self, event: &DoorEvent, place: Place) {
        // From here on no knock comes late: they are all ignored.
        self.hindsight.forget(place);
        let Some(limit) = event.door.failure_limit else { return };
        let failures = Counted(u64::from(limit.max_failures), "failed attempt");
        let verdict = format!("locked out for {} after {failures}", Span(limit.lockout));
        let mut block = Block::new(event.at, Mood::Bad, verdict);
        block.source = Some(event.source);
        block.door = Some(event.door.name.clone());
        self.queue.push(block);
    }

    fn clock_step(&mut self, at: Timestamp, from: Timestamp) {
        let back = Span(from.saturating_duration_since(at));
        let dropped = match self.attempts.len() {
            0 => String::new(),
            n => format!("; {} in progress dropped", Counted(n as u64, "attempt")),
        };
        self.queue.push(Block::new(
            at,
            Mood::Bad,
            format!("the clock stepped back by {back}{dropped}"),
        ));
        self.attempts.clear();
        self.hindsight.clear();
    }

    fn start(&mut self, door: &Door, source: std::net::IpAddr) {
        let Some((_, id)) = self.opened.take() else { return };
        let command = door.start_command(source).map(|it| it.expand(source, door.grant));
        if let (Some(block), Some(command)) = (self.queue.get_mut(id), command) {
            // What runs comes first, what there is to say about it after.
            block.notes.insert(0, Note::Runs(command));
        }
    }

    /// Explains an attempt that ended, if this is the knock that it lacked.
    fn explain_ended(&mut self, packet: &Packet, at: Timestamp, origin: Origin) {
        let Some(ended) = self.hindsight.find(packet, at, &self.doors, &self.local) else { return };
        let Some(door) = self.doors.all().get(ended.door) else { return };
        let lag = at.saturating_duration_since(ended.at);
        let expected = Port::of(ended.expected);
        let told = match ended.cause {
            EndCause::TimedOut => advice::late(door, expected, ended.number, lag),
            EndCause::Overtaken { by } => advice::overtaken(expected, by, lag),
        };
        let told = format!("{told} ({})", self.printer.frame(origin));
        if let Some(block) = self.queue.get_mut(ended.block).filter(|block| !is_folded(block)) {
            block.lone = None;
            block.notes.retain(|note| matches!(note, Note::Runs(_)));
            block.notes.push(Note::Text(told));
            block.hold_until = at;
            return;
        }
        let verdict = format!("explained: knock {} came after all", ended.number);
        let mut block = Block::new(at, Mood::Notable, verdict);
        block.source = Some(packet.source);
        block.door = Some(door.name.clone());
        block.notes.push(Note::Text(told));
        self.queue.push(block);
    }

    fn sequence(&self, door: usize) -> Option<&Sequence> {
        match &self.doors.all().get(door)?.sequences {
            Sequences::Fixed(sequence) => Some(sequence),
            Sequences::OneTime { lines, .. } => {
                lines.get(*self.one_time.get(door)?).map(|line| &line.sequence)
            }
        }
    }

    /// Returns the knock that follows after so many.
    fn expected(&self, door: usize, stage: u8) -> Option<Knock> {
        self.sequence(door)?.knocks().get(usize::from(stage)).copied()
    }

    fn hold(&self, at: Timestamp, wait: Duration) -> Timestamp {
        match self.pace {
            Pace::Recorded => at.saturating_add(wait),
            Pace::Live => Timestamp::ZERO,
        }
    }

    /// Writes what still waits, and no totals.
    ///
    /// # Errors
    ///
    /// Fails where the output can't be written.
    pub(crate) fn finish_without_totals(&mut self) -> io::Result<()> {
        self.release(Timestamp::MAX)?;
        self.out.flush()
    }

    /// Writes the blocks that nothing can explain better any more.
    fn release(&mut self, now: Timestamp) -> io::Result<()> {
        while let Some(block) = self.queue.pop_ready(now) {
            self.buffer.clear();
            self.printer.append(&block, &mut self.buffer);
            self.out.write_all(self.buffer.as_bytes())?;
        }
        Ok(())
    }
}

impl<W: Write> Report for Text<W> {
    fn command(&mut self, command: &Command<'_>) -> io::Result<()> {
        if let Some(block) = command.block() {
            self.queue.push(block);
        }
        Ok(())
    }

    fn output(&mut self, output: &Output, origin: Option<Origin>) -> io::Result<()> {
        match output {
            Output::Event(event) => {
                self.event(event, origin);
                if self.opened.is_none() && self.queue.is_full() {
                    self.release(event.at())?;
                }
            }
            Output::Action(Action::Start { door, source, .. }) => self.start(door, *source),
            Output::Action(Action::Consume { door, line, .. }) => {
                let Some(index) = self.doors.index(door) else { return Ok(()) };
                if let Sequences::OneTime { lines, .. } = &door.sequences {
                    let used = lines.iter().position(|other| other.number == *line);
                    self.one_time[index] = used.map_or(lines.len(), |used| used + 1);
                }
            }
            // The events `renew` and `close` have told these.
            Output::Action(Action::Renew { .. } | Action::Stop { .. }) => {}
        }
        Ok(())
    }

    fn packet(&mut self, packet: &Packet, at: Timestamp, origin: Origin) -> io::Result<()> {
        self.opened = None;
        self.explain_ended(packet, at, origin);
        self.release(at)
    }

    fn local_addresses(&mut self, local: &LocalAddresses) {
        self.local = local.clone();
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self, totals: &Totals) -> io::Result<()> {
        self.release(Timestamp::MAX)?;
        self.buffer.clear();
        if self.printer.has_printed() {
            self.buffer.push('\n');
        }
        let palette = &self.printer.palette;
        summary::append(totals, palette, &mut self.buffer);
        let are_read = totals.judged + totals.irrelevant + totals.all_skipped() > 0;
        if are_read && !totals.any_opened() && !self.explain.is_empty() {
            self.buffer.push_str("\nNo door opened. What became of every packet:\n  ");
            self.buffer.push_str(&self.explain);
            self.buffer.push('\n');
        }
        self.out.write_all(self.buffer.as_bytes())?;
        self.out.flush()
    }
}

/// Says that a knock did not come in time, or that it came by the other protocol.
fn missing(block: &Block, expected: Port, number: u8) -> String {
    let is_it = |port: &&(Protocol, u16)| port.1 == expected.1;
    let strays = block.rows.iter().rev().take_while(|row| !matches!(row, Row::Knock(_)));
    let came = strays.filter_map(|row| match row {
        Row::Strays(strays) => strays.ports.iter().find(is_it),
        Row::Knock(_) | Row::Broke(_) | Row::Again(_) | Row::Restarts(_) => None,
    });
    match came.map(|(protocol, _)| *protocol).next() {
        Some(protocol) => advice::wrong_protocol(expected, protocol),
        None => advice::missing(expected, number),
    }
}

/// Tells whether a block has nothing to say but that there was a first knock.
fn is_lone(block: &Block) -> bool {
    matches!(block.rows.as_slice(), [] | [Row::Knock(Hit { stage: 1, .. })])
        && block.notes.is_empty()
}

fn is_folded(block: &Block) -> bool {
    block.lone.is_some_and(|lone| lone.attempts > 1)
}
