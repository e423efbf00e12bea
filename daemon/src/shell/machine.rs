//! The real machine as the daemon's world.

use knock_engine::config::{Command, Config, Door};
use knock_engine::time::Timestamp;
use knock_engine::wire::LinkType;
use knock_frontend::files::RealFiles;

use super::startup;
use crate::capture::{self, CaptureError, Captures, Drained, Filter};
use crate::clock::Clock;
use crate::daemon::{Ears, Heard, World};
use crate::disk::{Answer, Disk};
use crate::log::{Exit, Logger, Message};
use crate::process::children::{Children, Report};
use crate::process::privileges::{Kept, Needs, find_program};
use crate::settings;
use crate::supervisor::{ChildId, Spawn, Write, WriteId};

/// How many packets of a socket are read before anybody else gets a turn.
const PACKETS_A_TURN: usize = 1024;

/// The machine, as far as the daemon changes something on it.
pub(super) struct Machine {
    pub(super) clock: Clock,
    /// `None` in a dry run, which writes nothing.
    pub(super) disk: Option<Disk>,
    pub(super) children: Children,
    pub(super) logger: Logger,
    /// `None` where nothing but what the ledger has is run.
    pub(super) kept: Option<Kept>,
}

impl World for Machine {
    type Files = RealFiles;
    type Log = Logger;

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn files(&self) -> &RealFiles {
        &RealFiles
    }

    fn write(&mut self, id: WriteId, write: Write) {
        if let Some(disk) = &mut self.disk {
            disk.send(id, write);
        }
    }

    fn take_answers(&mut self) -> Vec<Answer> {
        self.disk.as_mut().map_or_else(Vec::new, Disk::take_answers)
    }

    fn spawn(&mut self, spawn: &Spawn) -> Result<(), Exit> {
        self.children.spawn(spawn)
    }

    fn kill(&mut self, child: ChildId) {
        self.children.kill(child);
    }

    fn take_reports(&mut self, report: &mut dyn FnMut(Report)) {
        self.children.handle_ready(report);
    }

    fn log(&mut self, message: &Message) {
        self.logger.log(message, self.clock);
    }

    fn log_timeout(&self) -> Option<Timestamp> {
        self.logger.poll_timeout()
    }

    fn handle_log_timeout(&mut self, now: Timestamp) {
        self.logger.handle_timeout(now, self.clock);
    }

    fn open_log(&self, log: &settings::Log) -> anyhow::Result<Logger> {
        startup::open_log(log)
    }

    fn set_log(&mut self, log: Logger) {
        self.logger = log;
    }

    fn reopen_log(&mut self) {
        self.logger.reopen();
    }

    fn lacks(&self, config: &Config) -> Option<String> {
        self.kept.as_ref().and_then(|kept| kept.lacks(&needs(config, &[])))
    }
}

/// The capture sockets, and those of them that the event loop knows.
pub(super) struct Sockets {
    pub(super) captures: Captures,
    pub(super) heard: Vec<capture::Token>,
}

impl Ears for Sockets {
    fn listen(&mut self, hear: &mut dyn FnMut(&str, LinkType, &[u8])) -> Heard {
        let mut heard = Heard { is_quiet: true, has_failed: false };
        for token in &self.heard {
            let drained = self.captures.drain(*token, PACKETS_A_TURN, hear);
            heard.is_quiet &= drained != Drained::More;
            heard.has_failed |= drained == Drained::Failed;
        }
        heard
    }

    fn set_filter(&mut self, filter: Filter) -> Result<(), CaptureError> {
        self.captures.set_filter(filter)
    }

    fn drops(&mut self) -> Vec<(String, u64)> {
        self.captures.drops()
    }
}

/// Returns what the config's commands, and those that the ledger has, can need.
pub(super) fn needs(config: &Config, owed: &[String]) -> Needs {
    let commands = config.doors.iter().flat_map(|door| commands(door)).map(Command::template);
    Needs::of(commands.chain(owed.iter().map(String::as_str)), &find_program)
}

fn commands(door: &Door) -> impl Iterator<Item = &Command> {
    let commands = &door.commands;
    let plain = [&commands.start, &commands.stop, &commands.check];
    let v6 = [&commands.start_v6, &commands.stop_v6, &commands.check_v6];
    plain.into_iter().flatten().chain(v6.into_iter().flatten().flatten())
}
