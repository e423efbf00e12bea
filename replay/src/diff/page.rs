//! `--format text`.

use std::fmt::Write as _;

use knock_frontend::escape::Escaped;
use knock_frontend::format::{Clock, Count, Counted, Span};

use super::obstacle::Tense;
use super::openings::{Opening, Outcome};
use super::settings::{Change as Setting, Settings, Shadow, ShadowKind};
use super::{Change, DiffArgs, Difference, Report, Traffic};
use crate::cli::ScannerArgs;
use crate::report::style::Palette;

/// Writes the page.
pub(super) fn print(report: &Report, palette: Palette, args: &DiffArgs) -> String {
    let mut page =
        Page { text: String::new(), palette, clock: Clock::default(), scanner: args.scanner };
    page.settings(&report.settings);
    if let Some(traffic) = &report.traffic {
        page.text.push('\n');
        page.traffic(traffic);
    } else {
        let hint = "no traffic was compared: name captures to see what it would come to";
        let _ = writeln!(page.text, "\n{}{hint}{:#}", page.palette.faint, page.palette.faint);
    }
    let verdict = match (report.differs(), report.is_whole) {
        (true, _) => "They differ.",
        (false, true) => "Nothing differs.",
        (false, false) => "Nothing differs as far as the traces could be read.",
    };
    let (old, new) = (args.old.to_string_lossy(), args.new.to_string_lossy());
    let _ = writeln!(page.text, "\n{verdict} ({} -> {})", Escaped(&old), Escaped(&new));
    page.text
}

struct Page {
    text: String,
    palette: Palette,
    clock: Clock,
    scanner: ScannerArgs,
}

impl Page {
    fn settings(&mut self, settings: &Settings) {
        let strong = self.palette.strong;
        let _ = writeln!(self.text, "{strong}config{strong:#}");
        if settings.is_unknown {
            self.text
                .push_str("  the old one can't be read as ours: its settings are not compared\n");
            return;
        }
        if !settings.differ() {
            self.text.push_str("  the same\n");
        }
        for name in &settings.added {
            let _ = writeln!(self.text, "  + {}", Escaped(name));
        }
        for name in &settings.removed {
            let _ = writeln!(self.text, "  - {}", Escaped(name));
        }
        if !settings.options.is_empty() {
            self.changes("[options]", &settings.options);
        }
        for (name, changes) in &settings.changed {
            self.changes(name, changes);
        }
        for shadow in &settings.shadows {
            let notable = self.palette.notable;
            let _ = writeln!(self.text, "  {notable}!{notable:#} {}", sentence(shadow));
        }
    }

    fn changes(&mut self, name: &str, changes: &[Setting]) {
        let _ = writeln!(self.text, "  ~ {}", Escaped(name));
        let width = changes.iter().map(|change| change.key.len()).max().unwrap_or(0);
        for Setting { key, old, new } in changes {
            let value = |value: &Option<String>| match value.as_deref() {
                None => "(none)".to_owned(),
                Some("") => "(set)".to_owned(),
                Some(value) => Escaped(value).to_string(),
            };
            let (old, new) = (value(old), value(new));
            let _ = writeln!(self.text, "      {key:width$}  {old} -> {new}");
        }
    }

    fn traffic(&mut self, traffic: &Traffic) {
        let strong = self.palette.strong;
        let _ = writeln!(self.text, "{strong}traffic{strong:#}");
        let (old, new) = traffic.openings;
        let (old, new) = (Counted(old as u64, "opening"), Counted(new as u64, "opening"));
        let _ = writeln!(self.text, "  before: {old}; now: {new}");
        if traffic.differences.is_empty() {
            self.text.push_str("  every knock comes to the same\n");
            return;
        }
        let count = |change| {
            let is_it = |its: &&Difference| its.change == change;
            Count(traffic.differences.iter().filter(is_it).count() as u64)
        };
        let (lost, gained, altered) =
            (count(Change::Lost), count(Change::Gained), count(Change::Altered));
        let told =
            format!("  no longer open: {lost}; open now: {gained}; open otherwise: {altered}");
        let _ = writeln!(self.text, "{told}\n");
        let mut day = String::new();
        for difference in &traffic.differences {
            self.difference(difference, traffic, &mut day);
        }
        if traffic.unexplained > 0 {
            let more = Count(traffic.unexplained as u64);
            let _ =
                writeln!(self.text, "\n  the last {more} are not explained: there are too many");
        }
    }

