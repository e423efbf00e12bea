//! Doors as the config has them, and replacing them (S16).

use std::sync::Arc;

use knock_engine::config::{Config, Door, Sequence, Sequences};

use crate::Reference;

/// A door and how many lines of its one-time file are used.
#[derive(Clone, Debug)]
pub(crate) struct DoorState {
    pub(crate) door: Arc<Door>,
    pub(crate) used_lines: usize,
}

impl DoorState {
    pub(crate) fn new(door: Arc<Door>) -> Self {
        Self { door, used_lines: 0 }
    }

    /// S12: the sequence that opens the door; `None` where no line is left.
    pub(crate) fn sequence(&self) -> Option<&Sequence> {
        match &self.door.sequences {
            Sequences::Fixed(sequence) => Some(sequence),
            Sequences::OneTime { lines, .. } => {
                lines.get(self.used_lines).map(|line| &line.sequence)
            }
        }
    }

    /// The door without the lines that are used.
    pub(crate) fn with_unused_lines(&self) -> Arc<Door> {
        let mut door = self.door.clone();
        if self.used_lines > 0
            && let Sequences::OneTime { lines, .. } = &mut Arc::make_mut(&mut door).sequences
        {
            lines.drain(..self.used_lines);
        }
        door
    }

    /// S16: the part of a door that must be equal for it to count as unchanged: every setting,
    /// and of the one-time lines the current one.
    fn essence(&self) -> Arc<Door> {
        let mut door = self.with_unused_lines();
        if let Sequences::OneTime { lines, .. } = &mut Arc::make_mut(&mut door).sequences {
            lines.truncate(1);
        }
        door
    }
}

impl Reference {
    /// S16: unchanged doors keep what they have, under their new index; what belongs to other
    /// doors goes without events. Leases stay. A lower `max_attempts` or `max_leases` ends no
    /// attempt and no lease by itself; the silent tables shrink at once.
    pub(crate) fn replace_config(&mut self, config: Config) {
        let new_doors: Vec<_> = config.doors.into_iter().map(DoorState::new).collect();
        let new_indices: Vec<_> =
            (0..self.doors.len()).map(|old| self.unchanged(old, &new_doors)).collect();
        let keep = |door: &mut usize| match new_indices[*door] {
            Some(new) => {
                *door = new;
                true
            }
            None => false,
        };
        self.places.retain_mut(|place| keep(&mut place.door));
        self.cooldowns.retain_mut(|cooldown| keep(&mut cooldown.door));
        self.failures.retain_mut(|record| keep(&mut record.door));
        self.doors = new_doors;
        self.options = config.options;
        self.keep_newest_cooldowns();
        self.keep_newest_failures();
    }

    /// S16: where the door with this index stands in the new config, if it did not change.
    fn unchanged(&self, old: usize, new_doors: &[DoorState]) -> Option<usize> {
        let (old_ordinal, essence) = (self.ordinal(old), self.doors[old].essence());
        (0..new_doors.len()).find(|new| {
            ordinal(new_doors, *new) == old_ordinal && new_doors[*new].essence() == essence
        })
    }

    /// Counts the doors of the same name that stand before this one.
    pub(crate) fn ordinal(&self, door: usize) -> usize {
        ordinal(&self.doors, door)
    }
}

fn ordinal(doors: &[DoorState], door: usize) -> usize {
    doors[..door].iter().filter(|before| before.door.name == doors[door].door.name).count()
}
