//! Configs in the manner in which people publish them, and those of `testdata/`.
//!
//! In `published/` a comment `# finds: CODE ...` says what is to be found in the next line, and
//! nothing else may be.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::{Config, repository_file};

const PUBLISHED: &str = "replay/tests/it/lint/published";

/// Returns the names of the configs in a folder of the repository, without `.conf`.
fn configs(folder: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    let names = fs::read_dir(folder).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| name.strip_suffix(".conf").map(str::to_owned)).collect()
}

/// Returns what a config says is to be found: lines with codes.
fn expected(text: &str) -> BTreeSet<(u64, String)> {
    let lines = (2..).zip(text.lines());
    let expected = lines.filter_map(|(next, line)| {
        let codes = line.trim_start().strip_prefix("# finds: ")?;
        Some(codes.split(' ').map(move |code| (next, code.to_owned())))
    });
    expected.flatten().collect()
}

#[test]
fn published_configs_have_the_findings_that_they_should() {
    let names = configs(PUBLISHED);
    assert_eq!(names.len(), 20);
    let mut wrong = String::new();
    for name in names {
        let text = repository_file(&format!("{PUBLISHED}/{name}.conf"));
        let config = Config::new(&format!("published/{name}"), &text);
        let found: BTreeSet<_> = config
            .findings()
            .iter()
            .map(|it| (it["line"].as_u64().unwrap(), it["code"].as_str().unwrap().to_owned()))
            .collect();
        let expected = expected(&text);
        for (line, code) in found.difference(&expected) {
            writeln!(wrong, "{name}:{line}: {code} is found, but not expected").unwrap();
        }
        for (line, code) in expected.difference(&found) {
            writeln!(wrong, "{name}:{line}: {code} is expected, but not found").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_configs_of_the_captures_have_the_findings_that_they_should() {
    let mut told = String::new();
    for name in configs("testdata") {
        let text = repository_file(&format!("testdata/{name}.conf"));
        // One-time files are named from the top folder.
        let text = text.replace("testdata/", "");
        let config = Config::new(&format!("testdata/{name}"), &text);
        if let Some((_, rest)) = text.split_once("one_time_sequences") {
            let file = rest.lines().next().unwrap().trim_start_matches([' ', '=']);
            config.write(file, repository_file(&format!("testdata/{file}")));
        }
        let findings = config.findings();
        let codes: Vec<_> = findings
            .iter()
            .map(|it| format!("{}:{}", it["line"], it["code"].as_str().unwrap()))
            .collect();
        writeln!(told, "{name}: {}", codes.join(" ")).unwrap();
    }
    insta::assert_snapshot!(told);
}
