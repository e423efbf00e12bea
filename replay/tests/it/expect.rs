//! `test` and `record` from the outside: outputs, exit codes, and that they agree.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod document;
mod properties;
mod update;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::cli::{Folder, Ran, pcap_of, syn};

#[path = "../../../fuzz/checks/expectations.rs"]
mod check;

/// The top folder of the repository.
fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs the program in the top folder of the repository.
fn run_at_top(arguments: &str) -> Ran {
    let mut command = Folder::new("expect_top").command(arguments);
    let output = command.current_dir(top()).output().unwrap();
    Ran { arguments: arguments.to_owned(), output }
}

/// Tells a run as a snapshot has it.
fn shown(ran: &Ran) -> String {
    let mut told = format!("$ knock-replay {}\n", ran.arguments);
    for (name, stream) in [("stdout", ran.stdout()), ("stderr", ran.stderr())] {
        if !stream.is_empty() {
            write!(told, "--- {name}\n{stream}").unwrap();
        }
    }
    writeln!(told, "--- exit code {}", ran.output.status.code().unwrap()).unwrap();
    told
}

const CASES: &str = include_str!("expect/cases.toml");

/// A folder with cases that fail in every way, beside one that passes.
fn folder(test: &str) -> Folder {
    let folder = Folder::new(test);
    folder.write("cases.toml", CASES.as_bytes());
    let knock = [7000, 8000, 9000].map(|port| syn([198, 51, 100, 7], 40_000 + port, port));
    folder.write("knock.pcap", &pcap_of(1, knock.into_iter()));
    let mut by_udp = syn([198, 51, 100, 7], 40_000, 7000);
    by_udp[14 + 9] = 17;
    folder.write("udp.pcap", &pcap_of(1, [by_udp].into_iter()));
    let whole = pcap_of(1, (0..8).map(|index| syn([198, 51, 100, 7], 40_000 + index, 7000)));
    let mut damaged = whole.clone();
    damaged[24 + 3 * 70..24 + 4 * 70].fill(0xff);
    folder.write("damaged.pcap", &damaged);
    folder
}

#[test]
fn help() {
    let folder = Folder::new("expect_help");
    insta::assert_snapshot!("help_test", folder.run("test --help").exits(0).stdout());
    insta::assert_snapshot!("help_test_short", folder.run("test -h").exits(0).stdout());
    insta::assert_snapshot!("help_record", folder.run("record --help").exits(0).stdout());
    insta::assert_snapshot!("help_record_short", folder.run("record -h").exits(0).stdout());
}

#[test]
fn every_failure_shows_expected_and_got_and_the_attempt() {
    let ran = folder("expect_text").run("test cases.toml");
    ran.exits(2);
    insta::assert_snapshot!(shown(&ran));
}

#[test]
fn lines_tell_the_same() {
    let ran = folder("expect_jsonl").run("test --format jsonl --coverage cases.toml");
    ran.exits(2);
    insta::assert_snapshot!(ran.stdout());
    for line in ran.stdout().lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}

#[test]
fn junit_tells_the_same() {
    let folder = folder("expect_junit");
    folder.run("test --junit report.xml cases.toml").exits(2);
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cli/expect_junit/report.xml");
    insta::assert_snapshot!(fs::read_to_string(path).unwrap());
    folder.run("test --junit missing/report.xml cases.toml").exits(2).says("missing/report.xml");
}

#[test]
fn the_exit_code_is_the_worst_of_the_cases() {
    let folder = folder("expect_exit_codes");
    folder.run("test --run ^passes cases.toml").exits(0).says("1 passed");
    folder.run("test --run (passes|late) cases.toml").exits(1).says("1 passed, 1 failed");
    folder.run("test --run damaged cases.toml").exits(2).says("could not be run");
    folder.run("test --run nothing cases.toml").exits(2).says("no case is chosen");
    folder.run("test --run ( cases.toml").exits(2).says("--run (").says("regular expression");
    folder.run("test missing.toml").exits(2).says("missing.toml: cannot read");
    folder.run("test knock.pcap").exits(2).says("knock.pcap:1: this is no UTF-8");
    folder.run("test").exits(2).says("<FILE>");
}

#[test]
fn a_closed_pipe_hides_no_failure() {
    let folder = folder("expect_closed_pipe");
    let arguments = "test --junit report.xml --run (passes|late) cases.toml";
    let mut child = folder.command(arguments).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cli/expect_closed_pipe/report.xml");
    assert!(fs::read_to_string(path).unwrap().contains("failures=\"1\""));
}

#[test]
fn what_is_wrong_with_a_file_is_told_with_its_place() {
    let folder = Folder::new("expect_errors");
    let mut told = String::new();
    for name in
        ["errors", "unknown-key", "negative", "no-case", "same-name", "hostile", "huge", "late"]
    {
        let path = top().join("fuzz/corpus/expectations").join(name);
        folder.write(&format!("{name}.toml"), &fs::read(path).unwrap());
        let ran = folder.run(&format!("test {name}.toml"));
        assert_eq!(ran.exits(2).stdout(), "", "{ran}");
        told.push_str(&shown(&ran));
        assert!(!told.contains(['\u{1b}', '\u{202e}', '\u{9b}', '\0']), "{told:?}");
    }
    insta::assert_snapshot!(told);
}

