//! Commands: running them, and what comes of their ends.

use super::effect::{Effect, Spawn};
use super::hold::{Hold, Phase, Verdict};
use super::lanes::Job;
use super::timers::Timer;
use super::{ChildId, LONG_START, Mode, Pretended, Running, Supervisor};
use crate::alarm::{self, Bug};
use crate::ledger::{HoldId, Record, StartOutcome};
use crate::log::{CommandEvent, CommandKind, Exit};

impl Supervisor {
    /// Runs a command whose turn has come.
    pub(super) fn run(&mut self, job: Job) {
        let Job { hold: id, kind } = job;
        let now = self.now;
        let hold = self.holds.get_mut(&id).expect("a job is taken out of its lane with its hold");
        let subject = hold.subject.clone();
        let is_late = hold.deadline.is_some_and(|deadline| deadline <= now);
        if kind == CommandKind::Start && is_late && hold.is_unstarted() {
            self.lanes.finish(&subject, kind);
            return self.drop_start(id, "its time was over before its turn came");
        }
        let command = match kind {
            CommandKind::Start => hold.commands.start.clone(),
            CommandKind::Stop => hold.commands.stop.clone(),
            CommandKind::Check => hold.commands.check.clone(),
        };
        let Some(command) = command else {
            // A hold that a ledger told of knows no start; what its stop needs it has.
            hold.phase = Phase::Open;
            return self.lanes.finish(&subject, kind);
        };
        let child = self.next_child;
        self.next_child = ChildId(child.0 + 1);
        self.running.insert(child, Running { hold: id, kind, is_killed: false });
        hold.phase = match kind {
            CommandKind::Start => Phase::Starting(child),
            CommandKind::Stop => Phase::Stopping(child),
            CommandKind::Check => Phase::Checking(child),
        };
        let network = hold.network;
        let has_end = kind != CommandKind::Start || hold.deadline.is_some();
        let limit = if has_end { self.limits.command_timeout } else { LONG_START };
        self.timers.set(Timer::Child(child), now.saturating_add(limit));
        if kind == CommandKind::Stop {
            self.note(Record::StopBegun { hold: id });
            if alarm::is_on(Bug::EndedTooEarly) {
                self.note(Record::Ended { hold: id });
            }
        }
        match self.mode {
            Mode::Live => {
                let running = CommandEvent::Running { command: command.clone() };
                self.say(subject.clone(), kind, running);
                let (door, source) = (subject.door, subject.source);
                let spawn = Spawn { child, kind, command, door, source, network };
                self.effects.push_back(Effect::Spawn(spawn));
            }
            Mode::DryRun => {
                self.say(subject, kind, CommandEvent::WouldRun { command });
                self.pretended.push_back(Pretended::Child(child));
            }
        }
    }

    /// Handles the end of a child.
    pub(super) fn exited(&mut self, child: ChildId, exit: Exit) {
        self.timers.clear(Timer::Child(child));
        let Some(Running { hold: id, kind, is_killed }) = self.running.remove(&child) else {
            return;
        };
        let Some(hold) = self.holds.get(&id) else { return };
        let subject = hold.subject.clone();
        let exit = match exit {
            Exit::Signal(_) if is_killed => Exit::TimedOut,
            Exit::Status(_) | Exit::Signal(_) | Exit::TimedOut | Exit::NotRun(_) => exit,
        };
        let is_check_answer = kind == CommandKind::Check && matches!(exit, Exit::Status(_));
        if !exit.is_success() && !is_check_answer {
            self.say(subject.clone(), kind, CommandEvent::Failed { exit: exit.clone() });
        }
        match kind {
            CommandKind::Start => self.started(id, &exit),
            CommandKind::Stop => self.stopped(id, &exit),
            CommandKind::Check => self.checked(id, &exit),
        }
        self.lanes.finish(&subject, kind);
    }

    fn started(&mut self, id: HoldId, exit: &Exit) {
        let Some(hold) = self.holds.get_mut(&id) else { return };
        if hold.deadline.is_none() {
            return self.forget(id);
        }
        let outcome = if exit.is_success() { StartOutcome::Done } else { StartOutcome::Failed };
        hold.started = Some(outcome);
        hold.is_lenient = outcome == StartOutcome::Failed;
        self.note(Record::Started { hold: id, outcome });
        self.open_or_due(id);
    }

    /// A check that fails says that what the start did is gone; one that could not tell says
    /// nothing.
    fn checked(&mut self, id: HoldId, exit: &Exit) {
        let Some(hold) = self.holds.get(&id) else { return };
        let (subject, is_due) = (hold.subject.clone(), hold.is_due);
        let is_missing = matches!(exit, Exit::Status(status) if *status != 0);
        if is_missing && !is_due && self.stopping.is_none() {
            self.say(subject, CommandKind::Check, CommandEvent::EffectMissing);
            self.queue_start(id);
        } else {
            self.open_or_due(id);
        }
    }

    /// Lets a hold go on after a command, or ends it where its deadline came meanwhile.
    fn open_or_due(&mut self, id: HoldId) {
        let Some(hold) = self.holds.get_mut(&id) else { return };
        if hold.is_due {
            hold.phase = Phase::Due;
            self.lanes.push_first(&hold.subject, Job { hold: id, kind: CommandKind::Stop });
        } else {
            hold.phase = Phase::Open;
        }
    }

