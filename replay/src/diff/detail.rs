//! The second reading: what each knock of an opening came to on the other side.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use knock_engine::config::Config;
use knock_engine::output::{Event, EventKind, Output, ResetReason, Trigger};
use knock_engine::time::Timestamp;
use knock_engine::{Disregard, Engine};

use super::obstacle::Obstacle;
use super::other_ports::OtherPorts;
use super::{Change, Difference};
use crate::fleet::Observer;
use crate::report::Origin;
use crate::report::advice::Port;
use crate::run::frames::Candidate;

/// What is known of a difference beyond its opening.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Detail {
    /// What kept the knock from opening on the other side.
    pub(super) obstacle: Option<Obstacle>,
    /// How many distinct other ports the source hit around the attempt.
    pub(super) other_ports: usize,
}

/// What happened at one side during an attempt at a door.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) at: Timestamp,
    pub(super) origin: Option<Origin>,
    pub(super) port: Option<Port>,
    pub(super) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Stage(u8),
    Open,
    Again,
    Reset(ResetReason),
    Timeout(u8),
    LockedOut,
    Evicted,
    /// It was none of the door's business.
    Disregarded(Disregard),
    /// The original lost it, for this reason.
    Lost(String),
    /// The original had lost the attempt before.
    Orphaned,
}

/// The most entries that are kept of an attempt.
const MOST_ENTRIES: usize = 10_000;

/// Collects what happens while the attempts go on that ended differently.
pub(super) struct Details {
    /// The doors of the config by name.
    doors: HashMap<String, usize>,
    /// Which differences are about a door and source.
    about: HashMap<(String, IpAddr), Vec<usize>>,
    sources: HashMap<IpAddr, Vec<usize>>,
    /// From when until when each attempt goes on, and at which door.
    attempts: Vec<(Timestamp, Timestamp, String)>,
    entries: Vec<Vec<Entry>>,
    /// What the packet at hand has brought about, by door.
    touched: HashSet<String>,
}

impl Details {
    pub(super) fn new(config: &Config, differences: &[Difference]) -> Self {
        let doors = config.doors.iter().enumerate();
        Self::of_doors(doors.map(|(index, door)| (door.name.clone(), index)), differences)
    }

    pub(super) fn of_doors(
        doors: impl Iterator<Item = (String, usize)>,
        differences: &[Difference],
    ) -> Self {
        let mut about: HashMap<_, Vec<usize>> = HashMap::new();
        let mut sources: HashMap<_, Vec<usize>> = HashMap::new();
        for (index, Difference { opening, .. }) in differences.iter().enumerate() {
            about.entry((opening.door.clone(), opening.source)).or_default().push(index);
            sources.entry(opening.source).or_default().push(index);
        }
        let attempt =
            |its: &Difference| (its.opening.first, its.opening.at, its.opening.door.clone());
        Self {
            doors: doors.collect(),
            about,
            sources,
            attempts: differences.iter().map(attempt).collect(),
            entries: vec![Vec::new(); differences.len()],
            touched: HashSet::new(),
        }
    }

    /// Tells whether the side has a door of this name.
    fn has_door(&self, name: &str) -> bool {
        self.doors.contains_key(name)
    }

    pub(super) fn note(&mut self, door: &str, source: IpAddr, entry: &Entry) {
        let Some(differences) = self.about.get(&(door.to_owned(), source)) else { return };
        for index in differences {
            let (from, to, _) = &self.attempts[*index];
            let entries = &mut self.entries[*index];
            if (*from..=*to).contains(&entry.at) && entries.len() < MOST_ENTRIES {
                entries.push(entry.clone());
            }
        }
    }
}

impl Observer for Details {
    fn output(&mut self, output: &Output, origin: Option<Origin>) {
        let Output::Event(Event::Door(event)) = output else { return };
        let stage = event.progress.map_or(0, |its| its.stage);
        let what = match event.kind {
            EventKind::Stage => What::Stage(stage),
            EventKind::Restart => What::Stage(1),
            EventKind::Open => What::Open,
            EventKind::Duplicate | EventKind::Repeat => What::Again,
            EventKind::Reset(reason) => What::Reset(reason),
            EventKind::Timeout => What::Timeout(stage),
            EventKind::Lockout => What::LockedOut,
            EventKind::Evicted => What::Evicted,
            EventKind::Stray
            | EventKind::Renew
            | EventKind::Close
            | EventKind::Suppressed
            | EventKind::Refused => return,
        };
        let (port, origin) = match event.trigger {
            Trigger::Packet(packet) => {
                self.touched.insert(event.door.name.clone());
                (Some(Port(packet.protocol(), packet.destination_port)), origin)
            }
            Trigger::OtherAttempt | Trigger::Deadline => (None, None),
        };
        let entry = Entry { at: event.at, origin, port, what };
        self.note(&event.door.name, event.source, &entry);
    }

    fn packet(&mut self, candidate: &Candidate, engine: &Engine) {
        let touched = std::mem::take(&mut self.touched);
        let source = candidate.packet.source;
        let Some(differences) = self.sources.get(&source) else { return };
        let port = (candidate.packet.protocol(), candidate.packet.destination_port);
        let doors: HashSet<String> =
            differences.iter().map(|index| self.attempts[*index].2.clone()).collect();
        for door in doors.difference(&touched) {
            let Some(index) = self.doors.get(door) else { continue };
            let what = What::Disregarded(engine.disregard(*index, &candidate.packet));
            let port = Some(Port(port.0, port.1));
            let entry = Entry { at: candidate.at, origin: Some(candidate.origin), port, what };
            self.note(door, source, &entry);
        }
    }
}

/// Works out what kept each opening from opening on the other side.
pub(super) fn fill(
    differences: &mut [Difference],
    (old, new): (&Details, &Details),
    ports: &OtherPorts,
) {
    for (index, difference) in differences.iter_mut().enumerate() {
        let (its, other) = match difference.change {
            Change::Lost => (old, new),
            Change::Gained => (new, old),
            Change::Altered => continue,
        };
        let knocks = knocks(&its.entries[index]);
        let obstacle = if other.has_door(&difference.opening.door) {
            Obstacle::find(&knocks, &other.entries[index])
        } else {
            Obstacle::NoDoor
        };
        difference.detail = Detail { obstacle: Some(obstacle), other_ports: ports.count(index) };
    }
}

/// Returns the knocks that led to an opening, with their numbers: behind the last first one.
fn knocks(entries: &[Entry]) -> Vec<(u8, &Entry)> {
    let mut knocks: Vec<(u8, &Entry)> = Vec::new();
    for entry in entries {
        if let What::Stage(stage) = entry.what {
            if stage == 1 {
                knocks.clear();
            }
            knocks.push((stage, entry));
        }
    }
    knocks
}
