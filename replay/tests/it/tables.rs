//! What `docs/FORMATS.md` says of the lines of `sweep` and `stats`, beside what they write.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::sweep::{door_of, run_at_top};

const FORMATS: &str = include_str!("../../../docs/FORMATS.md");

/// Returns the part of the document about a command's lines.
fn section(command: &str) -> &'static str {
    let title = format!("## The lines of `{command}`");
    let (_, behind) = FORMATS.split_once(title.as_str()).unwrap();
    behind.split_once("\n## ").map_or(behind, |(section, _)| section)
}

fn collect_fields(value: &Value, fields: &mut BTreeSet<String>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        fields.insert(key.clone());
        // The keys in there are those of a config.
        if key != "set" && key != "smallest" {
            collect_fields(value, fields);
        }
    }
}

/// Compares a command's lines with the document, both ways.
#[track_caller]
fn compare(command: &str, told: &str) {
    let section = section(command);
    let mut fields = BTreeSet::new();
    let mut examples = BTreeMap::<String, Vec<&str>>::new();
    for line in told.lines() {
        let object: Value = serde_json::from_str(line).unwrap();
        collect_fields(&object, &mut fields);
        examples.entry(object["event"].as_str().unwrap().to_owned()).or_default().push(line);
    }
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let documented: BTreeSet<String> = rows.map(str::to_owned).collect();
    assert_eq!(documented, fields, "documented fields of {command}, and those that are written");
    for (event, lines) in &examples {
        let shown = lines.iter().any(|line| section.contains(line));
        assert!(shown, "no example of {event}; it could be\n{}", lines[0]);
    }
    let shown: Vec<&str> = section.lines().filter(|line| line.starts_with("{\"")).collect();
    assert!(shown.len() >= 2, "{shown:?}");
    for example in shown {
        assert!(told.lines().any(|line| line == example), "nothing writes {example}");
    }
}

#[test]
fn the_lines_of_sweep_are_documented() {
    let ran = run_at_top(&format!(
        "sweep -c testdata/lockout.conf --door {} --set max_failures=2,0 --set lockout=300s --format \
         jsonl testdata/lockout.pcap",
        door_of("lockout")
    ));
    compare("sweep", &ran.exits(0).stdout());
    // Every key has its name there.
    let mut named = 0;
    for key in [
        "seq_timeout_ns",
        "max_strays",
        "retransmit_window_ns",
        "cmd_timeout_ns",
        "cooldown_ns",
        "max_failures",
        "failure_window_ns",
        "lockout_ns",
    ] {
        assert!(section("sweep").contains(&format!("`{key}`")), "{key}");
        let set = format!("{}=1", key.trim_end_matches("_ns"));
        let ran = run_at_top(&format!(
            "sweep -c testdata/lockout.conf --door openSSH --set {set} --format jsonl \
             testdata/lockout.pcap"
        ));
        named += usize::from(ran.exits(0).stdout().contains(&format!("\"set\":{{\"{key}\":")));
    }
    assert_eq!(named, 8);
}

#[test]
fn the_lines_of_stats_are_documented() {
    let ran = run_at_top("stats -c testdata/reordered.conf --format jsonl testdata/reordered.pcap");
    compare("stats", &ran.exits(0).stdout());
}
