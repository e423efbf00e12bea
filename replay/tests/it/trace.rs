//! Reading captures: every variant, every cut, damage, live pipes, several at once.

#![expect(clippy::unwrap_used, reason = "what the helpers of a test unwrap is what it asserts")]

mod build;
#[path = "../../../fuzz/checks/trace.rs"]
mod check;
mod compressed;
mod damage;
mod live;
mod merge;
mod messages;
mod open;
mod oracle;
mod variants;

use check::{Outcome, Owned, read};
use knock_replay::trace::{Ending, OnDamage};

/// Reads a trace that must be sound.
fn sound(bytes: &[u8]) -> Vec<Owned> {
    let Outcome { frames, end, .. } = read(bytes, OnDamage::Stop);
    assert_eq!(end, Ok(Ending::Complete), "the trace is sound");
    frames
}
