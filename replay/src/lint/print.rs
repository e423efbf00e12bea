//! The findings and strengths as text and as JSON lines.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;

use knock_engine::config::{self, Diagnostic, Locator};
use knock_frontend::diagnostics::{self, Colour, Source};
use knock_frontend::escape::{Escaped, append_json_line};
use knock_frontend::format::{Count, Counted, Span};
use num_bigint::BigUint;
use serde::Serialize;

use super::code::Severity;
use super::numbers::{grouped, rounded, short};
use super::strength::{ASSUMPTIONS, Strength};
use super::subject::{Finding, Subject, short_name};
use crate::PROGRAM;
use crate::report::style::Palette;

/// The most doors whose strength the text tells.
const MAX_DOORS: usize = 100;

/// What lint has found.
pub(super) struct Report<'a> {
    /// The config.
    pub(super) subject: &'a Subject<'a>,
    /// The findings, in the order of the files.
    pub(super) findings: Vec<Finding>,
    /// How many more a comment allows.
    pub(super) allowed: usize,
    /// For each door what it takes to guess it; `None` where nothing opens it.
    pub(super) strengths: Vec<Option<Strength>>,
    /// For each door the scan in order that opens it.
    pub(super) scans: Vec<Option<String>>,
    /// Packets a second.
    pub(super) rate: u64,
}

impl Report<'_> {
    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|it| it.code.severity() == severity).count()
    }

    /// Returns the lines and columns of all findings.
    fn places(&self) -> Vec<(usize, usize)> {
        let files = self.subject.files;
        let mut locators: Vec<_> = files.iter().map(|file| Locator::new(&file.text)).collect();
        let findings = self.findings.iter();
        findings.map(|found| locators[found.file].locate(found.span.start)).collect()
    }

    /// Writes it for people: the findings with their lines, then the strengths.
    pub(super) fn text(&self, colour: Colour, palette: &Palette) -> String {
        let mut text = String::new();
        let placed: Vec<_> = self.findings.iter().zip(self.places()).collect();
        for found in placed.chunk_by(|(one, _), (next, _)| one.file == next.file) {
            let file = &self.subject.files[found[0].0.file];
            let source = Source { path: &file.path, text: &file.text };
            let found: Vec<_> = found.iter().map(|(it, place)| diagnostic(it, *place)).collect();
            text += &diagnostics::render(PROGRAM, source, &found, colour);
        }
        if self.findings.is_empty() {
            let path = config::escape(self.subject.files[0].path.as_os_str().as_encoded_bytes());
            let _ = writeln!(text, "{}: {path}: no findings", PROGRAM.0);
        }
        if self.allowed > 0 {
            let allowed = Counted(wide(self.allowed), "finding");
            let _ = writeln!(text, "{}: {allowed} allowed by comments", PROGRAM.0);
        }
        self.append_strengths(&mut text, palette);
        text
    }

    fn append_strengths(&self, text: &mut String, palette: &Palette) {
        let doors = &self.subject.config.doors;
        if doors.is_empty() {
            return;
        }
        let rate = Count(self.rate);
        let _ = writeln!(
            text,
            "\nHow hard the doors are to guess, at {rate} packets a second (--rate):"
        );
        for ((door, strength), scan) in
            doors.iter().zip(&self.strengths).zip(&self.scans).take(MAX_DOORS)
        {
            let (strong, name) = (palette.strong, short_name(&door.name));
            let _ = write!(text, "\n{strong}{}{strong:#}: ", Escaped(&name));
            match strength {
                Some(strength) => self.append_strength(text, strength, scan.as_deref()),
                None => text.push_str("no sequence is left, so nothing opens it\n"),
            }
        }
        if let Some(more) = doors.len().checked_sub(MAX_DOORS).filter(|more| *more > 0) {
            let _ = writeln!(
                text,
                "\nand {} (all with --format jsonl)",
                Counted(wide(more), "more door")
            );
        }
        text.push_str("\nThis assumes:\n");
        for assumption in ASSUMPTIONS {
            append_wrapped(text, assumption);
        }
    }

    fn append_strength(&self, text: &mut String, strength: &Strength, scan: Option<&str>) {
        let number = strength.number();
        let _ = writeln!(text, "{}", knocks(strength));
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "  {name:<14}  {value}");
        };
        let sequences = grouped(&strength.sequences);
        line("sequences", format!("65,536^{number} = {sequences} ({} bits)", 16 * number));
        let search =
            |packets: &BigUint| format!("{} packets: {}", grouped(packets), self.time(packets));
        let each = Counted(wide(number), "packet");
        line(
            "blind search",
            format!("half of them, {each} each, on average {}", search(&strength.search)),
        );
        let guesses = match &strength.best_search {
            Some(best) => format!(
                "a packet can complete {} {}; on average {}",
                short(&strength.per_packet),
                if strength.per_packet == BigUint::from(1_u8) { "sequence" } else { "sequences" },
                search(best)
            ),
            None => "no whole sequence gets through within seq_timeout at this rate".to_owned(),
        };
        line("with strays", guesses);
        line(
            "scan in order",
            scan.map_or_else(|| "does not open it".to_owned(), |it| format!("{it} scan opens it")),
        );
        line(
            "scan at random",
            match &strength.random_scans {
                None => "never opens it".to_owned(),
                Some(scans) if *scans == BigUint::from(1_u8) => "every one opens it".to_owned(),
                Some(scans) => format!("one in {} opens it", short(scans)),
            },
        );
    }

    /// Says how long so many packets take.
    fn time(&self, packets: &BigUint) -> String {
        const YEAR: u32 = 31_557_600;
        let seconds = rounded(packets, &BigUint::from(self.rate));
        match u64::try_from(&seconds) {
            Ok(seconds) if seconds < u64::from(YEAR) => {
                let millis = rounded(&(packets * 1_000_u32), &BigUint::from(self.rate));
                let millis = u64::try_from(millis).unwrap_or(u64::MAX);
                Span(std::time::Duration::from_millis(millis)).to_string()
            }
            _ => {
                let years = rounded(&seconds, &BigUint::from(YEAR));
                let plural = if years == BigUint::from(1_u8) { "" } else { "s" };
                format!("{} year{plural}", short(&years))
            }
        }
    }

    /// Writes it for programs: an object a line.
    ///
    /// # Errors
    ///
    /// None: everything in it can be written.
    pub(super) fn jsonl(&self) -> std::io::Result<Vec<u8>> {
        let mut lines = Vec::new();
        for (found, (line, column)) in self.findings.iter().zip(self.places()) {
            let door = found.door.map(|door| self.subject.config.doors[door].name.as_str());
            append_json_line(
                &mut lines,
                &FindingLine {
                    event: "finding",
                    code: found.code.name(),
                    severity: found.code.severity().name(),
                    file: lossy(&self.subject.files[found.file].path),
                    line,
                    column,
                    door,
                    reason: &found.reason,
                    remedy: &found.remedy,
                },
            )?;
        }
        let doors = self.subject.config.doors.iter().zip(&self.strengths).zip(&self.scans);
        for ((door, strength), scan) in doors {
            let Some(strength) = strength else { continue };
            append_json_line(
                &mut lines,
                &self.strength_line(&door.name, strength, scan.as_deref()),
            )?;
        }
        append_json_line(
            &mut lines,
            &SummaryLine {
                event: "summary",
                file: lossy(&self.subject.files[0].path),
                doors: self.subject.config.doors.len(),
                errors: self.count(Severity::Error),
                warnings: self.count(Severity::Warning),
                allowed: self.allowed,
            },
        )?;
        Ok(lines)
    }

    fn strength_line<'a>(
        &self,
        door: &'a str,
        strength: &Strength,
        scan: Option<&'a str>,
    ) -> StrengthLine<'a> {
        StrengthLine {
            event: "strength",
            door,
            knocks: strength.number(),
            sequences: strength.sequences.to_string(),
            bits: 16 * strength.number(),
            rate: self.rate,
            search_packets: strength.search.to_string(),
            per_packet: strength.per_packet.to_string(),
            best_search_packets: strength.best_search.as_ref().map(ToString::to_string),
            scan,
            random_scans: strength.random_scans.as_ref().map(ToString::to_string),
        }
    }
}

