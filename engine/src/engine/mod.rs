//! The engine: packets and time in, events and actions out (S1-S16).

mod chain;
mod cooldowns;
mod doors;
mod failures;
mod index;
mod judge;
mod leases;
mod places;
mod queue;
mod recency;
mod schedule;
mod snapshot;
mod source;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use self::cooldowns::Cooldowns;
pub use self::doors::Disregard;
use self::doors::Doors;
use self::failures::Failures;
use self::leases::{Lane, Leases};
use self::places::{DoorQueues, Places};
use self::schedule::{Cause, Clock, Schedule, Tick};
pub use self::source::HashKey;
use self::source::{KeyedHasher, SourceKey};
use crate::config::{Config, Door, Options};
use crate::local::LocalAddresses;
use crate::output::{Action, DoorEvent, Event, EventKind, Output, Progress, ResetReason, Trigger};
use crate::packet::{Packet, Protocol, TcpFlags};
use crate::time::Timestamp;

/// A door's place in the config, from 0; at most [`Config::MAX_DOORS`].
type DoorIndex = u16;

/// The engine's next deadline, and why it will fire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// When it fires.
    pub at: Timestamp,
    /// What will happen then.
    pub cause: DeadlineCause,
    /// The door.
    pub door: Arc<Door>,
    /// The source.
    pub source: IpAddr,
}

/// Why a deadline will fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeadlineCause {
    /// An attempt will time out (S9).
    Timeout,
    /// A lease will end (S11).
    Close,
}

/// How full the engine's tables are, and how often they were too full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Pairs of source and door that have an attempt or remembered packets; at most
    /// `max_attempts` (S14).
    pub places: usize,
    /// Attempts.
    pub attempts: usize,
    /// Leases; at most `max_leases` (S14).
    pub leases: usize,
    /// Places that made room for another, since the start.
    pub evicted: u64,
    /// Packets that were not remembered because all places had attempts, since the start.
    pub unremembered: u64,
    /// Completions that ran nothing because there were `max_leases` leases, since the start.
    pub refused: u64,
}

/// Decides which packets open which doors.
///
/// The engine has no clock: every input carries a stamp. Hand over each packet with
/// [`handle_packet`](Self::handle_packet), call [`handle_timeout`](Self::handle_timeout) when the
/// deadline that [`poll_timeout`](Self::poll_timeout) tells has come, and after either take
/// the outputs with [`poll_output`](Self::poll_output) until there are none.
#[derive(Debug)]
pub struct Engine {
    options: Options,
    doors: Doors,
    local: LocalAddresses,
    clock: Clock,
    places: Places,
    leases: Leases,
    failures: Failures,
    cooldowns: Cooldowns,
    schedule: Schedule,
    outputs: VecDeque<Output>,
    /// The doors that the packet at hand concerns; kept for its allocation.
    concerned: Vec<judge::Concern>,
    /// Whether the packet handled last changed anything.
    was_noticed: bool,
    evicted: u64,
    unremembered: u64,
    refused: u64,
}

impl Engine {
    /// Makes an engine. No door has an attempt or a lease, and time is at its beginning.
    ///
    /// # Panics
    ///
    /// Where the config has more than [`Config::MAX_DOORS`] doors; the parser refuses that.
    #[must_use]
    pub fn new(config: Config, local: LocalAddresses, key: HashKey) -> Self {
        let hasher = KeyedHasher::new(key);
        let doors = Doors::new(&config);
        let options = config.options;
        let (attempts, leases) = (table_size(options.max_attempts), table_size(options.max_leases));
        Self {
            places: Places::new(hasher.clone(), queues(&doors)),
            leases: Leases::new(hasher.clone(), config.doors.len()),
            failures: Failures::new(hasher.clone(), attempts),
            cooldowns: Cooldowns::new(hasher, leases),
            options,
            doors,
            local,
            clock: Clock::default(),
            schedule: Schedule::default(),
            outputs: VecDeque::new(),
            concerned: Vec::new(),
            was_noticed: false,
            evicted: 0,
            unremembered: 0,
            refused: 0,
        }
    }

    /// Brings what the engine knows of these sources into the processor's caches, all at once:
    /// packets of theirs that are handled soon are handled faster. Changes nothing.
    pub fn anticipate(&self, sources: impl Iterator<Item = IpAddr>) {
        self.places.anticipate(sources);
    }

