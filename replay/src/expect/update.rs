//! `--update`: what happened becomes what is expected. Comments and layout stay.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use knock_frontend::escape::Escaped;
use similar::{ChangeTag, TextDiff};
use tempfile::NamedTempFile;
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, TableLike, Value};

use super::entry::{self, Entry, number};
use super::file::{self, Case, Expectation};
use super::matching::{self, Failure, Tally};
use super::seen::Seen;
use super::span;
use crate::report::style::Palette;

/// The keys of an open time.
const STAY_KEYS: [&str; 3] = ["open_for", "open_at_least", "open_at_most"];

/// A file whose expectations change.
pub(super) struct Update<'a> {
    path: &'a Path,
    old: &'a str,
    document: Option<DocumentMut>,
}

impl<'a> Update<'a> {
    pub(super) const fn new(path: &'a Path, old: &'a str) -> Self {
        Self { path, old, document: None }
    }

    /// Makes a case expect what happened.
    ///
    /// # Errors
    ///
    /// The file can't be changed so that the case passes. It stays as it was.
    pub(super) fn accept(
        &mut self,
        (index, case): (usize, &Case),
        failures: &[Failure],
        seen: &Seen,
    ) -> anyhow::Result<()> {
        let name = self.path.display();
        let mut document = match self.document.take() {
            Some(document) => document,
            None => self.old.parse().with_context(|| format!("{name}: no TOML"))?,
        };
        let before = document.clone();
        let changed = change(&mut document, (index, case), failures, seen)
            .and_then(|()| check(&document.to_string(), index, seen));
        self.document = Some(if changed.is_ok() { document } else { before });
        changed.with_context(|| format!("{name}:{}: cannot update the case", case.line))
    }

    /// Writes the file, if anything changed, and returns the change to show it.
    ///
    /// # Errors
    ///
    /// The file can't be written; it is as it was then.
    pub(super) fn finish(self, palette: &Palette) -> anyhow::Result<String> {
        let Some(new) = self.document.map(|document| document.to_string()) else {
            return Ok(String::new());
        };
        replace(self.path, &new)
            .with_context(|| format!("{}: cannot write the update", self.path.display()))?;
        Ok(shown(self.path, self.old, &new, palette))
    }
}

/// Puts a whole new file in the place of the old one, with its permissions.
fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    // Through a link the file that it stands for is replaced, not the link.
    let path = fs::canonicalize(path)?;
    let folder = path.parent().context("it has no folder")?;
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(fs::metadata(&path)?.permissions())?;
    file.as_file().sync_all()?;
    file.persist(&path)?;
    Ok(())
}

/// Shows the lines that changed, with those around them.
fn shown(path: &Path, old: &str, new: &str, palette: &Palette) -> String {
    let diff = TextDiff::from_lines(old, new);
    let path = path.to_string_lossy();
    let mut text = format!("\nupdated {}\n", Escaped(&path));
    for hunk in diff.unified_diff().context_radius(2).iter_hunks() {
        text.push_str(&format!("{}\n", hunk.header()));
        for line in hunk.iter_changes() {
            let (sign, style) = match line.tag() {
                ChangeTag::Equal => (' ', palette.faint),
                ChangeTag::Delete => ('-', palette.bad),
                ChangeTag::Insert => ('+', palette.good),
            };
            let content = line.value().trim_end_matches(['\n', '\r']);
            let told = format!("{sign}{}", Escaped(content));
            text.push_str(&format!("{style}{}{style:#}\n", told.trim_end()));
        }
    }
    text
}

/// Checks that the case passes now.
fn check(text: &str, index: usize, seen: &Seen) -> anyhow::Result<()> {
    let cases = file::parse(text).map_err(|found| match found.first() {
        Some(first) => anyhow!("{first}"),
        None => anyhow!("it has errors"),
    })?;
    let case = cases.get(index).context("the case is gone")?;
    if !matching::compare(case, seen).is_empty() {
        bail!("what happened can't be written as expectations of these: change them by hand");
    }
    Ok(())
}

