//! The distinct stray ports of an attempt (S8.6).

use super::{NO_SLOT, Places, SlotId, slot_id};
use crate::packet::Protocol;

#[derive(Debug)]
pub(super) struct StrayPort {
    protocol: Protocol,
    port: u16,
    next: SlotId,
}

impl Places {
    /// Adds a port to an attempt's stray ports and returns how many distinct ones there are
    /// (S8.6).
    pub(in crate::engine) fn add_stray(
        &mut self,
        id: SlotId,
        protocol: Protocol,
        port: u16,
    ) -> usize {
        let first = self.extra(id).strays;
        let (mut next, mut count, mut is_new) = (first, 0, true);
        while let Some(stray) = self.stray_ports.get(next as usize) {
            is_new &= (stray.protocol, stray.port) != (protocol, port);
            count += 1;
            next = stray.next;
        }
        if is_new {
            let new = StrayPort { protocol, port, next: first };
            self.extra(id).strays = slot_id(self.stray_ports.insert(new));
            count += 1;
        }
        count
    }

    /// Returns the distinct stray ports of an attempt, the newest first.
    pub(super) fn stray_ports_of(&self, id: SlotId) -> impl Iterator<Item = (Protocol, u16)> {
        let extra = self.extras.get(self.slots[id as usize].extra as usize);
        let first = extra.and_then(|extra| self.stray_ports.get(extra.strays as usize));
        let next = |stray: &&StrayPort| self.stray_ports.get(stray.next as usize);
        std::iter::successors(first, next).map(|stray| (stray.protocol, stray.port))
    }

    pub(super) fn forget_strays(&mut self, id: SlotId) {
        let Some(extra) = self.extras.get_mut(self.slots[id as usize].extra as usize) else {
            return;
        };
        let mut next = std::mem::replace(&mut extra.strays, NO_SLOT);
        while next != NO_SLOT {
            next = self.stray_ports.remove(next as usize).next;
        }
    }
}
