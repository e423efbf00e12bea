//! The stories as text.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use anstyle::Style;
use knock_engine::local::LocalAddresses;
use knock_engine::output::EventKind;
use knock_engine::packet::{Packet, Transport};

use super::sentence::{Case, Mood, sentence};
use super::story::{Line, Stories, Story, Verdict, What};
use crate::report::Origin;
use crate::report::advice::Port;
use crate::report::block::wrap;
use crate::report::style::Palette;
use knock_frontend::escape::Escaped;
use knock_frontend::format::{Clock, Counted, Span, Times};

/// Lays the stories out.
pub(super) struct Page {
    palette: Palette,
    width: usize,
    /// The traces' names. Where there are several, frames bear their numbers, counted from 1.
    traces: Vec<String>,
    clock: Clock,
    date: String,
}

/// How much of the traces could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    Whole,
    /// All before an error.
    Part,
    Nothing,
}

/// The cells of a line before its verdicts.
struct Row {
    time: String,
    frame: String,
    packet: String,
}

impl Page {
    pub(super) fn new(palette: Palette, width: usize, traces: &[PathBuf]) -> Self {
        let traces = traces.iter().map(|path| Escaped(&path.to_string_lossy()).to_string());
        Self {
            palette,
            width,
            traces: traces.collect(),
            clock: Clock::default(),
            date: String::new(),
        }
    }

    pub(super) fn print(
        &mut self,
        stories: &Stories,
        local: &LocalAddresses,
        extent: Extent,
    ) -> String {
        let mut text = String::new();
        if self.traces.len() > 1 && !stories.is_empty() {
            for (number, trace) in (1..).zip(&self.traces) {
                let _ = writeln!(text, "trace {number}: {trace}");
            }
            text.push('\n');
        }
        for (index, (source, story)) in stories.iter().enumerate() {
            if index > 0 {
                text.push('\n');
            }
            self.append_story(stories, source, story, &mut text);
        }
        if stories.is_empty() && extent != Extent::Nothing {
            append_absence(stories, local, extent, &mut text);
        }
        if stories.watched.unwatched > 0 {
            let more = Counted(stories.watched.unwatched as u64, "more source");
            let _ = writeln!(text, "\n{more} touched a knock port: name one with --source");
        }
        if stories.clock_steps > 0 {
            let steps = Times(stories.clock_steps);
            let _ = writeln!(text, "\nthe clock stepped back {steps}: attempts ended there");
        }
        text
    }

    fn append_story(
        &mut self,
        stories: &Stories,
        source: IpAddr,
        story: &Story,
        text: &mut String,
    ) {
        let strong = self.palette.strong;
        let packets = Counted(story.packets, "packet");
        let _ = writeln!(text, "{strong}{source}{strong:#}  {packets}\n");
        let rows: Vec<Row> = story.lines.iter().map(|line| self.row(line)).collect();
        let column = |cell: fn(&Row) -> &str| {
            rows.iter().map(|row| cell(row).chars().count()).max().unwrap_or_default()
        };
        let (frame, packet) = (column(|row| &row.frame), column(|row| &row.packet));
        for (line, row) in story.lines.iter().zip(&rows) {
            self.append_date(line, text);
            let faint = self.palette.faint;
            let Row { time, frame: number, packet: what } = row;
            let _ = write!(text, "  {faint}{time}  {number:>frame$}{faint:#}  {what:packet$}");
            // Two blanks before each cell and before the line.
            let column = 2 + time.chars().count() + 2 + frame + 2 + packet;
            self.append_verdicts(stories, line, column, text);
        }
        if story.unlisted > 0 {
            let _ = writeln!(text, "  and {}", Counted(story.unlisted, "more line"));
        }
        text.push('\n');
        for (index, door) in stories.doors.iter().enumerate() {
            let case = Case {
                source,
                door,
                sequence: stories.sequence(index),
                story: story.doors.get(&index),
            };
            let (mood, told) = sentence(&case);
            if mood == Mood::Nothing && stories.doors.len() > 8 {
                continue;
            }
            self.append_sentence(&Escaped(&door.name).to_string(), mood, &told, text);
        }
    }

