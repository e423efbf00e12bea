//! `knock-replay`: what would have opened, and why not.

use std::process::ExitCode;

use clap::Parser as _;
use knock_replay::cli::{Cli, Command};
use knock_replay::{PROGRAM, diff, explain, extract, run};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        Command::Run(args) => run::run(args).map(|()| ExitCode::SUCCESS),
        Command::Explain(args) => explain::explain(args).map(|()| ExitCode::SUCCESS),
        Command::Extract(args) => extract::extract(args).map(|()| ExitCode::SUCCESS),
        Command::Diff(args) => diff::diff(args).map(|differs| ExitCode::from(u8::from(differs))),
    };
    match result {
        Ok(code) => code,
        // Whoever reads the output has seen enough, as in `knock-replay run ... | head`.
        Err(error) if run::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            PROGRAM.error(&error);
            ExitCode::from(2)
        }
    }
}
