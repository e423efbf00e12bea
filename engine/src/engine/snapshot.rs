//! The whole state out of an engine, and back into one (S15).

use std::sync::Arc;

use foldhash::quality::FixedState;
use hashbrown::HashMap;

use super::schedule::Clock;
use super::source::SourceKey;
use super::{DoorIndex, Engine, HashKey};
use crate::config::{self, Config, Door, Sequences};
use crate::local::LocalAddresses;
use crate::snapshot::{Lease, LeasedDoor, Snapshot};

impl Engine {
    /// Returns the config as it stands: of one-time files the lines that are not used yet.
    #[must_use]
    pub fn config(&self) -> Config {
        let doors = self.doors.iter().map(|(_, state)| {
            let mut door = Arc::clone(&state.door);
            if let Sequences::OneTime { .. } = door.sequences {
                let left = state.unused_lines().to_vec();
                if let Sequences::OneTime { lines, .. } = &mut Arc::make_mut(&mut door).sequences {
                    *lines = left;
                }
            }
            door
        });
        Config { options: self.options.clone(), doors: doors.collect() }
    }

    /// Returns the local addresses.
    #[must_use]
    pub fn local_addresses(&self) -> &LocalAddresses {
        &self.local
    }

    /// Copies the engine's state, once all outputs are taken. An engine that is
    /// [restored](Self::restore) with it, its [config](Self::config) and its [local
    /// addresses](Self::local_addresses) decides as this one does.
    ///
    /// At most `most` places, failures and cooldowns of each kind are copied, the newest, so that
    /// a flood does not make this slow; leases are always all there.
    #[must_use]
    pub fn snapshot(&self, most: usize) -> Snapshot {
        debug_assert!(self.outputs.is_empty(), "outputs are not a part of the state");
        let (now, issued) = self.clock.parts();
        let (places, failures, cooldowns) =
            (self.places.export(most), self.failures.export(most), self.cooldowns.export(most));
        let all = self.places.len() + self.failures.len() + self.cooldowns.len();
        let left_out = all - places.len() - failures.len() - cooldowns.len();
        let mut former = FormerDoors::default();
        let leases = self.leases.export(|door, place| {
            let current = place.filter(|index| *self.doors.get(*index).door == **door);
            current.map_or_else(|| LeasedDoor::Former(former.place(door)), LeasedDoor::Current)
        });
        Snapshot {
            now,
            issued,
            places,
            leases,
            former_doors: former.sections,
            failures,
            cooldowns,
            left_out: left_out as u64,
        }
    }

    /// Makes an engine that goes on where another one was. What the snapshot says of doors that
    /// the config does not have is left out.
    #[must_use]
    pub fn restore(
        config: Config,
        local: LocalAddresses,
        key: HashKey,
        snapshot: &Snapshot,
    ) -> Self {
        let mut engine = Self::new(config, local, key);
        let doors = engine.doors.len();
        let is_there = |door: DoorIndex| usize::from(door) < doors;
        engine.clock = Clock::of(snapshot.now, snapshot.issued);
        engine.places.import(snapshot.places.iter().filter(|its| is_there(its.door)));
        for its in snapshot.failures.iter().filter(|its| is_there(its.door)) {
            engine.failures.import(its);
        }
        for its in snapshot.cooldowns.iter().filter(|its| is_there(its.door)) {
            engine.cooldowns.import((its.door, SourceKey::new(its.source)), its.until);
        }
        let parse = |section: &String| config::parse(section.as_bytes()).config?.doors.pop();
        let former: Vec<Option<Arc<Door>>> = snapshot.former_doors.iter().map(parse).collect();
        for its in &snapshot.leases {
            let door = match its.door {
                LeasedDoor::Current(door) => is_there(door).then(|| engine.door(door)),
                LeasedDoor::Former(place) => former.get(place).cloned().flatten(),
            };
            if let Some(door) = door {
                let renewed_at = its.renewed_at.filter(|at| is_there(*at));
                engine.leases.import(door, &Lease { renewed_at, ..its.clone() });
            }
        }
        engine.leases.line_up(doors);
        engine.reschedule();
        engine
    }
}

/// The doors of leases that the config does not have, each once.
#[derive(Default)]
struct FormerDoors {
    sections: Vec<String>,
    /// Where each stands, by its address.
    places: HashMap<usize, usize, FixedState>,
}

impl FormerDoors {
    fn place(&mut self, door: &Arc<Door>) -> usize {
        *self.places.entry(Arc::as_ptr(door).addr()).or_insert_with(|| {
            self.sections.push(door.to_string());
            self.sections.len() - 1
        })
    }
}
