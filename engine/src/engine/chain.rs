//! Doubly linked lists through the slots of a slab: the ends are at hand and anything can be
//! taken out of the middle, in constant time and without an allocation.

use slab::Slab;

/// The number of a slot.
pub(super) type SlotId = u32;

/// No slot.
pub(super) const NO_SLOT: SlotId = u32::MAX;

/// A slot's neighbours in one list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    previous: SlotId,
    next: SlotId,
}

impl Link {
    /// The link of a slot that is in no list.
    pub(super) const LOOSE: Self = Self { previous: NO_SLOT, next: NO_SLOT };
}

/// A slot that can be in lists; it has a link for each kind of list `C`.
pub(super) trait Linked<C: Copy> {
    fn link(&mut self, chain: C) -> &mut Link;
    fn peek(&self, chain: C) -> Link;
}

/// The two ends of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct List {
    head: SlotId,
    tail: SlotId,
}

impl Default for List {
    fn default() -> Self {
        Self { head: NO_SLOT, tail: NO_SLOT }
    }
}

impl List {
    /// Returns the slot at the head, which has been in the list longest.
    pub(super) fn first(self) -> Option<SlotId> {
        (self.head != NO_SLOT).then_some(self.head)
    }

    /// Returns the slot behind this one.
    pub(super) fn after<C: Copy, T: Linked<C>>(slab: &Slab<T>, chain: C, id: SlotId) -> SlotId {
        slab[id as usize].peek(chain).next
    }

    /// Returns the slots nearest to the tail, at most so many, in the order of the list.
    pub(super) fn newest<C: Copy, T: Linked<C>>(
        self,
        slab: &Slab<T>,
        chain: C,
        most: usize,
    ) -> Vec<SlotId> {
        let known = |id: SlotId| (id != NO_SLOT).then_some(id);
        let before = |id: &SlotId| known(slab[*id as usize].peek(chain).previous);
        let mut found: Vec<_> =
            std::iter::successors(known(self.tail), before).take(most).collect();
        found.reverse();
        found
    }

    /// Puts a slot that is in no list of this kind at the tail.
    pub(super) fn push<C: Copy, T: Linked<C>>(&mut self, slab: &mut Slab<T>, chain: C, id: SlotId) {
        *slab[id as usize].link(chain) = Link { previous: self.tail, next: NO_SLOT };
        if self.tail == NO_SLOT {
            self.head = id;
        } else {
            slab[self.tail as usize].link(chain).next = id;
        }
        self.tail = id;
    }

    /// Takes out a slot that is in this very list.
    pub(super) fn remove<C: Copy, T: Linked<C>>(
        &mut self,
        slab: &mut Slab<T>,
        chain: C,
        id: SlotId,
    ) {
        let link = std::mem::replace(slab[id as usize].link(chain), Link::LOOSE);
        if link.previous == NO_SLOT {
            debug_assert_eq!(self.head, id, "a slot without a predecessor is its list's head");
            self.head = link.next;
        } else {
            slab[link.previous as usize].link(chain).next = link.next;
        }
        if link.next == NO_SLOT {
            debug_assert_eq!(self.tail, id, "a slot without a successor is its list's tail");
            self.tail = link.previous;
        } else {
            slab[link.next as usize].link(chain).previous = link.previous;
        }
    }

    /// Moves a slot of this list to the tail.
    pub(super) fn move_to_tail<C: Copy, T: Linked<C>>(
        &mut self,
        slab: &mut Slab<T>,
        chain: C,
        id: SlotId,
    ) {
        if self.tail != id {
            self.remove(slab, chain, id);
            self.push(slab, chain, id);
        }
    }
}

/// Makes a slot's number from a slab's key.
///
/// # Panics
///
/// Where a slab has outgrown [`crate::config::Options::MAX_TABLE`], which every table respects.
pub(super) fn slot_id(key: usize) -> SlotId {
    SlotId::try_from(key).expect("tables are bounded far below 2^32 slots")
}
