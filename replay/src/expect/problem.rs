//! What is wrong with an expectation file, and where.

use std::io::{self, Write as _};
use std::ops::Range;
use std::path::Path;

use knock_engine::config::{Diagnostic, Replacement, Severity, escape};
use knock_frontend::diagnostics::{self, Colour, Source};

use crate::PROGRAM;

/// The most characters of offending text that a message shows.
const SHOWN: usize = 48;

/// The problems of one file, in the order in which they were found.
pub(super) struct Problems<'a> {
    text: &'a str,
    lines: Lines,
    found: Vec<Diagnostic>,
}

impl<'a> Problems<'a> {
    /// The most that are kept: nobody reads more.
    const MOST: usize = 1_000;

    pub(super) fn new(text: &'a str) -> Self {
        Self { text, lines: Lines::new(text), found: Vec::new() }
    }

    /// Notes what is wrong at a place, and the way out.
    pub(super) fn push(&mut self, span: Range<usize>, message: &str, help: &str) {
        let problem = self.locate(span, message, help);
        self.add(problem);
    }

    /// Notes a problem that was located already.
    pub(super) fn add(&mut self, problem: Diagnostic) {
        if self.found.len() < Self::MOST {
            self.found.push(problem);
        }
    }

    /// Makes a problem without noting it.
    pub(super) fn locate(&self, span: Range<usize>, message: &str, help: &str) -> Diagnostic {
        located(self.text, &self.lines, span, (message, help))
    }

    /// Returns the number of a place's line, counted from 1.
    pub(super) fn line(&self, place: usize) -> usize {
        self.lines.of(place)
    }

    /// Returns the problems in the order of the file.
    pub(super) fn into_found(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|found| (found.line, found.column));
        self.found
    }
}

/// Where the lines of a text begin.
struct Lines(Vec<usize>);

impl Lines {
    fn new(text: &str) -> Self {
        let behind_breaks = text.match_indices('\n').map(|(place, _)| place + 1);
        Self([0].into_iter().chain(behind_breaks).collect())
    }

    /// Returns the number of a place's line, counted from 1.
    fn of(&self, place: usize) -> usize {
        self.0.partition_point(|start| *start <= place)
    }

    fn start(&self, line: usize) -> usize {
        self.0.get(line.saturating_sub(1)).copied().unwrap_or_default()
    }
}

/// Makes a problem of a message, which may have anything in it.
pub(super) fn locate(text: &str, span: Range<usize>, message: &str, help: &str) -> Diagnostic {
    located(text, &Lines::new(text), span, (message, help))
}

fn located(
    text: &str,
    lines: &Lines,
    span: Range<usize>,
    (message, help): (&str, &str),
) -> Diagnostic {
    let start = floor(text, span.start);
    let end = floor(text, span.end).max(start);
    let line = lines.of(start);
    Diagnostic {
        severity: Severity::Error,
        span: start..end,
        line,
        column: text[lines.start(line)..start].chars().count() + 1,
        message: printable(message),
        help: Some(printable(help)),
        replacement: None,
    }
}

/// Adds the name that was probably meant, if one of these is near.
pub(super) fn suggest<'a>(
    text: &str,
    mut problem: Diagnostic,
    wrong: &str,
    names: impl Iterator<Item = &'a str>,
) -> Diagnostic {
    let near = names.map(|name| (strsim::jaro_winkler(wrong, name), name));
    let nearest = near.filter(|(likeness, _)| *likeness > 0.8);
    if let Some((_, name)) = nearest.max_by(|one, other| one.0.total_cmp(&other.0)) {
        problem.replacement =
            Some(Replacement { span: unquoted(text, &problem.span), text: name.to_owned() });
    }
    problem
}

/// Returns a string's place without its quotes.
fn unquoted(text: &str, span: &Range<usize>) -> Range<usize> {
    let is_quoted =
        text.get(span.clone()).is_some_and(|it| it.len() > 1 && it.starts_with(['"', '\'']));
    if is_quoted { span.start + 1..span.end - 1 } else { span.clone() }
}

/// Quotes offending text for a message, cut where it is long.
pub(super) fn quote(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push_str("...");
    }
    format!("\"{}\"", escape(shown.as_bytes()))
}

/// Shows problems with their lines on standard error.
pub(super) fn show(path: &Path, text: &[u8], problems: &[Diagnostic]) {
    let coloured = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
    let colour = if coloured { Colour::Always } else { Colour::Never };
    let shown = diagnostics::render(PROGRAM, Source { path, text }, problems, colour);
    // Where standard error is closed there is nobody left to tell.
    let _ = io::stderr().lock().write_all(shown.as_bytes());
}

/// Returns the beginning of the character that a byte belongs to, or the end of the text.
fn floor(text: &str, place: usize) -> usize {
    let place = place.min(text.len());
    (0..=place).rev().find(|place| text.is_char_boundary(*place)).unwrap_or(0)
}

/// A message of ours has quotes of its own; what it quotes is escaped already, and what another
/// library quoted is made harmless here.
fn printable(text: &str) -> String {
    let fits = |character: char| !knock_frontend::escape::is_unsafe(character);
    text.chars().map(|it| if fits(it) { it } else { char::REPLACEMENT_CHARACTER }).collect()
}
