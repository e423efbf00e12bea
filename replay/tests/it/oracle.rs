//! The model of knockd 0.8 against the real knockd.
//!
//! `scenarios` compares with what knockd did when the scenarios were recorded, `random` runs
//! knockd itself over captures made here.
#![expect(clippy::unwrap_used, reason = "a test helper that cannot go on fails the test")]

mod case;
mod generator;
mod knockd;
mod model;
mod random;
mod robust;
mod scenarios;
