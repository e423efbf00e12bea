//! Statistics as text.

use std::fmt::Write as _;

use anstyle::Style;
use knock_frontend::escape::Escaped;
use knock_frontend::format::{Count, Counted, Span};

use super::facts::{DoorFacts, Facts};
use super::spans::Spans;
use crate::report::style::Palette;

/// Doors are told of up to this number even where nobody knocked.
const MAX_IDLE_TOLD: usize = 16;

/// Returns the page.
pub(super) fn page(facts: &Facts, palette: &Palette) -> String {
    let mut text = String::new();
    let tells_all = facts.doors.len() <= MAX_IDLE_TOLD;
    let is_told = |door: &&DoorFacts| tells_all || door.attempts > 0;
    for door in facts.doors.iter().filter(is_told) {
        if !text.is_empty() {
            text.push('\n');
        }
        title(door, palette, &mut text);
        if door.knocks.number() > 0 {
            times(door, palette, &mut text);
            habits(door, &mut text);
            advice(door, palette, &mut text);
            sources(door, palette, &mut text);
        }
    }
    let idle = facts.doors.iter().filter(|door| !is_told(door)).count();
    if idle > 0 {
        let _ = writeln!(text, "\nand {} that nobody knocked at", Counted(idle as u64, "door"));
    }
    if !facts.is_complete {
        text.push_str("\nnot all of the traces could be read\n");
    }
    text
}

fn title(facts: &DoorFacts, palette: &Palette, text: &mut String) {
    let strong = palette.strong;
    let name = Escaped(&facts.door.name);
    let attempts = Counted(facts.attempts, "attempt");
    let _ = write!(text, "{strong}{name}{strong:#}: {attempts}, {} opened", Count(facts.opens));
    if facts.accidental > 0 {
        let _ = write!(text, " and {} by accident", Count(facts.accidental));
    }
    match facts.source_count {
        0 => text.push_str("; no honest source\n"),
        number => {
            let _ = writeln!(text, "; {}", Counted(number as u64, "honest source"));
        }
    }
}

fn times(facts: &DoorFacts, palette: &Palette, text: &mut String) {
    let faint = palette.faint;
    let _ = writeln!(
        text,
        "\n  {faint}{:13}  {:>9}  {:>9}  {:>9}  {:>9}  {:>9}{faint:#}",
        "", "number", "p50", "p90", "p99", "longest"
    );
    for (name, spans) in [("gaps", &facts.habits.gaps), ("whole knocks", &facts.knocks)] {
        let _ = write!(text, "  {name:13}  {:>9}", Count(spans.number()));
        for span in figures(spans) {
            let _ = write!(text, "  {span:>9}");
        }
        text.push('\n');
    }
}

fn figures(spans: &Spans) -> [String; 4] {
    if spans.number() == 0 {
        return ["-"; 4].map(str::to_owned);
    }
    let percentile = |percent| Span(spans.percentile(percent)).to_string();
    [percentile(50), percentile(90), percentile(99), Span(spans.longest()).to_string()]
}

fn habits(facts: &DoorFacts, text: &mut String) {
    let habits = &facts.habits;
    let _ = writeln!(
        text,
        "\n  {} lost, {} repeated, {} retransmitted, {} overtaken",
        Counted(habits.lost, "knock"),
        Count(habits.repeats),
        Count(habits.duplicates),
        Count(habits.overtaken)
    );
}

/// Says in words what the traffic asks for.
fn advice(facts: &DoorFacts, palette: &Palette, text: &mut String) {
    let window = facts.door.seq_timeout;
    let longest = Span(facts.knocks.longest());
    let asked = facts.asked_window.unwrap_or(window);
    let notable = palette.notable;
    if facts.slow > 0 {
        let _ = writeln!(
            text,
            "  {notable}{} took longer than seq_timeout ({}), up to {longest}{notable:#}",
            Counted(facts.slow, "knock"),
            Span(window)
        );
        let opens = match facts.opens_when_asked {
            Some(1) if facts.slow == 1 => ", with which it opens".to_owned(),
            Some(opens) if opens == facts.slow => ", with which they open".to_owned(),
            Some(opens) => format!(", with which {} of them open", Count(opens)),
            None => String::new(),
        };
        let _ = writeln!(text, "  asks for seq_timeout = {}{opens}", asked.as_secs());
    } else {
        let _ = writeln!(
            text,
            "  asks for seq_timeout = {}; the {} of today are enough",
            asked.as_secs(),
            Span(window)
        );
    }
    if facts.broken > 0 {
        let _ = writeln!(
            text,
            "  {notable}a much longer seq_timeout would break {} that open today{notable:#}",
            Counted(facts.broken, "knock")
        );
    }
    match facts.asked_delay() {
        Some(delay) => {
            let _ = writeln!(
                text,
                "  asks for a delay of {} between knocks: one was overtaken by {}",
                Span(delay),
                Span(facts.habits.longest_lag)
            );
        }
        None => text.push_str("  asks for no delay between knocks: none was overtaken\n"),
    }
}

fn sources(facts: &DoorFacts, palette: &Palette, text: &mut String) {
    if facts.sources.is_empty() {
        return;
    }
    let addresses = facts.sources.iter().map(|(source, _)| source.to_string().len());
    let width = addresses.max().unwrap_or(0).max(6);
    let titles =
        ["opened", "failed", "gap p50", "longest", "lost", "repeated", "retrans.", "overtaken"];
    let faint = palette.faint;
    let _ = write!(text, "\n  {faint}{:width$}", "source");
    for title in titles {
        let _ = write!(text, "  {title:>w$}", w = column(title));
    }
    let _ = writeln!(text, "{faint:#}");
    for (source, habits) in &facts.sources {
        let _ = write!(text, "  {:width$}", source.to_string());
        let [median, .., longest] = figures(&habits.gaps);
        let numbers = [
            Count(habits.opens).to_string(),
            Count(habits.failed).to_string(),
            median,
            longest,
            Count(habits.lost).to_string(),
            Count(habits.repeats).to_string(),
            Count(habits.duplicates).to_string(),
            Count(habits.overtaken).to_string(),
        ];
        for (title, number) in titles.into_iter().zip(numbers) {
            let style = if number == "0" { palette.faint } else { Style::new() };
            let _ = write!(text, "  {style}{number:>w$}{style:#}", w = column(title));
        }
        text.push('\n');
    }
    let more = facts.source_count - facts.sources.len();
    if more > 0 {
        let _ = writeln!(text, "  and {} (--top)", Counted(more as u64, "more source"));
    }
}

const fn column(title: &str) -> usize {
    if title.len() < 7 { 6 } else { title.len() }
}
