//! The capture filter, in libpcap's own interpreter, beside what the engine says concerns a door.

#![expect(clippy::unwrap_used, reason = "a test may panic where its own data is wrong")]

use std::collections::HashMap;
use std::sync::Arc;

use knock_engine::config::{
    Config, Door, Knock, KnockFlags, OneTimeLine, Options, PortRange, PortSet, Sequence, Sequences,
    parse,
};
use knock_engine::local::LocalAddresses;
use knock_engine::packet::{Protocol, TcpFlags};
use knock_engine::wire::{LinkType, decode};
use knock_engine::{Engine, HashKey};
use knockd::capture::{Filter, FilterError, IpVersions, MAX_INSTRUCTIONS};
use pcap::BpfProgram;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::frames::{
    EXTENSION_HEADERS, Frame, LIVE_LINKS, frames, on_link, plain_ipv4, transport, with_extensions,
};

/// Ports that random configs and frames share.
const PORTS: [u16; 8] = [1, 53, 443, 7000, 7001, 7003, 9000, 65_535];

fn config(text: &str) -> Config {
    let parsed = parse(text.as_bytes());
    parsed.config.unwrap_or_else(|| panic!("{:?}", parsed.diagnostics))
}

fn filter(text: &str) -> Filter {
    Filter::new(&config(text), IpVersions::Both)
}

/// A door with these steps and further lines, which runs something.
fn door(sequence: &str, more: &str) -> String {
    format!("[options]\n[door]\nsequence = {sequence}\nstart_command = true\n{more}\n")
}

fn knocks() -> impl Strategy<Value = Sequence> {
    let protocol = select(vec![Protocol::Tcp, Protocol::Udp]);
    let port = select(PORTS.to_vec());
    let knock = (protocol, port)
        .prop_map(|(protocol, port)| Knock { protocol, port: port.try_into().unwrap() });
    vec(knock, 1..4).prop_map(|knocks| Sequence::new(knocks).unwrap())
}

fn sequences() -> impl Strategy<Value = Sequences> {
    let lines = vec(knocks(), 0..4).prop_map(|sequences| {
        let lines = (1..).zip(sequences).map(|(number, sequence)| OneTimeLine { number, sequence });
        Sequences::OneTime { path: "/x".to_owned(), lines: lines.collect() }
    });
    prop_oneof![3 => knocks().prop_map(Sequences::Fixed), 1 => lines]
}

fn knock_flags() -> impl Strategy<Value = KnockFlags> {
    let flags = (0..64_u8).prop_map(TcpFlags::from_bits);
    let random = (flags.clone(), flags).prop_map(|(yes, no)| KnockFlags::new(yes, no));
    prop_oneof![2 => Just(KnockFlags::default()), 1 => random]
}

fn ignored() -> impl Strategy<Value = PortSet> {
    let protocol = option::of(select(vec![Protocol::Tcp, Protocol::Udp]));
    let range = (protocol, any::<u16>(), any::<u16>(), select(PORTS.to_vec()), any::<bool>());
    let range = range.prop_map(|(protocol, a, b, port, is_single)| {
        let (first, last) = if is_single { (port, port) } else { (a.min(b), a.max(b)) };
        PortRange { protocol, first, last }
    });
    vec(range, 0..3).prop_map(PortSet::new)
}

fn random_doors() -> impl Strategy<Value = Vec<Door>> {
    let settings = (option::weighted(0.5, 0..9_u16), option::of(any::<bool>()));
    let random = (sequences(), knock_flags(), ignored(), settings);
    let random = random.prop_map(|(sequences, flags, ignore_ports, (max_strays, udp_strays))| {
        let door = Door::new("door", sequences);
        Door { flags, ignore_ports, max_strays, udp_strays, ..door }
    });
    vec(random, 0..4)
}

pub(crate) fn with_doors(doors: impl IntoIterator<Item = Door>) -> Config {
    Config { options: Options::default(), doors: doors.into_iter().map(Arc::new).collect() }
}

/// The engines that a config can become while it runs: those whose one-time doors have used some
/// lines.
fn engines(doors: &[Door]) -> Vec<Engine> {
    let after = |used: usize| {
        let mut doors = doors.to_vec();
        for door in &mut doors {
            if let Sequences::OneTime { lines, .. } = &mut door.sequences {
                lines.drain(..used.min(lines.len()));
            }
        }
        Engine::new(with_doors(doors), LocalAddresses::Unknown, HashKey::default())
    };
    (0..4).map(after).collect()
}

fn concerns(engine: &Engine, frame: &Frame) -> bool {
    decode(frame.link, &frame.bytes).is_ok_and(|segment| engine.concerns(&segment.packet()))
}