#[test]
fn coverage_names_what_no_case_exercises() {
    let folder = Folder::new("expect_coverage");
    folder.write(
        "doors.conf",
        b"[ssh]\nsequence = 7000,8000,9000\n[vpn]\nsequence = 2222:udp,3333\n[web]\nsequence = 80,81\n",
    );
    folder.write(
        "cases.toml",
        b"config = \"doors.conf\"\n\
          [[case]]\nname = \"ssh\"\nknocks = \"198.51.100.7 7000/tcp, 8000/tcp, 9000/tcp\"\n\
          expect = [{ door = \"ssh\" }]\n\
          [[case]]\nname = \"half\"\nknocks = \"198.51.100.7 2222/udp\"\nexpect = []\n",
    );
    let ran = folder.run("test --coverage cases.toml");
    insta::assert_snapshot!(shown(ran.exits(0)));
    folder.run("test --coverage-threshold 57 cases.toml").exits(0).says("57.1 %");
    let ran = folder.run("test --coverage-threshold 58 cases.toml");
    ran.exits(1).says("--coverage-threshold asks for 58 %");
    folder.run("test --coverage-threshold 101 cases.toml").exits(2);
}

#[test]
fn hostile_names_reach_no_terminal() {
    let folder = Folder::new("expect_hostile");
    folder.write(
        "hostile.toml",
        "config_text = \"[a\\u001b[2J\\u202e]\\nsequence = 7000\\n\"\n\
         [[case]]\nname = \"\\u001b]0;gone\\u0007\\u009b2J ]]> <script>\"\n\
         knocks = \"198.51.100.7 7000/tcp\"\n\
         expect = [{ event = \"close\", door = \"a\\u001b[2J\\u202e\" }]\n"
            .as_bytes(),
    );
    for format in ["text", "jsonl"] {
        let ran =
            folder.run(&format!("test --format {format} --junit r.xml --coverage hostile.toml"));
        ran.exits(1);
        for text in [ran.stdout(), ran.stderr()] {
            assert!(!text.contains(['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}']), "{ran}");
        }
    }
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cli/expect_hostile/r.xml");
    let report = fs::read_to_string(path).unwrap();
    assert!(!report.contains(['\u{1b}', '\u{7}']) && !report.contains("<script>"), "{report}");
}

#[test]
fn a_million_knocks_are_judged() {
    let folder = Folder::new("expect_million");
    folder.write(
        "million.toml",
        b"config = \"knockd.conf\"\n[[case]]\nname = \"many\"\n\
          knocks = \"203.0.113.9 7000/tcp x999997 every 1us, +1h 7000/tcp, 8000/tcp, 9000/tcp\"\n\
          expect = [{ door = \"ssh\" }]\n",
    );
    folder.run("test million.toml").exits(0).says("1 passed");
}

#[test]
fn entries_about_many_sources_are_limited() {
    let folder = Folder::new("expect_many_entries");
    let cases = |entry: &str, count: usize| {
        let text = format!(
            "[[case]]\nname = \"a\"\nconfig = \"knockd.conf\"\n\
             knocks = \"198.51.100.7 7000/tcp, 8000/tcp, 9000/tcp\"\nexpect = [{}]\n",
            entry.repeat(count)
        );
        folder.write("many.toml", text.as_bytes());
        folder.run("test many.toml")
    };
    cases("{ door = \"ssh\" },", 1_000).exits(0);
    cases("{ door = \"ssh\" },", 1_001).exits(2).says("more than 1000 entries");
    cases("{ source = \"198.51.100.7\" },", 20_000).exits(0);
}

#[test]
fn our_own_expectations_hold() {
    let ran = run_at_top("test testdata/expect/captures.toml testdata/expect/knocks.toml");
    ran.exits(0);
    // What a capture shows that can't be read to its end is the business of the golden outputs.
    let cases = fs::read_to_string(top().join("testdata/expect/captures.toml")).unwrap();
    for entry in fs::read_dir(top().join("testdata")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_covered = cases.contains(&format!("config = \"../{name}\""));
        let is_readable = !matches!(name.as_str(), "damaged.conf" | "link-unknown.conf");
        if name.ends_with(".conf") {
            assert_eq!(is_covered, is_readable, "{name} in testdata/expect/captures.toml");
        }
    }
}

#[test]
fn the_corpus_holds() {
    let corpus = top().join("fuzz/corpus/expectations");
    let mut count = 0;
    for entry in fs::read_dir(corpus).unwrap() {
        check::check(&fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= 14, "only {count} files");
}

#[test]
fn record_says_what_it_cannot() {
    let folder = folder("expect_record_errors");
    let mut told = String::new();
    for arguments in [
        "record knock.pcap",
        "record -c knockd.conf -",
        "record -c knockd.conf missing.pcap",
        "record -c knockd.conf damaged.pcap",
    ] {
        let ran = folder.run(arguments);
        assert_eq!(ran.exits(2).stdout(), "", "{ran}");
        told.push_str(&shown(&ran));
    }
    insta::assert_snapshot!(told);
}

#[test]
fn record_is_readable_and_passes() {
    let folder = folder("expect_record");
    let mut told = String::new();
    for (name, arguments) in [
        ("a", "record -c knockd.conf --local 192.0.2.1 knock.pcap"),
        ("b", "record -c knockd.conf --resync --name behind-damage damaged.pcap"),
    ] {
        let ran = folder.run(arguments);
        ran.exits(0);
        told.push_str(&ran.stdout());
        folder.write(&format!("{name}.toml"), ran.stdout().as_bytes());
        folder.run(&format!("test {name}.toml")).exits(0).says("1 passed");
        assert_eq!(folder.run(arguments).stdout(), ran.stdout(), "it is the same each time");
    }
    insta::assert_snapshot!(told);
}
