//! Packets that brought nothing about at a door, for a report that asks why.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;
use knock_engine::config::{Door, Sequences};
use knock_engine::packet::{Packet, Protocol, TcpFlags};
use knock_engine::{Disregard, Engine};

use super::frames::Filter;
use crate::report::Doors;

/// The ports of all knocks, whatever their protocol: a knock by the wrong protocol wants an
/// explanation most of all.
pub(crate) struct Curiosity {
    /// The doors with a knock at this port: by their index for the engine, and for the report.
    doors: HashMap<u16, Vec<(usize, usize)>, FixedState>,
}

/// Admits what the engine does, and everything else to a knock port.
///
/// More packets than the engine asks for change nothing: one that concerns no door does not even
/// move its time (S1).
pub(super) struct Beside<'a> {
    curiosity: &'a Curiosity,
    engine: &'a Engine,
}

impl Curiosity {
    pub(super) fn new(doors: &Doors) -> Self {
        let mut new = Self { doors: HashMap::default() };
        new.follow(doors.all(), doors);
        new
    }

    /// Takes up the doors of the engine's config; `all` are those that the report knows.
    pub(super) fn follow(&mut self, engines: &[Arc<Door>], all: &Doors) {
        self.doors.clear();
        for (index, door) in engines.iter().enumerate() {
            let Some(known) = all.index(door) else { continue };
            let sequences: Vec<_> = match &door.sequences {
                Sequences::Fixed(sequence) => vec![sequence],
                Sequences::OneTime { lines, .. } => lines.iter().map(|its| &its.sequence).collect(),
            };
            for knock in sequences.into_iter().flat_map(|sequence| sequence.knocks()) {
                let of_port = self.doors.entry(knock.port.get()).or_default();
                if of_port.last() != Some(&(index, known)) {
                    of_port.push((index, known));
                }
            }
        }
    }

    pub(super) const fn beside<'a>(&'a self, engine: &'a Engine) -> Beside<'a> {
        Beside { curiosity: self, engine }
    }

    /// Returns why each door with a knock at the packet's port made nothing of it, if so.
    pub(super) fn disregards(&self, engine: &Engine, packet: &Packet) -> Vec<(usize, Disregard)> {
        let doors = self.doors.get(&packet.destination_port).map_or(&[][..], Vec::as_slice);
        doors.iter().map(|(index, known)| (*known, engine.disregard(*index, packet))).collect()
    }
}

impl Filter for Beside<'_> {
    fn admits(&self, protocol: Protocol, destination_port: u16, flags: TcpFlags) -> bool {
        self.curiosity.doors.contains_key(&destination_port)
            || self.engine.admits(protocol, destination_port, flags)
    }
}
