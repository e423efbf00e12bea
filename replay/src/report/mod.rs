//! What a run says: as lines of JSON, as text for people, or as totals.
//!
//! A [`Report`] is told every output in order and never looks back at the trace; what it needs
//! to explain an attempt it remembers itself, within limits.

pub(crate) mod advice;
pub(crate) mod block;
mod command;
mod jsonl;
mod memory;
mod original;
pub mod style;
mod summary;
mod text;
mod totals;

pub use command::Command;
pub use jsonl::Jsonl;
pub use original::{Cause, Close, OriginalReport, OriginalText};
pub use summary::Summary;
pub use text::{Pace, Text, TextOptions};
pub use totals::{Damage, DoorTotals, Doors, LocalOrigin, Resets, Tally, Totals};

use std::io;

use knock_engine::Disregard;
use knock_engine::local::LocalAddresses;
use knock_engine::output::Output;
use knock_engine::packet::Packet;
use knock_engine::time::Timestamp;

/// Where in the traces something was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The trace's index in the order of the command line.
    pub trace: usize,
    /// The frame's number in its trace, counted from 1.
    pub frame: u64,
}

/// One way to tell what happened.
pub trait Report {
    /// Tells an output of the engine. `origin` is the frame that was handed to the engine; `None`
    /// where time ran on by itself.
    ///
    /// # Errors
    ///
    /// Fails where the output can't be written.
    fn output(&mut self, output: &Output, origin: Option<Origin>) -> io::Result<()>;

    /// Tells of a packet that was handed to the engine, once all its outputs have been told.
    ///
    /// # Errors
    ///
    /// Fails where the output can't be written.
    fn packet(&mut self, packet: &Packet, at: Timestamp, origin: Origin) -> io::Result<()>;

    /// Tells why a door, by its index, made nothing of a packet to a port of its knocks, once all
    /// outputs of that packet have been told. It comes also for doors that the packet brought an
    /// event at, and only where the run was asked for it.
    ///
    /// # Errors
    ///
    /// Fails where the output can't be written.
    fn disregard(
        &mut self,
        _door: usize,
        _reason: Disregard,
        _packet: (&Packet, Timestamp, Origin),
    ) -> io::Result<()> {
        Ok(())
    }

    /// Tells what a recording says of a command.
    ///
    /// # Errors
    ///
    /// Fails where the output can't be written.
    fn command(&mut self, _command: &Command<'_>) -> io::Result<()> {
        Ok(())
    }

    /// Tells of the local addresses, where a trace told them only after the report began.
    fn local_addresses(&mut self, _local: &LocalAddresses) {}

    /// Makes what was written so far appear.
    ///
    /// # Errors
    ///
    /// Fails where the output can't be written.
    fn flush(&mut self) -> io::Result<()>;

    /// Ends the report with the totals, and flushes it.
    ///
    /// # Errors
    ///
    /// Fails where the output can't be written.
    fn finish(&mut self, totals: &Totals) -> io::Result<()>;
}
