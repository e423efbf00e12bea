//! The table of attempts and remembered packets (S6-S9, S14).
//!
//! A *place* is a pair of source and door that has an attempt, or of which packets are
//! remembered, or both. A place without an attempt is *idle*. A flood of forged first knocks
//! fills this table, so a place is 80 bytes: the packet that began the attempt is kept inside
//! it, and what only grown attempts need (later packets, stray ports) lies in pools beside it.
//! All orders that the rules speak of are linked lists through the places, so that everything
//! here takes constant time whatever the number of places.

mod memory;
mod snapshot;
mod strays;

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use slab::Slab;

pub(super) use self::memory::Identity;
use self::memory::Remembered;
use self::strays::StrayPort;

use super::DoorIndex;
use super::chain::{Link, Linked, List, NO_SLOT, SlotId, slot_id};
use super::index::SlotIndex;
use super::queue::Queue;
use super::schedule::{Due, Ticket};
use super::source::{KeyedHasher, SourceKey};
use crate::time::Timestamp;

/// A source with its hash, which two look-ups need.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub(super) key: SourceKey,
    hash: u64,
}

/// The lists that a place can be in.
#[derive(Clone, Copy, Debug)]
enum Chain {
    /// The attempts of a door in the order of their deadlines.
    Deadline,
    /// The places of a door that remember packets, by the newest of these.
    Memory,
    /// All attempts in the order of their creation.
    Age,
    /// All attempts at stage 1 in the order of their creation; or all idle places in the order
    /// in which they became idle.
    Class,
}

#[derive(Debug)]
struct Place {
    source: SourceKey,
    door: DoorIndex,
    /// The attempt's stage; 0 where the place is idle.
    stage: u8,
    /// When the attempt's first knock came, also when the attempt has ended.
    first: Timestamp,
    /// The order of the attempt's deadline among those set at `first`.
    order: u32,
    /// The packet that came at `first`, where it is remembered: its destination port (none for
    /// no packet), source port and sequence number.
    opening_port: Option<NonZeroU16>,
    opening_source_port: u16,
    opening_sequence_number: u32,
    /// What only some places have, in the pool.
    extra: SlotId,
    /// The same source's place at the next door that has one.
    sibling: SlotId,
    links: [Link; 4],
}

impl Place {
    fn opening(&self) -> Option<Identity> {
        self.opening_port.map(|destination_port| Identity {
            destination_port,
            source_port: self.opening_source_port,
            sequence_number: self.opening_sequence_number,
        })
    }

    fn set_opening(&mut self, identity: Option<Identity>) {
        self.opening_port = identity.map(|its| its.destination_port);
        if let Some(identity) = identity {
            self.opening_source_port = identity.source_port;
            self.opening_sequence_number = identity.sequence_number;
        }
    }

    fn ticket(&self) -> Ticket {
        Ticket { since: self.first, order: self.order }
    }
}

impl Linked<Chain> for Place {
    fn link(&mut self, chain: Chain) -> &mut Link {
        &mut self.links[chain as usize]
    }

    fn peek(&self, chain: Chain) -> Link {
        self.links[chain as usize]
    }
}

/// What an attempt needs beyond its first knock, and a place beyond its opening packet.
#[derive(Debug)]
struct Extra {
    /// When the last matched knock came.
    last: Timestamp,
    /// The remembered packets but the opening one, newest first.
    remembered: SlotId,
    /// The attempt's distinct stray ports.
    strays: SlotId,
}

/// The lists of a door, and the spans that order them.
#[derive(Debug)]
pub(super) struct DoorQueues {
    /// In nanoseconds; a deadline beyond the last stamp is never reached, whatever the sum.
    seq_timeout_ns: u64,
    /// In nanoseconds.
    retransmit_window_ns: u128,
    attempts: List,
    memory: List,
}

