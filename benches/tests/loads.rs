//! The generator: the same bytes for the same seed, and in them what the plans say.
#![expect(clippy::unwrap_used, reason = "a test's helper may panic")]

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::process::Command;

use etherparse::{LaxNetSlice, LaxSlicedPacket, TransportSlice};
use knock_benches::data::{LoadFiles, SEED, local_addresses};
use knock_benches::load::{CONFIG, FILTER, KNOCK_PORTS, LOCAL_V4, LOCAL_V6, Load, Scale};
use pcap_file::pcap::PcapReader;

const SMALL: Scale = Scale(NonZeroU32::new(400).unwrap());

/// A packet, as two crates that had no part in writing it read it.
struct Seen {
    at_us: u128,
    source: IpAddr,
    /// The destination port of an initial SYN.
    syn_to: Option<u16>,
    is_udp: bool,
    captured: usize,
    original: u32,
}

fn write(load: Load, seed: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    load.write(SMALL, seed, &mut bytes).unwrap();
    bytes
}

fn read(load: Load) -> Vec<Seen> {
    let bytes = write(load, SEED);
    let mut reader = PcapReader::new(bytes.as_slice()).unwrap();
    let mut seen = Vec::new();
    while let Some(record) = reader.next_packet() {
        let record = record.unwrap();
        let sliced = LaxSlicedPacket::from_ethernet(record.data()).unwrap();
        let (source, destination) = match sliced.net.unwrap() {
            LaxNetSlice::Ipv4(ip) => {
                let header = ip.header();
                (IpAddr::V4(header.source_addr()), IpAddr::V4(header.destination_addr()))
            }
            LaxNetSlice::Ipv6(ip) => {
                let header = ip.header();
                (IpAddr::V6(header.source_addr()), IpAddr::V6(header.destination_addr()))
            }
            LaxNetSlice::Arp(_) => panic!("only IP is sent"),
        };
        let local = [IpAddr::V4(LOCAL_V4), IpAddr::V6(LOCAL_V6)];
        assert!(local.contains(&destination), "{destination} is not this host");
        let (syn_to, is_udp) = match sliced.transport.unwrap() {
            TransportSlice::Tcp(tcp) => {
                let is_initial = tcp.syn() && !tcp.ack() && !tcp.rst() && !tcp.fin();
                (is_initial.then(|| tcp.destination_port()), false)
            }
            TransportSlice::Udp(_) => (None, true),
            TransportSlice::Icmpv4(_) | TransportSlice::Icmpv6(_) | TransportSlice::Igmp(_) => {
                panic!("only TCP and UDP are sent")
            }
        };
        let (captured, original) = (record.data().len(), record.orig_len());
        let at_us = record.timestamp().as_micros();
        seen.push(Seen { at_us, source, syn_to, is_udp, captured, original });
    }
    assert!(seen.is_sorted_by_key(|packet| packet.at_us));
    seen
}

/// Returns the sources that knock the whole sequence, each port once and in order, within
/// the door's 25 s.
fn honest(seen: &[Seen]) -> u64 {
    let mut attempts: BTreeMap<IpAddr, Vec<(u16, u128)>> = BTreeMap::new();
    for packet in seen {
        if let Some(port) = packet.syn_to.filter(|port| KNOCK_PORTS.contains(port)) {
            attempts.entry(packet.source).or_default().push((port, packet.at_us));
        }
    }
    let opens = attempts.values().filter(|knocks| {
        let ports = knocks.iter().map(|(port, _)| *port);
        ports.eq(KNOCK_PORTS) && knocks[2].1 - knocks[0].1 < 25_000_000
    });
    u64::try_from(opens.count()).unwrap()
}

#[test]
fn the_same_seed_makes_the_same_bytes_and_another_seed_others() {
    for load in Load::ALL {
        assert_eq!(write(load, 1), write(load, 1), "{load}");
        assert_ne!(write(load, 1), write(load, 2), "{load}");
    }
}

