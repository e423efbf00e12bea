//! The supervisor: what runs when, what is tried again, and what is on disk before what.
//!
//! Sans-IO like the engine. In: the engine's outputs, answers of the disk, ends of children, time,
//! a new config's limits, the request to stop. Out: [`Effect`]s, in order. The promises:
//!
//! - a start command runs at most once per completed knock;
//! - no start command of a door that has a stop runs before that stop is safe in the ledger;
//! - a stop runs at least once for every start that may have run, exactly once where nothing
//!   crashed; one that fails is tried again;
//! - commands of one door and source run one after the other, in the order of their causes;
//! - starts never keep stops waiting.
//!
//! A *hold* is one opening of a door for a source, from the engine's action to the end of its
//! stop. The engine's lease and the hold end at the same moment, but the hold has a timer of its
//! own: a hold that the ledger told of has no lease in the engine, and where a one-time sequence
//! could not be marked as used (S12), the engine's lease means nothing.

mod commands;
mod effect;
mod hold;
mod lanes;
mod recovery;
mod starts;
mod timers;

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use knock_engine::config::OnStop;
use knock_engine::output::{Action, Event, EventKind, Output};
use knock_engine::time::Timestamp;

pub use effect::{ChildId, Effect, Spawn, Write, WriteId};
use hold::{Hold, Phase};
use lanes::Lanes;
pub use recovery::GivenUp;
use timers::{Timer, Timers};

use crate::alarm::{self, Bug};
use crate::ledger::{HoldId, Record};
use crate::log::{CommandEvent, CommandKind, Exit, Message, Severity, Subject, What};

/// How long a start without a stop may run before it is remarked upon.
const LONG_START: Duration = Duration::from_secs(30);

/// The most starts and checks that wait for their turn; what comes on top does not run.
const MAX_WAITING_STARTS: usize = 1024;

/// How often, at most, the log says that the ledger can't be written.
const REFUSAL_PAUSE: Duration = Duration::from_secs(60);

/// How long to wait before a note that could not be written is written again.
const NOTE_PAUSE: Duration = Duration::from_secs(1);

/// What the supervisor keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `max_commands`: how many starts and checks run side by side, and as many stops.
    pub max_commands: usize,
    /// `command_timeout`: how long a stop, a check, or a start that has a stop may run.
    pub command_timeout: Duration,
}

/// Whether commands are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They are.
    Live,
    /// They are only logged, and nothing is written to disk.
    DryRun,
}

/// Turns the engine's actions into effects, and sees them through to their end.
#[derive(Debug)]
pub struct Supervisor {
    limits: Limits,
    mode: Mode,
    /// The newest moment that an input carried.
    now: Timestamp,
    holds: BTreeMap<HoldId, Hold>,
    /// The holds of a door and source, oldest first.
    by_subject: BTreeMap<Subject, Vec<HoldId>>,
    lanes: Lanes,
    running: BTreeMap<ChildId, Running>,
    writes: BTreeMap<WriteId, Written>,
    timers: Timers,
    effects: VecDeque<Effect>,
    /// Answers that a dry run gives itself, so that it takes the same way as a live one.
    pretended: VecDeque<Pretended>,
    /// The mark that the next action of this door and source must wait for.
    marking: Option<(Subject, WriteId)>,
    /// Notes that could not be written, or that come behind such, in their order.
    unwritten: VecDeque<Record>,
    next_hold: HoldId,
    next_child: ChildId,
    next_write: WriteId,
    stopping: Option<OnStop>,
    /// When the log last said that the ledger can't be written.
    refused_at: Option<Timestamp>,
}

/// A child that runs.
#[derive(Clone, Copy, Debug)]
struct Running {
    hold: HoldId,
    kind: CommandKind,
    is_killed: bool,
}

/// What waits for a write.
#[derive(Clone, Debug)]
enum Written {
    /// The mark of a one-time sequence, before a hold is recorded.
    Mark { hold: HoldId },
    /// The mark of a one-time sequence, before a hold is renewed.
    MarkThenRenew { hold: HoldId, until: Timestamp },
    /// The mark of a one-time sequence that opens nothing more.
    MarkAlone { subject: Subject },
    /// The intent of a hold.
    Intent { hold: HoldId },
    /// A note that nothing waits for, but that must get there in the end.
    Note(Record),
}

/// An answer that a dry run gives itself.
#[derive(Clone, Debug)]
enum Pretended {
    Write(WriteId),
    Child(ChildId),
}

impl Supervisor {
    /// Makes a supervisor that holds nothing; its holds are numbered from `next_hold`.
    #[must_use]
    pub fn new(limits: Limits, mode: Mode, next_hold: HoldId) -> Self {
        Self {
            limits,
            mode,
            now: Timestamp::ZERO,
            holds: BTreeMap::new(),
            by_subject: BTreeMap::new(),
            lanes: Lanes::default(),
            running: BTreeMap::new(),
            writes: BTreeMap::new(),
            timers: Timers::default(),
            effects: VecDeque::new(),
            pretended: VecDeque::new(),
            marking: None,
            unwritten: VecDeque::new(),
            next_hold,
            next_child: ChildId(0),
            next_write: WriteId(0),
            stopping: None,
            refused_at: None,
        }
    }

