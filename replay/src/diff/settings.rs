//! What differs between two configs, whatever the traffic.

use std::collections::{BTreeMap, HashMap, HashSet};

use knock_engine::config::{Config, Door, Knock, Sequences};

/// What differs between two configs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    /// Options that differ.
    pub(super) options: Vec<Change>,
    /// Doors that only the new config has.
    pub(super) added: Vec<String>,
    /// Doors that only the old config has.
    pub(super) removed: Vec<String>,
    /// Doors whose settings differ.
    pub(super) changed: Vec<(String, Vec<Change>)>,
    /// Sequences that now stand in each other's way.
    pub(super) shadows: Vec<Shadow>,
    /// Whether the old config could not be read as this project's.
    pub(super) is_unknown: bool,
}

/// A setting that differs; `None` where it has no value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Change {
    pub(super) key: String,
    pub(super) old: Option<String>,
    pub(super) new: Option<String>,
}

/// A sequence that is a part of another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Shadow {
    /// The door with the shorter sequence.
    pub(super) part: String,
    /// The door with the longer one, or the same.
    pub(super) whole: String,
    pub(super) kind: ShadowKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum ShadowKind {
    /// Both are the same.
    Same,
    /// One is the beginning of the other.
    Beginning,
    /// One is in the midst or at the end of the other.
    Within,
}

impl Settings {
    /// Compares two configs; `None` where the old one can't be read as this project's.
    pub(super) fn compare(old: Option<&Config>, new: &Config) -> Self {
        let Some(old) = old else { return Self { is_unknown: true, ..Self::default() } };
        let (was, is) = (by_name(old), by_name(new));
        let only_in = |some: &Doors<'_>, others: &Doors<'_>| {
            let names = some.iter().filter(|(key, _)| !others.contains_key(*key));
            names.map(|(_, (_, door))| door.name.clone()).collect()
        };
        let mut changed: Vec<(usize, String, Vec<Change>)> = Vec::new();
        for (key, (place, door)) in &is {
            let Some((_, former)) = was.get(key) else { continue };
            let changes = changes(&former.to_string(), &door.to_string());
            if !changes.is_empty() {
                changed.push((*place, door.name.clone(), changes));
            }
        }
        changed.sort();
        let known: HashSet<Shadow> = shadows(old).into_iter().collect();
        Self {
            options: changes(&old.options.to_string(), &new.options.to_string()),
            added: only_in(&is, &was),
            removed: only_in(&was, &is),
            changed: changed.into_iter().map(|(_, name, changes)| (name, changes)).collect(),
            shadows: shadows(new).into_iter().filter(|shadow| !known.contains(shadow)).collect(),
            is_unknown: false,
        }
    }

    /// Tells whether anything differs.
    pub(super) fn differ(&self) -> bool {
        let counts = [self.options.len(), self.added.len(), self.removed.len(), self.changed.len()];
        counts.iter().sum::<usize>() + self.shadows.len() > 0
    }
}

/// Doors by name, and among those of one name by their number; with their places in the config.
type Doors<'a> = BTreeMap<(&'a str, usize), (usize, &'a Door)>;

fn by_name(config: &Config) -> Doors<'_> {
    let mut namesakes: HashMap<&str, usize> = HashMap::new();
    let doors = config.doors.iter().enumerate().map(|(place, door)| {
        let count = namesakes.entry(&door.name).or_default();
        let key = (door.name.as_str(), *count);
        *count += 1;
        (key, (place, &**door))
    });
    doors.collect()
}

/// Compares two sections line by line, each of a key and its value.
fn changes(old: &str, new: &str) -> Vec<Change> {
    let settings = |text: &str| -> Vec<(String, Option<String>)> {
        let lines = text.lines().skip(1);
        lines
            .map(|line| match line.split_once('=') {
                Some((key, value)) => (key.trim().to_owned(), Some(value.trim().to_owned())),
                None => (line.trim().to_owned(), Some(String::new())),
            })
            .collect()
    };
    let (old, new) = (settings(old), settings(new));
    let value = |settings: &[(String, Option<String>)], key: &str| {
        settings.iter().find(|(name, _)| name == key).and_then(|(_, value)| value.clone())
    };
    let mut keys: Vec<&String> = Vec::new();
    for (key, _) in old.iter().chain(&new) {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let change = |key: &&String| {
        let (old, new) = (value(&old, key), value(&new, key));
        (old != new).then(|| Change { key: (*key).clone(), old, new })
    };
    keys.iter().filter_map(change).collect()
}

/// Returns which sequences are parts of others. Those of one-time files come and go.
fn shadows(config: &Config) -> Vec<Shadow> {
    let sequence = |door: &Door| match &door.sequences {
        Sequences::Fixed(sequence) => Some(sequence.knocks().to_vec()),
        Sequences::OneTime { .. } => None,
    };
    let all: Vec<(&Door, Vec<Knock>)> =
        config.doors.iter().filter_map(|door| Some((&**door, sequence(door)?))).collect();
    let mut by_knocks: HashMap<&[Knock], Vec<usize>> = HashMap::new();
    for (index, (_, knocks)) in all.iter().enumerate() {
        by_knocks.entry(knocks).or_default().push(index);
    }
    let mut found = Vec::new();
    for (index, (whole, knocks)) in all.iter().enumerate() {
        for from in 0..knocks.len() {
            for to in from + 1..=knocks.len() {
                for other in by_knocks.get(&knocks[from..to]).into_iter().flatten() {
                    let kind = match (from, to == knocks.len()) {
                        (0, true) => ShadowKind::Same,
                        (0, false) => ShadowKind::Beginning,
                        (_, _) => ShadowKind::Within,
                    };
                    // Two that are the same are told once.
                    if *other == index || (kind == ShadowKind::Same && *other > index) {
                        continue;
                    }
                    let part = all[*other].0.name.clone();
                    found.push(Shadow { part, whole: whole.name.clone(), kind });
                }
            }
        }
    }
    found.sort();
    found.dedup();
    found
}
