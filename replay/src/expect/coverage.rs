//! Doors and knocks that no case exercises.

use std::fmt::Write as _;

use comfy_table::{ContentArrangement, Table, presets};
use knock_engine::config::{Door, Sequences};
use knock_frontend::escape::Escaped;
use knock_frontend::format::{Count, Counted};

use super::seen::Seen;
use super::stage::Stage;

/// The most doors that a report names.
const MOST: usize = 100;

/// What of each config was exercised by the cases that were run.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    configs: Vec<(String, Vec<DoorCoverage>)>,
}

/// What of a door was exercised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DoorCoverage {
    pub(super) name: String,
    /// The knocks of its sequence; of one-time sequences those of the first unused one.
    pub(super) knocks: Vec<String>,
    /// How many of them came, in their order, from one source.
    pub(super) reached: usize,
}

impl DoorCoverage {
    fn of(door: &Door) -> Self {
        let sequence = match &door.sequences {
            Sequences::Fixed(sequence) => Some(sequence),
            Sequences::OneTime { lines, .. } => lines.first().map(|line| &line.sequence),
        };
        let knocks = sequence.map(|sequence| sequence.knocks().to_vec()).unwrap_or_default();
        let told = knocks.iter().map(|knock| format!("{}/{}", knock.port, knock.protocol));
        Self { name: door.name.clone(), knocks: told.collect(), reached: 0 }
    }

    /// Returns the knocks that no case sends.
    pub(super) fn missing(&self) -> &[String] {
        self.knocks.get(self.reached..).unwrap_or_default()
    }
}

impl Coverage {
    /// Notes what a case exercised.
    pub(super) fn note(&mut self, stage: &Stage, seen: &Seen) {
        let known = self.configs.iter().position(|(name, _)| *name == stage.config_name);
        let index = known.unwrap_or_else(|| {
            let doors = stage.config.doors.iter().map(|door| DoorCoverage::of(door)).collect();
            self.configs.push((stage.config_name.clone(), doors));
            self.configs.len() - 1
        });
        let Some((_, doors)) = self.configs.get_mut(index) else { return };
        for (door, reached) in doors.iter_mut().zip(seen.reached()) {
            door.reached = door.reached.max(usize::from(*reached)).min(door.knocks.len());
        }
    }

    /// Returns the doors that are not wholly exercised, each with its config.
    pub(super) fn missing(&self) -> impl Iterator<Item = (&str, &DoorCoverage)> {
        let doors = self
            .configs
            .iter()
            .flat_map(|(config, doors)| doors.iter().map(move |door| (config.as_str(), door)));
        doors.filter(|(_, door)| !door.missing().is_empty())
    }

    /// Returns how many knocks there are, and how many of them came.
    pub(super) fn knocks(&self) -> (u64, u64) {
        let doors = self.configs.iter().flat_map(|(_, doors)| doors);
        doors.fold((0, 0), |(all, reached), door| {
            (all + door.knocks.len() as u64, reached + door.reached as u64)
        })
    }

    /// Returns the share of the knocks that came, in tenths of a percent, rounded down; all of
    /// none is everything.
    pub(super) fn permille(&self) -> u64 {
        let (all, reached) = self.knocks();
        (reached * 1000).checked_div(all).unwrap_or(1000)
    }

    /// Returns that share as percent: `66.6 %`.
    pub(super) fn percent(&self) -> String {
        let permille = self.permille();
        format!("{}.{} %", permille / 10, permille % 10)
    }

    /// Lays it out for people.
    pub(super) fn text(&self, width: usize) -> String {
        let (all, reached) = self.knocks();
        let mut text = format!(
            "\ncoverage: {} of {}, {}\n",
            Count(reached),
            Counted(all, "knock"),
            self.percent()
        );
        let missing: Vec<_> = self.missing().collect();
        if missing.is_empty() {
            return text;
        }
        let mut table = Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY);
        table.set_content_arrangement(ContentArrangement::Dynamic);
        let width = u16::try_from(width.saturating_sub(4)).unwrap_or(u16::MAX);
        table.set_width(width.max(30));
        table.set_header(["config", "door", "in no case"]);
        for (config, door) in missing.iter().take(MOST) {
            let what = if door.reached == 0 { "the whole door: " } else { "" };
            let what = format!("{what}{}", door.missing().join(", "));
            table.add_row([Escaped(config).to_string(), Escaped(&door.name).to_string(), what]);
        }
        for line in table.to_string().lines() {
            let _ = writeln!(text, "  {}", line.trim_end());
        }
        if missing.len() > MOST {
            let more = Counted((missing.len() - MOST) as u64, "more door");
            let _ = writeln!(text, "  and {more}");
        }
        text
    }
}
