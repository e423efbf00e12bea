//! The log as the daemon uses it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use knock_engine::time::Timestamp;

use super::format::{Format, Formatter, Verbosity};
use super::limit::Limiter;
use super::message::{Message, Severity, What};
use super::sink::{Sink, SinkError};
use super::target::Target;
use crate::clock::Clock;

/// How the log is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `LogFormat`.
    pub format: Format,
    /// `-v` and `-D`.
    pub verbosity: Verbosity,
    /// `LogLimit`: the lines a second that strangers can cause at each door; 0 for no limit.
    pub lines_per_second: u32,
    /// Where lines go.
    pub targets: Targets,
}

/// Where lines go; several at once, as in knockd, or nowhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    /// `LogFile`, or `-g`, which goes before it.
    pub file: Option<PathBuf>,
    /// `UseSyslog`.
    pub syslog: bool,
    /// Standard error.
    pub stderr: bool,
}

impl Targets {
    /// Adds standard error for a daemon in the foreground, where somebody may look: with `-v` and
    /// `-D`, as knockd does on standard output, and where lines would go nowhere else.
    #[must_use]
    pub const fn in_foreground(mut self, verbosity: Verbosity) -> Self {
        let asked_for = !matches!(verbosity, Verbosity::Normal);
        self.stderr = asked_for || (self.file.is_none() && !self.syslog);
        self
    }

    fn list(&self) -> Vec<Target> {
        let file = self.file.clone().map(Target::File);
        let syslog = self.syslog.then_some(Target::Syslog);
        let stderr = self.stderr.then_some(Target::Stderr);
        [file, syslog, stderr].into_iter().flatten().collect()
    }
}

/// The log.
///
/// It has a thread for each target, and a thread does not survive a fork: a daemon that goes into
/// the background opens its log there.
#[derive(Debug)]
pub struct Logger {
    settings: Settings,
    formatter: Formatter,
    limiter: Limiter,
    sinks: Vec<Sink>,
}

impl Logger {
    /// Opens the log.
    ///
    /// # Errors
    ///
    /// Fails where a target cannot be opened; the message names it and the way out.
    pub fn open(settings: &Settings) -> Result<Self, SinkError> {
        let zone = TimeZone::system();
        let formatter = Formatter::new(settings.format, settings.verbosity, zone);
        let targets = settings.targets.list();
        let sinks = targets.into_iter().map(|target| Sink::open(target, formatter.clone()));
        let sinks = sinks.collect::<Result<_, _>>()?;
        let limiter = Limiter::new(settings.lines_per_second);
        Ok(Self { settings: settings.clone(), formatter, limiter, sinks })
    }

    /// Returns how the log is: a reload that changes nothing needs only [`Logger::reopen`].
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Says something, unless nobody wants to hear it or too many strangers' lines came before.
    /// It never waits.
    pub fn log(&mut self, message: &Message, clock: Clock) {
        self.handle_timeout(message.at, clock);
        if message.what.is_detail() && self.settings.verbosity == Verbosity::Normal {
            return;
        }
        let stranger_at = message.what.stranger_at();
        if stranger_at.is_some_and(|door| !self.limiter.admits(door, message.at)) {
            return;
        }
        self.write(message, clock.wall(message.at));
    }

    /// Returns when [`Logger::handle_timeout`] has something to say; `None` while it has nothing.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.limiter.poll_timeout()
    }

    /// Says how many lines of strangers were not logged, for each second that is over.
    pub fn handle_timeout(&mut self, now: Timestamp, clock: Clock) {
        while let Some(held) = self.limiter.poll_held(now) {
            let what = What::NotLogged { door: held.door, lines: held.lines };
            self.write(&Message { at: held.at, what }, clock.wall(held.at));
        }
    }

    /// Opens the targets anew, for `logrotate`. Where that fails the log goes on where it was, and
    /// says so.
    pub fn reopen(&mut self) {
        self.formatter.refresh_zone();
        self.sinks.iter().for_each(Sink::reopen);
    }

    /// Waits until all is written, but no longer than this; tells whether it is.
    pub fn flush(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        // Every target gets its chance: one that is stuck uses up the time of none.
        let written: Vec<bool> = self.sinks.iter().map(|sink| sink.flush(until)).collect();
        written.into_iter().all(|written| written)
    }

    /// Says what is still to be said, and waits for it as [`Logger::flush`] does: the end.
    pub fn finish(mut self, clock: Clock, patience: Duration) -> bool {
        self.handle_timeout(Timestamp::MAX, clock);
        self.flush(patience)
    }

    /// Returns what is wrong with a target now, for those who ask how the daemon is.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.sinks.iter().find_map(Sink::trouble)
    }

    fn write(&mut self, message: &Message, wall: Timestamp) {
        let line = self.formatter.line(message, wall);
        let mut news = Vec::new();
        for (index, sink) in self.sinks.iter().enumerate() {
            news.extend(sink.push(line.clone()).map(|news| (index, news)));
        }
        // A target's trouble is told by the others.
        for (index, text) in news {
            let what = What::Notice { severity: Severity::Error, text };
            let line = self.formatter.line(&Message { at: message.at, what }, wall);
            let others = self.sinks.iter().enumerate().filter(|(other, _)| *other != index);
            for (_, sink) in others {
                // Trouble while telling of trouble will be told with the next line.
                let _ = sink.push(line.clone());
            }
        }
    }
}
