//! `docs/LOGS.md` against what the log writes, and that against the programs that read logs.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use knockd::log::{CommandEvent, CommandKind, Format, Message, Verbosity, What};

use super::samples::{AT, SOURCE, door, everything, formatter, typical};

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    fs::read_to_string(path).unwrap()
}

/// Returns the fenced blocks of a language.
fn blocks(document: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut rest = document;
    while let Some((_, tail)) = rest.split_once("\n```") {
        let (found, tail) = tail.split_once('\n').unwrap();
        let (block, tail) = tail.split_once("```").unwrap();
        if found == language {
            blocks.push(block.to_owned());
        }
        rest = tail;
    }
    blocks
}

/// Returns the rows of the table with these column heads, without the code marks.
fn table(document: &str, heads: &str) -> Vec<Vec<String>> {
    let mut lines = document.lines().skip_while(|line| *line != heads);
    assert!(lines.next().is_some(), "no table {heads}");
    let rows = lines.skip(1).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| {
        row.trim_matches('|').split(" | ").map(|cell| cell.trim().replace('`', "")).collect()
    };
    rows.map(cells).collect()
}

fn lines(format: Format, messages: &[Message]) -> Vec<String> {
    let mut formatter = formatter(format, Verbosity::Verbose);
    messages.iter().map(|message| formatter.line(message, AT).text).collect()
}

fn bodies(messages: &[Message]) -> Vec<String> {
    let mut formatter = formatter(Format::Knockd, Verbosity::Verbose);
    messages.iter().map(|message| formatter.line(message, AT).body().to_owned()).collect()
}

/// The rows of knockd's table: the event, the text, the expression with its names written out.
fn knockd_rows() -> Vec<[String; 3]> {
    let document = document("LOGS.md");
    let names = blocks(&document, "text").into_iter().find(|block| block.starts_with("SOURCE"));
    let names = names.unwrap();
    let names: Vec<(&str, &str)> =
        names.lines().map(|line| line.split_once(' ').unwrap()).collect();
    let rows = table(&document, "| event | text | expression | in knockd 0.8 |");
    let written_out = |row: Vec<String>| {
        let expression = replace_words(&row[2], &names);
        [row[0].clone(), row[1].clone(), expression]
    };
    rows.into_iter().map(written_out).collect()
}

/// Replaces whole words only: there is an `N` in `OPEN`.
fn replace_words(text: &str, names: &[(&str, &str)]) -> String {
    let pieces = text.split_inclusive(|character: char| !character.is_ascii_alphabetic());
    let replaced = pieces.map(|piece| {
        let word = piece.trim_end_matches(|character: char| !character.is_ascii_alphabetic());
        let meaning = names.iter().find(|(name, _)| *name == word);
        meaning.map_or(piece.to_owned(), |(_, meaning)| {
            meaning.trim().to_owned() + &piece[word.len()..]
        })
    });
    replaced.collect()
}

#[test]
fn every_line_of_knockds_format_is_documented() {
    let documented: BTreeSet<String> = knockd_rows().into_iter().map(|[_, text, _]| text).collect();
    let written: BTreeSet<String> = bodies(&typical()).into_iter().collect();
    assert_eq!(documented, written);
    for (message, text) in typical().iter().zip(bodies(&typical())) {
        let row = knockd_rows().into_iter().find(|row| row[1] == text).unwrap();
        assert_eq!(row[0], message.what.name(), "{text}");
    }
}

#[test]
fn every_line_of_the_other_formats_is_documented() {
    let document = document("LOGS.md");
    // The end of a lease that began before the daemon did is told as any other end is.
    let expired = |message: &Message| {
        matches!(message.what, What::Command { event: CommandEvent::Expired, .. })
    };
    let said: Vec<Message> = typical().into_iter().filter(|message| !expired(message)).collect();
    for (format, language) in [(Format::Rfc3339, "rfc3339"), (Format::Json, "json")] {
        let documented = blocks(&document, language).concat();
        assert_eq!(documented, lines(format, &said).join("\n") + "\n");
    }
}

