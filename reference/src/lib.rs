//! A naive model of the engine's rules (S1-S16), written to be read: lists and
//! rescans, no tables, no cleverness. Tests run it beside the engine.
//!
//! It has the engine's shape (`handle_*` in, `poll_*` out) and its output types, so that every
//! output of the two can be compared with `==`. Each rule is a function that names its number:
//!
//! | rules | file |
//! |---|---|
//! | S1, S2: time | here |
//! | S4, S5: what a door sees | `sight.rs` |
//! | S6 to S10: attempts | `attempts.rs` |
//! | S8 line 1, S14: places and their limit | `places.rs` |
//! | S11, S12: completions, leases, one-time lines | `completion.rs` |
//! | S13: failures and lockouts | `failures.rs` |
//! | S16: replacing the config | `reload.rs` |
//!
//! S3 (bytes to packets) is not modelled: a [`Packet`] is where the model begins. S15 holds by
//! itself, for nothing here is hashed.

mod attempts;
mod completion;
mod failures;
mod places;
mod reload;
mod sight;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use knock_engine::config::{Config, Options, Sequence};
use knock_engine::local::LocalAddresses;
use knock_engine::output::{DoorEvent, Event, EventKind, Output, Progress, Trigger};
use knock_engine::packet::Packet;
use knock_engine::time::Timestamp;
use knock_engine::{Deadline, DeadlineCause};

use completion::{Cooldown, Lease};
use failures::FailureRecord;
use places::Place;
use reload::DoorState;

/// How far behind T a stamp may lie and still count as T (S1).
const REORDERING: Duration = Duration::from_secs(1);

/// The reference model: the engine's rules without the engine's speed.
#[derive(Clone, Debug)]
pub struct Reference {
    options: Options,
    doors: Vec<DoorState>,
    local: LocalAddresses,
    /// T: the newest stamp of an input that counted (S1).
    now: Timestamp,
    places: Vec<Place>,
    leases: Vec<Lease>,
    /// The oldest start first.
    cooldowns: Vec<Cooldown>,
    /// The one with the oldest newest failure first.
    failures: Vec<FailureRecord>,
    /// How many things were put in order so far; see [`Reference::next_order`].
    orders: u64,
    unremembered: u64,
    outputs: VecDeque<Output>,
}

impl Reference {
    /// Makes a model at the beginning of time, with nothing begun.
    #[must_use]
    pub fn new(config: Config, local: LocalAddresses) -> Self {
        Self {
            options: config.options,
            doors: config.doors.into_iter().map(DoorState::new).collect(),
            local,
            now: Timestamp::ZERO,
            places: Vec::new(),
            leases: Vec::new(),
            cooldowns: Vec::new(),
            failures: Vec::new(),
            orders: 0,
            unremembered: 0,
            outputs: VecDeque::new(),
        }
    }

    /// Handles one packet: nothing where it concerns no door, not even its stamp (S1); else time
    /// first (S2), then the doors in config order (S6).
    pub fn handle_packet(&mut self, packet: &Packet, now: Timestamp) {
        if !self.concerns(packet) {
            return;
        }
        self.advance(now);
        for door in 0..self.doors.len() {
            self.judge(door, packet);
        }
    }

