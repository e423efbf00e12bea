//! `knock-replay test` and `knock-replay record`: what a config must do with traffic, written down
//! and compared.
//!
//! An expectation file holds cases: a config, its traffic, and what is expected of the two. A case
//! is run by the engine as `run` runs it; nothing is inferred from margins. `docs/TESTS.md`
//! describes the file.

mod coverage;
mod entry;
mod file;
pub(crate) mod help;
mod junit;
mod knocks;
mod lines;
mod matching;
mod page;
mod problem;
mod record;
mod result;
mod seen;
mod span;
mod stage;
mod update;
mod why;
mod words;

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use knock_engine::config::Diagnostic;
use knock_frontend::format::Counted;
use knock_frontend::notice::told;
use regex_lite::Regex;

pub use self::record::{RecordArgs, record};

use self::coverage::Coverage;
use self::file::Case;
use self::junit::Junit;
use self::result::{Came, CaseResult, Counts, ExpectFile, Told};
use self::stage::{Builder, Stage, Trouble};
use self::update::Update;
use crate::PROGRAM;
use crate::cli::{LookArgs, PageFormat};
use crate::report::LocalOrigin;
use crate::report::style::Palette;
use crate::run::{self, OutputError};

/// The arguments of `knock-replay test`.
#[derive(Args, Debug)]
pub struct TestArgs {
    /// Run only the cases whose names match this regular expression
    #[arg(long, value_name = "REGEX", display_order = 1)]
    pub run: Option<String>,

    /// Also write what came of the cases to this file, as JUnit's XML
    #[arg(long, value_name = "FILE", display_order = 1)]
    pub junit: Option<PathBuf>,

    /// Make failed cases expect what happened, and show the change
    ///
    /// The files are written; comments and layout stay. Look at the change: what a case expected
    /// may have been right.
    #[arg(long, display_order = 1)]
    pub update: bool,

    /// Tell which doors and knocks no case exercises
    ///
    /// A knock is exercised where some source of some case got that far in the door's sequence;
    /// only configs that the cases name count.
    #[arg(long, display_order = 1)]
    pub coverage: bool,

    /// Fail where the cases exercise less than so much of all knocks
    #[arg(
        long,
        value_name = "PERCENT",
        value_parser = clap::value_parser!(u64).range(0..=100),
        display_order = 1
    )]
    pub coverage_threshold: Option<u64>,

    /// How to tell it
    #[arg(long, value_enum, default_value_t = PageFormat::Text, display_order = 1)]
    pub format: PageFormat,

    /// How it looks.
    #[command(flatten)]
    pub look: LookArgs,

    /// Expectation files
    ///
    /// Paths in a file begin at its own folder. docs/TESTS.md describes every key.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
}

/// What came of a whole test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything was as expected.
    Fine,
    /// A case failed.
    Failed,
    /// A case could not be run.
    Troubled,
}

/// Runs the cases of expectation files and tells what came of them.
///
/// # Errors
///
/// A file can't be read or has errors, no case is chosen, or the report can't be written. A case
/// that can't be run is no error here, but in the verdict.
pub fn test(args: &TestArgs) -> anyhow::Result<Verdict> {
    let filter = args.run.as_deref().map(|text| {
        Regex::new(text).with_context(|| format!("--run {text}: this is no regular expression"))
    });
    let filter = filter.transpose()?;
    let files = read_files(&args.files)?;
    let mut tester = Tester::new(args);
    for file in &files {
        tester.run_file(file, filter.as_ref())?;
    }
    tester.finish()
}

/// Reads the text of an expectation file, and returns the names of its cases.
///
/// # Errors
///
/// Tells what is wrong with it, each with its place.
pub fn case_names(text: &str) -> Result<Vec<String>, Vec<Diagnostic>> {
    file::parse(text).map(|cases| cases.into_iter().map(|case| case.name).collect())
}

/// Reads expectation files, and shows all that is wrong with them.
fn read_files(paths: &[PathBuf]) -> anyhow::Result<Vec<ExpectFile>> {
    let mut files = Vec::with_capacity(paths.len());
    let mut is_wrong = false;
    for path in paths {
        let text = read_text(path)?;
        match file::parse(&text) {
            Ok(cases) => files.push(ExpectFile { path: path.clone(), text, cases }),
            Err(found) => {
                problem::show(path, text.as_bytes(), &found);
                is_wrong = true;
            }
        }
    }
    if is_wrong {
        bail!("the expectation files have errors: nothing was run");
    }
    Ok(files)
}

fn read_text(path: &Path) -> anyhow::Result<String> {
    let name = path.display();
    let mut text = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(file::MAX_BYTES + 1).read_to_end(&mut text));
    read.with_context(|| format!("{name}: cannot read the expectation file"))?;
    if text.len() as u64 > file::MAX_BYTES {
        bail!("{name}: an expectation file has at most 16 MiB: split it");
    }
    String::from_utf8(text).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].iter();
        let line = line.filter(|byte| **byte == b'\n').count() + 1;
        anyhow::anyhow!("{name}:{line}: this is no UTF-8: save the file as UTF-8 text")
    })
}

/// Runs cases, tells of them and counts them.
struct Tester<'a> {
    args: &'a TestArgs,
    palette: Palette,
    width: usize,
    out: Box<dyn Write>,
    counts: Counts,
    coverage: Coverage,
    junit: Junit,
    /// Cases whose local addresses nobody knew.
    assumed: u64,
}

impl<'a> Tester<'a> {
    fn new(args: &'a TestArgs) -> Self {
        Self {
            args,
            palette: run::palette(args.look.color),
            width: run::width(),
            out: Box::new(io::stdout()),
            counts: Counts::default(),
            coverage: Coverage::default(),
            junit: Junit::new(),
            assumed: 0,
        }
    }

