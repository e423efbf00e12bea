//! Which packets concern a door, whatever came before them.

use std::collections::HashSet;
use std::sync::Arc;

use knock_engine::config::{Config, Door, Options, Sequences};
use knock_engine::local::LocalAddresses;
use knock_engine::packet::{Packet, Protocol, TcpFlags};
use knock_engine::{Engine, HashKey};

use crate::fleet::bare;
use crate::run::frames::Filter;

/// Catches every packet that can concern a door (S5).
///
/// It has no state: a door with one-time sequences stands there once for each line that is not
/// used, so the answer does not depend on how many of them are used by then. What a door does not
/// care for when it comes changes nothing there, so an extract may have too much, and parts of a
/// capture can be extracted each for itself.
pub(super) struct Net(Vec<Engine>);

impl Net {
    pub(super) fn new(config: &Config, local: &LocalAddresses) -> Self {
        let mut known = HashSet::new();
        let mut doors: Vec<Arc<Door>> = Vec::new();
        for door in config.doors.iter().flat_map(|door| each_sequence(door)) {
            let door = bare(&door);
            if known.insert(door.to_string()) {
                doors.push(Arc::new(door));
            }
        }
        let engine = |doors: &[Arc<Door>]| {
            let config = Config { options: Options::default(), doors: doors.to_vec() };
            Engine::new(config, local.clone(), HashKey::default())
        };
        Self(doors.chunks(Config::MAX_DOORS).map(engine).collect())
    }

    pub(super) fn set_local(&mut self, local: &LocalAddresses) {
        for engine in &mut self.0 {
            engine.handle_local_addresses(local.clone());
        }
    }

    /// Tells whether a packet can concern a door.
    pub(super) fn catches(&self, packet: &Packet) -> bool {
        self.0.iter().any(|engine| engine.concerns(packet))
    }
}

impl Filter for Net {
    #[inline]
    fn admits(&self, protocol: Protocol, destination_port: u16, flags: TcpFlags) -> bool {
        self.0.iter().any(|engine| engine.is_candidate(protocol, destination_port, flags))
    }
}

/// Returns the door with each of its sequences.
fn each_sequence(door: &Door) -> Vec<Door> {
    let Sequences::OneTime { lines, .. } = &door.sequences else { return vec![door.clone()] };
    let with = |sequence| Door { sequences: Sequences::Fixed(sequence), ..door.clone() };
    lines.iter().map(|line| with(line.sequence.clone())).collect()
}
