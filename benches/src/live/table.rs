//! The figures of the daemons side by side, in Markdown.

use std::fmt::Write;
use std::time::Duration;

use knock_lab::storm::{Outcome, Storm};

use super::cost::Cost;
use super::opening::Spans;
use super::storms::Pace;

/// What was measured of one daemon, beside the storms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// From the last knock to the first connection.
    pub opening: Spans,
    /// What it costs.
    pub cost: Cost,
}

/// One line of the second half: a storm and what came of it, daemon by daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weather {
    /// The storm.
    pub storm: Storm,
    /// How the honest knock.
    pub pace: Pace,
    /// How many knocked.
    pub honest: usize,
    /// What came of it, in the order of the daemons; `None` where it broke down.
    pub outcomes: Vec<Option<Outcome>>,
}

/// Writes the table; the last daemon is ours, whose figures are compared with what is wanted.
#[must_use]
pub fn markdown(names: &[&str], figures: &[Figures], weather: &[Weather]) -> String {
    let mut text = format!("| | {} | wanted |\n|---|", names.join(" | "));
    text += &"--:|".repeat(names.len());
    text += "---|\n";
    let mut row = |what: &str, limit: Option<f64>, unit: &str, value: &dyn Fn(&Figures) -> f64| {
        let values: Vec<f64> = figures.iter().map(value).collect();
        let cells: Vec<String> = values.iter().map(|&value| figure(value)).collect();
        let wanted = limit.map_or_else(String::new, |limit| {
            let is_met = values.last().is_some_and(|&value| value <= limit);
            format!("at most {limit}: {}", if is_met { "met" } else { "**not met**" })
        });
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {what}, {unit} | {} | {wanted} |", cells.join(" | "));
    };
    row("knock to open, median", Some(8.0), "ms", &|of| ms(of.opening.median));
    row("knock to open, 99th percentile", Some(20.0), "ms", &|of| ms(of.opening.p99));
    row("CPU per matching packet", None, "µs", &|of| ms(of.cost.packet_cpu) * 1000.0);
    row("CPU at rest, per second", None, "µs", &|of| ms(of.cost.rest_cpu) * 1000.0);
    row("wake-ups at rest, per second", Some(1.0), "count", &|of| of.cost.rest_wakeups);
    row("memory at start, ring included", Some(24.0), "MB", &|of| megabytes(of.cost.resident));
    for line in weather {
        write_weather(&mut text, line);
    }
    if let Some(rate) = bearable(weather) {
        let blanks = " | ".repeat(names.len() - 1);
        let _ = writeln!(
            text,
            "| highest rate at which all open at once, packets/s | {blanks}{rate} | |"
        );
    }
    text
}

fn write_weather(text: &mut String, line: &Weather) {
    let cells: Vec<String> = line.outcomes.iter().map(|outcome| came_in(*outcome)).collect();
    let ours = line.outcomes.last().copied().flatten();
    let wanted = match (line.storm, ours) {
        (Storm::Calm | Storm::LockOut, Some(ours)) if ours.at_once == line.honest => "all: met",
        (Storm::Calm | Storm::LockOut, _) => "all: **not met**",
        (Storm::FirstKnocks(_) | Storm::Strays(_), _) => "",
    };
    let _ = writeln!(
        text,
        "| of {} knocks, open at once (with three tries), {} | {} | {wanted} |",
        line.honest,
        name(line),
        cells.join(" | "),
    );
}

fn came_in(outcome: Option<Outcome>) -> String {
    match outcome {
        None => "broke down".to_owned(),
        Some(Outcome { at_once, opened, rate: 0..1000 }) => format!("{at_once} ({opened})"),
        Some(Outcome { at_once, opened, rate }) => {
            format!("{at_once} ({opened}) at {} k/s", rate / 1000)
        }
    }
}

fn name(line: &Weather) -> String {
    let strangers = match line.storm {
        Storm::Calm => "nobody else about".to_owned(),
        Storm::LockOut => "two forged packets a second".to_owned(),
        Storm::FirstKnocks(rate) => format!("{rate} forged first knocks a second"),
        Storm::Strays(rate) => format!("{rate} forged SYNs a second at another port"),
    };
    match line.pace {
        Pace::Slowly | Pace::Briskly => strangers,
        Pace::Together => format!("eight at a time, {strangers}"),
    }
}

/// Returns the highest rate that our daemon bore, of those up to which it bore all.
fn bearable(weather: &[Weather]) -> Option<u32> {
    let ours = weather.iter().map(|line| (line.honest, line.outcomes.last().copied().flatten()));
    let mut floods: Vec<(u32, bool)> = ours
        .filter_map(|(honest, outcome)| Some((outcome?.rate, outcome?.at_once == honest)))
        .collect();
    floods.sort_unstable();
    let first_loss = floods.iter().find(|(_, all)| !all).map_or(u32::MAX, |&(rate, _)| rate);
    floods.into_iter().map(|(rate, _)| rate).filter(|&rate| rate < first_loss).max()
}

fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "memory sizes are far below 2^53 bytes")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn figure(value: f64) -> String {
    if value < 10.0 { format!("{value:.2}") } else { format!("{value:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(median_ms: u64, wakeups: f64) -> Figures {
        let median = Duration::from_millis(median_ms);
        Figures {
            opening: Spans { median, p99: median * 2 },
            cost: Cost {
                resident: 24_000_000,
                rest_cpu: Duration::from_micros(3),
                rest_wakeups: wakeups,
                packet_cpu: Duration::from_nanos(1500),
            },
        }
    }

    fn weather(storm: Storm, outcomes: [Option<(usize, u32)>; 2]) -> Weather {
        let outcomes = outcomes
            .map(|outcome| {
                outcome.map(|(at_once, rate)| Outcome { at_once, opened: at_once + 1, rate })
            })
            .to_vec();
        Weather { storm, pace: Pace::Slowly, honest: 50, outcomes }
    }

    #[test]
    fn what_is_wanted_is_asked_of_ours_alone() {
        let text = markdown(
            &["knockd 0.8", "ours"],
            &[figures(46, 20.0), figures(9, 0.5)],
            &[
                weather(Storm::LockOut, [Some((2, 2)), Some((50, 2))]),
                weather(Storm::Strays(10_000), [None, Some((50, 9_999))]),
                weather(Storm::Strays(100_000), [None, Some((49, 99_000))]),
            ],
        );
        let expected = "\
| | knockd 0.8 | ours | wanted |
|---|--:|--:|---|
| knock to open, median, ms | 46.0 | 9.00 | at most 8: **not met** |
| knock to open, 99th percentile, ms | 92.0 | 18.0 | at most 20: met |
| CPU per matching packet, µs | 1.50 | 1.50 |  |
| CPU at rest, per second, µs | 3.00 | 3.00 |  |
| wake-ups at rest, per second, count | 20.0 | 0.50 | at most 1: met |
| memory at start, ring included, MB | 24.0 | 24.0 | at most 24: met |
| of 50 knocks, open at once (with three tries), two forged packets a second | 2 (3) | 50 (51) | all: met |
| of 50 knocks, open at once (with three tries), 10000 forged SYNs a second at another port | broke down | 50 (51) at 9 k/s |  |
| of 50 knocks, open at once (with three tries), 100000 forged SYNs a second at another port | broke down | 49 (50) at 99 k/s |  |
| highest rate at which all open at once, packets/s |  | 9999 | |
";
        assert_eq!(text, expected);
    }
}
