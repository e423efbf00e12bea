//! Deadlines in the order in which they fire (S2).

use std::time::Duration;

use super::DoorIndex;
use super::leases::Lane;
use super::queue::Queue;
use crate::time::Timestamp;

/// When a deadline was set: what decides between deadlines that fall on the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket {
    /// The time at which it was set.
    pub(super) since: Timestamp,
    /// Its place among those set at that time.
    pub(super) order: u32,
}

/// The engine's time, and the tickets of the deadlines set at it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    now: Timestamp,
    issued: u32,
}

/// What a stamp does to the clock (S1).
pub(super) enum Tick {
    /// Time goes on, or stands still.
    Forward(Timestamp),
    /// The stamp lies more than a second back.
    Back,
}

impl Clock {
    /// How far back a stamp may lie and still count as now: capture queues reorder a little (S1).
    const TOLERANCE: Duration = Duration::from_secs(1);

    /// Makes a clock that has reached `now` and has issued so many tickets there.
    pub(super) fn of(now: Timestamp, issued: u32) -> Self {
        Self { now, issued }
    }

    /// Returns the time, and how many tickets were issued at it.
    pub(super) fn parts(&self) -> (Timestamp, u32) {
        (self.now, self.issued)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    pub(super) fn judge(&self, stamp: Timestamp) -> Tick {
        match self.now.checked_duration_since(stamp) {
            None => Tick::Forward(stamp),
            Some(back) if back <= Self::TOLERANCE => Tick::Forward(self.now),
            Some(_) => Tick::Back,
        }
    }

    /// Sets the time, forward or back. `issued` tickets count as set at it already.
    pub(super) fn set(&mut self, now: Timestamp, issued: u32) {
        if now != self.now {
            *self = Self { now, issued };
        }
    }

    /// Makes the ticket of a deadline that is set now.
    pub(super) fn ticket(&mut self) -> Ticket {
        let ticket = Ticket { since: self.now, order: self.issued };
        // Four thousand million deadlines at one nanosecond would tie; nothing worse happens.
        self.issued = self.issued.saturating_add(1);
        ticket
    }
}

/// A deadline's place in the order.
pub(super) type Due = (Timestamp, Ticket);

/// What a deadline belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    /// The oldest attempt of a door. Attempts of one door expire in the order in which they
    /// began, so one entry a door is enough, however many attempts there are.
    Attempt(DoorIndex),
    /// The lease of a lane that ends next, for the same reason.
    Lease(Lane),
}

/// All deadlines that bring an output.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    attempts: Queue<Due>,
    leases: Queue<Due>,
}

impl Schedule {
    /// Sets when the next attempt of a door is due; never for none.
    pub(super) fn set_attempt(&mut self, door: DoorIndex, due: Option<Due>) {
        self.attempts.set(u32::from(door), due);
    }

    /// Sets when the next lease of a lane is due; never for none.
    pub(super) fn set_lease(&mut self, lane: Lane, due: Option<Due>) {
        self.leases.set(lane, due);
    }

    /// Tells whether a deadline is at or before `now`.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        let is_past = |queue: &Queue<Due>| queue.first().is_some_and(|((at, _), _)| at <= now);
        is_past(&self.attempts) || is_past(&self.leases)
    }

    /// Returns the deadline that fires first.
    pub(super) fn first(&self) -> Option<(Timestamp, Cause)> {
        let attempt = self.attempts.first().map(|(due, door)| {
            let door = DoorIndex::try_from(door).expect("it was set for a door");
            (due, Cause::Attempt(door))
        });
        let lease = self.leases.first().map(|(due, lane)| (due, Cause::Lease(lane)));
        let ((at, _), cause) = attempt.into_iter().chain(lease).min()?;
        Some((at, cause))
    }

    pub(super) fn clear(&mut self) {
        self.attempts.clear();
        self.leases.clear();
    }
}
