//! `diff`: what a change of the config changes.

#![expect(clippy::unwrap_used, reason = "the lint knows only functions marked as tests")]

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::cli::{Folder, Ran, pcap_of, syn};
use crate::drawn;

const HOME: [u8; 4] = [198, 51, 100, 7];
const SCANNER: [u8; 4] = [203, 0, 113, 9];

const OLD: &str = "[ssh]\nsequence = 7000,8000,9000\nseq_timeout = 5\nstart_command = open %IP%\n\
    stop_command = close %IP%\ncmd_timeout = 10\n";

/// Frames, a second apart: `source`, then its ports.
fn packets(knocks: &[([u8; 4], &[u16])]) -> Vec<u8> {
    let all = knocks.iter().flat_map(|(source, ports)| ports.iter().map(|port| (*source, *port)));
    pcap_of(1, (40_000..).zip(all).map(|(number, (source, port))| syn(source, number, port)))
}

fn folder(test: &str, new: &str, trace: &[u8]) -> Folder {
    let folder = Folder::new(test);
    folder.write("old.conf", OLD.as_bytes());
    folder.write("new.conf", new.as_bytes());
    folder.write("a.pcap", trace);
    folder
}

const RUN: &str = "diff --old old.conf --new new.conf --local 192.0.2.1 a.pcap";

fn told(folder: &Folder, code: i32) -> String {
    let text = folder.run(RUN).exits(code).to_string();
    let lines = folder.run(&format!("{RUN} --format jsonl")).exits(code).to_string();
    format!("{text}{lines}")
}

#[test]
fn a_knock_that_is_too_slow_now() {
    let new = OLD.replace("seq_timeout = 5", "seq_timeout = 1500ms");
    let trace = packets(&[(HOME, &[7000, 8000, 9000])]);
    insta::assert_snapshot!(told(&folder("diff-late", &new, &trace), 1));
}

#[test]
fn a_scanner_that_gets_in_now() {
    let new = OLD.replace("cmd_timeout = 10", "cmd_timeout = 30\nmax_strays = off");
    let new = new.replace("seq_timeout = 5", "seq_timeout = 1h");
    let scan: Vec<u16> = [7000, 8000, 9000].into_iter().flat_map(|k| (k..k + 10).rev()).collect();
    let trace = packets(&[(SCANNER, &scan), (HOME, &[7000, 8000, 9000])]);
    insta::assert_snapshot!(told(&folder("diff-scanner", &new, &trace), 1));
}

/// Without strays the doors do not look at other ports, but whoever hits them is a scanner still.
#[test]
fn a_scanner_is_known_also_where_no_door_cares_for_other_ports() {
    let off = OLD.replace("cmd_timeout = 10", "cmd_timeout = 10\nmax_strays = off");
    let scan: Vec<u16> = [7000, 8000, 9000].into_iter().flat_map(|k| (k..k + 3).rev()).collect();
    let folder = folder("diff-off", &off.replace("= 5", "= 30"), &packets(&[(SCANNER, &scan)]));
    folder.write("old.conf", off.as_bytes());
    insta::assert_snapshot!(told(&folder, 1));
    let patient = folder.run(&format!("{RUN} --scanner 7"));
    patient.exits(1).says("6 other ports hit around it");
    assert!(!patient.stdout().contains("a scanner"));
}

