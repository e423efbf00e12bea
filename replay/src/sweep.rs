//! `knock-replay sweep`: what other values of a setting would have made of the same knocks.
//!
//! The traces are read once to find the sources that can open the door at all, and once for many
//! engines, one for each value.

mod axis;
mod jsonl;
mod key;
mod outcome;
mod page;
mod tally;

use std::cell::RefCell;
use std::fs::File;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::bail;
use clap::Args;
use knock_engine::config::{Config, Door};

use self::axis::Axis;
use self::key::{Key, Value};
use self::outcome::{Made, Outcome};
use self::tally::Tally;
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

pub(crate) const ABOUT: &str = "Tries other values of a setting on the same knocks";

pub(crate) const LONG_ABOUT: &str = "\
Tries other values of a setting on the same knocks.

One run of the engine for every value, over the same packets; nothing is calculated from how much \
time was left, for a longer timeout can also break a knock. For every value it tells how many \
honest knocks open, how many openings are accidents, and how many honest knocks that open today \
no longer do; then the smallest value that keeps all of them.

An opening is accidental where its source hit at least as many distinct other ports of this host \
as --scanner says, from 10 s before its first knock to 10 s after its last. Ports are hit by UDP, \
and by TCP without ACK and RST. Neither max_strays nor ignore_ports has a part in that. Every \
other opening is honest.

A knock of today is kept where the same source opens, from its first knock to its last. An opening \
at which nothing runs, within the cooldown or beyond max_leases, is none.";

pub(crate) const EXAMPLES: &str = "\
Examples:
  How short could the time for a knock be?
    knock-replay sweep -c knockd.conf --door ssh --set seq_timeout=1s..60s week.pcapng

  How many stray ports let everybody in, and no scan?
    knock-replay sweep -c knockd.conf --door ssh --set max_strays=0..16,off week.pcapng

  Both together, 20 by 5 values:
    knock-replay sweep -c knockd.conf --door ssh --set seq_timeout=5s..60s/20 \\
        --set max_strays=2,4,8,12,16 week.pcapng
";

/// The arguments of `knock-replay sweep`.
#[derive(Args, Debug)]
pub struct SweepArgs {
    /// What is read.
    #[command(flatten)]
    pub input: InputArgs,

    /// The door to try them on
    #[arg(long, value_name = "NAME", display_order = 1)]
    pub door: String,

    /// The setting and its values: KEY=A..B, KEY=A..B/N or KEY=A,B,C
    ///
    /// KEY is seq_timeout, max_strays, retransmit_window, cmd_timeout, cooldown, max_failures,
    /// failure_window or lockout; values are written as in a config. A..B takes A, B and what lies
    /// between in round steps, at most 60 values (20 with two --set, 8 with more); A..B/N takes N
    /// at equal distances. Ranges and values can be mixed, with commas between. Several --set try
    /// every combination, at most 1,000.
    #[arg(long, value_name = "KEY=VALUES", required = true, display_order = 1)]
    pub set: Vec<String>,

    /// Who counts as a scanner.
    #[command(flatten)]
    pub scanner: ScannerArgs,

    /// How to tell it
    #[arg(long, value_enum, default_value_t = PageFormat::Text, display_order = 1)]
    pub format: PageFormat,
}

/// What is swept, and what came of it.
struct Sweep {
    config: Config,
    /// The door's place in the config.
    index: usize,
    axes: Vec<Axis>,
    scanner: u16,
    outcome: Outcome,
    /// Whether the traces were read to their end.
    is_complete: bool,
}

impl Sweep {
    fn door(&self) -> &Door {
        &self.config.doors[self.index]
    }
}

