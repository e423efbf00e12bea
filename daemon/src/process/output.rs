//! What a command prints, as lines for the log, within limits.

/// The longest line that is kept whole, in bytes.
pub(super) const MAX_LINE: usize = 1024;
/// How many lines of a command are kept.
pub(super) const MAX_LINES: usize = 64;
/// How many bytes of a command are kept.
pub(super) const MAX_BYTES: usize = 16 * 1024;

/// Cuts what a command prints into lines, and counts what is too much.
///
/// Empty lines are left out. Every other byte is either in a line or counted, line breaks aside.
#[derive(Debug, Default)]
pub(super) struct Output {
    /// The line that has not ended yet.
    line: Vec<u8>,
    /// How many lines are told, and how many bytes are told or in `line`.
    lines: usize,
    bytes: usize,
    /// How many bytes are neither, since that was last asked.
    dropped: u64,
}

impl Output {
    /// Takes what was read, and tells each line that it completes.
    pub(super) fn push(&mut self, mut bytes: &[u8], say: &mut dyn FnMut(String)) {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            self.extend(&bytes[..end]);
            self.end_line(say);
            bytes = &bytes[end + 1..];
        }
        self.extend(bytes);
    }

    /// Tells the line that has no end yet, because no more is to come for now.
    pub(super) fn end_line(&mut self, say: &mut dyn FnMut(String)) {
        if self.line.is_empty() {
            return;
        }
        let whole = whole_characters(&self.line);
        self.dropped += u64::try_from(self.line.len() - whole).unwrap_or(u64::MAX);
        let line = String::from_utf8_lossy(&self.line[..whole]).into_owned();
        self.line.clear();
        self.lines += 1;
        if !line.is_empty() {
            say(line);
        }
    }

    /// Returns how many bytes were dropped since the last call.
    pub(super) const fn take_dropped(&mut self) -> u64 {
        std::mem::replace(&mut self.dropped, 0)
    }

    fn extend(&mut self, bytes: &[u8]) {
        let left_of_line = MAX_LINE - self.line.len();
        let left = if self.lines < MAX_LINES { MAX_BYTES - self.bytes } else { 0 };
        let (kept, rest) = bytes.split_at(bytes.len().min(left_of_line).min(left));
        self.line.extend_from_slice(kept);
        self.bytes += kept.len();
        self.dropped += u64::try_from(rest.len()).unwrap_or(u64::MAX);
    }
}

/// Returns how much of a line to keep, so that a cut leaves no broken character at its end.
fn whole_characters(line: &[u8]) -> usize {
    match std::str::from_utf8(line) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Ok(_) | Err(_) => line.len(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(pieces: &[&[u8]]) -> (Vec<String>, u64) {
        let (mut output, mut lines) = (Output::default(), Vec::new());
        for piece in pieces {
            output.push(piece, &mut |line| lines.push(line));
        }
        output.end_line(&mut |line| lines.push(line));
        (lines, output.take_dropped())
    }

    #[test]
    fn lines_come_whole_however_they_were_read() {
        let expected = vec!["one".to_owned(), "two".to_owned(), "rest".to_owned()];
        assert_eq!(told(&[b"o", b"ne\n\n", b"", b"two\nre", b"st"]), (expected, 0));
    }

    #[test]
    fn a_long_line_is_cut_between_characters_and_the_rest_is_counted() {
        let long = "ä".repeat(600);
        let (lines, dropped) = told(&[b"x", long.as_bytes(), b"\nnext"]);
        assert_eq!(lines, [format!("x{}", "ä".repeat(511)), "next".to_owned()]);
        assert_eq!(dropped, 1200 - 2 * 511);
    }

    #[test]
    fn what_is_no_text_is_shown_as_such() {
        assert_eq!(told(&[b"a\xffb\n"]), (vec!["a\u{fffd}b".to_owned()], 0));
    }

    proptest! {
        #[test]
        fn every_byte_is_told_or_counted_and_the_limits_hold(
            pieces in prop::collection::vec("[a-z]{0,400}\n{0,2}", 0..200)
        ) {
            let pieces: Vec<_> = pieces.iter().map(|piece| piece.as_bytes()).collect();
            let (lines, dropped) = told(&pieces);
            let (text, mut left) = (pieces.concat(), MAX_BYTES);
            let mut expected = Vec::new();
            let non_empty = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
            for line in non_empty.take(MAX_LINES) {
                let kept = line.len().min(MAX_LINE).min(left);
                left -= kept;
                if kept > 0 {
                    expected.push(String::from_utf8(line[..kept].to_vec()).unwrap());
                }
            }
            let all = text.iter().filter(|&&byte| byte != b'\n').count();
            prop_assert_eq!(u64::try_from(all - (MAX_BYTES - left)).unwrap(), dropped);
            prop_assert_eq!(lines, expected);
        }
    }
}
