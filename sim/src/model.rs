//! The model world as the daemon sees it: clock, disk thread, commands, log.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::hash::Hasher as _;
use std::path::Path;
use std::rc::Rc;

use knock_engine::config::{Config, Sequence};
use knock_engine::time::Timestamp;
use knockd::clock::Clock;
use knockd::daemon::World;
use knockd::disk::{Answer, MAX_WAITING, Writer};
use knockd::ledger::LedgerFile;
use knockd::log::{CommandEvent, CommandKind, Exit, Message, Subject};
use knockd::process::children::Report;
use knockd::settings;
use knockd::supervisor::{ChildId, Spawn, Write, WriteId};

use crate::disk::{ModelFiles, ModelHandle};
use crate::fate::{Fate, Point};
use crate::firewall::Firewall;
use crate::random::Random;
use crate::trail::Trail;

/// Marks lines of one-time files.
pub type Mark = Box<dyn FnMut(&Path, usize, &Sequence) -> Result<(), String>>;

/// How commands behave, each in a thousand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manners {
    /// Can't be run at all.
    pub fork_failures: u32,
    /// Starts that fail.
    pub start_failures: u32,
    /// Stops that something hinders: a lock, a signal.
    pub hindered: u32,
    /// Stops that say no, and do nothing.
    pub refused: u32,
    /// Never end.
    pub hangs: u32,
    /// Take long.
    pub crawls: u32,
    /// Print without end.
    pub chatter: u32,
}

/// A command that runs.
#[derive(Clone, Debug)]
pub struct Process {
    /// What it is.
    pub spawn: Spawn,
    /// When it ends by itself, in world time; never where it hangs.
    pub ends: Option<u64>,
    /// What it ends with.
    exit: Exit,
    /// Whether what it does to the firewall is still to come, at its end.
    pending: bool,
    /// Whether it prints all the time.
    prints: bool,
    is_killed: bool,
}

/// What lives longer than a daemon.
pub struct Earth {
    /// The world's time: nanoseconds since it began, suspends included.
    pub now: Cell<u64>,
    /// How many nanoseconds the wall clock is ahead of that.
    pub wall: Cell<u64>,
    /// When the machine booted, in world time.
    pub booted: Cell<u64>,
    /// The firewall.
    pub firewall: RefCell<Firewall>,
    /// How commands behave.
    pub manners: Cell<Manners>,
    /// How often each class of [`Manners`] has struck, in the order of its fields.
    pub struck: Cell<[u64; 7]>,
    random: RefCell<Random>,
}

impl Earth {
    /// Makes a world at its beginning.
    #[must_use]
    pub fn new(random: Random) -> Rc<Self> {
        Rc::new(Self {
            now: Cell::new(1_000_000_000_000),
            wall: Cell::new(1_700_000_000_000_000_000),
            booted: Cell::new(0),
            firewall: RefCell::default(),
            manners: Cell::default(),
            struck: Cell::default(),
            random: RefCell::new(random),
        })
    }

    fn strike(&self, class: usize) {
        let mut struck = self.struck.get();
        struck[class] += 1;
        self.struck.set(struck);
    }

    /// Returns what the boot-time clock shows.
    #[must_use]
    pub const fn since_boot(&self) -> u64 {
        self.now.get() - self.booted.get()
    }

    /// Returns what the wall clock shows.
    #[must_use]
    pub const fn wall_now(&self) -> u64 {
        self.now.get() + self.wall.get()
    }
}

/// What the daemon did, for the checks, in the order in which it did it.
#[derive(Clone, Debug)]
pub enum Deed {
    /// It logged this.
    Told(Message),
    /// It ran this command.
    Spawned(Spawn),
}

/// The world of one daemon.
pub struct Model {
    /// What outlives it.
    pub earth: Rc<Earth>,
    /// Its life.
    pub fate: Rc<Fate>,
    /// Its clock.
    pub clock: Clock,
    files: ModelFiles,
    /// What carries its writes out.
    pub writer: Option<Writer<LedgerFile<ModelHandle>, Mark>>,
    /// Writes that wait.
    pub writes: VecDeque<(WriteId, Write)>,
    /// Answers that wait to be taken.
    pub answers: Vec<Answer>,
    /// Commands that run.
    pub processes: BTreeMap<ChildId, Process>,
    /// Reports that wait to be taken.
    pub reports: Vec<Report>,
    /// What it did since the last check.
    pub deeds: Vec<Deed>,
    /// How many events it has told.
    pub events: Rc<Cell<u64>>,
}

