//! Measures the live daemon beside Debian's knockd and prints the table.

use std::fmt::Display;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use knock_benches::live::storms::STORMS;
use knock_benches::live::table::{Figures, Weather};
use knock_benches::live::{Contender, cost, opening, storms, table};
use knock_benches::machine;

/// Measure the live `knockd` beside Debian's, in network namespaces, and print a table.
///
/// Builds our daemon, unless another one is named. Takes some minutes and both cores of a small
/// machine: leave it alone meanwhile. Exits with 1 where ours breaks down or lets somebody wait
/// whom it must let in; a figure that is not met is a line in the table.
#[derive(Parser)]
struct Arguments {
    /// How many knocks are timed.
    #[arg(long, value_name = "N", default_value = "200")]
    rounds: NonZeroUsize,
    /// How many honest sources knock in each storm.
    #[arg(long, value_name = "N", default_value = "50")]
    honest: NonZeroUsize,
    /// How long the daemons are watched at rest.
    #[arg(long, value_name = "SECONDS", default_value = "10")]
    rest: u32,
    /// knockd 0.8.
    #[arg(long, value_name = "PROGRAM", default_value = "/usr/sbin/knockd")]
    original: PathBuf,
    /// The daemon to measure, instead of building ours.
    #[arg(long, value_name = "PROGRAM")]
    knockd: Option<PathBuf>,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    if let Some(mut command) = knock_lab::privilege::again()? {
        let status = command.args(std::env::args_os().skip(1)).status();
        let status = status.context("cannot run unshare")?;
        return Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let contenders = contenders(&arguments)?;
    let figures = contenders
        .iter()
        .map(|contender| figures(contender, &arguments))
        .collect::<Result<Vec<Figures>>>()?;
    let mut lines = Vec::new();
    for (storm, pace) in STORMS {
        let honest = arguments.honest.get();
        say(format_args!("{storm:?}, {honest} honest knocks {pace:?}"))?;
        let mut outcomes = Vec::new();
        for contender in &contenders {
            let outcome = storms::measure(contender, (storm, pace), honest);
            if let Err(error) = &outcome {
                say(format_args!("{} broke down: {error:#}", contender.name))?;
            }
            outcomes.push(outcome.ok());
        }
        lines.push(Weather { storm, pace, honest, outcomes });
    }
    let names: Vec<&str> = contenders.iter().map(|contender| &*contender.name).collect();
    let table = table::markdown(&names, &figures, &lines);
    let mut out = std::io::stdout().lock();
    write!(out, "{}\n\n{table}", machine::description()).context("cannot write the table")?;
    let is_wrong = table.contains("all: **not met**") || lines.iter().any(broke_down);
    Ok(if is_wrong { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// Tells whether ours, the last, broke down.
fn broke_down(line: &Weather) -> bool {
    line.outcomes.last().is_none_or(Option::is_none)
}

/// Returns Debian's knockd, where it is installed, and ours.
fn contenders(arguments: &Arguments) -> Result<Vec<Contender>> {
    let ours = match &arguments.knockd {
        Some(program) => program.clone(),
        None => build_ours()?,
    };
    let mut contenders = vec![Contender { name: "this knockd".to_owned(), program: ours }];
    if arguments.original.exists() {
        let program = arguments.original.clone();
        contenders.insert(0, Contender { name: "knockd 0.8".to_owned(), program });
    } else {
        say("knockd 0.8 is left out: it is not installed (apt-get install knockd)")?;
    }
    Ok(contenders)
}

/// Builds `knockd` for release and returns its path: beside this program.
fn build_ours() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--locked", "--package", "knockd"]);
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(status.success(), "{command:?} failed: {status}");
    let own = std::env::current_exe().context("cannot find this program")?;
    let release = own.parent().and_then(Path::parent).map(|target| target.join("release"));
    Ok(release.context("this program is not in a target directory")?.join("knockd"))
}

fn figures(contender: &Contender, arguments: &Arguments) -> Result<Figures> {
    let name = &contender.name;
    say(format_args!("{name}: {} knocks", arguments.rounds))?;
    let opening = opening::measure(contender, arguments.rounds.get())
        .with_context(|| format!("{name}: knock to open"))?;
    say(format_args!("{name}: rest and CPU time"))?;
    let cost = cost::measure(contender, Duration::from_secs(arguments.rest.into()))
        .with_context(|| format!("{name}: its cost"))?;
    Ok(Figures { opening, cost })
}

/// Tells on standard error how far it is.
fn say(message: impl Display) -> Result<()> {
    writeln!(std::io::stderr(), "live: {message}").context("cannot write to standard error")
}
