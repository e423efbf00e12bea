//! `--format summary`, and the end of `--format text`: the totals.

use std::fmt::Write as _;
use std::io::{self, Write};

use knock_engine::output::Output;
use knock_engine::packet::Packet;
use knock_engine::time::Timestamp;
use knock_engine::wire::Undecoded;

use super::original::{Cause, Close, OriginalReport};
use super::style::Palette;
use super::totals::{DoorTotals, LocalOrigin, Totals};
use super::{Origin, Report};
use crate::knockd08::Decision;
use knock_frontend::escape::Escaped;
use knock_frontend::format::{Bytes, Clock, Count, Counted, Span, Times};

/// The report that tells the totals only.
#[derive(Debug)]
pub struct Summary<W> {
    out: W,
    palette: Palette,
}

impl<W: Write> Summary<W> {
    /// Makes a report that writes to `out`.
    #[must_use]
    pub const fn new(out: W, palette: Palette) -> Self {
        Self { out, palette }
    }
}

impl<W: Write> Report for Summary<W> {
    fn output(&mut self, _output: &Output, _origin: Option<Origin>) -> io::Result<()> {
        Ok(())
    }

    fn packet(&mut self, _packet: &Packet, _at: Timestamp, _origin: Origin) -> io::Result<()> {
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self, totals: &Totals) -> io::Result<()> {
        let mut text = String::new();
        append(totals, &self.palette, &mut text);
        if totals.local == LocalOrigin::Assumed {
            text.push_str(
                "  local addresses unknown: every unicast destination counted as local\n",
            );
        }
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}

impl<W: Write> OriginalReport for Summary<W> {
    fn decision(&mut self, _decision: &Decision, _cause: &Cause) -> io::Result<()> {
        Ok(())
    }

