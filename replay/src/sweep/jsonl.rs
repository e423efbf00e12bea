//! A sweep as lines of JSON. `docs/FORMATS.md` describes every field.

use std::io;
use std::time::Duration;

use knock_frontend::escape::append_json_line;
use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::Sweep;
use super::key::{Key, Value};
use super::outcome::Row;

/// Returns a line for each run, and the summary.
pub(super) fn lines(sweep: &Sweep) -> io::Result<Vec<u8>> {
    let keys: Vec<Key> = sweep.axes.iter().map(|axis| axis.key).collect();
    let mut lines = Vec::new();
    let door = sweep.door().name.as_str();
    for row in &sweep.outcome.rows {
        append_json_line(&mut lines, &RunLine::new(door, &keys, row))?;
    }
    let smallest = sweep.outcome.smallest.iter().map(|its| set(&keys, its)).collect();
    let summary = SummaryLine {
        event: "sweep_summary",
        door,
        runs: sweep.outcome.rows.len() as u64,
        scanner: sweep.scanner,
        honest_today: sweep.outcome.honest_today,
        smallest,
        complete: sweep.is_complete,
    };
    append_json_line(&mut lines, &summary)?;
    Ok(lines)
}

/// What came of one combination of values.
#[derive(Serialize)]
struct RunLine<'a> {
    event: &'static str,
    door: &'a str,
    set: Map<String, Json>,
    today: bool,
    honest: u64,
    accidental: u64,
    lost: u64,
    attempts: u64,
    timeouts: u64,
    resets: u64,
    evicted: u64,
    lockouts: u64,
    renewals: u64,
    suppressed: u64,
    refused: u64,
    open_ns: u64,
}

impl<'a> RunLine<'a> {
    fn new(door: &'a str, keys: &[Key], row: &Row) -> Self {
        let counts = row.counts;
        Self {
            event: "sweep_run",
            door,
            set: set(keys, &row.settings),
            today: row.is_today,
            honest: row.honest,
            accidental: row.accidental,
            lost: row.lost,
            attempts: counts.attempts,
            timeouts: counts.timeouts,
            resets: counts.resets,
            evicted: counts.evicted,
            lockouts: counts.lockouts,
            renewals: counts.renewals,
            suppressed: counts.suppressed,
            refused: counts.refused,
            open_ns: counts.open_ns,
        }
    }
}

/// The last line.
#[derive(Serialize)]
struct SummaryLine<'a> {
    event: &'static str,
    door: &'a str,
    runs: u64,
    scanner: u16,
    honest_today: u64,
    smallest: Vec<Map<String, Json>>,
    complete: bool,
}

fn set(keys: &[Key], values: &[Value]) -> Map<String, Json> {
    let json = |value: &Value| match value {
        Value::Span(span) => nanos(*span).into(),
        Value::Number(number) => (*number).into(),
        Value::Off => Json::Null,
    };
    let each = keys.iter().zip(values);
    each.map(|(key, value)| (key.json_name().to_owned(), json(value))).collect()
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
