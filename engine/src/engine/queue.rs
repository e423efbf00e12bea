//! A priority queue whose entries can be changed: the least key is at hand, and each owner has at
//! most one entry.

/// A binary heap that knows where each owner's entry is. It allocates only to grow.
#[derive(Debug)]
pub(super) struct Queue<K> {
    /// The entries: none is less than the one at half its place.
    heap: Vec<(K, u32)>,
    /// Where in the heap each owner's entry is, by the owner's number.
    places: Vec<u32>,
}

const NOWHERE: u32 = u32::MAX;

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self { heap: Vec::new(), places: Vec::new() }
    }
}

impl<K: Copy + Ord> Queue<K> {
    /// Returns the least key and its owner.
    pub(super) fn first(&self) -> Option<(K, u32)> {
        self.heap.first().copied()
    }

    /// Gives an owner this key, in place of the one it had; none takes its entry out.
    pub(super) fn set(&mut self, owner: u32, key: Option<K>) {
        let index = owner as usize;
        if index >= self.places.len() {
            if key.is_none() {
                return;
            }
            self.places.resize(index + 1, NOWHERE);
        }
        match (self.places[index], key) {
            (NOWHERE, None) => {}
            (NOWHERE, Some(key)) => {
                self.heap.push((key, owner));
                self.rise(self.heap.len() - 1);
            }
            (place, None) => self.remove(place as usize),
            (place, Some(key)) => {
                let place = place as usize;
                let former = std::mem::replace(&mut self.heap[place].0, key);
                if key < former {
                    self.rise(place);
                } else if key > former {
                    self.sink(place);
                }
            }
        }
    }

    /// Takes all entries out.
    pub(super) fn clear(&mut self) {
        self.heap.clear();
        self.places.fill(NOWHERE);
    }

    fn remove(&mut self, place: usize) {
        let (_, owner) = self.heap.swap_remove(place);
        self.places[owner as usize] = NOWHERE;
        if place < self.heap.len() {
            // What was last stands here now, and may belong further up or further down.
            self.rise(place);
            self.sink(place);
        }
    }

    /// Moves an entry up until the one above it is not greater.
    fn rise(&mut self, mut place: usize) {
        while place > 0 {
            let above = (place - 1) / 2;
            if self.heap[above] <= self.heap[place] {
                break;
            }
            self.swap(above, place);
            place = above;
        }
        self.note(place);
    }

    /// Moves an entry down until none below it is less.
    fn sink(&mut self, mut place: usize) {
        loop {
            let (left, right) = (2 * place + 1, 2 * place + 2);
            let mut least = place;
            for below in [left, right] {
                if below < self.heap.len() && self.heap[below] < self.heap[least] {
                    least = below;
                }
            }
            if least == place {
                break;
            }
            self.swap(least, place);
            place = least;
        }
        self.note(place);
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.note(a);
        self.note(b);
    }

    fn note(&mut self, place: usize) {
        let (_, owner) = self.heap[place];
        self.places[owner as usize] =
            u32::try_from(place).expect("a queue has at most one entry per owner");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_least_key_comes_first(
            changes in prop::collection::vec((0..12_u32, prop::option::of(0..40_u8)), 1..200),
        ) {
            let mut queue = Queue::default();
            let mut model = [None; 12];
            for (owner, key) in changes {
                queue.set(owner, key);
                model[owner as usize] = key;
                let owners = (0..).zip(model);
                let least = owners.filter_map(|(owner, key)| Some((key?, owner))).min();
                prop_assert_eq!(queue.first(), least);
            }
        }
    }
}