/// The names of events are the same set everywhere, and what the table says of each is so.
#[test]
fn what_is_said_of_the_events_is_so() {
    let rows =
        table(&document("LOGS.md"), "| event | severity | shown | limited | what happened |");
    let mut seen = BTreeSet::new();
    for message in typical() {
        let what = &message.what;
        let row = rows.iter().find(|row| row[0] == what.name());
        let row = row.unwrap_or_else(|| panic!("no row for {}", what.name()));
        seen.insert(what.name());
        let is_check = matches!(what, What::Command { kind: CommandKind::Check, .. });
        let shown = match row[2].as_str() {
            "always; a check with -v" => !is_check,
            "always" => true,
            "with -v" => false,
            other => panic!("{other}"),
        };
        assert_eq!(what.is_detail(), !shown, "{}", what.name());
        assert_eq!(what.stranger_at().is_some(), row[3] == "yes", "{}", what.name());
        let starts = matches!(what, What::Command { kind: CommandKind::Start, .. });
        let severity = what.severity().name();
        match row[1].as_str() {
            "error; a stop or a check: warning" => {
                assert_eq!(severity, if starts { "error" } else { "warning" });
            }
            "info, warning or error" => {}
            fixed => assert_eq!(severity, fixed, "{}", what.name()),
        }
    }
    let documented: BTreeSet<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(documented, seen);
}

#[test]
fn every_field_is_documented() {
    let logs = document("LOGS.md");
    let formats = document("FORMATS.md");
    let mut known: BTreeSet<String> = BTreeSet::new();
    for (document, heads) in [
        (&formats, "| field | type | unit | meaning |"),
        (&logs, "| field | type | unit | meaning |"),
    ] {
        known.extend(table(document, heads).into_iter().map(|row| row[0].clone()));
    }
    let door = door("openSSH");
    let mut formatter = formatter(Format::Json, Verbosity::Debug);
    let mut seen = BTreeSet::new();
    for message in everything(&door, SOURCE, "text") {
        let line = formatter.line(&message, AT).text;
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        seen.extend(value.as_object().unwrap().keys().cloned());
    }
    let unknown: Vec<_> = seen.difference(&known).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    // The log has no traces and no frames.
    let unused: Vec<_> = known.difference(&seen).map(String::as_str).collect();
    assert_eq!(unused, ["frame", "trace"]);
}

