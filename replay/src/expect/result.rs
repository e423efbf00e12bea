//! What came of the cases.

use std::path::{Path, PathBuf};

use super::file::Case;
use super::matching::{Failure, Tally};
use super::seen::Seen;
use super::words::{self, Sides};

/// An expectation file that was read.
pub(super) struct ExpectFile {
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) cases: Vec<Case>,
}

/// A case and what came of it.
pub(super) struct CaseResult<'a> {
    pub(super) path: &'a Path,
    pub(super) case: &'a Case,
    pub(super) came: Came,
}

/// What came of a case.
pub(super) enum Came {
    Passed,
    Failed(Vec<Told>),
    /// It failed, and what happened is what is expected from now on.
    Updated(Vec<Told>),
    /// It could not be run, for this reason.
    Troubled(String),
}

/// A failure in words.
pub(super) struct Told {
    /// `count`, `open_time` or `unexpected`.
    pub(super) kind: &'static str,
    pub(super) event: &'static str,
    pub(super) door: Option<String>,
    pub(super) source: Option<String>,
    /// How often it came.
    pub(super) tally: Tally,
    pub(super) sides: Sides,
    /// The attempts that explain it; empty where there are none, or too many failures.
    pub(super) why: String,
}

impl Told {
    pub(super) fn new(failure: &Failure, case: &Case, seen: &Seen, why: String) -> Self {
        let sides = words::sides(failure, case, seen);
        let (kind, tally, expectation) = match failure {
            Failure::Count { expectation, got, .. } => ("count", got, *expectation),
            Failure::Stay { expectation, all, .. } => ("open_time", all, *expectation),
            Failure::Unexpected { event, door, source, got } => {
                let door = door.map(|door| seen.door_name(door).to_owned());
                let source = source.map(|source| source.to_string());
                let tally = got.clone();
                return Self { kind: "unexpected", event, door, source, tally, sides, why };
            }
        };
        let wants = &case.expect[expectation];
        let door = wants.door.as_ref().map(|door| door.it.clone());
        let source = wants.source.map(words::network);
        Self { kind, event: wants.event, door, source, tally: tally.clone(), sides, why }
    }
}

/// How many cases came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) updated: u64,
    pub(super) troubled: u64,
}

impl Counts {
    pub(super) const fn count(&mut self, came: &Came) {
        match came {
            Came::Passed => self.passed += 1,
            Came::Failed(_) => self.failed += 1,
            Came::Updated(_) => self.updated += 1,
            Came::Troubled(_) => self.troubled += 1,
        }
    }

    pub(super) const fn all(self) -> u64 {
        self.passed + self.failed + self.updated + self.troubled
    }
}
