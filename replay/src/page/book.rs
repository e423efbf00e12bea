//! What the page tells, as it piles up: attempts that ended, and the words that they share.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::ops::Range;

use foldhash::fast::FixedState;
use knock_engine::config::Door;
use knock_engine::time::Timestamp;

use super::trial::{Outcome, Row, Trial};
use crate::explain::{self, Case, FailureKind, Mood};
use crate::report::advice;

/// Texts, each kept once under a number.
#[derive(Debug, Default)]
pub(super) struct Texts {
    numbers: HashMap<String, usize, FixedState>,
    all: Vec<String>,
}

impl Texts {
    pub(super) fn number(&mut self, text: &str) -> usize {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.all.len();
        self.numbers.insert(text.to_owned(), number);
        self.all.push(text.to_owned());
        number
    }

    pub(super) fn get(&self, number: usize) -> &str {
        self.all.get(number).map_or("", String::as_str)
    }

    pub(super) fn all(&self) -> &[String] {
        &self.all
    }
}

/// Why an attempt is a near miss, the nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Near {
    /// The missing knock came after the window had closed.
    Late,
    /// The missing knock came by the wrong protocol or with the wrong flags.
    Wrong,
    /// The missing knock came behind the next one.
    Overtaken,
    /// Only the last knock was missing.
    OneShort,
    /// Two knock ports or more, and no attempt began.
    NeverBegan,
    /// It opened, with less than a tenth of the window left.
    CloseCall,
}

impl Near {
    pub(super) const ALL: [Self; 6] = [
        Self::Late,
        Self::Wrong,
        Self::Overtaken,
        Self::OneShort,
        Self::NeverBegan,
        Self::CloseCall,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Late => "too late",
            Self::Wrong => "wrong kind of knock",
            Self::Overtaken => "overtaken",
            Self::OneShort => "one knock short",
            Self::NeverBegan => "never began",
            Self::CloseCall => "close call",
        }
    }
}

/// A near miss: why, by how much in nanoseconds, and what is said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NearMiss {
    pub(super) near: Near,
    pub(super) amount: u128,
    pub(super) said: usize,
}

/// An attempt that ended, or packets that began none.
#[derive(Clone, Debug)]
pub(super) struct Record {
    serial: u64,
    pub(super) source: IpAddr,
    pub(super) door: usize,
    pub(super) began: Timestamp,
    pub(super) ended: Timestamp,
    pub(super) outcome: Outcome,
    pub(super) said: usize,
    pub(super) rows: Range<usize>,
    pub(super) unlisted: u64,
    pub(super) near: Option<NearMiss>,
}

/// A time in which a door was open for a source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lease {
    pub(super) source: IpAddr,
    pub(super) door: usize,
    pub(super) from: Timestamp,
    /// `None` where nothing closes it.
    pub(super) until: Option<Timestamp>,
}

/// Something that concerns more than one source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) at: Timestamp,
    /// `clock_step` or `disabled`.
    pub(super) word: &'static str,
    pub(super) door: Option<usize>,
}

/// All that the page tells.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) words: Texts,
    pub(super) packets: Texts,
    pub(super) said: Texts,
    records: Vec<Record>,
    rows: Vec<Row>,
    pub(super) leases: Vec<Lease>,
    pub(super) marks: Vec<Mark>,
    plain: usize,
    omitted: BTreeMap<(usize, Outcome), u64>,
}

impl Book {
    /// The most attempts that the page has row by row; more are counted only.
    const MAX_RECORDS: usize = 300_000;
    /// How many of them may be single packets that came to nothing, so that a flood leaves room.
    const MAX_PLAIN: usize = 150_000;
    /// The most leases and marks.
    pub(super) const MAX_OTHERS: usize = 300_000;

    /// Takes in an attempt about which nothing more can become known.
    pub(super) fn take(&mut self, (source, door): (IpAddr, usize), settings: &Door, trial: Trial) {
        let is_plain = trial.is_plain();
        let is_full =
            self.records.len() >= Self::MAX_RECORDS || is_plain && self.plain >= Self::MAX_PLAIN;
        if is_full {
            *self.omitted.entry((door, trial.outcome)).or_default() += 1;
            return;
        }
        self.plain += usize::from(is_plain);
        let said = self.say(source, settings, &trial);
        let near = self.near(settings, &trial, said);
        let first = self.rows.len();
        self.rows.extend(trial.rows);
        self.records.push(Record {
            serial: trial.serial,
            source,
            door,
            began: trial.began,
            ended: trial.ended,
            outcome: trial.outcome,
            said,
            rows: first..self.rows.len(),
            unlisted: trial.unlisted,
            near,
        });
    }

