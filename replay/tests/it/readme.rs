//! The documents for visitors: the outputs and commands in `README.md` are real, and no link in
//! any document is broken.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The top folder of the repository.
fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(name: &str) -> String {
    fs::read_to_string(top().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A command of this program, and what the document says that it prints.
struct Shown<'a> {
    arguments: &'a str,
    output: &'a str,
}

/// Returns the fenced console blocks, each of which is a command and its output.
fn shown(document: &str) -> Vec<Shown<'_>> {
    let blocks = document.split("```console\n").skip(1);
    // The client sends something: its tests do that, in networks of their own.
    let blocks = blocks.filter(|block| !block.starts_with("$ knock "));
    let blocks = blocks.map(|rest| {
        let (block, _) = rest.split_once("```").expect("a fence closes");
        let (command, output) = block.split_once('\n').expect("a command with its output");
        let ours = ["$ knock-replay ", "$ cargo run --release -p knock-replay -- "];
        let arguments = ours.iter().find_map(|prefix| command.strip_prefix(prefix));
        let arguments = arguments.unwrap_or_else(|| panic!("not a command of ours: {command}"));
        Shown { arguments, output }
    });
    blocks.collect()
}

#[test]
fn the_outputs_in_the_readme_are_real() {
    let readme = read("README.md");
    let shown = shown(&readme);
    assert!(shown.len() >= 2, "only {} outputs", shown.len());
    for Shown { arguments, output } in shown {
        let mut command = Command::new(env!("CARGO_BIN_EXE_knock-replay"));
        command.current_dir(top()).args(arguments.split(' ')).stdin(Stdio::null());
        command.env_remove("CLICOLOR_FORCE").env_remove("COLUMNS");
        let ran = command.output().expect("the program was built for this test");
        let stdout = String::from_utf8_lossy(&ran.stdout);
        assert!(
            ran.status.success() && stdout == output,
            "knock-replay {arguments}\n({})\n--- the README\n{output}--- stdout\n{stdout}",
            ran.status
        );
    }
}

#[test]
fn the_make_targets_in_the_readme_exist() {
    let makefile = read("Makefile");
    let readme = read("README.md");
    let mut count = 0;
    for line in readme.split(['\n', '`']) {
        let Some(target) = line.trim_start().strip_prefix("make ") else { continue };
        let target = target.split(' ').next().unwrap_or(target);
        assert!(makefile.contains(&format!("\n{target}: ")), "no target for {line:?}");
        count += 1;
    }
    assert!(count >= 4, "only {count} mentions of make");
}

#[test]
fn no_link_between_documents_is_broken() {
    let documents = [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "docs/CI.md",
        "docs/COMPATIBILITY.md",
        "docs/CONFIG.md",
        "docs/DIFF.md",
        "docs/FORMATS.md",
        "docs/LINT.md",
        "docs/LOGS.md",
        "docs/RECORDING.md",
        "docs/SCALE.md",
        "examples/firewalls/README.md",
        "docs/TESTS.md",
        "testdata/README.md",
        "testdata/oracle/README.md",
    ];
    let mut count = 0;
    for document in documents {
        let path = top().join(document);
        let folder = path.parent().expect("a document lies in a folder");
        for rest in read(document).split("](").skip(1) {
            let (target, _) = rest.split_once(')').expect("a link closes");
            if target.contains("://") {
                continue;
            }
            assert!(folder.join(target).exists(), "{document} links to {target}");
            count += 1;
        }
    }
    assert!(count >= 15, "only {count} links");
}
