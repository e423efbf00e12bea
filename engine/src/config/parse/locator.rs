//! Lines and columns, as editors count them.

use super::text::skip_byte_order_mark;

/// Finds the lines and columns of places in a text, in one pass where the places don't fall.
#[derive(Clone, Debug)]
pub struct Locator<'a> {
    text: &'a [u8],
    offset: usize,
    line: usize,
    column: usize,
}

impl<'a> Locator<'a> {
    /// Makes a locator for a text; a byte order mark at its beginning takes no column.
    #[must_use]
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, offset: skip_byte_order_mark(text).span().start, line: 1, column: 1 }
    }

    /// Returns the line and the column, in characters, of a byte of the text; both count from 1.
    /// A place behind the end is taken for the last one asked for.
    pub fn locate(&mut self, offset: usize) -> (usize, usize) {
        if offset < self.offset {
            *self = Self::new(self.text);
        }
        if let Some(passed) = self.text.get(self.offset..offset) {
            self.advance(passed);
        }
        (self.line, self.column)
    }

    fn advance(&mut self, passed: &[u8]) {
        self.offset += passed.len();
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
        let mut locator = Locator::new(text);
        offsets.iter().map(|&offset| locator.locate(offset)).collect()
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
    fn places_may_come_in_any_order() {
        assert_eq!(
            places(b"a\nbc\nd", &[5, 3, 0, 3, 99]),
            [(3, 1), (2, 2), (1, 1), (2, 2), (2, 2)]
        );
    }
}
