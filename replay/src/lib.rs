//! Replays captures through the knock engine.

pub mod cli;
pub mod notice;
pub mod report;
pub mod run;
pub mod trace;
pub mod diagnostics;
pub mod knockd08;
