//! What one run tells of every source at every door.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use foldhash::fast::FixedState;
use knock_engine::Engine;
use knock_engine::config::{Config, Knock, Sequences};
use knock_engine::output::{DoorEvent, Event, EventKind, Output, ResetReason, Trigger};
use knock_engine::packet::{Packet, Protocol};
use knock_engine::time::Timestamp;

use super::spans::Spans;
use crate::fleet::Observer;
use crate::knockers::Knockers;
use crate::openings::Openings;
use crate::report::{Doors, Origin};
use crate::run::frames::Candidate;

/// The longest time by which a network is believed to reorder two packets, as in the advice of
/// the reports.
pub(super) const LONGEST_REORDERING: Duration = Duration::from_millis(300);

/// A source at a door.
pub(super) type Pair = (usize, IpAddr);

/// What a source's knocks at a door were like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Habits {
    /// From each matched knock to the next.
    pub(super) gaps: Spans,
    pub(super) opens: u64,
    /// Attempts that were broken or ran out of time.
    pub(super) failed: u64,
    /// Knocks that never came though the attempt had begun and others came.
    pub(super) lost: u64,
    /// Knocks that came again as new packets.
    pub(super) repeats: u64,
    /// Retransmissions of knocks.
    pub(super) duplicates: u64,
    /// Knocks that another one overtook.
    pub(super) overtaken: u64,
    /// The longest time by which one was.
    pub(super) longest_lag: Duration,
}

impl Habits {
    pub(super) fn add(&mut self, other: &Self) {
        self.gaps.add_all(&other.gaps);
        self.opens += other.opens;
        self.failed += other.failed;
        self.lost += other.lost;
        self.repeats += other.repeats;
        self.duplicates += other.duplicates;
        self.overtaken += other.overtaken;
        self.longest_lag = self.longest_lag.max(other.longest_lag);
    }
}

/// A knock that was due when a later one came.
struct Due {
    door: usize,
    knock: (Protocol, u16),
    since: Timestamp,
}

/// Listens to one run.
pub(super) struct Watch {
    doors: Doors,
    openings: Rc<RefCell<Openings>>,
    /// Whose habits count: nobody else can open.
    knockers: Rc<Knockers>,
    place: u64,
    /// The numbers of the openings, in their order.
    pub(super) opened: Vec<u32>,
    pub(super) habits: HashMap<Pair, Habits, FixedState>,
    /// Whether there were more pairs than can be kept.
    pub(super) overflowed: bool,
    /// Attempts, by door.
    pub(super) attempts: Vec<u64>,
    due: HashMap<IpAddr, Vec<Due>, FixedState>,
}

impl Watch {
    /// The most pairs of a source and a door that are kept.
    pub(super) const LIMIT: usize = 1 << 18;

    pub(super) fn new(
        config: &Config,
        openings: &Rc<RefCell<Openings>>,
        knockers: &Rc<Knockers>,
    ) -> Self {
        Self {
            doors: Doors::new(&config.doors),
            openings: Rc::clone(openings),
            knockers: Rc::clone(knockers),
            place: 0,
            opened: Vec::new(),
            habits: HashMap::default(),
            overflowed: false,
            attempts: vec![0; config.doors.len()],
            due: HashMap::default(),
        }
    }

    /// Counts what is still due as lost.
    pub(super) fn finish(&mut self) {
        for (source, due) in std::mem::take(&mut self.due) {
            due.iter().for_each(|due| self.count((due.door, source), |habits| habits.lost += 1));
        }
    }

    /// Changes what is known of a pair; nothing where there are too many.
    fn count(&mut self, pair: Pair, change: impl FnOnce(&mut Habits)) {
        if self.habits.len() >= Self::LIMIT && !self.habits.contains_key(&pair) {
            self.overflowed = true;
            return;
        }
        change(self.habits.entry(pair).or_default());
    }

