//! What the page's script reads: columns rather than objects, for a hundred thousand attempts have
//! to fit into one file. `docs/REPORT.md` describes it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;
use knock_engine::config::{Door, Sequences};
use knock_engine::time::Timestamp;
use knock_frontend::escape::Escaped;
use knock_frontend::format::{Count, Counted};
use serde::Serialize;

use super::book::{Book, Near};
use super::trial::Outcome;
use crate::report::{DoorTotals, Doors, LocalOrigin, Totals};

/// What the page was made of.
pub(super) struct Inputs<'a> {
    pub(super) config: Option<&'a Path>,
    pub(super) traces: &'a [PathBuf],
}

/// Everything on the page. Times are microseconds, and stamps count from `base_ms`.
#[derive(Serialize)]
pub(super) struct Data {
    format: u32,
    config: Option<String>,
    traces: Vec<String>,
    local: LocalOrigin,
    /// Milliseconds since the Unix epoch.
    base_ms: u64,
    first: Option<u64>,
    last: Option<u64>,
    packets: u64,
    notes: Vec<String>,
    doors: Vec<DoorPart>,
    sources: Vec<String>,
    outcomes: Vec<&'static str>,
    nearness: Vec<&'static str>,
    words: Vec<String>,
    kinds: Vec<String>,
    said: Vec<String>,
    records: Records,
    rows: Rows,
    leases: Leases,
    near: NearMisses,
    marks: Vec<(u64, &'static str, Option<usize>)>,
    /// Attempts that are only counted: door, outcome, number.
    omitted: Vec<(usize, usize, u64)>,
}

#[derive(Serialize)]
struct DoorPart {
    name: String,
    /// The sequence; for one-time sequences, how many there are.
    sequence: String,
    window: u64,
    open_for: u64,
    start: Option<String>,
    stop: Option<String>,
    attempts: u64,
    opens: u64,
    renewals: u64,
    timeouts: u64,
    resets: u64,
    evicted: u64,
    lockouts: u64,
    suppressed: u64,
    refused: u64,
    disabled: bool,
}

/// Attempts, in the order in which they began.
#[derive(Default, Serialize)]
struct Records {
    source: Vec<usize>,
    door: Vec<usize>,
    /// Since the record before.
    after: Vec<u64>,
    span: Vec<u64>,
    outcome: Vec<usize>,
    said: Vec<usize>,
    /// How many of the rows are its.
    rows: Vec<usize>,
    /// Records with more rows than the page has, and how many more.
    unlisted: Vec<(usize, u64)>,
}

/// The rows of all records, one record's behind the other's.
#[derive(Default, Serialize)]
struct Rows {
    /// Since the row before, or since the record began.
    after: Vec<u64>,
    words: Vec<usize>,
    /// The packet's number among the kinds, counted from 1; 0 for a deadline.
    kind: Vec<usize>,
    /// What was left of the window, and 1; 0 where the event does not tell it.
    left: Vec<u64>,
    /// 0 for a deadline.
    frame: Vec<u64>,
    /// Empty where there is one trace only.
    trace: Vec<usize>,
}

#[derive(Default, Serialize)]
struct Leases {
    source: Vec<usize>,
    door: Vec<usize>,
    from: Vec<u64>,
    /// How long; `null` where nothing closes it.
    span: Vec<Option<u64>>,
}

/// Near misses, the nearest first.
#[derive(Default, Serialize)]
struct NearMisses {
    record: Vec<usize>,
    near: Vec<usize>,
    said: Vec<usize>,
    /// How many there are, listed or not.
    all: usize,
}

/// The sources by number, in the order in which they come up.
#[derive(Default)]
struct Sources {
    numbers: HashMap<IpAddr, usize, FixedState>,
    all: Vec<String>,
}

impl Sources {
    fn number(&mut self, source: IpAddr) -> usize {
        *self.numbers.entry(source).or_insert_with(|| {
            self.all.push(source.to_string());
            self.all.len() - 1
        })
    }
}

impl Data {
    /// The most near misses that are listed.
    const MAX_NEAR: usize = 10_000;

