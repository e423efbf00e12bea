//! `knock-replay stats`: how the knocks of this traffic look, and which settings they ask for.
//!
//! The traces go through the config as it is and, in the same reading, through one that has much
//! more patience: what only that one opens is too slow for today's. Before that they are read for
//! the sources that can open a door at all, and after that once more with the settings that were
//! found, where these are not today's.

mod facts;
mod jsonl;
mod page;
mod spans;
mod watch;

use std::cell::RefCell;
use std::fs::File;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use knock_engine::config::{Config, Door};
use knock_frontend::format::Count;

use self::facts::Facts;
use self::watch::Watch;
use crate::PROGRAM;
use crate::cli::{InputArgs, PageFormat, ScannerArgs};
use crate::fleet::Fleet;
use crate::knockers::Knockers;
use crate::openings::Openings;
use crate::run::progress::Progress;
use crate::run::trace_files::TraceFiles;
use crate::run::{self, Basis, OutputError};
use crate::scanners::Scanners;
use crate::trace::Traces;

pub(crate) const ABOUT: &str = "Tells how the knocks look, and which timeouts they ask for";

pub(crate) const LONG_ABOUT: &str = "\
Tells how the knocks look, and which timeouts they ask for.

For every door: the gaps between knocks and how long whole knocks take; how many knocks were lost, \
repeated, retransmitted or overtaken; how many knocks are too slow for today's seq_timeout; and \
the same for the sources with the most knocks. Sources that never opened a door, or did so by \
accident (see --scanner), have no part in these figures.

Gaps and durations come from a run with ten times the seq_timeout, at least 10 minutes, so that \
slow knocks are seen at all. A knock is lost where it was due when a later knock came, when the \
source began again or when that time was over, and did not come within 300 ms; where it came in \
these 300 ms, it was overtaken.

The seq_timeout that the traffic asks for is the next whole second above the slowest knock; where \
that is more than today's, one more run shows what would open. The delay between knocks that it \
asks for is twice the longest time by which a knock was overtaken.";

pub(crate) const EXAMPLES: &str = "\
Examples:
  Which timeout do these clients need?
    knock-replay stats -c /etc/knockd.conf week.pcapng

  All sources of one door, for a program:
    knock-replay stats -c knockd.conf --door ssh --top 1000 --format jsonl week.pcapng
";

/// The arguments of `knock-replay stats`.
#[derive(Args, Debug)]
pub struct StatsArgs {
    /// What is read.
    #[command(flatten)]
    pub input: InputArgs,

    /// The door to tell of; all where none is named
    #[arg(long, value_name = "NAME", display_order = 1)]
    pub door: Vec<String>,

    /// How many sources to tell of at each door, those with the most knocks
    #[arg(long, value_name = "N", default_value_t = 10, display_order = 1)]
    pub top: usize,

    /// Who counts as a scanner.
    #[command(flatten)]
    pub scanner: ScannerArgs,

    /// How to tell it
    #[arg(long, value_enum, default_value_t = PageFormat::Text, display_order = 1)]
    pub format: PageFormat,
}

/// Tells how the knocks of traces look.
///
/// # Errors
///
/// The config can't be used, there is no such door, a trace can't be read to its end (everything
/// before that place has been told then), or the output can't be written.
pub fn stats(args: &StatsArgs) -> anyhow::Result<()> {
    let basis = Basis::of_first_config(&args.input, "stats")?;
    let local = basis.given_addresses(&args.input);
    let config = basis.config;
    if let Some(name) = args.door.iter().find(|name| !has_door(&config, name)) {
        bail!("--door {name}: the config has no such door");
    }
    let files = TraceFiles::open(&args.input.traces, true)?;
    let work = Work { args, config: &config, local, files };
    let knockers = work.knockers()?;
    let (mut facts, read) = work.facts(&knockers)?;
    if read.is_ok() {
        work.verify(&mut facts, &knockers)?;
    }
    facts.is_complete = read.is_ok();
    let text = match args.format {
        PageFormat::Text => page::page(&facts, &run::palette(args.input.look.color)).into_bytes(),
        PageFormat::Jsonl => jsonl::lines(&facts).map_err(OutputError::from)?,
    };
    run::write_out(&text).map_err(OutputError::from)?;
    read
}

fn has_door(config: &Config, name: &str) -> bool {
    config.doors.iter().any(|door| door.name == name)
}

/// What the runs have in common.
struct Work<'a> {
    args: &'a StatsArgs,
    config: &'a Config,
    /// The local addresses that are given; none where the traces may tell.
    local: Vec<IpAddr>,
    files: TraceFiles<'a>,
}