    fn event(&mut self, event: &DoorEvent, origin: Option<Origin>) {
        let Some(door) = self.doors.index(&event.door) else { return };
        let pair = (door, event.source);
        let stage = event.progress.map_or(0, |progress| progress.stage);
        if event.kind == EventKind::Stage && stage == 1 {
            self.attempts[door] += 1;
        }
        if !self.knockers.contains(event.source) {
            return;
        }
        match event.kind {
            EventKind::Stage => {
                if let Some(gap) = event.progress.and_then(|progress| progress.gap) {
                    self.count(pair, |habits| habits.gaps.add(gap));
                }
            }
            EventKind::Open => {
                let Some(origin) = origin else { return };
                let number = self.openings.borrow_mut().note(event, door, (self.place, origin));
                self.opened.extend(number);
                self.count(pair, |habits| habits.opens += 1);
            }
            EventKind::Repeat => self.count(pair, |habits| habits.repeats += 1),
            EventKind::Duplicate => self.count(pair, |habits| habits.duplicates += 1),
            EventKind::Reset(reason) => {
                if reason == ResetReason::OutOfOrder {
                    self.broken(pair, event, stage);
                }
                self.count(pair, |habits| habits.failed += 1);
            }
            EventKind::Timeout => self.count(pair, |habits| {
                habits.failed += 1;
                habits.lost += u64::from(stage >= 2);
            }),
            EventKind::Restart
            | EventKind::Stray
            | EventKind::Renew
            | EventKind::Close
            | EventKind::Suppressed
            | EventKind::Refused
            | EventKind::Lockout
            | EventKind::Evicted => {}
        }
    }

    /// Another knock came than the one that was due.
    fn broken(&mut self, pair: Pair, event: &DoorEvent, stage: u8) {
        let (Trigger::Packet(packet), Sequences::Fixed(sequence)) =
            (&event.trigger, &event.door.sequences)
        else {
            return;
        };
        let (came, knocks) = (knock_of(packet), sequence.knocks());
        let stage = usize::from(stage);
        let Some(due) = knocks.get(stage).map(port_of) else { return };
        let is_later = knocks[stage..].iter().map(port_of).any(|knock| knock == came);
        let is_first = knocks.first().map(port_of) == Some(came);
        if came.1 == due.1 {
            // By the wrong protocol: it is not lost.
        } else if is_first && stage >= 2 {
            self.count(pair, |habits| habits.lost += 1);
        } else if is_later && self.due.len() < Self::LIMIT {
            let due = Due { door: pair.0, knock: due, since: event.at };
            self.due.entry(pair.1).or_default().push(due);
        }
    }

    /// Sees whether a packet is a knock that was overtaken.
    fn arrived(&mut self, packet: &Packet, at: Timestamp) {
        let Some(due) = self.due.remove(&packet.source) else { return };
        let knock = knock_of(packet);
        let mut left = Vec::new();
        for due in due {
            let pair = (due.door, packet.source);
            let lag = at.saturating_duration_since(due.since);
            if lag > LONGEST_REORDERING {
                self.count(pair, |habits| habits.lost += 1);
            } else if due.knock == knock {
                self.count(pair, |habits| {
                    habits.overtaken += 1;
                    habits.longest_lag = habits.longest_lag.max(lag);
                });
            } else {
                left.push(due);
            }
        }
        if !left.is_empty() {
            self.due.insert(packet.source, left);
        }
    }
}

impl Observer for Watch {
    fn output(&mut self, output: &Output, origin: Option<Origin>) {
        if let Output::Event(Event::Door(event)) = output {
            self.event(event, origin);
        }
    }

    fn packet(&mut self, candidate: &Candidate, _engine: &Engine) {
        self.place += 1;
        if !self.due.is_empty() {
            self.arrived(&candidate.packet, candidate.at);
        }
    }
}

fn port_of(knock: &Knock) -> (Protocol, u16) {
    (knock.protocol, knock.port.get())
}

fn knock_of(packet: &Packet) -> (Protocol, u16) {
    (packet.protocol(), packet.destination_port)
}