impl DoorQueues {
    pub(super) fn new(seq_timeout: Duration, retransmit_window: Duration) -> Self {
        Self {
            seq_timeout_ns: u64::try_from(seq_timeout.as_nanos()).unwrap_or(u64::MAX),
            retransmit_window_ns: retransmit_window.as_nanos(),
            attempts: List::default(),
            memory: List::default(),
        }
    }

    fn clear(&mut self) {
        (self.attempts, self.memory) = (List::default(), List::default());
    }
}

/// An attempt as it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    pub(super) stage: u8,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    pub(super) deadline: Timestamp,
}

/// The table.
#[derive(Debug)]
pub(super) struct Places {
    slots: Slab<Place>,
    /// Each source's place at the first door that has one; the others follow as siblings.
    sources: SlotIndex,
    hasher: KeyedHasher,
    extras: Slab<Extra>,
    remembered: Slab<Remembered>,
    stray_ports: Slab<StrayPort>,
    queues: Vec<DoorQueues>,
    by_age: List,
    stage_one: List,
    idle: List,
    attempts: usize,
    /// When the newest packet of each door's longest silent place is forgotten, in nanoseconds
    /// (wider than a stamp: these sums must not saturate, for they are not deadlines).
    expiries: Queue<u128>,
}

impl Places {
    pub(super) fn new(hasher: KeyedHasher, queues: Vec<DoorQueues>) -> Self {
        Self {
            slots: Slab::new(),
            sources: SlotIndex::default(),
            hasher,
            extras: Slab::new(),
            remembered: Slab::new(),
            stray_ports: Slab::new(),
            queues,
            by_age: List::default(),
            stage_one: List::default(),
            idle: List::default(),
            attempts: 0,
            expiries: Queue::default(),
        }
    }

    /// Returns the number of places (S14).
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns the number of attempts.
    pub(super) fn attempts(&self) -> usize {
        self.attempts
    }

    /// Returns the source and door of a place.
    pub(super) fn owner(&self, id: SlotId) -> (SourceKey, DoorIndex) {
        let place = &self.slots[id as usize];
        (place.source, place.door)
    }

    /// Returns the source's place at the first door that has one, or [`NO_SLOT`].
    pub(super) fn first_of(&self, source: &Source) -> SlotId {
        let is_its = |id: SlotId| self.slots[id as usize].source == source.key;
        self.sources.find(source.hash, is_its).unwrap_or(NO_SLOT)
    }

    /// Reads from memory what [`Self::first_of`] will look at. These reads don't wait for each
    /// other, as those of one look-up after the other would.
    pub(super) fn anticipate(&self, mut sources: impl Iterator<Item = IpAddr>) {
        let mut hashes = [0; 16];
        loop {
            // Hashes first: the shorter a loop, the more of its reads are under way at a time.
            let mut count = 0;
            for (hash, address) in hashes.iter_mut().zip(&mut sources) {
                *hash = self.source(address).hash;
                count += 1;
            }
            for hash in &hashes[..count] {
                std::hint::black_box(self.sources.likely(*hash));
            }
            if count < hashes.len() {
                return;
            }
        }
    }

    /// Makes the key of an address in this table.
    pub(super) fn source(&self, address: IpAddr) -> Source {
        let key = SourceKey::new(address);
        Source { key, hash: self.hasher.hash(&key, 0) }
    }

    /// Returns the same source's place at the next door that has one, or [`NO_SLOT`].
    pub(super) fn sibling(&self, id: SlotId) -> SlotId {
        self.slots[id as usize].sibling
    }

    /// Tells whether the slot still is this source's place at this door. Judging a packet at one
    /// door can evict what was found for the next.
    pub(super) fn is(&self, id: SlotId, source: &SourceKey, door: DoorIndex) -> bool {
        let place = self.slots.get(id as usize);
        place.is_some_and(|place| place.door == door && place.source == *source)
    }

    /// Returns the attempt of a place, if it has one.
    pub(super) fn attempt(&self, id: SlotId) -> Option<Attempt> {
        let place = &self.slots[id as usize];
        (place.stage > 0).then(|| Attempt {
            stage: place.stage,
            first: place.first,
            last: self.extras.get(place.extra as usize).map_or(place.first, |extra| extra.last),
            deadline: self.due(place).0,
        })
    }

