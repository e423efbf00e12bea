//! What the model tells of each lost knock.

use std::net::IpAddr;
use std::time::Duration;

use knock_engine::local::LocalAddresses;
use knock_engine::time::Timestamp;
use knock_replay::knockd08::{
    Decision, DoorRef, Families, HeadEnd, Knockd08, Knockd08Config, LinkLayer, LossReason,
};

use super::generator::{self, Transport};

const A: &str = "192.0.2.1";
const B: &str = "192.0.2.2";

/// A knock: its milliseconds, source, and TCP port.
type Knock = (u64, &'static str, u16);

fn door(index: usize, name: &str) -> DoorRef {
    DoorRef { index, name: name.into() }
}

fn start(config: &str, file: &str) -> Knockd08 {
    let files = &mut |_: &str| Some(file.as_bytes().to_vec());
    let config = Knockd08Config::parse(config.as_bytes(), files).unwrap();
    Knockd08::new(config, LocalAddresses::Unknown, Families::Both).unwrap()
}

fn frame(source: &str, port: u16) -> Vec<u8> {
    let destination = if source.contains(':') { "2001:db8::1" } else { "10.0.0.1" };
    generator::ethernet_frame(source, destination, (Transport::Tcp, port, 2))
}

/// Lists source, door, stage and reason of each loss.
fn losses(knockd: &mut Knockd08) -> Vec<(String, String, usize, LossReason)> {
    knockd.finish();
    let mut losses = Vec::new();
    while let Some(decision) = knockd.poll_output() {
        if let Decision::Lost { step, reason } = decision {
            assert!(!reason.to_string().is_empty() && !reason.name().is_empty());
            losses.push((step.source.to_string(), step.door.name.to_string(), step.stage, reason));
        }
    }
    losses
}

fn check(config: &str, knocks: &[Knock], expected: &[(&str, &str, usize, LossReason)]) {
    let mut knockd = start(config, " 1,2,3\n 4\n 5\n");
    for &(at_ms, source, port) in knocks {
        let at = Timestamp::from_nanos((1_700_000_000_000 + at_ms) * 1_000_000);
        knockd.handle_frame(LinkLayer::Ethernet, &frame(source, port), at);
    }
    let expected = expected.iter().map(|(source, door, stage, reason)| {
        ((*source).to_owned(), (*door).to_owned(), *stage, reason.clone())
    });
    assert_eq!(losses(&mut knockd), expected.collect::<Vec<_>>());
}

const SSH: &str = "[ssh]\nsequence = 7,8,9\nseq_timeout = 5\n";
const SSH_WEB: &str = "[ssh]\nsequence = 7,8,9\nseq_timeout = 5\n[web]\nsequence = 100,200\n";

#[test]
fn everyone_is_forgotten_with_the_first_of_the_list() {
    let head: IpAddr = A.parse().unwrap();
    let forgotten = |end| LossReason::Forgotten { head, head_door: door(0, "ssh"), end };
    let orphan = (B, "ssh", 1, LossReason::Orphaned);
    let lost = [(B, "ssh", 1, forgotten(HeadEnd::Completed)), orphan.clone()];
    check(SSH, &[(0, A, 7), (10, B, 7), (20, A, 8), (30, A, 9), (40, B, 8)], &lost);
    let lost = [
        (A, "ssh", 1, LossReason::WrongPacket),
        (B, "ssh", 1, forgotten(HeadEnd::Failed)),
        orphan.clone(),
    ];
    check(SSH, &[(0, A, 7), (10, B, 7), (20, A, 9), (40, B, 8)], &lost);
    let lost =
        [(A, "ssh", 1, LossReason::Expired), (B, "ssh", 1, forgotten(HeadEnd::Expired)), orphan];
    check(SSH, &[(0, A, 7), (3000, B, 7), (5000, B, 8)], &lost);
}

#[test]
fn a_window_can_be_over_early() {
    let left = LossReason::WholeSeconds { left: Duration::from_millis(899) };
    let orphan = (A, "ssh", 1, LossReason::Orphaned);
    check(SSH, &[(900, A, 7), (5001, A, 8)], &[(A, "ssh", 1, left), orphan]);
}

#[test]
fn each_knock_of_an_attempt_that_is_gone_is_named_once() {
    let failed = LossReason::FailedAnother { failed: door(0, "ssh") };
    let twice = [(0, A, 7), (10, A, 7), (20, A, 8), (30, A, 8), (40, A, 9), (50, A, 9)];
    let lost = [
        (A, "ssh", 1, LossReason::Repeated),
        (A, "ssh", 0, failed),
        (A, "ssh", 1, LossReason::Orphaned),
        (A, "ssh", 2, LossReason::Orphaned),
    ];
    check(SSH, &twice, &lost);
    // A new attempt takes the place of what is gone, and after its window nobody waits for more.
    let wrong = (A, "ssh", 1, LossReason::WrongPacket);
    check(
        SSH,
        &[(0, A, 7), (10, A, 9), (20, A, 7), (30, A, 8), (40, A, 9)],
        std::slice::from_ref(&wrong),
    );
    check(SSH, &[(0, A, 7), (10, A, 9), (5010, A, 8)], &[wrong]);
}

#[test]
fn a_failing_packet_starts_nothing() {
    let failed = LossReason::FailedAnother { failed: door(0, "ssh") };
    let wrong = (A, "ssh", 1, LossReason::WrongPacket);
    check(SSH_WEB, &[(0, A, 7), (10, A, 100)], &[wrong, (A, "web", 0, failed.clone())]);
    let repeated = (A, "ssh", 1, LossReason::Repeated);
    check(SSH_WEB, &[(0, A, 7), (10, A, 7)], &[repeated, (A, "ssh", 0, failed)]);
}

#[test]
fn one_attempt_blocks_another_door() {
    let config = "[ab]\nsequence = 7,8,9\n[b]\nsequence = 8,9\n";
    let blocked = LossReason::Blocked { by: door(0, "ab") };
    let unfinished = (A, "ab", 2, LossReason::Unfinished);
    check(config, &[(0, A, 7), (10, A, 8)], &[(A, "b", 0, blocked), unfinished]);
}

#[test]
fn a_shorter_sequence_swallows_attempts() {
    let config = "[otp]\none_time_sequences = f\n";
    let knocks =
        [(0, B, 22), (0, A, 1), (1, B, 1), (2, B, 2), (3, A, 2), (4, A, 3), (5, B, 4), (6, B, 4)];
    check(config, &knocks, &[(B, "otp", 2, LossReason::SequenceShrank)]);
}

#[test]
fn the_ipv6_filter_keeps_old_ports() {
    let config = "[otp]\none_time_sequences = f\n";
    let source = "2001:db8:f::1";
    let knocks = [(0, source, 1), (1, source, 2), (2, source, 3), (3, source, 4)];
    check(config, &knocks, &[(source, "otp", 3, LossReason::StaleFilter)]);
}

#[test]
fn what_knockd_cannot_read_is_named() {
    let at = Timestamp::from_nanos(1_700_000_000_000_000_000);
    let mut tagged = frame(A, 7);
    tagged.splice(12..12, [0x88, 0xa8, 0, 5, 0x81, 0, 0, 6]);
    let source = "2001:db8:f::1";
    let mut extended = frame(source, 7);
    extended[20] = 0;
    extended.splice(54..54, [6, 0, 0, 0, 0, 0, 0, 0]);
    let raw = frame(source, 7)[14..].to_vec();
    let other_port = {
        let mut frame = frame(A, 22);
        frame.splice(12..12, [0x81, 0, 0, 5]);
        frame
    };
    let cases = [
        (LinkLayer::Ethernet, tagged, A, LossReason::VlanTag),
        (LinkLayer::Ethernet, extended, source, LossReason::Ipv6Extension),
        (LinkLayer::Raw, raw, source, LossReason::Ipv6OnThisLink),
    ];
    for (link, frame, source, reason) in cases {
        let mut knockd = start(SSH, "");
        knockd.handle_frame(LinkLayer::Ethernet, &other_port, at);
        knockd.handle_frame(link, &frame, at);
        let expected = (source.to_owned(), "ssh".to_owned(), 0, reason);
        assert_eq!(losses(&mut knockd), [expected]);
    }
}
