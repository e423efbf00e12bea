//! The beginning: everything is opened, privileges are dropped, and the ledger is taken up.

use std::path::PathBuf;

use anyhow::Context as _;
use knock_engine::HashKey;
use knock_engine::config::{Config, Sequences};
use knock_frontend::files::RealFiles;
use knock_frontend::notice::told;

use super::Shell;
use super::machine::{Machine, Sockets, needs};
use crate::capture::{Captures, Filter, IpVersions};
use crate::cli::Cli;
use crate::clock::Clock;
use crate::daemon::{Beginning, Daemon, Hands, LAST_WRITES, ledger_name, marker, open_ledger};
use crate::disk::Disk;
use crate::host::{DefaultRoutes, Host, Network};
use crate::ledger::{Boot, BootId, Entry, HALF_LEN, HoldId, Ledger, Recovered};
use crate::log::{Logger, Severity, Targets, Verbosity};
use crate::process::children::Children;
use crate::process::daemonize::Startup;
use crate::process::event_loop::EventLoop;
use crate::process::notify::{Notifier, Watchdog};
use crate::process::pidfile::PidFile;
use crate::process::privileges::{self, Identity, Kept};
use crate::process::signals::Signals;
use crate::recorder::Recorder;
use crate::settings::{Detail, Listen, Log, Settings};

/// Runs as a daemon until it is asked to stop.
///
/// `startup` is there for one in the background, whose parent waits until it is ready.
///
/// # Errors
///
/// It can't start, or the kernel fails it. Everything that was owed is in the ledger then.
pub fn run(
    cli: Cli,
    settings: Settings,
    config: Config,
    startup: Option<Startup>,
) -> anyhow::Result<()> {
    // Before the first thread: privileges are a thread's own.
    let kept = drop_privileges(&settings, &config)?;
    let clock = Clock::start();
    let mut logger = open_log(&settings.log)?;
    for warning in &settings.warnings {
        super::notice(&mut logger, clock, Severity::Warning, warning.clone());
    }
    let opened = match Opened::open(&settings, clock) {
        Ok(opened) => opened,
        Err(error) => {
            super::notice(&mut logger, clock, Severity::Error, told(&error));
            logger.finish(clock, LAST_WRITES);
            return Err(error);
        }
    };
    super::notice(&mut logger, clock, Severity::Info, kept.to_string());
    let Opened { pid_file, signals, disk, recovered, next_hold, host, key, children, .. } = opened;
    let recorder = opened.recorder;
    let names = names_to_hear(&settings.listen, host.network());
    let filter = Filter::new(&config, IpVersions::from(settings.families));
    let captures = Captures::new(names, filter, settings.buffer_size.bytes());
    let machine = Machine { clock, disk, children, logger, kept: Some(kept) };
    let local = host.network().local_addresses();
    let beginning = Beginning { cli, settings, config, local, key, next_hold };
    let mut shell = Shell {
        daemon: Daemon::new(beginning, Hands::new(machine, recorder)),
        sockets: Sockets { captures, heard: Vec::new() },
        event_loop: opened.event_loop,
        notifier: opened.notifier,
        watchdog: Watchdog::from_environment(clock.now()),
        alarm: None,
        signals,
        host,
    };
    let worked = shell.begin(recovered, startup).and_then(|()| shell.work());
    shell.stop(worked.as_ref().err());
    drop(pid_file);
    worked
}

/// What a daemon has open besides its log and its capture sockets.
struct Opened {
    pid_file: Option<PidFile>,
    signals: Signals,
    disk: Option<Disk>,
    recovered: Recovered,
    next_hold: HoldId,
    recorder: Option<Recorder>,
    host: Host,
    key: HashKey,
    children: Children,
    event_loop: EventLoop,
    notifier: Notifier,
}

impl Opened {
    fn open(settings: &Settings, clock: Clock) -> anyhow::Result<Self> {
        let pid_file = settings.pid_file.as_deref().map(PidFile::create).transpose()?;
        let (disk, recovered, next_hold) = open_disk(settings, clock)?;
        let record = settings.record.as_ref();
        let record = record.map(|its| Recorder::open(&its.folder, its.size, clock.now()));
        let routes = match settings.listen {
            Listen::Default => DefaultRoutes::Follow,
            Listen::Any | Listen::Named(_) => DefaultRoutes::Ignore,
        };
        Ok(Self {
            pid_file,
            signals: Signals::catch().context("cannot catch signals")?,
            disk,
            recovered,
            next_hold,
            recorder: record.transpose()?,
            host: Host::open(IpVersions::from(settings.families), routes)?,
            key: hash_key()?,
            children: Children::new().context("cannot wait for children")?,
            event_loop: EventLoop::new().context("cannot wait for events")?,
            notifier: Notifier::from_environment().context("NOTIFY_SOCKET")?,
        })
    }
}

