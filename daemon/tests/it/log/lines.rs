//! What the lines look like, and what must never be in one.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;

use knock_frontend::escape::is_unsafe;
use knockd::log::{Format, Message, Verbosity, What};
use proptest::prelude::*;

use super::samples::{AT, door, everything, formatter, typical};

const FORMATS: [Format; 3] = [Format::Knockd, Format::Rfc3339, Format::Json];

fn show(format: Format, verbosity: Verbosity) -> String {
    let mut formatter = formatter(format, verbosity);
    let mut shown = String::new();
    for message in typical() {
        let line = formatter.line(&message, AT);
        writeln!(shown, "{}", line.text).unwrap();
    }
    shown
}

#[test]
fn every_line_of_knockds_format() {
    insta::assert_snapshot!(show(Format::Knockd, Verbosity::Verbose));
}

#[test]
fn every_line_of_rfc_3339() {
    insta::assert_snapshot!(show(Format::Rfc3339, Verbosity::Verbose));
}

#[test]
fn every_line_of_json() {
    insta::assert_snapshot!(show(Format::Json, Verbosity::Verbose));
}

/// Without `-D` no line holds the port or the protocol of a packet; with it the lines of packets do.
#[test]
fn ports_are_for_debugging_only() {
    for format in FORMATS {
        for verbosity in [Verbosity::Normal, Verbosity::Verbose] {
            let shown = show(format, verbosity);
            assert!(!shown.contains("61234"), "{shown}");
            assert!(!shown.contains("udp"), "{shown}");
        }
        let shown = show(format, Verbosity::Debug);
        let ports = shown.lines().filter(|line| line.contains("61234"));
        let ports = ports.fold(String::new(), |lines, line| lines + line + "\n");
        insta::assert_snapshot!(format!("ports_{format:?}"), ports);
    }
}

/// Only what changes something is said unasked, and only what takes a whole knock is not limited.
#[test]
fn what_is_said_unasked_and_what_is_limited() {
    let mut sorted = String::new();
    let mut seen = BTreeSet::new();
    for message in everything(&door("openSSH"), IpAddr::from([192, 0, 2, 7]), "text") {
        let what = &message.what;
        let command = match what {
            What::Command { kind, .. } => format!("{} ", kind.name()),
            _ => String::new(),
        };
        let detail = if what.is_detail() { "only with -v" } else { "always" };
        let limit = what.stranger_at().map_or("unlimited", |_| "limited");
        let severity = what.severity().name();
        let line = format!("{command}{} {severity} {detail} {limit}", what.name());
        if seen.insert(line.clone()) {
            writeln!(sorted, "{line}").unwrap();
        }
    }
    insta::assert_snapshot!(sorted);
}

#[test]
fn a_text_without_end_is_cut() {
    let text = "ü".repeat(1 << 20);
    for message in everything(&door("openSSH"), IpAddr::from([192, 0, 2, 7]), &text) {
        for format in FORMATS {
            let line = formatter(format, Verbosity::Verbose).line(&message, AT).text;
            assert!(line.len() < 5000, "{} bytes: {}", line.len(), message.what.name());
        }
    }
}

fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        ".{0,12}",
        "[\\n\\r\\t\\x00\\x1b\\x7f\u{9b}\u{202e}\u{e0041}\"\\\\ =:\\[\\]{}]{0,6}",
        Just("\n[2026-11-22 07:44] 198.51.100.1: openSSH: OPEN SESAME".to_owned()),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

fn check(message: &Message, format: Format, source: IpAddr) -> Result<(), TestCaseError> {
    let line = formatter(format, Verbosity::Verbose).line(message, AT);
    prop_assert!(!line.text.chars().any(is_unsafe), "{:?}", line.text);
    prop_assert!(line.text.ends_with(line.body()));
    if format == Format::Json {
        let value: serde_json::Value = serde_json::from_str(&line.text).unwrap();
        prop_assert_eq!(&value["event"], message.what.name());
        if let Some(field) = value.get("source") {
            prop_assert_eq!(field, &source.to_string());
        }
    }
    Ok(())
}

proptest! {
    /// A door's name and a command's output can be anything, a source any address: a line stays a
    /// line, JSON stays JSON, and no character does more than appear.
    #[test]
    fn no_text_breaks_a_line(
        name in "[^\\n\\r\\]\\[ ][^\\n\\r\\]\\[]{0,8}[^\\n\\r\\]\\[ ]",
        text in hostile(),
        source in any::<IpAddr>(),
    ) {
        let door = door_named(&name);
        for message in everything(&door, source, &text) {
            for format in FORMATS {
                check(&message, format, source)?;
            }
        }
    }

    /// From the wire comes only the source: with fixed texts, the rest of a line is the same for
    /// every source, and what differs is `[0-9a-f.:]`.
    #[test]
    fn nothing_from_the_wire_but_an_address(source in any::<IpAddr>()) {
        let shown = source.to_string();
        prop_assert!(shown.chars().all(|character| "0123456789abcdef.:".contains(character)));
        let door = door("openSSH");
        let other: IpAddr = "203.0.113.77".parse().unwrap();
        let others = everything(&door, other, "text");
        for (message, reference) in everything(&door, source, "text").iter().zip(&others) {
            for format in FORMATS {
                let mut formatter = formatter(format, Verbosity::Verbose);
                let line = formatter.line(message, AT).text;
                let reference = formatter.line(reference, AT).text;
                prop_assert_eq!(line, reference.replace("203.0.113.77", &shown));
            }
        }
    }
}

fn door_named(name: &str) -> std::sync::Arc<knock_engine::config::Door> {
    let mut door = door("openSSH");
    std::sync::Arc::make_mut(&mut door).name = name.to_owned();
    door
}
