//! Doors held open until a deadline (S11).

use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::HashTable;
use slab::Slab;

use super::DoorIndex;
use super::chain::{Link, Linked, List, SlotId, slot_id};
use super::schedule::{Due, Ticket};
use super::source::{KeyedHasher, SourceKey};
use crate::config::Door;
use crate::snapshot::{self, LeasedDoor};
use crate::time::Timestamp;

/// A door held open for a source.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) source: SourceKey,
    /// The door as it was when the lease began: the stop belongs to that start (S16).
    pub(super) door: Arc<Door>,
    until: Timestamp,
    ticket: Ticket,
    /// How many doors of the same name stood before it in the config.
    namesake: u16,
    /// The door that a completion must be at to renew it; none where that door is gone.
    renewed_at: Option<DoorIndex>,
    /// Another lease has taken its part: the door's commands had changed meanwhile.
    is_superseded: bool,
    lane: Lane,
    link: Link,
}

/// A list of leases that end in the order in which they were put there. Each door has one, for its
/// leases all last equally long from the knock that granted or renewed them.
pub(super) type Lane = u32;

/// The lane of leases from before a new config or a step of the clock; none are added later.
const FORMER: Lane = 0;

fn lane_of(door: DoorIndex) -> Lane {
    Lane::from(door) + 1
}

impl Linked<()> for Lease {
    fn link(&mut self, _chain: ()) -> &mut Link {
        &mut self.link
    }

    fn peek(&self, _chain: ()) -> Link {
        self.link
    }
}

impl Lease {
    fn due(&self) -> Due {
        (self.until, self.ticket)
    }

    /// Returns the lane that it is in.
    pub(super) fn lane(&self) -> Lane {
        self.lane
    }

    /// Tells whether the door as it is now does for this source what the lease's door did.
    fn matches(&self, door: &Door) -> bool {
        let source = self.source.address();
        let its = &self.door;
        its.start_command(source) == door.start_command(source)
            && its.stop_command(source) == door.stop_command(source)
            && its.grant == door.grant
    }
}

/// All leases.
#[derive(Debug)]
pub(super) struct Leases {
    slots: Slab<Lease>,
    /// The leases that a completion can renew, by door and source.
    index: HashTable<SlotId>,
    hasher: KeyedHasher,
    lanes: Vec<List>,
}

