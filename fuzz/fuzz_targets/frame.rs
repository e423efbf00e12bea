//! Any bytes as a frame of any link type.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../checks/frame.rs"]
mod check;

fuzz_target!(|input: &[u8]| check::check(input));
