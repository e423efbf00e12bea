//! The recorded scenarios: what the real knockd did, frame by frame.

use std::fs;
use std::path::Path;

use knock_replay::knockd08::Families;

use super::case::{Capture, Case, Outcome, is_decision};
use super::{knockd, model};

/// The scenarios that the model cannot follow, and why.
const EXCLUDED: [(&str, &str); 5] = [
    ("m04-stale-flags", "the flags are read from memory behind the captured bytes"),
    ("o09-memcmp", "the one-time file is edited while knockd runs"),
    ("r01-reload", "a replay gets no SIGHUP"),
    ("r03-reload-changed", "a replay gets no SIGHUP"),
    ("r04-reload-bad", "a replay gets no SIGHUP"),
];

#[test]
fn every_scenario_agrees_frame_by_frame() {
    let folder = knockd::oracle_folder().join("scenarios");
    let mut names: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names.len(), 154, "scenarios in {}", folder.display());
    let mut compared = 0;
    let mut different = Vec::new();
    for name in &names {
        if EXCLUDED.iter().any(|(excluded, _)| excluded == name) {
            continue;
        }
        compared += 1;
        let (case, expected) = read(&folder.join(name));
        let actual = model::run(&case);
        if actual != expected {
            let what = fs::read_to_string(folder.join(name).join("what")).unwrap();
            different.push(format!("{name}: {what}knockd {expected:#?}\nmodel {actual:#?}"));
        }
    }
    assert!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n"));
    assert_eq!(compared, 149);
}

/// Reads a scenario and what knockd did.
fn read(folder: &Path) -> (Case, Outcome) {
    let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let args = text("args");
    let argument = |key: &str| {
        let value = args.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        value.trim_matches('\'').to_owned()
    };
    let local = argument("IPS=");
    let families = match argument("OPTS=").as_str() {
        "-4" => Families::OnlyIpv4,
        // -l only adds names to the lines.
        "" | "-l" => Families::Both,
        other => panic!("unknown option {other}"),
    };
    let recorded = text("expected.txt");
    let case = Case {
        config: fs::read(folder.join("knockd.conf")).unwrap(),
        files: one_time_files(folder),
        local: local.split_terminator(',').map(|ip| ip.parse().unwrap()).collect(),
        families,
        capture: Capture::from_pcap(&fs::read(folder.join("in.pcap")).unwrap()),
    };
    let expected = expected(&recorded, &case.files);
    (case, expected)
}

fn one_time_files(folder: &Path) -> Vec<(String, String)> {
    let names =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let names = names.filter(|name| name.ends_with(".txt") && name != "expected.txt");
    names.map(|name| (name.clone(), fs::read_to_string(folder.join(&name)).unwrap())).collect()
}

fn expected(recorded: &str, files: &[(String, String)]) -> Outcome {
    let without_host = |line: &str| match line.split_once(" host=") {
        Some((line, _)) => line.to_owned(),
        None => line.to_owned(),
    };
    let end = recorded
        .lines()
        .find_map(|line| line.strip_prefix("- - ").filter(|end| is_end(end)))
        .unwrap();
    let file = |name: &str| {
        let prefix = format!("- - FILE {name} |");
        let lines = recorded.lines().filter_map(|line| line.strip_prefix(&prefix));
        lines.flat_map(|line| [line, "\n"]).collect::<String>()
    };
    Outcome {
        lines: recorded.lines().filter(|l| is_decision(l)).map(without_host).collect(),
        end: end.to_owned(),
        files: files.iter().map(|(name, _)| (name.clone(), file(name))).collect(),
    }
}

fn is_end(line: &str) -> bool {
    line.starts_with("EXIT ") || line.starts_with("CRASH ")
}
