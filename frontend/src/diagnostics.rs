//! Shows the problems of a config with its lines, for people at a terminal.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Group, Level, Patch, Renderer, Snippet};
use anstyle::Style;
use knock_engine::config::{Diagnostic, Replacement, Severity, escape, is_printable};

use crate::Program;

/// The most problems that are shown; the rest is counted.
const MAX_SHOWN: usize = 100;

/// The most characters of a line that are shown, around the problem.
const MAX_WIDTH: usize = 100;

/// How many characters in front of a problem are shown where its line is too long.
const LEAD: usize = 40;

/// Whether to write escape sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Plain text.
    Never,
    /// Colours, for a terminal that knows them.
    Always,
}

/// The file that problems were found in.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Its path, as the user gave it.
    pub path: &'a Path,
    /// Its text.
    pub text: &'a [u8],
}

/// Shows each problem with its line, a caret and what was probably meant, and then counts them.
/// There is nothing to show where there are no problems.
///
/// At most 100 are shown, errors first in line; the order is that of the file. Whatever bytes
/// path and text have, nothing but printable characters and line breaks comes out, and with
/// [`Colour::Always`] the escape sequences of colours.
#[must_use]
pub fn render(
    program: Program,
    source: Source<'_>,
    diagnostics: &[Diagnostic],
    colour: Colour,
) -> String {
    let mut rendered = String::new();
    if diagnostics.is_empty() {
        return rendered;
    }
    let path = escape(source.path.as_os_str().as_encoded_bytes());
    let path = format!("{}: {path}", program.0);
    let mut line = LineFinder::new(source.text);
    let shown = choose(diagnostics);
    for diagnostic in &shown {
        let line = line.find(diagnostic.line);
        write_one(&mut rendered, &path, diagnostic, &line, colour);
    }
    let hidden = diagnostics.len() - shown.len();
    rendered += &format!("{path}: {}\n", count(diagnostics, hidden));
    rendered
}

/// Chooses the problems to show: errors before warnings, early ones before late ones.
fn choose(diagnostics: &[Diagnostic]) -> Vec<&Diagnostic> {
    let errors = diagnostics.iter().filter(|found| found.severity == Severity::Error).count();
    let mut errors_left = errors.min(MAX_SHOWN);
    let mut warnings_left = MAX_SHOWN - errors_left;
    let mut is_chosen = |found: &&Diagnostic| {
        let left = match found.severity {
            Severity::Error => &mut errors_left,
            Severity::Warning => &mut warnings_left,
        };
        let is_left = *left > 0;
        *left = left.saturating_sub(1);
        is_left
    };
    diagnostics.iter().filter(|found| is_chosen(found)).collect()
}

fn count(diagnostics: &[Diagnostic], hidden: usize) -> String {
    let named = |severity, name| {
        let count = diagnostics.iter().filter(|found| found.severity == severity).count();
        let plural = if count == 1 { "" } else { "s" };
        (count > 0).then(|| format!("{count} {name}{plural}"))
    };
    let counts = [named(Severity::Error, "error"), named(Severity::Warning, "warning")];
    let counts: Vec<_> = counts.into_iter().flatten().collect();
    let hidden = if hidden > 0 { format!(" ({hidden} of them not shown)") } else { String::new() };
    counts.join(", ") + &hidden
}

fn write_one(
    rendered: &mut String,
    path: &str,
    diagnostic: &Diagnostic,
    line: &Line<'_>,
    colour: Colour,
) {
    let (level, name, renderer) = match (diagnostic.severity, colour) {
        (Severity::Error, Colour::Never) => (Level::ERROR, "error", Renderer::plain()),
        (Severity::Error, Colour::Always) => (Level::ERROR, "error", Renderer::styled()),
        (Severity::Warning, Colour::Never) => (Level::WARNING, "warning", Renderer::plain()),
        (Severity::Warning, Colour::Always) => (Level::WARNING, "warning", Renderer::styled()),
    };
    let style = match (diagnostic.severity, colour) {
        (_, Colour::Never) => Style::new(),
        (Severity::Error, _) => annotate_snippets::renderer::DEFAULT_ERROR_STYLE,
        (Severity::Warning, _) => annotate_snippets::renderer::DEFAULT_WARNING_STYLE,
    };
    let Diagnostic { line: number, column, message, help, replacement, .. } = diagnostic;
    *rendered +=
        &format!("{path}:{number}:{column}: {style}{name}{style:#}: {}\n", printable(message));
    let excerpt = Excerpt::new(line, &diagnostic.span);
    let span = excerpt.map(&diagnostic.span);
    let snippet = Snippet::source(excerpt.text.as_str())
        .line_start(*number)
        .annotation(AnnotationKind::Primary.span(span));
    let mut groups = vec![Group::with_level(level).element(snippet)];
    let help = help.as_deref().map(printable);
    match replacement {
        Some(replacement) => groups.push(patch(replacement, help, &excerpt, *number)),
        None => {
            if let (Some(help), Some(group)) = (help, groups.pop()) {
                groups.push(group.element(Level::HELP.message(help)));
            }
        }
    }
    *rendered += &renderer.term_width(2 * MAX_WIDTH).render(&groups);
    rendered.push_str("\n\n");
}

