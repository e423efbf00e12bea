//! What should happen, by the naive reference model, beside what does.
//!
//! Where the table of attempts is large, each source has a reference model of its own that hears of
//! nobody else: so what comes out is not only right, it is also the same whatever others send (S6).
//! Where the table is small, or a door has one-time sequences, sources do influence each other, by
//! the rules (S12, S14): there one model hears everybody.

use std::collections::BTreeMap;
use std::net::IpAddr;

use knock_engine::config::{Config, Sequences};
use knock_engine::local::LocalAddresses;
use knock_engine::output::{Action, DoorEvent, Event, EventKind, Output};
use knock_engine::packet::Packet;
use knock_engine::time::Timestamp;
use knock_reference::Reference;
use knockd::log::Subject;

/// A packet that the daemon was given, and when.
pub type Given = (Packet, Timestamp);

/// A completed knock that a start has not run for yet, and the one-time line that it used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credit {
    /// The path of the door's file and the line's number.
    pub line: Option<(String, usize)>,
}

/// The models, for one life of the daemon.
pub struct Oracle {
    config: Config,
    local: LocalAddresses,
    models: Models,
    /// What completed knocks have earned.
    credits: BTreeMap<Subject, Vec<Credit>>,
    expected: Vec<Event>,
}

enum Models {
    /// One for all.
    Whole(Box<Reference>),
    /// One for each of these sources; of others nothing is expected but that they open nothing.
    Each(BTreeMap<IpAddr, Reference>),
}

impl Oracle {
    /// Makes models for a daemon that begins with a config.
    #[must_use]
    pub fn new(config: &Config, local: &LocalAddresses, sources: Option<&[IpAddr]>) -> Self {
        let model = || Reference::new(config.clone(), local.clone());
        let models = match sources {
            None => Models::Whole(Box::new(model())),
            Some(sources) => {
                Models::Each(sources.iter().map(|source| (*source, model())).collect())
            }
        };
        Self {
            config: config.clone(),
            local: local.clone(),
            models,
            credits: BTreeMap::new(),
            expected: Vec::new(),
        }
    }

    /// Tells whether packets of this source are to be told.
    #[must_use]
    pub fn minds(&self, source: IpAddr) -> bool {
        match &self.models {
            Models::Whole(_) => true,
            Models::Each(models) => models.contains_key(&source),
        }
    }

    /// Has one more source watched.
    pub fn watch(&mut self, source: IpAddr) {
        if let Models::Each(models) = &mut self.models {
            let model = || Reference::new(self.config.clone(), self.local.clone());
            models.entry(source).or_insert_with(model);
        }
    }

    /// Tells of what the daemon heard in a turn, and up to when it had heard everything.
    pub fn hear(&mut self, given: &[Given], woken: Option<Timestamp>) {
        let Self { models, credits, expected, .. } = self;
        let mut take = |model: &mut Reference| take(model, credits, expected);
        match models {
            Models::Whole(model) => {
                for (packet, at) in given {
                    model.handle_packet(packet, *at);
                    take(model);
                }
                if let Some(now) = woken {
                    model.handle_timeout(now);
                    take(model);
                }
            }
            Models::Each(models) => {
                for (packet, at) in given {
                    let Some(model) = models.get_mut(&packet.source) else { continue };
                    model.handle_packet(packet, *at);
                    take(model);
                }
                let Some(now) = woken else { return };
                for model in models.values_mut() {
                    if model.poll_timeout().is_some_and(|deadline| deadline.at <= now) {
                        model.handle_timeout(now);
                        take(model);
                    }
                }
            }
        }
    }

    /// Tells of a new config.
    pub fn reload(&mut self, config: &Config, now: Timestamp) {
        let Self { models, credits, expected, .. } = self;
        let models: Vec<&mut Reference> = match models {
            Models::Whole(model) => vec![model],
            Models::Each(models) => models.values_mut().collect(),
        };
        for model in models {
            model.handle_config(config.clone(), now);
            take(model, credits, expected);
        }
        self.config = config.clone();
    }

