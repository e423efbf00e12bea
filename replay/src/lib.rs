//! Replays captures through the knock engine.

pub mod cli;
mod destination;
pub mod diff;
pub mod expect;
pub mod explain;
pub mod extract;
mod fleet;
pub mod knockd08;
mod knockers;
pub mod lint;
mod openings;
pub mod page;
pub mod report;
pub mod run;
mod scanners;
pub mod stats;
pub mod sweep;
pub mod trace;

/// The name that messages begin with.
pub const PROGRAM: knock_frontend::Program = knock_frontend::Program("knock-replay");