    /// Handles a wake-up: fires every deadline at or before `now` (S2).
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.advance(now);
    }

    /// Handles a new config: deadlines at or before `now` fire first, then the doors are
    /// replaced (S16).
    pub fn handle_config(&mut self, config: Config, now: Timestamp) {
        self.advance(now);
        self.replace_config(config);
    }

    /// Replaces the local addresses (S4). Attempts go on.
    pub fn handle_local_addresses(&mut self, local: LocalAddresses) {
        self.local = local;
    }

    /// Takes the oldest output, until there is none.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Returns the next deadline of an attempt or a lease: the two that bring an output.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Deadline> {
        let (at, due) = self.next_due()?;
        Some(match due {
            Due::Attempt(place) => Deadline {
                at,
                cause: DeadlineCause::Timeout,
                door: self.doors[self.places[place].door].door.clone(),
                source: self.places[place].source,
            },
            Due::Lease(lease) => Deadline {
                at,
                cause: DeadlineCause::Close,
                door: self.leases[lease].door.clone(),
                source: self.leases[lease].source,
            },
        })
    }

    /// S1: brings T to a stamp, and fires what is due (S2).
    fn advance(&mut self, stamp: Timestamp) {
        match self.now.checked_duration_since(stamp) {
            None => self.now = stamp,
            Some(behind) if behind <= REORDERING => {}
            Some(_) => self.step_back(stamp),
        }
        self.fire_deadlines();
        self.forget_expired();
    }

    /// S1: a clock step back. Attempts and memory are dropped without events; every other span
    /// keeps its remaining time.
    fn step_back(&mut self, stamp: Timestamp) {
        let from = self.now;
        self.outputs.push_back(Output::Event(Event::ClockStep { at: stamp, from }));
        self.places.clear();
        let keep_remaining =
            |end: &mut Timestamp| *end = stamp.saturating_add(end.saturating_duration_since(from));
        self.leases.iter_mut().for_each(|lease| keep_remaining(&mut lease.until));
        self.cooldowns.iter_mut().for_each(|cooldown| keep_remaining(&mut cooldown.until));
        for record in &mut self.failures {
            record.count_until.iter_mut().for_each(keep_remaining);
            record.locked_until.iter_mut().for_each(keep_remaining);
        }
        self.now = stamp;
    }

    /// S2: fires the deadlines at or before T, oldest first, each with its own time.
    fn fire_deadlines(&mut self) {
        while let Some((at, due)) = self.next_due()
            && at <= self.now
        {
            match due {
                Due::Attempt(place) => self.time_out(place),
                Due::Lease(lease) => self.close(lease),
            }
        }
    }

    /// S2: the oldest deadline; of equal ones the one that was created or renewed first.
    fn next_due(&self) -> Option<(Timestamp, Due)> {
        let attempts = self.places.iter().enumerate().filter_map(|(index, place)| {
            let attempt = place.attempt.as_ref()?;
            Some((attempt.deadline, attempt.deadline_order, Due::Attempt(index)))
        });
        let leases = self.leases.iter().enumerate();
        let leases =
            leases.map(|(index, lease)| (lease.until, lease.deadline_order, Due::Lease(index)));
        let next = attempts.chain(leases).min_by_key(|(at, order, _)| (*at, *order));
        next.map(|(at, _, due)| (at, due))
    }

    /// Returns a number greater than all before: what "in order of creation" goes by.
    fn next_order(&mut self) -> u64 {
        self.orders += 1;
        self.orders
    }

    /// Reports what a packet brought about at a door, now.
    fn report(
        &mut self,
        door: usize,
        packet: &Packet,
        kind: EventKind,
        progress: Option<Progress>,
    ) {
        self.push_event(DoorEvent {
            at: self.now,
            door: self.doors[door].door.clone(),
            source: packet.source,
            kind,
            trigger: Trigger::Packet(*packet),
            progress,
        });
    }

    fn push_event(&mut self, event: DoorEvent) {
        self.outputs.push_back(Output::Event(Event::Door(event)));
    }
}

/// What a deadline belongs to.
#[derive(Clone, Copy, Debug)]
enum Due {
    /// The attempt of the place with this index.
    Attempt(usize),
    /// The lease with this index.
    Lease(usize),
}

/// What tests want to know beside the outputs.
impl Reference {
    /// Returns T: the time that was reached (S1).
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Returns the config as it is now: the lines that one-time doors have used are gone.
    #[must_use]
    pub fn config(&self) -> Config {
        let doors = self.doors.iter().map(DoorState::with_unused_lines).collect();
        Config { options: self.options.clone(), doors }
    }

    /// Returns the sequence that opens the door with this index in the config; `None` where there
    /// is no such door or it has no line left (S12).
    #[must_use]
    pub fn sequence(&self, door: usize) -> Option<&Sequence> {
        self.doors.get(door)?.sequence()
    }

    /// Returns the stage of a source's attempt at the door with this index in the config.
    #[must_use]
    pub fn stage(&self, door: usize, source: IpAddr) -> Option<usize> {
        self.attempt(door, source).map(|attempt| attempt.stage)
    }

    /// Counts the pairs of source and door that have an attempt or remembered packets (S14).
    #[must_use]
    pub const fn places(&self) -> usize {
        self.places.len()
    }

    /// Counts the attempts.
    #[must_use]
    pub fn attempts(&self) -> usize {
        self.places.iter().filter(|place| place.attempt.is_some()).count()
    }

    /// Counts the leases (S11).
    #[must_use]
    pub const fn leases(&self) -> usize {
        self.leases.len()
    }

    /// Counts the remembered starts of doors with a `cooldown` (S11).
    #[must_use]
    pub const fn cooldowns(&self) -> usize {
        self.cooldowns.len()
    }

    /// Counts the records of failures and lockouts (S13).
    #[must_use]
    pub const fn failure_records(&self) -> usize {
        self.failures.len()
    }

    /// Counts the knocks that were not remembered because the table was full (S14).
    #[must_use]
    pub const fn unremembered(&self) -> u64 {
        self.unremembered
    }
}
