//! Spans of time as an expectation file has them.

use std::str::FromStr as _;
use std::time::Duration;

use jiff::SignedDuration;

/// The longest span that a file can name: a century, with which no sum gets near the end of time.
pub(super) const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Reads a span such as `300ms`, `1.5s` or `1h30m`.
///
/// # Errors
///
/// It is no span, is negative or longer than [`LONGEST`]; the text says what is allowed.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let allowed = || "write a number with its unit, such as 300ms, 1.5s or 1h30m".to_owned();
    let parsed = SignedDuration::from_str(text).map_err(|_| allowed())?;
    let span = Duration::try_from(parsed).map_err(|_| "a span can't be negative".to_owned())?;
    if span > LONGEST {
        return Err("a span is at most 100 years, 876000h".to_owned());
    }
    Ok(span)
}

/// Writes a span so that [`parse`] reads the same one: `606.123456ms`, `10s`.
pub(super) fn exact(span: Duration) -> String {
    let (scale, unit) = match span.as_nanos() {
        0 => return "0s".to_owned(),
        1..1_000 => (1, "ns"),
        1_000..1_000_000 => (1_000, "us"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s"),
    };
    let (whole, rest) = (span.as_nanos() / scale, span.as_nanos() % scale);
    if rest == 0 {
        return format!("{whole}{unit}");
    }
    let width = scale.ilog10() as usize;
    let fraction = format!("{rest:0width$}");
    format!("{whole}.{}{unit}", fraction.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spans_are_read_with_their_units_only() {
        let nanos = |text| parse(text).map(|span| span.as_nanos()).ok();
        assert_eq!(nanos("300ms"), Some(300_000_000));
        assert_eq!(nanos("1.5s"), Some(1_500_000_000));
        assert_eq!(nanos("1h30m"), Some(5_400_000_000_000));
        assert_eq!(nanos("0s"), Some(0));
        for wrong in ["", "5", "-5s", "5s ago", "5 parsecs", "876001h", "99999999999999999999s"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(nanos in 0..u64::MAX / 10) {
            let span = Duration::from_nanos(nanos);
            prop_assert_eq!(parse(&exact(span)), Ok(span), "{}", exact(span));
        }
    }
}
