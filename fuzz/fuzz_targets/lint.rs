//! Any text as a config that lint looks at.

#![no_main]

#[path = "../checks/lint.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|text: &[u8]| check::check(text));
