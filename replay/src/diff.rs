//! `knock-replay diff`: what a change of the config changes.
//!
//! One part needs no traffic: doors and settings that differ, and sequences that now stand in each
//! other's way. For the other one the same packets go through both configs; what differs is told
//! opening by opening, with what became of the knock on the other side. The traces are read once to
//! find the differences, and once more, where there are any, to explain them.

mod args;
mod detail;
mod jsonl;
mod obstacle;
mod openings;
mod original;
mod other_ports;
mod page;
mod settings;

use std::fs::File;

use anyhow::bail;
use knock_engine::config::Config;

pub use self::args::DiffArgs;
use self::detail::{Detail, Details};
use self::openings::{Opening, Openings};
use self::other_ports::OtherPorts;
use self::settings::Settings;
use crate::PROGRAM;
use crate::cli::{DecideAs, PageFormat};
use crate::fleet::Fleet;
use crate::run::progress::Progress;
use crate::run::trace_files::TraceFiles;
use crate::run::{self, OutputError};
use crate::trace::Traces;

/// Tells what differs, and whether anything does.
///
/// # Errors
///
/// A config can't be used, a trace can't be read to its end (what differs before that place has been
/// told then), or the report can't be written.
pub fn diff(args: &DiffArgs) -> anyhow::Result<bool> {
    let sides = Sides::load(args)?;
    let settings = Settings::compare(sides.old_config(), &sides.new);
    let mut report = Report { settings, traffic: None, is_whole: true };
    let mut read = Ok(());
    if !args.traces.is_empty() {
        let files = TraceFiles::open(&args.traces, true)?;
        let (traffic, result) = Traffic::compare(&sides, &files, args)?;
        report.traffic = Some(traffic);
        report.is_whole = result.is_ok();
        read = result;
    }
    let text = match args.format {
        PageFormat::Text => page::print(&report, run::palette(args.look.color), args),
        PageFormat::Jsonl => jsonl::print(&report, args)?,
    };
    run::write_out(text.as_bytes()).map_err(OutputError::from)?;
    read?;
    Ok(report.differs())
}

/// What the two configs are.
struct Sides {
    old: Old,
    new: Config,
}

enum Old {
    Sesame(Config),
    /// knockd 0.8, and what this project's parser makes of the same file, if it takes it.
    Knockd08(original::Original, Option<Config>),
}

impl Sides {
    fn load(args: &DiffArgs) -> anyhow::Result<Self> {
        let strictness = run::strictness(args.strict);
        let old = match args.old_as {
            DecideAs::Sesame => Old::Sesame(run::load_config(&args.old, strictness)?),
            DecideAs::Knockd08 => {
                let original = original::Original::load(&args.old)?;
                Old::Knockd08(original, original::as_ours(&args.old))
            }
        };
        Ok(Self { old, new: run::load_config(&args.new, strictness)? })
    }

    fn old_config(&self) -> Option<&Config> {
        match &self.old {
            Old::Sesame(config) => Some(config),
            Old::Knockd08(_, config) => config.as_ref(),
        }
    }
}

/// Everything that differs.
struct Report {
    settings: Settings,
    /// `None` where there was no traffic to compare by.
    traffic: Option<Traffic>,
    /// Whether all traces were read to their end.
    is_whole: bool,
}

impl Report {
    fn differs(&self) -> bool {
        let traffic = self.traffic.as_ref().is_some_and(|its| !its.differences.is_empty());
        self.settings.differ() || traffic
    }
}

/// What the same packets came to.
struct Traffic {
    /// How often doors opened, before and now.
    openings: (usize, usize),
    differences: Vec<Difference>,
    /// How many differences are not explained, because there are so many.
    unexplained: usize,
    names: Vec<String>,
}

/// An opening that is not the same on both sides.
#[derive(Clone, Debug)]
struct Difference {
    change: Change,
    opening: Opening,
    /// What the opening came to on the other side.
    other: Option<Opening>,
    detail: Detail,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// It opened, and no longer does.
    Lost,
    /// It opens now.
    Gained,
    /// It opens as before, but what comes of it differs.
    Altered,
}

/// The most differences that are explained.
const MOST_EXPLAINED: usize = 1_000;