    fn close(&mut self, _close: &Close) -> io::Result<()> {
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self, totals: &Totals) -> io::Result<()> {
        Report::finish(self, totals)
    }
}

/// Doors are listed up to this number even where nobody knocked.
const MAX_IDLE_LISTED: usize = 16;

/// Appends the totals as text.
pub(super) fn append(totals: &Totals, palette: &Palette, text: &mut String) {
    append_table(totals, palette, text);
    for door in &totals.doors {
        append_details(door, text);
    }
    text.push('\n');
    append_packets(totals, text);
}

fn append_table(totals: &Totals, palette: &Palette, text: &mut String) {
    // The original doesn't fail attempts, it loses them.
    let failed = if totals.decided_as == "sesame" { "failed" } else { "lost" };
    let titles = ["attempts", "opened", "timed out", failed, "closed"];
    let lists_all = totals.doors.len() <= MAX_IDLE_LISTED;
    let listed = || totals.doors.iter().filter(|door| lists_all || is_touched(door));
    let name = |door: &DoorTotals| Escaped(&door.door).to_string();
    let width = listed().map(|door| name(door).chars().count()).max().unwrap_or(0).max(4);
    let faint = palette.faint;
    let _ = write!(text, "{faint}{:width$}", "door");
    for title in titles {
        let _ = write!(text, "  {title:>9}");
    }
    let _ = writeln!(text, "{faint:#}");
    for door in listed() {
        let strong = palette.strong;
        let _ = write!(text, "{strong}{:width$}{strong:#}", name(door));
        let numbers = [door.attempts, door.opens, door.timeouts, door.failures(), door.closes];
        for (index, number) in numbers.into_iter().enumerate() {
            let style = match (index, number) {
                (_, 0) => palette.faint,
                (1, _) => palette.good,
                (3, _) => palette.bad,
                _ => anstyle::Style::new(),
            };
            let _ = write!(text, "  {style}{:>9}{style:#}", Count(number));
        }
        text.push('\n');
    }
    let idle = totals.doors.iter().filter(|door| !lists_all && !is_touched(door)).count();
    if idle > 0 {
        let _ = writeln!(text, "and {} that nobody knocked at", Counted(idle as u64, "door"));
    }
}

fn is_touched(door: &DoorTotals) -> bool {
    door.attempts + door.duplicates + door.closes > 0 || !door.lost.is_empty()
}

/// Appends what the table has no column for, where there was any.
fn append_details(door: &DoorTotals, text: &mut String) {
    let told = [
        (door.resets.out_of_order, "broken by a knock out of order"),
        (door.resets.strays, "broken by hits on too many other ports"),
        (door.resets.sequence_used, "ended by another source's use of the one-time sequence"),
        (door.restarts, "begun anew"),
        (door.renewals, "opened while open: renewed"),
        (door.suppressed, "opened within the cooldown: nothing ran"),
        (door.refused, "opened beyond max_leases: nothing ran"),
        (door.lockouts, "locked out"),
        (door.evicted, "evicted from a full table"),
        (door.duplicates, "retransmissions ignored"),
        (door.repeats, "repeats of the last knock ignored"),
        (door.strays, "packets to other ports during attempts"),
    ];
    let lost = door.lost.iter().map(|(reason, number)| (*number, lost_text(reason)));
    let told: Vec<_> = told.into_iter().filter(|(number, _)| *number > 0).chain(lost).collect();
    if told.is_empty() && !door.disabled {
        return;
    }
    let _ = writeln!(text, "\n{}", Escaped(&door.door));
    let what_width = told.iter().map(|(_, what)| what.len()).max().unwrap_or(0);
    let width = told.iter().map(|(n, _)| Count(*n).to_string().len()).max().unwrap_or(0);
    for (number, what) in told {
        let _ = writeln!(text, "  {what:what_width$}  {:>width$}", Count(number));
    }
    if door.disabled {
        text.push_str("  no one-time sequence left: disabled\n");
    }
}

/// Tells in a few words how knockd 0.8 lost a knock or an attempt.
fn lost_text(reason: &'static str) -> &'static str {
    match reason {
        "forgotten" => "lost: forgotten with the oldest attempt",
        "expired" => "lost: out of time",
        "whole_seconds" => "lost: out of time only in whole seconds",
        "wrong_packet" => "lost: another packet came first",
        "repeated" => "lost: a knock came twice",
        "orphaned" => "lost: knocks of an attempt that was gone",
        "failed_another" => "lost: the first knock made another attempt fail",
        "blocked" => "lost: the source was at another door",
        "sequence_shrank" => "lost: the next one-time sequence is shorter",
        "stale_filter" => "lost: the filter has an old one-time sequence",
        "vlan_tag" => "lost: VLAN tag",
        "ipv6_extension" => "lost: IPv6 extension header",
        "ipv6_on_this_link" => "lost: IPv6 on this link layer",
        "unfinished" => "unfinished when the capture ended",
        other => other,
    }
}

/// Tells a cause in plain words.
fn described(cause: &'static str) -> &'static str {
    let known = Undecoded::ALL.into_iter().find(|undecoded| undecoded.name() == cause);
    known.map_or(cause, Undecoded::description)
}

fn append_packets(totals: &Totals, text: &mut String) {
    let packets = Counted(totals.packets, "packet");
    let _ = write!(text, "{packets}, {}", Bytes(totals.bytes));
    if let (Some(first), Some(last)) = (totals.first, totals.last) {
        let mut clock = Clock::default();
        let stamp =
            |clock: &mut Clock, at| format!("{}T{}Z", clock.date(at).to_owned(), clock.time(at));
        let (from, until) = (stamp(&mut clock, first), stamp(&mut clock, last));
        let span = Span(last.saturating_duration_since(first));
        let _ = write!(text, ", {from} to {until} ({span})");
    }
    let _ = write!(text, "\n  {} judged", Count(totals.judged));
    if totals.irrelevant > 0 {
        let _ = write!(text, ", {} that no door listens to", Count(totals.irrelevant));
    }
    text.push('\n');
    if !totals.skipped.is_empty() {
        let _ = writeln!(text, "  {} not decoded:", Count(totals.all_skipped()));
        let width = totals.skipped.values().map(|n| Count(*n).to_string().len()).max();
        let width = width.unwrap_or(0);
        for (cause, number) in &totals.skipped {
            let _ = writeln!(text, "    {:>width$}  {}", Count(*number), described(cause));
        }
    }
    if totals.clock_steps > 0 {
        let _ = writeln!(text, "  the clock stepped back {}", Times(totals.clock_steps));
    }
    if totals.truncated {
        text.push_str("  a trace ends in the middle of a record\n");
    }
    for damage in &totals.damage {
        let (trace, cause) = (Escaped(&damage.trace), Escaped(&damage.cause));
        let extent = damage.bytes.map(|n| format!(", {} skipped", Counted(n, "byte")));
        let extent = extent.unwrap_or_default();
        let _ = writeln!(text, "  damage in {trace} at byte {}{extent}: {cause}", damage.offset);
    }
}
