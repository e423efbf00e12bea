//! What the engine answers without changing anything: whether a packet could matter, whether the
//! last one did, and why it did not.

#![expect(clippy::unwrap_used, reason = "the lint knows only functions marked as tests")]

use knock_engine::config::parse;
use knock_engine::local::LocalAddresses;
use knock_engine::packet::{Packet, Protocol, TcpFlags, Transport};
use knock_engine::time::Timestamp;
use knock_engine::{Disregard, Engine, HashKey};
use proptest::prelude::*;

use crate::model::Input;
use crate::schedule::{Scope, address, scenario};

const DOORS: &str = "\
[plain]
sequence = 7000,8000:udp,9000
tcpflags = syn
max_failures = 1
failure_window = 1h
lockout = 1h
[elsewhere]
sequence = 7000
target = 192.0.2.2
[closed]
sequence = 7000
deny = 198.51.100.0/24
[once]
one_time_sequences = lines
";

fn engine(text: &str) -> Engine {
    let local = LocalAddresses::Known(vec![address("192.0.2.1")]);
    Engine::new(parse(text.as_bytes()).config.unwrap(), local, HashKey::default())
}

fn packet(port: u16, number: u16, flags: Option<TcpFlags>) -> Packet {
    let transport = flags
        .map_or(Transport::Udp, |flags| Transport::Tcp { sequence_number: number.into(), flags });
    Packet {
        source: address("198.51.100.7"),
        destination: address("192.0.2.1"),
        source_port: 40_000 + number,
        destination_port: port,
        transport,
    }
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_nanos(1_700_000_000_000_000_000 + millis * 1_000_000)
}

const SYN: Option<TcpFlags> = Some(TcpFlags::SYN);
const ACK: Option<TcpFlags> = Some(TcpFlags::ACK);

#[test]
fn each_reason_why_nothing_happened_has_its_packet() {
    use Disregard::{
        Denied, Disabled, LockedOut, NotFirstKnock, OtherPort, WrongFlags, WrongProtocol,
        WrongTarget,
    };
    let mut engine = engine(DOORS);
    let [plain, elsewhere, closed, once] = [0, 1, 2, 3];
    for (door, sent, expected) in [
        (plain, packet(9000, 1, SYN), NotFirstKnock),
        (plain, packet(7000, 2, ACK), WrongFlags),
        (plain, packet(7000, 3, None), WrongProtocol),
        (plain, packet(8000, 4, SYN), WrongProtocol),
        (plain, packet(4242, 5, SYN), OtherPort),
        (elsewhere, packet(7000, 6, SYN), WrongTarget),
        (closed, packet(7000, 7, SYN), Denied),
        (once, packet(7000, 8, SYN), Disabled),
    ] {
        assert_eq!(engine.disregard(door, &sent), expected, "{sent:?}");
    }
    // Locked out, it is told that and nothing less; what would have kept it out anyway is told
    // first.
    engine.handle_packet(&packet(7000, 10, SYN), at(0));
    engine.handle_packet(&packet(9000, 11, SYN), at(1));
    assert_eq!(engine.disregard(plain, &packet(7000, 12, SYN)), LockedOut);
    assert_eq!(engine.disregard(plain, &packet(7000, 13, ACK)), LockedOut);
    let to_another = Packet { destination: address("192.0.2.3"), ..packet(7000, 14, SYN) };
    assert_eq!(engine.disregard(plain, &to_another), WrongTarget);
    assert_eq!(engine.disregard(elsewhere, &packet(7000, 15, SYN)), WrongTarget);
}

#[test]
fn a_packet_that_changed_something_was_noticed() {
    let mut engine = engine("[door]\nsequence = 7000,8000\ntcpflags = syn\n");
    let mut notices = |sent: Packet, millis| {
        engine.handle_packet(&sent, at(millis));
        engine.was_noticed()
    };
    assert!(!notices(packet(4242, 1, SYN), 0), "a stray without an attempt");
    assert!(!notices(packet(7000, 2, ACK), 1), "no knock");
    assert!(notices(packet(7000, 3, SYN), 2), "the first knock");
    assert!(!notices(packet(9999, 4, None), 3), "it concerns nobody");
    assert!(notices(packet(8000, 5, SYN), 4), "the last knock");
    assert!(!notices(packet(4242, 6, SYN), 5), "a stray without an attempt, again");
}

#[test]
fn a_candidate_is_a_step_or_a_possible_stray() {
    let engine = engine(
        "[door]\nsequence = 7000,8000:udp\ntcpflags = syn\nmax_strays = off\n\
         [other]\nsequence = 7100\ntcpflags = fin\nmax_strays = off\n",
    );
    let tcp = |port, flags| engine.is_candidate(Protocol::Tcp, port, flags);
    let udp = |port| engine.is_candidate(Protocol::Udp, port, TcpFlags::from_bits(0));
    assert!(tcp(7000, TcpFlags::SYN) && tcp(7100, TcpFlags::FIN) && udp(8000));
    assert!(!tcp(8000, TcpFlags::ACK) && !udp(7000) && !udp(7100) && !udp(53));
    assert!(!tcp(443, TcpFlags::ACK), "established traffic is nobody's stray");
}

proptest! {
    /// S5: what is no candidate concerns no door, so it may be dropped unread.
    #[test]
    fn what_concerns_a_door_is_a_candidate(scenario in scenario(Scope::ALL)) {
        let engine =
            Engine::new(scenario.config.clone(), scenario.local.clone(), HashKey::default());
        for input in scenario.inputs() {
            // The first config alone: later ones are others' doors.
            let Input::Packet(packet, _) = input else { break };
            let flags = match packet.transport {
                Transport::Tcp { flags, .. } => flags,
                Transport::Udp => TcpFlags::from_bits(0),
            };
            let is_candidate =
                engine.is_candidate(packet.protocol(), packet.destination_port, flags);
            prop_assert!(is_candidate || !engine.concerns(&packet), "{packet:?}");
        }
    }
}
