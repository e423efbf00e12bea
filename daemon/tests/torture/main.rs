//! The real daemon tortured, with real firewalls, in network namespaces that each test makes.
//!
//! `cargo test` takes a sample of each; `make torture` the full numbers, which are hours.

#[expect(dead_code, reason = "the kernel's tests use the rest")]
#[path = "../kernel/bench.rs"]
mod bench;
mod clocks;
mod disks;
mod faults;
mod flaps;
mod house;
mod kills;
mod soak;
mod wrapper;