fn change(
    document: &mut DocumentMut,
    (index, case): (usize, &Case),
    failures: &[Failure],
    seen: &Seen,
) -> anyhow::Result<()> {
    let table = case_table(document, index).context("its table is not there")?;
    let expect = table.get_mut("expect").context("it has no expect")?;
    let mut gone = Vec::new();
    let mut widened: Vec<&Expectation> = Vec::new();
    for failure in failures {
        match failure {
            Failure::Count { expectation, got, elsewhere } => {
                let wants = &case.expect[*expectation];
                let table = entry_table(expect, *expectation).context("an entry is gone")?;
                if got.count == 0 && elsewhere.count > 0 {
                    widened.push(wants);
                    set_window(table, elsewhere);
                    set_count(table, elsewhere.count);
                    set_stay(table, wants, elsewhere);
                } else if got.count == 0 && case.exhaustive.contains(&wants.event) {
                    gone.push(*expectation);
                } else {
                    set_count(table, got.count);
                }
            }
            Failure::Stay { expectation, all, .. } => {
                let table = entry_table(expect, *expectation).context("an entry is gone")?;
                set_stay(table, &case.expect[*expectation], all);
            }
            Failure::Unexpected { .. } => {}
        }
    }
    for expectation in gone.into_iter().rev() {
        remove(expect, expectation);
    }
    for entry in unexpected(failures, seen) {
        if !widened.iter().any(|wants| covers(wants, &entry)) {
            add(expect, &entry);
        }
    }
    if matches!(expect, Item::ArrayOfTables(tables) if tables.is_empty()) {
        table.remove("expect");
        table.insert("expect", Item::Value(Array::new().into()));
    }
    Ok(())
}

