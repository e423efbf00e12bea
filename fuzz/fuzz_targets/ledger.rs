//! Any bytes as a ledger, and ledgers that are made and damaged as they say.

#![no_main]

#[path = "../checks/ledger.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|input: &[u8]| check::check(input));
