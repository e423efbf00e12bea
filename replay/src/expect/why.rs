//! Why it came otherwise than expected: the attempts as `run` tells them, and where none began, the
//! sentence that `explain` has for it.

use std::cell::RefCell;
use std::io::{self, Write};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use ipnet::IpNet;
use knock_engine::config::Door;
use knock_engine::local::LocalAddresses;
use knock_engine::output::{Action, Event, Output};
use knock_engine::packet::Packet;
use knock_engine::time::Timestamp;

use super::file::{Case, is_one_address};
use super::matching::Failure;
use super::seen::Seen;
use super::stage::{Played, Stage, Warnings};
use crate::explain::{self, Feed};
use crate::report::block::wrap;
use crate::report::style::Palette;
use crate::report::{Command, Doors, Origin, Pace, Report, Text, TextOptions, Totals};

/// The most failures of a case that are explained.
pub(super) const MOST: usize = 8;
/// The most lines of an explanation.
const MOST_LINES: usize = 24;

/// Explains the first failures of a case, in their order. What can't be explained is empty.
///
/// # Errors
///
/// A capture can't be read once more.
pub(super) fn explain(
    stage: &Stage,
    case: &Case,
    seen: &Seen,
    failures: &[Failure],
    (palette, width): (&Palette, usize),
) -> anyhow::Result<Vec<String>> {
    let questions = failures.iter().take(MOST).map(|it| Question::of(it, case, seen));
    let questions: Vec<Question> = questions.collect();
    if questions.is_empty() {
        return Ok(Vec::new());
    }
    let doors = Doors::new(&stage.config.doors);
    let (names, local) = match &stage.traffic {
        Played::Captures { paths, .. } => {
            let names = paths.iter().map(|path| path.to_string_lossy().into_owned());
            (names.collect(), stage.local(&stage.traces()?).0)
        }
        Played::Knocks { lines, .. } => (lines.clone(), stage.local.clone()),
    };
    let mut answers = Vec::new();
    let mut pages = Vec::new();
    for question in &questions {
        let page = Page::default();
        let options = TextOptions {
            palette: palette.clone(),
            width,
            pace: Pace::Recorded,
            local: local.clone(),
            explain: String::new(),
        };
        let text = Text::new(page.clone(), &names, doors.clone(), options);
        answers.push((question.clone(), text));
        pages.push(page);
    }
    stage.run(&doors, Box::new(Inquiry { answers }), Warnings::Hidden)?;
    let mut told: Vec<String> = pages.iter().map(Page::text).collect();
    let mut asked = Vec::new();
    let mut known: Option<Vec<IpAddr>> = None;
    for (index, question) in
        questions.iter().enumerate().filter(|(index, _)| told[*index].is_empty())
    {
        let Some(door) = question.one_door(&stage.config.doors) else { continue };
        if known.is_none() {
            known = Some(tried(stage, &local)?);
        }
        let sources = question.sources(known.as_deref().unwrap_or_default());
        asked.extend(sources.into_iter().map(|source| (index, (source, door))));
    }
    for (index, (source, _), sentence) in sentences(stage, local, &asked)? {
        if !told[index].is_empty() {
            told[index].push('\n');
        }
        // What is an option there is a key here.
        let sentence = sentence.replace("--local", "local");
        let head = source.to_string();
        let indent = head.chars().count() + 2;
        let lines = wrap(&sentence, width.saturating_sub(indent).max(30));
        let lines = lines.join(&format!("\n{:indent$}", ""));
        told[index].push_str(&format!("{head}  {lines}"));
    }
    Ok(told)
}

/// Asks for the sentences about sources and doors.
fn sentences(
    stage: &Stage,
    local: LocalAddresses,
    asked: &[(usize, explain::Asked)],
) -> anyhow::Result<Vec<(usize, explain::Asked, String)>> {
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let pairs: Vec<explain::Asked> = asked.iter().map(|(_, pair)| *pair).collect();
    let config = stage.config.clone();
    let told = match &stage.traffic {
        Played::Captures { .. } => {
            let takes_addresses = stage.local == LocalAddresses::Unknown;
            let mut traces = stage.traces()?;
            explain::tell(config, local, &pairs, Feed::Traces(&mut traces, takes_addresses))?
        }
        Played::Knocks { packets, .. } => {
            explain::tell(config, local, &pairs, Feed::Packets(packets))?
        }
    };
    let told = asked.iter().zip(told).map(|((index, pair), sentence)| (*index, *pair, sentence));
    Ok(told.collect())
}

/// Whose attempts explain a failure.
#[derive(Clone, Debug)]
struct Question {
    door: Option<String>,
    source: Option<IpNet>,
}

