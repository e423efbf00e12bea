//! Names what the original loses in silence; nothing here changes a decision.

use std::net::IpAddr;
use std::time::Duration;

use knock_engine::time::Timestamp;

use super::super::decision::{Decision, LossReason, Step};
use super::super::decode::{self, Filtered, LinkLayer, Sniffed};
use super::super::hidden;
use super::ghosts::Ghost;
use super::{Attempt, Door, Fate, Knockd08, Progress, matches, seconds};

impl Knockd08 {
    /// Tells what knockd logs about an attempt that is over, and what it keeps silent about.
    pub(super) fn report_fate(&mut self, attempt: &Attempt, fate: &Fate, at: Timestamp) {
        let (stage, reason) = match *fate {
            Fate::Kept | Fate::Failed | Fate::Completed { opened: true, .. } => return,
            Fate::Completed { opened: false, stage } => (stage, LossReason::SequenceShrank),
            Fate::Expired { stage } => {
                let step = self.step(attempt.source, attempt.door, stage, at);
                self.outputs.push_back(Decision::Timeout(step));
                (stage, self.expiry(attempt, at))
            }
        };
        self.lose_attempt(self.step(attempt.source, attempt.door, stage, at), reason);
    }

    fn expiry(&self, attempt: &Attempt, at: Timestamp) -> LossReason {
        let window = u64::try_from(self.doors[attempt.door].config.seq_timeout_s).unwrap_or(0);
        let window = Duration::from_secs(window);
        match window.checked_sub(at.saturating_duration_since(attempt.first)) {
            Some(left) if !left.is_zero() => LossReason::WholeSeconds { left },
            _ => LossReason::Expired,
        }
    }

    pub(super) fn report_forgotten(
        &mut self,
        attempt: &Attempt,
        reason: &LossReason,
        at: Timestamp,
    ) {
        if let Progress::Stage(stage) = attempt.progress {
            self.lose_attempt(self.step(attempt.source, attempt.door, stage, at), reason.clone());
        }
    }

    /// Names a knock that follows upon those of an attempt which is gone, and starts nothing.
    pub(super) fn report_orphaned(&mut self, packet: &Sniffed, at: Timestamp) {
        let mut ghosts = self.ghosts.take(packet.source);
        ghosts.retain_mut(|ghost| {
            let door = &self.doors[ghost.door];
            if door.disabled || self.starts(ghost.door, packet) || seconds(at) >= ghost.until_s {
                return false;
            }
            if door.is_knock(ghost.stage, packet)
                && door.flags_accept(packet)
                && door.accepts(packet.destination, &self.host)
            {
                let step = self.step(packet.source, ghost.door, ghost.stage, at);
                let reason = LossReason::Orphaned;
                self.outputs.push_back(Decision::Lost { step, reason });
                ghost.stage += 1;
            }
            ghost.stage < self.doors[ghost.door].sequence.len()
        });
        self.ghosts.put(packet.source, ghosts);
    }

    /// Names the doors that the packet would have begun, had its source no attempt (R26, R28).
    pub(super) fn report_unstarted(
        &mut self,
        running: &[usize],
        failed: Option<usize>,
        advanced: &[usize],
        (packet, at): (&Sniffed, Timestamp),
    ) {
        let Some(&first) = running.first() else { return };
        for door in 0..self.doors.len() {
            if advanced.contains(&door) || !self.starts(door, packet) {
                continue;
            }
            let reference = |door: usize| self.doors[door].reference.clone();
            let reason = match failed {
                Some(failed) => LossReason::FailedAnother { failed: reference(failed) },
                None => LossReason::Blocked { by: reference(self.attempts[first].door) },
            };
            self.lose(self.step(packet.source, door, 0, at), reason);
        }
    }

    /// Names the knocks in a frame that the filter keeps from knockd.
    pub(super) fn explain_invisible(
        &mut self,
        link: LinkLayer,
        captured: &[u8],
        reading: Option<Filtered>,
        at: Timestamp,
    ) {
        if reading.is_some() {
            if self.doors.iter().any(|door| door.stale_filter)
                && let Ok(packet) = decode::sniffer_reading(link, captured)
            {
                self.lose_for(&packet, at, &LossReason::StaleFilter, |door| door.stale_filter);
            }
        } else if let Some(found) = hidden::look_behind(link, captured) {
            self.lose_unseen(&found.packet, found.source, at, &found.reason);
        }
    }

    pub(super) fn lose_unseen(
        &mut self,
        packet: &Filtered,
        source: IpAddr,
        at: Timestamp,
        reason: &LossReason,
    ) {
        let packet = Sniffed {
            source,
            destination: packet.destination,
            protocol: Some(packet.protocol),
            port: packet.port,
            flags: packet.flags.unwrap_or_default(),
        };
        self.lose_for(&packet, at, reason, |_| true);
    }

    /// Tells the loss of a packet for each door of which it is a knock.
    fn lose_for(
        &mut self,
        packet: &Sniffed,
        at: Timestamp,
        reason: &LossReason,
        concerned: impl Fn(&Door) -> bool,
    ) {
        for index in 0..self.doors.len() {
            let door = &self.doors[index];
            let is_knock = door.sequence.iter().any(|&knock| matches(knock, packet));
            if is_knock
                && !door.disabled
                && concerned(door)
                && door.flags_accept(packet)
                && door.accepts(packet.destination, &self.host)
            {
                let stage = self.stage_at(packet.source, index);
                self.lose(self.step(packet.source, index, stage, at), reason.clone());
            }
        }
    }

    fn stage_at(&self, source: IpAddr, door: usize) -> usize {
        if !self.per_source.contains_key(&source) {
            return 0;
        }
        let mut attempts = self.attempts.iter();
        let found = attempts.find(|attempt| attempt.source == source && attempt.door == door);
        match found.map(|attempt| attempt.progress) {
            Some(Progress::Stage(stage)) => stage,
            Some(Progress::Failed) | None => 0,
        }
    }

    /// Tells the loss of an attempt, and remembers it for the knocks that follow.
    pub(super) fn lose_attempt(&mut self, step: Step, reason: LossReason) {
        let (door, stage) = (step.door.index, step.stage);
        let until_s = seconds(step.at).saturating_add(self.doors[door].config.seq_timeout_s);
        self.ghosts.remember(step.source, Ghost { door, stage, until_s });
        self.lose(step, reason);
    }

    fn lose(&mut self, step: Step, reason: LossReason) {
        self.outputs.push_back(Decision::Lost { step, reason });
    }
}
