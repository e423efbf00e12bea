//! Attempts: how a packet moves the one of its source, and how attempts end (S6-S10).

use std::net::IpAddr;
use std::time::Duration;

use knock_engine::config::Knock;
use knock_engine::output::{DoorEvent, EventKind, Progress, ResetReason, Trigger};
use knock_engine::packet::{Packet, Protocol};
use knock_engine::time::Timestamp;

use crate::Reference;
use crate::failures::Failure;
use crate::sight::Concern;

/// One source's progress through one door's sequence.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    /// When it was created, as a place in the order; a restart does not change it (S14).
    pub(crate) created: u64,
    /// The number of knocks matched so far, at least one.
    pub(crate) stage: usize,
    /// When the first knock came, or the last restart.
    pub(crate) first: Timestamp,
    /// When the last matched knock came.
    pub(crate) last: Timestamp,
    /// When it times out (S9).
    pub(crate) deadline: Timestamp,
    /// When the deadline was set, as a place in the order (S2).
    pub(crate) deadline_order: u64,
    /// The distinct stray ports (S8.6).
    pub(crate) strays: Vec<(Protocol, u16)>,
}

/// What a knock packet leaves behind.
enum Outcome {
    /// The door remembers it, where it remembers anything (S8.1).
    Remember,
    /// It caused a lockout: from then on the door ignores the source (S13).
    LockedOut,
}

impl Reference {
    /// S6 to S8: judges a packet at one door.
    pub(crate) fn judge(&mut self, door: usize, packet: &Packet) {
        let Some(concern) = self.concern(door, packet) else { return };
        if self.is_locked_out(door, packet.source) {
            return;
        }
        match concern {
            Concern::Knock(_) if self.is_retransmission(door, packet) => {
                self.duplicate(door, packet);
            }
            Concern::Knock(knock) => match self.judge_knock(door, packet, knock) {
                Outcome::Remember => self.remember(door, packet),
                Outcome::LockedOut => {}
            },
            Concern::Stray => self.stray(door, packet),
        }
        self.drop_empty_places();
    }

    /// S7 and the lines 2 to 5 of S8: the first that applies.
    fn judge_knock(&mut self, door: usize, packet: &Packet, knock: Knock) -> Outcome {
        let is_step = |number: usize| self.step(door, number) == Some(knock);
        match self.stage(door, packet.source) {
            None if is_step(1) => self.begin(door, packet),
            None => {}
            Some(k) if is_step(k + 1) => self.next_knock(door, packet),
            Some(1) if is_step(1) => self.restart(door, packet),
            Some(k) if is_step(k) => self.repeat(door, packet),
            Some(_) => return self.out_of_order(door, packet, knock),
        }
        Outcome::Remember
    }

    /// S7: a new attempt at stage 1.
    fn begin(&mut self, door: usize, packet: &Packet) {
        self.make_room_for_attempt(door, packet.source);
        let order = self.next_order();
        let attempt = Attempt {
            created: order,
            stage: 1,
            first: self.now,
            last: self.now,
            deadline: self.now.saturating_add(self.doors[door].door.seq_timeout),
            deadline_order: order,
            strays: Vec::new(),
        };
        let progress = Progress { gap: None, ..self.progress_of(door, &attempt, self.now) };
        self.place_mut(door, packet.source).attempt = Some(attempt);
        self.reach_stage(door, packet, progress);
    }

    /// S8.1: a retransmission; nothing else changes.
    fn duplicate(&mut self, door: usize, packet: &Packet) {
        let progress = self.progress(door, packet.source).unwrap_or(Progress {
            stage: 0,
            of: self.sequence_length(door),
            gap: None,
            elapsed: Duration::ZERO,
            margin: Duration::ZERO,
        });
        self.report(door, packet, EventKind::Duplicate, Some(progress));
    }

    /// S8.2: the next knock.
    fn next_knock(&mut self, door: usize, packet: &Packet) {
        let now = self.now;
        let gap = self.progress(door, packet.source).and_then(|before| before.gap);
        let attempt = self.attempt_mut(door, packet.source);
        attempt.stage += 1;
        attempt.last = now;
        if let Some(progress) = self.progress(door, packet.source) {
            self.reach_stage(door, packet, Progress { gap, ..progress });
        }
    }

    /// S7, S8.2 and S10: tells the stage; the last one opens the door.
    fn reach_stage(&mut self, door: usize, packet: &Packet, progress: Progress) {
        self.report(door, packet, EventKind::Stage, Some(progress));
        if progress.stage == progress.of {
            self.open(door, packet, progress);
        }
    }