    /// Finds the sentence about an attempt.
    fn say(&mut self, source: IpAddr, door: &Door, trial: &Trial) -> usize {
        let sequence = explain::sequence(door, trial.used_lines);
        let case = Case { source, door, sequence, story: Some(&trial.story) };
        let (mood, told) = explain::sentence(&case);
        let told = match (trial.outcome, mood) {
            (Outcome::Unfinished, _) => {
                let (stage, of) = trial.progress;
                format!("went on with {stage} of {of} knocks where the recording ends")
            }
            (_, Mood::Nothing) => format!("began no attempt: {}", self.words_of(trial)),
            (_, Mood::Opened | Mood::Failed) => told,
        };
        self.said.number(&told)
    }

    /// Lists the verdicts of an attempt, each once.
    fn words_of(&self, trial: &Trial) -> String {
        const MOST: usize = 3;
        let mut words: Vec<&str> = Vec::new();
        for word in trial.rows.iter().map(|row| self.words.get(row.words)) {
            if words.len() < MOST && !words.contains(&word) {
                words.push(word);
            }
        }
        words.join(", ")
    }

    /// Tells whether an attempt was a near miss.
    fn near(&mut self, door: &Door, trial: &Trial, said: usize) -> Option<NearMiss> {
        let (stage, of) = trial.progress;
        let new = |near, amount| Some(NearMiss { near, amount, said });
        if let Some(margin) = trial.margin {
            let told = advice::close_call(margin, door.seq_timeout).filter(|_| of > 1)?;
            let said = self.said.number(&told);
            return Some(NearMiss { near: Near::CloseCall, amount: margin.as_nanos(), said });
        }
        if trial.outcome == Outcome::None {
            return if trial.ports.len() > 1 { new(Near::NeverBegan, 0) } else { None };
        }
        let failure = trial.story.failure.as_ref()?;
        if let (Some(knock), Some((_, packet))) = (failure.expected, failure.came_wrong)
            && knock.port.get() == packet.destination_port
        {
            return new(Near::Wrong, 0);
        }
        match (failure.kind, failure.came_after) {
            (FailureKind::TimedOut, Some(lag)) => new(Near::Late, lag.as_nanos()),
            (FailureKind::OutOfOrder { .. }, Some(lag)) => new(Near::Overtaken, lag.as_nanos()),
            (FailureKind::Strays | FailureKind::SequenceUsed, _) => None,
            _ if of > 2 && stage + 1 == of => new(Near::OneShort, 0),
            _ => None,
        }
    }

    /// Puts what was taken in into the order in which it began.
    pub(super) fn sort(&mut self) {
        self.records.sort_by_key(|record| (record.began, record.serial));
    }

    pub(super) fn records(&self) -> &[Record] {
        &self.records
    }

    pub(super) fn rows(&self, record: &Record) -> &[Row] {
        self.rows.get(record.rows.clone()).unwrap_or_default()
    }

    /// Returns how many attempts at which doors were only counted, by outcome.
    pub(super) fn omitted(&self) -> impl Iterator<Item = (usize, Outcome, u64)> {
        self.omitted.iter().map(|((door, outcome), count)| (*door, *outcome, *count))
    }
}

#[cfg(test)]
mod tests {
    use knock_engine::config;

    use super::*;

    #[test]
    fn what_is_too_much_is_counted_and_a_flood_leaves_room() {
        let parsed = config::parse(b"[ssh]\nsequence = 7000,8000,9000\n");
        let door = &parsed.config.unwrap().doors[0];
        let place = ("198.51.100.7".parse().unwrap(), 0);
        let mut book = Book::default();
        let trial = |outcome, stage| {
            let mut trial = Trial::new(0, Timestamp::ZERO, 0);
            trial.outcome = outcome;
            trial.progress = (stage, 3);
            trial
        };
        for _ in 0..Book::MAX_PLAIN + 2 {
            book.take(place, door, trial(Outcome::Timeout, 1));
        }
        book.take(place, door, trial(Outcome::Timeout, 2));
        assert_eq!(book.records().len(), Book::MAX_PLAIN + 1);
        assert_eq!(book.omitted().collect::<Vec<_>>(), [(0, Outcome::Timeout, 2)]);
    }
}