    /// Returns the deadline of a place's attempt, or of the one that it had.
    pub(super) fn deadline(&self, id: SlotId) -> Timestamp {
        self.due(&self.slots[id as usize]).0
    }

    fn due(&self, place: &Place) -> Due {
        let timeout_ns = self.queues[usize::from(place.door)].seq_timeout_ns;
        let deadline_ns = place.first.as_nanos().saturating_add(timeout_ns);
        (Timestamp::from_nanos(deadline_ns), place.ticket())
    }

    /// Returns the next deadline of a door's attempts.
    pub(super) fn next_due(&self, door: DoorIndex) -> Option<Due> {
        let head = self.queues[usize::from(door)].attempts.first()?;
        Some(self.due(&self.slots[head as usize]))
    }

    /// Returns the attempt of a door whose deadline comes next.
    pub(super) fn next_to_expire(&self, door: DoorIndex) -> Option<SlotId> {
        self.queues[usize::from(door)].attempts.first()
    }

    /// Returns the door's attempts in the order of their creation.
    pub(super) fn attempts_at(&self, door: DoorIndex) -> Vec<SlotId> {
        if self.queues[usize::from(door)].attempts.first().is_none() {
            return Vec::new();
        }
        let mut found = Vec::new();
        let mut id = self.by_age.first().unwrap_or(NO_SLOT);
        while id != NO_SLOT {
            if self.slots[id as usize].door == door {
                found.push(id);
            }
            id = List::after(&self.slots, Chain::Age, id);
        }
        found
    }

    /// Returns the idle place that makes room first: the one that has been idle longest.
    pub(super) fn longest_idle(&self) -> Option<SlotId> {
        self.idle.first()
    }

    /// Returns the place that makes room for a new attempt (S14): an idle one, else the oldest
    /// attempt at stage 1, else the oldest of all.
    pub(super) fn victim(&self) -> Option<SlotId> {
        self.idle.first().or(self.stage_one.first()).or(self.by_age.first())
    }

    /// Makes an idle place.
    pub(super) fn create(&mut self, source: &Source, door: DoorIndex) -> SlotId {
        let id = self.insert(source, door);
        self.idle.push(&mut self.slots, Chain::Class, id);
        id
    }

    /// Makes a place with an attempt.
    pub(super) fn create_attempt(
        &mut self,
        (source, door): (&Source, DoorIndex),
        ticket: Ticket,
        opening: Option<Identity>,
    ) -> SlotId {
        let id = self.insert(source, door);
        self.begin_loose(id, ticket, opening);
        id
    }

    /// Makes a place that is neither idle nor has an attempt, so it can't stay so.
    fn insert(&mut self, source: &Source, door: DoorIndex) -> SlotId {
        let id = slot_id(self.slots.insert(Place {
            source: source.key,
            door,
            stage: 0,
            first: Timestamp::ZERO,
            order: 0,
            opening_port: None,
            opening_source_port: 0,
            opening_sequence_number: 0,
            extra: NO_SLOT,
            sibling: NO_SLOT,
            links: [Link::LOOSE; 4],
        }));
        self.link_sibling(id, source.hash);
        id
    }

    /// Puts a place among its source's places, which are in the order of the doors.
    fn link_sibling(&mut self, id: SlotId, hash: u64) {
        let Self { slots, sources, hasher, .. } = self;
        let (source, door) = (slots[id as usize].source, slots[id as usize].door);
        let is_its = |other: SlotId| slots[other as usize].source == source;
        let hash_of = |other: SlotId| hasher.hash(&slots[other as usize].source, 0);
        let Some(head) = sources.find_or_insert(hash, id, is_its, hash_of) else { return };
        if door < slots[head as usize].door {
            slots[id as usize].sibling = head;
            return sources.replace(hash, head, id);
        }
        let mut before = head;
        loop {
            let next = slots[before as usize].sibling;
            if next == NO_SLOT || door < slots[next as usize].door {
                slots[id as usize].sibling = next;
                slots[before as usize].sibling = id;
                return;
            }
            before = next;
        }
    }

