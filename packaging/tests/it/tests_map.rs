//! The map from rules to the tests that hold them: what is missing there is noticed.

use std::fs;
use std::process::Command;

use crate::run::{Ran, project, run};

/// A name of the map, and a row.
const NAME: &str = "knock-engine::it::rules::s2_a_knock_at_its_deadline_is_late";

/// Lets the script look at the map after a change.
fn check(change: impl Fn(&str) -> String) -> Ran {
    let map = fs::read_to_string(project().join("docs/TESTING.md")).unwrap();
    let changed = change(&map);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("TESTING.md");
    fs::write(&path, changed).unwrap();
    run(Command::new(project().join("ci/check-tests-map")).arg(path))
}

#[test]
fn the_map_is_whole() {
    let Ran { status, said } = check(str::to_owned);
    assert_eq!(status, 0, "{said}");
}

#[test]
fn a_test_that_is_not_there_is_noticed() {
    for (wrong, told) in [
        ("knock-engine::it::rules::s2_a_knock_at_its_deadline_is_early", "has no test"),
        ("knock-engine::it::ruler::s2_a_knock_at_its_deadline_is_late", "has no module ruler"),
        ("knock-engine::at::rules::s2_a_knock_at_its_deadline_is_late", "there is no target at"),
        ("knock-motor::it::rules::s2_a_knock_at_its_deadline_is_late", "there is no package"),
        // A function, but no test.
        ("knock-engine::it::rules::doors", "has no test doors"),
    ] {
        let Ran { status, said } = check(|map| {
            assert!(map.contains(NAME), "the map has changed");
            map.replace(NAME, wrong)
        });
        assert!(status == 1 && said.contains(wrong) && said.contains(told), "{status}: {said}");
    }
}

#[test]
fn a_rule_without_a_row_or_a_test_is_noticed() {
    for id in ["I1", "I18", "S1", "S16"] {
        let row = format!("| {id} |");
        let is_its = |line: &&str| line.starts_with(&row);
        let Ran { status, said } = check(|map| {
            map.lines().filter(|line| !is_its(line)).map(|it| format!("{it}\n")).collect()
        });
        let told = format!("{id} has no row");
        assert!(status == 1 && said.contains(&told), "{status}: {said}");
        let Ran { status, said } = check(|map| {
            let bare = format!("{row} something | nothing |");
            map.lines()
                .map(|it| if is_its(&it) { bare.clone() } else { it.to_owned() } + "\n")
                .collect()
        });
        let told = format!("{id} names no test");
        assert!(status == 1 && said.contains(&told), "{status}: {said}");
        let Ran { status, said } = check(|map| map.replace(&row, &format!("{row}|\n{row}")));
        assert!(status == 1, "{said}");
    }
}

#[test]
fn a_map_that_is_not_there_is_an_error() {
    let Ran { status, said } =
        run(Command::new(project().join("ci/check-tests-map")).arg("none.md"));
    assert!(status == 2 && said.contains("none.md"), "{status}: {said}");
}
