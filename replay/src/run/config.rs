//! The config of a run: its text, its diagnostics, its one-time files.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use knock_engine::config::{self, Config, Diagnostic, Sequences, Severity};

use crate::notice;
use crate::report::escape::Escaped;
use crate::report::format::Counted;

/// What to do about warnings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// Report them and go on.
    Lenient,
    /// Take them as errors.
    Strict,
}

/// Reads and parses a config and its one-time files, and reports everything wrong with it on
/// standard error. No file is changed.
///
/// # Errors
///
/// A file can't be read, or the config has errors.
pub fn load(path: &Path, strictness: Strictness) -> anyhow::Result<Config> {
    let name = path.display();
    let text = fs::read(path).with_context(|| format!("{name}: cannot read the config"))?;
    let parsed = config::parse(&text);
    report(path, &text, &parsed.diagnostics);
    let fatal = |diagnostic: &&Diagnostic| {
        diagnostic.severity == Severity::Error || strictness == Strictness::Strict
    };
    let errors = parsed.diagnostics.iter().filter(fatal).count() as u64;
    let mut config = match parsed.config {
        Some(config) if errors == 0 => config,
        _ => {
            let strict = match strictness {
                Strictness::Strict => ", with warnings as errors (--strict)",
                Strictness::Lenient => "",
            };
            bail!("{name}: {} in the config{strict}", Counted(errors.max(1), "error"))
        }
    };
    load_one_time_files(&mut config).with_context(|| name.to_string())?;
    Ok(config)
}

fn load_one_time_files(config: &mut Config) -> anyhow::Result<()> {
    for index in 0..config.doors.len() {
        let door = &config.doors[index];
        let Sequences::OneTime { path, .. } = &door.sequences else { continue };
        let path = Path::new(path);
        let text = fs::read(path).with_context(|| {
            format!("door {}: cannot read the one-time sequences in {}", door.name, path.display())
        })?;
        let (lines, diagnostics) = config::parse_one_time_lines(&text);
        report(path, &text, &diagnostics);
        config.set_one_time_lines(index, lines);
    }
    Ok(())
}

fn report(path: &Path, _text: &[u8], diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        notice::warning(&format_args!("{}:{diagnostic}", Escaped(&path.to_string_lossy())));
    }
}
