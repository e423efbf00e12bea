//! `knock-replay`: what would have opened, and why not.

use std::process::ExitCode;

use clap::Parser as _;
use knock_replay::cli::{Cli, Command};
use knock_replay::{PROGRAM, explain, run, stats, sweep};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        Command::Run(args) => run::run(args),
        Command::Explain(args) => explain::explain(args),
        Command::Sweep(args) => sweep::sweep(args),
        Command::Stats(args) => stats::stats(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads the output has seen enough, as in `knock-replay run ... | head`.
        Err(error) if run::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            PROGRAM.error(&error);
            ExitCode::from(2)
        }
    }
}