impl Traffic {
    fn compare(
        sides: &Sides,
        files: &TraceFiles<'_>,
        args: &DiffArgs,
    ) -> anyhow::Result<(Self, anyhow::Result<()>)> {
        let on_damage = run::on_damage(args.resync);
        let mut traces = files.traces(on_damage)?;
        let (old, new, knows_addresses, read) = sides.openings(&mut traces, files, args)?;
        run::warn_of_endings(&traces);
        let openings = (old.len(), new.len());
        let mut differences = pair(old, new);
        let explained = differences.len().min(MOST_EXPLAINED);
        if explained > 0 {
            let (explain, _) = differences.split_at_mut(explained);
            sides.explain(explain, files, args)?;
        }
        if args.format == PageFormat::Text && !knows_addresses {
            PROGRAM.note(&run::ASSUMED_LOCAL);
        }
        let unexplained = differences.len() - explained;
        let names = run::names(&traces);
        Ok((Self { openings, differences, unexplained, names }, read))
    }
}

type Found = (Vec<Opening>, Vec<Opening>, bool, anyhow::Result<()>);

impl Sides {
    /// Reads the traces and returns what opens on each side.
    fn openings(
        &self,
        traces: &mut Traces<File>,
        files: &TraceFiles<'_>,
        args: &DiffArgs,
    ) -> anyhow::Result<Found> {
        let mut progress = Progress::new(run::is_live(traces));
        let configs = match &self.old {
            Old::Sesame(old) => vec![old, &self.new],
            Old::Knockd08(..) => vec![&self.new],
        };
        let configs = configs.into_iter().map(|its| (its.clone(), Openings::default()));
        let mut fleet = Fleet::new(configs, &args.local);
        let read = fleet.read(traces, &mut progress);
        progress.finish();
        let knows_addresses = fleet.knows_addresses;
        let mut observers = fleet.into_observers();
        let new = observers.pop().map(Openings::into_all).unwrap_or_default();
        let old = match &self.old {
            Old::Sesame(_) => observers.pop().map(Openings::into_all).unwrap_or_default(),
            Old::Knockd08(original, _) => {
                let mut again = files.traces(run::on_damage(args.resync))?;
                original.openings(&mut again, &args.local)?
            }
        };
        Ok((old, new, knows_addresses, read))
    }

    /// Reads the traces again and finds out what became of each knock on the other side.
    fn explain(
        &self,
        differences: &mut [Difference],
        files: &TraceFiles<'_>,
        args: &DiffArgs,
    ) -> anyhow::Result<()> {
        let on_damage = run::on_damage(args.resync);
        let mut traces = files.traces(on_damage)?;
        let mut progress = Progress::new(run::is_live(&traces));
        let configs = match &self.old {
            Old::Sesame(old) => vec![old, &self.new],
            Old::Knockd08(..) => vec![&self.new],
        };
        let known: Vec<&Config> = self.old_config().into_iter().chain([&self.new]).collect();
        let mut ports = OtherPorts::new(&known, differences);
        let configs = configs.into_iter().map(|its| (its.clone(), Details::new(its, differences)));
        let mut fleet = Fleet::new(configs, &args.local);
        // Where reading ends early, the first reading has told why.
        let _ = fleet.read_beside(&mut traces, &mut progress, &mut ports);
        progress.finish();
        let mut observers = fleet.into_observers();
        let Some(new) = observers.pop() else { bail!("no config to explain by") };
        let old = match (&self.old, observers.pop()) {
            (Old::Knockd08(original, _), _) => {
                let mut again = files.traces(on_damage)?;
                original.details(&mut again, &args.local, differences)?
            }
            (Old::Sesame(_), Some(old)) => old,
            (Old::Sesame(_), None) => bail!("no config to explain by"),
        };
        detail::fill(differences, (&old, &new), &ports);
        Ok(())
    }
}

/// Pairs the openings of both sides: the same door, source and packet are the same opening.
fn pair(old: Vec<Opening>, new: Vec<Opening>) -> Vec<Difference> {
    let mut ours: std::collections::HashMap<_, Opening> =
        new.into_iter().map(|opening| (opening.key(), opening)).collect();
    let difference =
        |change, opening, other| Difference { change, opening, other, detail: Detail::default() };
    let mut differences = Vec::new();
    for opening in old {
        match ours.remove(&opening.key()) {
            None => differences.push(difference(Change::Lost, opening, None)),
            Some(now) if now.comes_to_the_same(&opening) => {}
            Some(now) => differences.push(difference(Change::Altered, now, Some(opening))),
        }
    }
    differences.extend(ours.into_values().map(|now| difference(Change::Gained, now, None)));
    differences.sort_by(|a, b| {
        let order = |its: &Difference| (its.opening.at, its.opening.origin.frame);
        order(a).cmp(&order(b)).then_with(|| a.opening.door.cmp(&b.opening.door))
    });
    differences
}
