//! The live daemon: the engine with a socket in front of it and commands behind it.
//!
//! Data flows one way: [`capture`] hears packets, the engine decides, the [`supervisor`] turns its
//! actions into effects, and the [`daemon`] has its world carry
//! these out: the [`shell`] is a real machine, `sim/` a model of one. All decisions of the daemon's own
//! (what runs when, what is tried again, what is written to disk before what) are the
//! supervisor's, which like the engine has no clock, file, process or socket; everything else
//! here does what it is told.

pub mod alarm;
pub mod capture;
pub mod check;
pub mod cli;
pub mod clock;
pub mod daemon;
pub mod disk;
pub mod host;
pub mod ledger;
mod lock;
pub mod log;
pub mod process;
pub mod recorder;
pub mod settings;
pub mod shell;
pub mod supervisor;

/// The name that messages begin with.
pub const PROGRAM: knock_frontend::Program = knock_frontend::Program("knockd");
