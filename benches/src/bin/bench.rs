//! Runs the benchmark and prints its table.

use std::fmt::Display;
use std::io::Write;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use knock_benches::contender::{Contender, Programs, build_shim};
use knock_benches::data::{LoadFiles, SEED};
use knock_benches::load::{Load, Scale};
use knock_benches::machine;
use knock_benches::measure::{self, Run, Usage};
use knock_benches::table::{self, Opens, Outcome, Row};

/// Measure `knock-replay run` beside cat, tcpdump and knockd, and sweep, diff, extract and report
/// beside it, and print the medians as a table.
///
/// Makes the captures where they are missing and builds `knock-replay`. First checks that every
/// honest knock opens its door, and no other; then everybody reads every capture in turn. Exits
/// with 1 where a check failed. A limit that is not met is a line in the table, not a failure.
#[derive(Parser)]
struct Arguments {
    /// Where the captures are, or will be made.
    #[arg(long, default_value = "target/bench-data")]
    data: PathBuf,
    /// Make everything this many times smaller; figures of small captures mean little.
    #[arg(long, value_name = "N", default_value = "1")]
    scale: NonZeroU32,
    /// How many rounds are measured, after one that is not.
    #[arg(long, value_name = "N", default_value = "5")]
    rounds: NonZeroU32,
    /// How much CPU time knockd gets per run.
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    knockd_limit: NonZeroU32,
    /// knockd 0.8.
    #[arg(long, value_name = "PROGRAM", default_value = "/usr/sbin/knockd")]
    knockd: PathBuf,
    /// The source of the shim that makes knockd read a capture.
    #[arg(long, value_name = "FILE", default_value = "testdata/oracle/pcapshim.c")]
    shim: PathBuf,
    /// The `knock-replay` to measure, instead of building this one.
    #[arg(long, value_name = "PROGRAM")]
    replay: Option<PathBuf>,
    /// The loads; all where none is named.
    #[arg(value_parser = Load::from_name)]
    loads: Vec<Load>,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let programs = prepare(&arguments)?;
    let loads = if arguments.loads.is_empty() { Load::ALL.to_vec() } else { arguments.loads };
    let scale = Scale(arguments.scale);
    let mut rows = Vec::new();
    for load in loads {
        let files = LoadFiles::new(&arguments.data, load);
        say(format_args!("{load}: making the capture, where it is not there"))?;
        files.make(load, scale, SEED)?;
        rows.extend(bench(&programs, load, scale, &files, arguments.rounds.get())?);
    }
    let mut out = std::io::stdout().lock();
    let mut header = format!("{}, medians of {} rounds", machine::description(), arguments.rounds);
    if scale != Scale::FULL {
        header.push_str(&format!(", loads {} times smaller than they should be", arguments.scale));
    }
    write!(out, "{header}\n\n{}", table::markdown(&rows)).context("cannot write the table")?;
    let wrong: Vec<&Row> = rows.iter().filter(|row| is_wrong(row)).collect();
    for row in &wrong {
        say(format_args!("wrong: {} did not open what it should on {}", row.contender, row.load))?;
    }
    Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Builds what is measured; knockd is left out, with a message, where it can't be had.
fn prepare(arguments: &Arguments) -> Result<Programs> {
    std::fs::create_dir_all(&arguments.data)
        .with_context(|| format!("cannot make {}", arguments.data.display()))?;
    let data = arguments
        .data
        .canonicalize()
        .with_context(|| format!("cannot find {}", arguments.data.display()))?;
    let replay = match &arguments.replay {
        Some(program) => program.clone(),
        None => build_replay()?,
    };
    let shim = data.join("pcapshim.so");
    if let Err(error) = build_shim(&arguments.shim, &shim) {
        say(format_args!("knockd is left out: {error:#}"))?;
    } else if !arguments.knockd.exists() {
        say("knockd is left out: it is not installed (apt-get install knockd)")?;
    }
    Ok(Programs {
        replay,
        knockd: arguments.knockd.clone(),
        shim,
        knockd_cpu_limit_s: arguments.knockd_limit.get(),
    })
}

/// Builds `knock-replay` for release and returns its path: beside this program.
fn build_replay() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--package", "knock-replay"]);
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(status.success(), "{command:?} failed: {status}");
    let own = std::env::current_exe().context("cannot find this program")?;
    let release = own.parent().and_then(Path::parent).map(|target| target.join("release"));
    Ok(release.context("this program is not in a target directory")?.join("knock-replay"))
}

