//! `knock-replay`: what would have opened, and why not.

use std::process::ExitCode;

use clap::Parser as _;
use knock_replay::cli::{Cli, Command};
use knock_replay::lint::Verdict;
use knock_replay::{PROGRAM, diff, expect, explain, extract, lint, page, run, stats, sweep};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        Command::Run(args) => run::run(args).map(|()| ExitCode::SUCCESS),
        Command::Explain(args) => explain::explain(args).map(|()| ExitCode::SUCCESS),
        Command::Extract(args) => extract::extract(args).map(|()| ExitCode::SUCCESS),
        Command::Diff(args) => diff::diff(args).map(|differs| ExitCode::from(u8::from(differs))),
        Command::Lint(args) => lint::lint(args).map(|verdict| match verdict {
            Verdict::Clean => ExitCode::SUCCESS,
            Verdict::Findings => ExitCode::from(3),
        }),
        Command::Sweep(args) => sweep::sweep(args).map(|()| ExitCode::SUCCESS),
        Command::Stats(args) => stats::stats(args).map(|()| ExitCode::SUCCESS),
        Command::Report(args) => page::report(args).map(|()| ExitCode::SUCCESS),
        Command::Test(args) => expect::test(args).map(|verdict| match verdict {
            expect::Verdict::Fine => ExitCode::SUCCESS,
            expect::Verdict::Failed => ExitCode::from(1),
            expect::Verdict::Troubled => ExitCode::from(2),
        }),
        Command::Record(args) => expect::record(args).map(|()| ExitCode::SUCCESS),
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
