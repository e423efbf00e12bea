//! One-time files: a sequence a line (R44, S12).

use super::problem::{Problem, Problems};
use super::sequence::parse_sequence;
use super::text::lines;
use crate::config::{Diagnostic, OneTimeLine};

/// Parses a one-time file: its unused lines (S12), and what is wrong with the others.
///
/// A line that is empty or begins with `#`, blanks aside, is used up or a comment. A line that is
/// no sequence is skipped with a warning, as in knockd: there are no errors.
#[must_use]
pub fn parse_one_time_lines(text: &[u8]) -> (Vec<OneTimeLine>, Vec<Diagnostic>) {
    let mut problems = Problems::default();
    let mut unused = Vec::new();
    for (number, line) in lines(text) {
        let line = line.trim();
        if line.is_empty() || line.bytes().starts_with(b"#") {
            continue;
        }
        let from = problems.len();
        if let Err(span) = line.as_utf8() {
            problems.push(Problem::error(span, "it is not UTF-8").help(super::SAVE_AS_UTF8));
        } else if let Some(sequence) = parse_sequence(line, &mut problems) {
            unused.push(OneTimeLine { number, sequence });
            continue;
        }
        problems.skip_line(from);
    }
    (unused, problems.locate(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Severity;

    #[test]
    fn unused_lines_keep_their_numbers() {
        let text = b"\xef\xbb\xbf1000,2000\r\n# 3000\n\n  #4000\n 5000:udp , 6000 \n7000";
        let (lines, diagnostics) = parse_one_time_lines(text);
        let lines: Vec<_> =
            lines.iter().map(|line| (line.number, line.sequence.to_string())).collect();
        let expected = [(1, "1000:tcp,2000:tcp"), (5, "5000:udp,6000:tcp"), (6, "7000:tcp")];
        assert_eq!(lines, expected.map(|(number, sequence)| (number, sequence.to_owned())));
        assert_eq!(diagnostics, []);
    }

    #[test]
    fn invalid_lines_are_skipped_with_warnings() {
        let (lines, diagnostics) = parse_one_time_lines(b"99999\n1,0,x\n\xff\n7000 # x\n8000");
        assert_eq!(lines.iter().map(|line| line.number).collect::<Vec<_>>(), [4, 5]);
        let found: Vec<_> = diagnostics.iter().map(|found| (found.line, found.severity)).collect();
        assert_eq!(found, [1, 2, 2, 3, 4].map(|line| (line, Severity::Warning)));
    }
}
