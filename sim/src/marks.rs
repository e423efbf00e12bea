//! Rare states that a long run must have been in.
//!
//! A simulation that never gets into trouble proves nothing. Wherever a state is rare and matters,
//! the code says `sometimes!`; a long run that has never been there fails, for then a fault class
//! is broken, or too weak, or hidden by another one.

use std::cell::RefCell;

/// Every mark. A long run fails where one of them was never reached.
pub const ALL: [&str; 35] = [
    "crash between the sync of an intent and its start",
    "crash in a write to the ledger",
    "crash between the mark of a one-time line and its start",
    "crash while a config is read anew",
    "crash while the daemon closes",
    "crash in recovery",
    "crash in recovery, two deep",
    "crash in recovery, three deep",
    "a power cut tears a write",
    "a power cut loses a change of names",
    "recovery finds an open door",
    "recovery finds damage",
    "a door is recovered and knocked at again",
    "a stop is tried for the third time",
    "a stop is given up",
    "a start is refused because its stop can't be written",
    "a one-time line can't be marked",
    "a one-time door has no line left",
    "eviction at stage 1",
    "eviction of what is only remembered",
    "a lease is refused because there are too many",
    "a source is locked out",
    "a scan resets an attempt",
    "a door is renewed",
    "a check finds that a door is gone",
    "a door changes while it is open",
    "a bad config is refused",
    "a second daemon is sent away",
    "a command is killed because it takes too long",
    "a recording is replayed over more than one file",
    "the disk fails with an I/O error",
    "a write fails half-way",
    "a write is short",
    "there is no room on the disk",
    "a sync fails",
];

const LEN: usize = ALL.len();

thread_local! {
    static REACHED: RefCell<[u64; LEN]> = const { RefCell::new([0; LEN]) };
}

/// Returns a mark's number; not compiling is the answer where there is no such mark.
#[must_use]
pub const fn number(name: &str) -> usize {
    let mut at = 0;
    while at < LEN {
        if is_equal(name.as_bytes(), ALL[at].as_bytes()) {
            return at;
        }
        at += 1;
    }
    panic!("every mark is in the list of marks.rs")
}

const fn is_equal(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let mut at = 0;
    while at < one.len() {
        if one[at] != other[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// Counts that a mark was reached.
pub fn reach(number: usize) {
    REACHED.with_borrow_mut(|reached| reached[number] += 1);
}

/// Takes what this thread has reached since the last call.
#[must_use]
pub fn take() -> Vec<u64> {
    REACHED.with_borrow_mut(|reached| std::mem::replace(reached, [0; LEN]).to_vec())
}

/// Says that the world is in a rare state, by the words that [`ALL`] has for it;
/// with a condition in front, only where that holds.
macro_rules! sometimes {
    ($name:literal) => {{
        const MARK: usize = $crate::marks::number($name);
        $crate::marks::reach(MARK);
    }};
    ($condition:expr, $name:literal) => {
        if $condition {
            sometimes!($name);
        }
    };
}

pub(crate) use sometimes;
