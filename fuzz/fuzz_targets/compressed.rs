//! Any bytes as a compressed trace, and traces that are compressed, cut off and damaged.

#![no_main]

#[path = "../checks/compressed.rs"]
mod check;
#[path = "../checks/trace.rs"]
mod trace;

libfuzzer_sys::fuzz_target!(|input: &[u8]| check::check(input));