#[test]
fn every_way_to_lose_a_knock() {
    let cases = [
        ("gone", "[web]\nsequence = 1,2\n".to_owned()),
        ("order", OLD.replace("7000,8000,9000", "7000,9000,8000")),
        ("longer", OLD.replace("7000,8000,9000", "7000,8000,9000,9500")),
        ("protocol", OLD.replace("8000", "8000:udp")),
        ("denied", format!("{OLD}deny = 198.51.100.0/24\n")),
        ("flags", format!("{OLD}tcpflags = syn,urg\n")),
        ("target", format!("{OLD}target = 192.0.2.77\n")),
        ("port", OLD.replace("7000", "7001")),
        ("strays", OLD.replace("7000,8000,9000", "7000,8000,9500") + "max_strays = 0\n"),
        ("lockout", format!("{OLD}max_failures = 1\n").replace("timeout = 5", "timeout = 500ms")),
        ("commands", OLD.replace("stop_command = close %IP%\n", "")),
        ("longer-open", OLD.replace("cmd_timeout = 10", "cmd_timeout = 30")),
        ("same", OLD.to_owned()),
    ];
    let trace = packets(&[(HOME, &[7000, 8000, 9000])]);
    let mut all = String::new();
    for (name, new) in cases {
        let ran = folder(&format!("diff-{name}"), &new, &trace).run(RUN);
        all.push_str(&format!("== {name}: {}\n{}", ran.output.status, ran.stdout()));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn sequences_that_stand_in_each_others_way() {
    let folder = Folder::new("diff-shadows");
    let doors = |sequences: &[(&str, &str)]| -> String {
        sequences.iter().map(|(door, knocks)| format!("[{door}]\nsequence = {knocks}\n")).collect()
    };
    let old = doors(&[("a", "1,2,3"), ("b", "4,5,6"), ("known", "4,5")]);
    let new = doors(&[
        ("a", "1,2,3"),
        ("b", "4,5,6"),
        ("known", "4,5"),
        ("beginning", "1,2"),
        ("end", "2,3"),
        ("same", "4,5,6"),
        ("other-protocol", "1:udp,2,3"),
    ]);
    folder.write("old.conf", old.as_bytes());
    folder.write("new.conf", format!("[options]\nLogFormat = json\nUseSyslog\n{new}").as_bytes());
    let text = folder.run("diff --old old.conf --new new.conf").exits(1).to_string();
    let back = folder.run("diff --old new.conf --new old.conf").exits(1).to_string();
    let lines =
        folder.run("diff --old old.conf --new new.conf --format jsonl").exits(1).to_string();
    insta::assert_snapshot!(format!("{text}{back}{lines}"));
}

#[test]
fn what_a_move_from_knockd_changes() {
    let folder = Folder::new("diff-original");
    let top = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata");
    folder.write("knockd.conf", &fs::read(format!("{top}/interleaved.conf")).unwrap());
    folder.write("a.pcap", &fs::read(format!("{top}/interleaved.pcap")).unwrap());
    let arguments = "diff --old knockd.conf --old-as knockd-0.8 --new knockd.conf a.pcap";
    insta::assert_snapshot!(folder.run(arguments).exits(1).to_string());
    // What this project's parser refuses is still compared by traffic.
    folder.write("old.conf", b"[openSSH]\nsequence = 7000,8000,9000,0\nseq_timeout = 5\n");
    let arguments = "diff --old old.conf --old-as knockd-0.8 --new knockd.conf a.pcap";
    folder.run(arguments).exits(1).says("the old one can't be read as ours");
}

#[test]
fn whatever_is_wrong_is_told_and_exits_with_2() {
    let folder = folder("diff-refusals", "[ssh\n", b"no capture");
    let mut all = String::new();
    for arguments in [
        "diff --old old.conf --new new.conf",
        "diff --old old.conf --new absent.conf",
        "diff --old old.conf --new old.conf a.pcap",
        "diff --old old.conf",
        "diff --old old.conf --new old.conf --old-as knockd - -",
    ] {
        all.push_str(&folder.run(arguments).exits(2).to_string());
    }
    insta::assert_snapshot!(all);
    let top = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata");
    let unknown = format!("diff --old old.conf --new old.conf {top}/link-unknown.pcap");
    folder.run(&unknown).exits(2).says("Nothing differs as far as the traces could be read.");
    let cut = &packets(&[(HOME, &[7000, 8000, 9000])])[..150];
    folder.write("cut.pcap", cut);
    folder.run("diff --old old.conf --new old.conf cut.pcap").exits(0).says("cut off");
}

#[test]
fn names_and_values_do_nothing_to_a_terminal() {
    let new = "[ssh\u{202e}x]\nsequence = 7000,8000,9000\nstart_command = a\u{202e}b\n";
    let trace = packets(&[(HOME, &[7000, 8000, 9000])]);
    let folder = folder("diff-hostile", new, &trace);
    for format in ["text", "jsonl"] {
        let ran = folder.run(&format!("{RUN} --format {format}"));
        assert!(!ran.exits(1).stdout().contains('\u{202e}'), "{ran}");
    }
}

/// Where the configs of testdata/ have their one-time files.
const TOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Runs the program there.
fn run_at_top(arguments: &str) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_knock-replay"));
    command.args(arguments.split(' ')).current_dir(TOP).stdin(Stdio::null());
    let output = command.env_remove("CLICOLOR_FORCE").output().unwrap();
    Ran { arguments: arguments.to_owned(), output }
}

/// Every capture of testdata/ with its config.
fn cases() -> Vec<(String, String)> {
    let mut cases = Vec::new();
    for entry in fs::read_dir(format!("{TOP}/testdata")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // One of them can't be read by anybody.
        let case = name.strip_suffix(".pcap").filter(|case| *case != "link-unknown");
        if let Some(case) = case {
            let config = format!("testdata/{case}.conf");
            if fs::exists(format!("{TOP}/{config}")).unwrap() {
                cases.push((config, format!("testdata/{name}")));
            }
        }
    }
    cases.sort();
    assert!(cases.len() > 20);
    cases
}

#[test]
fn a_config_differs_from_itself_in_nothing() {
    for (config, trace) in cases() {
        let ran = run_at_top(&format!("diff --old {config} --new {config} --resync {trace}"));
        ran.exits(0).says("every knock comes to the same").says("Nothing differs");
    }
}

/// What opens, by a run: the door, the source, and the frame.
fn openings(ran: &Ran) -> BTreeSet<(String, String, u64)> {
    lines(ran, |line| line["event"] == "open")
}

fn lines(ran: &Ran, wanted: impl Fn(&Value) -> bool) -> BTreeSet<(String, String, u64)> {
    let stdout = ran.stdout();
    let lines = stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    lines
        .filter(wanted)
        .map(|its| (text(&its["door"]), text(&its["source"]), its["frame"].as_u64().unwrap()))
        .collect()
}

#[test]
fn it_agrees_with_two_runs() {
    let folder = Folder::new("diff-two-runs");
    let mut differing = 0;
    for (config, trace) in cases() {
        let text = fs::read_to_string(format!("{TOP}/{config}")).unwrap();
        let changed = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("seq_timeout"))
            .map(|line| match line.starts_with('[') && !line.contains("options") {
                true => format!("{line}\nseq_timeout = 400ms\nmax_strays = 0\n"),
                false => format!("{line}\n"),
            })
            .collect::<String>();
        folder.write("new.conf", changed.as_bytes());
        let new = folder.0.join("new.conf").display().to_string();
        for (old, new) in [(&config, &new), (&new, &config)] {
            differing += compare(&Folder(TOP.into()), old, new, &trace);
        }
    }
    assert!(differing > 20, "only {differing} differences");
}

