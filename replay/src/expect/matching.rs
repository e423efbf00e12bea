//! What was expected against what happened.
//!
//! Each expectation is a condition of its own over all that happened: its events are those of its
//! door, source and window, and their number must be as it says. Besides, each event of a kind
//! that is exhaustive must be one of some expectation's.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use super::file::{Case, Expectation, is_one_address};
use super::seen::{CameTo, Happening, Seen};

/// The most times that a failure tells.
pub(super) const MOST_TIMES: usize = 3;

/// What was not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It came more or less often.
    Count {
        /// The index of the expectation.
        expectation: usize,
        got: Tally,
        /// How often it came outside of the window.
        elsewhere: Tally,
    },
    /// A door stayed open for longer or shorter.
    Stay {
        expectation: usize,
        /// The first time that it did.
        first: FirstStay,
        /// All that the expectation is about.
        all: Tally,
    },
    /// Something came that nobody expected.
    Unexpected { event: &'static str, door: Option<usize>, source: Option<IpAddr>, got: Tally },
}

/// An opening that was longer or shorter than expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FirstStay {
    pub(super) at: Duration,
    /// How long it was open; `None` where nothing ran, or nothing closes it.
    pub(super) stay: Option<Duration>,
    pub(super) came_to: CameTo,
    pub(super) source: Option<IpAddr>,
}

/// How often something came, when, and how long it stayed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) count: u64,
    /// The first times.
    pub(super) times: Vec<Duration>,
    /// The earliest and the latest time.
    pub(super) within: Option<(Duration, Duration)>,
    /// The shortest and the longest time that a door stayed open; `None` where one did not.
    pub(super) stay: Option<(Duration, Duration)>,
}

impl Tally {
    pub(super) fn note(&mut self, at: Duration, stay: Option<Duration>) {
        let widened = |range: Option<(Duration, Duration)>, by: Duration| {
            range.map_or((by, by), |(least, most)| (least.min(by), most.max(by)))
        };
        self.within = Some(widened(self.within, at));
        self.stay = match (self.count, self.stay, stay) {
            (0, _, Some(stay)) => Some((stay, stay)),
            (_, Some(range), Some(stay)) => Some(widened(Some(range), stay)),
            (_, _, None) | (_, None, _) => None,
        };
        self.count += 1;
        if self.times.len() < MOST_TIMES {
            self.times.push(at);
        }
    }
}

/// Compares a case with what happened; failures of expectations in their order, then the rest.
pub(super) fn compare(case: &Case, seen: &Seen) -> Vec<Failure> {
    let index = Index::new(&case.expect);
    let mut met: Vec<Met> = case.expect.iter().map(|_| Met::default()).collect();
    let mut unexpected = Unexpected::default();
    for happening in seen.happenings() {
        let (at, stay) = (seen.offset(happening.at), seen.stay(happening));
        let mut is_expected = false;
        for expectation in index.of(happening) {
            let (wants, met) = (&case.expect[expectation], &mut met[expectation]);
            if !is_about(wants, happening, seen) {
                continue;
            }
            if !is_within(wants, at) {
                met.elsewhere.note(at, stay);
                continue;
            }
            is_expected = true;
            met.got.note(at, stay);
            let is_as_long =
                wants.open.is_none_or(|wanted| stay.is_some_and(|stay| wanted.admits(stay)));
            if met.stay.is_none() && !is_as_long {
                let Happening { came_to, source, .. } = *happening;
                met.stay = Some(FirstStay { at, stay, came_to, source });
            }
        }
        if !is_expected && case.exhaustive.contains(&happening.event) {
            unexpected.note(happening, at, stay);
        }
    }
    let mut failures = Vec::new();
    for (expectation, (wants, met)) in case.expect.iter().zip(met).enumerate() {
        let Met { got, elsewhere, stay } = met;
        let all = got.clone();
        if !wants.count.admits(got.count) {
            failures.push(Failure::Count { expectation, got, elsewhere });
        }
        if let Some(first) = stay {
            failures.push(Failure::Stay { expectation, first, all });
        }
    }
    failures.extend(unexpected.groups);
    failures
}

/// What came of an expectation.
#[derive(Default)]
struct Met {
    got: Tally,
    elsewhere: Tally,
    /// The first opening that was too long or too short.
    stay: Option<FirstStay>,
}

pub(super) fn is_about(wants: &Expectation, happening: &Happening, seen: &Seen) -> bool {
    wants.event == happening.event
        && wants
            .door
            .as_ref()
            .is_none_or(|door| happening.door.is_some_and(|index| seen.door_name(index) == door.it))
        && wants
            .source
            .is_none_or(|source| happening.source.is_some_and(|address| source.contains(&address)))
}

fn is_within(wants: &Expectation, at: Duration) -> bool {
    wants.from.is_none_or(|from| at >= from) && wants.to.is_none_or(|to| at <= to)
}

/// Finds the expectations that an event can belong to without a look at all of them.
struct Index {
    /// Those of one source.
    exact: HashMap<(&'static str, IpAddr), Vec<usize>>,
    /// The others.
    general: Vec<usize>,
}

impl Index {
    fn new(expectations: &[Expectation]) -> Self {
        let mut index = Self { exact: HashMap::new(), general: Vec::new() };
        for (number, wants) in expectations.iter().enumerate() {
            match wants.source {
                Some(net) if is_one_address(net) => {
                    index.exact.entry((wants.event, net.addr())).or_default().push(number);
                }
                Some(_) | None => index.general.push(number),
            }
        }
        index
    }

    fn of(&self, happening: &Happening) -> impl Iterator<Item = usize> {
        let exact = happening.source.and_then(|it| self.exact.get(&(happening.event, it)));
        exact.into_iter().flatten().chain(&self.general).copied()
    }
}

/// What nobody expected, by event, door and source, in the order in which it came.
#[derive(Default)]
struct Unexpected {
    groups: Vec<Failure>,
    known: BTreeMap<(&'static str, Option<usize>, Option<IpAddr>), usize>,
}

impl Unexpected {
    fn note(&mut self, happening: &Happening, at: Duration, stay: Option<Duration>) {
        let Happening { event, door, source, .. } = *happening;
        let groups = &mut self.groups;
        let index = *self.known.entry((event, door, source)).or_insert_with(|| {
            let got = Tally::default();
            groups.push(Failure::Unexpected { event, door, source, got });
            groups.len() - 1
        });
        if let Some(Failure::Unexpected { got, .. }) = groups.get_mut(index) {
            got.note(at, stay);
        }
    }
}