    fn unlink_sibling(&mut self, id: SlotId) {
        let Self { slots, sources, hasher, .. } = self;
        let (source, next) = (slots[id as usize].source, slots[id as usize].sibling);
        let hash_of = |other: SlotId| hasher.hash(&slots[other as usize].source, 0);
        let hash = hash_of(id);
        let head = sources.find(hash, |other| slots[other as usize].source == source);
        let head = head.expect("every place's source is in the index");
        if head == id {
            return match next {
                NO_SLOT => sources.remove(hash, id, hash_of),
                _ => sources.replace(hash, id, next),
            };
        }
        let mut before = head;
        while slots[before as usize].sibling != id {
            before = slots[before as usize].sibling;
        }
        slots[before as usize].sibling = next;
    }

    /// Begins an attempt at an idle place, with the packet that began it if that is remembered.
    pub(super) fn begin(&mut self, id: SlotId, ticket: Ticket, opening: Option<Identity>) {
        self.idle.remove(&mut self.slots, Chain::Class, id);
        self.begin_loose(id, ticket, opening);
    }

    /// Begins an attempt at a place that is not among the idle ones (any more).
    fn begin_loose(&mut self, id: SlotId, ticket: Ticket, opening: Option<Identity>) {
        self.stage_one.push(&mut self.slots, Chain::Class, id);
        self.by_age.push(&mut self.slots, Chain::Age, id);
        self.attempts += 1;
        self.set_first(id, ticket, opening);
        let place = &mut self.slots[id as usize];
        place.stage = 1;
        let queue = &mut self.queues[usize::from(place.door)];
        queue.attempts.push(&mut self.slots, Chain::Deadline, id);
    }

    /// Begins an attempt at stage 1 anew (S8.3).
    pub(super) fn restart(&mut self, id: SlotId, ticket: Ticket, opening: Option<Identity>) {
        self.forget_strays(id);
        self.set_first(id, ticket, opening);
        let door = usize::from(self.slots[id as usize].door);
        self.queues[door].attempts.move_to_tail(&mut self.slots, Chain::Deadline, id);
    }

    /// Sets the time of the first knock, and the packet that came then; the one that came at the
    /// former time moves into the pool.
    fn set_first(&mut self, id: SlotId, ticket: Ticket, opening: Option<Identity>) {
        let place = &mut self.slots[id as usize];
        let former = place.opening().map(|identity| (place.first, identity));
        place.set_opening(None);
        place.first = ticket.since;
        place.order = ticket.order;
        let extra = place.extra;
        if let Some(extra) = self.extras.get_mut(extra as usize) {
            extra.last = ticket.since;
        }
        if let Some((at, identity)) = former {
            self.pool_former_opening(id, at, identity);
        }
        let Some(opening) = opening else { return };
        if self.newest_remembered(id) == Some(ticket.since) {
            // So whatever is in the pool with the same stamp came after the opening packet.
            self.remember(id, opening, ticket.since);
        } else {
            let was_linked = self.newest_remembered(id).is_some();
            self.slots[id as usize].set_opening(Some(opening));
            self.after_remembering(id, was_linked);
        }
    }

    /// Takes an attempt to its next stage (S8.2).
    pub(super) fn step(&mut self, id: SlotId, now: Timestamp) {
        if self.slots[id as usize].stage == 1 {
            self.stage_one.remove(&mut self.slots, Chain::Class, id);
        }
        self.slots[id as usize].stage += 1;
        self.extra(id).last = now;
    }

    /// Ends an attempt. The place becomes idle, or vanishes where nothing is remembered.
    pub(super) fn end(&mut self, id: SlotId) {
        self.unlink_attempt(id);
        self.forget_strays(id);
        let place = &mut self.slots[id as usize];
        place.stage = 0;
        self.idle.push(&mut self.slots, Chain::Class, id);
        if self.newest_remembered(id).is_none() {
            self.remove(id);
        }
    }

