//! Lists: entries with commas between them.

use std::ops::Range;

use super::problem::{Problem, Problems};
use super::text::Piece;

/// A kind of list.
pub(super) struct List {
    /// What an entry is, as in "a port is missing".
    pub(super) entry: &'static str,
    /// What an entry can be.
    pub(super) allowed: &'static str,
}

impl List {
    /// Reads every entry; `None` where one of them is missing or wrong.
    pub(super) fn parse<'a, T>(
        &self,
        value: Piece<'a>,
        problems: &mut Problems,
        mut parse_entry: impl FnMut(Piece<'a>, &mut Problems) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut entries = Some(Vec::new());
        for entry in value.split(b',') {
            let parsed = if entry.trim().is_empty() {
                let message = format!("{} is missing", self.entry);
                let help = match value.is_empty() {
                    true => self.allowed.to_owned(),
                    false => format!("a comma has {} on either side", self.entry),
                };
                problems.push(Problem::error(gap(value, entry), message).help(help));
                None
            } else {
                parse_entry(entry.trim(), problems)
            };
            entries = entries.zip(parsed).map(|(mut entries, parsed)| {
                entries.push(parsed);
                entries
            });
        }
        entries
    }
}

/// Returns the comma that an empty entry leaves without a neighbour.
fn gap(value: Piece<'_>, entry: Piece<'_>) -> Range<usize> {
    let (value, entry) = (value.span(), entry.span());
    if entry.start > value.start {
        entry.start - 1..entry.start
    } else if entry.end < value.end {
        entry.end..entry.end + 1
    } else {
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> (Option<Vec<String>>, Vec<(usize, usize)>) {
        let mut problems = Problems::default();
        let list = List { entry: "a word", allowed: "words" };
        let entries = list.parse(Piece::new(text.as_bytes(), 0), &mut problems, |entry, _| {
            Some(entry.to_lower_case())
        });
        let spans = problems.locate(text.as_bytes()).into_iter().map(|problem| problem.span);
        let spans = spans.map(|span| (span.start, span.end));
        (entries, spans.collect())
    }

    #[test]
    fn entries_stand_between_commas() {
        let expected = ["a", "b c"].map(str::to_owned).to_vec();
        assert_eq!(entries("a , b c"), (Some(expected), vec![]));
    }

    #[test]
    fn a_missing_entry_is_a_problem_at_its_comma() {
        assert_eq!(entries("a,"), (None, vec![(1, 2)]));
        assert_eq!(entries(",a"), (None, vec![(0, 1)]));
        assert_eq!(entries("a, ,b,"), (None, vec![(1, 2), (5, 6)]));
        assert_eq!(entries(""), (None, vec![(0, 0)]));
    }
}
