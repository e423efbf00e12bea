//! The model of knockd 0.8 against the real knockd.
//!
//! `scenarios` compares with what knockd did when the scenarios were recorded, `random` runs
//! knockd itself over captures made here.
#![expect(clippy::unwrap_used, reason = "what a test needs and cannot have fails it")]

mod case;
mod configs;
mod generator;
mod knockd;
mod losses;
mod model;
mod random;
mod robust;
mod scenarios;
