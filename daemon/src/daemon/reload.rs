//! A new config (SIGHUP): everything is read and compiled first, then it takes the old one's place.

use std::path::Path;

use anyhow::{Context as _, bail};
use knock_engine::config::{Config, Sequences, parse_one_time_lines};
use knock_engine::time::Timestamp;
use knock_frontend::config_file::ConfigFile;
use knock_frontend::files::Files as _;
use knock_frontend::notice::told;
use knock_frontend::recording::{ConfigText, Note};

use super::{Daemon, Ears, World, hand_over, limits};
use crate::capture::{Filter, IpVersions};
use crate::log::Severity;
use crate::settings::Settings;

impl<W: World> Daemon<W> {
    /// Reads the config anew. Where anything is wrong with it, the running one stays, whole.
    pub fn reload(&mut self, ears: &mut impl Ears) {
        match self.load(ears) {
            Ok(()) => {
                let doors = self.config.doors.len();
                let doors = if doors == 1 { "1 door".to_owned() } else { format!("{doors} doors") };
                let text = format!("re-read {}: {doors}", self.settings.config.display());
                self.hands.notice(Severity::Info, text);
            }
            Err(error) => {
                let text = format!("{}; the running config stays", told(&error));
                self.hands.notice(Severity::Error, text);
            }
        }
        self.hands.world.reopen_log();
    }

    fn load(&mut self, ears: &mut impl Ears) -> anyhow::Result<()> {
        let files = self.hands.world.files();
        let file = ConfigFile::read_from(files, &self.settings.folder, &self.settings.config)?;
        self.log_problems(&file);
        let path = self.settings.config.clone();
        let config = file.into_config(self.settings.strictness).with_context(|| name(&path))?;
        let mut settings = Settings::merge(&self.cli, &config.options, &self.settings.folder);
        let kept_for_life = settings.kept_for_life(&self.settings);
        if let Some(reason) = self.hands.world.lacks(&config) {
            bail!("{}: {reason}", name(&path));
        }
        let log = self.changed_log(&settings)?;
        let filter = Filter::new(&config, IpVersions::from(settings.families));
        ears.set_filter(filter).with_context(|| name(&path))?;
        // From here on nothing can fail.
        if let Some(log) = log {
            self.hands.world.set_log(log);
        }
        for key in kept_for_life {
            let text = format!("{}: {key} takes effect after a restart", name(&path));
            self.hands.notice(Severity::Warning, text);
        }
        let now = self.hands.world.now();
        self.put_in_place(config.clone(), now);
        self.supervisor.handle_limits(limits(&settings));
        (self.config, self.settings) = (config, settings);
        Ok(())
    }

    /// Opens the log anew where the config has another one; an old one is only reopened.
    fn changed_log(&self, settings: &Settings) -> anyhow::Result<Option<W::Log>> {
        if settings.log == self.settings.log {
            return Ok(None);
        }
        self.hands.world.open_log(&settings.log).map(Some)
    }

    /// Says what is wrong with a config and its one-time files, a line each.
    fn log_problems(&mut self, file: &ConfigFile) {
        for checked in &file.files {
            for diagnostic in &checked.diagnostics {
                let severity = match diagnostic.severity {
                    knock_engine::config::Severity::Warning => Severity::Warning,
                    knock_engine::config::Severity::Error => Severity::Error,
                };
                let text = format!("{}:{diagnostic}", name(&checked.path));
                self.hands.notice(severity, text);
            }
        }
        for error in &file.unreadable {
            self.hands.notice(Severity::Error, told(error));
        }
    }

    /// Gives the engine the lines of all one-time files as they are now: one could not be marked,
    /// and stays current (S12). Of a file that can't be read, the lines that the engine has left
    /// stay: those that the config began with are used.
    pub(super) fn read_sequences_again(&mut self) {
        let mut config: Config = self.engine.config();
        for index in 0..config.doors.len() {
            let Sequences::OneTime { path, .. } = &config.doors[index].sequences else { continue };
            let path = self.settings.path(path);
            match self.hands.world.files().read(&path) {
                Ok(text) => config.set_one_time_lines(index, parse_one_time_lines(&text).0),
                Err(error) => {
                    let text = format!(
                        "{}: cannot be read: {error}; its unused lines stay as they are known, but \
                         for one that could not be marked; a reload (SIGHUP) reads it again",
                        path.display()
                    );
                    self.hands.notice(Severity::Error, text);
                }
            }
        }
        self.put_in_place(config.clone(), self.hands.world.now());
        self.config = config;
    }

    /// Gives the engine a config.
    fn put_in_place(&mut self, config: Config, at: Timestamp) {
        if let Some(recorder) = &mut self.hands.recorder {
            recorder.note(Note::Config { at, config: ConfigText::of(&config) });
        }
        self.engine.handle_config(config, at);
        self.configs += 1;
        // What was due before it must not wait for whatever happens next: the engine has told it,
        // so its next deadline is a later one.
        hand_over(&mut self.engine, &mut self.supervisor, at);
        self.hands.carry_out(&mut self.supervisor);
    }
}

fn name(path: &Path) -> String {
    path.display().to_string()
}