    fn append_date(&mut self, line: &Line, text: &mut String) {
        let date = self.clock.date(line.at).to_owned();
        if date != self.date {
            let faint = self.palette.faint;
            let _ = writeln!(text, "  {faint}{date}, times in UTC{faint:#}");
            self.date = date;
        }
    }

    fn row(&mut self, line: &Line) -> Row {
        let frame = line.origin.map(|origin| self.frame(origin)).unwrap_or_default();
        let packet = match &line.what {
            What::Packet(packet) => packet_text(packet),
            What::Undecoded(parties, _) => {
                format!("{} > {}", parties.protocol, parties.destination)
            }
            What::Nothing => String::new(),
            What::Others { packets: 1, .. } => "1 packet".to_owned(),
            What::Others { packets, until, .. } => {
                let span = Span(until.saturating_duration_since(line.at));
                format!("{} within {span}", Counted(*packets, "packet"))
            }
        };
        Row { time: self.clock.time(line.at), frame, packet }
    }

    fn frame(&self, origin: Origin) -> String {
        if self.traces.len() > 1 {
            return format!("{}:{}", origin.trace + 1, origin.frame);
        }
        origin.frame.to_string()
    }

    /// Ends a line, `column` characters long so far, with its verdicts. What doesn't fit into the
    /// terminal goes on in the next lines; all of it where there is next to no place behind the
    /// packet.
    fn append_verdicts(&self, stories: &Stories, line: &Line, column: usize, text: &mut String) {
        const LEAST_ROOM: usize = 20;
        const INDENT: usize = 14;
        let is_wide = self.width >= column + 2 + LEAST_ROOM;
        let indent = if is_wide { column } else { INDENT };
        let room = self.width.saturating_sub(indent + 2).max(LEAST_ROOM);
        for (index, pieces) in fill(&self.verdicts(stories, line), room).iter().enumerate() {
            if index > 0 || !is_wide {
                text.truncate(text.trim_end_matches(' ').len());
                let _ = write!(text, "\n{:indent$}", "");
            }
            text.push(' ');
            for (piece, style) in pieces {
                let _ = write!(text, " {style}{piece}{style:#}");
            }
        }
        text.push('\n');
    }

    fn verdicts(&self, stories: &Stories, line: &Line) -> Vec<(String, Style)> {
        let faint = self.palette.faint;
        match &line.what {
            What::Undecoded(_, cause) => {
                return vec![(
                    format!("undecodable: {}", cause.description()),
                    self.palette.notable,
                )];
            }
            What::Others { ports, .. } => {
                let ends = if ports.len() > Story::MAX_PORTS { ", ..." } else { "" };
                let named = ports.iter().take(Story::MAX_PORTS).map(|(p, n)| Port(*p, *n));
                let named: Vec<String> = named.map(|port| port.to_string()).collect();
                return vec![(format!("other_port: {}{ends}", named.join(", ")), faint)];
            }
            What::Packet(_) | What::Nothing => {}
        }
        if line.verdicts.is_empty() {
            return vec![("other_port".to_owned(), faint)];
        }
        // A run of verdicts of one door bears its name once.
        let mut named = None;
        let told = line.verdicts.iter().map(|(door, verdict)| {
            let is_named = stories.doors.len() == 1 || named == Some(*door);
            named = Some(*door);
            let door = Escaped(&stories.doors[*door].name);
            let text = verdict_text(verdict);
            let text = if is_named { text } else { format!("{door}: {text}") };
            (text, self.style(verdict))
        });
        told.collect()
    }

