//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::swarm::Class;

/// Runs the whole knock daemon on virtual time in model worlds, and checks what it promises.
///
/// Each seed is a world: clients, attackers, a network, a disk, a firewall, processes and clocks
/// that fail as the seed draws it. Everything of the daemon that decides is the real code. Each seed
/// runs twice and must give the same hash.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "knock-sim",
    version,
    after_help = "\
Exit status: 0 all is well, 1 a seed failed (or a mark was never reached in a long run), 2 it could
not run.

Examples:
  knock-sim --seeds 100000              as many seeds, on all cores
  knock-sim --minutes 60                as many as an hour holds
  knock-sim --seed 4711                 one world, with its story
  knock-sim --seed 4711 --without flood --steps 300
                                        the same, shrunk, as a failure prints it
  knock-sim --list                      the fault classes and marks

docs/SIMULATION.md says what is real, what is a model, and what is checked."
)]
pub struct Cli {
    /// How many seeds to run.
    #[arg(long, value_name = "N")]
    pub seeds: Option<u64>,
    /// How long to run at most, in minutes.
    #[arg(long, value_name = "M")]
    pub minutes: Option<u64>,
    /// The first seed.
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub first: u64,
    /// How many seeds run side by side; as many as there are cores if not given.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Runs this one seed and tells its story.
    #[arg(long, value_name = "SEED", conflicts_with_all = ["seeds", "minutes", "first"])]
    pub seed: Option<u64>,
    /// Takes a fault class out; may be given more than once.
    #[arg(long, value_name = "CLASS", value_parser = class)]
    pub without: Vec<Class>,
    /// Ends all faults after so many steps.
    #[arg(long, value_name = "N")]
    pub steps: Option<u64>,
    /// Where a failure's capture, config, story and regression file go.
    #[arg(long, value_name = "FOLDER", default_value = "target/sim")]
    pub artefacts: PathBuf,
    /// Lists the fault classes and the marks.
    #[arg(long)]
    pub list: bool,
    /// Switches this bug on and fails where no seed finds it within a minute; `all` for each in
    /// turn, `two` for two of them, which change with the day.
    #[cfg(feature = "alarm")]
    #[arg(long, value_name = "BUG")]
    pub alarm: Option<String>,
}

fn class(name: &str) -> Result<Class, String> {
    Class::named(name).ok_or_else(|| {
        let names: Vec<_> = Class::ALL.iter().map(|class| class.name()).collect();
        format!("there is no such fault class; there are {}", names.join(", "))
    })
}