    pub(super) fn new(inputs: &Inputs<'_>, doors: &Doors, totals: &Totals, book: &Book) -> Self {
        let earliest = book.records().first().map(|record| record.began);
        let earliest = earliest.into_iter().chain(totals.first).min().unwrap_or(Timestamp::ZERO);
        let base_ms = earliest.as_nanos() / 1_000_000;
        let stamp = |at: Timestamp| micros_of(at).saturating_sub(base_ms * 1_000);
        let mut sources = Sources::default();
        let (records, rows) = columns(book, &mut sources, base_ms * 1_000, inputs.traces.len());
        let mut leases = Leases::default();
        for lease in &book.leases {
            leases.source.push(sources.number(lease.source));
            leases.door.push(lease.door);
            leases.from.push(stamp(lease.from));
            let span = lease.until.map(|until| until.saturating_duration_since(lease.from));
            leases.span.push(span.map(micros));
        }
        let pairs = doors.all().iter().zip(&totals.doors);
        Self {
            format: 1,
            config: inputs.config.map(shown),
            traces: inputs.traces.iter().map(shown).collect(),
            local: totals.local,
            base_ms,
            first: totals.first.map(stamp),
            last: totals.last.map(stamp),
            packets: totals.packets,
            notes: notes(totals),
            doors: pairs.map(|(door, totals)| DoorPart::new(door, totals)).collect(),
            sources: sources.all,
            outcomes: Outcome::ALL.map(Outcome::name).to_vec(),
            nearness: Near::ALL.map(Near::name).to_vec(),
            words: escaped(book.words.all()),
            kinds: escaped(book.packets.all()),
            said: escaped(book.said.all()),
            records,
            rows,
            leases,
            near: near_misses(book),
            marks: book.marks.iter().map(|its| (stamp(its.at), its.word, its.door)).collect(),
            omitted: book.omitted().map(|(door, outcome, n)| (door, outcome.index(), n)).collect(),
        }
    }
}

impl DoorPart {
    fn new(door: &Arc<Door>, totals: &DoorTotals) -> Self {
        let sequence = match &door.sequences {
            Sequences::Fixed(sequence) => {
                let knocks = sequence.knocks().iter();
                let knocks = knocks.map(|its| format!("{}/{}", its.port, its.protocol));
                knocks.collect::<Vec<String>>().join(", ")
            }
            Sequences::OneTime { lines, .. } => {
                Counted(lines.len() as u64, "one-time sequence").to_string()
            }
        };
        let text = |command: &Option<knock_engine::config::Command>| {
            command.as_ref().map(|command| Escaped(command.template()).to_string())
        };
        Self {
            name: Escaped(&door.name).to_string(),
            sequence,
            window: micros(door.seq_timeout),
            open_for: micros(door.cmd_timeout),
            start: text(&door.commands.start),
            stop: text(&door.commands.stop),
            attempts: totals.attempts,
            opens: totals.opens,
            renewals: totals.renewals,
            timeouts: totals.timeouts,
            resets: totals.resets.out_of_order + totals.resets.strays + totals.resets.sequence_used,
            evicted: totals.evicted,
            lockouts: totals.lockouts,
            suppressed: totals.suppressed,
            refused: totals.refused,
            disabled: totals.disabled,
        }
    }
}

fn columns(book: &Book, sources: &mut Sources, base: u64, traces: usize) -> (Records, Rows) {
    let (mut records, mut rows) = (Records::default(), Rows::default());
    let mut before = base;
    for (index, record) in book.records().iter().enumerate() {
        let began = micros_of(record.began);
        records.source.push(sources.number(record.source));
        records.door.push(record.door);
        records.after.push(began.saturating_sub(before));
        records.span.push(micros_of(record.ended).saturating_sub(began));
        records.outcome.push(record.outcome.index());
        records.said.push(record.said);
        let its = book.rows(record);
        records.rows.push(its.len());
        if record.unlisted > 0 {
            records.unlisted.push((index, record.unlisted));
        }
        before = began;
        let mut last = began;
        for row in its {
            let at = micros_of(row.at);
            rows.after.push(at.saturating_sub(last));
            last = at.max(last);
            rows.words.push(row.words);
            rows.kind.push(row.packet.map_or(0, |kind| kind + 1));
            rows.left.push(row.left.map_or(0, |left| micros(left) + 1));
            rows.frame.push(row.origin.map_or(0, |origin| origin.frame));
            if traces > 1 {
                rows.trace.push(row.origin.map_or(0, |origin| origin.trace));
            }
        }
    }
    (records, rows)
}

fn near_misses(book: &Book) -> NearMisses {
    let records = book.records().iter().enumerate();
    let mut all: Vec<_> = records.filter_map(|(index, its)| Some((its.near?, index))).collect();
    all.sort_by_key(|(miss, index)| (miss.near, miss.amount, *index));
    let number = all.len();
    all.truncate(Data::MAX_NEAR);
    NearMisses {
        all: number,
        record: all.iter().map(|(_, index)| *index).collect(),
        near: all.iter().map(|(miss, _)| miss.near as usize).collect(),
        said: all.iter().map(|(miss, _)| miss.said).collect(),
    }
}

/// Says what the reader has to know before he believes the page.
fn notes(totals: &Totals) -> Vec<String> {
    let mut notes = Vec::new();
    if totals.local == LocalOrigin::Assumed && totals.packets > 0 {
        notes.push(crate::run::ASSUMED_LOCAL.to_owned());
    }
    if totals.truncated {
        notes.push("a trace is cut off: all before the cut was read".to_owned());
    }
    for damage in &totals.damage {
        let skipped = damage
            .bytes
            .map_or_else(String::new, |bytes| format!("; {} skipped", Counted(bytes, "byte")));
        let (trace, cause) = (Escaped(&damage.trace), Escaped(&damage.cause));
        notes.push(format!("{trace}: damaged at byte {}: {cause}{skipped}", Count(damage.offset)));
    }
    if totals.clock_steps > 0 {
        let steps = knock_frontend::format::Times(totals.clock_steps);
        notes.push(format!("the clock stepped back {steps}: attempts ended there"));
    }
    for (cause, count) in &totals.skipped {
        if !matches!(*cause, "not_ip" | "other_protocol") {
            notes.push(format!("{} could not be decoded: {cause}", Counted(*count, "packet")));
        }
    }
    notes
}

fn shown(path: impl AsRef<Path>) -> String {
    Escaped(&path.as_ref().to_string_lossy()).to_string()
}

fn escaped(texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| Escaped(text).to_string()).collect()
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

fn micros_of(at: Timestamp) -> u64 {
    at.as_nanos() / 1_000
}
