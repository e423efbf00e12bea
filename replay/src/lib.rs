//! Replays captures through the knock engine.

pub mod diagnostics;