    fn stopped(&mut self, id: HoldId, exit: &Exit) {
        let Some(hold) = self.holds.get_mut(&id) else { return };
        let subject = hold.subject.clone();
        match hold.judge_stop(exit) {
            Verdict::Settled => {
                self.settle_twins(id);
                self.forget(id);
                self.note(Record::Ended { hold: id });
            }
            Verdict::Again { delay, attempt } => {
                hold.phase = Phase::Backoff;
                if self.stopping.is_none() {
                    self.timers.set(Timer::Hold(id), self.now.saturating_add(delay));
                    self.say(subject, CommandKind::Stop, CommandEvent::Retry { attempt, delay });
                }
            }
            Verdict::GiveUp { attempts } => {
                self.forget(id);
                self.note(Record::GivenUp { hold: id });
                self.say(subject, CommandKind::Stop, CommandEvent::GivenUp { attempts });
            }
        }
    }

    /// The same stop has just worked: an older one that still fails may have nothing left to do.
    fn settle_twins(&mut self, id: HoldId) {
        let Some(hold) = self.holds.get(&id).cloned() else { return };
        for other in self.by_subject.get(&hold.subject).cloned().unwrap_or_default() {
            let Some(twin) = self.holds.get_mut(&other).filter(|_| other != id) else { continue };
            if twin.phase == Phase::Backoff && twin.commands.stop == hold.commands.stop {
                twin.is_lenient = true;
            }
        }
    }

    /// Ends a hold whose deadline has come, or tries its stop again.
    pub(super) fn hold_is_due(&mut self, id: HoldId) {
        let Some(hold) = self.holds.get_mut(&id) else { return };
        match hold.phase {
            Phase::Marking(_) | Phase::Recording(_) | Phase::Waiting if hold.is_unstarted() => {
                self.drop_start(id, "its time was over before its turn came");
            }
            // A start or check that runs, or is to run, for a door that is open already.
            Phase::Starting(_) | Phase::Checking(_) => self.mark_due(id),
            Phase::Open => {
                self.mark_due(id);
                self.end_unless_a_twin_is_open(id);
            }
            Phase::Waiting | Phase::CheckWaiting | Phase::Marking(_) | Phase::Recording(_) => {
                let subject = hold.subject.clone();
                self.lanes.cancel(&subject, id);
                self.mark_due(id);
                self.queue_stop(id);
            }
            Phase::Due | Phase::Stopping(_) => {}
            Phase::Backoff => self.try_again(id),
        }
    }

    fn mark_due(&mut self, id: HoldId) {
        self.timers.clear(Timer::Hold(id));
        let Some(hold) = self.holds.get_mut(&id).filter(|hold| !hold.is_due) else { return };
        hold.is_due = true;
        // Of others the engine says so; and a door can also be closed before its time.
        if hold.is_recovered && hold.deadline.is_some_and(|deadline| deadline <= self.now) {
            let subject = hold.subject.clone();
            self.say(subject, CommandKind::Stop, CommandEvent::Expired);
        }
    }

    /// Runs a stop, but not while a newer hold keeps the same thing open: where the stop of this one
    /// was hindered before a crash, the newer one has come since.
    fn end_unless_a_twin_is_open(&mut self, id: HoldId) {
        let Some(hold) = self.holds.get(&id) else { return };
        let until = self.twin_in_the_way(id, hold);
        match until.filter(|until| *until > self.now && self.stopping.is_none()) {
            Some(until) => {
                self.timers.set(Timer::Hold(id), until);
                if let Some(hold) = self.holds.get_mut(&id) {
                    hold.phase = Phase::Backoff;
                }
            }
            None => self.queue_stop(id),
        }
    }

    fn queue_stop(&mut self, id: HoldId) {
        if let Some(hold) = self.holds.get_mut(&id) {
            hold.phase = Phase::Due;
            self.lanes.push(&hold.subject, Job { hold: id, kind: CommandKind::Stop });
        }
    }

    /// Tries a stop again, but not while a newer hold keeps the same thing open: it would take
    /// away what that one has a right to.
    fn try_again(&mut self, id: HoldId) {
        let Some(hold) = self.holds.get(&id) else { return };
        match self.twin_in_the_way(id, hold) {
            Some(until) => self.timers.set(Timer::Hold(id), until),
            None => self.queue_stop(id),
        }
    }

    /// Returns until when a newer hold of the same stop command is in the way.
    fn twin_in_the_way(&self, id: HoldId, hold: &Hold) -> Option<knock_engine::time::Timestamp> {
        let ids = self.by_subject.get(&hold.subject)?;
        let newer = ids.iter().filter(|other| **other > id).filter_map(|id| self.holds.get(id));
        let twins = newer
            .filter(|other| other.commands.stop == hold.commands.stop)
            .filter(|other| other.phase != Phase::Backoff);
        let soon = self.now.saturating_add(std::time::Duration::from_secs(1));
        twins.filter_map(|other| other.deadline).map(|deadline| deadline.max(soon)).max()
    }

    /// Kills a child that takes too long; one that may take as long as it likes is remarked upon.
    pub(super) fn child_takes_long(&mut self, child: ChildId) {
        let Some(running) = self.running.get_mut(&child) else { return };
        let Some(hold) = self.holds.get(&running.hold) else { return };
        let kind = running.kind;
        if kind == CommandKind::Start && hold.deadline.is_none() {
            let subject = hold.subject.clone();
            self.say(subject, kind, CommandEvent::StillRunning { elapsed: LONG_START });
        } else {
            running.is_killed = true;
            self.effects.push_back(Effect::Kill { child });
        }
    }
}