impl Question {
    fn of(failure: &Failure, case: &Case, seen: &Seen) -> Self {
        match failure {
            Failure::Count { expectation, .. } | Failure::Stay { expectation, .. } => {
                let wants = &case.expect[*expectation];
                let door = wants.door.as_ref().map(|door| door.it.clone());
                let source = match failure {
                    Failure::Stay { first, .. } => first.source.map(IpNet::from),
                    Failure::Count { .. } | Failure::Unexpected { .. } => None,
                };
                Self { door, source: source.or(wants.source) }
            }
            Failure::Unexpected { door, source, .. } => Self {
                door: door.map(|door| seen.door_name(door).to_owned()),
                source: source.map(IpNet::from),
            },
        }
    }

    fn is_about(&self, door: &str, source: Option<IpAddr>) -> bool {
        self.door.as_ref().is_none_or(|its| its == door)
            && self.source.is_none_or(|net| source.is_some_and(|source| net.contains(&source)))
    }

    /// Returns the one door that it is about.
    fn one_door(&self, doors: &[Arc<Door>]) -> Option<usize> {
        match &self.door {
            Some(name) => doors.iter().position(|door| door.name == *name),
            None => (doors.len() == 1).then_some(0),
        }
    }

    /// Returns the sources that it is about; where that can be any, the first of those that tried.
    fn sources(&self, tried: &[IpAddr]) -> Vec<IpAddr> {
        const MOST: usize = 3;
        match self.source {
            Some(net) if is_one_address(net) => vec![net.addr()],
            net => {
                let is_meant = |source: &&IpAddr| net.is_none_or(|net| net.contains(*source));
                tried.iter().filter(is_meant).take(MOST).copied().collect()
            }
        }
    }
}

/// Returns the sources that sent something to a knock port; those that touched most of them first.
fn tried(stage: &Stage, local: &LocalAddresses) -> anyhow::Result<Vec<IpAddr>> {
    match &stage.traffic {
        Played::Captures { .. } => {
            Ok(explain::tried(&stage.config, local, Feed::Traces(&mut stage.traces()?, false)))
        }
        Played::Knocks { packets, .. } => {
            Ok(explain::tried(&stage.config, local, Feed::Packets(packets)))
        }
    }
}

/// Tells each of several questions what it is about.
struct Inquiry {
    answers: Vec<(Question, Text<Page>)>,
}

impl Report for Inquiry {
    fn output(&mut self, output: &Output, origin: Option<Origin>) -> io::Result<()> {
        for (question, text) in &mut self.answers {
            let is_asked = match output {
                Output::Event(Event::ClockStep { .. }) => true,
                Output::Event(Event::Disabled { door, .. }) => question.is_about(&door.name, None),
                Output::Event(Event::Door(event)) => {
                    question.is_about(&event.door.name, Some(event.source))
                }
                // Whoever used up a line, the next one is the sequence from then on.
                Output::Action(Action::Consume { .. }) => true,
                Output::Action(
                    Action::Start { door, source, .. }
                    | Action::Renew { door, source, .. }
                    | Action::Stop { door, source, .. },
                ) => question.is_about(&door.name, Some(*source)),
            };
            if is_asked {
                text.output(output, origin)?;
            }
        }
        Ok(())
    }

    fn packet(&mut self, packet: &Packet, at: Timestamp, origin: Origin) -> io::Result<()> {
        for (question, text) in &mut self.answers {
            if question.source.is_none_or(|net| net.contains(&packet.source)) {
                text.packet(packet, at, origin)?;
            }
        }
        Ok(())
    }

    fn command(&mut self, _command: &Command<'_>) -> io::Result<()> {
        Ok(())
    }

    fn local_addresses(&mut self, local: &LocalAddresses) {
        self.answers.iter_mut().for_each(|(_, text)| text.local_addresses(local));
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self, _totals: &Totals) -> io::Result<()> {
        self.answers.iter_mut().try_for_each(|(_, text)| text.finish_without_totals())
    }
}

/// The beginning of a text, shared with whoever writes it.
#[derive(Clone, Debug, Default)]
struct Page(Rc<RefCell<Vec<u8>>>);

impl Page {
    /// Far more than the lines that are shown.
    const MOST_BYTES: usize = 1 << 16;
    /// How a text of knocks that were written out begins: their time begins at 0.
    const EPOCH: &str = "1970-01-01, times in UTC\n\n";

    fn text(&self) -> String {
        let bytes = self.0.borrow();
        let text = String::from_utf8_lossy(&bytes);
        let text = text.strip_prefix(Self::EPOCH).unwrap_or(&text);
        let mut lines: Vec<&str> = text.lines().take(MOST_LINES).collect();
        if text.lines().nth(MOST_LINES).is_some() {
            lines.push("...");
        }
        lines.join("\n").trim_end().to_owned()
    }
}

impl Write for Page {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let mut bytes = self.0.borrow_mut();
        let room = Self::MOST_BYTES.saturating_sub(bytes.len()).min(text.len());
        bytes.extend_from_slice(&text[..room]);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
