//! Any bytes as a one-time file whose lines are marked.

#![no_main]

#[path = "../checks/one_time.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|text: &[u8]| check::check(text));
