//! `--set KEY=VALUES`: which values are tried, and the doors that have them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use knock_engine::config::{self, Door, Sequences};
use knock_frontend::format::Count;

use super::key::{self, Key, Value};
use crate::PROGRAM;

/// A key and its values, in ascending order, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Axis {
    pub(super) key: Key,
    pub(super) values: Vec<Value>,
}

/// The most runs of one sweep.
const MAX_RUNS: usize = 1000;

/// Reads all `--set` of a command line.
///
/// # Errors
///
/// One can't be read, a key comes twice, or there would be more than [`MAX_RUNS`] runs.
pub(super) fn read(given: &[String]) -> anyhow::Result<Vec<Axis>> {
    let most = match given.len() {
        0 | 1 => 60,
        2 => 20,
        _ => 8,
    };
    let mut axes: Vec<Axis> = Vec::new();
    for text in given {
        let axis = Axis::read(text, most).with_context(|| format!("--set {text}"))?;
        if axes.iter().any(|known| known.key == axis.key) {
            bail!("--set {text}: {0} is set twice; write {0}=A,B,...", axis.key.name());
        }
        axes.push(axis);
    }
    let runs = axes.iter().map(|axis| axis.values.len()).fold(1, usize::saturating_mul);
    if runs > MAX_RUNS {
        let sizes: Vec<String> = axes.iter().map(|axis| axis.values.len().to_string()).collect();
        bail!(
            "--set: {} = {} runs, at most {} are made: try fewer values, as with KEY=A..B/N",
            sizes.join(" x "),
            Count(runs as u64),
            Count(MAX_RUNS as u64)
        );
    }
    Ok(axes)
}

impl Axis {
    /// Reads `KEY=VALUES`; a range without a number takes at most so many values.
    fn read(text: &str, most: u32) -> anyhow::Result<Self> {
        let (name, values) =
            text.split_once('=').context("write KEY=VALUES, such as seq_timeout=1s..60s")?;
        let name = name.trim();
        let key = Key::of(name).with_context(|| {
            let names = Key::ALL.map(Key::name).join(", ");
            format!("{name:?} can't be swept; what can: {names}")
        })?;
        let mut all = Vec::new();
        for item in values.split(',') {
            let item = item.trim();
            match item.split_once("..") {
                Some((first, rest)) => all.extend(range(key, first, rest, most)?),
                None => all.push(value(key, item)?),
            }
            if all.len() > MAX_RUNS {
                bail!("these are more than {} values", Count(MAX_RUNS as u64));
            }
        }
        all.sort_unstable();
        all.dedup();
        Ok(Self { key, values: all })
    }
}

fn value(key: Key, text: &str) -> anyhow::Result<Value> {
    key.read(text).map_err(anyhow::Error::msg)
}

/// Returns the values of `FIRST..LAST` or `FIRST..LAST/NUMBER`.
fn range(key: Key, first: &str, rest: &str, most: u32) -> anyhow::Result<Vec<Value>> {
    let (last, number) = match rest.split_once('/') {
        Some((last, number)) => (last, Some(number.trim())),
        None => (rest, None),
    };
    let number = number.map(|number| match number.parse() {
        Ok(number @ 2..=1000_u32) => Ok(number),
        Ok(_) | Err(_) => Err(anyhow::anyhow!(
            "{number:?} is no number of values from 2 to {}",
            Count(MAX_RUNS as u64)
        )),
    });
    let number = number.transpose()?;
    let end = |text: &str| {
        let is_zero = |value: Value| key == Key::MaxFailures && value == Value::Off;
        let value = value(key, text.trim())?;
        Ok::<_, anyhow::Error>(if is_zero(value) { Value::Number(0) } else { value })
    };
    match (end(first)?, end(last)?) {
        (Value::Span(first), Value::Span(last)) => {
            let (from, to) = ends(nanos(first), nanos(last))?;
            let values = number.map_or_else(
                || stepped(from, to, span_step(from, to, most)),
                |number| spread_spans(from, to, number),
            );
            let span = |nanos| Value::Span(Duration::from_nanos(nanos));
            Ok(values.into_iter().map(span).collect())
        }
        (Value::Number(first), Value::Number(last)) => {
            let (from, to) = ends(first, last)?;
            let step = nice_steps(1).find(|step| fits(from, to, *step, most)).unwrap_or(1);
            let values =
                number.map_or_else(|| stepped(from, to, step), |number| spread(from, to, number));
            // No failure at all means that the key is off.
            let is_off = |number: u64| key == Key::MaxFailures && number == 0;
            let value = |number| if is_off(number) { Value::Off } else { Value::Number(number) };
            Ok(values.into_iter().map(value).collect())
        }
        _ => bail!("off is no end of a range; write it behind a comma"),
    }
}