impl Shell {
    /// Takes up what is owed, listens, and says that it is ready.
    fn begin(&mut self, recovered: Recovered, startup: Option<Startup>) -> anyhow::Result<()> {
        self.register()?;
        self.daemon.begin(recovered);
        self.reconcile();
        self.announce();
        startup.map_or(Ok(()), Startup::ready).context("cannot let go of the terminal")
    }
}

/// Drops what neither the daemon nor its commands can need; says what is missing.
fn drop_privileges(settings: &Settings, config: &Config) -> anyhow::Result<Kept> {
    let identity = Identity::current().context("cannot tell what privileges there are")?;
    let needs = needs(config, &owed_stops(settings));
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("knockd"));
    for missing in privileges::missing(&identity, &needs, &program) {
        crate::PROGRAM.warning(&missing);
    }
    let files = files(settings, config);
    let host = privileges::Host::look(files.iter().map(PathBuf::as_path));
    let kept = Kept::decide(&identity, &needs, host);
    kept.apply().context("cannot drop privileges")?;
    Ok(kept)
}

/// Returns the stop commands in the ledger, which the config may not know any more. Whatever is
/// wrong with the ledger is told when it is opened to be used.
fn owed_stops(settings: &Settings) -> Vec<String> {
    let boot = BootId::read().map(|id| Boot { id, at: Clock::start().boot() });
    let opened = boot.ok().and_then(|boot| {
        let name = ledger_name(settings);
        let path = settings.state_dir.join(&name);
        path.exists().then(|| Ledger::open_file(&settings.state_dir, &name, boot))
    });
    let Some(Ok((_, recovered))) = opened else { return Vec::new() };
    recovered.entries.into_iter().map(|Entry { stop, .. }| stop).collect()
}

/// Returns the files that the daemon must go on reading and writing.
fn files(settings: &Settings, config: &Config) -> Vec<PathBuf> {
    let one_time = config.doors.iter().filter_map(|door| match &door.sequences {
        Sequences::OneTime { path, .. } => Some(settings.path(path)),
        Sequences::Fixed(_) => None,
    });
    let ledger = settings.state_dir.join(ledger_name(settings));
    [settings.config.clone(), ledger]
        .into_iter()
        .chain(settings.log.file.clone())
        .chain(settings.pid_file.clone())
        .chain(settings.record.as_ref().map(|record| record.folder.clone()))
        .chain(one_time)
        .collect()
}

/// Opens the log as the settings have it.
pub(super) fn open_log(log: &Log) -> anyhow::Result<Logger> {
    Ok(Logger::open(&log_settings(log))?)
}

/// Returns the settings of the log in its own words.
pub(super) fn log_settings(log: &Log) -> crate::log::Settings {
    crate::log::Settings {
        format: log.format,
        verbosity: match log.detail {
            Detail::Normal => Verbosity::Normal,
            Detail::Verbose => Verbosity::Verbose,
            Detail::Debug => Verbosity::Debug,
        },
        lines_per_second: log.limit,
        targets: Targets { file: log.file.clone(), syslog: log.syslog, stderr: log.stderr },
    }
}

/// Opens and locks the ledger, and starts the thread that writes to it. A dry run owes nothing
/// and must not be in the way of a daemon that does.
pub(super) fn open_disk(
    settings: &Settings,
    clock: Clock,
) -> anyhow::Result<(Option<Disk>, Recovered, HoldId)> {
    let boot = Boot { id: BootId::read()?, at: clock.boot() };
    let Some(owed) = open_ledger(&RealFiles, settings, boot, HALF_LEN)? else {
        return Ok((None, Recovered::default(), HoldId(1)));
    };
    let disk = Disk::start_with(owed.ledger, marker(RealFiles, settings.folder.clone()));
    let disk = disk.context("cannot start the thread that writes the ledger")?;
    Ok((Some(disk), owed.recovered, owed.next_hold))
}

/// Returns the names of the interfaces to listen on.
pub(super) fn names_to_hear(listen: &Listen, network: &Network) -> Vec<String> {
    match listen {
        Listen::Default => network.interfaces_to_hear(),
        Listen::Any | Listen::Named(_) => listen.names(),
    }
}

/// Makes the key of the engine's tables, which nobody outside may know.
fn hash_key() -> anyhow::Result<HashKey> {
    let mut bytes = [[0; 8]; 2];
    for half in &mut bytes {
        rustix::rand::getrandom(&mut *half, rustix::rand::GetRandomFlags::empty())
            .context("cannot get random bytes")?;
    }
    Ok(HashKey(bytes.map(u64::from_ne_bytes)))
}
