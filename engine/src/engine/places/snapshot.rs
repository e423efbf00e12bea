//! The table of places out into a snapshot, and back.

use super::memory::Remembered;
use super::{Chain, Identity, NO_SLOT, Place, Places, SlotId};
use crate::packet::Protocol;
use crate::snapshot;
use crate::time::Timestamp;

impl Places {
    /// Copies the newest places, at most so many: attempts before idle ones, each in its order.
    pub(in crate::engine) fn export(&self, most: usize) -> Vec<snapshot::Place> {
        let attempts = self.by_age.newest(&self.slots, Chain::Age, most);
        let idle = self.idle.newest(&self.slots, Chain::Class, most - attempts.len());
        attempts.into_iter().chain(idle).map(|id| self.export_place(id)).collect()
    }

    fn export_place(&self, id: SlotId) -> snapshot::Place {
        let place = &self.slots[id as usize];
        let attempt = self.attempt(id).map(|attempt| snapshot::Attempt {
            stage: attempt.stage,
            first: attempt.first,
            order: place.order,
            last: attempt.last,
            strays: self.strays_of(id),
        });
        let remembered = self.remembered_of(place);
        snapshot::Place { source: place.source.address(), door: place.door, attempt, remembered }
    }

    /// Returns the distinct stray ports of an attempt, the first one first.
    fn strays_of(&self, id: SlotId) -> Vec<(Protocol, u16)> {
        let mut strays: Vec<_> = self.stray_ports_of(id).collect();
        strays.reverse();
        strays
    }

    /// Returns the packets that a place remembers, the oldest first.
    fn remembered_of(&self, place: &Place) -> Vec<snapshot::Remembered> {
        let mut found = Vec::new();
        let mut next = self.extras.get(place.extra as usize).map_or(NO_SLOT, |its| its.remembered);
        while let Some(Remembered { at, identity, older }) = self.remembered.get(next as usize) {
            found.push(remembered(*at, *identity));
            next = *older;
        }
        found.reverse();
        if let Some(opening) = place.opening() {
            // Whatever is in the pool with the same stamp came after it.
            let behind = found.partition_point(|packet| packet.at < place.first);
            found.insert(behind, remembered(place.first, opening));
        }
        found
    }

    /// Fills an empty table.
    pub(in crate::engine) fn import<'a>(
        &mut self,
        places: impl Iterator<Item = &'a snapshot::Place>,
    ) {
        let (mut attempts, mut memories) = (Vec::new(), Vec::new());
        for its in places {
            let source = self.source(its.source);
            let id = self.insert(&source, its.door);
            match &its.attempt {
                Some(attempt) => {
                    self.import_attempt(id, attempt);
                    attempts.push((its.door, attempt.first, attempt.order, id));
                }
                None => self.idle.push(&mut self.slots, Chain::Class, id),
            }
            memories.extend(its.remembered.iter().map(|packet| (id, *packet)));
        }
        // The list by age has them in the order of their creation; a restart moved the deadline.
        attempts.sort_unstable();
        for (door, .., id) in attempts {
            self.queues[usize::from(door)].attempts.push(&mut self.slots, Chain::Deadline, id);
        }
        // Packets are remembered as they come, so that each door's silent places keep their order.
        memories.sort_by_key(|(_, packet)| packet.at);
        for (id, packet) in memories {
            let identity = Identity {
                destination_port: packet.destination_port,
                source_port: packet.source_port,
                sequence_number: packet.sequence_number,
            };
            self.remember(id, identity, packet.at);
        }
    }

    fn import_attempt(&mut self, id: SlotId, attempt: &snapshot::Attempt) {
        let place = &mut self.slots[id as usize];
        place.stage = attempt.stage;
        place.first = attempt.first;
        place.order = attempt.order;
        self.attempts += 1;
        self.by_age.push(&mut self.slots, Chain::Age, id);
        if attempt.stage == 1 {
            self.stage_one.push(&mut self.slots, Chain::Class, id);
        }
        if attempt.last != attempt.first {
            self.extra(id).last = attempt.last;
        }
        for (protocol, port) in &attempt.strays {
            self.add_stray(id, *protocol, *port);
        }
    }
}

fn remembered(at: Timestamp, identity: Identity) -> snapshot::Remembered {
    snapshot::Remembered {
        at,
        destination_port: identity.destination_port,
        source_port: identity.source_port,
        sequence_number: identity.sequence_number,
    }
}
