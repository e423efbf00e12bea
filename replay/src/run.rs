//! `knock-replay run`: trace, wire, engine, report, in one direction.

pub(crate) mod frames;
pub(crate) mod judge;
pub(crate) mod link;
pub(crate) mod original;
pub(crate) mod progress;
pub(crate) mod recording;
pub(crate) mod trace_files;

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use knock_engine::config::{Config, Door};
use knock_engine::local::LocalAddresses;
use knock_frontend::config_file::{ConfigFile, Strictness};
use knock_frontend::format::Counted;
use thiserror::Error;

use self::judge::Session;
use self::original::OriginalSession;
use self::progress::{Progress, Screen};
use self::recording::Survey;
use crate::PROGRAM;
use crate::cli::{ColorWhen, DecideAs, Format, InputArgs, RunArgs};
use crate::report::style::Palette;
use crate::report::{
    Damage, Doors, Jsonl, LocalOrigin, OriginalReport, OriginalText, Pace, Report, Summary, Text,
    TextOptions, Totals,
};
use crate::trace::{Ending, OnDamage, TraceError, Traces};

/// What S4 assumes where nobody knows better.
pub(crate) const ASSUMED_LOCAL: &str =
    "local addresses unknown: every unicast destination counts as local (--local)";

/// The report could not be written.
#[derive(Debug, Error)]
#[error("cannot write to standard output: {0}")]
pub struct OutputError(#[from] io::Error);

/// Tells whether an error only means that nobody reads the output any more.
#[must_use]
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let output = error.downcast_ref::<OutputError>();
    output.is_some_and(|OutputError(error)| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Replays traces by a config and writes the report to standard output.
///
/// # Errors
///
/// The config has errors, a trace can't be read to its end (everything before that place has been
/// reported then), or the report can't be written.
pub fn run(args: &RunArgs) -> anyhow::Result<()> {
    match args.decide_as {
        DecideAs::Sesame => run_engine(args),
        DecideAs::Knockd08 => run_original(args),
    }
}

fn run_engine(args: &RunArgs) -> anyhow::Result<()> {
    let Basis { config, doors, local, .. } = Basis::of(&args.input)?;
    let mut traces = Traces::open(&args.input.traces, on_damage(args.input.resync))?;
    traces.tell_notes();
    let doors = Doors::new(&doors);
    let (local, origin) = match local {
        Some(local) => (local, LocalOrigin::Recorded),
        None => local_addresses(&args.input.local, &traces),
    };
    let totals = Totals::new(args.decide_as.name(), origin, doors.names());
    let mut progress = Progress::new(is_live(&traces));
    let report = make_report(args, &doors, local.clone(), (&traces, &progress));
    let mut session = Session::new((config, doors), local, totals, report);
    session.live = is_live(&traces);
    if args.input.config.is_none() {
        session.follow_recordings();
    }
    conclude(args, &mut traces, &mut session, &mut progress)
}

/// What a run begins with.
pub(crate) struct Basis {
    pub(crate) config: Config,
    /// The doors of the config, or of all configs of recordings.
    pub(crate) doors: Vec<Arc<Door>>,
    /// The local addresses, where a recording's config is used too.
    pub(crate) local: Option<LocalAddresses>,
    /// How many other configs the recordings tell.
    pub(crate) reloads: usize,
}

impl Basis {
    /// Reads the config that was given, else what the traces, which must be recordings then, tell.
    ///
    /// # Errors
    ///
    /// The config can't be used, a trace is no recording, or `--local` or `--strict` is given
    /// where they are.
    pub(crate) fn of(input: &InputArgs) -> anyhow::Result<Self> {
        if let Some(path) = &input.config {
            let config = load_config(path, strictness(input.strict))?;
            return Ok(Self { doors: config.doors.clone(), config, local: None, reloads: 0 });
        }
        let given = [(!input.local.is_empty(), "--local"), (input.strict, "--strict")];
        if let Some((_, option)) = given.iter().find(|(is_given, _)| *is_given) {
            bail!("{option} goes with a config: name one with -c, or leave {option} out");
        }
        let Survey { config, local, doors, reloads } = Survey::of(&input.traces)?;
        Ok(Self { config, doors, local: Some(local), reloads })
    }

    /// Like [`Basis::of`], for what stays with a recording's first config, and says so.
    ///
    /// # Errors
    ///
    /// As [`Basis::of`].
    pub(crate) fn of_first_config(input: &InputArgs, subcommand: &str) -> anyhow::Result<Self> {
        let basis = Self::of(input)?;
        if basis.reloads > 0 {
            PROGRAM.note(&format_args!(
                "the recording tells {} after the first, which {subcommand} does not follow (run \
                 does)",
                Counted(basis.reloads as u64, "config")
            ));
        }
        Ok(basis)
    }

    /// Returns the local addresses that are known before any packet; none where the traces may tell.
    pub(crate) fn given_addresses(&self, input: &InputArgs) -> Vec<IpAddr> {
        match &self.local {
            Some(LocalAddresses::Known(addresses)) => addresses.clone(),
            Some(LocalAddresses::Unknown) | None => input.local.clone(),
        }
    }
}

fn run_original(args: &RunArgs) -> anyhow::Result<()> {
    if args.input.strict {
        bail!("--strict: knockd 0.8 has no warnings; check the config without --as knockd-0.8");
    }
    let Some(config) = &args.input.config else {
        bail!("--as knockd-0.8 needs a config: name one with -c");
    };
    let config = original::load(config)?;
    let mut traces = Traces::open(&args.input.traces, on_damage(args.input.resync))?;
    let (local, origin) = local_addresses(&args.input.local, &traces);
    let totals = Totals::new(args.decide_as.name(), origin, config.door_names());
    let mut progress = Progress::new(is_live(&traces));
    let report = make_original_report(args, &progress);
    let mut session = OriginalSession::new(config, local, totals, report);
    session.live = is_live(&traces);
    session.names = names(&traces);
    conclude(args, &mut traces, &mut session, &mut progress)
}

/// Whoever decides about the frames of a run, and tells what came of them.
pub(crate) trait Judge {
    /// Reads the traces to their end.
    fn read(&mut self, traces: &mut Traces<File>, progress: &mut Progress) -> anyhow::Result<()>;
    /// What was counted so far.
    fn totals(&mut self) -> &mut Totals;
    /// Lets time run on to the last deadline, and ends the report.
    fn finish(&mut self) -> Result<(), OutputError>;
}

/// Reads the traces, and reports whatever was read, also where reading ends at an error.
fn conclude(
    args: &RunArgs,
    traces: &mut Traces<File>,
    judge: &mut dyn Judge,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let read = judge.read(traces, progress);
    progress.finish();
    if let Err(error) = &read {
        if error.is::<OutputError>() {
            return read;
        }
        note_damage(error, judge.totals());
    }
    note_endings(&args.input.traces, traces, judge.totals());
    warn_of_endings(traces);
    let assumed = judge.totals().local == LocalOrigin::Assumed && judge.totals().judged > 0;
    if args.format == Format::Text && assumed {
        PROGRAM.note(&ASSUMED_LOCAL);
    }
    judge.finish()?;
    read
}

/// Reads a config and shows everything wrong with it on standard error.
///
/// # Errors
///
/// A file can't be read, or the config can't be used.
pub(crate) fn load_config(path: &Path, strictness: Strictness) -> anyhow::Result<Config> {
    let file = ConfigFile::read(path)?;
    file.show_problems(PROGRAM);
    file.show_notes(PROGRAM);
    let name = path.display();
    file.into_config(strictness).with_context(|| format!("{name}: nothing was replayed"))
}

/// Returns what to do about warnings of the config.
pub(crate) const fn strictness(is_strict: bool) -> Strictness {
    if is_strict { Strictness::Strict } else { Strictness::Lenient }
}

/// Returns what to do about damaged stretches of a trace.
pub(crate) const fn on_damage(resyncs: bool) -> OnDamage {
    if resyncs { OnDamage::Resync } else { OnDamage::Stop }
}

/// Returns the traces' names for messages.
pub(crate) fn names(traces: &Traces<File>) -> Vec<String> {
    traces.readers().iter().map(|reader| reader.name().to_owned()).collect()
}

/// Returns the local addresses (S4): those given, else those that a trace recorded.
pub(crate) fn local_addresses(
    given: &[IpAddr],
    traces: &Traces<File>,
) -> (LocalAddresses, LocalOrigin) {
    if !given.is_empty() {
        return (LocalAddresses::Known(given.to_vec()), LocalOrigin::Given);
    }
    match traces.local_addresses() {
        [] => (LocalAddresses::Unknown, LocalOrigin::Assumed),
        recorded => (LocalAddresses::Known(recorded.to_vec()), LocalOrigin::Recorded),
    }
}

/// Tells whether packets come as they happen: from a pipe, not from a file.
pub(crate) fn is_live(traces: &Traces<File>) -> bool {
    traces.readers().iter().any(|reader| reader.progress().1.is_none())
}

fn make_report(
    args: &RunArgs,
    doors: &Doors,
    local: LocalAddresses,
    (traces, progress): (&Traces<File>, &Progress),
) -> Box<dyn Report> {
    let (out, palette) = (standard_output(progress), palette(args.input.look.color));
    match args.format {
        Format::Jsonl => {
            let jsonl = Jsonl::new(out, given_names(args));
            let is_of_recording = args.input.config.is_none();
            Box::new(if is_of_recording { jsonl.of_recording() } else { jsonl })
        }
        Format::Summary => Box::new(Summary::new(out, palette)),
        Format::Text => {
            let options = TextOptions {
                palette,
                width: width(),
                pace: if is_live(traces) { Pace::Live } else { Pace::Recorded },
                local,
                explain: explain_command(args),
            };
            Box::new(Text::new(out, &given_names(args), doors.clone(), options))
        }
    }
}

fn make_original_report(args: &RunArgs, progress: &Progress) -> Box<dyn OriginalReport> {
    let (out, palette) = (standard_output(progress), palette(args.input.look.color));
    match args.format {
        Format::Jsonl => Box::new(Jsonl::new(out, given_names(args))),
        Format::Summary => Box::new(Summary::new(out, palette)),
        Format::Text => Box::new(OriginalText::new(out, &given_names(args), palette, width())),
    }
}

/// Writes a whole page to standard output.
pub(crate) fn write_out(page: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(page)?;
    out.flush()
}

fn standard_output(progress: &Progress) -> BufWriter<Screen> {
    BufWriter::with_capacity(1 << 16, progress.standard_output())
}

/// Returns the traces' names as the command line has them.
fn given_names(args: &RunArgs) -> Vec<String> {
    args.input.traces.iter().map(|path| path.to_string_lossy().into_owned()).collect()
}

/// Returns the colours for standard output.
pub(crate) fn palette(when: ColorWhen) -> Palette {
    if is_coloured(when) { Palette::coloured() } else { Palette::plain() }
}

/// Tells whether standard output gets colours.
pub(crate) fn is_coloured(when: ColorWhen) -> bool {
    match when {
        ColorWhen::Always => true,
        ColorWhen::Never => false,
        ColorWhen::Auto => {
            anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
        }
    }
}

/// Returns the columns of the terminal; 80 where there is none.
pub(crate) fn width() -> usize {
    const WITHOUT_TERMINAL: usize = 80;
    if !io::stdout().is_terminal() {
        return WITHOUT_TERMINAL;
    }
    let size = terminal_size::terminal_size_of(io::stdout());
    size.map_or(WITHOUT_TERMINAL, |(width, _)| usize::from(width.0))
}

/// Returns the command line that explains more; empty where it would explain a stream that is gone.
fn explain_command(args: &RunArgs) -> String {
    if args.input.traces.iter().any(|trace| trace == Path::new("-")) {
        return String::new();
    }
    let mut command = "knock-replay explain".to_owned();
    if let Some(config) = &args.input.config {
        command.push_str(&format!(" -c {}", quoted(config)));
    }
    if !args.input.local.is_empty() {
        let local: Vec<String> = args.input.local.iter().map(ToString::to_string).collect();
        command.push_str(&format!(" --local {}", local.join(",")));
    }
    for trace in &args.input.traces {
        command.push(' ');
        command.push_str(&quoted(trace));
    }
    command
}

/// Returns a path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.into_owned();
    }
    let text = knock_frontend::escape::Escaped(&text).to_string();
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Puts the damage at which reading ended into the totals.
fn note_damage(error: &anyhow::Error, totals: &mut Totals) {
    if let Some(TraceError::Damaged { trace, position, cause }) = error.downcast_ref() {
        let given = if trace == "standard input" { "-" } else { trace };
        totals.damage.push(Damage {
            trace: given.to_owned(),
            offset: position.byte,
            bytes: None,
            cause: cause.to_string(),
        });
    }
}

/// Puts into the totals which traces were cut off or damaged.
fn note_endings(paths: &[PathBuf], traces: &Traces<File>, totals: &mut Totals) {
    for (reader, path) in traces.readers().iter().zip(paths) {
        totals.truncated |= matches!(reader.ending(), Some(Ending::Truncated { .. }));
        for skipped in reader.skipped().stretches() {
            totals.damage.push(Damage {
                trace: path.to_string_lossy().into_owned(),
                offset: skipped.position.byte,
                bytes: Some(skipped.bytes),
                cause: skipped.cause.to_string(),
            });
        }
    }
}

/// Warns of traces that were cut off or damaged.
pub(crate) fn warn_of_endings(traces: &Traces<File>) {
    for reader in traces.readers() {
        let name = reader.name();
        if let Some(Ending::Truncated { offset, missing }) = reader.ending() {
            let missing = missing.map(|bytes| format!(", {} missing", Counted(bytes, "byte")));
            let missing = missing.unwrap_or_default();
            PROGRAM.warning(&format_args!(
                "{name}: cut off in the record at byte {offset}{missing}; all before it was read"
            ));
        }
        for skipped in reader.skipped().stretches() {
            PROGRAM.warning(&format_args!(
                "{name}: damaged at {}: {}; {} skipped",
                skipped.position,
                skipped.cause,
                Counted(skipped.bytes, "byte")
            ));
        }
        let unlisted = reader.skipped().count() - reader.skipped().stretches().len() as u64;
        if unlisted > 0 {
            PROGRAM.warning(&format_args!("{name}: {unlisted} more damaged stretches skipped"));
        }
    }
}