/// A finding, as a line.
#[derive(Serialize)]
struct FindingLine<'a> {
    event: &'static str,
    code: &'static str,
    severity: &'static str,
    file: Cow<'a, str>,
    line: usize,
    column: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    door: Option<&'a str>,
    reason: &'a str,
    remedy: &'a str,
}

/// How hard a door is to guess, as a line.
#[derive(Serialize)]
struct StrengthLine<'a> {
    event: &'static str,
    door: &'a str,
    knocks: usize,
    sequences: String,
    bits: usize,
    rate: u64,
    search_packets: String,
    per_packet: String,
    best_search_packets: Option<String>,
    scan: Option<&'a str>,
    random_scans: Option<String>,
}

/// The last line.
#[derive(Serialize)]
struct SummaryLine<'a> {
    event: &'static str,
    file: Cow<'a, str>,
    doors: usize,
    errors: usize,
    warnings: usize,
    allowed: usize,
}

fn lossy(path: &Path) -> Cow<'_, str> {
    path.as_os_str().to_string_lossy()
}

fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn knocks(strength: &Strength) -> String {
    match strength.knocks {
        (tcp, 0) => Counted(wide(tcp), "TCP knock").to_string(),
        (0, udp) => Counted(wide(udp), "UDP knock").to_string(),
        (tcp, udp) => format!("{} and {udp} UDP", Counted(wide(tcp), "TCP knock")),
    }
}

/// Makes what [`diagnostics::render`] shows of a finding.
fn diagnostic(found: &Finding, (line, column): (usize, usize)) -> Diagnostic {
    let severity = match found.code.severity() {
        Severity::Error => config::Severity::Error,
        Severity::Warning => config::Severity::Warning,
    };
    Diagnostic {
        severity,
        span: found.span.clone(),
        line,
        column,
        message: format!("{} [{}]", found.reason, found.code.name()),
        // What is to be replaced shows by itself.
        help: found.replacement.is_none().then(|| found.remedy.clone()),
        replacement: found.replacement.clone(),
    }
}

/// Appends a point of a list, in lines that fit a terminal.
fn append_wrapped(text: &mut String, point: &str) {
    const WIDTH: usize = 80;
    let mut line = String::from("  -");
    for word in point.split(' ') {
        if line.len() + 1 + word.len() > WIDTH {
            let _ = writeln!(text, "{line}");
            line = String::from("   ");
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(text, "{line}");
}
