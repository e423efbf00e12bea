//! The text of a config, in pieces that know where they stand.

use std::ops::Range;

use crate::config::escape::quote;

/// A line break is the end of a line; everything else that C's `isspace` takes is a blank.
const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c)
}

/// A stretch of the text, and the byte of the text at which it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    bytes: &'a [u8],
    start: usize,
}

impl<'a> Piece<'a> {
    /// Makes a piece of bytes that stand at `start`.
    pub(super) const fn new(bytes: &'a [u8], start: usize) -> Self {
        Self { bytes, start }
    }

    pub(super) const fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    pub(super) const fn is_empty(self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns where the piece stands in the text.
    pub(super) const fn span(self) -> Range<usize> {
        self.start..self.start + self.bytes.len()
    }

    /// Returns the piece in quotes, fit for a message.
    pub(super) fn quoted(self) -> String {
        quote(self.bytes)
    }

    /// Returns the piece without the blanks at its ends.
    pub(super) fn trim(self) -> Self {
        let blanks = self.bytes.iter().take_while(|&&byte| is_blank(byte)).count();
        let (_, rest) = self.split_at(blanks);
        let tail = rest.bytes.iter().rev().take_while(|&&byte| is_blank(byte)).count();
        rest.split_at(rest.bytes.len() - tail).0
    }

    /// Splits behind the first `length` bytes, of which there are at least as many.
    pub(super) fn split_at(self, length: usize) -> (Self, Self) {
        let (head, tail) = self.bytes.split_at(length);
        (Self::new(head, self.start), Self::new(tail, self.start + length))
    }

    /// Splits at the first `separator`, which belongs to neither side.
    pub(super) fn split_once(self, separator: u8) -> Option<(Self, Self)> {
        let at = self.bytes.iter().position(|&byte| byte == separator)?;
        let (head, tail) = self.split_at(at);
        Some((head, tail.split_at(1).1))
    }

    /// Splits at every `separator`: one piece more than there are separators.
    pub(super) fn split(self, separator: u8) -> impl Iterator<Item = Self> {
        let mut start = self.start;
        self.bytes.split(move |&byte| byte == separator).map(move |bytes| {
            let piece = Self::new(bytes, start);
            start += bytes.len() + 1;
            piece
        })
    }

    /// Takes `prefix` off the front.
    pub(super) fn strip_prefix(self, prefix: u8) -> Option<Self> {
        (self.bytes.first() == Some(&prefix)).then(|| self.split_at(1).1)
    }

    /// Splits behind the leading ASCII digits.
    pub(super) fn split_digits(self) -> (Self, Self) {
        self.split_at(self.bytes.iter().take_while(|byte| byte.is_ascii_digit()).count())
    }

    /// Tells whether it is this ASCII word, in whatever case.
    pub(super) fn is_word(self, word: &str) -> bool {
        self.bytes.eq_ignore_ascii_case(word.as_bytes())
    }

    /// Returns it in ASCII lower case, with replacement characters for what is no UTF-8.
    pub(super) fn to_lower_case(self) -> String {
        String::from_utf8_lossy(self.bytes).to_ascii_lowercase()
    }

    /// Returns it as text, or where its first bytes stand that are no UTF-8.
    pub(super) fn as_utf8(self) -> Result<&'a str, Range<usize>> {
        std::str::from_utf8(self.bytes).map_err(|error| {
            let from = self.start + error.valid_up_to();
            from..error.error_len().map_or(self.span().end, |length| from + length)
        })
    }
}

/// The byte order mark with which some editors begin a file.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Returns the text behind the byte order mark, if there is one.
pub(super) fn skip_byte_order_mark(text: &[u8]) -> Piece<'_> {
    let length = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    Piece::new(text, 0).split_at(length).1
}

/// Returns the lines, numbered from 1, without their line breaks.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = (usize, Piece<'_>)> {
    (1..).zip(skip_byte_order_mark(text).split(b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_know_where_they_stand() {
        let text = b" ab , c,,d ";
        let pieces: Vec<_> = Piece::new(text, 0).split(b',').map(Piece::trim).collect();
        let found: Vec<_> = pieces.iter().map(|piece| (piece.bytes(), piece.span())).collect();
        let expected: [(&[u8], _); 4] = [(b"ab", 1..3), (b"c", 6..7), (b"", 8..8), (b"d", 9..10)];
        assert_eq!(found, expected);
    }

    #[test]
    fn blanks_are_those_of_c() {
        assert_eq!(Piece::new(b"\x0b\x0c\t\r x y \r", 0).trim().bytes(), b"x y");
        assert_eq!(Piece::new(b" \t ", 5).trim().span(), 8..8);
        assert_eq!(Piece::new("\u{a0}x".as_bytes(), 0).trim().bytes(), "\u{a0}x".as_bytes());
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_line() {
        let found: Vec<_> = lines(b"\xef\xbb\xbfa\r\nb").collect();
        assert_eq!(found, [(1, Piece::new(b"a\r", 3)), (2, Piece::new(b"b", 6))]);
        assert_eq!(lines(b"").collect::<Vec<_>>(), [(1, Piece::new(b"", 0))]);
    }

    #[test]
    fn broken_utf8_is_found() {
        assert_eq!(Piece::new(b"ab\xffcd", 10).as_utf8(), Err(12..13));
        assert_eq!(Piece::new(b"ab\xe2\x80", 10).as_utf8(), Err(12..14));
        assert_eq!(Piece::new("gr\u{fc}n".as_bytes(), 10).as_utf8(), Ok("gr\u{fc}n"));
    }
}