/// Compares what `diff` tells with a run by each config, and returns how much differs.
fn compare(folder: &Folder, old: &str, new: &str, trace: &str) -> usize {
    let run = |config: &str| {
        openings(&folder.run(&format!("run -c {config} --format jsonl --resync {trace}")))
    };
    let (was, is) = (run(old), run(new));
    let arguments = format!("diff --old {old} --new {new} --resync --format jsonl {trace}");
    let diff = folder.run(&arguments);
    let lost = lines(&diff, |line| line["event"] == "lost");
    let gained = lines(&diff, |line| line["event"] == "gained");
    assert_eq!(lost, was.difference(&is).cloned().collect(), "{diff}");
    assert_eq!(gained, is.difference(&was).cloned().collect(), "{diff}");
    lost.len() + gained.len()
}

/// Every pair of configs over traffic with floods, clock steps, lockouts and a table that is full.
#[test]
fn it_agrees_with_two_runs_over_drawn_traffic() {
    let folder = Folder::new("diff-drawn");
    let configs = [drawn::COOLING.to_owned(), drawn::LEASED.to_owned(), drawn::crowded()];
    let names: Vec<String> = (0..configs.len()).map(|number| format!("{number}.conf")).collect();
    for (name, config) in names.iter().zip(&configs) {
        folder.write(name, config.as_bytes());
    }
    let mut differing = 0;
    for seed in 100..108 {
        folder.write("a.pcap", &drawn::traffic(seed));
        for (old, new) in names.iter().flat_map(|old| names.iter().map(move |new| (old, new))) {
            let differences = compare(&folder, old, new, "a.pcap");
            assert!(old != new || differences == 0, "{old} differs from itself, seed {seed}");
            differing += differences;
        }
    }
    assert!(differing > 100, "only {differing} differences");
}

const DOCUMENT: &str = include_str!("../../../docs/DIFF.md");

#[test]
fn the_document_has_every_field_and_its_examples_are_real() {
    let new = OLD.replace("seq_timeout = 5", "seq_timeout = 1500ms");
    let folder = folder("diff-document", &new, &packets(&[(HOME, &[7000, 8000, 9000])]));
    let told = folder.run(&format!("{RUN} --format jsonl")).exits(1).stdout();
    for example in DOCUMENT.lines().filter(|line| line.starts_with('{')) {
        assert!(told.lines().any(|line| line == example), "nothing writes {example}");
    }
    let rows = DOCUMENT.lines().filter(|line| line.starts_with("| `"));
    let documented: BTreeSet<&str> =
        rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2)).collect();
    folder.write("new.conf", b"[web]\nsequence = 1,2\n[part]\nsequence = 1\n");
    let more = folder.run(&format!("{RUN} --format jsonl")).exits(1).stdout();
    for line in told.lines().chain(more.lines()) {
        let object: Value = serde_json::from_str(line).unwrap();
        let event = object["event"].as_str().unwrap();
        assert!(documented.contains(event), "event {event}");
        for key in object.as_object().unwrap().keys() {
            assert!(documented.contains(key.as_str()), "field {key}");
        }
    }
}
