//! Whose turn it is: commands of one door and source run one after the other, others side by side.

use std::collections::{BTreeMap, VecDeque};

use crate::ledger::HoldId;
use crate::log::{CommandKind, Subject};

/// A command that is to run for a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) hold: HoldId,
    pub(super) kind: CommandKind,
}

/// What a door and a source have to do, in order.
#[derive(Debug, Default)]
struct Lane {
    jobs: VecDeque<Job>,
    is_busy: bool,
}

/// Two classes of commands that never wait for each other's slots: starts can't starve stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Stops,
    Starts,
}

impl Class {
    const fn of(kind: CommandKind) -> Self {
        match kind {
            CommandKind::Stop => Self::Stops,
            CommandKind::Start | CommandKind::Check => Self::Starts,
        }
    }
}

/// All lanes, and which of them are ready, in the order in which they became so.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: BTreeMap<Subject, Lane>,
    ready: [VecDeque<Subject>; 2],
    running: [usize; 2],
    waiting_starts: usize,
}

impl Lanes {
    /// Returns how many starts and checks wait for their turn.
    pub(super) const fn waiting_starts(&self) -> usize {
        self.waiting_starts
    }

    /// Tells whether no stop runs or has its turn next.
    pub(super) fn has_no_stops(&self) -> bool {
        self.ready[Class::Stops as usize].is_empty() && self.running[Class::Stops as usize] == 0
    }

    /// Puts a job at the end of its lane.
    pub(super) fn push(&mut self, subject: &Subject, job: Job) {
        self.waiting_starts += usize::from(Class::of(job.kind) == Class::Starts);
        let lane = self.lanes.entry(subject.clone()).or_default();
        lane.jobs.push_back(job);
        if lane.jobs.len() == 1 && !lane.is_busy {
            self.ready[Class::of(job.kind) as usize].push_back(subject.clone());
        }
    }

    /// Puts a stop at the head of its lane, in which the command that it waited for has just ended:
    /// its cause came before those of all that wait there.
    pub(super) fn push_first(&mut self, subject: &Subject, job: Job) {
        let lane = self.lanes.get_mut(subject).expect("a lane in which a command runs exists");
        assert!(lane.is_busy, "the command has not been finished yet");
        assert!(Class::of(job.kind) == Class::Stops, "starts take their turn");
        lane.jobs.push_front(job);
    }

    /// Takes a job out of its lane before its turn.
    pub(super) fn cancel(&mut self, subject: &Subject, hold: HoldId) {
        let Some(lane) = self.lanes.get_mut(subject) else { return };
        let was_ready = lane.jobs.front().map(|job| Class::of(job.kind));
        let starts = |jobs: &VecDeque<Job>| {
            jobs.iter().filter(|job| Class::of(job.kind) == Class::Starts).count()
        };
        let before = starts(&lane.jobs);
        lane.jobs.retain(|job| job.hold != hold);
        self.waiting_starts -= before - starts(&lane.jobs);
        if !lane.is_busy {
            if let Some(class) = was_ready {
                self.ready[class as usize].retain(|ready| ready != subject);
            }
            self.make_ready(subject);
        }
    }

    /// Takes the next job for which there is a slot: stops first.
    pub(super) fn pop(&mut self, slots: usize) -> Option<Job> {
        for class in [Class::Stops, Class::Starts] {
            if self.running[class as usize] >= slots {
                continue;
            }
            let Some(subject) = self.ready[class as usize].pop_front() else { continue };
            let lane = self.lanes.get_mut(&subject).expect("a ready lane exists");
            let job = lane.jobs.pop_front().expect("a ready lane has a job");
            lane.is_busy = true;
            self.running[class as usize] += 1;
            self.waiting_starts -= usize::from(class == Class::Starts);
            return Some(job);
        }
        None
    }

    /// Ends the job that runs in a lane.
    pub(super) fn finish(&mut self, subject: &Subject, kind: CommandKind) {
        self.running[Class::of(kind) as usize] -= 1;
        if let Some(lane) = self.lanes.get_mut(subject) {
            lane.is_busy = false;
        }
        self.make_ready(subject);
    }

    /// Puts a lane that is not busy where it belongs.
    fn make_ready(&mut self, subject: &Subject) {
        let next = self.lanes.get(subject).and_then(|lane| lane.jobs.front());
        match next {
            Some(job) => self.ready[Class::of(job.kind) as usize].push_back(subject.clone()),
            None => {
                self.lanes.remove(subject);
            }
        }
    }
}
