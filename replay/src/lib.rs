//! Replays captures through the knock engine.

pub mod report;
pub mod trace;
