//! Any text on its way to a terminal and into JSON.

#![no_main]

#[path = "../checks/escape.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|text: &[u8]| check::check(text));
