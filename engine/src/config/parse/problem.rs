//! Collects problems while the text is read, and finds their lines and columns at the end.

use std::ops::Range;

use super::text::skip_byte_order_mark;
use crate::config::{Diagnostic, Replacement, Severity};

/// A problem that doesn't know its line yet.
#[derive(Debug)]
pub(super) struct Problem {
    severity: Severity,
    span: Range<usize>,
    message: String,
    help: Option<String>,
    replacement: Option<Replacement>,
}

impl Problem {
    pub(super) fn error(span: Range<usize>, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { severity: Severity::Error, span, message, help: None, replacement: None }
    }

    pub(super) fn warning(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, message) }
    }

    /// Says what is allowed, or what to do.
    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// Says what was probably meant in place of the whole problem.
    pub(super) fn replace(self, text: impl Into<String>) -> Self {
        let span = self.span.clone();
        self.replace_at(span, text)
    }

    /// Says what was probably meant in place of this part of the text.
    pub(super) fn replace_at(self, span: Range<usize>, text: impl Into<String>) -> Self {
        Self { replacement: Some(Replacement { span, text: text.into() }), ..self }
    }

    /// Like [`Problem::replace`], where there is something.
    pub(super) fn replace_with(self, text: Option<impl Into<String>>) -> Self {
        match text {
            Some(text) => self.replace(text),
            None => self,
        }
    }
}

/// The problems found so far.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    pub(super) fn has_errors(&self) -> bool {
        self.0.iter().any(|problem| problem.severity == Severity::Error)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Turns the problems from the `from`th on into warnings about a line that is skipped.
    pub(super) fn skip_line(&mut self, from: usize) {
        for problem in &mut self.0[from..] {
            problem.severity = Severity::Warning;
            problem.message.insert_str(0, "this line is skipped: ");
        }
    }

    /// Puts the problems into the order of the text and finds their lines and columns, in one
    /// pass over the text however many there are.
    pub(super) fn locate(mut self, text: &[u8]) -> Vec<Diagnostic> {
        self.0.sort_by_key(|problem| problem.span.start);
        let mut place =
            Place { line: 1, column: 1, offset: skip_byte_order_mark(text).span().start };
        let diagnostics = self.0.into_iter().map(|problem| {
            place.advance(text, problem.span.start);
            Diagnostic {
                severity: problem.severity,
                span: problem.span,
                line: place.line,
                column: place.column,
                message: problem.message,
                help: problem.help,
                replacement: problem.replacement,
            }
        });
        diagnostics.collect()
    }
}

/// A place in the text, as editors count.
struct Place {
    offset: usize,
    line: usize,
    column: usize,
}

impl Place {
    fn advance(&mut self, text: &[u8], offset: usize) {
        let Some(passed) = text.get(self.offset..offset) else { return };
        self.offset = offset;
        let mut lines = passed.rsplit(|&byte| byte == b'\n');
        let last = lines.next().unwrap_or_default();
        let breaks = lines.count();
        if breaks > 0 {
            self.line += breaks;
            self.column = 1;
        }
        self.column += characters(last);
    }
}

/// Counts characters; bytes that are no UTF-8 count as the replacement characters shown for them.
fn characters(bytes: &[u8]) -> usize {
    let count = |chunk: std::str::Utf8Chunk<'_>| {
        chunk.valid().chars().count() + usize::from(!chunk.invalid().is_empty())
    };
    bytes.utf8_chunks().map(count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &[u8], offsets: &[usize]) -> Vec<(usize, usize)> {
        let mut problems = Problems::default();
        offsets.iter().for_each(|&at| problems.push(Problem::error(at..at, "here")));
        problems.locate(text).iter().map(|problem| (problem.line, problem.column)).collect()
    }

    #[test]
    fn columns_count_characters() {
        let text = "a\n\u{fc}\u{4e2d}x\n\nb".as_bytes();
        assert_eq!(
            places(text, &[0, 1, 2, 4, 7, 8, 9, 10, 11]),
            [(1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (2, 4), (3, 1), (4, 1), (4, 2)]
        );
        assert_eq!(places(b"\xef\xbb\xbfab", &[0, 3, 4]), [(1, 1), (1, 1), (1, 2)]);
        assert_eq!(places(b"\xffab", &[1, 2]), [(1, 2), (1, 3)]);
    }

    #[test]
    fn problems_come_in_the_order_of_the_text() {
        assert_eq!(places(b"a\nb\nc", &[4, 0, 2, 0]), [(1, 1), (1, 1), (2, 1), (3, 1)]);
    }
}
