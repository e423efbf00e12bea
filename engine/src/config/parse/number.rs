//! Whole numbers, read as knockd reads them: blanks, a sign, digits, and any text behind.

use std::ops::RangeInclusive;

use super::problem::{Problem, Problems};
use super::text::Piece;

/// A number at the front of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number<'a> {
    /// Whether it is below zero.
    pub(super) negative: bool,
    /// Its digits' value; the largest there is where it would be larger.
    pub(super) magnitude: u64,
    /// The sign and the digits.
    pub(super) written: Piece<'a>,
    /// What stands behind the digits.
    pub(super) rest: Piece<'a>,
}

impl<'a> Number<'a> {
    /// Reads the number at the front of a trimmed piece; `None` where there is none.
    pub(super) fn read(piece: Piece<'a>) -> Option<Self> {
        let minus = piece.strip_prefix(b'-');
        let unsigned = minus.or_else(|| piece.strip_prefix(b'+')).unwrap_or(piece);
        let (digits, rest) = unsigned.split_digits();
        if digits.is_empty() {
            return None;
        }
        let magnitude = digits.bytes().iter().fold(0_u64, |value, digit| {
            value.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
        });
        let (written, _) = piece.split_at(rest.span().start - piece.span().start);
        Some(Self { negative: minus.is_some() && magnitude > 0, magnitude, written, rest })
    }

    /// Warns where text stands behind the number, and says as what the whole is taken.
    pub(super) fn ignore_rest(self, what: &str, taken_as: &str, problems: &mut Problems) {
        if !self.rest.trim().is_empty() {
            problems.push(self.rest_warning(what, taken_as));
        }
    }

    /// The warning that the text behind the number is ignored.
    pub(super) fn rest_warning(self, what: &str, taken_as: &str) -> Problem {
        let rest = self.rest.trim();
        let message =
            format!("{what} is taken as {taken_as}: {} behind it is ignored", rest.quoted());
        let help = if looks_like_comment(rest) {
            "a comment needs a line of its own, with # in front"
        } else {
            "nothing may stand behind a number"
        };
        Problem::warning(rest.span(), message).help(help)
    }
}

/// Tells whether somebody meant this as a comment behind a value.
pub(super) fn looks_like_comment(piece: Piece<'_>) -> bool {
    let starts = [b"#".as_slice(), b";", b"//", b"/*"];
    starts.iter().any(|start| piece.trim().bytes().starts_with(start))
}

/// A setting that is a whole number.
pub(super) struct Whole {
    /// Its key.
    pub(super) key: &'static str,
    /// What it can be.
    pub(super) range: RangeInclusive<u32>,
    /// What else it can be, as a message puts it: `, or off`.
    pub(super) or_else: &'static str,
}

impl Whole {
    /// Reads the value; `None` where it is an error.
    pub(super) fn parse(&self, value: Piece<'_>, problems: &mut Problems) -> Option<u32> {
        let Self { key, range, or_else } = self;
        let allowed = format!("{key} is {} to {}{or_else}", range.start(), range.end());
        let Some(number) = Number::read(value) else {
            let message = match value.is_empty() {
                true => format!("{key} has no value"),
                false => format!("{key} {} is no number", value.quoted()),
            };
            problems.push(Problem::error(value.span(), message).help(allowed));
            return None;
        };
        let in_range = |value: &u32| !number.negative && range.contains(value);
        let Some(whole) = u32::try_from(number.magnitude).ok().filter(in_range) else {
            let message = format!("{key} {} is out of range", number.written.quoted());
            problems.push(Problem::error(number.written.span(), message).help(allowed));
            return None;
        };
        number.ignore_rest(key, &whole.to_string(), problems);
        Some(whole)
    }

    /// Reads a value whose range fits into 16 bits.
    pub(super) fn parse_short(&self, value: Piece<'_>, problems: &mut Problems) -> Option<u16> {
        self.parse(value, problems).and_then(|whole| u16::try_from(whole).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(bool, u64, &str)> {
        let number = Number::read(Piece::new(text.as_bytes(), 0).trim())?;
        let rest = std::str::from_utf8(number.rest.bytes()).unwrap();
        Some((number.negative, number.magnitude, rest))
    }

    #[test]
    fn numbers_are_read_as_c_does() {
        assert_eq!(read("7000"), Some((false, 7000, "")));
        assert_eq!(read("007000"), Some((false, 7000, "")));
        assert_eq!(read(" +7 x"), Some((false, 7, " x")));
        assert_eq!(read("-1"), Some((true, 1, "")));
        assert_eq!(read("-0"), Some((false, 0, "")));
        assert_eq!(read("0x1B58"), Some((false, 0, "x1B58")));
        assert_eq!(read("99999999999999999999999"), Some((false, u64::MAX, "")));
        for none in ["", "abc", "-", "+-1", "- 1", "#1", ".5"] {
            assert_eq!(read(none), None, "{none}");
        }
    }

    fn whole(text: &str) -> (Option<u32>, usize) {
        let mut problems = Problems::default();
        let strays = Whole { key: "max_strays", range: 0..=1024, or_else: ", or off" };
        (strays.parse(Piece::new(text.as_bytes(), 0), &mut problems), problems.len())
    }

    #[test]
    fn whole_numbers_have_a_range() {
        assert_eq!(whole("0"), (Some(0), 0));
        assert_eq!(whole("1024"), (Some(1024), 0));
        assert_eq!(whole("8 # eight"), (Some(8), 1));
        for wrong in ["1025", "-1", "99999999999999999999", "", "many"] {
            assert_eq!(whole(wrong), (None, 1), "{wrong}");
        }
    }
}
