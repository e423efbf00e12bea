//! `knock-replay`: what would have opened, and why not.

use std::process::ExitCode;

use clap::Parser as _;
use knock_replay::cli::{Cli, Command};
use knock_replay::expect::{self, Verdict};
use knock_replay::{PROGRAM, explain, run};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        Command::Run(args) => run::run(args).map(|()| Verdict::Fine),
        Command::Explain(args) => explain::explain(args).map(|()| Verdict::Fine),
        Command::Test(args) => expect::test(args),
        Command::Record(args) => expect::record(args).map(|()| Verdict::Fine),
    };
    match result {
        Ok(Verdict::Fine) => ExitCode::SUCCESS,
        Ok(Verdict::Failed) => ExitCode::from(1),
        Ok(Verdict::Troubled) => ExitCode::from(2),
        // Whoever reads the output has seen enough, as in `knock-replay run ... | head`.
        Err(error) if run::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            PROGRAM.error(&error);
            ExitCode::from(2)
        }
    }
}
