//! Places: what is known of a source at a door, and how many of them there may be (S8.1, S14).

use std::net::IpAddr;

use knock_engine::output::{DoorEvent, EventKind, Trigger};
use knock_engine::packet::{Packet, Transport};
use knock_engine::time::Timestamp;

use crate::Reference;
use crate::attempts::Attempt;

/// How many knock packets are remembered of a source at a door (S8.1).
const MAX_REMEMBERED: usize = 32;

/// A pair of source and door that has an attempt, or that packets are remembered of.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) door: usize,
    pub(crate) source: IpAddr,
    pub(crate) attempt: Option<Attempt>,
    /// The oldest first.
    remembered: Vec<Remembered>,
    /// When it last became idle (without an attempt), as a place in the order.
    idle_since: u64,
}

/// A TCP knock packet that was seen (S8.1).
#[derive(Clone, Debug)]
struct Remembered {
    at: Timestamp,
    identity: Identity,
}

/// What tells a retransmission from a second try: destination port, source port and sequence
/// number.
type Identity = (u16, u16, u32);

fn identity(packet: &Packet) -> Option<Identity> {
    match packet.transport {
        Transport::Tcp { sequence_number, .. } => {
            Some((packet.destination_port, packet.source_port, sequence_number))
        }
        Transport::Udp => None,
    }
}

/// Memory (S8.1).
impl Reference {
    /// S8.1: whether this door saw the same TCP knock from this source not long ago.
    pub(crate) fn is_retransmission(&self, door: usize, packet: &Packet) -> bool {
        let window = self.doors[door].door.retransmit_window;
        let place = self.place(door, packet.source);
        place.is_some_and(|place| {
            place.remembered.iter().any(|remembered| {
                self.now.saturating_duration_since(remembered.at) < window
                    && Some(remembered.identity) == identity(packet)
            })
        })
    }

    /// S8.1: remembers a TCP knock, where the door remembers anything and there is room.
    pub(crate) fn remember(&mut self, door: usize, packet: &Packet) {
        let Some(identity) = identity(packet) else { return };
        if self.doors[door].door.retransmit_window.is_zero() {
            return;
        }
        if !self.make_room_for_memory(door, packet.source) {
            self.unremembered += 1;
            return;
        }
        let at = self.now;
        let remembered = &mut self.place_mut(door, packet.source).remembered;
        remembered.push(Remembered { at, identity });
        if remembered.len() > MAX_REMEMBERED {
            remembered.remove(0);
        }
    }

    /// S8.1: forgets the packets whose `retransmit_window` is over, and the idle places that
    /// have nothing else.
    pub(crate) fn forget_expired(&mut self) {
        for place in &mut self.places {
            let window = self.doors[place.door].door.retransmit_window;
            place
                .remembered
                .retain(|remembered| self.now.saturating_duration_since(remembered.at) < window);
        }
        self.drop_empty_places();
    }

    /// Drops the places that have neither an attempt nor a memory.
    pub(crate) fn drop_empty_places(&mut self) {
        self.places.retain(|place| place.attempt.is_some() || !place.remembered.is_empty());
    }
}

/// The limit (S14).
impl Reference {
    /// S14: a new attempt needs a place. Where the table is full it evicts the place that has
    /// been idle longest, else the oldest attempt at stage 1, else the oldest of all.
    pub(crate) fn make_room_for_attempt(&mut self, door: usize, source: IpAddr) {
        if self.place(door, source).is_some() {
            return;
        }
        while self.is_full() {
            let victim = self.longest_idle().or_else(|| self.oldest_attempt(|stage| stage == 1));
            let victim = victim.or_else(|| self.oldest_attempt(|_| true));
            self.evict(victim.expect("a full table has a place, and every place is one of these"));
        }
    }

    /// S14: a packet to be remembered may evict an idle place, but never an attempt. Tells
    /// whether there is room.
    fn make_room_for_memory(&mut self, door: usize, source: IpAddr) -> bool {
        if self.place(door, source).is_some() {
            return true;
        }
        while self.is_full() {
            let Some(victim) = self.longest_idle() else { return false };
            self.evict(victim);
        }
        true
    }

    fn is_full(&self) -> bool {
        self.places.len() >= self.max_attempts()
    }

    pub(crate) fn max_attempts(&self) -> usize {
        usize::try_from(self.options.max_attempts).unwrap_or(usize::MAX)
    }

    fn longest_idle(&self) -> Option<usize> {
        let idle = self.places.iter().enumerate().filter(|(_, place)| place.attempt.is_none());
        idle.min_by_key(|(_, place)| place.idle_since).map(|(index, _)| index)
    }

    fn oldest_attempt(&self, is_wanted: impl Fn(usize) -> bool) -> Option<usize> {
        let places = self.places.iter().enumerate();
        let attempts = places.filter_map(|(index, place)| Some((index, place.attempt.as_ref()?)));
        let wanted = attempts.filter(|(_, attempt)| is_wanted(attempt.stage));
        wanted.min_by_key(|(_, attempt)| attempt.created).map(|(index, _)| index)
    }

    /// S14: what is known of the victim goes, and an event tells it.
    fn evict(&mut self, index: usize) {
        let place = self.places.remove(index);
        self.push_event(DoorEvent {
            at: self.now,
            door: self.doors[place.door].door.clone(),
            source: place.source,
            kind: EventKind::Evicted,
            trigger: Trigger::OtherAttempt,
            progress: None,
        });
    }
}

/// Look-ups.
impl Reference {
    fn place(&self, door: usize, source: IpAddr) -> Option<&Place> {
        self.places.iter().find(|place| (place.door, place.source) == (door, source))
    }

    /// Returns the place of a pair; makes an idle one where there is none.
    pub(crate) fn place_mut(&mut self, door: usize, source: IpAddr) -> &mut Place {
        let found =
            self.places.iter().position(|place| (place.door, place.source) == (door, source));
        let index = found.unwrap_or_else(|| {
            let idle_since = self.next_order();
            let remembered = Vec::new();
            self.places.push(Place { door, source, attempt: None, remembered, idle_since });
            self.places.len() - 1
        });
        &mut self.places[index]
    }

    pub(crate) fn attempt(&self, door: usize, source: IpAddr) -> Option<&Attempt> {
        self.place(door, source)?.attempt.as_ref()
    }

    /// Returns the attempt of a pair that is known to have one.
    pub(crate) fn attempt_mut(&mut self, door: usize, source: IpAddr) -> &mut Attempt {
        let attempt = self.place_mut(door, source).attempt.as_mut();
        attempt.expect("the caller has found that there is an attempt")
    }

    /// Ends an attempt: its place is idle from now on. The packet that is being judged may be
    /// remembered there, so it stays until then even where nothing is remembered yet.
    pub(crate) fn end_attempt(&mut self, door: usize, source: IpAddr) {
        let idle_since = self.next_order();
        let place = self.place_mut(door, source);
        place.attempt = None;
        place.idle_since = idle_since;
    }
}
