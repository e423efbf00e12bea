//! One life of the daemon, from its start to its death or its end.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use knock_engine::HashKey;
use knock_engine::config::Config;
use knock_engine::local::LocalAddresses;
use knock_engine::output::Event;
use knock_engine::time::Timestamp;
use knock_frontend::config_file::{ConfigFile, Strictness};
use knockd::cli::{self, Cli};
use knockd::clock::Clock;
use knockd::daemon::{Beginning, Daemon, Hands, marker, open_ledger};
use knockd::disk::Writer;
use knockd::ledger::{Boot, BootId, Recovered};
use knockd::recorder::{self, Carrier, Item, QUEUE, Recorder, Ring};
use knockd::settings::Settings;

use crate::disk::ModelFiles;
use crate::ears::ModelEars;
use crate::fate::{Fate, Phase};
use crate::model::{Earth, Mark, Model};
use crate::oracle::Oracle;
use crate::plan::{CONFIG, FOLDER};

/// The daemon, and what is there as long as it lives.
pub struct Life {
    /// The daemon.
    pub daemon: Daemon<Model>,
    /// What it hears.
    pub ears: ModelEars,
    /// When it dies.
    pub fate: Rc<Fate>,
    /// What it should do.
    pub oracle: Oracle,
    /// The boot that it lives in.
    pub boot: Boot,
    /// The config that it began with.
    pub config: Config,
    /// All events that it has told.
    pub told: Vec<Event>,
    /// How many of them have been compared with the reference model's.
    pub compared: usize,
    /// What writes its recording.
    pub recording: Option<Recording>,
    /// The most commands that it may run side by side, by any config that it had.
    pub max_commands: usize,
    /// When it started, by its own clock.
    pub started: Timestamp,
}

/// What writes a recording, and what waits for it.
pub struct Recording {
    writer: recorder::Writer<ModelFiles>,
    items: Rc<RefCell<VecDeque<Item>>>,
    /// How many events had been told when each file began.
    pub begins: Rc<RefCell<Vec<u64>>>,
}

impl Recording {
    /// Writes what waits.
    pub fn work(&mut self) {
        loop {
            let Some(first) = self.items.borrow_mut().pop_front() else { return };
            let items = Rc::clone(&self.items);
            self.writer.write_all(first, &mut || items.borrow_mut().pop_front());
        }
    }
}

/// The way to a recording's writer.
struct ToRecording {
    items: Rc<RefCell<VecDeque<Item>>>,
    begins: Rc<RefCell<Vec<u64>>>,
    events: Rc<Cell<u64>>,
}

impl Carrier for ToRecording {
    fn carry(&mut self, item: Item) -> bool {
        if self.items.borrow().len() >= QUEUE {
            return false;
        }
        if item.begins_file() {
            self.begins.borrow_mut().push(self.events.get());
        }
        self.items.borrow_mut().push_back(item);
        true
    }

    fn finish(self: Box<Self>, _patience: Duration) {}
}

/// Where a daemon is started.
pub struct Place<'a> {
    /// The world.
    pub earth: &'a Rc<Earth>,
    /// Its disk.
    pub files: &'a ModelFiles,
    /// The number of the boot.
    pub boot: u64,
    /// How long the halves of a new ledger are.
    pub half_len: usize,
    /// The addresses of the machine.
    pub local: &'a LocalAddresses,
}

impl Place<'_> {
    /// Starts a daemon, as the program does. It has taken up what was owed when this returns, or it
    /// has died on the way: its fate tells.
    ///
    /// # Errors
    ///
    /// It says why it does not start.
    pub fn start(
        &self,
        fate: &Rc<Fate>,
        oracle: impl FnOnce(&Config) -> Oracle,
    ) -> anyhow::Result<(Life, Recovered)> {
        let files = self.files.of_process(fate);
        let cli = command_line();
        let file = ConfigFile::read_from(&files, Path::new(FOLDER), Path::new(CONFIG))?;
        let config = file.into_config(Strictness::Lenient)?;
        let settings = Settings::merge(&cli, &config.options, Path::new(FOLDER));
        let earth = self.earth;
        let clock = Clock::started_at(earth.wall_now(), earth.since_boot());
        let boot = Boot { id: boot_id(self.boot), at: clock.boot() };
        let owed = open_ledger(&files, &settings, boot, self.half_len)?;
        let owed = owed.ok_or_else(|| anyhow::anyhow!("this is no dry run"))?;
        let mut model = Model::new(earth, fate, clock, files.clone());
        let mark: Mark = Box::new(marker(files.clone(), PathBuf::from(FOLDER)));
        let mut writer = Writer::new(owed.ledger, mark);
        writer.prepare();
        model.writer = Some(writer);
        let now = clock.at(earth.since_boot());
        let mut recording = None;
        let recorder = match &settings.record {
            None => None,
            Some(record) => {
                let ring = Ring::open(&files, &record.folder, record.size.bytes())?;
                let events = Rc::clone(&model.events);
                let recorder = Recorder::with(ring, record.size, now, |writer| {
                    let (items, begins) = (Rc::default(), Rc::default());
                    let carrier = ToRecording {
                        items: Rc::clone(&items),
                        begins: Rc::clone(&begins),
                        events,
                    };
                    recording = Some(Recording { writer, items, begins });
                    Ok(Box::new(carrier))
                });
                Some(recorder?)
            }
        };
        let (key, local) = (HashKey::default(), self.local.clone());
        let next_hold = owed.next_hold;
        let beginning = Beginning { cli, settings, config: config.clone(), local, key, next_hold };
        let mut daemon = Daemon::new(beginning, Hands::new(model, recorder));
        let recovered = owed.recovered;
        daemon.begin(recovered.clone());
        fate.enter(Phase::Working);
        let life = Life {
            max_commands: usize::from(config.options.max_commands),
            oracle: oracle(&config),
            daemon,
            ears: ModelEars::new(earth, fate, clock),
            fate: Rc::clone(fate),
            boot,
            config,
            told: Vec::new(),
            compared: 0,
            recording,
            started: now,
        };
        Ok((life, recovered))
    }
}

/// Returns the name of a boot.
#[must_use]
pub fn boot_id(number: u64) -> BootId {
    let mut id = [7; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    BootId(id)
}

fn command_line() -> Cli {
    match cli::parse(["knockd", "-c", CONFIG]) {
        Ok(cli) => cli,
        Err(_) => unreachable!("this command line is a good one"),
    }
}
