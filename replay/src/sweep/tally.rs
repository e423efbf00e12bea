//! What one run of a sweep counts.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use knock_engine::Engine;
use knock_engine::config::Door;
use knock_engine::output::{Action, DoorEvent, Event, EventKind, Output};
use knock_engine::time::Timestamp;

use crate::fleet::Observer;
use crate::knockers::Knockers;
use crate::openings::Openings;
use crate::report::Origin;
use crate::run::frames::Candidate;

/// What is counted of one door in one run: of sources that sent every knock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) attempts: u64,
    pub(super) timeouts: u64,
    /// Attempts that were broken.
    pub(super) resets: u64,
    pub(super) lockouts: u64,
    /// Completions within the cooldown.
    pub(super) suppressed: u64,
    /// Completions for which there was no lease left.
    pub(super) refused: u64,
    pub(super) renewals: u64,
    pub(super) evicted: u64,
    /// How long the door was open, over all sources, in nanoseconds.
    pub(super) open_ns: u64,
}

/// Counts what a run does at one door.
pub(super) struct Tally {
    door: Arc<Door>,
    index: usize,
    openings: Rc<RefCell<Openings>>,
    /// Whose attempts count.
    knockers: Rc<Knockers>,
    /// Packets judged so far.
    place: u64,
    /// The numbers of the openings, in their order.
    pub(super) opened: Vec<u32>,
    pub(super) counts: Counts,
    /// Leases, and the sum of their ends less the sum of their beginnings so far.
    leases: i128,
    open_ns: i128,
}

impl Tally {
    /// Counts at a door, which stands at this place in its config.
    pub(super) fn new(
        door: &Arc<Door>,
        index: usize,
        openings: &Rc<RefCell<Openings>>,
        knockers: &Rc<Knockers>,
    ) -> Self {
        Self {
            door: Arc::clone(door),
            index,
            openings: Rc::clone(openings),
            knockers: Rc::clone(knockers),
            place: 0,
            opened: Vec::new(),
            counts: Counts::default(),
            leases: 0,
            open_ns: 0,
        }
    }

    /// Returns the counts, once all is told.
    pub(super) fn counts(&self) -> Counts {
        Counts { open_ns: u64::try_from(self.open_ns).unwrap_or_default(), ..self.counts }
    }

    fn is_its(&self, door: &Arc<Door>) -> bool {
        Arc::ptr_eq(door, &self.door)
    }

    fn counts_for(&self, event: &DoorEvent) -> bool {
        self.is_its(&event.door) && self.knockers.contains(event.source)
    }

    fn event(&mut self, event: &DoorEvent, origin: Option<Origin>) {
        let counts = &mut self.counts;
        let stage = event.progress.map_or(0, |progress| progress.stage);
        match event.kind {
            EventKind::Stage if stage == 1 => counts.attempts += 1,
            EventKind::Open => {
                let Some(origin) = origin else { return };
                let number =
                    self.openings.borrow_mut().note(event, self.index, (self.place, origin));
                self.opened.extend(number);
            }
            // They come right behind their opening, at which nothing opened then.
            EventKind::Suppressed => {
                counts.suppressed += 1;
                self.opened.pop();
            }
            EventKind::Refused => {
                counts.refused += 1;
                self.opened.pop();
            }
            EventKind::Renew => counts.renewals += 1,
            EventKind::Reset(_) => counts.resets += 1,
            EventKind::Timeout => counts.timeouts += 1,
            EventKind::Lockout => counts.lockouts += 1,
            EventKind::Evicted => counts.evicted += 1,
            EventKind::Stage
            | EventKind::Duplicate
            | EventKind::Repeat
            | EventKind::Restart
            | EventKind::Stray
            | EventKind::Close => {}
        }
    }

    fn lease(&mut self, at: Timestamp, change: i128) {
        self.leases += change;
        self.open_ns -= change * i128::from(at.as_nanos());
    }
}

impl Observer for Tally {
    fn output(&mut self, output: &Output, origin: Option<Origin>) {
        match output {
            Output::Event(Event::Door(event)) if self.counts_for(event) => {
                self.event(event, origin);
            }
            // A lease keeps what is left of it when the clock is set (S1).
            Output::Event(Event::ClockStep { at, from }) => {
                let step = i128::from(from.as_nanos()) - i128::from(at.as_nanos());
                self.open_ns += self.leases * step;
            }
            Output::Action(Action::Start { at, door, until: Some(_), .. }) if self.is_its(door) => {
                self.lease(*at, 1);
            }
            Output::Action(Action::Stop { at, door, .. }) if self.is_its(door) => {
                self.lease(*at, -1);
            }
            Output::Event(Event::Door(_) | Event::Disabled { .. })
            | Output::Action(
                Action::Start { .. }
                | Action::Stop { .. }
                | Action::Consume { .. }
                | Action::Renew { .. },
            ) => {}
        }
    }

    fn packet(&mut self, _candidate: &Candidate, _engine: &Engine) {
        self.place += 1;
    }
}
