//! What must hold for what lint says of a config of any text; the fuzz target and the tests share
//! it.

use knock_engine::config::{Sequences, parse};
use knock_frontend::escape::is_unsafe;
use knock_replay::lint::look_at;
use serde_json::Value;

/// Checks a config, behind whose first NUL stands the file of its one-time sequences: lint takes
/// whatever the parser takes, says twice the same, names places that exist, and writes nothing
/// that a terminal could take for more than text.
///
/// # Panics
///
/// Where one of these does not hold.
pub(crate) fn check(input: &[u8]) {
    let end = input.iter().position(|&byte| byte == 0).unwrap_or(input.len());
    let (text, one_time) = input.split_at(end);
    let one_time = one_time.get(1..).unwrap_or_default();
    let config = parse(text).config;
    let Some(told) = look_at(text, one_time, 10_000) else {
        assert!(config.is_none(), "what can be parsed can be looked at");
        return;
    };
    assert_eq!(look_at(text, one_time, 10_000).as_ref(), Some(&told), "it says twice the same");
    let doors = config.expect("it was looked at").doors;

    let jsonl = str::from_utf8(&told.jsonl).expect("JSON is UTF-8");
    for written in [&told.text, jsonl] {
        let found: Vec<_> = written.chars().filter(|&it| it != '\n' && is_unsafe(it)).collect();
        assert!(found.is_empty(), "{found:?} in {written:?}");
    }
    let lines = jsonl.lines().map(|line| serde_json::from_str(line).expect("an object a line"));
    let lines: Vec<Value> = lines.collect();
    let (summary, lines) = lines.split_last().expect("the last line is the summary");
    let (findings, strengths) = lines.split_at(told.findings);
    findings.iter().for_each(|found| check_finding(found, text, one_time));
    let is_one_time = |sequences: &Sequences| matches!(sequences, Sequences::OneTime { .. });
    let (strengths, fixed) = (
        strengths.iter().inspect(|line| assert_eq!(line["event"], "strength")).count(),
        doors.iter().filter(|door| !is_one_time(&door.sequences)).count(),
    );
    assert!((fixed..=doors.len()).contains(&strengths), "{strengths} of {} doors", doors.len());
    assert_eq!(summary["doors"], doors.len());
    let count = |key: &str| summary[key].as_u64().expect("a number");
    assert_eq!(count("errors") + count("warnings"), told.findings as u64);
}

fn check_finding(found: &Value, text: &[u8], one_time: &[u8]) {
    assert_eq!(found["event"], "finding");
    let file = if found["file"] == "knockd.conf" { text } else { one_time };
    let lines = file.iter().filter(|&&byte| byte == b'\n').count() as u64 + 1;
    let line = found["line"].as_u64().expect("a number");
    assert!((1..=lines).contains(&line), "{found} in a file of {lines} lines");
    assert!(found["column"].as_u64().is_some_and(|column| column >= 1), "{found}");
    for told in ["code", "reason", "remedy"] {
        let told = found[told].as_str().expect("text");
        assert!((1..4_000).contains(&told.len()), "{} bytes: {told}", told.len());
    }
}