    /// S8.3: the first knock again at stage 1. The attempt begins anew, but is no younger (S14).
    fn restart(&mut self, door: usize, packet: &Packet) {
        let (now, order) = (self.now, self.next_order());
        let deadline = now.saturating_add(self.doors[door].door.seq_timeout);
        let attempt = self.attempt_mut(door, packet.source);
        attempt.first = now;
        attempt.last = now;
        attempt.deadline = deadline;
        attempt.deadline_order = order;
        attempt.strays.clear();
        let progress = self.progress(door, packet.source);
        let progress = progress.map(|progress| Progress { gap: None, ..progress });
        self.report(door, packet, EventKind::Restart, progress);
    }

    /// S8.4: the last knock again; nothing else changes.
    fn repeat(&mut self, door: usize, packet: &Packet) {
        let progress = self.progress(door, packet.source);
        self.report(door, packet, EventKind::Repeat, progress);
    }

    /// S8.5: another knock of the door than the next one. If it is the first knock, a new attempt
    /// starts at once, unless the source is locked out by this very failure (S13).
    fn out_of_order(&mut self, door: usize, packet: &Packet, knock: Knock) -> Outcome {
        match self.reset(door, packet, ResetReason::OutOfOrder) {
            Failure::LockedOut => Outcome::LockedOut,
            Failure::Tolerated => {
                if self.step(door, 1) == Some(knock) {
                    // Where nothing is remembered, the ended attempt leaves no place to the new one.
                    self.drop_empty_places();
                    self.begin(door, packet);
                }
                Outcome::Remember
            }
        }
    }

    /// S8.6: a stray, which only matters to an attempt.
    fn stray(&mut self, door: usize, packet: &Packet) {
        let Some(progress) = self.progress(door, packet.source) else { return };
        self.report(door, packet, EventKind::Stray, Some(progress));
        let port = (packet.protocol(), packet.destination_port);
        let max_strays = self.doors[door].door.max_strays;
        let strays = &mut self.attempt_mut(door, packet.source).strays;
        if !strays.contains(&port) {
            strays.push(port);
        }
        if max_strays.is_some_and(|max_strays| strays.len() > usize::from(max_strays)) {
            self.reset(door, packet, ResetReason::Strays);
        }
    }

    /// S8.5 and S8.6: the source's own packet ends its attempt, which is a failure (S13).
    fn reset(&mut self, door: usize, packet: &Packet, reason: ResetReason) -> Failure {
        let progress = self.progress(door, packet.source);
        self.end_attempt(door, packet.source);
        self.report(door, packet, EventKind::Reset(reason), progress);
        self.fail(door, packet.source, self.now, Trigger::Packet(*packet))
    }

    /// S9: an attempt's deadline has passed, which is a failure (S13).
    pub(crate) fn time_out(&mut self, place: usize) {
        let (door, source) = (self.places[place].door, self.places[place].source);
        let deadline = self.attempt_mut(door, source).deadline;
        let progress = self.attempt(door, source);
        let progress = progress.map(|attempt| self.progress_of(door, attempt, deadline));
        self.end_attempt(door, source);
        self.push_event(DoorEvent {
            at: deadline,
            door: self.doors[door].door.clone(),
            source,
            kind: EventKind::Timeout,
            trigger: Trigger::Deadline,
            progress,
        });
        self.fail(door, source, deadline, Trigger::Deadline);
    }

    /// S10: the sequence is complete.
    fn open(&mut self, door: usize, packet: &Packet, progress: Progress) {
        self.report(door, packet, EventKind::Open, Some(progress));
        self.end_attempt(door, packet.source);
        self.use_line(door, packet.source);
        self.run_commands(door, packet);
    }

    /// The knock that is the door's step of this number, counted from 1.
    fn step(&self, door: usize, number: usize) -> Option<Knock> {
        self.doors[door].sequence()?.knocks().get(number - 1).copied()
    }

    /// How the source's attempt at the door stands now.
    pub(crate) fn progress(&self, door: usize, source: IpAddr) -> Option<Progress> {
        let attempt = self.attempt(door, source)?;
        Some(self.progress_of(door, attempt, self.now))
    }

    /// How an attempt at the door stands at some moment.
    fn progress_of(&self, door: usize, attempt: &Attempt, at: Timestamp) -> Progress {
        Progress {
            stage: u8::try_from(attempt.stage).expect("a stage is at most the sequence's length"),
            of: self.sequence_length(door),
            gap: Some(at.saturating_duration_since(attempt.last)),
            elapsed: at.saturating_duration_since(attempt.first),
            margin: attempt.deadline.saturating_duration_since(at),
        }
    }

    fn sequence_length(&self, door: usize) -> u8 {
        let length = self.doors[door].sequence().map_or(0, |sequence| sequence.knocks().len());
        u8::try_from(length).expect("a sequence has at most 32 knocks")
    }
}