/// Shows the line as it was probably meant.
fn patch<'a>(
    replacement: &Replacement,
    help: Option<String>,
    excerpt: &'a Excerpt,
    number: usize,
) -> Group<'a> {
    let mut title = format!("did you mean \"{}\"?", printable(&replacement.text));
    if let Some(help) = help {
        let _ = write!(title, " ({help})");
    }
    let patch = Patch::new(excerpt.map(&replacement.span), printable(&replacement.text));
    let snippet = Snippet::source(excerpt.text.as_str()).line_start(number).patch(patch);
    Group::with_title(Level::HELP.secondary_title(title)).element(snippet)
}

/// Replaces what a terminal must not get. The engine's messages have nothing of it; this holds
/// whoever made the diagnostic.
fn printable(text: &str) -> String {
    text.chars().map(shown_as).collect()
}

/// Returns the character that stands for this one on a terminal.
fn shown_as(character: char) -> char {
    match character {
        '\t' => ' ',
        _ if is_printable(character) => character,
        _ => char::REPLACEMENT_CHARACTER,
    }
}

/// A line of the text, without its line break.
#[derive(Clone, Copy)]
struct Line<'a> {
    bytes: &'a [u8],
    start: usize,
}

/// Finds lines by number, in one pass as long as the numbers don't fall.
struct LineFinder<'a> {
    text: &'a [u8],
    number: usize,
    line: Line<'a>,
}

impl<'a> LineFinder<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self { text, number: 1, line: Self::line_at(text, 0) }
    }

    /// Returns the line of this number, or the last one.
    fn find(&mut self, number: usize) -> Line<'a> {
        if number < self.number {
            *self = Self::new(self.text);
        }
        while self.number < number {
            let next = self.line.start + self.line.bytes.len() + 1;
            if next > self.text.len() {
                break;
            }
            self.line = Self::line_at(self.text, next);
            self.number += 1;
        }
        self.line
    }

    fn line_at(text: &'a [u8], start: usize) -> Line<'a> {
        let rest = &text[start..];
        let length = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
        Line { bytes: &rest[..length], start }
    }
}

/// The part of a line that is shown, with nothing unprintable in it, and where its characters
/// come from.
struct Excerpt {
    text: String,
    /// For each character that is shown: its place in the file, and its place in `text`. The end
    /// comes last.
    places: Vec<(usize, usize)>,
}

impl Excerpt {
    fn new(line: &Line<'_>, span: &Range<usize>) -> Self {
        let characters = characters(line);
        let at = characters.partition_point(|(place, _)| *place < span.start);
        let first = if characters.len() <= MAX_WIDTH { 0 } else { at.saturating_sub(LEAD) };
        let last = characters.len().min(first + MAX_WIDTH);
        let mut text = String::from(if first > 0 { "..." } else { "" });
        let mut places = Vec::new();
        for (place, character) in &characters[first..last] {
            places.push((*place, text.len()));
            text.push(*character);
        }
        let end = characters.get(last).map_or(line.start + line.bytes.len(), |(place, _)| *place);
        places.push((end, text.len()));
        if last < characters.len() {
            text.push_str("...");
        }
        Self { text, places }
    }

    /// Maps a span of the file to the excerpt, on character boundaries and within it.
    fn map(&self, span: &Range<usize>) -> Range<usize> {
        let start = self.place_of(span.start);
        start..self.place_of(span.end).max(start)
    }

    /// Maps a place in the file to the character that begins there or next.
    fn place_of(&self, place: usize) -> usize {
        let index = self.places.partition_point(|(known, _)| *known < place);
        self.places.get(index).or(self.places.last()).map_or(0, |(_, shown)| *shown)
    }
}

/// Decodes a line into printable characters and their places in the file. What is no UTF-8
/// becomes replacement characters; a byte order mark and the carriage return of a line break
/// don't show.
fn characters(line: &Line<'_>) -> Vec<(usize, char)> {
    let mut characters = Vec::new();
    let mut place = line.start;
    let bytes = line.bytes.strip_suffix(b"\r").unwrap_or(line.bytes);
    for chunk in bytes.utf8_chunks() {
        for (offset, character) in chunk.valid().char_indices() {
            if (place + offset, character) != (0, '\u{feff}') {
                characters.push((place + offset, shown_as(character)));
            }
        }
        place += chunk.valid().len();
        if !chunk.invalid().is_empty() {
            characters.push((place, char::REPLACEMENT_CHARACTER));
        }
        place += chunk.invalid().len();
    }
    characters
}
