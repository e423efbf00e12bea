//! A hash table of slot numbers, four bytes each.

use super::chain::SlotId;

/// Finds slots by the hash of what lies in them.
///
/// A look-up in a table of a million attempts costs what its cache misses cost. Here all that is
/// known of a slot shares four bytes, and an entry that isn't where its hash says lies next to
/// it, so a source that is not known yet, which is what a flood is made of, costs one miss to
/// look up and add. Entries stand in the order of the places where they belong ("Robin Hood"), and
/// tell how far behind they are: so others can move up when one is taken out, without a look
/// at their slots, and nothing marks where it was.
#[derive(Debug, Default)]
pub(super) struct SlotIndex {
    /// A power of two of entries, or none at all.
    entries: Vec<Entry>,
    len: usize,
}

/// A slot's number in the lower 24 bits, for [`crate::config::Options::MAX_TABLE`] is 2^24; then, in
/// 3 bits, [`HOME`] for a slot that stands where it belongs and one more for each place that it
/// stands behind that, up to [`FAR`]; and 5 bits of its hash. 0 for no slot.
type Entry = u32;

const EMPTY: Entry = 0;
const NUMBER: Entry = (1 << 24) - 1;
/// One place further behind.
const STEP: Entry = 1 << 24;
const HOME: Entry = 1;
/// So far behind that the entry doesn't tell how far.
const FAR: Entry = 7;
const TAG_SHIFT: u32 = 27;

/// The bits of a hash that are in its entry. They are not those that tell its place.
fn tag(hash: u64) -> Entry {
    Entry::try_from(hash >> 59).expect("a 64-bit number has 5 bits above bit 59") << TAG_SHIFT
}

fn id_of(entry: Entry) -> SlotId {
    entry & NUMBER
}

/// Returns what an entry tells of how far it is behind its place; less than [`HOME`] for no slot.
fn told_by(entry: Entry) -> Entry {
    (entry / STEP) & FAR
}

/// Returns what an entry so many places behind its own tells of that.
fn told(distance: usize) -> Entry {
    Entry::try_from(distance).map_or(FAR, |distance| distance.saturating_add(HOME).min(FAR))
}

impl SlotIndex {
    /// The size of the smallest table that isn't empty.
    const SMALLEST: usize = 16;
    /// From this size on the table grows eightfold: to move a million entries again and again
    /// would take longer than to find them.
    const LAST_DOUBLING: usize = 1 << 15;

