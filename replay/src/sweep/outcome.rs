//! What came of each value, beside what opens today.

use super::key::Value;
use super::tally::Counts;
use crate::openings::Openings;

/// A run with its settings, as it was made.
pub(super) struct Made {
    pub(super) settings: Vec<Value>,
    pub(super) is_today: bool,
    /// Whether nobody asked for them: they are what the config has.
    pub(super) is_extra: bool,
    /// The numbers of its openings.
    pub(super) opened: Vec<u32>,
    pub(super) counts: Counts,
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// A value for each key that is swept.
    pub(super) settings: Vec<Value>,
    /// Whether these are what the config has.
    pub(super) is_today: bool,
    /// Whether nobody asked for them: they are what the config has.
    pub(super) is_extra: bool,
    /// Openings, without those of scanners.
    pub(super) honest: u64,
    /// Openings by scanners.
    pub(super) accidental: u64,
    /// Honest openings of today that are gone.
    pub(super) lost: u64,
    pub(super) counts: Counts,
}

/// The rows of a sweep.
#[derive(Debug)]
pub(super) struct Outcome {
    /// In the order of the values, what the config has among them.
    pub(super) rows: Vec<Row>,
    /// Honest openings under today's config.
    pub(super) honest_today: u64,
    /// The least settings that lose none of them: none of these has only larger values than
    /// another.
    pub(super) smallest: Vec<Vec<Value>>,
}

impl Outcome {
    /// Compares runs. `accidental` tells of every opening, by its number, whether it is one.
    pub(super) fn of(runs: &[Made], openings: &Openings, accidental: &[bool]) -> Self {
        let is_accidental = |number: u32| {
            usize::try_from(number).ok().and_then(|it| accidental.get(it)).copied().unwrap_or(false)
        };
        let today = runs.iter().find(|run| run.is_today).map_or(&[][..], |run| &run.opened);
        let honest_today: Vec<u32> =
            today.iter().copied().filter(|number| !is_accidental(*number)).collect();
        let rows: Vec<Row> = runs
            .iter()
            .map(|run| {
                let all = run.opened.len() as u64;
                let accidental = run.opened.iter().filter(|it| is_accidental(**it)).count() as u64;
                Row {
                    settings: run.settings.clone(),
                    is_today: run.is_today,
                    is_extra: run.is_extra,
                    honest: all - accidental,
                    accidental,
                    lost: openings.lost(&honest_today, &run.opened).len() as u64,
                    counts: run.counts,
                }
            })
            .collect();
        let smallest = if honest_today.is_empty() { Vec::new() } else { smallest(&rows) };
        Self { rows, honest_today: honest_today.len() as u64, smallest }
    }
}

/// Returns the least settings among those that lose nothing.
fn smallest(rows: &[Row]) -> Vec<Vec<Value>> {
    let keeping = || rows.iter().filter(|row| row.lost == 0).map(|row| &row.settings);
    let is_below = |low: &[Value], high: &[Value]| {
        low != high && low.iter().zip(high).all(|(low, high)| low <= high)
    };
    let least = keeping().filter(|its| !keeping().any(|other| is_below(other, its)));
    let mut least: Vec<Vec<Value>> = least.cloned().collect();
    least.dedup();
    least
}
