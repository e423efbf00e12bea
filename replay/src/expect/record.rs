//! `knock-replay record`: the expectation of what happens in a capture now.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use toml_edit::{Array, Value};

use super::entry::{Entry, RECORDED};
use super::stage::{Played, Stage, given};
use crate::PROGRAM;
use crate::cli::InputArgs;
use crate::report::LocalOrigin;
use crate::run::{self, OutputError};

/// The arguments of `knock-replay record`.
#[derive(Args, Debug)]
pub struct RecordArgs {
    /// What is read.
    #[command(flatten)]
    pub input: InputArgs,

    /// The name of the case
    ///
    /// Without this option it has the names of the traces.
    #[arg(long, display_order = 1)]
    pub name: Option<String>,
}

/// Writes an expectation file of one case to standard output: that what happens now in these
/// captures, by this config, goes on to happen.
///
/// # Errors
///
/// There is no config or it has errors, a trace can't be read to its end, a path can't be written
/// down, or standard output can't be written. Nothing is written then.
pub fn record(args: &RecordArgs) -> anyhow::Result<()> {
    let Some(config_path) = &args.input.config else {
        bail!("record needs a config: name one with -c");
    };
    let paths = [config_path].into_iter().chain(&args.input.traces);
    let paths: Vec<&str> = paths.map(|path| as_text(path)).collect::<anyhow::Result<_>>()?;
    let config = run::load_config(config_path, run::strictness(args.input.strict))?;
    let stage = Stage {
        config,
        config_name: String::new(),
        local: given(&args.input.local),
        traffic: Played::Captures { paths: args.input.traces.clone(), resync: args.input.resync },
    };
    let (seen, origin) = stage.play(RECORDED.to_vec())?;
    if origin == LocalOrigin::Assumed {
        PROGRAM.note(&run::ASSUMED_LOCAL);
    }
    let text = case(args, &paths, &Entry::all(&seen));
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(OutputError::from)?;
    Ok(())
}

/// Returns a path as an expectation file can have it.
fn as_text(path: &Path) -> anyhow::Result<&str> {
    if path == Path::new("-") {
        bail!("standard input: an expectation names its captures: name a file");
    }
    let Some(text) = path.to_str() else {
        bail!("{}: an expectation file is UTF-8, and this name isn't", path.display());
    };
    Ok(text)
}

/// Writes the case down.
fn case(args: &RecordArgs, paths: &[&str], entries: &[Entry]) -> String {
    let (config, captures) =
        paths.split_first().map_or(("", paths), |(first, rest)| (*first, rest));
    let name = args.name.clone().unwrap_or_else(|| {
        let name = |path: &PathBuf| path.file_name().map(|it| it.to_string_lossy().into_owned());
        let names: Vec<String> = args.input.traces.iter().filter_map(name).collect();
        names.join(", ")
    });
    let mut text = String::from("[[case]]\n");
    let mut line = |key: &str, value: Value| {
        text.push_str(&format!("{key} = {}\n", value.to_string().trim()));
    };
    line("name", if name.trim().is_empty() { "case".into() } else { name.into() });
    line("config", config.into());
    if !args.input.local.is_empty() {
        line("local", list(args.input.local.iter().map(|address| address.to_string().into())));
    }
    line("captures", list(captures.iter().map(|path| (*path).into())));
    if args.input.resync {
        line("resync", true.into());
    }
    let mut expect = Array::new();
    for entry in entries {
        let mut value = Value::InlineTable(entry.table());
        value.decor_mut().set_prefix("\n    ");
        expect.push_formatted(value);
    }
    if !expect.is_empty() {
        expect.set_trailing_comma(true);
        expect.set_trailing("\n");
    }
    line("expect", expect.into());
    text
}

fn list(values: impl Iterator<Item = Value>) -> Value {
    Value::Array(values.collect())
}
