//! The page itself: its files are real, and its commands print what stands there.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::repository::{Clone, copy, examples, path};
use crate::cli::Folder;

const DOCUMENT: &str = include_str!("../../../../docs/CI.md");

/// Returns the language and the text of every fenced block.
fn blocks() -> Vec<(&'static str, &'static str)> {
    let fenced = DOCUMENT.split("\n```").skip(1).step_by(2);
    fenced.map(|block| block.split_once('\n').unwrap()).collect()
}

#[test]
fn every_file_stands_there_as_it_is() {
    let files = [
        ("bash", "repository/compare"),
        ("yaml", "repository/.github/workflows/knocks.yml"),
        ("yaml", "repository/.gitlab-ci.yml"),
        ("bash", "repository/hooks/pre-commit"),
        ("yaml", "repository/.pre-commit-config.yaml"),
        ("ini", "reload/knocks.conf"),
    ];
    let shown: Vec<_> =
        blocks().into_iter().filter(|block| !["console", "sh"].contains(&block.0)).collect();
    assert_eq!(shown.len(), files.len(), "a block that is no file");
    for ((language, text), (expected, name)) in shown.into_iter().zip(files) {
        let file = fs::read_to_string(examples().join(name)).unwrap();
        assert_eq!((language, format!("{text}\n")), (expected, file), "{name}");
    }
}

/// A copy of the repository with the files of the migration, and without what that makes.
fn migration(test: &str) -> Folder {
    let folder = Folder::new(test);
    copy(&examples().join("repository"), &folder.0);
    for name in ["before.conf", "week.pcap"] {
        fs::copy(examples().join(name), folder.path(name)).unwrap();
    }
    for name in ["knocks.toml", "knocks.pcapng"] {
        fs::remove_file(folder.path(name)).unwrap();
    }
    for name in ["before.conf", "knockd.conf"] {
        fs::set_permissions(folder.path(name), fs::Permissions::from_mode(0o644)).unwrap();
    }
    folder
}

#[test]
fn the_migration_prints_what_stands_there_and_comes_to_the_repository() {
    let folder = migration("ci-migration");
    let mut count = 0;
    for (_, block) in blocks().into_iter().filter(|block| block.0 == "console") {
        let mut printed = String::new();
        for command in block.lines().filter_map(|line| line.strip_prefix("$ ")) {
            let mut bash = Command::new("bash");
            bash.args(["-c", &format!("exec 2>&1; {command}")]).current_dir(&folder.0);
            bash.env("PATH", path()).env_remove("CLICOLOR_FORCE").env_remove("COLUMNS");
            let output = bash.stdin(Stdio::null()).output().unwrap();
            printed.push_str(&format!("$ {command}\n"));
            printed.push_str(&String::from_utf8(output.stdout).unwrap());
            count += 1;
        }
        assert_eq!(printed, format!("{block}\n"));
    }
    assert!(count >= 10, "only {count} commands");
    // What is in the repository was made in that way.
    let repository = examples().join("repository");
    let of_repository = |name: &str| fs::read(repository.join(name)).unwrap();
    assert_eq!(folder.read("knocks.pcapng"), of_repository("knocks.pcapng"));
    assert!(of_repository("knocks.toml").starts_with(&folder.read("knocks.toml")));
}

#[test]
fn the_table_has_every_difference() {
    let folder = migration("ci-differences");
    let arguments = "diff --old before.conf --old-as knockd-0.8 --new before.conf \
        --local 192.0.2.1 --format jsonl week.pcap";
    let mut told: BTreeMap<String, u32> = BTreeMap::new();
    for line in folder.run(arguments).exits(1).stdout().lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let Some(source) = event["source"].as_str() else { continue };
        let [door, event] = ["door", "event"].map(|key| event[key].as_str().unwrap());
        *told.entry(format!("| {source}, `{door}` | {event} |")).or_default() += 1;
    }
    assert_eq!((told.len(), told.values().sum::<u32>()), (5, 16), "{told:?}");
    for (row, count) in told {
        assert!(DOCUMENT.contains(&format!("\n| {count} {row} ")), "{count} {row}");
    }
    assert!(DOCUMENT.contains("\nSixteen openings differ"));
}

#[test]
fn what_begins_a_repository_begins_one() {
    let clone = Clone::new("ci-begin");
    fs::copy(examples().join("week.pcap"), clone.0.path("week.pcap")).unwrap();
    let (_, begin) = blocks().into_iter().find(|block| block.0 == "sh").unwrap();
    clone.succeeds("rm -rf .git knocks.toml knocks.pcapng; git init -q -b main");
    let begin = begin.replace("git commit", "git commit -q -m Begin");
    let said = clone.succeeds(&begin);
    assert!(said.contains("coverage: 8 of 8 knocks"), "{said}");
    assert!(clone.succeeds("git ls-files").contains("knocks.pcapng"));
}
