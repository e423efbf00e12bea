//! `docs/CONFIG.md` against the parser: every key, default, example, error and warning.

use std::collections::BTreeSet;
use std::path::Path;

use knock_engine::config::{Config, Severity, key_pages, parse, parse_one_time_lines};

/// The page.
struct Page(String);

/// A row of a table of keys.
struct Row {
    is_option: bool,
    key: String,
    default: String,
    example: String,
}

impl Page {
    fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/CONFIG.md");
        Self(std::fs::read_to_string(path).unwrap())
    }

    /// Returns the rows, each with its cells, of the tables whose first column has this heading,
    /// each with the heading of the section that it stands in.
    fn rows(&self, first_column: &str) -> Vec<(&str, Vec<&str>)> {
        let mut rows = Vec::new();
        let (mut section, mut is_inside) = ("", false);
        for line in self.0.lines() {
            section = line.strip_prefix("## ").unwrap_or(section);
            let row = line.strip_prefix("| ").and_then(|row| row.strip_suffix(" |"));
            let Some(row) = row else {
                is_inside &= line.starts_with('|');
                continue;
            };
            let cells: Vec<_> = row.split(" | ").collect();
            if is_inside {
                rows.push((section, cells));
            } else {
                is_inside = cells[0] == first_column;
            }
        }
        assert!(!rows.is_empty(), "no table begins with {first_column:?}");
        rows
    }

    /// Returns the rows of all keys.
    fn keys(&self) -> Vec<Row> {
        let rows = self.rows("key").into_iter().map(|(section, cells)| {
            let [key, _, default, example] = cells[..] else { panic!("{cells:?}") };
            Row {
                is_option: section == "`[options]`",
                key: code(key).unwrap().to_owned(),
                default: default.to_owned(),
                example: code(example).unwrap_or_else(|| panic!("{key}: {example}")).to_owned(),
            }
        });
        rows.collect()
    }

    /// Returns the blocks fenced with this language.
    fn blocks(&self, language: &str) -> Vec<&str> {
        let fence = format!("\n```{language}\n");
        let blocks = self.0.split(&fence).skip(1);
        blocks.map(|block| block.split("\n```\n").next().unwrap_or(block)).collect()
    }

    /// Returns the lines that a section's table says are errors, or warnings.
    fn problems(&self, section: &str) -> Vec<&str> {
        let rows = self.rows("line of a door").into_iter();
        let lines = rows.filter(|(its, _)| *its == section).map(|(_, cells)| code(cells[0]));
        lines.map(|line| line.unwrap()).collect()
    }
}

/// Returns what a cell says if it is nothing but code.
fn code(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.strip_suffix('`').filter(|text| !text.contains('`'))
}

/// Returns the keys that the parser knows, from what it says of an unknown one.
fn known_keys(config: &str) -> BTreeSet<String> {
    let parsed = parse(format!("{config}\nxyzzy = 1\n").as_bytes());
    let help = parsed.diagnostics.into_iter().find_map(|found| found.help).unwrap();
    let (_, keys) = help.split_once(" are ").unwrap();
    keys.split(", ").map(str::to_owned).collect()
}

/// A config with one line more than it takes.
fn with(row: &Row, line: &str) -> String {
    let needed = match row.key.as_str() {
        "failure_window" | "lockout" => "max_failures = 3\n",
        _ => "",
    };
    let sequence = if line.starts_with("one_time") { "" } else { "sequence = 1,2\n" };
    match row.is_option {
        true => format!("[options]\n{line}\n[door]\n{sequence}"),
        false => format!("[door]\n{sequence}{needed}{line}\n"),
    }
}

fn config(text: &str) -> Config {
    let parsed = parse(text.as_bytes());
    assert_eq!(parsed.diagnostics, [], "{text}");
    parsed.config.unwrap()
}

#[test]
fn the_page_has_every_key_and_no_other() {
    let page = Page::read();
    for (is_option, config) in [(true, "[options]"), (false, "[door]\nsequence = 1")] {
        let rows = page.keys().into_iter().filter(|row| row.is_option == is_option);
        let documented: Vec<_> = rows.map(|row| row.key.to_lowercase()).collect();
        let distinct: BTreeSet<_> = documented.iter().cloned().collect();
        assert_eq!(documented.len(), distinct.len(), "a key twice in {documented:?}");
        assert_eq!(distinct, known_keys(config));
    }
}

#[test]
fn the_page_says_of_every_key_what_the_parser_s_table_says() {
    let page = Page::read();
    let rows = page.rows("key").into_iter().map(|(section, cells)| {
        let row = format!("| {} |", cells.join(" | "));
        (section.to_owned(), row)
    });
    let expected = key_pages().map(|key| {
        let row =
            format!("| `{}` | {} | {} | `{}` |", key.name, key.value, key.default, key.example);
        (key.group.heading().to_owned(), row)
    });
    let (found, expected): (Vec<_>, Vec<_>) = (rows.collect(), expected.collect());
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected, "engine/src/config/parse/table.rs differs");
    }
    assert_eq!(found.len(), expected.len());
}

#[test]
fn every_example_of_a_key_is_accepted_and_changes_something() {
    for row in Page::read().keys() {
        let written = row.example.split('=').next().unwrap_or_default().trim();
        assert_eq!(written, row.key, "the example of another key");
        assert_ne!(config(&with(&row, &row.example)), config(&with(&row, "")), "{}", row.example);
    }
}

#[test]
fn every_default_is_what_a_door_has_without_the_key() {
    let mut compared = 0;
    for row in Page::read().keys() {
        let Some(default) = code(&row.default) else { continue };
        let line = format!("{} = {default}", row.key);
        assert_eq!(config(&with(&row, &line)), config(&with(&row, "")), "{line}");
        compared += 1;
    }
    assert!(compared >= 11, "only {compared} defaults");
}

#[test]
fn every_example_of_a_file_is_accepted() {
    let page = Page::read();
    let blocks = page.blocks("ini");
    assert!(blocks.len() >= 2, "{blocks:?}");
    for block in blocks {
        assert_eq!(config(block).doors.len(), 1);
    }
    let [block] = page.blocks("one-time")[..] else { panic!("not one one-time file") };
    let (lines, diagnostics) = parse_one_time_lines(block.as_bytes());
    assert_eq!((lines.len(), diagnostics), (2, Vec::new()));
}

#[test]
fn every_error_and_warning_is_one() {
    let page = Page::read();
    for (section, expected) in [("Errors", Severity::Error), ("Warnings", Severity::Warning)] {
        for line in page.problems(section) {
            let text = format!("[door]\nsequence = 1,2\n{line}\n");
            let found = parse(text.as_bytes()).diagnostics;
            let worst = found.iter().map(|found| found.severity).max();
            assert_eq!(worst, Some(expected), "{line}: {found:?}");
            assert!(found.iter().any(|found| found.line == 3), "{line}: {found:?}");
        }
    }
}
