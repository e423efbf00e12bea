//! Any text as an expectation file.

#![no_main]

#[path = "../checks/expectations.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|text: &[u8]| check::check(text));
