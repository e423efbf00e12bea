//! Spans of time: whole seconds as in knockd, or a number with its unit.

use std::time::Duration;

use super::number::Number;
use super::problem::{Problem, Problems};
use super::text::Piece;

/// The units, with their nanoseconds.
const UNITS: [(&str, u128); 4] =
    [("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000)];

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// The longest span that can be set: what an unsigned int of seconds holds, about 136 years.
const LONGEST_SECONDS: u64 = u32::MAX as u64;

const SYNTAX: &str = "write whole seconds or a number with its unit, such as 500ms, 1.5s, 2m or 1h";

/// How small a span can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Least {
    /// Zero; below is an error.
    Zero,
    /// Anything above zero; zero and below is an error.
    AboveZero,
    /// Zero, and below is taken as zero, as in knockd's `seq_timeout` (R23); the caller warns.
    ZeroForNegative,
    /// Zero, and below is taken from the top of an unsigned int, as in knockd's `cmd_timeout`
    /// (R37).
    WrapForNegative,
}

/// A setting that is a span of time.
pub(super) struct Span {
    /// Its key.
    pub(super) key: &'static str,
    /// How small it can be.
    pub(super) least: Least,
}

impl Span {
    /// Reads the value; `None` where it is an error.
    pub(super) fn parse(&self, value: Piece<'_>, problems: &mut Problems) -> Option<Duration> {
        let key = self.key;
        let Some(number) = Number::read(value) else {
            let message = match value.is_empty() {
                true => format!("{key} has no value"),
                false => format!("{key} {} is no span of time", value.quoted()),
            };
            problems.push(Problem::error(value.span(), message).help(SYNTAX));
            return None;
        };
        if number.negative {
            return self.below_zero(number, problems);
        }
        let exact = Exact::read(number);
        let nanos = match exact {
            Exact::Nanos(nanos) => nanos,
            Exact::OtherText => u128::from(number.magnitude) * NANOS_PER_SECOND,
            Exact::TooFine => {
                let message = format!("{key} {} is finer than a nanosecond", value.quoted());
                problems.push(Problem::error(value.span(), message).help(SYNTAX));
                return None;
            }
        };
        let longest = u128::from(LONGEST_SECONDS) * NANOS_PER_SECOND;
        let fits = nanos <= longest && (nanos > 0 || self.least != Least::AboveZero);
        let Some(nanos) = u64::try_from(nanos).ok().filter(|_| fits) else {
            problems.push(self.out_of_range(value));
            return None;
        };
        if exact == Exact::OtherText {
            let warning = number.rest_warning(key, &format!("{} s", number.magnitude));
            problems.push(match span_meant(number) {
                Some(meant) => warning.help(SYNTAX).replace_at(value.span(), meant),
                None => warning,
            });
        }
        Some(Duration::from_nanos(nanos))
    }

    fn below_zero(&self, number: Number<'_>, problems: &mut Problems) -> Option<Duration> {
        let seconds = match self.least {
            Least::ZeroForNegative => return Some(Duration::ZERO),
            // knockd hands an int to sleep(), which takes an unsigned one.
            Least::WrapForNegative => i32::try_from(number.magnitude)
                .ok()
                .map(|magnitude| LONGEST_SECONDS + 1 - u64::from(magnitude.unsigned_abs())),
            Least::Zero | Least::AboveZero => None,
        };
        let Some(seconds) = seconds else {
            problems.push(self.out_of_range(number.written));
            return None;
        };
        let message = format!("{} {} is taken as {seconds} s", self.key, number.written.quoted());
        let help = "knockd 0.8 reads a number below zero so; write what is meant";
        problems.push(Problem::warning(number.written.span(), message).help(help));
        Some(Duration::from_secs(seconds))
    }

    fn out_of_range(&self, value: Piece<'_>) -> Problem {
        let message = format!("{} {} is out of range", self.key, value.quoted());
        let least =
            if self.least == Least::AboveZero { "more than 0, and at most" } else { "0 to" };
        let help = format!("{} is {least} {LONGEST_SECONDS} s", self.key);
        Problem::error(value.span(), message).help(help)
    }
}

/// What a number and the text behind it come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exact {
    /// This many nanoseconds.
    Nanos(u128),
    /// A part of a nanosecond.
    TooFine,
    /// Text that is no fraction with a unit: the number alone counts, as seconds.
    OtherText,
}

impl Exact {
    fn read(number: Number<'_>) -> Self {
        if number.rest.is_empty() {
            return Self::Nanos(u128::from(number.magnitude) * NANOS_PER_SECOND);
        }
        let (fraction, name) = split_fraction(number.rest);
        let Some((_, unit)) = UNITS.iter().find(|(unit, _)| name.bytes() == unit.as_bytes()) else {
            return Self::OtherText;
        };
        // 18 digits and the largest unit make less than 2^102.
        let zeros = fraction.bytes().iter().rev().take_while(|&&digit| digit == b'0').count();
        let (fraction, _) = fraction.split_at(fraction.bytes().len() - zeros);
        if fraction.bytes().len() > 18 {
            return Self::TooFine;
        }
        let (mut numerator, mut denominator) = (0_u128, 1_u128);
        for digit in fraction.bytes() {
            numerator = numerator * 10 + u128::from(digit - b'0');
            denominator *= 10;
        }
        numerator *= unit;
        if numerator % denominator == 0 {
            Self::Nanos(u128::from(number.magnitude) * unit + numerator / denominator)
        } else {
            Self::TooFine
        }
    }
}

