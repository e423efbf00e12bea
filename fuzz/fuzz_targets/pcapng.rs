//! Reads any bytes as a trace; the corpus begins with pcapng files.

#![no_main]

#[path = "../checks/trace.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check::check(bytes));
