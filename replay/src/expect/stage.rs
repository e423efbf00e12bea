//! A case with all that it needs, and what happens when it is run.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use knock_engine::config::{self, Config, Diagnostic, Door, Sequences, Severity};
use knock_engine::local::LocalAddresses;

use super::file::{Case, ConfigFrom, Traffic};
use super::problem::{self, locate, quote, suggest};
use super::seen::{Seen, Watcher};
use crate::report::{Doors, LocalOrigin, Report, Totals};
use crate::run::frames::Candidate;
use crate::run::judge::Session;
use crate::run::progress::Progress;
use crate::run::{self, Judge as _, OutputError};
use crate::trace::Traces;

/// Why a case could not be run.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Places in the expectation file.
    Located(Vec<Diagnostic>),
    /// Something else: a file that can't be read, a damaged capture.
    Other(anyhow::Error),
}

impl From<anyhow::Error> for Trouble {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

/// A case that can be run, as often as wanted.
pub(super) struct Stage {
    pub(super) config: Config,
    /// Which config it is, where several cases have it: for the coverage.
    pub(super) config_name: String,
    pub(super) local: LocalAddresses,
    pub(super) traffic: Played,
}

/// What is judged.
pub(super) enum Played {
    Captures { paths: Vec<PathBuf>, resync: bool },
    Knocks { packets: Vec<Candidate>, lines: Vec<String> },
}

/// Makes stages of the cases of one file.
pub(super) struct Builder<'a> {
    text: &'a str,
    path: &'a Path,
    /// Configs whose problems were shown already.
    shown: BTreeSet<PathBuf>,
}

impl<'a> Builder<'a> {
    pub(super) const fn new(path: &'a Path, text: &'a str) -> Self {
        Self { text, path, shown: BTreeSet::new() }
    }

    /// Reads what a case names: its config and one-time files.
    ///
    /// # Errors
    ///
    /// One of them can't be used, or the case speaks of doors that the config doesn't have.
    pub(super) fn stage(&mut self, case: &Case) -> Result<Stage, Trouble> {
        let (config, config_name) = self.config(case)?;
        self.check_doors(case, &config)?;
        let local = given(&case.local);
        let traffic = match &case.traffic {
            Traffic::Captures { paths, resync } => {
                let paths = paths.iter().map(|path| self.beside(path)).collect();
                Played::Captures { paths, resync: *resync }
            }
            Traffic::Knocks(script) => {
                Played::Knocks { packets: script.packets(&case.local), lines: script.names() }
            }
        };
        Ok(Stage { config, config_name, local, traffic })
    }

    /// Returns a path that begins at the expectation file's folder.
    fn beside(&self, path: &Path) -> PathBuf {
        self.path.parent().map_or_else(|| path.to_owned(), |folder| folder.join(path))
    }

    fn config(&mut self, case: &Case) -> Result<(Config, String), Trouble> {
        let (text, path, name) = match &case.config {
            ConfigFrom::File(place) => {
                let path = self.beside(&place.it);
                let name = path.display().to_string();
                let text = fs::read(&path).map_err(|error| {
                    let message = format!("cannot read the config {}: {error}", quote(&name));
                    let help = "a path begins at the folder of this file";
                    Trouble::Located(vec![locate(self.text, place.at.clone(), &message, help)])
                })?;
                (text, path, name)
            }
            ConfigFrom::Text(place) => {
                let name = format!("{}:{}: config_text", self.path.display(), case.line);
                (place.it.clone().into_bytes(), PathBuf::from(&name), name)
            }
        };
        let parsed = config::parse(&text);
        self.show(&path, &text, &parsed.diagnostics);
        let mut config = parsed.config.with_context(|| format!("{name}: the config has errors"))?;
        self.read_one_time_files(case, &mut config, &name)?;
        Ok((config, name))
    }

    /// Shows what is wrong with a config or a one-time file, once.
    fn show(&mut self, path: &Path, text: &[u8], diagnostics: &[Diagnostic]) {
        if !diagnostics.is_empty() && self.shown.insert(path.to_owned()) {
            problem::show(path, text, diagnostics);
        }
    }

    fn read_one_time_files(
        &mut self,
        case: &Case,
        config: &mut Config,
        name: &str,
    ) -> Result<(), Trouble> {
        for index in 0..config.doors.len() {
            let door = Arc::clone(&config.doors[index]);
            let Sequences::OneTime { path, .. } = &door.sequences else { continue };
            let path = case.one_time.get(&door.name).map_or(Path::new(path), |place| &place.it);
            let path = self.beside(path);
            let text = fs::read(&path).with_context(|| {
                let (door, path) = (&door.name, path.display());
                format!(
                    "{name}: door {door}: cannot read the one-time sequences in {path} (a case can \
                     name another file: one_time = {{ {door} = \"FILE\" }})"
                )
            })?;
            let (lines, diagnostics) = config::parse_one_time_lines(&text);
            debug_assert!(diagnostics.iter().all(|its| its.severity == Severity::Warning));
            self.show(&path, &text, &diagnostics);
            config.set_one_time_lines(index, lines);
        }
        Ok(())
    }

