//! A config as it lies on disk: its text, its one-time files, and everything wrong with them.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use knock_engine::config::{self, Config, Diagnostic, Sequences, Severity};
use thiserror::Error;

use crate::Program;
use crate::diagnostics::{self, Colour, Source};

/// What to do about warnings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// Report them and go on.
    Lenient,
    /// Take them as errors.
    Strict,
}

/// Why a config that was read can't be used. What is wrong with it is in its diagnostics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unusable {
    /// The config has errors.
    #[error("the config has errors")]
    Errors,
    /// It has warnings, and these count as errors.
    #[error("--strict takes warnings as errors")]
    Warnings,
}

/// A file that was read, and what is wrong with it.
#[derive(Clone, Debug)]
pub struct CheckedFile {
    /// Its path, as the user or the config gave it.
    pub path: PathBuf,
    /// Its text.
    pub text: Vec<u8>,
    /// Its problems, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}

/// A config that was read, with its one-time files.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    /// The config's file, then those of its one-time sequences.
    pub files: Vec<CheckedFile>,
    config: Option<Config>,
}

impl ConfigFile {
    /// Reads and parses a config and its one-time files. No file is changed. One-time files are
    /// read only where the config has no errors.
    ///
    /// # Errors
    ///
    /// A file can't be read. What is wrong in a file is no error here.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        let text = fs::read(path).with_context(|| format!("{name}: cannot read the config"))?;
        let parsed = config::parse(&text);
        let file = CheckedFile { path: path.to_owned(), text, diagnostics: parsed.diagnostics };
        let mut read = Self { files: vec![file], config: parsed.config };
        read.read_one_time_files().with_context(|| name.to_string())?;
        Ok(read)
    }

    fn read_one_time_files(&mut self) -> anyhow::Result<()> {
        let Some(config) = &mut self.config else { return Ok(()) };
        for index in 0..config.doors.len() {
            let door = &config.doors[index];
            let Sequences::OneTime { path, .. } = &door.sequences else { continue };
            let path = PathBuf::from(path);
            let text = fs::read(&path).with_context(|| {
                let (door, path) = (&door.name, path.display());
                format!("door {door}: cannot read the one-time sequences in {path}")
            })?;
            let (lines, diagnostics) = config::parse_one_time_lines(&text);
            config.set_one_time_lines(index, lines);
            self.files.push(CheckedFile { path, text, diagnostics });
        }
        Ok(())
    }

    /// Shows everything wrong with the files on standard error, with the lines; and what is not
    /// wrong but hardly meant: that nothing can open a door, or that there is none.
    pub fn show_problems(&self, program: Program) {
        let coloured = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
        let colour = if coloured { Colour::Always } else { Colour::Never };
        for CheckedFile { path, text, diagnostics } in &self.files {
            let shown = diagnostics::render(program, Source { path, text }, diagnostics, colour);
            // Where standard error is closed there is nobody left to tell.
            let _ = io::stderr().lock().write_all(shown.as_bytes());
        }
        let Some(config) = &self.config else { return };
        if config.doors.is_empty() {
            program.note(&no_door(&self.files[0].path));
        }
        for door in &config.doors {
            if let Sequences::OneTime { path, lines } = &door.sequences
                && lines.is_empty()
            {
                let name = &door.name;
                program
                    .note(&format!("door {name}: no sequence is left in {path}: nothing opens it"));
            }
        }
    }

    /// Returns the config, with the lines of its one-time files.
    ///
    /// # Errors
    ///
    /// The config has errors or, where these count as such, it or a one-time file has warnings.
    pub fn into_config(self, strictness: Strictness) -> Result<Config, Unusable> {
        let has_warnings = self
            .files
            .iter()
            .flat_map(|file| &file.diagnostics)
            .any(|diagnostic| diagnostic.severity == Severity::Warning);
        match self.config {
            None => Err(Unusable::Errors),
            Some(_) if has_warnings && strictness == Strictness::Strict => Err(Unusable::Warnings),
            Some(config) => Ok(config),
        }
    }
}

/// Says that a config has no door. That is no error, as with knockd (R55).
#[must_use]
pub fn no_door(path: &Path) -> String {
    format!("{} has no door: nothing can open", path.display())
}
