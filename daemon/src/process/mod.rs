//! Processes: the children that run commands, and the daemon's own life as one.

pub mod children;
pub mod event_loop;
mod output;
pub mod signals;
