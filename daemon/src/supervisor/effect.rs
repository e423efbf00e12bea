//! What the supervisor wants done.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::ledger::Record;
use crate::log::{CommandKind, Message};

/// Numbers the children, in the order in which they are spawned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChildId(pub u64);

/// Numbers the writes, in the order in which they are to be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(pub u64);

/// Something that the shell must do, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Say something.
    Log(Message),
    /// Write to disk, durably; report how it went.
    Write {
        /// What the report names.
        id: WriteId,
        /// What to write.
        write: Write,
    },
    /// Run a command; report how it ended, also where it could not be run.
    Spawn(Spawn),
    /// Kill a child and everything in its process group.
    Kill {
        /// The child.
        child: ChildId,
    },
    /// Read all one-time files again and give the engine their unused lines: one could not be
    /// marked, so what the engine takes for used is not (S12).
    ReadSequencesAgain,
}

/// Something to write, durably.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Append to the ledger.
    Ledger(Record),
    /// Mark a line of a one-time file as used (S12). It is an error if the line is used already or
    /// is no longer the line it was.
    MarkUsed {
        /// The file, as the config names it.
        path: String,
        /// The line's number, counted from 1.
        line: usize,
        /// The sequence that the line must still hold.
        sequence: knock_engine::config::Sequence,
    },
}

/// A command to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spawn {
    /// Its number.
    pub child: ChildId,
    /// Which of the door's commands it is.
    pub kind: CommandKind,
    /// What `/bin/sh -c` gets: tokens are replaced already.
    pub command: String,
    /// `KNOCK_DOOR`.
    pub door: String,
    /// `KNOCK_IP`.
    pub source: IpAddr,
    /// `KNOCK_NET`.
    pub network: IpNet,
}