    /// Compares the events that the daemon has told since the last comparison with what should have
    /// been. One that died may have told only the first of them.
    ///
    /// # Errors
    ///
    /// They differ.
    pub fn compare(&mut self, told: &[Event], has_died: bool) -> Result<(), String> {
        let expected = std::mem::take(&mut self.expected);
        match &self.models {
            Models::Whole(_) => compare(expected.iter(), told.iter(), has_died),
            Models::Each(models) => {
                for event in told {
                    let Event::Door(event) = event else {
                        return Err(format!("unexpected: {event:?}"));
                    };
                    let is_strange = !models.contains_key(&event.source);
                    if is_strange && event.kind == EventKind::Open {
                        return Err(format!("opened for somebody who never knocked: {event:?}"));
                    }
                }
                // Nearly all turns concern nobody or one source, so there is no need of an index.
                let of = |event: &Event| match event {
                    Event::Door(event) => Some(event.source),
                    Event::ClockStep { .. } | Event::Disabled { .. } => None,
                };
                for source in models.keys() {
                    let is_its = |event: &&Event| of(event) == Some(*source);
                    let (expected, told) =
                        (expected.iter().filter(is_its), told.iter().filter(is_its));
                    compare(expected, told, has_died)?;
                }
                Ok(())
            }
        }
    }

    /// Takes a completed knock that has earned a start.
    ///
    /// # Errors
    ///
    /// There is none that `accepts` lets through.
    pub fn spend(
        &mut self,
        subject: &Subject,
        accepts: impl Fn(&Credit) -> bool,
    ) -> Result<Credit, String> {
        let credits = self.credits.entry(subject.clone()).or_default();
        match credits.iter().position(accepts) {
            Some(at) => Ok(credits.remove(at)),
            None => Err(format!(
                "a start for {subject:?}, which no completed knock has earned (left: {credits:?})"
            )),
        }
    }
}

/// Takes what a model says.
fn take(
    model: &mut Reference,
    credits: &mut BTreeMap<Subject, Vec<Credit>>,
    expected: &mut Vec<Event>,
) {
    // The line that the completion has used, whose action comes next.
    let mut consumed = None;
    while let Some(output) = model.poll_output() {
        let (door, source) = match output {
            Output::Event(event) => {
                expected.push(event);
                continue;
            }
            Output::Action(Action::Consume { door, line, .. }) => {
                let Sequences::OneTime { path, .. } = &door.sequences else { continue };
                consumed = Some((path.clone(), line));
                continue;
            }
            Output::Action(
                Action::Start { door, source, .. } | Action::Renew { door, source, .. },
            ) => (door, source),
            Output::Action(Action::Stop { .. }) => continue,
        };
        let subject = Subject { door: door.name.clone(), source };
        credits.entry(subject).or_default().push(Credit { line: consumed.take() });
    }
}

fn compare<'a>(
    mut expected: impl Iterator<Item = &'a Event>,
    mut told: impl Iterator<Item = &'a Event>,
    has_died: bool,
) -> Result<(), String> {
    loop {
        match (expected.next(), told.next()) {
            (None, None) => return Ok(()),
            (Some(_), None) if has_died => return Ok(()),
            (Some(expected), Some(told)) if is_same(expected, told) => {}
            (expected, told) => {
                return Err(format!(
                    "the daemon differs from the reference model:\n  expected {}\n  told     {}",
                    name(expected),
                    name(told)
                ));
            }
        }
    }
}

/// Tells whether two events say the same. Their doors may be other copies.
#[must_use]
pub fn is_same(one: &Event, other: &Event) -> bool {
    let parts =
        |event: &DoorEvent| (event.at, event.source, event.kind, event.trigger, event.progress);
    match (one, other) {
        (Event::Door(one), Event::Door(other)) => {
            parts(one) == parts(other) && one.door.name == other.door.name
        }
        (Event::Disabled { at, door }, Event::Disabled { at: other_at, door: other }) => {
            at == other_at && door.name == other.name
        }
        (Event::ClockStep { at, from }, Event::ClockStep { at: other_at, from: other }) => {
            at == other_at && from == other
        }
        (Event::Door(_) | Event::Disabled { .. } | Event::ClockStep { .. }, _) => false,
    }
}

/// Returns an event in a few words.
#[must_use]
pub fn name(event: Option<&Event>) -> String {
    match event {
        None => "nothing".to_owned(),
        Some(Event::Door(event)) => {
            let stage = event.progress.map_or(0, |progress| progress.stage);
            let (at, door, source) = (event.at, &event.door.name, event.source);
            format!("{at} {} {door} {source} stage {stage}", event.kind.name())
        }
        Some(other) => format!("{other:?}"),
    }
}