/// Splits `.5s` into `5` and `s`, and anything that doesn't begin with a fraction into nothing
/// and itself.
fn split_fraction(rest: Piece<'_>) -> (Piece<'_>, Piece<'_>) {
    let split = rest.strip_prefix(b'.').map(Piece::split_digits);
    split.filter(|(fraction, _)| !fraction.is_empty()).unwrap_or(rest.split_at(0))
}

/// Guesses what `5 min`, `7 S` or `1.5` was meant to be.
fn span_meant(number: Number<'_>) -> Option<String> {
    const WORDS: [(&[&str], &str); 4] = [
        (&["ms", "msec", "msecs", "millisecond", "milliseconds"], "ms"),
        (&["", "s", "sec", "secs", "second", "seconds"], "s"),
        (&["m", "min", "mins", "minute", "minutes"], "m"),
        (&["h", "hr", "hrs", "hour", "hours"], "h"),
    ];
    let (fraction, name) = split_fraction(number.rest);
    let is_unit = |words: &[&str]| words.iter().any(|word| name.trim().is_word(word));
    let (_, unit) = WORDS.iter().find(|(words, _)| is_unit(words))?;
    let point = if fraction.is_empty() { "" } else { "." };
    let fraction = String::from_utf8_lossy(fraction.bytes());
    Some(format!("{}{point}{fraction}{unit}", number.magnitude))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// The nanoseconds, and whether there was a problem.
    fn parse(text: &str, least: Least) -> (Option<u64>, bool) {
        let mut problems = Problems::default();
        let span = Span { key: "cooldown", least };
        let value = span.parse(Piece::new(text.as_bytes(), 0).trim(), &mut problems);
        let nanos = value.map(|value| u64::try_from(value.as_nanos()).unwrap());
        (nanos, problems.len() > 0)
    }

    #[test]
    fn spans_are_exact() {
        let cases = [
            ("15", 15 * SECOND),
            ("0", 0),
            ("7s", 7 * SECOND),
            ("500ms", SECOND / 2),
            ("1.5s", 3 * SECOND / 2),
            ("0.1s", SECOND / 10),
            ("2m", 120 * SECOND),
            ("1h", 3600 * SECOND),
            ("1.25h", 4500 * SECOND),
            ("0.000000001s", 1),
            ("0.0000000010000000000000000000000s", 1),
            ("0.000001ms", 1),
            ("0.0000000000025h", 9),
            ("4294967295", 4_294_967_295 * SECOND),
            ("4294967294.999999999s", 4_294_967_295 * SECOND - 1),
            ("1193046.47083h", 4_294_967_294_988_000_000),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text, Least::Zero), (Some(expected), false), "{text}");
        }
    }

    #[test]
    fn text_behind_a_number_is_ignored_with_a_warning() {
        let cases = [
            ("7x", 7),
            ("15 /* seconds */", 15),
            ("15 # seconds", 15),
            ("1.5", 1),
            ("1.", 1),
            ("1.s", 1),
            ("2 m", 2),
            ("2M", 2),
            ("5min", 5),
            ("1h30m", 1),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text, Least::Zero), (Some(expected * SECOND), true), "{text}");
        }
    }

    #[test]
    fn what_is_no_span_or_out_of_range_is_refused() {
        let refused = [
            "",
            "abc",
            ".5s",
            "-1",
            "4294967296",
            "4294967295.1s",
            "1193047h",
            "99999999999999999999999999h",
            "0.0000000001s",
            "1.0000001ms",
            "0.1234567890123456789h",
        ];
        for text in refused {
            assert_eq!(parse(text, Least::Zero), (None, true), "{text}");
        }
        for text in ["0", "0ms", "-1"] {
            assert_eq!(parse(text, Least::AboveZero), (None, true), "{text}");
        }
    }

    #[test]
    fn a_number_below_zero_is_what_knockd_makes_of_it() {
        assert_eq!(parse("-3", Least::ZeroForNegative), (Some(0), false));
        assert_eq!(parse("-0", Least::ZeroForNegative), (Some(0), false));
        let wrapped = |text| parse(text, Least::WrapForNegative);
        assert_eq!(wrapped("-1"), (Some(4_294_967_295 * SECOND), true));
        assert_eq!(wrapped("-3 s"), (Some(4_294_967_293 * SECOND), true));
        assert_eq!(wrapped("-2147483647"), (Some(2_147_483_649 * SECOND), true));
        assert_eq!(wrapped("-5000000000"), (None, true));
    }

    #[test]
    fn the_unit_that_was_meant_is_guessed() {
        let meant = |text: &str| span_meant(Number::read(Piece::new(text.as_bytes(), 0)).unwrap());
        assert_eq!(meant("5 min").as_deref(), Some("5m"));
        assert_eq!(meant("1.5").as_deref(), Some("1.5s"));
        assert_eq!(meant("1.5 Hours").as_deref(), Some("1.5h"));
        assert_eq!(meant("15 /* seconds */"), None);
    }
}
