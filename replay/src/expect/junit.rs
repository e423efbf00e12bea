//! The results as a JUnit file, for a CI that shows tests.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use knock_frontend::format::Counted;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::page::MOST;
use super::result::{Came, CaseResult, Told};

/// Gathers results. How long a case took is left out: the same files give the same report.
pub(super) struct Junit {
    suites: Vec<TestSuite>,
}

impl Junit {
    pub(super) const fn new() -> Self {
        Self { suites: Vec::new() }
    }

    /// Notes a case, in the suite of its file.
    pub(super) fn note(&mut self, result: &CaseResult<'_>) {
        let file = result.path.to_string_lossy();
        let is_its = |suite: &TestSuite| suite.name.as_str() == file;
        if !self.suites.last().is_some_and(is_its) {
            self.suites.push(TestSuite::new(&*file));
        }
        let status = match &result.came {
            Came::Passed => TestCaseStatus::success(),
            Came::Failed(failures) => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(message(failures)).set_type("difference");
                status.set_description(description(failures));
                status
            }
            Came::Updated(_) => TestCaseStatus::success(),
            Came::Troubled(why) => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
                status.set_message(why).set_type("could not run");
                status
            }
        };
        let mut case = TestCase::new(&result.case.name, status);
        case.set_classname(&*file);
        case.extra.insert("file".into(), (&*file).into());
        case.extra.insert("line".into(), result.case.line.to_string().into());
        if let Some(suite) = self.suites.last_mut() {
            suite.add_test_case(case);
        }
    }

    /// Writes the report.
    ///
    /// # Errors
    ///
    /// The file can't be written.
    pub(super) fn write(self, path: &Path) -> anyhow::Result<()> {
        let name = path.display();
        let mut report = Report::new("knock-replay test");
        report.add_test_suites(self.suites);
        let text = report.to_string().with_context(|| format!("{name}: cannot be made"))?;
        fs::write(path, text).with_context(|| format!("{name}: cannot write the JUnit report"))
    }
}

/// The first failure in a line.
fn message(failures: &[Told]) -> String {
    let first = failures.first();
    let first = first.map(|told| format!("{}; got {}", told.sides.expected, told.sides.got));
    let more = failures.len().saturating_sub(1);
    let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
    format!("expected {}{more}", first.unwrap_or_default())
}

/// The first failures, with what explains them.
fn description(failures: &[Told]) -> String {
    let mut text = String::new();
    let mut told_already: Vec<&str> = Vec::new();
    for told in failures.iter().take(MOST) {
        let (expected, got) = (&told.sides.expected, &told.sides.got);
        text.push_str(&format!("expected  {expected}\ngot       {got}\n"));
        if !told.why.is_empty() && !told_already.contains(&told.why.as_str()) {
            told_already.push(&told.why);
            text.push_str(&format!("\n{}\n\n", told.why));
        }
    }
    if failures.len() > MOST {
        let more = Counted((failures.len() - MOST) as u64, "more difference");
        text.push_str(&format!("and {more}\n"));
    }
    text
}
