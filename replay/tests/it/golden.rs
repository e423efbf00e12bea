//! Golden outputs: every capture of testdata/, told in every way, as committed snapshots.
//!
//! The rule of the names stands in testdata/README.md. A snapshot is a file of its own,
//! `golden/CASE/WAY.snap`, and begins with the command line that makes it.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Cases that there are at least: fewer means that some were not found.
const KNOWN_CASES: usize = 49;

/// The ways in which a case is told: the snapshot's name, the subcommand, its options, and the
/// ending of the file with the options that this case has for the subcommand.
const WAYS: [(&str, &str, &[&str]); 5] = [
    ("text", "run", &[]),
    ("jsonl", "run", &["--format", "jsonl"]),
    ("summary", "run", &["--format", "summary"]),
    ("knockd-0.8", "run", &["--as", "knockd-0.8"]),
    ("explain", "explain", &[]),
];

/// The top folder of the repository, where every case runs.
fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden")
}

/// Returns the names of the files in a folder, sorted.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// A config with its traces and options.
struct Case {
    name: String,
    traces: Vec<String>,
    files: BTreeSet<String>,
}

impl Case {
    fn all() -> Vec<Self> {
        let files = names(&top().join("testdata"));
        let cases = files.iter().filter_map(|file| file.strip_suffix(".conf"));
        cases.map(|name| Self::new(name, &files)).collect()
    }

    fn new(name: &str, files: &BTreeSet<String>) -> Self {
        let traces = files.iter().filter(|file| case_of_trace(file) == Some(name));
        let traces: Vec<_> = traces.cloned().collect();
        assert!(!traces.is_empty(), "testdata/{name}.conf has no trace");
        Self { name: name.to_owned(), traces, files: files.clone() }
    }

    /// Returns the options in `NAME.ending`, where there is such a file.
    fn options(&self, ending: &str) -> Vec<String> {
        let file = format!("{}.{ending}", self.name);
        if !self.files.contains(&file) {
            return Vec::new();
        }
        let text = fs::read_to_string(top().join("testdata").join(file)).unwrap();
        text.split_whitespace().map(str::to_owned).collect()
    }

    /// Runs the program and returns the command line, the exit code and both streams, as text.
    fn told(&self, subcommand: &str, options: &[&str]) -> String {
        let mut arguments = vec![subcommand.to_owned(), "-c".to_owned()];
        arguments.push(format!("testdata/{}.conf", self.name));
        arguments.extend(options.iter().map(|&option| option.to_owned()));
        arguments.extend(self.options("args"));
        arguments.extend(self.options(&format!("{subcommand}-args")));
        arguments.extend(self.traces.iter().map(|trace| format!("testdata/{trace}")));
        let output = Command::new(env!("CARGO_BIN_EXE_knock-replay"))
            .args(&arguments)
            .current_dir(top())
            .env_remove("NO_COLOR")
            .env_remove("CLICOLOR_FORCE")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let code = output.status.code().unwrap_or_else(|| panic!("{}: {output:?}", self.name));
        let mut told = format!("$ knock-replay {}\n", arguments.join(" "));
        for (name, stream) in [("stdout", output.stdout), ("stderr", output.stderr)] {
            if !stream.is_empty() {
                let text = String::from_utf8(stream).unwrap();
                told.push_str(&format!("--- {name}\n{text}"));
            }
        }
        told.push_str(&format!("--- exit code {code}\n"));
        told
    }
}

/// Returns the case that a trace belongs to; `None` for files that are no traces.
fn case_of_trace(file: &str) -> Option<&str> {
    let plain = [".gz", ".zst", ".lz4"].iter().find_map(|it| file.strip_suffix(it)).unwrap_or(file);
    let name = plain.strip_suffix(".pcap").or_else(|| plain.strip_suffix(".pcapng"))?;
    match name.rsplit_once('.') {
        Some((name, number)) if number.bytes().all(|digit| digit.is_ascii_digit()) => Some(name),
        _ => Some(name),
    }
}

#[test]
fn every_capture_is_told_as_before() {
    for case in Case::all() {
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(golden_folder().join(&case.name));
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        for (way, subcommand, options) in WAYS {
            let told = case.told(subcommand, options);
            for line in told.lines() {
                assert_eq!(line, line.trim_end(), "a blank ends a line of {} {way}", case.name);
            }
            settings.bind(|| insta::assert_snapshot!(way, told));
        }
    }
}