/// Runs a config with other values of a door's settings, and tells what came of each.
///
/// # Errors
///
/// The config or a value can't be used, there is no such door, a trace can't be read to its end
/// (everything before that place has been told then), or the output can't be written.
pub fn sweep(args: &SweepArgs) -> anyhow::Result<()> {
    let axes = axis::read(&args.set)?;
    let basis = Basis::of_first_config(&args.input, "sweep")?;
    let local = basis.given_addresses(&args.input);
    let config = basis.config;
    let index = find_door(&config, &args.door)?;
    let trials = trials(&config, index, &axes)?;
    let files = TraceFiles::open(&args.input.traces, true)?;
    let work = Work { args, config: &config, index, local };
    let knockers = work.knockers(&files, &trials)?;
    let (runs, read) = work.run_all(trials, &files, &Rc::new(knockers))?;
    let openings = runs.openings.borrow();
    let outcome = Outcome::of(&runs.made, &openings, &runs.accidental);
    drop(openings);
    let is_complete = read.is_ok();
    let sweep = Sweep { config, index, axes, scanner: args.scanner.ports, outcome, is_complete };
    let text = match args.format {
        PageFormat::Text => {
            page::page(&sweep, &run::palette(args.input.look.color), run::width()).into_bytes()
        }
        PageFormat::Jsonl => jsonl::lines(&sweep).map_err(OutputError::from)?,
    };
    run::write_out(&text).map_err(OutputError::from)?;
    read
}

/// Returns the place of the door of that name.
fn find_door(config: &Config, name: &str) -> anyhow::Result<usize> {
    let mut found = (0..).zip(&config.doors).filter(|(_, door)| door.name == name);
    match (found.next(), found.next()) {
        (Some((index, _)), None) => Ok(index),
        (Some(_), Some(_)) => {
            bail!("--door {name}: the config has several doors of that name; rename one")
        }
        (None, _) => {
            const SHOWN: usize = 20;
            let names: Vec<&str> = config.doors.iter().map(|door| door.name.as_str()).collect();
            let listed = names[..names.len().min(SHOWN)].join(", ");
            let more = if names.len() > SHOWN { ", ..." } else { "" };
            bail!("--door {name}: the config has no such door; it has: {listed}{more}")
        }
    }
}

/// A door to be tried.
struct Trial {
    settings: Vec<Value>,
    is_today: bool,
    is_extra: bool,
    door: Arc<Door>,
}

/// Returns a trial for every combination of values, the last key's changing fastest, and one for
/// what the config has, at its place among them.
fn trials(config: &Config, index: usize, axes: &[Axis]) -> anyhow::Result<Vec<Trial>> {
    let door = &config.doors[index];
    let keys: Vec<Key> = axes.iter().map(|axis| axis.key).collect();
    let today: Vec<Value> = keys.iter().map(|key| key.value(door)).collect();
    let mut combinations: Vec<Vec<Value>> = vec![Vec::new()];
    for axis in axes {
        let extended = combinations.iter().flat_map(|combination| {
            axis.values.iter().map(|value| [combination.as_slice(), &[*value]].concat())
        });
        combinations = extended.collect();
    }
    let is_extra = !combinations.contains(&today);
    if is_extra {
        let place = combinations.partition_point(|settings| *settings < today);
        combinations.insert(place, today.clone());
    }
    let mut warnings = Vec::new();
    let trial = |settings: Vec<Value>| {
        let is_today = settings == today;
        let set: Vec<(Key, Value)> = keys.iter().copied().zip(settings.iter().copied()).collect();
        let door =
            if is_today { Arc::clone(door) } else { axis::door_with(door, &set, &mut warnings)? };
        Ok::<_, anyhow::Error>(Trial { settings, is_today, is_extra: is_today && is_extra, door })
    };
    let trials = combinations.into_iter().map(trial).collect::<anyhow::Result<_>>()?;
    axis::tell(&warnings);
    Ok(trials)
}

/// What the runs of a sweep have in common.
struct Work<'a> {
    args: &'a SweepArgs,
    config: &'a Config,
    index: usize,
    /// The local addresses that are given; none where the traces may tell.
    local: Vec<IpAddr>,
}