    fn style(&self, verdict: &Verdict) -> Style {
        match verdict {
            Verdict::Event { kind, .. } => match kind {
                EventKind::Open | EventKind::Renew => self.palette.good,
                EventKind::Reset(_)
                | EventKind::Lockout
                | EventKind::Evicted
                | EventKind::Refused => self.palette.bad,
                EventKind::Timeout => self.palette.notable,
                EventKind::Stage
                | EventKind::Duplicate
                | EventKind::Repeat
                | EventKind::Restart
                | EventKind::Stray
                | EventKind::Close
                | EventKind::Suppressed => Style::new(),
            },
            Verdict::Disregard(_) | Verdict::ClockStep => self.palette.notable,
        }
    }

    fn append_sentence(&self, door: &str, mood: Mood, told: &str, text: &mut String) {
        let style = match mood {
            Mood::Opened => self.palette.good,
            Mood::Failed => self.palette.bad,
            Mood::Nothing => self.palette.faint,
        };
        let indent = door.chars().count() + 4;
        let room = self.width.saturating_sub(indent).max(30);
        for (index, line) in wrap(told, room).iter().enumerate() {
            if index == 0 {
                let _ = writeln!(text, "  {style}{door}{style:#}  {line}");
            } else {
                let _ = writeln!(text, "{:indent$}{line}", "");
            }
        }
    }
}

/// Lays verdicts out in lines of at most `room` characters. They are broken between words only
/// where one alone is longer than that.
fn fill(told: &[(String, Style)], room: usize) -> Vec<Vec<(String, Style)>> {
    let mut lines = vec![Vec::new()];
    let mut used = 0;
    for (index, (verdict, style)) in told.iter().enumerate() {
        let comma = if index + 1 < told.len() { "," } else { "" };
        for piece in wrap(&format!("{verdict}{comma}"), room) {
            let length = piece.chars().count();
            if used > 0 && used + 1 + length > room {
                lines.push(Vec::new());
                used = 0;
            }
            used += length + usize::from(used > 0);
            lines.last_mut().expect("invariant: there is a line").push((piece, *style));
        }
    }
    lines
}

/// Says that there is nothing to tell, and why.
fn append_absence(stories: &Stories, local: &LocalAddresses, extent: Extent, text: &mut String) {
    let capture = match extent {
        Extent::Whole => "this capture",
        Extent::Part | Extent::Nothing => "what could be read of this capture",
    };
    let _ = match (stories.watched.only, local) {
        (None, _) => writeln!(text, "no packet in {capture} touched a knock port"),
        (Some(source), LocalAddresses::Known(addresses)) if stories.elsewhere > 0 => {
            let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            writeln!(
                text,
                "no packet from {source} in {capture} went to this host ({}) or to a knock port; \
                 {} went elsewhere",
                addresses.join(", "),
                Counted(stories.elsewhere, "packet")
            )
        }
        (Some(source), _) => writeln!(text, "no packet from {source} is in {capture}"),
    };
}

/// Returns a packet without its time.
fn packet_text(packet: &Packet) -> String {
    let to = SocketAddr::new(packet.destination, packet.destination_port);
    match packet.transport {
        Transport::Tcp { flags, .. } => {
            let flags = if flags.is_empty() { "no flags".to_owned() } else { flags.to_string() };
            format!("tcp {} > {to} {flags}", packet.source_port)
        }
        Transport::Udp => format!("udp {} > {to}", packet.source_port),
    }
}

/// Returns a verdict in its words: those of `docs/FORMATS.md`, and how far the attempt was.
pub(crate) fn verdict_text(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Disregard(reason) => reason.name().to_owned(),
        Verdict::ClockStep => "clock_step".to_owned(),
        Verdict::Event { kind: EventKind::Stage, stage: Some((stage, of)) } => {
            format!("stage {stage}/{of}")
        }
        Verdict::Event { kind: EventKind::Reset(reason), stage: Some((stage, of)) } => {
            format!("reset ({reason}) at {stage}/{of}")
        }
        Verdict::Event { kind: EventKind::Timeout, stage: Some((stage, of)) } => {
            format!("timeout at {stage}/{of}")
        }
        Verdict::Event { kind, .. } => kind.name().to_owned(),
    }
}
