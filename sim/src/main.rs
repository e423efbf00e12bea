//! `knock-sim`: runs the whole daemon in model worlds.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::bail;
use clap::Parser as _;
use knock_sim::cli::Cli;
use knock_sim::many::{self, LONG_RUN, Seeds};
use knock_sim::marks;
use knock_sim::run::{Options, in_world, shrink};
use knock_sim::swarm::Class;

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            say(&format!("knock-sim: {error:#}\n"));
            ExitCode::from(2)
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<bool> {
    if cli.list {
        list();
        return Ok(true);
    }
    let options = Options { without: cli.without.clone(), steps: cli.steps };
    if let Some(seed) = cli.seed {
        return Ok(tell(seed, &options));
    }
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let threads = cli.threads.unwrap_or(threads);
    #[cfg(feature = "alarm")]
    if let Some(name) = &cli.alarm {
        return alarm(name, threads);
    }
    if cli.seeds.is_none() && cli.minutes.is_none() {
        bail!("how many? --seeds N, --minutes M or --seed SEED (see --help)");
    }
    let seeds = Seeds {
        first: cli.first,
        count: cli.seeds.unwrap_or(u64::MAX),
        limit: cli.minutes.map_or(Duration::MAX, |minutes| Duration::from_secs(60 * minutes)),
        threads,
    };
    let totals = many::run(&seeds, &options);
    say(&totals.to_string());
    let mut is_well = totals.failures.is_empty();
    if totals.seeds >= LONG_RUN && is_well {
        for name in totals.missing() {
            say(&format!("never reached: {name}\n"));
            is_well = false;
        }
    }
    for failure in totals.failures {
        let failure = shrink(*failure);
        say(&failure.report());
        match failure.write(&cli.artefacts) {
            Ok(folder) => {
                let folder = folder.display();
                say(&format!(
                    "  see {folder}/story.txt, and knock-replay run -c {folder}/knockd.conf \
                     {folder}/heard.pcap\n"
                ));
            }
            Err(error) => say(&format!("  {}: {error}\n", cli.artefacts.display())),
        }
    }
    Ok(is_well)
}

/// Runs one seed and tells what happened; tells whether it is well.
fn tell(seed: u64, options: &Options) -> bool {
    let (outcome, world) = in_world(seed, options, true);
    say(&(world.story() + "\n"));
    let classes: Vec<_> = world.classes().into_iter().map(Class::name).collect();
    say(&format!("seed {seed} with {}: hash {:016x}\n", classes.join(", "), outcome.hash));
    if let Some(message) = &outcome.failed {
        say(&format!("FAILS: {message}\n"));
    }
    outcome.failed.is_none()
}

fn list() {
    say("fault classes\n");
    Class::ALL.iter().for_each(|class| say(&format!("  {class}\n")));
    say("rare states that a long run must reach\n");
    marks::ALL.iter().for_each(|name| say(&format!("  {name}\n")));
}

/// How long a bug may take to be found.
#[cfg(feature = "alarm")]
const PATIENCE: Duration = Duration::from_secs(60);

/// Switches bugs on and looks for them; tells whether all were found.
#[cfg(feature = "alarm")]
fn alarm(name: &str, threads: usize) -> anyhow::Result<bool> {
    use std::time::{Instant, SystemTime, UNIX_EPOCH};

    use knockd::alarm::{Bug, turn_on};

    let days = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() / 86_400;
    let today = usize::try_from(days)? * 2;
    let bugs: Vec<Bug> = match name {
        "all" => Bug::ALL.to_vec(),
        "two" => [0, 1].map(|nth| Bug::ALL[(today + nth) % Bug::ALL.len()]).to_vec(),
        name => Bug::ALL.into_iter().filter(|bug| bug.name() == name).collect(),
    };
    if bugs.is_empty() {
        let names: Vec<_> = Bug::ALL.iter().map(|bug| bug.name()).collect();
        bail!("there is no bug {name}; there are all, two, {}", names.join(", "));
    }
    let mut is_well = true;
    for bug in bugs {
        turn_on(Some(bug));
        let start = Instant::now();
        let seeds = Seeds { first: 0, count: u64::MAX, limit: PATIENCE, threads };
        let totals = many::run(&seeds, &Options::default());
        let took = start.elapsed().as_secs_f64();
        let name = bug.name();
        match totals.failures.first() {
            Some(failure) => {
                let (seed, message) = (failure.seed, &failure.message);
                let first = message.lines().next().unwrap_or_default();
                say(&format!("{name}: found in {took:.1} s by seed {seed}: {first}\n"));
            }
            None => {
                say(&format!("{name}: NOT FOUND in {took:.0} s and {} seeds\n", totals.seeds));
                is_well = false;
            }
        }
    }
    turn_on(None);
    Ok(is_well)
}

/// Prints; where nobody reads there is nobody to tell.
fn say(text: &str) {
    let _ = io::stdout().lock().write_all(text.as_bytes());
}
