//! Expectations of what happened, to be written into a file.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use toml_edit::{InlineTable, Value};

use super::matching::Tally;
use super::seen::Seen;
use super::span;

/// What happened to one source at one door, as an expectation has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) event: &'static str,
    pub(super) door: Option<String>,
    /// `None` for all sources together.
    pub(super) source: Option<IpAddr>,
    pub(super) tally: Tally,
}

/// The events that a recorded case expects: all that decide about who gets in.
pub(super) const RECORDED: [&str; 5] = ["open", "suppressed", "refused", "disabled", "lockout"];

/// The most sources of an event at a door that have entries of their own. More share one, with
/// their number: nobody reads a thousand lines.
pub(super) const MOST_SOURCES: usize = 100;

impl Entry {
    /// Makes entries of everything that happened, in the order in which it came first.
    pub(super) fn all(seen: &Seen) -> Vec<Self> {
        let mut sources: BTreeMap<(&'static str, Option<usize>), BTreeSet<IpAddr>> =
            BTreeMap::new();
        for happening in seen.happenings() {
            let of_door = sources.entry((happening.event, happening.door)).or_default();
            if of_door.len() <= MOST_SOURCES {
                of_door.extend(happening.source);
            }
        }
        let mut entries: Vec<Self> = Vec::new();
        let mut known: BTreeMap<(&'static str, Option<usize>, Option<IpAddr>), usize> =
            BTreeMap::new();
        for happening in seen.happenings() {
            let (event, door) = (happening.event, happening.door);
            let is_crowd = sources.get(&(event, door)).is_some_and(|it| it.len() > MOST_SOURCES);
            let source = happening.source.filter(|_| !is_crowd);
            let index = *known.entry((event, door, source)).or_insert_with(|| {
                let door = door.map(|door| seen.door_name(door).to_owned());
                entries.push(Self { event, door, source, tally: Tally::default() });
                entries.len() - 1
            });
            if let Some(entry) = entries.get_mut(index) {
                entry.tally.note(seen.offset(happening.at), seen.stay(happening));
            }
        }
        entries
    }

    /// Writes it as the file has it: `{ door = "ssh", source = "198.51.100.7", open_for = "10s" }`.
    pub(super) fn table(&self) -> InlineTable {
        let mut table = InlineTable::new();
        if self.event != "open" {
            table.insert("event", self.event.into());
        }
        if let Some(door) = &self.door {
            table.insert("door", door.as_str().into());
        }
        if let Some(source) = self.source {
            table.insert("source", source.to_string().into());
        }
        if self.tally.count != 1 {
            table.insert("count", number(self.tally.count));
        }
        if let Some(range) = self.tally.stay.filter(|_| self.event == "open") {
            for (key, text) in stay_keys(range) {
                table.insert(key, text.into());
            }
        }
        table
    }
}

/// Returns a number as TOML has it.
pub(super) fn number(count: u64) -> Value {
    i64::try_from(count).unwrap_or(i64::MAX).into()
}

/// Returns the keys that admit these open times: exact where all are equal and whole
/// milliseconds, else whole milliseconds around them.
pub(super) fn stay_keys((least, most): (Duration, Duration)) -> Vec<(&'static str, String)> {
    if least == most && least.subsec_nanos().is_multiple_of(1_000_000) {
        return vec![("open_for", span::exact(least))];
    }
    vec![("open_at_least", span::exact(floor(least))), ("open_at_most", span::exact(ceiling(most)))]
}

/// Returns the whole millisecond at or before a span's end.
pub(super) fn floor(span: Duration) -> Duration {
    let beyond = span.subsec_nanos() % 1_000_000;
    span.saturating_sub(Duration::from_nanos(beyond.into()))
}

/// Returns the whole millisecond at or behind a span's end.
pub(super) fn ceiling(span: Duration) -> Duration {
    let whole = floor(span);
    if whole == span { whole } else { whole + Duration::from_millis(1) }
}
