//! What came of one source at one door.

use std::time::Duration;

use knock_engine::Disregard;
use knock_engine::config::Knock;
use knock_engine::output::{DoorEvent, EventKind, ResetReason, Trigger};
use knock_engine::packet::{Packet, Protocol};
use knock_engine::time::Timestamp;

use super::guard::Tries;

/// What came of one source at one door.
#[derive(Debug, Default)]
pub(crate) struct DoorStory {
    pub(crate) opens: u64,
    /// The first time that it opened.
    pub(crate) opening: Option<Opening>,
    /// Openings within the cooldown, and beyond `max_leases`.
    pub(crate) suppressed: u64,
    pub(crate) refused: u64,
    /// How the last attempt that did not open ended.
    pub(crate) failure: Option<Failure>,
    pub(crate) is_locked_out: bool,
    /// The first packet that was disregarded for each reason.
    disregarded: Vec<(Disregard, Packet)>,
    /// A step of a one-time sequence that is not the current one.
    pub(crate) stale: Option<StaleStep>,
    /// Who tried the ports that the door guards.
    pub(crate) tries: Tries,
    /// The attempt that goes on: knocks matched, and knocks in the sequence.
    progress: Option<(u8, u8)>,
    /// A packet with the wrong protocol or flags since the attempt's last knock.
    wrong: Option<(Disregard, Packet)>,
}

/// A door that opened for a source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening {
    pub(crate) at: Timestamp,
    pub(crate) took: Duration,
}

/// How an attempt ended without opening.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    pub(crate) at: Timestamp,
    pub(crate) stage: u8,
    pub(crate) of: u8,
    /// The knock that was due.
    pub(crate) expected: Option<Knock>,
    /// How long after the end that knock came after all.
    pub(crate) came_after: Option<Duration>,
    /// How it came by another protocol or with other flags while the attempt waited for it.
    pub(crate) came_wrong: Option<(Disregard, Packet)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    TimedOut,
    OutOfOrder { by: (Protocol, u16) },
    Strays,
    SequenceUsed,
    Evicted,
    ClockStep,
}

impl FailureKind {
    /// How long after the attempt the missing knock is still taken for part of it. One that was
    /// overtaken comes soon, or belongs to another try.
    const fn patience(self) -> Duration {
        match self {
            Self::OutOfOrder { .. } => Duration::from_secs(1),
            Self::TimedOut
            | Self::Strays
            | Self::SequenceUsed
            | Self::Evicted
            | Self::ClockStep => Duration::from_secs(60),
        }
    }
}

/// A packet that would be a step of another line of a one-time file than the current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StaleStep {
    pub(crate) knock: Knock,
    /// Whether that line was used; else its turn is still to come.
    pub(crate) is_used: bool,
}

impl DoorStory {
    /// Keeps up with an event; `expected` is the knock that is due at the stage that it tells.
    pub(crate) fn follow(&mut self, event: &DoorEvent, expected: impl Fn(u8) -> Option<Knock>) {
        let progress = event.progress.map(|progress| (progress.stage, progress.of));
        match event.kind {
            EventKind::Stage | EventKind::Restart => {
                self.progress = progress;
                self.wrong = None;
                self.is_locked_out = false;
            }
            EventKind::Open => {
                self.progress = None;
                self.opens += 1;
                let took = event.progress.map_or(Duration::ZERO, |progress| progress.elapsed);
                self.opening.get_or_insert(Opening { at: event.at, took });
            }
            EventKind::Suppressed => self.suppressed += 1,
            EventKind::Refused => self.refused += 1,
            EventKind::Lockout => self.is_locked_out = true,
            EventKind::Stray => {
                // To this door it is some other port; to its sender it may have been the knock.
                let due = progress.and_then(|(stage, _)| expected(stage));
                if let (Trigger::Packet(packet), Some(knock)) = (event.trigger, due)
                    && knock.port.get() == packet.destination_port
                {
                    self.wrong = Some((Disregard::WrongProtocol, packet));
                }
            }
            EventKind::Timeout | EventKind::Evicted | EventKind::Reset(_) => {
                if let Some(kind) = failure_kind(event) {
                    self.fail(kind, event.at, expected);
                }
            }
            EventKind::Duplicate | EventKind::Repeat | EventKind::Renew | EventKind::Close => {}
        }
    }

    /// Ends the attempt that goes on, if one does.
    pub(crate) fn fail(
        &mut self,
        kind: FailureKind,
        at: Timestamp,
        expected: impl Fn(u8) -> Option<Knock>,
    ) {
        // Without an attempt it was what is remembered of the source that was evicted.
        let Some((stage, of)) = self.progress.take() else { return };
        let (came_after, came_wrong) = (None, self.wrong.take());
        let expected = expected(stage);
        self.failure = Some(Failure { kind, at, stage, of, expected, came_after, came_wrong });
    }

    /// Tells whether an attempt goes on.
    pub(crate) const fn is_trying(&self) -> bool {
        self.progress.is_some()
    }

    /// Notes a packet that the door disregarded.
    pub(crate) fn note_disregard(&mut self, reason: Disregard, packet: &Packet, at: Timestamp) {
        if self.disregarded(reason).is_none() {
            self.disregarded.push((reason, *packet));
        }
        match reason {
            Disregard::WrongProtocol | Disregard::WrongFlags => {
                self.wrong = Some((reason, *packet));
            }
            Disregard::LockedOut => self.is_locked_out = true,
            Disregard::NotFirstKnock => self.note_missing_knock(packet, at),
            Disregard::Disabled
            | Disregard::WrongTarget
            | Disregard::Denied
            | Disregard::OtherPort => {}
        }
    }

    /// Notes the knock that an attempt lacked, if this is it.
    fn note_missing_knock(&mut self, packet: &Packet, at: Timestamp) {
        if let Some(failure) = &mut self.failure
            && failure.expected.is_some_and(|knock| is_knock(knock, packet))
            && let Some(lag) = at.checked_duration_since(failure.at)
            && lag <= failure.kind.patience()
        {
            failure.came_after.get_or_insert(lag);
        }
    }

    /// Returns the first packet that was disregarded for this reason.
    pub(crate) fn disregarded(&self, reason: Disregard) -> Option<&Packet> {
        let mut known = self.disregarded.iter();
        known.find(|(known, _)| *known == reason).map(|(_, packet)| packet)
    }
}

fn failure_kind(event: &DoorEvent) -> Option<FailureKind> {
    match (event.kind, event.trigger) {
        (EventKind::Timeout, _) => Some(FailureKind::TimedOut),
        (EventKind::Evicted, _) => Some(FailureKind::Evicted),
        (EventKind::Reset(ResetReason::Strays), _) => Some(FailureKind::Strays),
        (EventKind::Reset(ResetReason::SequenceUsed), _) => Some(FailureKind::SequenceUsed),
        (EventKind::Reset(ResetReason::OutOfOrder), Trigger::Packet(packet)) => {
            Some(FailureKind::OutOfOrder { by: (packet.protocol(), packet.destination_port) })
        }
        _ => None,
    }
}

/// Tells whether a packet has the protocol and port of a knock.
pub(crate) fn is_knock(knock: Knock, packet: &Packet) -> bool {
    (knock.protocol, knock.port.get()) == (packet.protocol(), packet.destination_port)
}
