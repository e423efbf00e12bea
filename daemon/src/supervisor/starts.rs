//! From a completed knock to its start: mark the sequence, record the stop, then run.

use std::net::IpAddr;

use knock_engine::config::{Door, Sequences};
use knock_engine::time::Timestamp;

use super::effect::{Effect, Write};
use super::hold::{Hold, Phase};
use super::lanes::Job;
use super::timers::Timer;
use super::{MAX_WAITING_STARTS, Supervisor, WriteId, Written};
use crate::alarm::{self, Bug};
use crate::ledger::{HoldId, Record, StartOutcome};
use crate::log::{CommandEvent, CommandKind, Severity, Subject};

impl Supervisor {
    /// Has a line of a one-time file marked as used; the action that follows waits for it (S12).
    pub(super) fn consume(&mut self, door: &Door, source: IpAddr, line: usize) {
        let Sequences::OneTime { path, lines } = &door.sequences else { return };
        let Some(used) = lines.iter().find(|candidate| candidate.number == line) else { return };
        let write = Write::MarkUsed { path: path.clone(), line, sequence: used.sequence.clone() };
        let subject = Subject { door: door.name.clone(), source };
        let id = self.write(write, Written::MarkAlone { subject: subject.clone() });
        self.marking = Some((subject, id));
    }

    /// Takes the mark that an action of this door and source must wait for.
    fn take_mark(&mut self, subject: &Subject) -> Option<WriteId> {
        self.marking.take().filter(|(marked, _)| marked == subject).map(|(_, id)| id)
    }

    /// Opens a door (S11).
    pub(super) fn start(&mut self, door: &Door, source: IpAddr, until: Option<Timestamp>) {
        let hold = Hold::new(door, source, until);
        let mark = self.take_mark(&hold.subject);
        let mark = mark.filter(|_| !alarm::is_on(Bug::ConsumedAfterStart));
        if self.stopping.is_some() {
            return self.refuse(&hold.subject, "the daemon is stopping");
        }
        if let (Some(until), Some(known)) = (until, self.live_twin(&hold)) {
            return self.adopt(known, hold, until, mark);
        }
        if self.lanes.waiting_starts() >= MAX_WAITING_STARTS {
            return self.refuse(&hold.subject, "too many start commands are waiting");
        }
        self.begin(hold, mark);
    }

    /// Begins a hold: first the mark, then the record, then the start.
    fn begin(&mut self, mut hold: Hold, mark: Option<WriteId>) {
        let id = self.next_hold;
        self.next_hold = HoldId(id.0 + 1);
        if let Some(mark) = mark {
            hold.phase = Phase::Marking(mark);
            self.writes.insert(mark, Written::Mark { hold: id });
        }
        let is_marking = mark.is_some();
        self.insert(id, hold);
        if !is_marking {
            self.record(id);
        }
    }

    /// Finds a hold of the same door, source and commands that keeps the door open. Of a hold that
    /// a ledger told of, the start is not known; its stop tells enough.
    fn live_twin(&self, hold: &Hold) -> Option<HoldId> {
        let ids = self.by_subject.get(&hold.subject)?;
        ids.iter().rev().copied().find(|id| {
            self.holds.get(id).is_some_and(|other| {
                let (its, mine) = (&other.commands, &hold.commands);
                let same_start = its.start.is_none() || its.start == mine.start;
                its.stop.is_some() && its.stop == mine.stop && same_start && other.is_live()
            })
        })
    }

    /// Lets a hold that a ledger told of go on for a knock that the engine takes for a new one.
    ///
    /// Where its start is not known to have succeeded, only its stop makes sure of what is there:
    /// it runs first, and the knock begins a hold of its own behind it.
    fn adopt(&mut self, known: HoldId, hold: Hold, until: Timestamp, mark: Option<WriteId>) {
        let Some(old) = self.holds.get_mut(&known) else { return };
        if old.started != Some(StartOutcome::Done) && old.phase == Phase::Open {
            self.end_unsure(known);
            return self.begin(hold, mark);
        }
        old.commands.start = hold.commands.start;
        old.commands.check = hold.commands.check;
        // The engine has a lease for it now.
        old.is_recovered = false;
        self.renew_hold(known, until, mark);
    }

    /// Keeps a door open for longer (S11). Where nothing holds it open, it is opened.
    pub(super) fn renew(&mut self, door: &Door, source: IpAddr, until: Timestamp) {
        let hold = Hold::new(door, source, Some(until));
        match self.live_twin(&hold) {
            Some(known) => {
                let mark = self.take_mark(&hold.subject);
                self.renew_hold(known, until, mark);
            }
            None => self.start(door, source, Some(until)),
        }
    }

    fn renew_hold(&mut self, id: HoldId, until: Timestamp, mark: Option<WriteId>) {
        match mark {
            Some(mark) => {
                self.writes.insert(mark, Written::MarkThenRenew { hold: id, until });
            }
            None => self.extend(id, until),
        }
    }