fn programs(filter: &Filter) -> HashMap<LinkType, BpfProgram> {
    LIVE_LINKS.into_iter().map(|link| (link, filter.compile(link).unwrap())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_concerns_a_door_passes(
        doors in random_doors(),
        frames in vec(frames(PORTS.to_vec()), 200),
    ) {
        let filter = Filter::new(&with_doors(doors.clone()), IpVersions::Both);
        let programs = programs(&filter);
        for engine in engines(&doors) {
            for frame in frames.iter().filter(|frame| concerns(&engine, frame)) {
                let passes = programs[&frame.link].filter(&frame.bytes);
                prop_assert!(passes, "{frame:?} does not pass {:?}", filter.text(frame.link));
            }
        }
    }

    #[test]
    fn with_only_ipv4_whatever_concerns_a_door_and_is_ipv4_passes(
        doors in random_doors(),
        frames in vec(frames(PORTS.to_vec()), 100),
    ) {
        let filter = Filter::new(&with_doors(doors.clone()), IpVersions::OnlyV4);
        let programs = programs(&filter);
        for engine in engines(&doors) {
            for frame in frames.iter().filter(|frame| concerns(&engine, frame)) {
                let segment = decode(frame.link, &frame.bytes).unwrap();
                if segment.packet().source.is_ipv4() {
                    prop_assert!(programs[&frame.link].filter(&frame.bytes), "{frame:?}");
                }
            }
        }
    }
}

/// Whether a whole segment passes, alone in an IPv4 packet and in an IPv6 packet.
fn passes(filter: &Filter, protocol: u8, port: u16, flags: u8) -> [bool; 2] {
    let segment = transport(protocol, [40_000, port], flags);
    let program = filter.compile(LinkType::Ethernet).unwrap();
    let v4 = on_link(LinkType::Ethernet, &[], 4, &plain_ipv4(protocol, 0, 0, &segment));
    let v6 = on_link(LinkType::Ethernet, &[], 6, &with_extensions(&[], protocol, &segment));
    [v4, v6].map(|frame| program.filter(&frame.bytes))
}

const TCP: u8 = 6;
const UDP: u8 = 17;
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

#[test]
fn with_default_doors_only_initial_syns_and_udp_steps_pass() {
    let filter = filter(&door("7000,8000:udp,443", ""));
    for port in [443, 7000, 22, 65_535] {
        assert_eq!(passes(&filter, TCP, port, SYN), [true; 2], "{port}");
        for flags in [ACK, ACK | PSH, SYN | ACK, FIN | ACK, RST, RST | ACK, FIN, 0] {
            assert_eq!(passes(&filter, TCP, port, flags), [false; 2], "{port} {flags:#x}");
        }
    }
    assert_eq!(passes(&filter, UDP, 8000, 0), [true; 2]);
    for port in [53, 443, 7000, 7999, 8001] {
        assert_eq!(passes(&filter, UDP, port, 0), [false; 2], "{port}");
    }
    assert_eq!(passes(&filter, 1, 8000, 0), [false; 2], "ICMP");
    let later = plain_ipv4(UDP, 0, 1, &transport(UDP, [1, 8000], 0));
    let later = on_link(LinkType::Ethernet, &[], 4, &later);
    assert!(!filter.compile(LinkType::Ethernet).unwrap().filter(&later.bytes));
}

#[test]
fn without_strays_only_the_knock_ports_pass() {
    let filter = filter(&door("7000,8000:udp,443", "max_strays = off"));
    for port in [443, 7000] {
        assert_eq!(passes(&filter, TCP, port, SYN), [true; 2], "{port}");
        assert_eq!(passes(&filter, TCP, port, ACK), [false; 2], "{port}");
    }
    for (protocol, port) in [(TCP, 22), (TCP, 8000), (UDP, 7000), (UDP, 53)] {
        assert_eq!(passes(&filter, protocol, port, SYN), [false; 2], "{port}");
    }
    assert_eq!(passes(&filter, UDP, 8000, 0), [true; 2]);
}

#[test]
fn ports_that_are_ignored_stay_in_the_kernel_unless_they_are_steps() {
    let filter = filter(&door("7000:udp,53:udp", "ignore_ports = 53:udp,443"));
    for port in [7000, 53, 54, 52, 65_535] {
        assert_eq!(passes(&filter, UDP, port, 0), [true; 2], "{port}");
    }
    assert_eq!(passes(&filter, UDP, 443, 0), [false; 2]);
    assert_eq!(passes(&filter, TCP, 443, SYN), [false; 2]);
    assert_eq!(passes(&filter, TCP, 53, SYN), [true; 2]);
}

#[test]
fn two_tests_of_the_same_flags_are_not_optimised_into_a_wrong_one() {
    // The optimiser of libpcap 1.10.3 drops what the second test of IPv6 reads.
    let filter = filter(&door("1", "tcpflags = fin,rst,ack,!syn"));
    for port in [1, 22] {
        assert_eq!(passes(&filter, TCP, port, FIN | RST | ACK), [true; 2], "{port}");
        assert_eq!(passes(&filter, TCP, port, FIN | RST | ACK | 0x40), [true; 2], "{port}");
        assert_eq!(passes(&filter, TCP, port, SYN), [true; 2], "{port}");
        assert_eq!(passes(&filter, TCP, port, FIN | ACK), [false; 2], "{port}");
    }
}

#[test]
fn what_a_filter_cannot_look_into_passes_whole() {
    let filter = filter(&door("7000", "max_strays = off"));
    let other = transport(UDP, [1, 2], 0);
    for link in LIVE_LINKS {
        let program = filter.compile(link).unwrap();
        for kind in EXTENSION_HEADERS {
            let chain = on_link(link, &[], 6, &with_extensions(&[(kind, 0)], UDP, &other));
            assert!(program.filter(&chain.bytes), "{link}, extension header {kind}");
        }
        for kind in [50, 58, 59] {
            let chain = on_link(link, &[], 6, &with_extensions(&[(kind, 0)], UDP, &other));
            assert!(!program.filter(&chain.bytes), "{link}, next header {kind}");
        }
        for tag in [0x8100, 0x88a8, 0x9100].into_iter().filter(|_| link != LinkType::Raw) {
            let tagged = on_link(link, &[tag], 4, &plain_ipv4(UDP, 0, 0, &other));
            assert!(program.filter(&tagged.bytes), "{link}, {tag:#x}");
        }
    }
}

#[test]
fn a_config_that_opens_nothing_hears_nothing() {
    let used_up = Sequences::OneTime { path: "/x".to_owned(), lines: Vec::new() };
    let filter = Filter::new(&with_doors([Door::new("door", used_up)]), IpVersions::Both);
    assert!(filter.is_empty());
    for (protocol, flags) in [(TCP, SYN), (UDP, 0)] {
        assert_eq!(passes(&filter, protocol, 7000, flags), [false; 2]);
    }
}

/// A door of these TCP flags with far more knock ports than a filter names, in runs of `width`.
pub(crate) fn door_of_many_ports(flags: u8, width: u16) -> Door {
    let lines = (0..2000_u16).map(|number| {
        let port = number / width * (width + 20) + number % width + u16::from(flags) % 7 + 1;
        let port = port.try_into().unwrap();
        let knocks = [Protocol::Tcp, Protocol::Udp].map(|protocol| Knock { protocol, port });
        let sequence = Sequence::new(knocks.to_vec()).unwrap();
        OneTimeLine { number: usize::from(number), sequence }
    });
    let sequences = Sequences::OneTime { path: "/x".to_owned(), lines: lines.collect() };
    let flags = KnockFlags::new(TcpFlags::from_bits(flags), TcpFlags::SYN);
    Door { max_strays: None, flags, ..Door::new("door", sequences) }
}

#[test]
fn the_longest_filters_are_short_enough() {
    let mut longest = 0;
    for (tests, width) in [1, 2, 3, 4, 5].into_iter().flat_map(|tests| [(tests, 1), (tests, 2)]) {
        let doors = (0..tests).map(|number| door_of_many_ports(number * 2 + 1, width));
        let filter = Filter::new(&with_doors(doors), IpVersions::Both);
        for link in LIVE_LINKS {
            let length = filter.compile(link).unwrap().get_instructions().len();
            longest = longest.max(length);
        }
    }
    assert!((900..=MAX_INSTRUCTIONS / 4).contains(&longest), "{longest}");
}

#[test]
fn link_types_that_are_never_live_are_errors() {
    let filter = filter(&door("7000", ""));
    for link in [LinkType::Null, LinkType::Loop, LinkType::Ipv4, LinkType::Ipv6] {
        assert_eq!(filter.text(link), Err(FilterError::LinkType(link)));
    }
}

#[test]
fn filters_are_written_to_be_read() {
    let text = |text: &str, versions: IpVersions, link: LinkType| {
        Filter::new(&config(text), versions).text(link).unwrap()
    };
    let both = |lines: &str| text(lines, IpVersions::Both, LinkType::Ethernet);
    insta::assert_snapshot!("default", both(&door("7000,8000:udp,9000", "")));
    insta::assert_snapshot!("all_udp", both(&door("7000:udp,8000:udp", "ignore_ports = 53,123")));
    insta::assert_snapshot!("no_strays", both(&door("7000,8000:udp,7001", "max_strays = off")));
    insta::assert_snapshot!("odd_flags", both(&door("7000", "tcpflags = fin,!ack")));
    insta::assert_snapshot!(
        "only_v4",
        text(&door("7000,8000:udp", ""), IpVersions::OnlyV4, LinkType::Ethernet)
    );
    insta::assert_snapshot!(
        "raw",
        text(&door("7000,8000:udp", ""), IpVersions::Both, LinkType::Raw)
    );
}