#[test]
fn no_capture_is_without_a_config_and_no_snapshot_without_a_capture() {
    let files = names(&top().join("testdata"));
    let cases: BTreeSet<_> = Case::all().into_iter().map(|case| case.name).collect();
    for file in &files {
        let case =
            case_of_trace(file).or_else(|| Some(file.rsplit_once("args")?.0.rsplit_once('.')?.0));
        if let Some(case) = case {
            assert!(cases.contains(case), "testdata/{file} has no {case}.conf");
        }
    }
    assert!(cases.len() >= KNOWN_CASES, "only {} cases were found", cases.len());
    assert_eq!(names(&golden_folder()), cases, "folders of snapshots, and cases");
    let ways: BTreeSet<_> = WAYS.iter().map(|(way, _, _)| format!("{way}.snap")).collect();
    for case in &cases {
        assert_eq!(names(&golden_folder().join(case)), ways, "snapshots of {case}");
    }
}

/// Returns the text of a committed snapshot, its lines joined, so that a sentence is found
/// wherever the terminal would break it.
fn joined(case: &str, way: &str) -> String {
    golden(case, way).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn golden(case: &str, way: &str) -> String {
    let path = golden_folder().join(case).join(format!("{way}.snap"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

#[test]
fn the_explanations_that_matter_most_are_there() {
    for (case, way, sentence) in [
        ("absent", "explain", "no packet from 198.51.100.7 is in this capture"),
        ("wrong-protocol", "explain", "9000 came by TCP, the sequence wants UDP"),
        (
            "carrier",
            "explain",
            "The guarded port 22 was tried from 203.0.113.9 4.21 s after 203.0.113.5 opened it: \
             set grant, with %NET% in the commands, or knock over the same path",
        ),
        (
            "reordered",
            "text",
            "9000/tcp arrived 10 ms before 8000/tcp: the network reordered them; knock with a \
             delay between the hits",
        ),
        ("late", "text", "knock 3, 9000/tcp, came 1.4 s after the window of 5 s closed"),
        (
            "twice",
            "text",
            "8000/tcp came again from a new port: repeats of the last knock are ignored",
        ),
        ("wrong-protocol", "text", "9000 came by TCP, the sequence wants UDP"),
        ("wrong-target", "explain", "the knocks went to 192.0.2.1, the door watches its target"),
    ] {
        assert!(joined(case, way).contains(sentence), "{sentence:?} is missing from {case} {way}");
    }
}

/// The closed list of what `explain` says of a packet at a door.
const VERDICTS: [&str; 24] = [
    "stage",
    "duplicate",
    "repeat",
    "restart",
    "stray",
    "reset",
    "timeout",
    "open",
    "renew",
    "close",
    "suppressed",
    "refused",
    "lockout",
    "evicted",
    "disabled",
    "clock_step",
    "wrong_target",
    "wrong_protocol",
    "wrong_flags",
    "not_first_knock",
    "denied",
    "locked_out",
    "undecodable",
    "other_port",
];

/// Returns the words of the verdicts in a page: behind a time, or far to the right.
fn verdict_words(page: &str) -> impl Iterator<Item = &str> {
    let is_told = |line: &&str| {
        let told = line.trim_start();
        let begins_with_time = told.len() > 12 && told.as_bytes()[2] == b':';
        begins_with_time || line.len() - told.len() > 30
    };
    let lines = page.lines().filter(is_told);
    lines.flat_map(|line| line.split([' ', ',', ':', '('])).filter(|word| !word.is_empty())
}

#[test]
fn every_verdict_is_in_some_capture_and_documented() {
    let pages: Vec<String> = Case::all().iter().map(|case| golden(&case.name, "explain")).collect();
    let told: BTreeSet<&str> = pages.iter().flat_map(|page| verdict_words(page)).collect();
    let formats = include_str!("../../../docs/FORMATS.md");
    let (_, section) = formats.split_once("## The page of `explain`").unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let documented: BTreeSet<&str> = rows.collect();
    let verdicts = BTreeSet::from(VERDICTS);
    let untold: Vec<_> = verdicts.difference(&told).collect();
    assert!(untold.is_empty(), "no capture shows {untold:?}");
    assert_eq!(documented, verdicts, "verdicts in docs/FORMATS.md, and all there are");
}