impl Model {
    /// Makes the world of a daemon.
    #[must_use]
    pub fn new(earth: &Rc<Earth>, fate: &Rc<Fate>, clock: Clock, files: ModelFiles) -> Self {
        Self {
            earth: Rc::clone(earth),
            fate: Rc::clone(fate),
            clock,
            files,
            writer: None,
            writes: VecDeque::new(),
            answers: Vec::new(),
            processes: BTreeMap::new(),
            reports: Vec::new(),
            deeds: Vec::new(),
            events: Rc::default(),
        }
    }

    /// Lets the disk's thread carry out the oldest writes.
    pub fn work_disk(&mut self) {
        let (Some(writer), Some(first)) = (&mut self.writer, self.writes.pop_front()) else {
            return;
        };
        let Self { writes, answers, fate, .. } = self;
        let mut told = |answer| {
            if fate.reach(Point::Answer) {
                answers.push(answer);
            }
        };
        let next = writer.write(first, &mut || writes.pop_front(), &mut told);
        if let Some(next) = next {
            self.writes.push_front(next);
        }
    }

    /// Returns when the next command ends.
    #[must_use]
    pub fn next_exit(&self) -> Option<u64> {
        self.processes.values().filter_map(|process| process.ends).min()
    }

    /// Lets commands end whose time has come.
    pub fn end_processes(&mut self) {
        let now = self.earth.now.get();
        let due = |process: &Process| process.ends.is_some_and(|ends| ends <= now);
        while let Some(child) = self.processes.iter().find(|(_, its)| due(its)).map(|(id, _)| *id) {
            let Some(mut process) = self.processes.remove(&child) else { continue };
            if process.pending && !process.is_killed {
                let status = self.earth.firewall.borrow_mut().run(&process.spawn.command);
                process.exit = Exit::Status(status);
            }
            if process.prints {
                self.reports.push(print(&process.spawn, 1_000_000));
            }
            self.reports.push(Report::Exited { child, exit: process.exit });
        }
    }

    /// Leaves the commands to themselves, because the daemon is dead: what they have not done yet
    /// they do at once or never.
    pub fn orphan(&mut self) {
        for (_, process) in std::mem::take(&mut self.processes) {
            if process.pending && self.earth.random.borrow_mut().chance(500) {
                let _ = self.earth.firewall.borrow_mut().run(&process.spawn.command);
            }
        }
    }

    /// Counts the commands that run: starts and checks, and stops.
    #[must_use]
    pub fn running(&self) -> (usize, usize) {
        let stops = self.processes.values().filter(|its| its.spawn.kind == CommandKind::Stop);
        let stops = stops.count();
        (self.processes.len() - stops, stops)
    }

