//! What happened in a case, as far as somebody may ask.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use knock_engine::output::{Action, Event, EventKind, Output};
use knock_engine::packet::Packet;
use knock_engine::time::Timestamp;

use crate::report::{Doors, Origin, Report, Totals};

/// An event that somebody may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Happening {
    pub(super) event: &'static str,
    pub(super) at: Timestamp,
    /// The door's index in the config; of doors of one name, that of the first.
    pub(super) door: Option<usize>,
    pub(super) source: Option<IpAddr>,
    /// What an `open` came to.
    pub(super) came_to: CameTo,
}

/// What came of an `open`, and of nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CameTo {
    /// No command ran: there is none, or it was suppressed or refused.
    Nothing,
    /// A start command without an end.
    Start,
    /// A door that is open for a while; the index of that opening.
    Opening(usize),
}

/// A door that was open for a source, from its start to its stop, however often it was renewed.
#[derive(Clone, Copy, Debug)]
struct Opening {
    /// How long it had been open when the clock was set last.
    before: Duration,
    since: Timestamp,
    is_closed: bool,
}

/// Everything that happened in a case and may be asked for.
#[derive(Debug)]
pub(super) struct Seen {
    doors: Doors,
    /// For each door the first one of its name: an expectation knows names only.
    named: Vec<usize>,
    wanted: Vec<&'static str>,
    happenings: Vec<Happening>,
    openings: Vec<Opening>,
    running: HashMap<(usize, IpAddr), usize>,
    /// For each door the highest stage that any source reached.
    reached: Vec<u8>,
    /// How many events there was no room for.
    left_out: u64,
    start: Timestamp,
}

impl Seen {
    /// The most events that are kept.
    const MOST: usize = 5_000_000;

    /// Keeps the events of these names.
    pub(super) fn new(doors: Doors, wanted: Vec<&'static str>) -> Self {
        let mut first: HashMap<String, usize> = HashMap::new();
        let names = doors.all().iter().enumerate();
        let named = names.map(|(index, door)| *first.entry(door.name.clone()).or_insert(index));
        Self {
            named: named.collect(),
            reached: vec![0; doors.all().len()],
            doors,
            wanted,
            happenings: Vec::new(),
            openings: Vec::new(),
            running: HashMap::new(),
            left_out: 0,
            start: Timestamp::ZERO,
        }
    }

    /// Returns the events in their order.
    pub(super) fn happenings(&self) -> &[Happening] {
        &self.happenings
    }

    /// Returns for each door how many knocks of its sequence came.
    pub(super) fn reached(&self) -> &[u8] {
        &self.reached
    }

    /// Returns the name of a door.
    pub(super) fn door_name(&self, door: usize) -> &str {
        self.doors.all().get(door).map_or("", |door| &door.name)
    }

    /// Returns how many events there was no room for.
    pub(super) const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Returns when something happened, counted from the earliest packet.
    pub(super) fn offset(&self, at: Timestamp) -> Duration {
        at.saturating_duration_since(self.start)
    }

    /// Returns how long a door was open after an `open`, from its start to its stop; none where
    /// it never closes or never opened.
    pub(super) fn stay(&self, happening: &Happening) -> Option<Duration> {
        let CameTo::Opening(index) = happening.came_to else { return None };
        let opening = self.openings.get(index).filter(|opening| opening.is_closed)?;
        Some(opening.before)
    }

    fn event(&mut self, event: &Event) {
        let door = event.door().and_then(|door| self.doors.index(door));
        let mut source = None;
        match event {
            Event::ClockStep { at, from } => self.set_clock(*from, *at),
            Event::Disabled { .. } => {}
            Event::Door(event) => {
                source = Some(event.source);
                if let (EventKind::Stage | EventKind::Restart, Some(progress), Some(door)) =
                    (event.kind, event.progress, door)
                    && let Some(reached) = self.reached.get_mut(door)
                {
                    *reached = progress.stage.max(*reached);
                }
            }
        }
        let (name, at) = (event.name(), event.at());
        if !self.wanted.contains(&name) {
            return;
        }
        if self.happenings.len() >= Self::MOST {
            self.left_out += 1;
            return;
        }
        let came_to = CameTo::Nothing;
        let door = door.and_then(|door| self.named.get(door).copied());
        self.happenings.push(Happening { event: name, at, door, source, came_to });
    }

    fn action(&mut self, action: &Action) {
        let (came_to, door, source) = match action {
            Action::Start { at, door, source, until } => {
                let Some(index) = self.doors.index(door) else { return };
                let came_to = if until.is_some() {
                    self.running.insert((index, *source), self.openings.len());
                    let opening = Opening { before: Duration::ZERO, since: *at, is_closed: false };
                    self.openings.push(opening);
                    CameTo::Opening(self.openings.len() - 1)
                } else {
                    CameTo::Start
                };
                (came_to, index, *source)
            }
            Action::Renew { door, source, .. } => {
                let Some(index) = self.doors.index(door) else { return };
                let running = self.running.get(&(index, *source));
                let Some(opening) = running.copied() else { return };
                (CameTo::Opening(opening), index, *source)
            }
            Action::Stop { at, door, source } => {
                let Some(index) = self.doors.index(door) else { return };
                let running = self.running.remove(&(index, *source));
                if let Some(opening) = running.and_then(|index| self.openings.get_mut(index)) {
                    opening.before += at.saturating_duration_since(opening.since);
                    opening.is_closed = true;
                }
                return;
            }
            Action::Consume { .. } => return,
        };
        if self.left_out > 0 {
            return;
        }
        let door = self.named.get(door).copied();
        // The event `open` comes before its action, with others of the same packet between them.
        let mut latest = self.happenings.iter_mut().rev();
        let is_it = |its: &&mut Happening| {
            its.event == "open" && its.door == door && its.source == Some(source)
        };
        if let Some(open) = latest.find(is_it) {
            open.came_to = came_to;
        }
    }

    /// Goes on counting from another time: a lease keeps what it has left (S1).
    fn set_clock(&mut self, from: Timestamp, to: Timestamp) {
        for index in self.running.values() {
            if let Some(opening) = self.openings.get_mut(*index) {
                opening.before += from.saturating_duration_since(opening.since);
                opening.since = to;
            }
        }
    }
}

/// What happens, shared with whoever makes it happen.
pub(super) struct Watcher(pub(super) Rc<RefCell<Seen>>);

impl Report for Watcher {
    fn output(&mut self, output: &Output, _origin: Option<Origin>) -> io::Result<()> {
        match output {
            Output::Event(event) => self.0.borrow_mut().event(event),
            Output::Action(action) => self.0.borrow_mut().action(action),
        }
        Ok(())
    }

    fn packet(&mut self, _packet: &Packet, _at: Timestamp, _origin: Origin) -> io::Result<()> {
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self, totals: &Totals) -> io::Result<()> {
        self.0.borrow_mut().start = totals.first.unwrap_or_default();
        Ok(())
    }
}
