//! What the runs tell, put together.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;
use knock_engine::config::{Config, Door};

use super::spans::Spans;
use super::watch::{Habits, Pair, Watch};
use crate::openings::{Opening, Openings};

/// Everything that is told.
pub(super) struct Facts {
    pub(super) doors: Vec<DoorFacts>,
    /// Whether the traces were read to their end.
    pub(super) is_complete: bool,
}

/// What is told of a door.
pub(super) struct DoorFacts {
    /// Its place in the config.
    index: usize,
    pub(super) door: Arc<Door>,
    /// Attempts of whomever.
    pub(super) attempts: u64,
    /// Honest openings.
    pub(super) opens: u64,
    /// Openings by scanners.
    pub(super) accidental: u64,
    /// How the honest sources knock.
    pub(super) habits: Habits,
    /// How long whole knocks took, given enough time.
    pub(super) knocks: Spans,
    /// Honest knocks that took longer than `seq_timeout`.
    pub(super) slow: u64,
    /// Honest openings of today that a longer `seq_timeout` would break.
    pub(super) broken: u64,
    /// The `seq_timeout` that the traffic asks for; `None` without knocks.
    pub(super) asked_window: Option<Duration>,
    /// Of the slow ones, those that open with it; `None` where it is not longer than today's.
    pub(super) opens_when_asked: Option<u64>,
    /// The sources with the most knocks.
    pub(super) sources: Vec<(IpAddr, Habits)>,
    /// All sources that opened it honestly.
    pub(super) source_count: usize,
    slow_openings: Vec<Opening>,
}

impl DoorFacts {
    /// Returns the delay between knocks that the traffic asks for; `None` where none was overtaken.
    pub(super) fn asked_delay(&self) -> Option<Duration> {
        const STEP: u128 = 10_000_000;
        (self.habits.overtaken > 0).then(|| {
            let steps = (self.habits.longest_lag * 2).as_nanos().div_ceil(STEP).max(1);
            Duration::from_nanos(u64::try_from(steps * STEP).unwrap_or(u64::MAX))
        })
    }
}

impl Facts {
    /// Puts together what today's and the patient run tell.
    pub(super) fn of(
        config: &Config,
        [today, patient]: [Watch; 2],
        openings: &Openings,
        accidental: &[bool],
    ) -> Self {
        let is_honest = |number: &u32| {
            let accident = usize::try_from(*number).ok().and_then(|it| accidental.get(it));
            !accident.copied().unwrap_or(false)
        };
        let honest = |watch: &Watch| -> Vec<u32> {
            watch.opened.iter().copied().filter(is_honest).collect()
        };
        let (honest_today, honest_patient) = (honest(&today), honest(&patient));
        let slow = by_door(&openings.lost(&honest_patient, &today.opened), openings);
        let broken = by_door(&openings.lost(&honest_today, &patient.opened), openings);
        let all = by_door(&today.opened, openings);
        let opened = by_door(&honest_today, openings);
        let in_time = by_door(&honest_patient, openings);
        let all_honest = honest_today.iter().chain(&honest_patient);
        let pairs: HashSet<Pair, FixedState> = all_honest
            .filter_map(|number| openings.get(*number))
            .map(|opening| (opening.door, opening.source))
            .collect();
        let mut sources = sources(&pairs, &today, &patient);
        let doors = config.doors.iter().enumerate().map(|(index, door)| {
            let sources = sources.remove(&index).unwrap_or_default();
            let mut habits = Habits::default();
            sources.iter().for_each(|(_, its)| habits.add(its));
            let mut knocks = Spans::default();
            of_door(&in_time, index).iter().for_each(|it| knocks.add(it.took()));
            let is_slow = |opening: &Opening| opening.took() >= door.seq_timeout;
            let slow_openings: Vec<Opening> =
                of_door(&slow, index).iter().copied().filter(is_slow).collect();
            let opens = of_door(&opened, index).len();
            DoorFacts {
                index,
                door: Arc::clone(door),
                attempts: today.attempts[index],
                opens: opens as u64,
                accidental: (of_door(&all, index).len() - opens) as u64,
                slow: slow_openings.len() as u64,
                broken: of_door(&broken, index).len() as u64,
                asked_window: (knocks.number() > 0).then(|| whole_second_above(knocks.longest())),
                opens_when_asked: None,
                source_count: sources.len(),
                habits,
                knocks,
                sources,
                slow_openings,
            }
        });
        Self { doors: doors.collect(), is_complete: true }
    }

