//! The engine: packets and time in, events and actions out (S1-S16).

use std::net::IpAddr;
use std::sync::Arc;

use crate::config::{Config, Door};
use crate::local::LocalAddresses;
use crate::output::Output;
use crate::packet::Packet;
use crate::time::Timestamp;

/// The key of the engine's hash tables: random for a live daemon, fixed for a replay (S15).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HashKey(pub [u64; 2]);

/// The engine's next deadline, and why it will fire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// When it fires.
    pub at: Timestamp,
    /// What will happen then.
    pub cause: DeadlineCause,
    /// The door.
    pub door: Arc<Door>,
    /// The source.
    pub source: IpAddr,
}

/// Why a deadline will fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeadlineCause {
    /// An attempt will time out (S9).
    Timeout,
    /// A lease will end (S11).
    Close,
}

/// The engine.
#[derive(Debug)]
pub struct Engine {}

impl Engine {
    /// Makes an engine.
    #[must_use]
    pub fn new(_config: Config, _local: LocalAddresses, _key: HashKey) -> Self {
        Self {}
    }

    /// Handles one packet. Deadlines at or before `now` fire first, so a knock on its deadline
    /// is late (S2).
    pub fn handle_packet(&mut self, _packet: &Packet, _now: Timestamp) {}

    /// Fires every deadline at or before `now`. Early and repeated calls do nothing (S2).
    pub fn handle_timeout(&mut self, _now: Timestamp) {}

    /// Replaces the config (S16).
    pub fn handle_config(&mut self, _config: Config, _now: Timestamp) {}

    /// Replaces the local addresses (S4).
    pub fn handle_local_addresses(&mut self, _local: LocalAddresses) {}

    /// Takes the oldest output, until there is none.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        None
    }

    /// Returns the next deadline that will bring an output.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Deadline> {
        None
    }
}
