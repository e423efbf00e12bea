//! Any bytes as a `knockd.conf` and as a one-time file.

#![no_main]

#[path = "../bodies/config.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|text: &[u8]| body::check_config(text));