    /// Handles one packet. Deadlines at or before `now` fire first, so a knock on its deadline
    /// is late (S2). A packet that concerns no door changes nothing, not even the time (S1).
    pub fn handle_packet(&mut self, packet: &Packet, now: Timestamp) {
        let mut concerned = std::mem::take(&mut self.concerned);
        let does_concern = self.collect_knocked(&mut concerned, packet);
        if does_concern {
            self.advance(now);
        }
        self.was_noticed = false;
        if does_concern {
            self.judge(packet, &mut concerned);
        }
        self.concerned = concerned;
    }

    /// Fires every deadline at or before `now`. Early and repeated calls do nothing (S2).
    ///
    /// A wake-up says that every packet stamped before `now` has been handed over.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.advance(now);
    }

    /// Replaces the config (S16). Deadlines at or before `now` fire first.
    ///
    /// Doors whose section did not change keep their attempts, remembered packets, cooldowns,
    /// failure counts and lockouts; all leases stay. What belonged to other doors is dropped
    /// without an event.
    pub fn handle_config(&mut self, config: Config, now: Timestamp) {
        self.advance(now);
        let doors = Doors::new(&config);
        let names = doors.names();
        let door_named = |name: &str, namesake| names.get(&(name, namesake)).copied();
        let successors: Vec<Option<DoorIndex>> = (self.doors.iter())
            .map(|(_, old)| {
                door_named(&old.door.name, old.namesake)
                    .filter(|new| old.is_unchanged(doors.get(*new)))
            })
            .collect();
        let successor = |old: DoorIndex| successors[usize::from(old)];
        let attempts = table_size(config.options.max_attempts);
        self.places.replace_doors(queues(&doors), successor);
        self.failures.replace_doors(successor);
        self.cooldowns.replace_doors(successor);
        self.leases.replace_doors(config.doors.len(), door_named);
        self.failures.set_capacity(attempts);
        self.cooldowns.set_capacity(table_size(config.options.max_leases));
        drop(names);
        self.doors = doors;
        self.options = config.options;
        self.reschedule();
    }

    /// Replaces the local addresses (S4). Attempts and leases stay.
    pub fn handle_local_addresses(&mut self, local: LocalAddresses) {
        self.local = local;
    }

    /// Takes the oldest output, until there is none.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Tells whether there are outputs to take.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// Tells whether the packet handled last changed anything: it brought an event, or it is
    /// remembered to tell its retransmissions. What fired before it does not count. An engine that
    /// is given only such packets, and woken when deadlines fire, decides the same.
    #[must_use]
    pub fn was_noticed(&self) -> bool {
        self.was_noticed
    }

    /// Returns the next deadline that will bring an output; none where no attempt and no lease
    /// is left.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Deadline> {
        let (at, cause) = self.schedule.first()?;
        Some(match cause {
            Cause::Attempt(index) => {
                let id = self.places.next_to_expire(index).expect("a scheduled door has attempts");
                let (source, _) = self.places.owner(id);
                let door = Arc::clone(&self.doors.get(index).door);
                Deadline { at, cause: DeadlineCause::Timeout, door, source: source.address() }
            }
            Cause::Lease(lane) => {
                let lease = self.leases.get(self.leases.next_to_end(lane).expect(HAS_LEASES));
                let (door, source) = (Arc::clone(&lease.door), lease.source.address());
                Deadline { at, cause: DeadlineCause::Close, door, source }
            }
        })
    }

    /// Tells whether the packet concerns a door (S5). Packets that concern none may be dropped
    /// before they reach the engine.
    #[must_use]
    pub fn concerns(&self, packet: &Packet) -> bool {
        self.doors.knocked_by(packet, &self.local).next().is_some()
            || self.doors.is_stray_anywhere(packet, &self.local)
    }

    /// Tells why a packet, just handled, brought no event at a door: the one of this number in the
    /// config, counted from 0.
    ///
    /// # Panics
    ///
    /// Where the config has no door of that number.
    #[must_use]
    pub fn disregard(&self, door: usize, packet: &Packet) -> Disregard {
        let index = DoorIndex::try_from(door).expect("the door is one of the config's");
        match self.doors.disregard(index, packet, &self.local) {
            Some(reason @ (Disregard::Disabled | Disregard::WrongTarget | Disregard::Denied)) => {
                reason
            }
            _ if self.is_locked_out(index, SourceKey::new(packet.source)) => Disregard::LockedOut,
            Some(reason) => reason,
            None => Disregard::NotFirstKnock,
        }
    }

    /// Tells whether a packet could concern a door, from its protocol, destination port and
    /// flags (none for UDP) alone. Where it says no, no more of the packet needs decoding.
    #[inline]
    #[must_use]
    pub fn is_candidate(&self, protocol: Protocol, destination_port: u16, flags: TcpFlags) -> bool {
        self.doors.is_candidate(protocol, destination_port, flags)
    }

    /// Returns how full the tables are.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            places: self.places.len(),
            attempts: self.places.attempts(),
            leases: self.leases.len(),
            evicted: self.evicted,
            unremembered: self.unremembered,
            refused: self.refused,
        }
    }

    /// Brings the time to a stamp: deadlines up to it fire, oldest first (S1, S2).
    fn advance(&mut self, stamp: Timestamp) {
        match self.clock.judge(stamp) {
            Tick::Forward(now) => {
                self.fire(now);
                self.clock.set(now, 0);
            }
            Tick::Back => {
                // A span of zero ends at the moment it began: it is due already, though no later
                // stamp has come to fire it.
                self.fire(self.clock.now());
                self.step_clock(stamp);
            }
        }
        self.places.forget_expired(self.clock.now());
    }

    /// Fires the deadlines at or before `now`.
    fn fire(&mut self, now: Timestamp) {
        while self.schedule.is_due(now)
            && let Some((at, cause)) = self.schedule.first()
        {
            match cause {
                Cause::Attempt(door) => self.time_out(door, at),
                Cause::Lease(lane) => self.close(lane, at),
            }
        }
    }

    /// Follows a clock that was set back (S1).
    fn step_clock(&mut self, to: Timestamp) {
        let from = self.clock.now();
        self.places.clear();
        self.failures.step_clock(from, to);
        self.cooldowns.step_clock(from, to);
        self.leases.step_clock(from, to);
        self.clock.set(to, u32::try_from(self.leases.len()).unwrap_or(u32::MAX));
        self.outputs.push_back(Output::Event(Event::ClockStep { at: to, from }));
        self.reschedule();
    }

    /// Makes the schedule anew.
    fn reschedule(&mut self) {
        self.schedule.clear();
        for lane in self.leases.lanes() {
            self.arm_lane(lane);
        }
        for (door, _) in self.doors.iter() {
            self.schedule.set_attempt(door, self.places.next_due(door));
        }
    }

    /// Keeps a door's entry in the schedule that of its next attempt to time out.
    fn arm(&mut self, door: DoorIndex) {
        self.schedule.set_attempt(door, self.places.next_due(door));
    }

    /// Keeps a lane's entry in the schedule that of its next lease to end.
    fn arm_lane(&mut self, lane: Lane) {
        self.schedule.set_lease(lane, self.leases.next_due(lane));
    }

    /// Ends the door's attempt whose deadline has passed (S9).
    fn time_out(&mut self, door: DoorIndex, at: Timestamp) {
        let id = self.places.next_to_expire(door).expect("a scheduled door has attempts");
        let (source, _) = self.places.owner(id);
        self.emit(DoorEvent {
            at,
            door: self.door(door),
            source: source.address(),
            kind: EventKind::Timeout,
            trigger: Trigger::Deadline,
            progress: self.progress(id, at),
        });
        self.count_failure(door, source, at, Trigger::Deadline);
        self.places.end(id);
        self.arm(door);
    }

    /// Ends the lane's lease whose deadline has passed (S11).
    fn close(&mut self, lane: Lane, at: Timestamp) {
        let id = self.leases.next_to_end(lane).expect(HAS_LEASES);
        let lease = self.leases.remove(id);
        self.arm_lane(lane);
        let source = lease.source.address();
        self.emit(DoorEvent {
            at,
            door: Arc::clone(&lease.door),
            source,
            kind: EventKind::Close,
            trigger: Trigger::Deadline,
            progress: None,
        });
        self.outputs.push_back(Output::Action(Action::Stop { at, door: lease.door, source }));
    }
}

/// What an entry of the schedule means.
const HAS_LEASES: &str = "a scheduled lane has leases";

/// Returns a table's size as its option gives it.
fn table_size(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// Returns the empty queues of all doors.
fn queues(doors: &Doors) -> Vec<DoorQueues> {
    doors
        .iter()
        .map(|(_, its)| DoorQueues::new(its.door.seq_timeout, its.door.retransmit_window))
        .collect()
}