    /// Leaves out other doors, where some are named, and all but so many sources.
    pub(super) fn limited_to(mut self, names: &[String], top: usize) -> Self {
        self.doors.retain(|its| names.is_empty() || names.contains(&its.door.name));
        self.doors.iter_mut().for_each(|its| its.sources.truncate(top));
        self
    }

    /// Returns the doors for which a longer `seq_timeout` is asked, with it.
    pub(super) fn longer_windows(&self) -> Vec<(usize, Duration)> {
        let asking = self.doors.iter().filter(|its| its.slow > 0);
        asking.filter_map(|its| Some((its.index, its.asked_window?))).collect()
    }

    /// Notes what a run with these windows opened.
    pub(super) fn note_opens_when_asked(&mut self, watch: &Watch, openings: &Openings) {
        let mut opened: HashMap<Pair, Vec<&Opening>, FixedState> = HashMap::default();
        for opening in watch.opened.iter().filter_map(|number| openings.get(*number)) {
            opened.entry((opening.door, opening.source)).or_default().push(opening);
        }
        for door in self.doors.iter_mut().filter(|its| its.slow > 0) {
            let opens = |slow: &&Opening| {
                let now = opened.get(&(slow.door, slow.source)).map_or(&[][..], Vec::as_slice);
                now.iter().any(|now| slow.began <= now.at && now.at <= slow.at)
            };
            door.opens_when_asked = Some(door.slow_openings.iter().filter(opens).count() as u64);
        }
    }
}

/// Openings by the place of their door in the config.
type ByDoor = HashMap<usize, Vec<Opening>>;

fn by_door(numbers: &[u32], openings: &Openings) -> ByDoor {
    let mut by_door = ByDoor::new();
    for opening in numbers.iter().filter_map(|number| openings.get(*number)) {
        by_door.entry(opening.door).or_default().push(*opening);
    }
    by_door
}

fn of_door(by_door: &ByDoor, index: usize) -> &[Opening] {
    by_door.get(&index).map_or(&[], Vec::as_slice)
}

/// Returns the sources of each door, those with the most knocks first. What takes time comes from
/// the patient run, what came of it from today's.
fn sources(
    pairs: &HashSet<Pair, FixedState>,
    today: &Watch,
    patient: &Watch,
) -> HashMap<usize, Vec<(IpAddr, Habits)>> {
    let mut sources: HashMap<usize, Vec<(IpAddr, Habits)>> = HashMap::new();
    let none = Habits::default();
    for pair in pairs {
        let now = today.habits.get(pair).unwrap_or(&none);
        let given_time = patient.habits.get(pair).unwrap_or(&none);
        let habits = Habits {
            opens: now.opens,
            failed: now.failed,
            repeats: now.repeats,
            duplicates: now.duplicates,
            ..given_time.clone()
        };
        sources.entry(pair.0).or_default().push((pair.1, habits));
    }
    for of_door in sources.values_mut() {
        let knocks = |habits: &Habits| habits.gaps.number() + habits.opens;
        of_door
            .sort_by(|(a, its), (b, other)| knocks(other).cmp(&knocks(its)).then_with(|| a.cmp(b)));
    }
    sources
}

fn whole_second_above(span: Duration) -> Duration {
    Duration::from_secs(span.as_secs().saturating_add(1))
}
