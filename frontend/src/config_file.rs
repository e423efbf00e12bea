//! A config as it lies on disk: its text, its one-time files, and everything wrong with them.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use knock_engine::config::{self, Config, Diagnostic, Sequences, Severity};
use thiserror::Error;

use crate::Program;
use crate::diagnostics::{self, Colour, Source};
use crate::files::{Files, RealFiles};

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
    /// A one-time file can't be read: its door could not open.
    #[error("one-time sequences can't be read")]
    OneTimeFiles,
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
#[derive(Debug)]
pub struct ConfigFile {
    /// The config's file, then those of its one-time sequences that could be read.
    pub files: Vec<CheckedFile>,
    /// The doors whose one-time files can't be read, each with the reason. Their doors have no
    /// lines.
    pub unreadable: Vec<anyhow::Error>,
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
        let mut read = Self::read_in(Path::new(""), path)?;
        let first = read.unreadable.drain(..).next();
        first.map_or(Ok(read), Err)
    }

    /// Like [`ConfigFile::read`], with paths that begin at a folder, and without giving up where
    /// a one-time file can't be read.
    ///
    /// # Errors
    ///
    /// The config itself can't be read.
    pub fn read_in(folder: &Path, path: &Path) -> anyhow::Result<Self> {
        Self::read_from(&RealFiles, folder, path)
    }

    /// Like [`ConfigFile::read_in`], from whatever file system this is.
    ///
    /// # Errors
    ///
    /// The config itself can't be read.
    pub fn read_from(files: &impl Files, folder: &Path, path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        let text = files
            .read(&folder.join(path))
            .with_context(|| format!("{name}: cannot read the config"))?;
        let parsed = config::parse(&text);
        let file = CheckedFile { path: path.to_owned(), text, diagnostics: parsed.diagnostics };
        let mut read = Self { files: vec![file], unreadable: Vec::new(), config: parsed.config };
        read.read_one_time_files(files, folder);
        Ok(read)
    }

    fn read_one_time_files(&mut self, files: &impl Files, folder: &Path) {
        let Some(config) = &mut self.config else { return };
        for index in 0..config.doors.len() {
            let door = &config.doors[index];
            let Sequences::OneTime { path, .. } = &door.sequences else { continue };
            let path = PathBuf::from(path);
            let text = files.read(&folder.join(&path)).with_context(|| {
                let (door, path) = (&door.name, path.display());
                let config = self.files[0].path.display();
                format!("{config}: door {door}: cannot read the one-time sequences in {path}")
            });
            match text {
                Ok(text) => {
                    let (lines, diagnostics) = config::parse_one_time_lines(&text);
                    config.set_one_time_lines(index, lines);
                    self.files.push(CheckedFile { path, text, diagnostics });
                }
                Err(error) => self.unreadable.push(error),
            }
        }
    }

    /// Shows everything wrong with the files on standard error, with the lines, and which files
    /// can't be read.
    pub fn show_problems(&self, program: Program) {
        self.show_diagnostics(program);
        self.unreadable.iter().for_each(|error| program.error(error));
    }

    /// Shows everything wrong with the files that could be read, on standard error, with the
    /// lines.
    pub fn show_diagnostics(&self, program: Program) {
        let coloured = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
        let colour = if coloured { Colour::Always } else { Colour::Never };
        for CheckedFile { path, text, diagnostics } in &self.files {
            let shown = diagnostics::render(program, Source { path, text }, diagnostics, colour);
            // Where standard error is closed there is nobody left to tell.
            let _ = io::stderr().lock().write_all(shown.as_bytes());
        }
    }

    /// Tells how many warnings there are about the config and its one-time files.
    #[must_use]
    pub fn warnings(&self) -> usize {
        let is_warning = |found: &&Diagnostic| found.severity == Severity::Warning;
        self.files.iter().flat_map(|file| &file.diagnostics).filter(is_warning).count()
    }

    /// Returns the config, whatever else is wrong, to look at; `None` where it has errors.
    #[must_use]
    pub const fn config(&self) -> Option<&Config> {
        self.config.as_ref()
    }

    /// Says on standard error where nothing can open: a config without a door, which is no error
    /// as with knockd (R55), and a door whose one-time file is used up from the start.
    pub fn show_notes(&self, program: Program) {
        let Some(config) = &self.config else { return };
        note_doors(program, &self.files[0].path, config.doors.len());
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
    /// The config has errors or, where these count as such, warnings, be it in a one-time file; or
    /// a one-time file can't be read.
    pub fn into_config(self, strictness: Strictness) -> Result<Config, Unusable> {
        let has_warnings = self.warnings() > 0;
        match self.config {
            None => Err(Unusable::Errors),
            Some(_) if !self.unreadable.is_empty() => Err(Unusable::OneTimeFiles),
            Some(_) if has_warnings && strictness == Strictness::Strict => Err(Unusable::Warnings),
            Some(config) => Ok(config),
        }
    }
}

/// Says on standard error that a config has no door, where that is so.
pub fn note_doors(program: Program, path: &Path, doors: usize) {
    if doors == 0 {
        program.note(&format!("{} has no door: nothing can open", path.display()));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const CONFIG: &str = "[a]\none_time_sequences = a.seq\n[b]\none_time_sequences = b.seq\n";

    #[test]
    fn paths_begin_at_the_folder_and_every_unreadable_file_is_told() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("c.conf"), CONFIG).unwrap();
        let read = || ConfigFile::read_in(folder.path(), Path::new("c.conf")).unwrap();
        let told: Vec<_> = read().unreadable.iter().map(ToString::to_string).collect();
        let cannot =
            |door| format!("c.conf: door {door}: cannot read the one-time sequences in {door}.seq");
        assert_eq!(told, [cannot("a"), cannot("b")]);
        assert_eq!(read().into_config(Strictness::Lenient), Err(Unusable::OneTimeFiles));

        for name in ["a.seq", "b.seq"] {
            fs::write(folder.path().join(name), "7000\n").unwrap();
        }
        let config = read().into_config(Strictness::Strict).unwrap();
        assert!(config.doors.iter().all(|door| matches!(
            &door.sequences,
            Sequences::OneTime { lines, .. } if lines.len() == 1
        )));
    }
}
