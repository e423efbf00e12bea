//! The results as text for people.

use std::fmt::Write as _;

use comfy_table::{ContentArrangement, Table, presets};
use knock_frontend::escape::Escaped;
use knock_frontend::format::Counted;

use super::result::{Came, CaseResult, Counts, Told};
use crate::report::style::Palette;

/// The most failures of a case that are shown.
pub(super) const MOST: usize = 20;

/// Lays a case out: one line, and for a failure what was expected beside what came, and why.
pub(super) fn case(result: &CaseResult<'_>, palette: &Palette, width: usize) -> String {
    let CaseResult { path, case, came } = result;
    let (style, word) = match came {
        Came::Passed => (palette.good, "ok   "),
        Came::Failed(_) => (palette.bad, "FAIL "),
        Came::Updated(_) => (palette.notable, "NEW  "),
        Came::Troubled(_) => (palette.bad, "ERROR"),
    };
    let (path, name) = (path.to_string_lossy(), Escaped(&case.name));
    let (path, line) = (Escaped(&path), case.line);
    let mut text = format!("{style}{word}{style:#}  {path}:{line}  {name}\n");
    match came {
        Came::Passed => {}
        Came::Troubled(why) => {
            let _ = writeln!(text, "  {}", Escaped(why));
        }
        Came::Failed(failures) | Came::Updated(failures) => {
            append_failures(failures, width, &mut text)
        }
    }
    text
}

fn append_failures(failures: &[Told], width: usize, text: &mut String) {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    let width = u16::try_from(width.saturating_sub(4)).unwrap_or(u16::MAX);
    table.set_width(width.max(30));
    table.set_header(["expected", "got"]);
    for failure in failures.iter().take(MOST) {
        table.add_row([&failure.sides.expected, &failure.sides.got]);
    }
    text.push('\n');
    for line in table.to_string().lines() {
        let _ = writeln!(text, "  {}", line.trim_end());
    }
    if failures.len() > MOST {
        let more = Counted((failures.len() - MOST) as u64, "more difference");
        let _ = writeln!(text, "  and {more}");
    }
    let mut told: Vec<&str> = Vec::new();
    for failure in failures {
        // One attempt can explain two failures: that it was expected, and that it wasn't.
        if failure.why.is_empty() || told.contains(&failure.why.as_str()) {
            continue;
        }
        told.push(&failure.why);
        text.push('\n');
        for line in failure.why.lines() {
            let _ = writeln!(text, "{}", format!("  {line}").trim_end());
        }
    }
    text.push('\n');
}

/// Says how many cases came to what.
pub(super) fn counts(counts: Counts) -> String {
    let mut text = format!("{}: {} passed", Counted(counts.all(), "case"), counts.passed);
    if counts.failed > 0 {
        let _ = write!(text, ", {} failed", counts.failed);
    }
    if counts.updated > 0 {
        let _ = write!(text, ", {} updated", counts.updated);
    }
    if counts.troubled > 0 {
        let _ = write!(text, ", {} could not be run", counts.troubled);
    }
    text.push('\n');
    text
}
