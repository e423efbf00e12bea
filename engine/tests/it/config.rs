//! Configs to doors, doors to configs, and every message in between.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod doors;
mod messages;
mod page;
mod samples;

use std::fs;
use std::path::Path;

use knock_engine::config::{Config, Severity, parse};
use knock_engine::local::LocalAddresses;
use knock_engine::{Engine, HashKey};
use proptest::prelude::*;

/// The checks of the fuzz target.
#[path = "../../../fuzz/checks/config.rs"]
mod check;

/// Parses a config that has no problems.
fn config(text: &str) -> Config {
    let parsed = parse(text.as_bytes());
    assert_eq!(parsed.diagnostics, [], "{text}");
    parsed.config.unwrap()
}

/// Returns the severities of a config's problems, in order.
fn severities(text: &str) -> Vec<Severity> {
    parse(text.as_bytes()).diagnostics.iter().map(|found| found.severity).collect()
}

#[test]
fn every_file_of_the_fuzz_corpus_passes_the_checks() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/config");
    let mut files = 0;
    for entry in fs::read_dir(corpus).unwrap() {
        check::check(&fs::read(entry.unwrap().path()).unwrap());
        files += 1;
    }
    assert!(files >= 12, "only {files} files in the corpus");
}

proptest! {
    #[test]
    fn any_bytes_pass_the_checks(text in prop::collection::vec(any::<u8>(), 0..400)) {
        check::check(&text);
    }

    #[test]
    fn anything_like_a_config_passes_the_checks(
        words in prop::collection::vec(prop::sample::select(WORDS), 0..60),
    ) {
        check::check(&words.concat());
    }

    #[test]
    fn a_printed_config_parses_to_itself(config in doors::configs()) {
        let parsed = parse(config.to_string().as_bytes());
        prop_assert_eq!(parsed.config, Some(config));
    }
}

/// What a random config is made of: near enough to the grammar to get behind each of its doors.
const WORDS: &[&[u8]] = &[
    b"\n",
    b"\n",
    b"\n",
    b"\r\n",
    b"[",
    b"]",
    b"[s]\n",
    b"[options]\n",
    b"=",
    b" ",
    b",",
    b":",
    b"/",
    b"#",
    b"-",
    b".",
    b"!",
    b"\0",
    b"\x1b",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xe2\x80\x93",
    b"\xe2\x80\xae",
    b"\xc3\xbc",
    b"usesyslog\n",
    b"logfile=",
    b"interface=",
    b"buffersize=",
    b"statedir=",
    b"onstop=",
    b"logformat=",
    b"loglimit=",
    b"max_leases=",
    b"max_commands=",
    b"command_timeout=",
    b"sequence=",
    b"\nsequence=7000\n",
    b"one_time_sequences=",
    b"seq_timeout=",
    b"tcpflags=",
    b"target=",
    b"allow=",
    b"deny=",
    b"max_strays=",
    b"udp_strays=",
    b"ignore_ports=",
    b"retransmit_window=",
    b"max_failures=",
    b"lockout=",
    b"command=",
    b"stop_command_6=",
    b"cmd_timeout=",
    b"grant=",
    b"sequenz=",
    b"0",
    b"1",
    b"7000",
    b"65536",
    b"99999999999999999999",
    b"ms",
    b"s",
    b"h",
    b"x",
    b"tcp",
    b"udp",
    b"syn",
    b"yes",
    b"off",
    b"any",
    b"eth0",
    b"8M",
    b"json",
    b"keep",
    b"10.0.0.1",
    b"::1",
    b"/24",
    b"%IP%",
];

#[test]
fn an_engine_has_room_for_as_many_doors_as_a_config_can_have() {
    let section = |number| format!("[{number}]\nsequence = 7000,8000:udp\n");
    let text: String = (0..Config::MAX_DOORS).map(section).collect();
    let config = parse(text.as_bytes()).config.unwrap();
    assert_eq!(config.doors.len(), Config::MAX_DOORS);
    let engine = Engine::new(config, LocalAddresses::Unknown, HashKey::default());
    assert!(engine.poll_timeout().is_none());
}