    fn run_file(&mut self, file: &ExpectFile, filter: Option<&Regex>) -> anyhow::Result<()> {
        let mut builder = Builder::new(&file.path, &file.text);
        let mut update = self.args.update.then(|| Update::new(&file.path, &file.text));
        let is_chosen = |case: &Case| filter.is_none_or(|it| it.is_match(&case.name));
        for (index, case) in file.cases.iter().enumerate().filter(|(_, case)| is_chosen(case)) {
            let stage = builder.stage(case);
            let compared =
                stage.and_then(|stage| Ok(self.compare(&stage, (index, case), &mut update)?));
            let came = compared.unwrap_or_else(|trouble| match trouble {
                Trouble::Located(found) => {
                    problem::show(&file.path, file.text.as_bytes(), &found);
                    Came::Troubled(located(&found))
                }
                // What is an option elsewhere is a key of a case.
                Trouble::Other(error) => {
                    Came::Troubled(told(&error).replace("--resync", "resync = true"))
                }
            });
            self.tell(&CaseResult { path: &file.path, case, came })?;
        }
        let shown = update.map(|update| update.finish(&self.palette)).transpose()?;
        if let (Some(shown), PageFormat::Text) = (shown, self.args.format) {
            self.write(shown.as_bytes())?;
        }
        Ok(())
    }

    /// Runs a case and compares what happened with what it expects.
    fn compare(
        &mut self,
        stage: &Stage,
        (index, case): (usize, &Case),
        update: &mut Option<Update<'_>>,
    ) -> anyhow::Result<Came> {
        let (seen, origin) = stage.play(wanted(case))?;
        self.assumed += u64::from(origin == LocalOrigin::Assumed);
        if self.wants_coverage() {
            self.coverage.note(stage, &seen);
        }
        let failures = matching::compare(case, &seen);
        if failures.is_empty() {
            return Ok(Came::Passed);
        }
        let (palette, width) = match self.args.format {
            PageFormat::Text => (&self.palette, self.width.saturating_sub(2)),
            PageFormat::Jsonl => (&Palette::plain(), 80),
        };
        let why = why::explain(stage, case, &seen, &failures, (palette, width))?;
        let mut why = why.into_iter();
        let tell = |failure| Told::new(failure, case, &seen, why.next().unwrap_or_default());
        let told = failures.iter().map(tell).collect();
        match update {
            Some(update) => {
                update.accept((index, case), &failures, &seen)?;
                Ok(Came::Updated(told))
            }
            None => Ok(Came::Failed(told)),
        }
    }

    fn tell(&mut self, result: &CaseResult<'_>) -> Result<(), OutputError> {
        self.counts.count(&result.came);
        self.junit.note(result);
        match self.args.format {
            PageFormat::Text => {
                let text = page::case(result, &self.palette, self.width);
                self.write(text.as_bytes())?;
            }
            PageFormat::Jsonl => {
                let mut line = Vec::new();
                lines::append_case(result, &mut line)?;
                self.write(&line)?;
            }
        }
        Ok(())
    }

    /// Writes something that shall appear at once. Where nobody reads any more the cases are run
    /// all the same: the exit code and the JUnit report are to be right.
    fn write(&mut self, text: &[u8]) -> Result<(), OutputError> {
        match self.out.write_all(text).and_then(|()| self.out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.out = Box::new(io::sink());
                Ok(())
            }
            written => Ok(written?),
        }
    }

    const fn wants_coverage(&self) -> bool {
        self.args.coverage || self.args.coverage_threshold.is_some()
    }

    fn finish(mut self) -> anyhow::Result<Verdict> {
        if self.counts.all() == 0 {
            bail!("no case is chosen: --run matches none of their names");
        }
        let coverage = self.wants_coverage().then_some(&self.coverage);
        let mut told = Vec::new();
        match self.args.format {
            PageFormat::Text => {
                told.extend(page::counts(self.counts).into_bytes());
                told.extend(
                    coverage.map(|it| it.text(self.width).into_bytes()).unwrap_or_default(),
                );
            }
            PageFormat::Jsonl => {
                lines::append_summary(self.counts, coverage, &mut told)
                    .map_err(OutputError::from)?;
            }
        }
        self.write(&told)?;
        if self.assumed > 0 {
            PROGRAM.note(&format_args!(
                "local addresses unknown in {}: every unicast destination counts as local (local = \
                 [\"192.0.2.1\"])",
                Counted(self.assumed, "case")
            ));
        }
        let threshold = self.args.coverage_threshold.unwrap_or(0);
        let is_below = self.coverage.permille() < threshold * 10 && self.wants_coverage();
        if is_below {
            let percent = self.coverage.percent();
            PROGRAM.warning(&format_args!(
                "the cases exercise {percent} of the knocks, --coverage-threshold asks for \
                 {threshold} %"
            ));
        }
        if let Some(path) = &self.args.junit {
            self.junit.write(path)?;
        }
        Ok(match self.counts {
            Counts { troubled: 1.., .. } => Verdict::Troubled,
            Counts { failed: 1.., .. } => Verdict::Failed,
            Counts { .. } if is_below => Verdict::Failed,
            Counts { .. } => Verdict::Fine,
        })
    }
}

/// Returns the events that a case asks for.
fn wanted(case: &Case) -> Vec<&'static str> {
    let mut wanted: Vec<&'static str> = case.expect.iter().map(|it| it.event).collect();
    wanted.extend(&case.exhaustive);
    wanted.push("open");
    wanted.sort_unstable();
    wanted.dedup();
    wanted
}

/// Tells the problems of a case in a line.
fn located(found: &[Diagnostic]) -> String {
    let told: Vec<String> = found.iter().map(ToString::to_string).collect();
    told.join("; ")
}
