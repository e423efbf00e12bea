//! Makes the captures that the benchmarks replay.

use std::io::Write;
use std::num::NonZeroU32;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use knock_benches::data::{LoadFiles, SEED};
use knock_benches::load::{Load, Scale};

/// Make the captures that the benchmarks replay: always the same bytes for the same seed.
#[derive(Parser)]
struct Arguments {
    /// Where to put them: a directory for each load.
    #[arg(long, default_value = "target/bench-data")]
    data: PathBuf,
    /// Make everything this many times smaller.
    #[arg(long, value_name = "N", default_value = "1")]
    scale: NonZeroU32,
    /// The seed of the random numbers.
    #[arg(long, default_value_t = SEED)]
    seed: u64,
    /// The loads to make; all where none is named.
    #[arg(value_parser = Load::from_name)]
    loads: Vec<Load>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let scale = Scale(arguments.scale);
    let loads = if arguments.loads.is_empty() { Load::ALL.to_vec() } else { arguments.loads };
    let mut out = std::io::stdout().lock();
    for load in loads {
        let files = LoadFiles::new(&arguments.data, load);
        let made = files.make(load, scale, arguments.seed)?;
        let verb = if made { "made" } else { "kept" };
        let plan = load.plan(scale);
        writeln!(
            out,
            "{load}: {verb} {}: {} packets, {} SYNs to knock ports, {} to others, {} opens",
            files.trace.display(),
            plan.packets,
            plan.knock_syns,
            plan.other_syns,
            plan.opens,
        )
        .context("cannot write to standard output")?;
    }
    Ok(())
}