    fn unlink_attempt(&mut self, id: SlotId) {
        let place = &self.slots[id as usize];
        let (door, stage) = (usize::from(place.door), place.stage);
        debug_assert!(stage > 0, "only an attempt can end");
        self.queues[door].attempts.remove(&mut self.slots, Chain::Deadline, id);
        self.by_age.remove(&mut self.slots, Chain::Age, id);
        if stage == 1 {
            self.stage_one.remove(&mut self.slots, Chain::Class, id);
        }
        self.attempts -= 1;
    }

    /// Removes a place with all that belongs to it.
    pub(super) fn remove(&mut self, id: SlotId) {
        if self.slots[id as usize].stage > 0 {
            self.unlink_attempt(id);
        } else {
            self.idle.remove(&mut self.slots, Chain::Class, id);
        }
        self.forget_strays(id);
        self.forget_remembered(id);
        self.unlink_sibling(id);
        let place = self.slots.remove(id as usize);
        if place.extra != NO_SLOT {
            self.extras.remove(place.extra as usize);
        }
    }

    fn extra(&mut self, id: SlotId) -> &mut Extra {
        let place = &mut self.slots[id as usize];
        if place.extra == NO_SLOT {
            place.extra = slot_id(self.extras.insert(Extra {
                last: place.first,
                remembered: NO_SLOT,
                strays: NO_SLOT,
            }));
        }
        &mut self.extras[place.extra as usize]
    }

    /// Drops all places (S1).
    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.sources.clear();
        self.extras.clear();
        self.remembered.clear();
        self.stray_ports.clear();
        self.queues.iter_mut().for_each(DoorQueues::clear);
        self.by_age = List::default();
        self.stage_one = List::default();
        self.idle = List::default();
        self.attempts = 0;
        self.expiries.clear();
    }

    /// Replaces the doors (S16): places of a door that goes on move with it to the number that
    /// `successor` names, those of the others are dropped.
    pub(super) fn replace_doors(
        &mut self,
        queues: Vec<DoorQueues>,
        successor: impl Fn(DoorIndex) -> Option<DoorIndex>,
    ) {
        let moved_to = |place: &Place| successor(place.door);
        let gone: Vec<SlotId> = self
            .slots
            .iter()
            .filter(|(_, place)| moved_to(place).is_none())
            .map(|(id, _)| slot_id(id))
            .collect();
        for id in gone {
            self.remove(id);
        }
        let former = std::mem::replace(&mut self.queues, queues);
        self.expiries.clear();
        for (index, queue) in former.into_iter().enumerate() {
            let index = DoorIndex::try_from(index).expect("doors are bounded by MAX_DOORS");
            if let Some(new) = successor(index) {
                let heir = &mut self.queues[usize::from(new)];
                (heir.attempts, heir.memory) = (queue.attempts, queue.memory);
            }
        }
        self.sources.clear();
        let ids: Vec<SlotId> = self.slots.iter().map(|(id, _)| slot_id(id)).collect();
        for id in ids {
            let place = &mut self.slots[id as usize];
            place.door = successor(place.door).expect("places of other doors are gone");
            place.sibling = NO_SLOT;
            let hash = self.hasher.hash(&place.source, 0);
            self.link_sibling(id, hash);
        }
        for door in 0..self.queues.len() {
            self.arm(DoorIndex::try_from(door).expect("doors are bounded by MAX_DOORS"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_80_bytes_and_its_slab_adds_nothing() {
        enum SlabEntry {
            #[expect(dead_code, reason = "mirrors the entry of a slab")]
            Vacant(usize),
            #[expect(dead_code, reason = "mirrors the entry of a slab")]
            Occupied(Place),
        }
        assert_eq!(size_of::<Place>(), 80);
        assert_eq!(size_of::<SlabEntry>(), 80);
    }
}
