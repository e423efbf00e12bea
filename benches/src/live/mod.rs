//! Measures the live daemon beside Debian's knockd, in network namespaces of its own.
//!
//! - [`opening`] is the time from the last knock to the first accepted connection.
//! - [`cost`] is CPU time, wake-ups and memory.
//! - [`storms`] is who comes in while strangers attack.
//! - [`table`] puts the figures of both daemons side by side.

pub mod cost;
pub mod opening;
pub mod storms;
pub mod table;

use std::path::PathBuf;

use anyhow::Result;
use knock_lab::daemon::{Daemon, Setup};
use knock_lab::lab::Lab;

/// A daemon to measure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contender {
    /// What the table calls it.
    pub name: String,
    /// The program.
    pub program: PathBuf,
}

impl Contender {
    /// Starts it with these doors, as it would run for good: it tells no more than its log.
    ///
    /// # Errors
    ///
    /// Where it does not start.
    pub fn start(&self, lab: &Lab, doors: &str) -> Result<Daemon> {
        let setup = Setup::new(&self.program, lab.folder());
        setup.write_config("", doors)?;
        setup.start(&lab.server)
    }
}