/// Checks and measures all contenders on one load.
fn bench(
    programs: &Programs,
    load: Load,
    scale: Scale,
    files: &LoadFiles,
    rounds: u32,
) -> Result<Vec<Row>> {
    let has_knockd = programs.shim.exists() && programs.knockd.exists();
    let expected_opens = load.plan(scale).opens;
    let mut rows = Vec::new();
    for contender in Contender::ALL.into_iter().filter(|it| it.takes_part(load)) {
        let missing = contender == Contender::Knockd && !has_knockd;
        let opens = if missing { Opens::Unknown } else { opens(programs, contender, files)? };
        if let Opens::Counted(count) = opens {
            say(format_args!("{load}: {contender} opens {count} of {expected_opens}"))?;
        }
        let outcome = match (missing, opens, contender) {
            (true, ..) => Outcome::Missing,
            // What did not finish while it was counted need not be tried again.
            (_, Opens::Unknown, Contender::Knockd) => {
                Outcome::OutOfTime(programs.knockd_cpu_limit_s)
            }
            _ => Outcome::Measured(Usage::default()),
        };
        rows.push(Row { load, contender, outcome, opens, expected_opens });
    }
    measure_in_turn(programs, files, rounds, &mut rows)?;
    Ok(rows)
}

/// Lets everybody who takes part run once per round, and once before that for the caches.
fn measure_in_turn(
    programs: &Programs,
    files: &LoadFiles,
    rounds: u32,
    rows: &mut [Row],
) -> Result<()> {
    let mut runs: Vec<Vec<Usage>> = vec![Vec::new(); rows.len()];
    for round in 0..=rounds {
        for (row, runs) in rows.iter_mut().zip(&mut runs) {
            if !matches!(row.outcome, Outcome::Measured(_)) {
                continue;
            }
            say(format_args!("{}: round {round} of {rounds}, {}", row.load, row.contender))?;
            match measure::run(&mut programs.command(row.contender, files))? {
                Run::OutOfTime => row.outcome = Outcome::OutOfTime(programs.knockd_cpu_limit_s),
                Run::Finished(usage) if round > 0 => runs.push(usage),
                Run::Finished(_) => {}
            }
        }
    }
    for (row, runs) in rows.iter_mut().zip(runs) {
        if let (Outcome::Measured(usage), Some(medians)) =
            (&mut row.outcome, measure::medians(&runs))
        {
            *usage = medians;
        }
    }
    Ok(())
}

fn opens(programs: &Programs, contender: Contender, files: &LoadFiles) -> Result<Opens> {
    Ok(match contender {
        Contender::Cat
        | Contender::Tcpdump
        | Contender::Sweep
        | Contender::Diff
        | Contender::Extract
        | Contender::Report => Opens::None,
        Contender::Knockd => programs.knockd_opens(files)?.map_or(Opens::Unknown, Opens::Counted),
        Contender::Replay => Opens::Counted(programs.replay_opens(files)?),
    })
}

/// Tells whether `knock-replay` opened anything but what it should; knockd is what it is.
fn is_wrong(row: &Row) -> bool {
    row.contender == Contender::Replay && row.opens != Opens::Counted(row.expected_opens)
}

/// Tells on standard error how far it is.
fn say(message: impl Display) -> Result<()> {
    writeln!(std::io::stderr(), "bench: {message}").context("cannot write to standard error")
}
