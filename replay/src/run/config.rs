//! The config of a run: its text, its diagnostics, its one-time files.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use knock_engine::config::{self, Config, Diagnostic, Sequences, Severity};

use crate::diagnostics::{self, Colour, Source};
use crate::notice;

/// What is said where a warning ends it all.
const STRICT: &str = "nothing was replayed: --strict takes warnings as errors";

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
    let fatal = |diagnostic: &Diagnostic| {
        diagnostic.severity == Severity::Error || strictness == Strictness::Strict
    };
    let mut config = match parsed.config {
        Some(config) if !parsed.diagnostics.iter().any(fatal) => config,
        // What is wrong has been shown with its lines.
        Some(_) => bail!(STRICT),
        None => bail!("nothing was replayed: the config has errors"),
    };
    load_one_time_files(&mut config, strictness).with_context(|| name.to_string())?;
    note_doors(path, config.doors.len());
    Ok(config)
}

/// Says so where a config has no door. That is no error, as with knockd (R55).
pub(super) fn note_doors(path: &Path, doors: usize) {
    if doors == 0 {
        notice::note(&format!("{} has no door: nothing can open", path.display()));
    }
}

fn load_one_time_files(config: &mut Config, strictness: Strictness) -> anyhow::Result<()> {
    for index in 0..config.doors.len() {
        let door = &config.doors[index];
        let Sequences::OneTime { path, .. } = &door.sequences else { continue };
        let path = Path::new(path);
        let text = fs::read(path).with_context(|| {
            format!("door {}: cannot read the one-time sequences in {}", door.name, path.display())
        })?;
        let (lines, diagnostics) = config::parse_one_time_lines(&text);
        report(path, &text, &diagnostics);
        if strictness == Strictness::Strict && !diagnostics.is_empty() {
            bail!(STRICT);
        }
        if lines.is_empty() {
            let (name, path) = (&door.name, path.display());
            notice::note(&format!("door {name}: no sequence is left in {path}: nothing opens it"));
        }
        config.set_one_time_lines(index, lines);
    }
    Ok(())
}

/// Shows what is wrong with a file, with its lines.
fn report(path: &Path, text: &[u8], diagnostics: &[Diagnostic]) {
    let coloured = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
    let colour = if coloured { Colour::Always } else { Colour::Never };
    let shown = diagnostics::render(Source { path, text }, diagnostics, colour);
    // Where standard error is closed there is nobody left to tell.
    let _ = io::stderr().lock().write_all(shown.as_bytes());
}