impl Work<'_> {
    fn traces(&self) -> anyhow::Result<(Traces<File>, Progress)> {
        let traces = self.files.traces(run::on_damage(self.args.input.resync))?;
        let progress = Progress::new(run::is_live(&traces));
        Ok((traces, progress))
    }

    /// Reads the traces for the sources that can open a door.
    fn knockers(&self) -> anyhow::Result<Rc<Knockers>> {
        let (mut traces, mut progress) = self.traces()?;
        let doors: Vec<usize> = (0..self.config.doors.len()).collect();
        let found = Knockers::find(&mut traces, &mut progress, self.config, &doors);
        progress.finish();
        Ok(Rc::new(found?))
    }

    /// Runs today's config and the patient one. Tells also whether the traces could be read to
    /// their end.
    fn facts(&self, knockers: &Rc<Knockers>) -> anyhow::Result<(Facts, anyhow::Result<()>)> {
        let openings: Rc<RefCell<Openings>> = Rc::default();
        let mut scanners = Scanners::new(
            Rc::clone(&openings),
            Rc::clone(knockers),
            self.config,
            self.args.scanner.ports,
        );
        let configs = [self.config.clone(), with_windows(self.config, |_, door| patience(door))];
        let watched = configs.map(|config| {
            let watch = Watch::new(&config, &openings, knockers);
            (config, watch)
        });
        let mut fleet = Fleet::new(watched, &self.local);
        let (mut traces, mut progress) = self.traces()?;
        let read = fleet.read_beside(&mut traces, &mut progress, &mut scanners);
        progress.finish();
        run::warn_of_endings(&traces);
        if !fleet.knows_addresses && self.args.format == PageFormat::Text {
            PROGRAM.note(&run::ASSUMED_LOCAL);
        }
        let mut watches = fleet.into_observers();
        watches.iter_mut().for_each(Watch::finish);
        check_limits(&watches, &openings.borrow())?;
        let accidental = scanners.into_accidental();
        let (Some(patient), Some(today)) = (watches.pop(), watches.pop()) else {
            bail!("a run of two configs has two results");
        };
        let openings = openings.borrow();
        let facts = Facts::of(self.config, [today, patient], &openings, &accidental);
        Ok((facts.limited_to(&self.args.door, self.args.top), read))
    }

    /// Runs once more where knocks ask for a longer `seq_timeout`, and counts what opens then.
    fn verify(&self, facts: &mut Facts, knockers: &Rc<Knockers>) -> anyhow::Result<()> {
        let asked = facts.longer_windows();
        if asked.is_empty() {
            return Ok(());
        }
        let config = with_windows(self.config, |index, door| {
            let found = asked.iter().find(|(asking, _)| *asking == index);
            found.map_or(door.seq_timeout, |(_, window)| *window)
        });
        let openings: Rc<RefCell<Openings>> = Rc::default();
        let watch = Watch::new(&config, &openings, knockers);
        let mut fleet = Fleet::new([(config, watch)], &self.local);
        let (mut traces, mut progress) = self.traces()?;
        let read = fleet.read(&mut traces, &mut progress);
        progress.finish();
        read?;
        if let Some(watch) = fleet.into_observers().pop() {
            facts.note_opens_when_asked(&watch, &openings.borrow());
        }
        Ok(())
    }
}

fn check_limits(watches: &[Watch], openings: &Openings) -> anyhow::Result<()> {
    if openings.overflowed {
        bail!("more than {} openings: try fewer traces", Count(Openings::LIMIT as u64));
    }
    if watches.iter().any(|watch| watch.overflowed) {
        PROGRAM.warning(&format_args!(
            "only the first {} sources are told of",
            Count(Watch::LIMIT as u64)
        ));
    }
    Ok(())
}

/// Returns a window in which also the slowest knocks are seen.
fn patience(door: &Door) -> Duration {
    const LEAST: Duration = Duration::from_secs(600);
    const LONGEST: Duration = Duration::from_secs(u32::MAX as u64);
    door.seq_timeout.saturating_mul(10).clamp(LEAST, LONGEST).max(door.seq_timeout)
}

/// Returns the config with other values of `seq_timeout`.
fn with_windows(config: &Config, window: impl Fn(usize, &Door) -> Duration) -> Config {
    let mut config = config.clone();
    for (index, door) in config.doors.iter_mut().enumerate() {
        let changed = window(index, door);
        if changed != door.seq_timeout {
            // The default of this one is never shorter than the window.
            let is_default =
                door.retransmit_window == door.seq_timeout.max(Door::LEAST_RETRANSMIT_WINDOW);
            let door = Arc::make_mut(door);
            door.seq_timeout = changed;
            if is_default {
                door.retransmit_window = changed.max(Door::LEAST_RETRANSMIT_WINDOW);
            }
        }
    }
    config
}
