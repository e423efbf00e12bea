//! A block of the text report, and how it is laid out.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use anstyle::Style;
use knock_engine::output::Progress;
use knock_engine::packet::Packet;
use knock_engine::time::Timestamp;

use super::Origin;
use super::advice::{self, Port};
use super::memory::{Again, Strays};
use super::style::Palette;
use knock_frontend::escape::Escaped;
use knock_frontend::format::{Clock, Count, Span, Times};

/// The number of a block, in the order in which blocks are made.
pub(super) type BlockId = u64;

/// What one attempt came to, or something else worth a line of its own.
#[derive(Debug)]
pub(super) struct Block {
    /// When it came to that.
    pub(super) at: Timestamp,
    /// The source; `None` where it isn't about one.
    pub(super) source: Option<IpAddr>,
    /// The door's name.
    pub(super) door: Option<String>,
    pub(super) mood: Mood,
    pub(super) verdict: String,
    pub(super) rows: Vec<Row>,
    pub(super) notes: Vec<Note>,
    /// Until when it waits for something that would explain it better.
    pub(super) hold_until: Timestamp,
    /// How many attempts this block stands for, where it is one of those that are told together.
    pub(super) lone: Option<Lone>,
}

impl Block {
    pub(super) fn new(at: Timestamp, mood: Mood, verdict: impl Into<String>) -> Self {
        Self {
            at,
            source: None,
            door: None,
            mood,
            verdict: verdict.into(),
            rows: Vec::new(),
            notes: Vec::new(),
            hold_until: Timestamp::ZERO,
            lone: None,
        }
    }
}

/// An attempt that ended at its first knock, of which there is nothing else to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lone {
    pub(super) end: LoneEnd,
    pub(super) attempts: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoneEnd {
    TimedOut,
    Evicted,
}

/// What a block's verdict means to the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Plain,
    Good,
    Bad,
    Notable,
    Strong,
    Faint,
}

/// A line below a block's head that tells a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Row {
    Knock(Hit),
    /// The packet that broke the attempt.
    Broke(Hit),
    Again(Again),
    Strays(Strays),
    /// How often the attempt began anew before the knocks that follow.
    Restarts(u64),
}

/// A packet and how the attempt stood when it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) port: Port,
    pub(super) stage: u8,
    pub(super) gap: Option<Duration>,
    pub(super) elapsed: Duration,
    pub(super) margin: Duration,
    pub(super) origin: Option<Origin>,
}

impl Hit {
    pub(super) fn new(packet: &Packet, progress: &Progress, origin: Option<Origin>) -> Self {
        Self {
            port: Port(packet.protocol(), packet.destination_port),
            stage: progress.stage,
            gap: progress.gap,
            elapsed: progress.elapsed,
            margin: progress.margin,
            origin,
        }
    }
}

/// A line below the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// A command that would run; never wrapped, so that it can be copied.
    Runs(String),
    /// An explanation; wrapped.
    Text(String),
}

/// How the rows of a block share their columns.
#[derive(Default)]
struct Columns {
    mark: usize,
    port: usize,
    gap: usize,
    elapsed: usize,
    margin: usize,
}

/// Lays blocks out as text.
#[derive(Debug)]
pub(super) struct Printer {
    pub(super) palette: Palette,
    /// The columns of the terminal.
    pub(super) width: usize,
    /// The traces' names, escaped; frames bear them where there are several.
    pub(super) traces: Vec<String>,
    pub(super) clock: Clock,
    date: String,
    last: Option<Shape>,
}

/// Whether a block was one line; blocks of more lines stand apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Line,
    Lines,
}

impl Printer {
    /// Rows stand below the source: behind the time and two blanks.
    const INDENT: usize = 14;

    pub(super) fn new(palette: Palette, width: usize, traces: &[String]) -> Self {
        Self {
            palette,
            width: width.max(40),
            traces: traces.iter().map(|trace| Escaped(trace).to_string()).collect(),
            clock: Clock::default(),
            date: String::new(),
            last: None,
        }
    }

    /// Tells whether any block was laid out.
    pub(super) const fn has_printed(&self) -> bool {
        self.last.is_some()
    }

    /// Appends a block, with the date and the blank line that go before it.
    pub(super) fn append(&mut self, block: &Block, text: &mut String) {
        let has_more = !block.rows.is_empty() || !block.notes.is_empty();
        let shape = if has_more { Shape::Lines } else { Shape::Line };
        let same_day = self.clock.date(block.at) == self.date;
        if self.last.is_some_and(|last| !same_day || last == Shape::Lines || shape == Shape::Lines)
        {
            text.push('\n');
        }
        if !same_day {
            self.clock.date(block.at).clone_into(&mut self.date);
            let faint = self.palette.faint;
            let _ = writeln!(text, "{faint}{}, times in UTC{faint:#}\n", self.date);
        }
        self.last = Some(shape);
        self.append_head(block, text);
        self.append_rows(&block.rows, text);
        for note in &block.notes {
            self.append_note(note, text);
        }
    }