    /// Handles an output of the engine.
    pub fn handle_output(&mut self, output: Output, now: Timestamp) {
        self.now = self.now.max(now);
        match output {
            Output::Event(event) => {
                if let Event::Door(door) = &event
                    && door.kind == EventKind::Evicted
                    && alarm::is_on(Bug::EvictionForgets)
                {
                    self.forget_open(|hold| hold.subject.source == door.source);
                }
                self.effects
                    .push_back(Effect::Log(Message { at: event.at(), what: What::Event(event) }));
            }
            Output::Action(action) => self.act(action),
        }
        self.dispatch();
    }

    /// Handles the answer to a write: that it is safe on disk, or why it is not.
    pub fn handle_written(&mut self, id: WriteId, result: Result<(), String>, now: Timestamp) {
        self.now = self.now.max(now);
        self.written(id, result);
        self.dispatch();
    }

    /// Handles the end of a child.
    pub fn handle_exit(&mut self, child: ChildId, exit: Exit, now: Timestamp) {
        self.now = self.now.max(now);
        self.exited(child, exit);
        self.dispatch();
    }

    /// Does what is due at or before `now`. Early and repeated calls do nothing.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        while let Some((_, timer)) = self.timers.pop(self.now) {
            match timer {
                Timer::Hold(hold) => self.hold_is_due(hold),
                Timer::Child(child) => self.child_takes_long(child),
                Timer::Notes => self.write_again(),
            }
        }
        self.dispatch();
    }

    /// Replaces the limits; commands that run already keep theirs.
    pub fn handle_limits(&mut self, limits: Limits) {
        self.limits = limits;
        if alarm::is_on(Bug::ReloadForgets) {
            self.forget_open(|_| true);
        }
        self.dispatch();
    }

    /// Handles the request to stop: starts that have not run never will, and with
    /// [`OnStop::Close`] every open door is closed now. Stops that fail are left to the ledger.
    pub fn handle_stop(&mut self, on_stop: OnStop, now: Timestamp) {
        self.now = self.now.max(now);
        self.stopping = Some(on_stop);
        let holds: Vec<HoldId> = self.holds.keys().copied().collect();
        for id in holds {
            let Some(hold) = self.holds.get(&id) else { continue };
            if hold.is_unstarted() {
                self.drop_start(id, "the daemon is stopping");
            } else if on_stop == OnStop::Close && hold.deadline.is_some() {
                self.hold_is_due(id);
            }
        }
        self.dispatch();
    }

    /// Tells whether, after [`handle_stop`](Self::handle_stop), nothing is left to wait for: no
    /// stop that could still run and no write without an answer.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let Some(on_stop) = self.stopping else { return false };
        let owes = |hold: &Hold| hold.deadline.is_some() && hold.phase != Phase::Backoff;
        self.writes.is_empty()
            && self.lanes.has_no_stops()
            && (on_stop == OnStop::Keep || !self.holds.values().any(owes))
    }

    /// Returns how many doors are held open.
    #[must_use]
    pub fn open_doors(&self) -> usize {
        self.holds.values().filter(|hold| hold.deadline.is_some()).count()
    }

    /// Takes the oldest effect, until there is none.
    #[must_use]
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Returns the next moment at which [`handle_timeout`](Self::handle_timeout) has something to
    /// do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.timers.next()
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Consume { door, source, line, .. } => self.consume(&door, source, line),
            Action::Start { door, source, until, .. } => self.start(&door, source, until),
            Action::Renew { door, source, until, .. } => self.renew(&door, source, until),
            // A hold's own timer has the same deadline; where it has not fired, it does now.
            Action::Stop { at, door, source } => self.expire(&door.name, source, at),
        }
    }

    /// Ends the holds whose deadline the engine tells of.
    fn expire(&mut self, door: &str, source: IpAddr, at: Timestamp) {
        let subject = Subject { door: door.to_owned(), source };
        for id in self.by_subject.get(&subject).cloned().unwrap_or_default() {
            let deadline = self.holds.get(&id).and_then(|hold| hold.deadline);
            if deadline.is_some_and(|deadline| deadline <= at) {
                self.hold_is_due(id);
            }
        }
    }

    /// Handles the answer to a write.
    fn written(&mut self, id: WriteId, result: Result<(), String>) {
        match (self.writes.remove(&id), result) {
            (None | Some(Written::Note(_)), Ok(())) | (None, Err(_)) => {}
            (Some(Written::Note(record)), Err(reason)) => self.note_failed(record, &reason),
            (Some(Written::Mark { hold }), Ok(())) => self.record(hold),
            (Some(Written::MarkThenRenew { hold, until }), Ok(())) => self.extend(hold, until),
            (Some(Written::MarkAlone { .. }), Ok(())) => {}
            (Some(Written::Intent { hold }), Ok(())) => self.recorded(hold),
            (Some(Written::Mark { hold }), Err(reason)) => self.mark_failed(hold, &reason),
            (Some(Written::MarkThenRenew { hold, .. }), Err(reason)) => {
                let subject = self.holds.get(&hold).map(|hold| hold.subject.clone());
                self.unmarked(subject, &reason);
            }
            (Some(Written::MarkAlone { subject }), Err(reason)) => {
                self.unmarked(Some(subject), &reason);
            }
            (Some(Written::Intent { hold }), Err(reason)) => self.intent_failed(hold, &reason),
        }
    }

    /// Says that a note could not be written, and has it written later. Until then a crash would
    /// make its stop run once more, or at an earlier deadline.
    fn note_failed(&mut self, record: Record, reason: &str) {
        if self.may_complain() {
            self.notice(Severity::Error, format!("the ledger can't be written: {reason}"));
        }
        self.put_off(record);
        self.timers.set(Timer::Notes, self.now.saturating_add(NOTE_PAUSE));
    }

    /// Keeps a note for later. The end of a hold says all there is to say of it.
    fn put_off(&mut self, record: Record) {
        if record.is_last() {
            self.unwritten.retain(|other| other.hold() != record.hold());
        } else if !self.holds.contains_key(&record.hold()) {
            return;
        }
        self.unwritten.push_back(record);
    }

    /// Writes what could not be written before.
    fn write_again(&mut self) {
        for record in std::mem::take(&mut self.unwritten) {
            self.write(Write::Ledger(record.clone()), Written::Note(record));
        }
    }

    /// Tells whether it is time to say again that the ledger can't be written.
    fn may_complain(&mut self) -> bool {
        let is_soon = self
            .refused_at
            .is_some_and(|at| self.now.saturating_duration_since(at) < REFUSAL_PAUSE);
        if !is_soon {
            self.refused_at = Some(self.now);
        }
        !is_soon
    }

    /// Does what a dry run pretends, then lets every command run whose turn has come.
    fn dispatch(&mut self) {
        loop {
            while let Some(job) = self.lanes.pop(self.limits.max_commands) {
                self.run(job);
            }
            match self.pretended.pop_front() {
                Some(Pretended::Write(id)) => self.written(id, Ok(())),
                Some(Pretended::Child(child)) => self.exited(child, Exit::Status(0)),
                None => break,
            }
        }
    }

    fn write(&mut self, write: Write, written: Written) -> WriteId {
        let id = self.next_write;
        self.next_write = WriteId(id.0 + 1);
        self.writes.insert(id, written);
        match self.mode {
            Mode::Live => self.effects.push_back(Effect::Write { id, write }),
            Mode::DryRun => self.pretended.push_back(Pretended::Write(id)),
        }
        id
    }

    fn note(&mut self, record: Record) {
        if self.unwritten.is_empty() {
            self.write(Write::Ledger(record.clone()), Written::Note(record));
        } else {
            self.put_off(record);
        }
    }

    /// Forgets a hold: nothing is owed for it any more, or people have to see to it.
    fn forget(&mut self, id: HoldId) {
        self.timers.clear(Timer::Hold(id));
        let Some(hold) = self.holds.remove(&id) else { return };
        if let Some(holds) = self.by_subject.get_mut(&hold.subject) {
            holds.retain(|other| *other != id);
            if holds.is_empty() {
                self.by_subject.remove(&hold.subject);
            }
        }
    }

    /// Forgets open doors, which is what some bugs do.
    fn forget_open(&mut self, is_forgotten: impl Fn(&Hold) -> bool) {
        let is_open = |hold: &Hold| hold.phase == Phase::Open && is_forgotten(hold);
        let open: Vec<HoldId> =
            self.holds.iter().filter(|(_, hold)| is_open(hold)).map(|(id, _)| *id).collect();
        open.into_iter().for_each(|id| self.forget(id));
    }

    fn insert(&mut self, id: HoldId, hold: Hold) {
        self.by_subject.entry(hold.subject.clone()).or_default().push(id);
        if let Some(deadline) = hold.deadline {
            self.timers.set(Timer::Hold(id), deadline);
        }
        self.holds.insert(id, hold);
    }

    fn say(&mut self, subject: Subject, kind: CommandKind, event: CommandEvent) {
        let what = What::Command { subject, kind, event };
        self.effects.push_back(Effect::Log(Message { at: self.now, what }));
    }

    fn notice(&mut self, severity: Severity, text: String) {
        let what = What::Notice { severity, text };
        self.effects.push_back(Effect::Log(Message { at: self.now, what }));
    }
}