    /// Checks that every door that a case speaks of exists: an expectation of a door that doesn't
    /// could never fail, or never hold.
    fn check_doors(&self, case: &Case, config: &Config) -> Result<(), Trouble> {
        let mut problems = Vec::new();
        let mut check = |name: &str, at: &std::ops::Range<usize>, is_fit: fn(&Door) -> bool| {
            let mut fitting = config.doors.iter().filter(|door| is_fit(door));
            if fitting.any(|door| door.name == name) {
                return;
            }
            let message = format!("there is no such door as {}", quote(name));
            let all = config.doors.iter().filter(|door| is_fit(door)).take(8);
            let all: Vec<String> = all.map(|door| quote(&door.name)).collect();
            let help = match all.as_slice() {
                [] => "the config has none".to_owned(),
                all => format!("the config has {}", all.join(", ")),
            };
            let problem = locate(self.text, at.clone(), &message, &help);
            let names = config.doors.iter().map(|door| door.name.as_str());
            problems.push(suggest(self.text, problem, name, names));
        };
        for door in case.expect.iter().filter_map(|expected| expected.door.as_ref()) {
            check(&door.it, &door.at, |_| true);
        }
        for (door, path) in &case.one_time {
            let has_file = |door: &Door| matches!(door.sequences, Sequences::OneTime { .. });
            check(door, &path.at, has_file);
        }
        if problems.is_empty() { Ok(()) } else { Err(Trouble::Located(problems)) }
    }
}

impl Stage {
    /// Runs the case and returns what happened, as far as somebody wants to know it.
    ///
    /// # Errors
    ///
    /// A capture can't be read to its end, or more happened than can be kept.
    pub(super) fn play(&self, wanted: Vec<&'static str>) -> anyhow::Result<(Seen, LocalOrigin)> {
        let doors = Doors::new(&self.config.doors);
        let seen = Rc::new(RefCell::new(Seen::new(doors.clone(), wanted)));
        let origin = self.run(&doors, Box::new(Watcher(Rc::clone(&seen))), Warnings::Shown)?;
        let seen = Rc::into_inner(seen).context("the run still watches")?.into_inner();
        if seen.left_out() > 0 {
            bail!(
                "more than 5,000,000 events happened that are asked for: make cases of shorter \
                 captures"
            );
        }
        Ok((seen, origin))
    }

    /// Runs the case before a report, and returns where its local addresses came from.
    ///
    /// # Errors
    ///
    /// A capture can't be read to its end, or the report fails.
    pub(super) fn run(
        &self,
        doors: &Doors,
        report: Box<dyn Report>,
        warnings: Warnings,
    ) -> anyhow::Result<LocalOrigin> {
        let config = (self.config.clone(), doors.clone());
        let totals = |origin| Totals::new("sesame", origin, doors.names());
        match &self.traffic {
            Played::Captures { .. } => {
                let mut traces = self.traces()?;
                // A recording of the daemon tells its local addresses in notes.
                traces.tell_notes();
                let (local, origin) = self.local(&traces);
                let mut session = Session::new(config, local, totals(origin), report);
                let mut progress = Progress::new(false);
                let read = session.read(&mut traces, &mut progress);
                progress.finish();
                if warnings == Warnings::Shown {
                    run::warn_of_endings(&traces);
                }
                read?;
                session.finish()?;
                Ok(session.totals().local)
            }
            Played::Knocks { packets, .. } => {
                let local = self.local.clone();
                let mut session = Session::new(config, local, totals(LocalOrigin::Given), report);
                for batch in packets.chunks(32) {
                    session.judge_batch(batch).map_err(OutputError::from)?;
                }
                session.finish()?;
                Ok(LocalOrigin::Given)
            }
        }
    }

    /// Returns the local addresses, as far as they are known before anything is read.
    pub(super) fn local(&self, traces: &Traces<File>) -> (LocalAddresses, LocalOrigin) {
        match &self.local {
            LocalAddresses::Known(given) => run::local_addresses(given, traces),
            LocalAddresses::Unknown => run::local_addresses(&[], traces),
        }
    }

    /// Opens the captures.
    ///
    /// # Errors
    ///
    /// One of them can't be read, or there are none.
    pub(super) fn traces(&self) -> anyhow::Result<Traces<File>> {
        let Played::Captures { paths, resync } = &self.traffic else {
            return Err(anyhow!("invariant: only captures are opened"));
        };
        if paths.iter().any(|path| path == Path::new("-")) {
            bail!("-: a case can't read standard input: name a file");
        }
        Ok(Traces::open(paths, run::on_damage(*resync))?)
    }
}

/// Returns the local addresses that somebody gave; no address means that nobody did.
pub(super) fn given(addresses: &[IpAddr]) -> LocalAddresses {
    match addresses {
        [] => LocalAddresses::Unknown,
        addresses => LocalAddresses::Known(addresses.to_vec()),
    }
}

/// Whether to warn of captures that were cut off or damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Warnings {
    Shown,
    /// They were shown before.
    Hidden,
}