#[test]
fn every_load_contains_what_its_plan_says() {
    for load in Load::ALL {
        let (plan, seen) = (load.plan(SMALL), read(load));
        let count = |matches: &dyn Fn(u16) -> bool| {
            let syns = seen.iter().filter_map(|packet| packet.syn_to);
            u64::try_from(syns.filter(|port| matches(*port)).count()).unwrap()
        };
        assert_eq!(u64::try_from(seen.len()).unwrap(), plan.packets, "{load}");
        assert_eq!(count(&|port| KNOCK_PORTS.contains(&port)), plan.knock_syns, "{load}");
        assert_eq!(count(&|port| !KNOCK_PORTS.contains(&port)), plan.other_syns, "{load}");
        assert_eq!(honest(&seen), plan.opens, "{load}");
    }
}

#[test]
fn full_size_is_what_the_table_promises() {
    let plans = Load::ALL.map(|load| load.plan(Scale::FULL));
    let figures = plans.map(|plan| (plan.packets, plan.knock_syns, plan.opens));
    let expected = [
        (10_000_000, 100_000, 100),
        (1_000_002, 1_000_002, 1),
        (600_000, 600_000, 200_000),
        (659_630, 120, 40),
    ];
    assert_eq!(figures, expected);
}

#[test]
fn the_background_is_cut_to_96_bytes_and_mixed() {
    let seen = read(Load::P1);
    assert!(seen.iter().all(|packet| (60..=1500).contains(&packet.original)));
    assert!(seen.iter().all(|packet| packet.captured == packet.original.min(96) as usize));
    assert!(seen.iter().any(|packet| packet.original == 60));
    assert!(seen.iter().any(|packet| packet.original == 1500));
    let share = |matches: fn(&Seen) -> bool| {
        1000 * seen.iter().filter(|packet| matches(packet)).count() / seen.len()
    };
    assert!((130..165).contains(&share(|packet| packet.is_udp)));
    assert!((130..165).contains(&share(|packet| packet.source.is_ipv6())));
}

#[test]
fn the_flood_has_distinct_sources_and_lasts_ten_microseconds_each() {
    let seen = read(Load::P2);
    let sources: HashSet<IpAddr> = seen.iter().map(|packet| packet.source).collect();
    assert_eq!(sources.len() + 2, seen.len(), "one source knocks three times, the others once");
    let span_us = seen.last().unwrap().at_us - seen.first().unwrap().at_us;
    assert!(span_us < 10 * u128::try_from(seen.len()).unwrap() + 20, "{span_us}");
}

#[test]
fn the_crowd_starts_a_thousand_a_second() {
    let seen = read(Load::P3);
    let starts: Vec<u128> =
        seen.iter().filter(|packet| packet.syn_to == Some(7000)).map(|p| p.at_us).collect();
    assert!(starts.windows(2).all(|pair| pair[1] - pair[0] == 1000));
}

#[test]
fn the_bulk_is_captured_whole() {
    let seen = read(Load::P4);
    assert!(seen.iter().all(|packet| packet.captured == packet.original as usize));
    let full = seen.iter().filter(|packet| packet.original == 1500).count();
    assert!(full >= seen.len() - 3, "{full} of {}", seen.len());
}

/// Needs `tcpdump`, as the benchmark itself does.
#[test]
fn tcpdump_reads_every_load_and_its_filter_passes_exactly_the_syns() {
    let directory = std::env::temp_dir().join(format!("knock-loads-{}", std::process::id()));
    for load in Load::ALL {
        let files = LoadFiles::new(&directory, load);
        assert!(files.make(load, SMALL, SEED).unwrap(), "nothing was there");
        assert!(!files.make(load, SMALL, SEED).unwrap(), "it need not be made twice");
        let plan = load.plan(SMALL);
        for (filter, expected) in [("", plan.packets), (FILTER, plan.knock_syns + plan.other_syns)]
        {
            let mut command = Command::new("tcpdump");
            command.args(["-n", "-q", "-r"]).arg(&files.trace).arg(filter);
            let output = command.output().expect("tcpdump is installed (apt-get install tcpdump)");
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{load}: {errors}");
            let lines = output.stdout.split(|byte| *byte == b'\n').count() - 1;
            assert_eq!(u64::try_from(lines).unwrap(), expected, "{load} {filter:?}: {errors}");
        }
        assert_eq!(std::fs::read_to_string(&files.config).unwrap(), CONFIG);
        assert_eq!(std::fs::read_to_string(&files.local).unwrap().trim(), local_addresses());
    }
    std::fs::remove_dir_all(&directory).unwrap();
}
