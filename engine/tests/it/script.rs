//! Scripts: what happens, in a few words a line, and the trace of what came of it.
//!
//! A script has a line per input: milliseconds, then `wake`, `reload`, or a source and a port.
//! A port may be followed by `udp`, `again` (the kernel's retransmission of the source's last
//! packet to that port; any other packet has a port of its own), flags, and `to` a destination.
//! In a trace, times are in milliseconds, and actions in capitals.

#![expect(clippy::unwrap_used, reason = "the lint knows only functions marked as tests")]

use std::time::Duration;

use knock_engine::HashKey;
use knock_engine::config::{Config, Sequences, parse, parse_one_time_lines};
use knock_engine::local::LocalAddresses;
use knock_engine::output::Output;
use knock_engine::packet::{Packet, TcpFlags, Transport};
use knock_engine::time::Timestamp;
use knock_reference::Reference;

use crate::model::{Input, Machine, Subject, check_equal, describe};
use crate::schedule::address;

/// When the scripts begin.
const BASE: Timestamp = Timestamp::from_nanos(1_700_000_000_000_000_000);

/// Runs a script with a config on all machines, and writes what they said.
pub(crate) fn trace(config: &str, script: &str) -> String {
    trace_of(&[config], script)
}

/// Does the same where each `reload` brings the next config.
pub(crate) fn trace_of(configs: &[&str], script: &str) -> String {
    let configs: Vec<_> = configs.iter().map(|text| config(text)).collect();
    let inputs = inputs(script, &configs[1..]);
    let outputs = run::<Reference>(&configs[0], &inputs, HashKey::default());
    for key in [HashKey([0, 0]), HashKey([1, u64::MAX])] {
        let result = check_equal(&run::<Subject>(&configs[0], &inputs, key), &outputs);
        assert!(result.is_ok(), "{}", result.unwrap_err());
    }
    let lines: Vec<_> = outputs.iter().map(|output| describe(output, BASE)).collect();
    lines.join("\n")
}

fn run<M: Machine>(config: &Config, inputs: &[Input], key: HashKey) -> Vec<Output> {
    let local = LocalAddresses::Known(vec![address("192.0.2.1"), address("2001:db8:ff::1")]);
    M::new(config.clone(), local, key).run(inputs)
}

/// Parses a config; its one-time files all have two unused lines.
fn config(text: &str) -> Config {
    let parsed = parse(text.as_bytes());
    assert!(parsed.diagnostics.is_empty(), "{:?}", parsed.diagnostics);
    let mut config = parsed.config.unwrap();
    let (lines, _) = parse_one_time_lines(b"# 1000,2000\n7000,8000\n8000,9000\n");
    for index in 0..config.doors.len() {
        if matches!(config.doors[index].sequences, Sequences::OneTime { .. }) {
            config.set_one_time_lines(index, lines.clone());
        }
    }
    config
}

/// Reads a script.
fn inputs(script: &str, reloads: &[Config]) -> Vec<Input> {
    let mut reloads = reloads.iter();
    let mut packets: Vec<Packet> = Vec::new();
    let mut inputs = Vec::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<_> = line.split_whitespace().collect();
        let at = stamp(words[0]);
        inputs.push(match words[1] {
            "wake" => Input::Wake(at),
            "reload" => Input::Reload(reloads.next().unwrap().clone(), at),
            _ => {
                let packet = packet(&words[1..], &packets);
                packets.push(packet);
                Input::Packet(packet, at)
            }
        });
    }
    inputs
}

/// Reads milliseconds since the beginning, perhaps less a nanosecond.
fn stamp(word: &str) -> Timestamp {
    let (millis, less) = word.strip_suffix("-1ns").map_or((word, 0), |millis| (millis, 1));
    let nanos = millis.parse::<u64>().unwrap() * 1_000_000 - less;
    BASE.saturating_add(Duration::from_nanos(nanos))
}

/// Reads a packet: source, port, and what differs from an initial SYN to a local address.
fn packet(words: &[&str], before: &[Packet]) -> Packet {
    let source = address(words[0]);
    let destination_port = words[1].parse().unwrap();
    let number = u16::try_from(before.len()).unwrap();
    let sequence_number = number.into();
    let local = if source.is_ipv4() { "192.0.2.1" } else { "2001:db8:ff::1" };
    let mut packet = Packet {
        source,
        destination: address(local),
        source_port: 40_000 + number,
        destination_port,
        transport: Transport::Tcp { sequence_number, flags: TcpFlags::SYN },
    };
    let mut rest = words[2..].iter();
    while let Some(word) = rest.next() {
        match *word {
            "again" => {
                let is_same = |its: &&Packet| {
                    (its.source, its.destination_port) == (source, destination_port)
                };
                packet = *before.iter().rev().find(is_same).unwrap();
            }
            "udp" => packet.transport = Transport::Udp,
            "to" => packet.destination = address(rest.next().unwrap()),
            names => {
                packet.transport = Transport::Tcp { sequence_number, flags: flags(names) };
            }
        }
    }
    packet
}

/// Reads flag names; `ecn` stands for the two bits that the engine does not look at.
fn flags(names: &str) -> TcpFlags {
    names.split(',').fold(TcpFlags::NONE, |flags, name| {
        let named = TcpFlags::NAMED.iter().find(|(_, its)| *its == name);
        flags.union(match named {
            Some((flag, _)) => *flag,
            None => {
                assert_eq!(name, "ecn", "an unknown flag");
                TcpFlags::from_bits(0xc0)
            }
        })
    })
}