/// Makes entries of what nobody expected; a crowd at a door shares one, which counts everybody.
fn unexpected(failures: &[Failure], seen: &Seen) -> Vec<Entry> {
    let mut sources: BTreeMap<(&'static str, Option<usize>), usize> = BTreeMap::new();
    for failure in failures {
        if let Failure::Unexpected { event, door, .. } = failure {
            *sources.entry((event, *door)).or_default() += 1;
        }
    }
    let mut entries = Vec::new();
    for failure in failures {
        let Failure::Unexpected { event, door, source, got } = failure else { continue };
        let of_door = sources.get(&(*event, *door)).copied();
        let name = door.map(|door| seen.door_name(door).to_owned());
        match of_door {
            // Its entry is there already.
            None => {}
            Some(sources_here) if sources_here > entry::MOST_SOURCES => {
                sources.remove(&(*event, *door));
                let tally = everybody(event, *door, seen);
                entries.push(Entry { event, door: name, source: None, tally });
            }
            Some(_) => {
                entries.push(Entry { event, door: name, source: *source, tally: got.clone() });
            }
        }
    }
    entries
}

/// Counts an event at a door, whoever brought it about.
fn everybody(event: &str, door: Option<usize>, seen: &Seen) -> Tally {
    let mut tally = Tally::default();
    for happening in seen.happenings() {
        if happening.event == event && happening.door == door {
            tally.note(seen.offset(happening.at), seen.stay(happening));
        }
    }
    tally
}

/// Tells whether an expectation is about all that an entry tells.
fn covers(wants: &Expectation, entry: &Entry) -> bool {
    let is_its_door = |door: &str| entry.door.as_deref() == Some(door);
    wants.event == entry.event
        && wants.door.as_ref().is_none_or(|door| is_its_door(&door.it))
        && wants.source.is_none_or(|net| entry.source.is_some_and(|its| net.contains(&its)))
}

fn case_table(document: &mut DocumentMut, index: usize) -> Option<&mut dyn TableLike> {
    match document.get_mut("case")? {
        Item::ArrayOfTables(tables) => tables.get_mut(index).map(|it| it as &mut dyn TableLike),
        Item::Value(Value::Array(array)) => {
            array.get_mut(index)?.as_inline_table_mut().map(|it| it as &mut dyn TableLike)
        }
        Item::None | Item::Value(_) | Item::Table(_) => None,
    }
}

fn entry_table(expect: &mut Item, index: usize) -> Option<&mut dyn TableLike> {
    match expect {
        Item::ArrayOfTables(tables) => tables.get_mut(index).map(|it| it as &mut dyn TableLike),
        Item::Value(Value::Array(array)) => {
            array.get_mut(index)?.as_inline_table_mut().map(|it| it as &mut dyn TableLike)
        }
        Item::None | Item::Value(_) | Item::Table(_) => None,
    }
}

/// Sets a key, with what stands around its old value.
fn set(table: &mut dyn TableLike, key: &str, mut value: Value) {
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => {
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        None => {
            table.insert(key, Item::Value(value));
            table.fmt();
        }
    }
}

fn set_count(table: &mut dyn TableLike, count: u64) {
    table.remove("at_least");
    table.remove("at_most");
    // One is what holds without the key; where it is there, its comment may be too.
    if count != 1 || table.contains_key("count") {
        set(table, "count", number(count));
    }
}

fn set_window(table: &mut dyn TableLike, tally: &Tally) {
    let Some((first, last)) = tally.within else { return };
    set(table, "from", span::exact(entry::floor(first)).into());
    set(table, "to", span::exact(entry::ceiling(last)).into());
}

fn set_stay(table: &mut dyn TableLike, wants: &Expectation, tally: &Tally) {
    if wants.open.is_none() {
        return;
    }
    let keys = tally.stay.map(entry::stay_keys).unwrap_or_default();
    for key in STAY_KEYS {
        if !keys.iter().any(|(new, _)| *new == key) {
            table.remove(key);
        }
    }
    for (key, text) in keys {
        set(table, key, text.into());
    }
}

fn remove(expect: &mut Item, index: usize) {
    match expect {
        Item::ArrayOfTables(tables) => {
            tables.remove(index);
        }
        Item::Value(Value::Array(array)) => remove_inline(array, index),
        Item::None | Item::Value(_) | Item::Table(_) => {}
    }
}

/// Removes an entry with the comments above and behind it; one behind the entry before it stands
/// in front of this one, and stays.
fn remove_inline(array: &mut Array, index: usize) {
    let before = prefix(array, index).to_owned();
    array.remove(index);
    let behind = match array.get(index) {
        Some(_) => prefix(array, index),
        None => trailing(array),
    };
    if let (Some((kept, _)), Some(line)) = (before.split_once('\n'), behind.find('\n')) {
        let joined = format!("{}{}", kept.trim_end(), &behind[line..]);
        match array.get_mut(index) {
            Some(next) => next.decor_mut().set_prefix(joined),
            None => array.set_trailing(joined),
        }
    }
    if array.is_empty() && trailing(array).trim().is_empty() {
        array.set_trailing("");
        array.set_trailing_comma(false);
    }
}

/// Returns what stands in front of an entry.
fn prefix(array: &Array, index: usize) -> &str {
    let prefix = array.get(index).and_then(|entry| entry.decor().prefix());
    prefix.and_then(|text| text.as_str()).unwrap_or_default()
}

/// Returns what stands behind the last entry and its comma.
fn trailing(array: &Array) -> &str {
    array.trailing().as_str().unwrap_or_default()
}

fn add(expect: &mut Item, entry: &Entry) {
    match expect {
        Item::ArrayOfTables(tables) => add_table(tables, entry),
        Item::Value(Value::Array(array)) => add_inline(array, entry),
        Item::None | Item::Value(_) | Item::Table(_) => {}
    }
}

fn add_table(tables: &mut ArrayOfTables, entry: &Entry) {
    let mut table = Table::new();
    for (key, value) in entry.table() {
        table.insert(&key, Item::Value(value));
    }
    tables.push(table);
}

fn add_inline(array: &mut Array, entry: &Entry) {
    let mut value = Value::InlineTable(entry.table());
    let is_empty = array.is_empty();
    let first = prefix(array, 0);
    if is_empty || first.contains('\n') {
        let indent = first.rsplit_once('\n').map_or("    ", |(_, indent)| indent);
        let comment = trailing(array).trim_end();
        value.decor_mut().set_prefix(format!("{comment}\n{indent}"));
        array.set_trailing("\n");
        array.set_trailing_comma(true);
    } else {
        value.decor_mut().set_prefix(" ");
    }
    array.push_formatted(value);
}
