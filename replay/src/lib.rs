//! Replays captures through the knock engine.

pub mod cli;
pub mod diff;
pub mod explain;
pub mod extract;
mod fleet;
pub mod knockd08;
pub mod report;
pub mod run;
pub mod trace;

/// The name that messages begin with.
pub const PROGRAM: knock_frontend::Program = knock_frontend::Program("knock-replay");