    /// Ends a hold whose start may have done some of its work, or all, or none. Its stop makes sure
    /// of that, so it does not matter if there is nothing for it to do.
    fn end_unsure(&mut self, id: HoldId) {
        if let Some(hold) = self.holds.get_mut(&id) {
            hold.is_lenient = true;
        }
        self.hold_is_due(id);
    }

    /// Moves a hold's deadline, and sees that what its start did is there.
    ///
    /// A start that failed runs again, behind its stop and as a new hold: what it did before it
    /// failed must not be done twice and undone once, and the ledger must not take this run for
    /// the one before.
    pub(super) fn extend(&mut self, id: HoldId, until: Timestamp) {
        let Some(hold) = self.holds.get_mut(&id).filter(|hold| hold.is_live()) else { return };
        if hold.started == Some(StartOutcome::Failed) && hold.phase == Phase::Open {
            let again = hold.again(until);
            self.end_unsure(id);
            return self.begin(again, None);
        }
        hold.deadline = Some(until);
        self.timers.set(Timer::Hold(id), until);
        self.note(Record::Renewed { hold: id, deadline: until });
        let Some(hold) = self.holds.get_mut(&id) else { return };
        if hold.phase == Phase::Open && hold.commands.check.is_some() {
            hold.phase = Phase::CheckWaiting;
            let job = Job { hold: id, kind: CommandKind::Check };
            self.lanes.push(&hold.subject, job);
        }
    }

    /// Has the stop written to the ledger; without a stop there is nothing to owe.
    pub(super) fn record(&mut self, id: HoldId) {
        let Some(hold) = self.holds.get(&id) else { return };
        let (Some(stop), Some(deadline)) = (hold.commands.stop.clone(), hold.deadline) else {
            return self.queue_start(id);
        };
        if alarm::is_on(Bug::StopInMemory) {
            return self.queue_start(id);
        }
        let record = Record::Intent {
            hold: id,
            door: hold.subject.door.clone(),
            source: hold.subject.source,
            network: hold.network,
            stop,
            deadline,
        };
        let write = self.write(Write::Ledger(record), Written::Intent { hold: id });
        if let Some(hold) = self.holds.get_mut(&id) {
            hold.phase = Phase::Recording(write);
        }
    }

    /// Lets the start run, now that its stop is safe.
    pub(super) fn recorded(&mut self, id: HoldId) {
        match self.holds.get(&id).and_then(|hold| hold.deadline) {
            Some(deadline) if deadline <= self.now => {
                self.drop_start(id, "its time was over before its turn came");
            }
            Some(_) => self.queue_start(id),
            // It was dropped while it was being written.
            None => {}
        }
    }

    pub(super) fn queue_start(&mut self, id: HoldId) {
        if let Some(hold) = self.holds.get_mut(&id) {
            hold.phase = Phase::Waiting;
            self.lanes.push(&hold.subject, Job { hold: id, kind: CommandKind::Start });
        }
    }

    /// Lets a start that has not run never run.
    pub(super) fn drop_start(&mut self, id: HoldId, reason: &str) {
        let Some(hold) = self.holds.get(&id) else { return };
        let (subject, phase) = (hold.subject.clone(), hold.phase);
        let is_recorded = hold.deadline.is_some() && !matches!(phase, Phase::Marking(_));
        self.lanes.cancel(&subject, id);
        self.forget(id);
        if is_recorded {
            self.note(Record::Ended { hold: id });
        }
        self.refuse(&subject, reason);
    }

    /// Says that a start does not run.
    fn refuse(&mut self, subject: &Subject, reason: &str) {
        let event = CommandEvent::NotStarted { reason: reason.to_owned() };
        self.say(subject.clone(), CommandKind::Start, event);
    }

    /// The stop can't be made safe, so the start must not run.
    pub(super) fn intent_failed(&mut self, id: HoldId, reason: &str) {
        let Some(hold) = self.holds.get(&id) else { return };
        let subject = hold.subject.clone();
        self.forget(id);
        if self.may_complain() {
            self.refuse(&subject, &format!("the ledger can't be written: {reason}"));
        }
    }

    /// The sequence can't be marked as used, so nothing may run for it (S12).
    pub(super) fn mark_failed(&mut self, id: HoldId, reason: &str) {
        let subject = self.holds.get(&id).map(|hold| hold.subject.clone());
        self.forget(id);
        self.unmarked(subject, reason);
    }

    /// Says that a sequence is not marked, and has the door's lines read again: the line stays
    /// current.
    pub(super) fn unmarked(&mut self, subject: Option<Subject>, reason: &str) {
        match subject {
            Some(subject) => {
                let reason = format!("its one-time sequence can't be marked as used: {reason}");
                self.refuse(&subject, &reason);
            }
            None => self.notice(
                Severity::Error,
                format!("a one-time sequence can't be marked as used: {reason}"),
            ),
        }
        self.effects.push_back(Effect::ReadSequencesAgain);
    }
}
