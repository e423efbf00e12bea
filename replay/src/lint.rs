//! `knock-replay lint`: what is weak or wrong in a config, though the daemon would take it.
//!
//! What scans and knocks would do to a door is found by running the engine over them. Commands are
//! read as far as their text tells what they change; where it doesn't, nothing is said.

mod allow;
pub mod code;
mod commands;
mod files;
mod firewall;
mod numbers;
mod ports;
mod print;
mod scan;
mod sequences;
mod shell;
mod strength;
mod subject;

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use knock_engine::config::{self, Sequences};
use knock_frontend::config_file::{CheckedFile, ConfigFile, Strictness};
use knock_frontend::diagnostics::Colour;

use self::print::Report;
use self::strength::Strength;
use self::subject::Subject;
use crate::PROGRAM;
use crate::cli::{ColorWhen, LookArgs, PageFormat};
use crate::run::{OutputError, is_coloured, palette, write_out};

/// The longest lease that needs no `check_command`.
pub(crate) const LONG_LEASE: Duration = Duration::from_secs(10 * 60);

/// What the command does, in a line.
pub(crate) const ABOUT: &str =
    "Finds what is weak or wrong in a config, and how hard its doors are to guess";

/// What the command does.
pub(crate) const LONG_ABOUT: &str = "\
Finds what is weak or wrong in a config, and how hard its doors are to guess.

It looks for sequences that a port scan or another door's knock opens, for commands that don't \
undo each other, open for everybody or fail for IPv6, and for settings that strangers can turn \
against you. Port scans are run through the engine. Each finding has a code, its line, the reason \
and a remedy; docs/LINT.md explains the codes. A comment in the line above a key or a section \
keeps a finding:

    # lint: allow few-knocks (the service behind it wants a key)

It needs no privileges, runs no command and changes no file.";

/// Examples for the long help.
pub(crate) const EXAMPLES: &str = "\
Examples:
  Look at a config before reloading the daemon:
    knock-replay lint -c /etc/knockd.conf

  List the findings for a program:
    knock-replay lint -c knockd.conf --format jsonl | jq -c 'select(.event == \"finding\")'

  How long guessing takes at a million packets a second:
    knock-replay lint -c knockd.conf --rate 1000000
";

/// The exit codes.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  no findings
  2  it could not run: a wrong command line, an unreadable config or one with errors
  3  findings";

/// The arguments of `knock-replay lint`.
#[derive(Args, Debug)]
pub struct LintArgs {
    /// The config to look at, a knockd.conf
    #[arg(short, long, value_name = "FILE", display_order = 0)]
    pub config: PathBuf,

    /// How to tell it
    #[arg(long, value_enum, default_value_t = PageFormat::Text, display_order = 1)]
    pub format: PageFormat,

    /// Packets a second that somebody who guesses sends
    #[arg(
        long,
        value_name = "PPS",
        default_value_t = 10_000,
        value_parser = clap::value_parser!(u64).range(1..=1_000_000_000_000),
        display_order = 1
    )]
    pub rate: u64,

    /// How it looks.
    #[command(flatten)]
    pub look: LookArgs,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is nothing to say against the config.
    Clean,
    /// There are findings.
    Findings,
}

/// Looks at a config and writes what is found to standard output.
///
/// # Errors
///
/// The config can't be read or has errors, or the output can't be written.
pub fn lint(args: &LintArgs) -> anyhow::Result<Verdict> {
    let mut read = ConfigFile::read(&args.config)?;
    if read.config().is_none() {
        read.show_problems(PROGRAM);
    }
    let files = std::mem::take(&mut read.files);
    let path = args.config.display();
    let config = read.into_config(Strictness::Lenient).with_context(|| format!("{path}"))?;
    let world_readable = files.iter().map(|file| &file.path).filter(|path| everybody_reads(path));
    let subject = Subject::new(&config, &files, world_readable.cloned().collect());
    let report = examine(&subject, args.rate);
    let output = match args.format {
        PageFormat::Text => {
            let colour = if is_coloured(args.look.color) { Colour::Always } else { Colour::Never };
            report.text(colour, &palette(args.look.color)).into_bytes()
        }
        PageFormat::Jsonl => report.jsonl().map_err(OutputError::from)?,
    };
    write_out(&output).map_err(OutputError::from)?;
    Ok(if report.findings.is_empty() { Verdict::Clean } else { Verdict::Findings })
}

/// What lint tells of a config in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// How many findings there are.
    pub findings: usize,
    /// It for people, without colours.
    pub text: String,
    /// It for programs.
    pub jsonl: Vec<u8>,
}

/// Looks at a config in memory, whose doors with one-time sequences all have the same file; `None`
/// where the config has errors.
#[must_use]
pub fn look_at(text: &[u8], one_time_file: &[u8], rate: u64) -> Option<Told> {
    let mut config = config::parse(text).config?;
    let file = |path: &Path, text: &[u8]| CheckedFile {
        path: path.to_owned(),
        text: text.to_owned(),
        diagnostics: Vec::new(),
    };
    let mut files = vec![file(Path::new("knockd.conf"), text)];
    for index in 0..config.doors.len() {
        if let Sequences::OneTime { path, .. } = &config.doors[index].sequences {
            files.push(file(Path::new(path), one_time_file));
            config.set_one_time_lines(index, config::parse_one_time_lines(one_time_file).0);
        }
    }
    let subject = Subject::new(&config, &files, HashSet::new());
    let report = examine(&subject, rate);
    let text = report.text(Colour::Never, &palette(ColorWhen::Never));
    Some(Told { findings: report.findings.len(), text, jsonl: report.jsonl().ok()? })
}

/// Tells whether everybody on the host may read a file; a file that is gone is read by nobody.
fn everybody_reads(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o004 != 0)
}

/// Runs all checks.
fn examine<'a>(subject: &'a Subject<'a>, rate: u64) -> Report<'a> {
    let mut findings = Vec::new();
    files::check(subject, &mut findings);
    let scans = sequences::check(subject, &mut findings);
    commands::check(subject, &mut findings);
    let allowed = allow::apply(subject, &mut findings);
    findings.sort_by_key(|found| (found.file, found.span.start, found.code));
    let strengths = subject.config.doors.iter().map(|door| Strength::of(door, rate)).collect();
    Report { subject, findings, allowed, strengths, scans, rate }
}
