//! The openings of doors that many configs make of the same packets, each kept once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use foldhash::fast::FixedState;
use knock_engine::output::DoorEvent;
use knock_engine::time::Timestamp;

use crate::report::Origin;

/// A completed sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Opening {
    /// The door, by its place in the config.
    pub(crate) door: usize,
    pub(crate) source: IpAddr,
    /// When its first knock came.
    pub(crate) began: Timestamp,
    /// When its last knock came.
    pub(crate) at: Timestamp,
    /// The last knock's place among the packets that were judged.
    pub(crate) place: u64,
    /// The last knock's frame.
    pub(crate) origin: Origin,
}

/// What tells two openings apart: one packet completes a door for one source only, but configs can
/// differ in where the attempt began.
type Identity = (u64, usize, Timestamp);

/// All openings, each with a number.
#[derive(Default)]
pub(crate) struct Openings {
    all: Vec<Opening>,
    numbers: HashMap<Identity, u32, FixedState>,
    /// Whether there were more than can be kept.
    pub(crate) overflowed: bool,
}

impl Opening {
    /// Returns how long the whole knock took.
    pub(crate) fn took(&self) -> Duration {
        self.at.saturating_duration_since(self.began)
    }
}

impl Openings {
    /// The most openings that are kept.
    pub(crate) const LIMIT: usize = 1 << 20;

    /// Notes an opening, and returns its number; `None` where there are too many.
    pub(crate) fn note(
        &mut self,
        event: &DoorEvent,
        door: usize,
        (place, origin): (u64, Origin),
    ) -> Option<u32> {
        let elapsed = event.progress.map(|progress| progress.elapsed).unwrap_or_default();
        let span = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        let began = Timestamp::from_nanos(event.at.as_nanos().saturating_sub(span));
        let next = u32::try_from(self.all.len()).ok()?;
        if let Some(number) = self.numbers.get(&(place, door, began)) {
            return Some(*number);
        }
        if self.all.len() >= Self::LIMIT {
            self.overflowed = true;
            return None;
        }
        self.numbers.insert((place, door, began), next);
        self.all.push(Opening { door, source: event.source, began, at: event.at, place, origin });
        Some(next)
    }

    /// Returns an opening by its number.
    pub(crate) fn get(&self, number: u32) -> Option<&Opening> {
        self.all.get(usize::try_from(number).ok()?)
    }

    /// Returns those of `before` that `after` has not: neither the same one, nor another one of
    /// that source in the time of its knock. Both are in the order of the packets.
    pub(crate) fn lost(&self, before: &[u32], after: &[u32]) -> Vec<u32> {
        let mut of_source: HashMap<(usize, IpAddr), Vec<&Opening>, FixedState> = HashMap::default();
        for opening in after.iter().filter_map(|number| self.get(*number)) {
            of_source.entry((opening.door, opening.source)).or_default().push(opening);
        }
        let is_kept = |number: u32| {
            let Some(before) = self.get(number) else { return false };
            let candidates = of_source.get(&(before.door, before.source));
            let candidates = candidates.map_or(&[][..], Vec::as_slice);
            let end = candidates.partition_point(|after| after.place <= before.place);
            let last = candidates[..end].last();
            last.is_some_and(|last| last.place == before.place || last.at >= before.began)
        };
        before.iter().copied().filter(|number| !is_kept(*number)).collect()
    }

    /// Returns all of them.
    pub(crate) fn all(&self) -> &[Opening] {
        &self.all
    }
}
