//! The packets that a place remembers (S8.1), and when it forgets them.

use std::num::NonZeroU16;

use super::{Chain, NO_SLOT, Places, SlotId, slot_id};
use crate::engine::DoorIndex;
use crate::time::Timestamp;

/// How many packets of a place are remembered (S8).
const MAX_REMEMBERED: usize = 32;

/// What makes a TCP packet the same packet when it comes again (S8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Identity {
    pub(in crate::engine) destination_port: NonZeroU16,
    pub(in crate::engine) source_port: u16,
    pub(in crate::engine) sequence_number: u32,
}

#[derive(Debug)]
pub(super) struct Remembered {
    pub(super) at: Timestamp,
    pub(super) identity: Identity,
    pub(super) older: SlotId,
}

impl Places {
    /// Tells whether this packet came before, less than the door's `retransmit_window` ago (S8.1).
    pub(in crate::engine) fn remembers(
        &self,
        id: SlotId,
        identity: Identity,
        now: Timestamp,
    ) -> bool {
        let place = &self.slots[id as usize];
        let window_ns = self.queues[usize::from(place.door)].retransmit_window_ns;
        let is_young =
            |at: Timestamp| u128::from(now.as_nanos().saturating_sub(at.as_nanos())) < window_ns;
        if place.opening() == Some(identity) && is_young(place.first) {
            return true;
        }
        let mut next = self.extras.get(place.extra as usize).map_or(NO_SLOT, |its| its.remembered);
        while next != NO_SLOT {
            let packet = &self.remembered[next as usize];
            if packet.identity == identity && is_young(packet.at) {
                return true;
            }
            next = packet.older;
        }
        false
    }

    /// Remembers a packet that came now.
    pub(in crate::engine) fn remember(&mut self, id: SlotId, identity: Identity, now: Timestamp) {
        let was_linked = self.newest_remembered(id).is_some();
        let older = self.extra(id).remembered;
        let new = slot_id(self.remembered.insert(Remembered { at: now, identity, older }));
        self.extra(id).remembered = new;
        self.after_remembering(id, was_linked);
    }

    /// Puts what was the opening packet into the pool, behind all that came after it.
    pub(super) fn pool_former_opening(&mut self, id: SlotId, at: Timestamp, identity: Identity) {
        let (mut newer, mut older) = (NO_SLOT, self.extra(id).remembered);
        while let Some(packet) = self.remembered.get(older as usize).filter(|its| its.at >= at) {
            newer = older;
            older = packet.older;
        }
        let new = slot_id(self.remembered.insert(Remembered { at, identity, older }));
        match self.remembered.get_mut(newer as usize) {
            Some(packet) => packet.older = new,
            None => self.extra(id).remembered = new,
        }
    }

    /// Keeps the newest packets only, and the door's places by the newest of theirs.
    pub(super) fn after_remembering(&mut self, id: SlotId, was_linked: bool) {
        self.drop_oldest_remembered(id);
        let door = self.slots[id as usize].door;
        let memory = &mut self.queues[usize::from(door)].memory;
        let silent_longest = memory.first();
        if was_linked {
            memory.move_to_tail(&mut self.slots, Chain::Memory, id);
        } else {
            memory.push(&mut self.slots, Chain::Memory, id);
        }
        if silent_longest.is_none_or(|longest| longest == id) {
            self.arm(door);
        }
    }

    /// Drops the oldest remembered packet where there is one too many.
    fn drop_oldest_remembered(&mut self, id: SlotId) {
        let place = &self.slots[id as usize];
        let Some(extra) = self.extras.get(place.extra as usize) else { return };
        let (mut newer, mut last, mut pooled) = (NO_SLOT, NO_SLOT, 0);
        let mut next = extra.remembered;
        while let Some(packet) = self.remembered.get(next as usize) {
            (newer, last, next) = (last, next, packet.older);
            pooled += 1;
        }
        if pooled + usize::from(place.opening_port.is_some()) <= MAX_REMEMBERED {
            return;
        }
        let oldest_pooled = &self.remembered[last as usize];
        if place.opening_port.is_some() && place.first <= oldest_pooled.at {
            self.slots[id as usize].set_opening(None);
        } else {
            self.remembered.remove(last as usize);
            self.remembered[newer as usize].older = NO_SLOT;
        }
    }

    pub(super) fn newest_remembered(&self, id: SlotId) -> Option<Timestamp> {
        let place = &self.slots[id as usize];
        let opening = place.opening_port.map(|_| place.first);
        let pooled = self
            .extras
            .get(place.extra as usize)
            .and_then(|extra| self.remembered.get(extra.remembered as usize))
            .map(|packet| packet.at);
        opening.max(pooled)
    }

    pub(super) fn forget_remembered(&mut self, id: SlotId) {
        if self.newest_remembered(id).is_none() {
            return;
        }
        let place = &mut self.slots[id as usize];
        place.set_opening(None);
        let (door, extra) = (place.door, place.extra);
        if let Some(extra) = self.extras.get_mut(extra as usize) {
            let mut next = std::mem::replace(&mut extra.remembered, NO_SLOT);
            while next != NO_SLOT {
                next = self.remembered.remove(next as usize).older;
            }
        }
        let memory = &mut self.queues[usize::from(door)].memory;
        let was_first = memory.first() == Some(id);
        memory.remove(&mut self.slots, Chain::Memory, id);
        if was_first {
            self.arm(door);
        }
    }

    /// Keeps a door's entry among the expiries that of its longest silent place.
    pub(super) fn arm(&mut self, door: DoorIndex) {
        let queue = &self.queues[usize::from(door)];
        let expiry = queue.memory.first().and_then(|head| {
            let newest = u128::from(self.newest_remembered(head)?.as_nanos());
            Some(newest + queue.retransmit_window_ns)
        });
        self.expiries.set(u32::from(door), expiry);
    }

    /// Forgets the packets that are `retransmit_window` old, and idle places with them (S8.1).
    pub(in crate::engine) fn forget_expired(&mut self, now: Timestamp) {
        let now = u128::from(now.as_nanos());
        while let Some((_, door)) = self.expiries.first().filter(|(expiry, _)| *expiry <= now) {
            let head = self.queues[door as usize].memory.first();
            let id = head.expect("a door with an expiry remembers packets");
            if self.slots[id as usize].stage > 0 {
                self.forget_remembered(id);
            } else {
                self.remove(id);
            }
        }
    }
}
