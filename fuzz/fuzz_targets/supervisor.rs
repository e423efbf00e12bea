//! Any bytes as what happens to a supervisor, in the model world of the daemon's tests.

#![no_main]

#[expect(dead_code, reason = "the stories of the daemon's tests use the rest")]
#[path = "../../daemon/tests/it/supervisor"]
mod supervisor {
    #[path = "../../../../fuzz/checks/supervisor.rs"]
    pub(crate) mod check;
    mod happening;
    mod world;
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| supervisor::check::check(bytes));
