//! The configuration: the text of a `knockd.conf` to types that cannot be wrong.
//!
//! [`parse()`] reads everything that knockd 0.8 accepts on purpose, and this project's own keys.
//! It never stops at the first problem: every problem in the file becomes a [`Diagnostic`].
//!
//! A later line of a key replaces an earlier one, as in knockd; only lines of `tcpflags`, `allow`,
//! `deny` and `ignore_ports` add up. Spans of time are whole seconds, or a number with `ms`, `s`,
//! `m` or `h` right behind it. `grant = /24` sets the length for IPv4 and leaves IPv6 sources
//! their address; `grant = /24, /56` sets both; the slashes may be left out.

mod diagnostic;
mod door;
mod escape;
mod options;
mod parse;
mod print;

pub use diagnostic::{Diagnostic, Replacement, Severity};
pub use door::{
    Command, Commands, Door, FailureLimit, Grant, Knock, KnockFlags, MAX_KNOCKS, OneTimeLine,
    PortRange, PortSet, Sequence, Sequences,
};
pub use escape::{escape, is_printable};
pub use options::{BufferSize, LogFormat, OnStop, Options, RecordSize};
pub use parse::{
    Entry, EntryKind, KeyGroup, KeyPage, Locator, Parsed, key_pages, outline, parse,
    parse_interfaces, parse_one_time_lines,
};

use std::sync::Arc;

/// A configuration that can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The `[options]` section.
    pub options: Options,
    /// The doors, in the order of the file: the order in which a packet is judged (S6).
    pub doors: Vec<Arc<Door>>,
}

impl Config {
    /// The most doors a config can have.
    pub const MAX_DOORS: usize = 65_535;

    /// Replaces the lines of a door's one-time file (S12); what isn't such a door stays as it is.
    ///
    /// Parsing leaves the lines empty, for the engine reads no files: the caller reads the file
    /// that [`Sequences::OneTime`] names and hands over what [`parse_one_time_lines`] made of it.
    pub fn set_one_time_lines(&mut self, door_index: usize, new_lines: Vec<OneTimeLine>) {
        let Some(door) = self.doors.get_mut(door_index) else { return };
        if let Sequences::OneTime { lines, .. } = &mut Arc::make_mut(door).sequences {
            *lines = new_lines;
        }
    }
}