/// Tells for each pair of an expression and a text whether the one matches the whole other.
fn matches_in_python(pairs: &[(String, String)]) -> Vec<bool> {
    const SCRIPT: &str = "import json, re, sys\n\
        print(json.dumps([re.fullmatch(e, t) is not None for e, t in json.load(sys.stdin)]))";
    let mut python = Command::new("python3")
        .args(["-B", "-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("python3 is needed ({error}): apt-get install python3"));
    let mut input = python.stdin.take().unwrap();
    input.write_all(&serde_json::to_vec(pairs).unwrap()).unwrap();
    drop(input);
    serde_json::from_slice(&python.wait_with_output().unwrap().stdout).unwrap()
}

/// Each expression matches the lines of its row, and no line of another event.
#[test]
fn the_expressions_of_knockds_format_match_their_lines_and_no_others() {
    let rows = knockd_rows();
    let mut pairs = Vec::new();
    for [_, _, expression] in &rows {
        for [_, text, _] in &rows {
            pairs.push((expression.clone(), text.clone()));
        }
    }
    let matched = matches_in_python(&pairs);
    for (row, matched) in rows.iter().zip(matched.chunks(rows.len())) {
        for (other, matched) in rows.iter().zip(matched) {
            let catch_all = row[2].starts_with("warning: (?P<text>");
            let expected = row[2] == other[2] || (catch_all && other[1].starts_with("warning: "));
            assert_eq!(*matched, expected, "{} and {}", row[2], other[1]);
        }
    }
}

#[test]
fn the_expressions_of_rfc_3339_match_every_line() {
    let document = document("LOGS.md");
    let expressions: Vec<String> = blocks(&document, "text")
        .into_iter()
        .filter(|block| block.starts_with("^(?P<time>"))
        .collect();
    let [all, sources] = expressions.as_slice() else { panic!("{expressions:?}") };
    let strange = "a \"b\" = \\c\u{1b}\n";
    let mut said = typical();
    said.extend(everything(&door("openSSH"), "2001:db8::7".parse().unwrap(), strange));
    for (expression, of_source) in [(all, false), (sources, true)] {
        let lines: Vec<String> = lines(Format::Rfc3339, &said)
            .into_iter()
            .filter(|line| !of_source || line.contains(" source="))
            .collect();
        let pairs: Vec<_> =
            lines.into_iter().map(|line| (expression.trim_end().to_owned(), line)).collect();
        for ((_, line), matched) in pairs.iter().zip(matches_in_python(&pairs)) {
            assert!(matched, "{line}");
        }
    }
}

/// Feeds lines to `fail2ban-regex` and returns the addresses that it finds.
fn banned(filter: &str, lines: &[String]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let (log, filter_file) = (folder.path().join("log"), folder.path().join("filter.conf"));
    fs::write(&log, lines.join("\n") + "\n").unwrap();
    fs::write(&filter_file, filter).unwrap();
    let mut command = Command::new("fail2ban-regex");
    command.args(["-o", "<ip>"]).arg(&log).arg(&filter_file).stdin(Stdio::null());
    let output = command.output().unwrap_or_else(|error| {
        panic!("fail2ban-regex is needed ({error}): apt-get install fail2ban")
    });
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Everything, of two sources.
fn of_two_sources() -> Vec<Message> {
    let mut said = everything(&door("openSSH"), SOURCE, "text");
    said.extend(everything(&door("other door"), "2001:db8:0:1::7".parse().unwrap(), "text"));
    said
}

fn filter(name: &str) -> String {
    let blocks = blocks(&document("LOGS.md"), "ini");
    let found = blocks.into_iter().find(|block| block.contains(&format!("/{name}.conf\n")));
    found.unwrap_or_else(|| panic!("no filter {name}"))
}

/// Every documented filter finds the five ways to fail, and who failed.
#[test]
fn fail2ban_finds_who_failed() {
    let said = of_two_sources();
    let syslog: Vec<String> =
        bodies(&said).iter().map(|body| format!("Nov 22 07:44:05 host knockd: {body}")).collect();
    let cases = [
        ("knockd", lines(Format::Knockd, &said)),
        ("knockd", syslog),
        ("knockd-rfc3339", lines(Format::Rfc3339, &said)),
        ("knockd-json", lines(Format::Json, &said)),
    ];
    for (name, lines) in cases {
        let expected = [["192.0.2.7"; 5], ["2001:db8:0:1::7"; 5]].concat();
        assert_eq!(banned(&filter(name), &lines), expected, "{name}: {}", lines[0]);
    }
}

/// Every line that names a source is found by the expression of its row, with that source.
#[test]
fn fail2ban_finds_the_source_in_every_line_that_has_one() {
    let source = "(?P<source>[0-9a-f.:]+)";
    let mut expressions: Vec<String> =
        knockd_rows().into_iter().map(|[_, _, expression]| expression).collect();
    expressions.retain(|expression| expression.starts_with(source));
    expressions.sort_unstable();
    expressions.dedup();
    let failregex = expressions.iter().fold(String::new(), |text, expression| {
        let expression = expression.replace(source, "<ADDR>");
        text + "\n            ^\\s*" + &expression + "$"
    });
    let filter =
        format!("[Definition]\nfailregex ={failregex}\ndatepattern = ^\\[%%Y-%%m-%%d %%H:%%M\\]\n");
    let said = of_two_sources();
    let mut expected = Vec::new();
    for body in bodies(&said) {
        let named = ["192.0.2.7", "2001:db8:0:1::7"].into_iter();
        expected.extend(named.filter(|source| body.starts_with(&format!("{source}: "))));
    }
    assert_eq!(banned(&filter, &lines(Format::Knockd, &said)), expected);
    assert!(expected.len() > 100, "{}", expected.len());
}
