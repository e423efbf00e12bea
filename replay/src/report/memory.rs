//! What the text report remembers of attempts, within limits.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::IpAddr;

use knock_engine::packet::Protocol;

use super::block::Row;

/// A map that holds at most so many entries: the oldest makes room for a new one.
///
/// It is never iterated over, so nothing depends on the order of its hash table.
#[derive(Debug)]
pub(super) struct Bounded<K, V> {
    entries: HashMap<K, (u64, V)>,
    /// Keys with the serial number of their entry, oldest first; entries that were removed since
    /// leave theirs behind until the queue is twice as long as it needs to be.
    order: VecDeque<(K, u64)>,
    next_serial: u64,
    capacity: usize,
}

impl<K: Copy + Eq + Hash, V> Bounded<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        assert!(capacity > 0, "a memory of nothing is a mistake");
        Self { entries: HashMap::new(), order: VecDeque::new(), next_serial: 0, capacity }
    }

    /// Puts an entry in, in place of the one that the key had.
    pub(super) fn insert(&mut self, key: K, value: V) {
        self.entries.remove(&key);
        while self.entries.len() >= self.capacity {
            let Some((oldest, serial)) = self.order.pop_front() else { break };
            if self.is_current(&oldest, serial) {
                self.entries.remove(&oldest);
            }
        }
        if self.order.len() >= 2 * self.capacity {
            let entries = &self.entries;
            self.order.retain(|(key, serial)| entries.get(key).is_some_and(|e| e.0 == *serial));
        }
        self.entries.insert(key, (self.next_serial, value));
        self.order.push_back((key, self.next_serial));
        self.next_serial += 1;
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).map(|(_, value)| value)
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        self.entries.remove(key).map(|(_, value)| value)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.order.clear();
    }

    fn is_current(&self, key: &K, serial: u64) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.0 == serial)
    }
}

/// A source and the index of a door.
pub(super) type Place = (IpAddr, usize);

/// An attempt that goes on: the rows that its block will have.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    pub(super) rows: Vec<Row>,
    /// How often it began anew.
    pub(super) restarts: u64,
}

impl Attempt {
    /// Rows that aren't knocks, at most: a source that repeats itself must not fill the memory.
    const MAX_NOTES: usize = 16;
    /// Ports that a row names, at most.
    pub(super) const MAX_PORTS: usize = 6;

    /// Notes that a knock came again. What came again since the last knock is one row.
    pub(super) fn note_again(&mut self, again: Again) {
        for row in self.rows.iter_mut().rev() {
            match row {
                Row::Again(earlier) if earlier.is_like(&again) => {
                    earlier.count += 1;
                    return;
                }
                Row::Again(_) | Row::Strays(_) => {}
                Row::Knock(_) | Row::Broke(_) | Row::Restarts(_) => break,
            }
        }
        self.push_note(Row::Again(again));
    }

    /// Notes a packet to another port. Those since the last knock are one row.
    pub(super) fn note_stray(&mut self, port: (Protocol, u16)) {
        for row in self.rows.iter_mut().rev() {
            match row {
                Row::Strays(strays) => {
                    strays.packets += 1;
                    if !strays.ports.contains(&port) {
                        if strays.ports.len() < Self::MAX_PORTS {
                            strays.ports.push(port);
                        } else {
                            strays.more = true;
                        }
                    }
                    return;
                }
                Row::Again(_) => {}
                Row::Knock(_) | Row::Broke(_) | Row::Restarts(_) => break,
            }
        }
        self.push_note(Row::Strays(Strays { packets: 1, ports: vec![port], more: false }));
    }

    fn push_note(&mut self, row: Row) {
        let notes = self.rows.iter().filter(|row| !matches!(row, Row::Knock(_))).count();
        if notes < Self::MAX_NOTES {
            self.rows.push(row);
        }
    }
}

/// Knocks that came again and changed nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Again {
    pub(super) protocol: Protocol,
    pub(super) port: u16,
    /// A retransmission: the same packet. Else the last knock, sent anew.
    pub(super) retransmitted: bool,
    pub(super) count: u64,
}

impl Again {
    fn is_like(&self, other: &Self) -> bool {
        (self.protocol, self.port, self.retransmitted)
            == (other.protocol, other.port, other.retransmitted)
    }
}

/// Packets to ports outside the sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Strays {
    pub(super) packets: u64,
    /// The first distinct ports, at most [`Attempt::MAX_PORTS`].
    pub(super) ports: Vec<(Protocol, u16)>,
    /// Whether there were more distinct ports.
    pub(super) more: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_entry_makes_room() {
        let mut memory = Bounded::new(2);
        for key in 0..4 {
            memory.insert(key, key * 10);
        }
        assert_eq!(memory.len(), 2);
        assert_eq!(memory.get_mut(&1), None);
        assert_eq!(memory.get_mut(&2), Some(&mut 20));
    }

    #[test]
    fn an_entry_put_in_again_is_young() {
        let mut memory = Bounded::new(2);
        memory.insert('a', 1);
        memory.insert('b', 2);
        memory.insert('a', 3);
        memory.insert('c', 4);
        assert_eq!(memory.remove(&'a'), Some(3));
        assert_eq!(memory.remove(&'b'), None);
    }

    #[test]
    fn removed_entries_leave_nothing_behind_for_good() {
        let mut memory = Bounded::new(3);
        for key in 0..1_000 {
            memory.insert(key, ());
            memory.remove(&key);
        }
        assert!(memory.order.len() <= 6, "{}", memory.order.len());
    }

    #[test]
    fn what_came_again_since_the_last_knock_is_one_row() {
        let again = Again { protocol: Protocol::Tcp, port: 8000, retransmitted: false, count: 1 };
        let mut attempt = Attempt::default();
        for _ in 0..3 {
            attempt.note_again(again.clone());
            attempt.note_stray((Protocol::Tcp, 22));
        }
        assert_eq!(attempt.rows.len(), 2);
        assert_eq!(attempt.rows[0], Row::Again(Again { count: 3, ..again }));
    }

    #[test]
    fn an_attempt_remembers_few_notes() {
        let mut attempt = Attempt::default();
        for port in 0..1_000 {
            let protocol = Protocol::Udp;
            attempt.note_again(Again { protocol, port, retransmitted: true, count: 1 });
            attempt.note_stray((protocol, port));
        }
        assert_eq!(attempt.rows.len(), Attempt::MAX_NOTES);
    }
}
