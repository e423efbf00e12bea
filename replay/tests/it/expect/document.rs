//! `docs/TESTS.md`: its examples are run, and every key is in it.

use std::collections::BTreeSet;
use std::fs;

use super::top;
use crate::cli::{Folder, pcap_of, syn};

fn document() -> String {
    fs::read_to_string(top().join("docs/TESTS.md")).unwrap()
}

/// Returns the blocks of a language, in their order.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    let behind = text.split(fence.as_str()).skip(1);
    behind.filter_map(|rest| rest.split("```").next()).collect()
}

fn folder(test: &str) -> Folder {
    let folder = Folder::new(test);
    let knock = [7000, 8000, 9000].map(|port| syn([198, 51, 100, 7], 40_000 + port, port));
    folder.write("knocks.pcap", &pcap_of(1, knock.into_iter()));
    folder
}

#[test]
fn every_example_passes() {
    let text = document();
    let examples = blocks(&text, "toml");
    assert!(examples.len() >= 6, "only {} examples", examples.len());
    let folder = folder("expect_document");
    folder.write("once.conf", b"[once]\none_time_sequences = /etc/knockd/once.txt\n");
    folder.write("once.txt", b"7000,8000\n");
    for (number, example) in examples.iter().enumerate() {
        // A piece of a case stands in a case.
        let is_whole = example.contains("[[case]]");
        let mut file = String::new();
        if !is_whole {
            file.push_str("[[case]]\nname = \"example\"\n");
        }
        if !example.contains("config") {
            file.insert_str(0, "config = \"knockd.conf\"\n");
        }
        file.push_str(example);
        if !example.contains("knocks =") && !example.contains("captures =") {
            file.push_str("captures = [\"knocks.pcap\"]\n");
        }
        let name = format!("example-{number}.toml");
        folder.write(&name, file.as_bytes());
        let ran = folder.run(&format!("test {name}"));
        assert_eq!(ran.output.status.code(), Some(0), "{file}\n{ran}");
    }
}

#[test]
fn what_is_shown_is_what_is_printed() {
    let text = document();
    let folder = folder("expect_document_console");
    folder.write("late.toml", blocks(&text, "toml")[0].as_bytes());
    folder.write("slow.toml", blocks(&text, "text")[0].as_bytes());
    let mut count = 0;
    for block in blocks(&text, "console") {
        let (command, output) = block.split_once('\n').unwrap();
        let arguments = command.strip_prefix("$ knock-replay ").unwrap();
        assert_eq!(folder.run(arguments).stdout(), output, "{command}");
        count += 1;
    }
    assert!(count >= 2, "only {count} commands");
}

#[test]
fn every_key_and_event_is_described() {
    let text = document();
    for key in [
        "config",
        "config_text",
        "local",
        "name",
        "one_time",
        "captures",
        "knocks",
        "resync",
        "exhaustive",
        "expect",
        "event",
        "door",
        "source",
        "count",
        "at_least",
        "at_most",
        "from",
        "to",
        "open_for",
        "open_at_least",
        "open_at_most",
    ] {
        assert!(text.contains(&format!("| `{key}` |")), "{key}");
    }
    // The error of an unknown key names all that there are: none is left out above.
    let folder = Folder::new("expect_document_keys");
    folder.write("wrong.toml", b"[[case]]\nwrong = 1\n[[case.expect]]\nwrong = 1\n");
    let told = folder.run("test wrong.toml").stderr();
    let (_, known) = told.split_once("expected one of").unwrap();
    let known = known.lines().next().unwrap();
    for key in known.split('`').skip(1).step_by(2) {
        assert!(text.contains(&format!("| `{key}` |")), "{key}");
    }
}

fn section() -> String {
    let text = fs::read_to_string(top().join("docs/FORMATS.md")).unwrap();
    let (_, behind) = text.split_once("## The lines of `test`").unwrap();
    behind.split("\n## ").next().unwrap().to_owned()
}

fn collect_fields(value: &serde_json::Value, fields: &mut BTreeSet<String>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        fields.insert(key.clone());
        collect_fields(value, fields);
    }
    value.as_array().into_iter().flatten().for_each(|value| collect_fields(value, fields));
}

#[test]
fn the_lines_are_described_field_by_field() {
    let section = section();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let described: BTreeSet<String> = rows.map(str::to_owned).collect();
    let mut told = BTreeSet::new();
    let folder = super::folder("expect_document_fields");
    folder.write("half.toml", b"[[case]]\nname = \"half\"\nconfig = \"knockd.conf\"\nknocks = \"198.51.100.7 7000/tcp\"\nexpect = []\n");
    for arguments in ["cases.toml", "--coverage half.toml"] {
        let ran = folder.run(&format!("test --format jsonl {arguments}"));
        for line in ran.stdout().lines() {
            collect_fields(&serde_json::from_str(line).unwrap(), &mut told);
        }
    }
    assert_eq!(described, told);
}

#[test]
fn the_example_of_the_lines_is_real() {
    let folder = folder("expect_document_lines");
    folder.write("slow.toml", blocks(&document(), "text")[0].as_bytes());
    let ran = folder.run("test --format jsonl --coverage slow.toml");
    let section = section();
    let example = section.lines().filter_map(|line| line.strip_prefix("    "));
    let example: Vec<&str> = example.filter(|line| line.starts_with('{')).collect();
    assert_eq!(ran.stdout().lines().collect::<Vec<_>>(), example);
}
