//! The first reading: what opens.

use std::collections::HashMap;
use std::net::IpAddr;

use knock_engine::output::{Action, Event, EventKind, Output};
use knock_engine::time::Timestamp;

use crate::fleet::Observer;
use crate::report::Origin;

/// A sequence that was completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Opening {
    pub(super) door: String,
    pub(super) source: IpAddr,
    /// When the last knock came.
    pub(super) at: Timestamp,
    pub(super) origin: Origin,
    /// When the first knock came.
    pub(super) first: Timestamp,
    pub(super) outcome: Outcome,
    /// Until when the door stays open, where it has a stop command.
    pub(super) until: Option<Timestamp>,
}

/// What a completed sequence comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The door has no start command.
    NothingToRun,
    /// Its start command runs.
    Starts,
    /// The door is open already and stays open longer.
    Renews,
    /// The start command doesn't run again within its cooldown.
    Suppressed,
    /// As many doors are open as may be.
    Refused,
}

impl Opening {
    /// Returns what tells an opening from others, whatever the config.
    pub(super) fn key(&self) -> (String, IpAddr, usize, u64) {
        (self.door.clone(), self.source, self.origin.trace, self.origin.frame)
    }

    /// Tells whether a user would notice no difference.
    pub(super) fn comes_to_the_same(&self, other: &Self) -> bool {
        self.outcome == other.outcome && self.until == other.until
    }
}

/// Collects openings.
#[derive(Default)]
pub(super) struct Openings {
    all: Vec<Opening>,
    /// Where the latest opening of a source at a door stands.
    latest: HashMap<(String, IpAddr), usize>,
}

impl Openings {
    pub(super) fn into_all(self) -> Vec<Opening> {
        self.all
    }

    fn set(&mut self, door: &str, source: IpAddr, outcome: Outcome, until: Option<Timestamp>) {
        let latest = self.latest.get(&(door.to_owned(), source));
        if let Some(opening) = latest.and_then(|index| self.all.get_mut(*index)) {
            opening.outcome = outcome;
            opening.until = until;
        }
    }
}

impl Observer for Openings {
    fn output(&mut self, output: &Output, origin: Option<Origin>) {
        match output {
            Output::Event(Event::Door(event)) => {
                let (door, source) = (&event.door.name, event.source);
                match (event.kind, origin) {
                    (EventKind::Open, Some(origin)) => {
                        let elapsed = event.progress.map(|its| its.elapsed).unwrap_or_default();
                        let elapsed = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
                        let first = event.at.as_nanos().saturating_sub(elapsed);
                        self.latest.insert((door.clone(), source), self.all.len());
                        self.all.push(Opening {
                            door: door.clone(),
                            source,
                            at: event.at,
                            origin,
                            first: Timestamp::from_nanos(first),
                            outcome: Outcome::NothingToRun,
                            until: None,
                        });
                    }
                    (EventKind::Suppressed, _) => self.set(door, source, Outcome::Suppressed, None),
                    (EventKind::Refused, _) => self.set(door, source, Outcome::Refused, None),
                    _ => {}
                }
            }
            Output::Action(Action::Start { door, source, until, .. }) => {
                self.set(&door.name, *source, Outcome::Starts, *until);
            }
            Output::Action(Action::Renew { door, source, until, .. }) => {
                self.set(&door.name, *source, Outcome::Renews, Some(*until));
            }
            Output::Action(Action::Consume { .. } | Action::Stop { .. })
            | Output::Event(Event::ClockStep { .. } | Event::Disabled { .. }) => {}
        }
    }
}