    /// Returns the slot of this hash that `is_it`.
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(SlotId) -> bool) -> Option<SlotId> {
        self.place_of(hash, is_it).map(|place| id_of(self.entries[place]))
    }

    /// Returns the slot that stands where those of this hash belong, if its hash may be this one.
    pub(super) fn likely(&self, hash: u64) -> Option<SlotId> {
        let entry = self.entries[self.home(hash)?];
        (entry & !NUMBER == tag(hash) | (HOME * STEP)).then(|| id_of(entry))
    }

    fn place_of(&self, hash: u64, is_it: impl Fn(SlotId) -> bool) -> Option<usize> {
        let tag = tag(hash);
        let mut place = self.home(hash)?;
        for distance in 0.. {
            let (entry, reached) = (self.entries[place], told(distance));
            // It would stand before an entry that is less far behind, or none.
            if told_by(entry) < reached {
                return None;
            }
            if entry & !NUMBER == tag | (reached * STEP) && is_it(id_of(entry)) {
                return Some(place);
            }
            place = self.behind(place);
        }
        None
    }

    /// Returns where an entry of this hash belongs; none in an empty table.
    fn home(&self, hash: u64) -> Option<usize> {
        let mask = self.entries.len().checked_sub(1)?;
        #[expect(clippy::cast_possible_truncation, reason = "the mask is shorter anyway")]
        let low = hash as usize;
        Some(low & mask)
    }

    fn behind(&self, place: usize) -> usize {
        (place + 1) & (self.entries.len() - 1)
    }

    /// Returns how far behind its place the entry at `place` is.
    fn distance(&self, place: usize, hash_of: impl Fn(SlotId) -> u64) -> usize {
        let home = self.home(hash_of(id_of(self.entries[place]))).expect("the table has entries");
        place.wrapping_sub(home) & (self.entries.len() - 1)
    }

    /// Returns the slot of this hash that `is_it`; adds `id` where there is none. `hash_of` tells
    /// the hashes of the slots that are there.
    pub(super) fn find_or_insert(
        &mut self,
        hash: u64,
        id: SlotId,
        is_it: impl Fn(SlotId) -> bool,
        hash_of: impl Fn(SlotId) -> u64,
    ) -> Option<SlotId> {
        // At most three of four entries are taken, so that the next empty one is near.
        if self.len >= self.entries.len() / 4 * 3 {
            self.grow(&hash_of);
        }
        let found = self.put_unless(hash, id, is_it, hash_of);
        self.len += usize::from(found.is_none());
        found
    }

    /// Puts a slot behind those of its hash, unless one of them `is_it`.
    fn put_unless(
        &mut self,
        hash: u64,
        id: SlotId,
        is_it: impl Fn(SlotId) -> bool,
        hash_of: impl Fn(SlotId) -> u64,
    ) -> Option<SlotId> {
        debug_assert!(id <= NUMBER, "slot numbers are bounded by MAX_TABLE");
        let tag = tag(hash);
        let mut place = self.home(hash).expect("the table has room");
        for distance in 0.. {
            let (entry, reached) = (self.entries[place], told(distance));
            if entry & !NUMBER == tag | (reached * STEP) && is_it(id_of(entry)) {
                return Some(id_of(entry));
            }
            let is_nearer = match told_by(entry) {
                FAR if reached == FAR => self.distance(place, &hash_of) < distance,
                told => told < reached,
            };
            if is_nearer {
                self.push_in(place, tag | (reached * STEP) | id);
                break;
            }
            place = self.behind(place);
        }
        None
    }

    /// Puts an entry at a place; what stands there and behind moves on by one.
    fn push_in(&mut self, mut place: usize, mut entry: Entry) {
        loop {
            std::mem::swap(&mut self.entries[place], &mut entry);
            if entry == EMPTY {
                return;
            }
            if told_by(entry) < FAR {
                entry += STEP;
            }
            place = self.behind(place);
        }
    }

    fn grow(&mut self, hash_of: impl Fn(SlotId) -> u64) {
        let size = match self.entries.len() {
            0 => Self::SMALLEST,
            size if size < Self::LAST_DOUBLING => size * 2,
            size => size * 8,
        };
        let former = std::mem::replace(&mut self.entries, vec![EMPTY; size]);
        for entry in former.into_iter().filter(|entry| *entry != EMPTY) {
            let id = id_of(entry);
            let _: Option<SlotId> = self.put_unless(hash_of(id), id, |_| false, &hash_of);
        }
    }

    /// Puts a slot in the place of another one of the same hash.
    pub(super) fn replace(&mut self, hash: u64, former: SlotId, id: SlotId) {
        let place = self.place_of(hash, |its| its == former).expect("the former slot is there");
        self.entries[place] = (self.entries[place] & !NUMBER) | id;
    }

    /// Takes a slot out; `hash_of` tells the hashes of the others.
    pub(super) fn remove(&mut self, hash: u64, id: SlotId, hash_of: impl Fn(SlotId) -> u64) {
        let mut gap = self.place_of(hash, |its| its == id).expect("the slot is there");
        loop {
            let place = self.behind(gap);
            let entry = self.entries[place];
            self.entries[gap] = match told_by(entry) {
                // Nobody moves up who stands where it belongs, or is not there.
                0 | HOME => break,
                FAR => {
                    let distance = self.distance(place, &hash_of) - 1;
                    (entry & !(FAR * STEP)) | (told(distance) * STEP)
                }
                _ => entry - STEP,
            };
            gap = place;
        }
        self.entries[gap] = EMPTY;
        self.len -= 1;
    }

    /// Takes all slots out.
    pub(super) fn clear(&mut self) {
        self.entries.fill(EMPTY);
        self.len = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Hashes of few different places and tags, so that entries push each other aside, also
        /// around the end of the table.
        #[test]
        fn it_holds_what_was_put_in(
            changes in prop::collection::vec((0..40_u32, any::<bool>()), 1..400),
            hashes in prop::collection::vec((0..3_u64, 0..20_u64), 40),
        ) {
            let hash_of = |id: SlotId| {
                let (high, low) = hashes[id as usize];
                high << 59 | low.wrapping_sub(4) & 0xff
            };
            let mut index = SlotIndex::default();
            let mut model = BTreeSet::new();
            for (id, is_in) in changes {
                if is_in && model.insert(id) {
                    let found = index.find_or_insert(hash_of(id), id, |its| its == id, hash_of);
                    prop_assert_eq!(found, None);
                } else if !is_in && model.remove(&id) {
                    index.remove(hash_of(id), id, hash_of);
                }
                for id in 0..40 {
                    let found = index.find(hash_of(id), |its| its == id);
                    prop_assert_eq!(found, model.contains(&id).then_some(id));
                }
                prop_assert_eq!(index.len, model.len());
                for (place, entry) in index.entries.iter().enumerate() {
                    if *entry != EMPTY {
                        let distance = index.distance(place, hash_of);
                        prop_assert_eq!(told_by(*entry), told(distance));
                    }
                }
            }
        }
    }

    #[test]
    fn it_grows_past_the_last_doubling() {
        let hash_of = |id: SlotId| u64::from(id).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut index = SlotIndex::default();
        for id in 0..300_000 {
            assert_eq!(index.find_or_insert(hash_of(id), id, |its| its == id, hash_of), None);
        }
        assert_eq!(index.entries.len(), 1 << 21);
        assert!((0..300_000).all(|id| index.find(hash_of(id), |its| its == id) == Some(id)));
        index.replace(hash_of(7), 7, 300_001);
        assert_eq!(index.find(hash_of(7), |its| its == 300_001), Some(300_001));
        index.clear();
        assert_eq!(index.find(hash_of(8), |_| true), None);
    }
}