/// What came of all runs.
struct Runs {
    made: Vec<Made>,
    openings: Rc<RefCell<Openings>>,
    /// Of each opening, by its number, whether it is an accident.
    accidental: Vec<bool>,
}

impl Work<'_> {
    /// The most engines that work at a time.
    const AT_A_TIME: usize = 64;
    /// How many sources these remember together, each engine for itself, in some 100 bytes each.
    const MOST_SOURCES: usize = 1 << 21;
    /// The most openings that are kept of all runs together.
    const MOST_OPENINGS: usize = 1 << 26;

    fn traces(&self, files: &TraceFiles<'_>) -> anyhow::Result<(Traces<File>, Progress)> {
        let traces = files.traces(run::on_damage(self.args.input.resync))?;
        let progress = Progress::new(run::is_live(&traces));
        Ok((traces, progress))
    }

    /// Reads the traces for the sources that may open the door.
    fn knockers(&self, files: &TraceFiles<'_>, trials: &[Trial]) -> anyhow::Result<Knockers> {
        let (mut traces, mut progress) = self.traces(files)?;
        let found = Knockers::find(&mut traces, &mut progress, self.config, &[self.index]);
        progress.finish();
        let mut knockers = found?;
        // Without strays other packets concern the door, and so move its time.
        let has_strays = |trial: &Trial| trial.door.max_strays.is_some();
        knockers.suffice &=
            trials.windows(2).all(|pair| has_strays(&pair[0]) == has_strays(&pair[1]));
        Ok(knockers)
    }

    /// Runs all trials. Tells also whether the traces could be read to their end.
    fn run_all(
        &self,
        trials: Vec<Trial>,
        files: &TraceFiles<'_>,
        knockers: &Rc<Knockers>,
    ) -> anyhow::Result<(Runs, anyhow::Result<()>)> {
        let openings: Rc<RefCell<Openings>> = Rc::default();
        let mut scanners = Scanners::new(
            Rc::clone(&openings),
            Rc::clone(knockers),
            self.config,
            self.args.scanner.ports,
        );
        let mut made: Vec<Made> = Vec::with_capacity(trials.len());
        let mut outcome = Ok(());
        let at_a_time = (Self::MOST_SOURCES / knockers.load().max(1)).clamp(4, Self::AT_A_TIME);
        let mut trials = trials.into_iter().peekable();
        while trials.peek().is_some() {
            let some: Vec<Trial> = trials.by_ref().take(at_a_time).collect();
            let configs = some.iter().map(|trial| {
                let mut config = self.config.clone();
                config.doors[self.index] = Arc::clone(&trial.door);
                (config, Tally::new(&trial.door, self.index, &openings, knockers))
            });
            let mut fleet = Fleet::new(configs, &self.local);
            fleet.only(knockers, self.config);
            let (mut traces, mut progress) = self.traces(files)?;
            let read = fleet.read_beside(&mut traces, &mut progress, &mut scanners);
            progress.finish();
            scanners.rewind();
            if made.is_empty() {
                run::warn_of_endings(&traces);
                if !fleet.knows_addresses && self.args.format == PageFormat::Text {
                    PROGRAM.note(&run::ASSUMED_LOCAL);
                }
            }
            made.extend(some.into_iter().zip(fleet.into_observers()).map(|(trial, tally)| Made {
                settings: trial.settings,
                is_today: trial.is_today,
                is_extra: trial.is_extra,
                counts: tally.counts(),
                opened: tally.opened,
            }));
            let kept: usize = made.iter().map(|run| run.opened.len()).sum();
            if openings.borrow().overflowed || kept > Self::MOST_OPENINGS {
                bail!("more openings than can be compared: try fewer values, or fewer traces");
            }
            outcome = outcome.and(read);
        }
        let accidental = scanners.into_accidental();
        Ok((Runs { made, openings, accidental }, outcome))
    }
}
