//! The table of medians, in Markdown, with what is wanted beside what was measured.

use std::fmt::Write;
use std::time::Duration;

use crate::contender::Contender;
use crate::load::{Load, Wanted};
use crate::measure::Usage;

/// What a contender did with a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The medians of its runs.
    Measured(Usage),
    /// It ran out of this much CPU time, in seconds.
    OutOfTime(u32),
    /// It is not on this machine.
    Missing,
}

/// How many doors a contender opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opens {
    /// It opens none, by its nature.
    None,
    /// It opened this many.
    Counted(u64),
    /// It did not come to its end.
    Unknown,
}

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// What was read.
    pub load: Load,
    /// Who read it.
    pub contender: Contender,
    /// What it took.
    pub outcome: Outcome,
    /// The doors it opened.
    pub opens: Opens,
    /// The doors to open.
    pub expected_opens: u64,
}

/// Writes the table; the ratios are to the rows of the same load.
#[must_use]
pub fn markdown(rows: &[Row]) -> String {
    let mut text = String::from(
        "| load | program | CPU s | x tcpdump | x cat | wall s | peak MB | opens | wanted |\n\
         |---|---|--:|--:|--:|--:|--:|--:|---|\n",
    );
    for row in rows {
        let cpu_of = |contender| {
            let row =
                rows.iter().find(|other| other.load == row.load && other.contender == contender)?;
            measured(row).map(|usage| usage.cpu)
        };
        let bases = [Contender::Tcpdump, Contender::Cat, Contender::Replay].map(cpu_of);
        write_row(&mut text, row, bases);
    }
    text
}

/// Writes a row; `bases` is the CPU time of tcpdump, cat and one run.
fn write_row(text: &mut String, row: &Row, [tcpdump, cat, run]: [Option<Duration>; 3]) {
    let usage = measured(row);
    let to_tcpdump = usage.zip(tcpdump).map(|(usage, base)| ratio(usage.cpu, base));
    let to_cat = usage.zip(cat).map(|(usage, base)| ratio(usage.cpu, base));
    let to_run = usage.zip(run).map(|(usage, base)| ratio(usage.cpu, base));
    let cpu = match row.outcome {
        Outcome::Measured(usage) => format!("{:.3}", usage.cpu.as_secs_f64()),
        Outcome::OutOfTime(limit_s) => format!("> {limit_s}"),
        Outcome::Missing => "not there".to_owned(),
    };
    let opens = match row.opens {
        Opens::None => String::new(),
        Opens::Counted(count) => format!("{count} of {}", row.expected_opens),
        Opens::Unknown => format!("? of {}", row.expected_opens),
    };
    let wanted = match row.contender {
        Contender::Replay => verdicts(row.load.wanted(), usage, to_tcpdump, to_cat),
        Contender::Sweep => verdict(Contender::SWEEP_LIMIT, "x knock-replay", to_run),
        Contender::Extract => verdict(Contender::EXTRACT_LIMIT, "x knock-replay", to_run),
        // Nobody asked for a limit, but a figure says more beside one run's.
        Contender::Diff => {
            to_run.map_or_else(String::new, |ratio| format!("{ratio:.2} x knock-replay"))
        }
        Contender::Cat | Contender::Tcpdump | Contender::Knockd | Contender::Report => {
            String::new()
        }
    };
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "| {} | {} | {cpu} | {} | {} | {} | {} | {opens} | {wanted} |",
        row.load,
        row.contender,
        cell(to_tcpdump, 2),
        cell(to_cat, 2),
        cell(usage.map(|usage| usage.wall.as_secs_f64()), 3),
        cell(usage.map(peak_mb), 1),
    );
}

fn verdicts(
    wanted: Wanted,
    usage: Option<Usage>,
    to_tcpdump: Option<f64>,
    to_cat: Option<f64>,
) -> String {
    let mut verdicts = vec![verdict(wanted.to_tcpdump, "x tcpdump", to_tcpdump)];
    verdicts.extend(wanted.to_cat.map(|limit| verdict(limit, "x cat", to_cat)));
    verdicts.push(verdict(wanted.peak_mb, "MB", usage.map(peak_mb)));
    verdicts.join("; ")
}

/// Says of one limit whether it is met; what was not measured is not met.
fn verdict(limit: f64, unit: &str, value: Option<f64>) -> String {
    let met = if value.is_some_and(|value| value <= limit) { "met" } else { "**not met**" };
    format!("at most {limit} {unit}: {met}")
}

const fn measured(row: &Row) -> Option<Usage> {
    match row.outcome {
        Outcome::Measured(usage) => Some(usage),
        Outcome::OutOfTime(_) | Outcome::Missing => None,
    }
}

fn ratio(span: Duration, base: Duration) -> f64 {
    span.as_secs_f64() / base.as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "memory sizes are far below 2^53 bytes")]
fn peak_mb(usage: Usage) -> f64 {
    usage.peak_bytes as f64 / 1e6
}

fn cell(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(String::new, |value| format!("{value:.decimals$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(contender: Contender, outcome: Outcome, opens: Opens) -> Row {
        Row { load: Load::P1, contender, outcome, opens, expected_opens: 100 }
    }

    fn usage(cpu_ms: u64, peak_bytes: u64) -> Outcome {
        let (cpu, wall) = (Duration::from_millis(cpu_ms), Duration::from_millis(2 * cpu_ms));
        Outcome::Measured(Usage { cpu, wall, peak_bytes })
    }

    #[test]
    fn limits_are_compared_with_what_was_measured() {
        let rows = [
            row(Contender::Cat, usage(200, 2_000_000), Opens::None),
            row(Contender::Tcpdump, usage(1000, 9_000_000), Opens::None),
            row(Contender::Knockd, Outcome::OutOfTime(60), Opens::Unknown),
            row(Contender::Replay, usage(330, 16_000_001), Opens::Counted(99)),
            row(Contender::Sweep, usage(980, 20_000_000), Opens::None),
            row(Contender::Diff, usage(500, 20_000_000), Opens::None),
            row(Contender::Extract, usage(400, 20_000_000), Opens::None),
        ];
        let text = markdown(&rows);
        let lines: Vec<&str> = text.lines().skip(2).collect();
        let expected = [
            "| P1 | cat | 0.200 | 0.20 | 1.00 | 0.400 | 2.0 |  |  |",
            "| P1 | tcpdump | 1.000 | 1.00 | 5.00 | 2.000 | 9.0 |  |  |",
            "| P1 | knockd 0.8 | > 60 |  |  |  |  | ? of 100 |  |",
            "| P1 | knock-replay | 0.330 | 0.33 | 1.65 | 0.660 | 16.0 | 99 of 100 | \
             at most 0.35 x tcpdump: met; at most 1.6 x cat: **not met**; \
             at most 16 MB: **not met** |",
            "| P1 | sweep of 60 | 0.980 | 0.98 | 4.90 | 1.960 | 20.0 |  | \
             at most 3 x knock-replay: met |",
            "| P1 | diff | 0.500 | 0.50 | 2.50 | 1.000 | 20.0 |  | 1.52 x knock-replay |",
            "| P1 | extract | 0.400 | 0.40 | 2.00 | 0.800 | 20.0 |  | \
             at most 1.2 x knock-replay: **not met** |",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn what_was_not_measured_is_not_met() {
        let text = markdown(&[row(Contender::Replay, Outcome::Missing, Opens::Unknown)]);
        assert_eq!(text.matches("**not met**").count(), 3, "{text}");
    }
}