impl Leases {
    pub(super) fn new(hasher: KeyedHasher, doors: usize) -> Self {
        let lanes = vec![List::default(); doors + 1];
        Self { slots: Slab::new(), index: HashTable::new(), hasher, lanes }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn get(&self, id: SlotId) -> &Lease {
        &self.slots[id as usize]
    }

    fn find(&self, door: DoorIndex, source: &SourceKey) -> Option<SlotId> {
        let found = self.index.find(self.hasher.hash(source, u32::from(door)), |id| {
            let lease = &self.slots[*id as usize];
            lease.renewed_at == Some(door) && lease.source == *source
        });
        found.copied()
    }

    /// Returns the lease that a completion renews (S11).
    pub(super) fn renewable(
        &self,
        index: DoorIndex,
        door: &Door,
        source: IpAddr,
    ) -> Option<SlotId> {
        let id = self.find(index, &SourceKey::new(source))?;
        self.slots[id as usize].matches(door).then_some(id)
    }

    /// Returns all lanes.
    pub(super) fn lanes(&self) -> impl Iterator<Item = Lane> + use<> {
        (0..).take(self.lanes.len())
    }

    /// Returns the lease of a lane that ends next.
    pub(super) fn next_to_end(&self, lane: Lane) -> Option<SlotId> {
        self.lanes[lane as usize].first()
    }

    /// Returns when the next lease of a lane ends.
    pub(super) fn next_due(&self, lane: Lane) -> Option<Due> {
        self.next_to_end(lane).map(|id| self.get(id).due())
    }

    /// Makes a lease last until a new deadline. Returns the lane in which it was.
    pub(super) fn renew(&mut self, id: SlotId, (until, ticket): Due) -> Lane {
        let former = self.leave_lane(id);
        let lease = &mut self.slots[id as usize];
        lease.until = until;
        lease.ticket = ticket;
        let door = lease.renewed_at.expect("only the lease of a door can be renewed");
        self.join_lane(id, lane_of(door));
        former
    }

    fn join_lane(&mut self, id: SlotId, lane: Lane) {
        self.slots[id as usize].lane = lane;
        self.lanes[lane as usize].push(&mut self.slots, (), id);
    }

    fn leave_lane(&mut self, id: SlotId) -> Lane {
        let lane = self.slots[id as usize].lane;
        self.lanes[lane as usize].remove(&mut self.slots, (), id);
        lane
    }

    /// Puts all leases into the lane of former ones, and makes lanes for so many doors.
    fn leave_all_lanes(&mut self, doors: usize) {
        self.lanes.clear();
        self.lanes.resize(doors + 1, List::default());
        let mut all: Vec<(Due, SlotId)> =
            self.slots.iter().map(|(id, lease)| (lease.due(), slot_id(id))).collect();
        all.sort_unstable();
        for (_, id) in all {
            self.join_lane(id, FORMER);
        }
    }

    /// Adds a lease. One that the source holds at that door already can't be renewed any more.
    pub(super) fn grant(
        &mut self,
        index: DoorIndex,
        (door, namesake): (Arc<Door>, u16),
        source: IpAddr,
        (until, ticket): Due,
    ) -> SlotId {
        let source = SourceKey::new(source);
        if let Some(former) = self.find(index, &source) {
            self.unlist(former);
            self.slots[former as usize].is_superseded = true;
        }
        let id = slot_id(self.slots.insert(Lease {
            source,
            door,
            until,
            ticket,
            namesake,
            renewed_at: None,
            is_superseded: false,
            lane: FORMER,
            link: Link::LOOSE,
        }));
        self.join_lane(id, lane_of(index));
        self.enlist(id, index);
        id
    }

    fn enlist(&mut self, id: SlotId, door: DoorIndex) {
        let Self { slots, index, hasher, .. } = self;
        slots[id as usize].renewed_at = Some(door);
        let hash_of = |id: &SlotId| {
            let lease: &Lease = &slots[*id as usize];
            hasher.hash(&lease.source, u32::from(lease.renewed_at.expect("listed by its door")))
        };
        index.insert_unique(hash_of(&id), id, hash_of);
    }

    fn unlist(&mut self, id: SlotId) {
        let lease = &mut self.slots[id as usize];
        let Some(door) = lease.renewed_at.take() else { return };
        let hash = self.hasher.hash(&lease.source, u32::from(door));
        let entry = self.index.find_entry(hash, |other| *other == id);
        entry.expect("a lease that can be renewed is in the index").remove();
    }

    /// Copies all leases; `tell` says how a snapshot tells a lease's door, which may be the one at
    /// this place of the config.
    pub(super) fn export(
        &self,
        mut tell: impl FnMut(&Arc<Door>, Option<DoorIndex>) -> LeasedDoor,
    ) -> Vec<snapshot::Lease> {
        let export = |(_, lease): (usize, &Lease)| snapshot::Lease {
            source: lease.source.address(),
            door: tell(&lease.door, lease.renewed_at),
            until: lease.until,
            since: lease.ticket.since,
            order: lease.ticket.order,
            namesake: lease.namesake,
            renewed_at: lease.renewed_at,
            is_superseded: lease.is_superseded,
        };
        self.slots.iter().map(export).collect()
    }

    /// Adds a lease of a snapshot, which ends only after [`Self::line_up`].
    pub(super) fn import(&mut self, door: Arc<Door>, its: &snapshot::Lease) {
        let id = slot_id(self.slots.insert(Lease {
            source: SourceKey::new(its.source),
            door,
            until: its.until,
            ticket: Ticket { since: its.since, order: its.order },
            namesake: its.namesake,
            renewed_at: None,
            is_superseded: its.is_superseded,
            lane: FORMER,
            link: Link::LOOSE,
        }));
        if let Some(door) = its.renewed_at {
            self.enlist(id, door);
        }
    }

    /// Puts what a snapshot had in the order in which it ends, with lanes for so many doors.
    pub(super) fn line_up(&mut self, doors: usize) {
        self.leave_all_lanes(doors);
    }

    /// Ends a lease.
    pub(super) fn remove(&mut self, id: SlotId) -> Lease {
        self.unlist(id);
        self.leave_lane(id);
        self.slots.remove(id as usize)
    }

    /// Moves all deadlines with the clock, so that what remains of them remains (S1).
    pub(super) fn step_clock(&mut self, from: Timestamp, to: Timestamp) {
        let mut all: Vec<_> = (self.slots.iter())
            .map(|(id, lease)| (lease.ticket, lease.until, slot_id(id)))
            .collect();
        all.sort_unstable();
        for (order, (.., id)) in (0..).zip(&all) {
            let lease = &mut self.slots[*id as usize];
            lease.until = lease.until.moved(from, to);
            // Older than whatever is set from now on, and among themselves in the old order.
            lease.ticket = Ticket { since: Timestamp::ZERO, order };
        }
        self.leave_all_lanes(self.lanes.len() - 1);
    }

    /// Replaces the doors by so many others (S16): `door_named` finds the door of a name, and
    /// among several of the same name that of the same place.
    pub(super) fn replace_doors(
        &mut self,
        doors: usize,
        door_named: impl Fn(&str, u16) -> Option<DoorIndex>,
    ) {
        self.leave_all_lanes(doors);
        self.index.clear();
        let ids: Vec<SlotId> = self.slots.iter().map(|(id, _)| slot_id(id)).collect();
        for id in ids {
            let lease = &mut self.slots[id as usize];
            lease.renewed_at = None;
            if let Some(door) = door_named(&lease.door.name, lease.namesake)
                && !lease.is_superseded
            {
                self.enlist(id, door);
            }
        }
    }
}