    /// Decides how a command behaves.
    fn launch(&self, spawn: &Spawn) -> Result<Process, Exit> {
        let random = &mut *self.earth.random.borrow_mut();
        let manners = self.earth.manners.get();
        if random.chance(manners.fork_failures) {
            self.earth.strike(0);
            return Err(Exit::NotRun("resource temporarily unavailable".to_owned()));
        }
        let now = self.earth.now.get();
        let short = random.between(100_000, 20_000_000);
        let run = || self.earth.firewall.borrow_mut().run(&spawn.command);
        let mut process = Process {
            spawn: spawn.clone(),
            ends: Some(now + short),
            exit: Exit::Status(0),
            pending: false,
            prints: random.chance(manners.chatter),
            is_killed: false,
        };
        if process.prints {
            self.earth.strike(6);
        }
        let is_stop = spawn.kind == CommandKind::Stop;
        if random.chance(manners.hangs) {
            self.earth.strike(4);
            // A start without a stop may take as long as it likes, and its slot with it.
            let is_endless = !spawn.command.starts_with("bell");
            process.ends = (!is_endless).then_some(now + 120_000_000_000);
            if random.chance(500) {
                run();
            }
            return Ok(process);
        }
        if random.chance(manners.crawls) {
            self.earth.strike(5);
            process.ends = Some(now + random.span(500_000_000, 20_000_000_000));
        }
        if is_stop && random.chance(manners.hindered) {
            self.earth.strike(2);
            process.exit = if random.chance(500) { Exit::Status(4) } else { Exit::Signal(9) };
        } else if is_stop && refuses(&spawn.command, manners.refused) {
            self.earth.strike(3);
            process.exit = Exit::Status(1);
        } else if spawn.kind == CommandKind::Start && random.chance(manners.start_failures) {
            self.earth.strike(1);
            // It may have done its work before it failed.
            if random.chance(500) {
                run();
            }
            process.exit = Exit::Status(2);
        } else if random.chance(500) {
            process.exit = Exit::Status(run());
        } else {
            process.pending = true;
        }
        Ok(process)
    }
}

/// Tells whether a stop command is one of those that say no: always, or never, for whoever says no
/// now and then although there is something to do can't be told from one that has nothing to do.
fn refuses(command: &str, per_mille: u32) -> bool {
    let mut trail = Trail::default();
    trail.add(&command);
    Random::new(trail.finish()).chance(per_mille)
}

fn print(spawn: &Spawn, bytes: u64) -> Report {
    Report::Output {
        subject: Subject { door: spawn.door.clone(), source: spawn.source },
        kind: spawn.kind,
        event: CommandEvent::PrintedMore { bytes },
    }
}

impl World for Model {
    type Files = ModelFiles;
    type Log = ();

    fn now(&self) -> Timestamp {
        self.clock.shown(|| self.earth.wall_now(), self.earth.since_boot())
    }

    fn files(&self) -> &ModelFiles {
        &self.files
    }

    fn write(&mut self, id: WriteId, write: Write) {
        if !self.fate.reach(Point::Send) {
            return;
        }
        if self.writes.len() >= MAX_WAITING {
            self.answers.push((id, Err("the disk is too slow".to_owned())));
        } else {
            self.writes.push_back((id, write));
        }
    }

    fn take_answers(&mut self) -> Vec<Answer> {
        std::mem::take(&mut self.answers)
    }

    fn spawn(&mut self, spawn: &Spawn) -> Result<(), Exit> {
        let point = match spawn.kind {
            CommandKind::Start => Point::Start,
            CommandKind::Stop => Point::Stop,
            CommandKind::Check => Point::Check,
        };
        if !self.fate.reach(point) {
            return Ok(());
        }
        let process = self.launch(spawn)?;
        self.deeds.push(Deed::Spawned(spawn.clone()));
        self.processes.insert(spawn.child, process);
        Ok(())
    }

    fn kill(&mut self, child: ChildId) {
        if !self.fate.reach(Point::Kill) {
            return;
        }
        if let Some(process) = self.processes.get_mut(&child) {
            process.is_killed = true;
            process.exit = Exit::Signal(15);
            process.ends = Some(self.earth.now.get() + 1_000_000);
        }
    }

    fn take_reports(&mut self, report: &mut dyn FnMut(Report)) {
        for its in std::mem::take(&mut self.reports) {
            report(its);
        }
    }

    fn log(&mut self, message: &Message) {
        if !self.fate.is_dead() {
            if matches!(message.what, knockd::log::What::Event(_)) {
                self.events.set(self.events.get() + 1);
            }
            self.deeds.push(Deed::Told(message.clone()));
        }
    }

    fn log_timeout(&self) -> Option<Timestamp> {
        None
    }

    fn handle_log_timeout(&mut self, _now: Timestamp) {}

    fn open_log(&self, _log: &settings::Log) -> anyhow::Result<()> {
        Ok(())
    }

    fn set_log(&mut self, (): ()) {}

    fn reopen_log(&mut self) {}

    fn lacks(&self, _config: &Config) -> Option<String> {
        None
    }
}
