//! What the daemon is given: the one place where it meets a machine, or a model of one.

use knock_engine::config::Config;
use knock_engine::time::Timestamp;
use knock_engine::wire::LinkType;
use knock_frontend::files::Files;

use crate::capture::{CaptureError, Filter};
use crate::disk::Answer;
use crate::log::{Exit, Message};
use crate::process::children::Report;
use crate::settings;
use crate::supervisor::{ChildId, Spawn, Write, WriteId};

/// What carries out what the daemon decides. Nothing here ever waits.
pub trait World {
    /// Where the config and its one-time files lie.
    type Files: Files;
    /// A log that is open and not yet in use.
    type Log;

    /// Returns the engine time now.
    fn now(&self) -> Timestamp;

    /// Returns the file system.
    fn files(&self) -> &Self::Files;

    /// Hands a write to whoever carries writes out, in order.
    fn write(&mut self, id: WriteId, write: Write);

    /// Takes the answers to writes that have come since the last call.
    fn take_answers(&mut self) -> Vec<Answer>;

    /// Runs a command; its end is reported.
    ///
    /// # Errors
    ///
    /// Nothing was run, and nothing will be reported.
    fn spawn(&mut self, spawn: &Spawn) -> Result<(), Exit>;

    /// Kills a command, whose end is reported as usual.
    fn kill(&mut self, child: ChildId);

    /// Tells what commands have printed and how they have ended since the last call.
    fn take_reports(&mut self, report: &mut dyn FnMut(Report));

    /// Logs a message.
    fn log(&mut self, message: &Message);

    /// Returns when the log has something to do by itself.
    fn log_timeout(&self) -> Option<Timestamp>;

    /// Lets the log do what is due by now.
    fn handle_log_timeout(&mut self, now: Timestamp);

    /// Opens a log as the settings have it.
    ///
    /// # Errors
    ///
    /// It can't be opened.
    fn open_log(&self, log: &settings::Log) -> anyhow::Result<Self::Log>;

    /// Puts a log in the place of the one before.
    fn set_log(&mut self, log: Self::Log);

    /// Opens the log's files anew.
    fn reopen_log(&mut self);

    /// Returns why this process can't run the commands of a config; `None` where it can.
    fn lacks(&self, config: &Config) -> Option<String>;
}

/// What hears packets.
pub trait Ears {
    /// Hands over the packets that are there: the interface, what its frames begin with, and the
    /// frame. Each interface gets a turn, so a flood on one of them keeps nobody else waiting.
    fn listen(&mut self, hear: &mut dyn FnMut(&str, LinkType, &[u8])) -> Heard;

    /// Replaces the filter of what is heard.
    ///
    /// # Errors
    ///
    /// It can't be used; the one before still is.
    fn set_filter(&mut self, filter: Filter) -> Result<(), CaptureError>;

    /// Returns how many packets were lost since the last call, by interface.
    fn drops(&mut self) -> Vec<(String, u64)>;
}

/// How listening went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Whether all packets that were there have been handed over.
    pub is_quiet: bool,
    /// Whether an interface has failed.
    pub has_failed: bool,
}