fn ends(from: u64, to: u64) -> anyhow::Result<(u64, u64)> {
    if from > to {
        bail!("a range goes from the smaller value to the larger one");
    }
    Ok((from, to))
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Returns the smallest step that people would choose with which a range has so few values: whole
/// seconds where both ends are.
fn span_step(from: u64, to: u64, most: u32) -> u64 {
    const MILLISECOND: u64 = 1_000_000;
    const SECOND: u64 = 1_000 * MILLISECOND;
    const OF_MINUTES_AND_HOURS: [u64; 9] = [1, 2, 5, 10, 15, 20, 30, 60, 120];
    let is_whole = |unit: u64| from.is_multiple_of(unit) && to.is_multiple_of(unit);
    let seconds = OF_MINUTES_AND_HOURS.into_iter().map(|it| it * SECOND);
    let minutes = [5, 10, 15, 20, 30].into_iter().map(|it| it * 60 * SECOND);
    let unit = [SECOND, MILLISECOND].into_iter().find(|unit| is_whole(*unit)).unwrap_or(1);
    let fractions = nice_steps(unit).take_while(|step| *step < SECOND);
    let steps = fractions.chain(seconds).chain(minutes).chain(nice_steps(3_600 * SECOND));
    let mut steps = steps.filter(|step| *step >= unit);
    steps.find(|step| fits(from, to, *step, most)).unwrap_or(u64::MAX)
}

/// Returns 1, 2, 5, 10, 20, 50 and so on, times a unit.
fn nice_steps(unit: u64) -> impl Iterator<Item = u64> {
    let decades = std::iter::successors(Some(unit), |decade| decade.checked_mul(10));
    decades.flat_map(|decade| [1, 2, 5].map(|digit| decade.saturating_mul(digit)))
}

/// Tells whether the values of a range, its end with them, are no more than that.
fn fits(from: u64, to: u64, step: u64, most: u32) -> bool {
    (to - from).div_ceil(step) < u64::from(most)
}

/// Returns the ends and every multiple of the step between them.
fn stepped(from: u64, to: u64, step: u64) -> Vec<u64> {
    let multiples =
        (1..).map_while(|index: u64| (from / step).checked_add(index)?.checked_mul(step));
    let between = multiples.take_while(|value| *value < to);
    std::iter::once(from).chain(between).chain([to]).collect()
}

/// Returns so many values at equal distances, the ends among them; to the millisecond where the
/// ends are.
fn spread_spans(from: u64, to: u64, number: u32) -> Vec<u64> {
    const MILLISECOND: u64 = 1_000_000;
    if from.is_multiple_of(MILLISECOND) && to.is_multiple_of(MILLISECOND) {
        let values = spread(from / MILLISECOND, to / MILLISECOND, number);
        return values.into_iter().map(|value| value * MILLISECOND).collect();
    }
    spread(from, to, number)
}

/// Returns so many values at equal distances, the ends among them, rounded to whole numbers.
fn spread(from: u64, to: u64, number: u32) -> Vec<u64> {
    let (width, last) = (u128::from(to - from), u128::from(number - 1));
    let place = |index: u32| (width * u128::from(index) + last / 2) / last;
    let values = (0..number).map(|index| from + u64::try_from(place(index)).unwrap_or(to - from));
    values.collect()
}

/// Makes the door that has these values, by having its section parsed with them.
///
/// What the parser warns of is added to `warnings`.
///
/// # Errors
///
/// The parser refuses them, each alone or together.
pub(super) fn door_with(
    door: &Door,
    settings: &[(Key, Value)],
    warnings: &mut Vec<String>,
) -> anyhow::Result<Arc<Door>> {
    let section = section(door);
    let mut text = section.clone();
    for (key, value) in settings {
        text.push_str(&key.setting(*value));
        text.push('\n');
    }
    let parsed = config::parse(text.as_bytes());
    // What is wrong with the door as it is was told when the config was read.
    for diagnostic in parsed.diagnostics.iter().filter(|it| it.span.start >= section.len()) {
        let said = key::said(diagnostic);
        if !warnings.contains(&said) {
            warnings.push(said);
        }
    }
    let made = parsed.config.and_then(|config| config.doors.into_iter().next());
    let Some(mut made) = made else {
        let said = parsed.diagnostics.iter().find(|it| it.severity == config::Severity::Error);
        bail!("--set: {}", said.map(key::said).unwrap_or_default());
    };
    if let Sequences::OneTime { .. } = &made.sequences {
        // Parsing reads no file.
        Arc::make_mut(&mut made).sequences = door.sequences.clone();
    }
    Ok(made)
}

/// Returns a door's section as text, without what its config left to its default if that depends
/// on a key that may be swept.
fn section(door: &Door) -> String {
    let default_window = door.seq_timeout.max(Door::LEAST_RETRANSMIT_WINDOW);
    let text = door.to_string();
    if door.retransmit_window != default_window {
        return text;
    }
    let lines = text.lines().filter(|line| !line.starts_with("retransmit_window = "));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// Says on standard error what the parser warns of, each thing once.
pub(super) fn tell(warnings: &[String]) {
    for warning in warnings {
        PROGRAM.warning(&format_args!("--set: {warning}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match Axis::read(text, 60) {
            Ok(axis) => {
                let values: Vec<String> = axis.values.iter().map(Value::to_string).collect();
                format!("{} values: {}", values.len(), values.join(", "))
            }
            Err(error) => format!("error: {error:#}"),
        }
    }

    fn all_shown(texts: &[&str]) -> String {
        let shown = texts.iter().map(|text| format!("{}\n  {}", text.escape_debug(), shown(text)));
        shown.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn ranges_take_steps_that_people_would_choose() {
        assert_eq!(Axis::read("seq_timeout=1s..60s", 60).unwrap().values.len(), 60);
        insta::assert_snapshot!(all_shown(&[
            "seq_timeout=1..5",
            "seq_timeout=100ms..1s",
            "seq_timeout=1s..10m",
            "cooldown=0..1h",
            "lockout=1h..100h",
            "seq_timeout=1.5s..4.25s",
            "max_strays=0..16",
            "max_strays=0..1024",
            "max_strays=7..7",
            "max_failures=0..3",
            "seq_timeout=1s..60s/4",
            "max_strays=0..10/4",
            "max_strays=off, 8,0..2 ,8",
            "MAX_STRAYS = 5",
        ]));
        assert_eq!(Axis::read("seq_timeout=1s..2s/1000", 60).unwrap().values.len(), 1000);
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        insta::assert_snapshot!(all_shown(&[
            "seq_timeout",
            "sequence=7000",
            "seq_timeout=",
            "seq_timeout=5s..",
            "seq_timeout=60s..1s",
            "seq_timeout=1s..60s/1",
            "seq_timeout=1s..60s/x",
            "seq_timeout=1s..60s/2000",
            "seq_timeout=1s..60s/1000,2m..10m",
            "max_strays=0..off",
            "max_strays=0..9999",
            "max_failures=-1",
            "max_strays=1..2..3",
        ]));
    }

    #[test]
    fn a_grid_has_its_limits() {
        let told = |given: &[&str]| {
            let given: Vec<String> = given.iter().map(|it| (*it).to_owned()).collect();
            match read(&given) {
                Ok(axes) => {
                    let sizes: Vec<usize> = axes.iter().map(|axis| axis.values.len()).collect();
                    format!("{sizes:?}")
                }
                Err(error) => format!("error: {error:#}"),
            }
        };
        assert_eq!(told(&["seq_timeout=1s..60s", "max_strays=0..16"]), "[13, 17]");
        let three = ["seq_timeout=1s..60s", "max_strays=0..16", "cooldown=0..60"];
        assert_eq!(told(&three), "[7, 5, 7]");
        let many = ["seq_timeout=1s..60s/60", "max_strays=0..59/60"];
        insta::assert_snapshot!(told(&many), @"error: --set: 60 x 60 = 3,600 runs, at most 1,000 are made: try fewer values, as with KEY=A..B/N");
        insta::assert_snapshot!(told(&["seq_timeout=1s", "seq_timeout=2s"]), @"error: --set seq_timeout=2s: seq_timeout is set twice; write seq_timeout=A,B,...");
    }

    #[test]
    fn a_door_keeps_everything_but_what_is_set() {
        let text = "[ssh]\nsequence = 7000:udp,8000,9000\nseq_timeout = 5\ntarget = 192.0.2.1\n\
                    start_command = open %IP%\nmax_failures = 3\nlockout = 60\n";
        let door = config::parse(text.as_bytes()).config.unwrap().doors[0].clone();
        let set = |settings: &[(Key, Value)]| door_with(&door, settings, &mut Vec::new()).unwrap();
        assert_eq!(set(&[]), door);
        let second = Duration::from_secs(1);
        let longer = set(&[(Key::SeqTimeout, Value::Span(200 * second))]);
        // The default of the one follows the other, as it would in the file.
        assert_eq!(longer.retransmit_window, 200 * second);
        let expected = Door {
            seq_timeout: 200 * second,
            retransmit_window: 200 * second,
            ..Door::clone(&door)
        };
        assert_eq!(*longer, expected);
        let mut warnings = Vec::new();
        let settings = [(Key::MaxFailures, Value::Off), (Key::Lockout, Value::Span(9 * second))];
        assert_eq!(door_with(&door, &settings, &mut warnings).unwrap().failure_limit, None);
        insta::assert_snapshot!(warnings.join("\n"), @"lockout has no effect without max_failures (max_failures = 3, say, locks a source out after its third failure)");
    }
}
