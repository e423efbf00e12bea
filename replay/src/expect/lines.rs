//! The results as lines of JSON. `docs/FORMATS.md` describes every field.

use std::io;

use knock_frontend::escape::append_json_line;
use serde::Serialize;

use super::coverage::Coverage;
use super::result::{Came, CaseResult, Counts, Told};

#[derive(Serialize)]
struct CaseLine<'a> {
    event: &'static str,
    file: String,
    line: usize,
    name: &'a str,
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differences: Vec<Difference<'a>>,
}

#[derive(Serialize)]
struct Difference<'a> {
    kind: &'static str,
    event: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    door: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    count: u64,
    at_ns: Vec<u64>,
    expected: &'a str,
    got: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    why: &'a str,
}

impl<'a> Difference<'a> {
    fn of(told: &'a Told) -> Self {
        let nanos = |span: &std::time::Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Self {
            kind: told.kind,
            event: told.event,
            door: told.door.as_deref(),
            source: told.source.as_deref(),
            count: told.tally.count,
            at_ns: told.tally.times.iter().map(nanos).collect(),
            expected: &told.sides.expected,
            got: &told.sides.got,
            why: &told.why,
        }
    }
}

/// Appends the line of a case.
///
/// # Errors
///
/// Never, as far as we know: everything in it can be written.
pub(super) fn append_case(result: &CaseResult<'_>, line: &mut Vec<u8>) -> io::Result<()> {
    let (result_name, message, differences) = match &result.came {
        Came::Passed => ("passed", None, [].as_slice()),
        Came::Failed(failures) => ("failed", None, failures.as_slice()),
        Came::Updated(failures) => ("updated", None, failures.as_slice()),
        Came::Troubled(message) => ("error", Some(message.as_str()), [].as_slice()),
    };
    append_json_line(
        line,
        &CaseLine {
            event: "case",
            file: result.path.to_string_lossy().into_owned(),
            line: result.case.line,
            name: &result.case.name,
            result: result_name,
            message,
            differences: differences.iter().map(Difference::of).collect(),
        },
    )
}

#[derive(Serialize)]
struct SummaryLine<'a> {
    event: &'static str,
    cases: u64,
    passed: u64,
    failed: u64,
    updated: u64,
    errors: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    coverage: Option<CoverageLine<'a>>,
}

#[derive(Serialize)]
struct CoverageLine<'a> {
    knocks: u64,
    exercised: u64,
    missing: Vec<MissingDoor<'a>>,
}

#[derive(Serialize)]
struct MissingDoor<'a> {
    config: &'a str,
    door: &'a str,
    knocks: &'a [String],
}

/// Appends the last line.
///
/// # Errors
///
/// Never, as far as we know: everything in it can be written.
pub(super) fn append_summary(
    counts: Counts,
    coverage: Option<&Coverage>,
    line: &mut Vec<u8>,
) -> io::Result<()> {
    let coverage = coverage.map(|coverage| {
        let (knocks, exercised) = coverage.knocks();
        let missing = coverage.missing().map(|(config, door)| MissingDoor {
            config,
            door: &door.name,
            knocks: door.missing(),
        });
        CoverageLine { knocks, exercised, missing: missing.collect() }
    });
    let Counts { passed, failed, updated, troubled } = counts;
    let cases = counts.all();
    let event = "summary";
    append_json_line(
        line,
        &SummaryLine { event, cases, passed, failed, updated, errors: troubled, coverage },
    )
}
