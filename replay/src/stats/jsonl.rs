//! Statistics as lines of JSON. `docs/FORMATS.md` describes every field.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use knock_frontend::escape::append_json_line;
use serde::Serialize;

use super::facts::{DoorFacts, Facts};
use super::spans::Spans;
use super::watch::Habits;

/// Returns a line for each door, each followed by those of its sources, and the summary.
pub(super) fn lines(facts: &Facts) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for door in &facts.doors {
        append_json_line(&mut lines, &DoorLine::new(door))?;
        for (source, habits) in &door.sources {
            let line = SourceLine {
                event: "stats_source",
                door: &door.door.name,
                source: *source,
                opens: habits.opens,
                habits: HabitsPart::new(habits),
            };
            append_json_line(&mut lines, &line)?;
        }
    }
    let doors = facts.doors.len() as u64;
    let summary = SummaryLine { event: "stats_summary", doors, complete: facts.is_complete };
    append_json_line(&mut lines, &summary)?;
    Ok(lines)
}

#[derive(Serialize)]
struct DoorLine<'a> {
    event: &'static str,
    door: &'a str,
    seq_timeout_ns: u64,
    attempts: u64,
    opens: u64,
    accidental: u64,
    sources: u64,
    #[serde(flatten)]
    habits: HabitsPart,
    knocks: SpansPart,
    slow: u64,
    broken: u64,
    asked_seq_timeout_ns: Option<u64>,
    opens_when_asked: Option<u64>,
    asked_delay_ns: Option<u64>,
}

impl<'a> DoorLine<'a> {
    fn new(facts: &'a DoorFacts) -> Self {
        Self {
            event: "stats_door",
            door: &facts.door.name,
            seq_timeout_ns: nanos(facts.door.seq_timeout),
            attempts: facts.attempts,
            opens: facts.opens,
            accidental: facts.accidental,
            sources: facts.source_count as u64,
            habits: HabitsPart::new(&facts.habits),
            knocks: SpansPart::new(&facts.knocks),
            slow: facts.slow,
            broken: facts.broken,
            asked_seq_timeout_ns: facts.asked_window.map(nanos),
            opens_when_asked: facts.opens_when_asked,
            asked_delay_ns: facts.asked_delay().map(nanos),
        }
    }
}

#[derive(Serialize)]
struct SourceLine<'a> {
    event: &'static str,
    door: &'a str,
    source: IpAddr,
    opens: u64,
    #[serde(flatten)]
    habits: HabitsPart,
}

#[derive(Serialize)]
struct HabitsPart {
    failed: u64,
    lost: u64,
    repeats: u64,
    duplicates: u64,
    overtaken: u64,
    longest_lag_ns: u64,
    gaps: SpansPart,
}

impl HabitsPart {
    fn new(habits: &Habits) -> Self {
        Self {
            failed: habits.failed,
            lost: habits.lost,
            repeats: habits.repeats,
            duplicates: habits.duplicates,
            overtaken: habits.overtaken,
            longest_lag_ns: nanos(habits.longest_lag),
            gaps: SpansPart::new(&habits.gaps),
        }
    }
}

#[derive(Serialize)]
struct SpansPart {
    number: u64,
    p50_ns: Option<u64>,
    p90_ns: Option<u64>,
    p99_ns: Option<u64>,
    max_ns: Option<u64>,
}

impl SpansPart {
    fn new(spans: &Spans) -> Self {
        let known = |span: Duration| (spans.number() > 0).then(|| nanos(span));
        Self {
            number: spans.number(),
            p50_ns: known(spans.percentile(50)),
            p90_ns: known(spans.percentile(90)),
            p99_ns: known(spans.percentile(99)),
            max_ns: known(spans.longest()),
        }
    }
}

/// The last line.
#[derive(Serialize)]
struct SummaryLine {
    event: &'static str,
    doors: u64,
    complete: bool,
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