    fn append_head(&mut self, block: &Block, text: &mut String) {
        let mut parts = vec![(self.clock.time(block.at), self.palette.faint)];
        let folded = block.lone.map_or(1, |lone| lone.attempts);
        if folded > 1 {
            parts.push((format!("{} more attempts", Count(folded)), Style::new()));
        } else if let Some(source) = block.source {
            parts.push((source.to_string(), Style::new()));
        }
        if let Some(door) = &block.door {
            parts.push((Escaped(door).to_string(), self.palette.strong));
        }
        let mut used = 0;
        for (part, style) in &parts {
            let _ = write!(text, "{style}{part}{style:#}  ");
            used += part.chars().count() + 2;
        }
        let style = match block.mood {
            Mood::Plain => Style::new(),
            Mood::Good => self.palette.good,
            Mood::Bad => self.palette.bad,
            Mood::Notable => self.palette.notable,
            Mood::Strong => self.palette.strong,
            Mood::Faint => self.palette.faint,
        };
        if used + block.verdict.chars().count() <= self.width {
            let _ = writeln!(text, "{style}{}{style:#}", block.verdict);
            return;
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
        self.append_wrapped(&block.verdict, style, text);
    }

    fn append_rows(&self, rows: &[Row], text: &mut String) {
        let columns = Columns::fit(rows);
        for row in rows {
            match row {
                Row::Knock(hit) => self.append_hit(hit, &columns, &hit.stage.to_string(), text),
                Row::Broke(hit) => self.append_hit(hit, &columns, "x", text),
                Row::Again(again) => {
                    let port = Port(again.protocol, again.port);
                    let told = if again.retransmitted {
                        advice::retransmitted(port, again.count)
                    } else {
                        advice::repeated(port, again.count)
                    };
                    self.append_wrapped(&told, self.palette.faint, text);
                }
                Row::Restarts(number) => {
                    let told = format!("the source began anew {}; the last try:", Times(*number));
                    self.append_wrapped(&told, self.palette.faint, text);
                }
                Row::Strays(strays) => {
                    self.append_wrapped(&advice::strays(strays), self.palette.faint, text);
                }
            }
        }
    }

    fn append_hit(&self, hit: &Hit, columns: &Columns, mark: &str, text: &mut String) {
        let Columns { mark: digits, port, gap, elapsed, margin } = columns;
        let faint = self.palette.faint;
        let bad = if mark == "x" { self.palette.bad } else { Style::new() };
        let _ = write!(text, "{:1$}", "", Self::INDENT);
        let _ = write!(text, "{bad}{mark:>digits$}  {:port$}{bad:#}", hit.port.to_string());
        let gap_text = hit.gap.map(gap_text).unwrap_or_default();
        let _ = write!(text, "  {gap_text:>gap$}  {:>elapsed$}", Span(hit.elapsed));
        let _ = write!(text, "  {:>margin$} left", Span(hit.margin));
        if let Some(origin) = hit.origin {
            let _ = write!(text, "  {faint}{}{faint:#}", self.frame(origin));
        }
        text.push('\n');
    }

    /// Names a frame: by its number, and by its trace too where there are several.
    pub(super) fn frame(&self, origin: Origin) -> String {
        match self.traces.get(origin.trace).filter(|_| self.traces.len() > 1) {
            Some(name) => format!("{name}:{}", origin.frame),
            None => format!("frame {}", origin.frame),
        }
    }

    fn append_note(&self, note: &Note, text: &mut String) {
        let faint = self.palette.faint;
        match note {
            Note::Runs(command) => {
                let command = Escaped(command);
                let _ = writeln!(text, "{:1$}{faint}runs{faint:#}  {command}", "", Self::INDENT);
            }
            Note::Text(told) => self.append_wrapped(told, Style::new(), text),
        }
    }

    /// Appends a sentence below the head, broken between words where the terminal ends.
    pub(super) fn append_wrapped(&self, told: &str, style: Style, text: &mut String) {
        let room = self.width.saturating_sub(Self::INDENT).max(20);
        for line in wrap(told, room) {
            let _ = writeln!(text, "{:1$}{style}{line}{style:#}", "", Self::INDENT);
        }
    }
}

impl Columns {
    fn fit(rows: &[Row]) -> Self {
        let mut columns = Self::default();
        for row in rows {
            let (Row::Knock(hit) | Row::Broke(hit)) = row else { continue };
            let length = |text: &str| text.chars().count();
            let gap = hit.gap.map(gap_text).unwrap_or_default();
            columns.mark = columns.mark.max(length(&hit.stage.to_string()));
            columns.port = columns.port.max(length(&hit.port.to_string()));
            columns.gap = columns.gap.max(length(&gap));
            columns.elapsed = columns.elapsed.max(length(&Span(hit.elapsed).to_string()));
            columns.margin = columns.margin.max(length(&Span(hit.margin).to_string()));
        }
        columns
    }
}

fn gap_text(gap: Duration) -> String {
    format!("+{}", Span(gap))
}

/// Breaks text between words into lines of at most `width` characters; a longer word stays whole.
/// A number and its unit count as one word, and so do `frame` and its number.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut words = text.split(' ').peekable();
    while let Some(word) = words.next() {
        let mut piece = word.to_owned();
        while let Some(next) = words.next_if(|next| belongs_together(&piece, next)) {
            piece.push(' ');
            piece.push_str(next);
        }
        if !line.is_empty() && line.chars().count() + 1 + piece.chars().count() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&piece);
    }
    lines.push(line);
    lines
}

fn belongs_together(piece: &str, next: &str) -> bool {
    const UNITS: [&str; 7] = ["ns", "µs", "ms", "s", "min", "h", "d"];
    let unit = next.trim_end_matches([',', '.', ';', ':', ')']);
    let after_number = piece.ends_with(|last: char| last.is_ascii_digit());
    (after_number && UNITS.contains(&unit)) || piece.ends_with("frame")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_never_before_a_unit() {
        let text = "came 1.4 s after the window of 5 s: see (frame 8)";
        let expected = ["came", "1.4 s", "after the", "window of", "5 s: see", "(frame 8)"];
        assert_eq!(wrap(text, 9), expected);
        assert_eq!(wrap("", 9), [""]);
        assert_eq!(wrap("unbreakable", 3), ["unbreakable"]);
    }
}
