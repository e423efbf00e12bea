//! A bounded table that forgets what was touched least recently (S14).

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as HashEntry;
use slab::Slab;

use super::DoorIndex;
use super::chain::{Link, Linked, List, NO_SLOT, SlotId, slot_id};
use super::source::{KeyedHasher, SourceKey};

/// What an entry is about.
pub(super) type Key = (DoorIndex, SourceKey);

#[derive(Debug)]
struct Entry<V> {
    key: Key,
    value: V,
    link: Link,
}

impl<V> Linked<()> for Entry<V> {
    fn link(&mut self, _chain: ()) -> &mut Link {
        &mut self.link
    }

    fn peek(&self, _chain: ()) -> Link {
        self.link
    }
}

/// What is known of pairs of door and source, at most so many, in the order in which they were
/// last touched.
#[derive(Debug)]
pub(super) struct RecencyTable<V> {
    entries: Slab<Entry<V>>,
    index: HashTable<SlotId>,
    order: List,
    hasher: KeyedHasher,
    capacity: usize,
}

impl<V> RecencyTable<V> {
    pub(super) fn new(hasher: KeyedHasher, capacity: usize) -> Self {
        Self {
            entries: Slab::new(),
            index: HashTable::new(),
            order: List::default(),
            hasher,
            capacity,
        }
    }

    pub(super) fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
        self.make_room();
    }

    pub(super) fn get(&self, key: &Key) -> Option<&V> {
        let hash = self.hasher.hash(&key.1, u32::from(key.0));
        let id = self.index.find(hash, |id| self.entries[*id as usize].key == *key)?;
        Some(&self.entries[*id as usize].value)
    }

    /// Returns the value of a key, made where it isn't there, as the most recent one. Older
    /// ones make room for it.
    pub(super) fn touch(&mut self, key: Key, make: impl FnOnce() -> V) -> &mut V {
        let Self { entries, index, hasher, .. } = self;
        let hash_of = |key: &Key| hasher.hash(&key.1, u32::from(key.0));
        let entry = index.entry(
            hash_of(&key),
            |id| entries[*id as usize].key == key,
            |id| hash_of(&entries[*id as usize].key),
        );
        let id = match entry {
            HashEntry::Occupied(occupied) => {
                let id = *occupied.get();
                self.order.move_to_tail(&mut self.entries, (), id);
                id
            }
            HashEntry::Vacant(vacant) => {
                let id = slot_id(entries.insert(Entry { key, value: make(), link: Link::LOOSE }));
                vacant.insert(id);
                self.order.push(&mut self.entries, (), id);
                id
            }
        };
        self.make_room();
        &mut self.entries[id as usize].value
    }

    fn make_room(&mut self) {
        while self.entries.len() > self.capacity {
            let oldest = self.order.first();
            self.remove(oldest.expect("every entry is in the order"));
        }
    }

    fn remove(&mut self, id: SlotId) {
        let key = self.entries[id as usize].key;
        let hash = self.hasher.hash(&key.1, u32::from(key.0));
        let entry = self.index.find_entry(hash, |other| *other == id);
        entry.expect("every entry is in the index").remove();
        self.order.remove(&mut self.entries, (), id);
        self.entries.remove(id as usize);
    }

    /// Removes the least recent entries as long as they mean nothing any more. This changes no
    /// decision: they would be the first to make room.
    pub(super) fn forget_oldest_while(&mut self, means_nothing: impl Fn(&V) -> bool) {
        while let Some(id) = self.order.first() {
            if !means_nothing(&self.entries[id as usize].value) {
                break;
            }
            self.remove(id);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the newest entries, at most so many, the oldest of them first.
    pub(super) fn newest(&self, most: usize) -> Vec<(Key, &V)> {
        let ids = self.order.newest(&self.entries, (), most);
        let entry = |id: SlotId| &self.entries[id as usize];
        ids.into_iter().map(|id| (entry(id).key, &entry(id).value)).collect()
    }

    /// Changes each value.
    pub(super) fn for_each(&mut self, mut change: impl FnMut(&mut V)) {
        for (_, entry) in &mut self.entries {
            change(&mut entry.value);
        }
    }

    /// Replaces the doors (S16): entries of a door that goes on move with it to the number that
    /// `successor` names, those of the others are dropped.
    pub(super) fn replace_doors(&mut self, successor: impl Fn(DoorIndex) -> Option<DoorIndex>) {
        let mut next = self.order.first().unwrap_or(NO_SLOT);
        let mut kept = Vec::with_capacity(self.entries.len());
        while next != NO_SLOT {
            let id = next;
            next = List::after(&self.entries, (), id);
            let entry = self.entries.remove(id as usize);
            if let Some(door) = successor(entry.key.0) {
                kept.push(((door, entry.key.1), entry.value));
            }
        }
        self.index.clear();
        self.order = List::default();
        for (key, value) in kept {
            self.touch(key, || value);
        }
    }
}
