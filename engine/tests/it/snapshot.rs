//! What a recording rests on: a snapshot is the whole state, and packets that were not noticed can
//! be left out.

#![expect(clippy::unwrap_used, reason = "the lint knows only functions marked as tests")]

use std::sync::Arc;
use std::time::Duration;

use knock_engine::config::KnockFlags;
use knock_engine::local::LocalAddresses;
use knock_engine::output::Output;
use knock_engine::packet::{Packet, TcpFlags, Transport};
use knock_engine::snapshot::Snapshot;
use knock_engine::time::Timestamp;
use knock_engine::{Engine, HashKey};
use proptest::prelude::*;

use crate::model::{Input, Machine, describe, stamp};
use crate::schedule::{Scenario, Scope, scenario};

const KEY: HashKey = HashKey([3, 5]);

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.saturating_mul(4),
        ..ProptestConfig::default()
    })]

    /// An engine that is put aside and taken up again after some inputs says what it would have
    /// said, up to the last deadline.
    #[test]
    fn a_snapshot_is_the_whole_state(scenario in scenario(Scope::ALL), every in 1_usize..6) {
        let scenario = of_a_file(scenario);
        let mut straight = engine(&scenario);
        let mut resumed = engine(&scenario);
        for (index, input) in scenario.inputs().iter().enumerate() {
            straight.handle(input);
            resumed.handle(input);
            prop_assert_eq!(told(&straight.drain()), told(&resumed.drain()));
            if index % every == 0 {
                resumed = resume(&resumed);
                prop_assert_eq!(straight.stats().places, resumed.stats().places);
                prop_assert_eq!(straight.stats().attempts, resumed.stats().attempts);
                prop_assert_eq!(straight.stats().leases, resumed.stats().leases);
            }
        }
        prop_assert_eq!(told(&straight.settle()), told(&resumed.settle()));
    }

    /// An engine that is given only the packets that another one noticed, and is woken where its
    /// deadlines fired, says the same. (Its clock never steps back: a live daemon's does not.)
    #[test]
    fn what_is_not_noticed_can_be_left_out(scenario in scenario(Scope::ALL)) {
        let mut live = engine(&scenario);
        let mut replayed = engine(&scenario);
        let mut left_out = 0;
        for input in monotonic(&scenario.inputs()) {
            live.handle(&input);
            let now = stamp(&input);
            match (&input, now) {
                (Input::Packet(..), _) if live.was_noticed() => replayed.handle(&input),
                (Input::Packet(..) | Input::Wake(_), Some(now)) => {
                    left_out += 1;
                    if live.has_output() {
                        replayed.handle_timeout(now);
                    }
                }
                _ => replayed.handle(&input),
            }
            prop_assert_eq!(told(&live.drain()), told(&replayed.drain()), "{} left out", left_out);
        }
        prop_assert_eq!(told(&live.settle()), told(&replayed.settle()));
    }
}

#[test]
fn a_snapshot_has_the_newest_of_too_many_and_says_how_many_it_left_out() {
    let config = "[a]\nsequence = 7000,8000\n[b]\nsequence = 7000:udp,8001\nmax_failures = 3\n";
    let config = knock_engine::config::parse(config.as_bytes()).config.unwrap();
    let mut engine = Engine::new(config.clone(), LocalAddresses::Unknown, KEY);
    for number in 0..10_u8 {
        engine.handle_packet(&syn(number, 7000), at(number.into()));
    }
    assert_eq!(engine.drain().len(), 10);
    let whole = engine.snapshot(10);
    assert_eq!((whole.places.len(), whole.left_out), (10, 0));
    let part = engine.snapshot(4);
    assert_eq!((part.places.as_slice(), part.left_out), (&whole.places[6..], 6));
    let mut resumed = Engine::restore(config, LocalAddresses::Unknown, KEY, &part);
    assert_eq!(resumed.settle().len(), 4);
}

fn engine(scenario: &Scenario) -> Engine {
    Engine::new(scenario.config.clone(), scenario.local.clone(), KEY)
}

/// Makes the config one that a file could have: the doors of leases go through text.
fn of_a_file(mut scenario: Scenario) -> Scenario {
    for door in &mut scenario.config.doors {
        if let Some(limit) = &mut Arc::make_mut(door).failure_limit {
            limit.lockout = limit.lockout.max(Duration::from_millis(1));
        }
        // No line of a config says that flags don't matter.
        if door.flags.to_string().is_empty() {
            Arc::make_mut(door).flags = KnockFlags::default();
        }
        let parsed = knock_engine::config::parse(door.to_string().as_bytes());
        assert!(parsed.config.is_some(), "{door}{:?}", parsed.diagnostics);
    }
    scenario
}

/// Puts an engine aside, as text, and takes it up again.
fn resume(engine: &Engine) -> Engine {
    let text = serde_json::to_string(&engine.snapshot(usize::MAX)).unwrap();
    let snapshot: Snapshot = serde_json::from_str(&text).unwrap();
    Engine::restore(engine.config(), engine.local_addresses().clone(), KEY, &snapshot)
}

/// Returns outputs as text. Two doors that differ in lines that are used up are the same door.
fn told(outputs: &[Output]) -> Vec<String> {
    outputs.iter().map(|output| describe(output, Timestamp::ZERO)).collect()
}

/// Makes stamps that step back stand still.
fn monotonic(inputs: &[Input]) -> Vec<Input> {
    let mut latest = Timestamp::ZERO;
    let mut forward = |at: Timestamp| {
        latest = latest.max(at);
        latest
    };
    let input = |input: &Input| match input {
        Input::Packet(packet, at) => Input::Packet(*packet, forward(*at)),
        Input::Wake(at) => Input::Wake(forward(*at)),
        Input::Reload(config, at) => Input::Reload(config.clone(), forward(*at)),
        Input::Local(local) => Input::Local(local.clone()),
    };
    inputs.iter().map(input).collect()
}

fn syn(number: u8, port: u16) -> Packet {
    Packet {
        source: [198, 51, 100, number].into(),
        destination: [192, 0, 2, 1].into(),
        source_port: 40_000,
        destination_port: port,
        transport: Transport::Tcp { sequence_number: number.into(), flags: TcpFlags::SYN },
    }
}

fn at(second: u64) -> Timestamp {
    Timestamp::from_nanos(second * 1_000_000_000)
}