    fn difference(&mut self, difference: &Difference, traffic: &Traffic, day: &mut String) {
        let Opening { door, source, at, origin, .. } = &difference.opening;
        let date = self.clock.date(*at).to_owned();
        if date != *day {
            let faint = self.palette.faint;
            let _ = writeln!(self.text, "  {faint}{date}, times in UTC{faint:#}");
            *day = date;
        }
        let frame = match traffic.names.as_slice() {
            [_] => format!("frame {}", origin.frame),
            names => {
                let name = names.get(origin.trace).map_or("trace", String::as_str);
                format!("{name}:{}", origin.frame)
            }
        };
        let style = match difference.change {
            Change::Lost => self.palette.bad,
            Change::Gained => self.palette.notable,
            Change::Altered => self.palette.strong,
        };
        let time = self.clock.time(*at).to_owned();
        let door = Escaped(door);
        let head = format!("  {time}  {source}  {door}  {style}{}{style:#}", verdict(difference));
        let faint = self.palette.faint;
        let _ = writeln!(self.text, "{head}  {faint}{frame}{faint:#}");
        for line in reasons(difference, self.scanner) {
            let _ = writeln!(self.text, "                {line}");
        }
    }
}

/// Returns what differs: `opened / no longer opens`.
pub(super) fn verdict(difference: &Difference) -> String {
    match (difference.change, &difference.other) {
        (Change::Lost, _) => "opened / no longer opens".to_owned(),
        (Change::Gained, _) => "did not open / opens now".to_owned(),
        (Change::Altered, Some(before)) => altered(before, &difference.opening),
        (Change::Altered, None) => "differs".to_owned(),
    }
}

fn altered(before: &Opening, now: &Opening) -> String {
    if before.outcome != now.outcome {
        return format!("{} / {}", outcome(before.outcome), outcome(now.outcome));
    }
    match (before.until, now.until) {
        (Some(before), Some(now)) => match now.checked_duration_since(before) {
            Some(later) => format!("closes {} later", Span(later)),
            None => format!("closes {} sooner", Span(before.saturating_duration_since(now))),
        },
        (Some(_), None) => "closed by itself / stays open".to_owned(),
        (None, _) => "stayed open / closes by itself".to_owned(),
    }
}

const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::NothingToRun => "runs nothing",
        Outcome::Starts => "runs start_command",
        Outcome::Renews => "stays open longer",
        Outcome::Suppressed => "runs nothing (cooldown)",
        Outcome::Refused => "runs nothing (max_leases)",
    }
}

/// Returns why, and by whom.
pub(super) fn reasons(difference: &Difference, scanner: ScannerArgs) -> Vec<String> {
    let detail = &difference.detail;
    let mut reasons = Vec::new();
    if let Some(obstacle) = &detail.obstacle {
        reasons.push(match difference.change {
            Change::Gained => format!("before: {}", obstacle.text(Tense::Before)),
            Change::Lost | Change::Altered => obstacle.text(Tense::Now),
        });
    }
    if detail.other_ports > 0 {
        let is_scanner = detail.other_ports >= usize::from(scanner.ports);
        let who = if is_scanner { "a scanner: " } else { "" };
        let ports = Counted(detail.other_ports as u64, "other port");
        reasons.push(format!("{who}{ports} hit around it"));
    }
    reasons.iter().map(|reason| Escaped(reason).to_string()).collect()
}

/// Returns a sentence about two sequences.
pub(super) fn sentence(shadow: &Shadow) -> String {
    let (part, whole) = (Escaped(&shadow.part), Escaped(&shadow.whole));
    match shadow.kind {
        ShadowKind::Same => {
            format!("{part} and {whole} have the same sequence: one knock opens both")
        }
        ShadowKind::Beginning => format!(
            "the sequence of {part} is the beginning of that of {whole}: whoever knocks at {whole} \
             opens {part} on the way"
        ),
        ShadowKind::Within => format!(
            "the sequence of {part} is a part of that of {whole}: whoever knocks at {whole} opens \
             {part} on the way"
        ),
    }
}
