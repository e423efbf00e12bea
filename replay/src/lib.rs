//! Replays captures through the knock engine.

pub mod cli;
pub mod diagnostics;
pub mod explain;
pub mod knockd08;
pub mod notice;
pub mod report;
pub mod run;
pub mod trace;
