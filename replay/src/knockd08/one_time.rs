//! The files of one-time sequences (R44-R49): which line is used, and where the `#` goes.

use super::config::{Knock, Sequence, parse_sequence};
use super::text::{pieces, trim};
use knock_engine::packet::Protocol;

/// Returns the first line that is valid and neither empty nor a comment (R44).
pub(super) fn first_usable(file: &[u8]) -> Option<Sequence> {
    usable_lines(file).find_map(|line| line.sequence)
}

/// Finds the byte that the `#` for a used sequence overwrites, with the original's two errors.
///
/// The line is searched by a comparison that stops early (R49), and the `#` goes behind the last
/// line before it that was read without complaint: invalid lines directly in front take it in
/// its place (R47). Where no line is found, nothing is overwritten.
pub(super) fn mark_of(file: &[u8], used: &[Knock]) -> Option<usize> {
    let mut mark = 0;
    for line in usable_lines(file) {
        match line.sequence {
            Some(sequence) if looks_equal(&sequence, used) => {
                return Some(mark);
            }
            Some(_) => mark = line.end,
            None if line.is_comment => mark = line.end,
            None => {}
        }
    }
    None
}

struct Line {
    /// `None` for a comment, an empty line and an invalid one.
    sequence: Option<Sequence>,
    is_comment: bool,
    end: usize,
}

fn usable_lines(file: &[u8]) -> impl Iterator<Item = Line> {
    pieces(file).map(|piece| {
        let text = trim(piece.text);
        let is_comment = text.is_empty() || text.starts_with(b"#");
        let sequence = if is_comment { None } else { parse_sequence(text).ok() };
        Line { sequence, is_comment, end: piece.end }
    })
}

/// Compares as the original does: the number of knocks, then that many *bytes* of the ports and
/// of the protocols, each two bytes wide with the low one first (R49).
fn looks_equal(line: &[Knock], used: &[Knock]) -> bool {
    let bytes = used.len();
    let ports = |knocks: &[Knock]| first_bytes(knocks, bytes, |knock| knock.port);
    let protocols = |knocks: &[Knock]| {
        first_bytes(knocks, bytes, |knock| match knock.protocol {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
        })
    };
    line.len() == used.len() && ports(line) == ports(used) && protocols(line) == protocols(used)
}

fn first_bytes(knocks: &[Knock], bytes: usize, field: impl Fn(&Knock) -> u16) -> Vec<u8> {
    knocks.iter().flat_map(|knock| field(knock).to_le_bytes()).take(bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crossed(file: &str, used: &str) -> String {
        let mut text = file.as_bytes().to_vec();
        if let Some(mark) = mark_of(&text, &parse_sequence(used.as_bytes()).unwrap()) {
            text[mark] = b'#';
        }
        String::from_utf8(text).unwrap()
    }

    /// Each expectation was measured: the file as the original left it.
    #[test]
    fn the_mark_goes_where_the_original_puts_it() {
        let cases = [
            (" 1,2\n 3,4\n", "1,2", "#1,2\n 3,4\n"),
            ("\n \n 1,2\n", "1,2", "\n \n#1,2\n"),
            ("   # c\n 1,2\n", "1,2", "   # c\n#1,2\n"),
            ("99999\n1,2\n", "1,2", "#9999\n1,2\n"),
            (" 1,2\n 99999\n 3,4\n 5,6\n", "3,4", " 1,2\n#99999\n 3,4\n 5,6\n"),
            (" 2\n 1\n 257\n 9\n", "257", " 2\n#1\n 257\n 9\n"),
            (" 2\n 1:udp\n 1\n 9\n", "1", " 2\n 1:udp\n#1\n 9\n"),
            (" 9,9\n 1,2,3\n 1,2\n 9\n", "1,2", " 9,9\n 1,2,3\n#1,2\n 9\n"),
            (" 9\n 1,9:udp\n 1,2\n", "1,2", " 9\n#1,9:udp\n 1,2\n"),
            (" 7,8,5,5\n 7,8,9,10\n", "7,8,9,10", "#7,8,5,5\n 7,8,9,10\n"),
            (" 9\n 1,2,3:udp,9,8\n 1,2,3,4,5\n", "1,2,3,4,5", " 9\n 1,2,3:udp,9,8\n#1,2,3,4,5\n"),
            (" 1,2\n", "3,4", " 1,2\n"),
            (" 1,2\r\n 3,4\r\n", "1,2", "#1,2\r\n 3,4\r\n"),
        ];
        for (file, used, expected) in cases {
            assert_eq!(crossed(file, used), expected, "{file:?} {used}");
        }
    }
}
