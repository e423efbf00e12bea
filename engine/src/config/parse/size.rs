//! Sizes in bytes.

use super::number::{Number, looks_like_comment};
use super::problem::{Problem, Problems};
use super::text::Piece;
use crate::config::print::Bytes;

/// The units, with their bytes.
const UNITS: [(&str, u64); 5] =
    [("", 1), ("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30), ("T", 1 << 40)];

const SYNTAX: &str = "write bytes or a number with its unit, such as 512K, 8M or 1G";

/// What sizes a key takes, in bytes.
pub(super) struct Size {
    pub(super) least: u64,
    pub(super) most: u64,
}

impl Size {
    /// Reads a size: a number of bytes, or of K, M, G or T (powers of 1024) right behind it; `None`
    /// where it is an error.
    pub(super) fn parse(
        &self,
        key: &'static str,
        value: Piece<'_>,
        problems: &mut Problems,
    ) -> Option<u64> {
        let bytes = parse_bytes(key, value, problems)?;
        if (self.least..=self.most).contains(&bytes) {
            return Some(bytes);
        }
        let message = format!("{key} {} is out of range", value.quoted());
        let help = format!("{key} is {} to {}", Bytes(self.least), Bytes(self.most));
        problems.push(Problem::error(value.span(), message).help(help));
        None
    }
}

/// Reads a number of bytes; what is negative is 0, and what is too large is the largest there is.
fn parse_bytes(key: &'static str, value: Piece<'_>, problems: &mut Problems) -> Option<u64> {
    let Some(number) = Number::read(value) else {
        let message = match value.is_empty() {
            true => format!("{key} has no value"),
            false => format!("{key} {} is no size", value.quoted()),
        };
        problems.push(Problem::error(value.span(), message).help(SYNTAX));
        return None;
    };
    let Some((_, unit)) = UNITS.iter().find(|(unit, _)| number.rest.is_word(unit)) else {
        let message = format!("{key} {} is no size", value.quoted());
        // Behind the unit, if there is one.
        let comment = number.rest.split_once(b' ').map_or(number.rest, |(_, behind)| behind);
        let help = match looks_like_comment(comment) {
            true => "a comment needs a line of its own, with # in front",
            false => SYNTAX,
        };
        let problem = Problem::error(value.span(), message).help(help);
        problems.push(problem.replace_with(size_meant(number)));
        return None;
    };
    Some(if number.negative { 0 } else { number.magnitude.saturating_mul(*unit) })
}

/// Guesses what `8 MB`, `512kib` or `8m bytes` was meant to be.
fn size_meant(number: Number<'_>) -> Option<String> {
    const WORDS: [(&[&str], &str); 5] = [
        (&["b", "byte", "bytes"], ""),
        (&["k", "kb", "kib"], "K"),
        (&["m", "mb", "mib"], "M"),
        (&["g", "gb", "gib"], "G"),
        (&["t", "tb", "tib"], "T"),
    ];
    let name = number.rest.trim();
    let (_, unit) = WORDS.iter().find(|(words, _)| words.iter().any(|word| name.is_word(word)))?;
    Some(format!("{}{unit}", number.magnitude)).filter(|_| !number.negative)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes, and how many problems there were.
    fn parse(text: &str) -> (Option<u64>, usize) {
        let mut problems = Problems::default();
        let value = Piece::new(text.as_bytes(), 0);
        let size =
            Size { least: 64 << 10, most: 1 << 30 }.parse("buffersize", value, &mut problems);
        (size, problems.len())
    }

    #[test]
    fn sizes_have_units_of_1024() {
        let cases = [
            ("65536", 65_536),
            ("64K", 65_536),
            ("8m", 8_388_608),
            ("1024M", 1 << 30),
            ("1G", 1 << 30),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse(text), (Some(bytes), 0), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_or_out_of_range_is_refused() {
        let refused = [
            "",
            "big",
            "8 M",
            "8MB",
            "1.5M",
            "8M # ring",
            "0",
            "-8M",
            "63K",
            "65535",
            "1025M",
            "2G",
            "4194304K",
            "18446744073709551615G",
            "99999999999999999999",
        ];
        for text in refused {
            assert_eq!(parse(text), (None, 1), "{text}");
        }
    }

    #[test]
    fn the_unit_that_was_meant_is_guessed() {
        let meant = |text: &str| size_meant(Number::read(Piece::new(text.as_bytes(), 0)).unwrap());
        assert_eq!(meant("8 MiB").as_deref(), Some("8M"));
        assert_eq!(meant("65536 bytes").as_deref(), Some("65536"));
        assert_eq!(meant("8 barrels"), None);
        assert_eq!(meant("-8 MB"), None);
    }
}
