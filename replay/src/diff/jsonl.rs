//! `--format jsonl`: one object a line. `docs/FORMATS.md` describes every field.

use std::net::IpAddr;

use knock_engine::time::Timestamp;
use knock_frontend::escape::append_json_line;
use knock_frontend::format::Clock;
use serde::Serialize;

use super::openings::Outcome;
use super::settings::{Change as Setting, Settings, ShadowKind};
use super::{Change, DiffArgs, Difference, Report, page};

#[derive(Serialize)]
struct SettingLine<'a> {
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    door: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
}

impl<'a> SettingLine<'a> {
    const fn new(event: &'static str, door: Option<&'a str>) -> Self {
        Self { event, door, key: None, old: None, new: None, part: None, kind: None }
    }
}

#[derive(Serialize)]
struct DifferenceLine<'a> {
    at: String,
    event: &'static str,
    trace: &'a str,
    frame: u64,
    door: &'a str,
    source: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    knock: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    other_ports: Option<usize>,
    message: String,
}

#[derive(Serialize)]
struct SummaryLine {
    event: &'static str,
    differs: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_openings: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_openings: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gained: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    altered: Option<usize>,
}

/// Writes the lines.
pub(super) fn print(report: &Report, args: &DiffArgs) -> anyhow::Result<String> {
    let mut lines = Lines { bytes: Vec::new(), clock: Clock::default() };
    lines.settings(&report.settings)?;
    for difference in report.traffic.iter().flat_map(|traffic| &traffic.differences) {
        lines.difference(difference, args)?;
    }
    let traffic = report.traffic.as_ref();
    let count = |change| {
        let is_it = |its: &&Difference| its.change == change;
        traffic.map(|traffic| traffic.differences.iter().filter(is_it).count())
    };
    lines.push(&SummaryLine {
        event: "summary",
        differs: report.differs(),
        old_openings: traffic.map(|traffic| traffic.openings.0),
        new_openings: traffic.map(|traffic| traffic.openings.1),
        lost: count(Change::Lost),
        gained: count(Change::Gained),
        altered: count(Change::Altered),
    })?;
    Ok(String::from_utf8(lines.bytes)?)
}

struct Lines {
    bytes: Vec<u8>,
    clock: Clock,
}

impl Lines {
    fn push(&mut self, line: &impl Serialize) -> anyhow::Result<()> {
        append_json_line(&mut self.bytes, line)?;
        Ok(())
    }

    fn settings(&mut self, settings: &Settings) -> anyhow::Result<()> {
        for name in &settings.added {
            self.push(&SettingLine::new("door_added", Some(name)))?;
        }
        for name in &settings.removed {
            self.push(&SettingLine::new("door_removed", Some(name)))?;
        }
        self.changes("option_changed", None, &settings.options)?;
        for (name, changes) in &settings.changed {
            self.changes("door_changed", Some(name), changes)?;
        }
        for shadow in &settings.shadows {
            let kind = match shadow.kind {
                ShadowKind::Same => "same",
                ShadowKind::Beginning => "beginning",
                ShadowKind::Within => "within",
            };
            let mut line = SettingLine::new("shadow", Some(&shadow.whole));
            line.part = Some(&shadow.part);
            line.kind = Some(kind);
            self.push(&line)?;
        }
        Ok(())
    }

    fn changes(
        &mut self,
        event: &'static str,
        door: Option<&str>,
        changes: &[Setting],
    ) -> anyhow::Result<()> {
        for Setting { key, old, new } in changes {
            let mut line = SettingLine::new(event, door);
            line.key = Some(key);
            line.old = old.as_deref();
            line.new = new.as_deref();
            self.push(&line)?;
        }
        Ok(())
    }

    fn difference(&mut self, difference: &Difference, args: &DiffArgs) -> anyhow::Result<()> {
        let (opening, detail) = (&difference.opening, &difference.detail);
        let (old, new) = match difference.change {
            Change::Lost => (Some(opening), None),
            Change::Gained => (None, Some(opening)),
            Change::Altered => (difference.other.as_ref(), Some(opening)),
        };
        let mut stamp = |at: Timestamp| self.clock.rfc3339(at);
        let at = stamp(opening.at);
        let old_until = old.and_then(|its| its.until).map(&mut stamp);
        let new_until = new.and_then(|its| its.until).map(&mut stamp);
        let trace = args.traces.get(opening.origin.trace).map(|path| path.to_string_lossy());
        let mut message = page::verdict(difference);
        for reason in page::reasons(difference, args.scanner) {
            message.push_str(": ");
            message.push_str(&reason);
        }
        self.push(&DifferenceLine {
            at,
            event: match difference.change {
                Change::Lost => "lost",
                Change::Gained => "gained",
                Change::Altered => "altered",
            },
            trace: trace.as_deref().unwrap_or_default(),
            frame: opening.origin.frame,
            door: &opening.door,
            source: opening.source,
            old: old.map(|its| outcome(its.outcome)),
            new: new.map(|its| outcome(its.outcome)),
            old_until,
            new_until,
            reason: detail.obstacle.as_ref().map(super::obstacle::Obstacle::name),
            knock: detail.obstacle.as_ref().and_then(super::obstacle::Obstacle::number),
            other_ports: (difference.change != Change::Altered).then_some(detail.other_ports),
            message,
        })
    }
}

const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::NothingToRun => "nothing_to_run",
        Outcome::Starts => "start",
        Outcome::Renews => "renew",
        Outcome::Suppressed => "suppressed",
        Outcome::Refused => "refused",
    }
}
