//! Collects problems while the text is read, and finds their lines and columns at the end.

use std::ops::Range;

use super::locator::Locator;
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
        let mut locator = Locator::new(text);
        let diagnostics = self.0.into_iter().map(|problem| {
            let (line, column) = locator.locate(problem.span.start);
            Diagnostic {
                severity: problem.severity,
                span: problem.span,
                line,
                column,
                message: problem.message,
                help: problem.help,
                replacement: problem.replacement,
            }
        });
        diagnostics.collect()
    }
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
    fn problems_come_in_the_order_of_the_text() {
        assert_eq!(places(b"a\nb\nc", &[4, 0, 2, 0]), [(1, 1), (1, 1), (2, 1), (3, 1)]);
    }
}
