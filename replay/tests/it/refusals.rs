//! Every reason for which knockd 0.8 refuses a config, as it reads.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use knock_replay::knockd08::{Knockd08Config, Refused};

/// How many reasons there are.
const REASONS: usize = 11;

/// Numbers the reasons. Whoever adds one is sent here, and must add a case below.
fn reason(refused: &Refused) -> usize {
    match refused {
        Refused::OutsideSection => 0,
        Refused::EmptySectionName => 1,
        Refused::Directive(_) => 2,
        Refused::Port(_) => 3,
        Refused::Protocol(_) => 4,
        Refused::TooManyKnocks => 5,
        Refused::Flag(_) => 6,
        Refused::NoSequence(_) => 7,
        Refused::UnreadableFile(_) => 8,
        Refused::NoUsableLine(_) => 9,
        Refused::Target(_) => 10,
    }
}

#[test]
fn every_refusal_of_the_original_has_its_message() {
    let many = format!("[s]\nsequence = {}1", "1,".repeat(32));
    let mut reasons = BTreeSet::new();
    let mut told = String::new();
    for text in [
        "sequence = 7000",
        "[]\nsequence = 7000",
        "[s]\nsequenz = 7000",
        "[s]\nsequence",
        "[s]\nmax_strays = 4\nsequence = 7000",
        "[options]\nsequence = 7000",
        "[s]\nsequence = 7000,70000",
        "[s]\nsequence = 7000:sctp",
        &many,
        "[s]\nsequence = 7000\ntcpflags = syn, ack",
        "[s]\ncommand = x",
        "[s]\none_time_sequences = missing",
        "[s]\none_time_sequences = used",
        "[s]\nsequence = 7000\ntarget = server.example",
    ] {
        let mut files = |path: &str| (path == "used").then(|| b"# 7000\n".to_vec());
        let refusal = Knockd08Config::parse(text.as_bytes(), &mut files).unwrap_err();
        reasons.insert(reason(&refusal.what));
        text.lines().for_each(|line| writeln!(told, "| {line}").unwrap());
        writeln!(told, "{refusal}\n").unwrap();
    }
    assert_eq!(reasons, (0..REASONS).collect());
    insta::assert_snapshot!(told);
}
