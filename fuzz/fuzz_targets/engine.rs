//! Any bytes as a scenario, for the engine and the reference model side by side.

#![no_main]

#[path = "../checks/engine.rs"]
mod check;
#[path = "../../engine/tests/it/director.rs"]
mod director;
#[expect(dead_code, reason = "the properties of the engine use the rest")]
#[path = "../../engine/tests/it/model.rs"]
mod model;
#[expect(dead_code, reason = "the properties of the engine use the rest")]
#[path = "../../engine/tests/it/schedule.rs"]
mod schedule;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check::check(bytes));
