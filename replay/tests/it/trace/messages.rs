//! Every kind of damage, as it reads.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use knock_replay::trace::{Damage, OnDamage, TraceError, TraceReader};

use super::build::{MICROS, Order, Pcap, PcapNg, SECOND, gzip, lz4, small_pcap, zstd};

/// How many kinds there are.
const KINDS: usize = 14;

/// Numbers the kinds. Whoever adds one is sent here, and must add a case below.
fn kind(damage: &Damage) -> usize {
    match damage {
        Damage::RecordTooLong { .. } => 0,
        Damage::ZeroHeader => 1,
        Damage::Contradiction => 2,
        Damage::Appended => 3,
        Damage::RunsPastEnd => 4,
        Damage::BlockLength { .. } => 5,
        Damage::BlockTooLong { .. } => 6,
        Damage::BlockTrailer { .. } => 7,
        Damage::ByteOrder { .. } => 8,
        Damage::BlockContent { .. } => 9,
        Damage::UnknownInterface { .. } => 10,
        Damage::TooManyInterfaces { .. } => 11,
        Damage::Compression { .. } => 12,
        Damage::Note(_) => 13,
    }
}

#[test]
fn every_kind_of_damage_has_its_message() {
    let mut kinds = BTreeSet::new();
    let mut told = String::new();
    for (name, bytes) in damaged_traces() {
        let error = error(&bytes);
        let TraceError::Damaged { cause, .. } = &error else { panic!("{name}: {error}") };
        kinds.insert(kind(cause));
        writeln!(told, "{name}\n    {error}").unwrap();
    }
    assert_eq!(kinds, (0..KINDS).collect());
    insta::assert_snapshot!(told);
}

/// Returns the error that reading a trace ends with.
fn error(bytes: &[u8]) -> TraceError {
    let mut reader = TraceReader::new(bytes, "t.pcap", OnDamage::Stop).unwrap();
    loop {
        match reader.next() {
            Ok(frame) => assert!(frame.is_some(), "no error at all"),
            Err(error) => break error,
        }
    }
}

fn damaged_traces() -> Vec<(&'static str, Vec<u8>)> {
    let pcap = |name: &'static str, bytes: &[u8]| (name, bytes.to_vec());
    let ng = || PcapNg::new(Order::Little);
    let mut trailer = ng().interface(1, 0, &[]).bytes;
    let last = trailer.len() - 4;
    trailer[last] += 4;
    let mut order = ng().section(Order::Little).bytes;
    order[36..40].fill(0x5a);
    let crowd = (0..=65_536).fold(ng(), |crowd, _| crowd.interface(1, 0, &[]));
    let length = |length: u32| {
        let block = [[6, 0, 0, 0], length.to_le_bytes()].concat();
        [ng().interface(1, 0, &[]).bytes, block, vec![0; 64]].concat()
    };
    let sound = small_pcap(Order::Little, 5);
    let broken = |mut packed: Vec<u8>| {
        packed.extend_from_within(..);
        let half = packed.len() / 2;
        packed[half + 4..].fill(0xff);
        packed
    };
    let header = Pcap::new(Order::Little, MICROS);
    vec![
        ("record too long", header.record([SECOND, 0, 0xffff_fff0, 60], &[0; 60]).bytes),
        pcap("zeros", include_bytes!("../../../../fuzz/corpus/pcap/zeros")),
        pcap("a length too short", include_bytes!("../../../../fuzz/corpus/pcap/length-short")),
        pcap("appended", include_bytes!("../../../../fuzz/corpus/pcap/appended")),
        pcap("past the end", include_bytes!("../../../../fuzz/corpus/pcap/length-past-end")),
        ("block of no length", length(0)),
        ("block of an odd length", length(33)),
        ("block too long", length(0x7fff_fff0)),
        ("lengths that differ", trailer),
        ("no byte order", order),
        ("block too short", ng().interface(1, 0, &[]).block(6, &[0; 8]).bytes),
        ("interface too short", ng().block(1, &[0; 4]).bytes),
        ("no such interface", ng().interface(1, 0, &[]).enhanced(3, 0, &[0; 4]).bytes),
        ("a note cut off", ng().block(0x8000_6b6e, b"sesame1 {\"wake\":{ ").bytes),
        ("too many interfaces", crowd.bytes),
        ("corrupt gzip", broken(gzip(&sound))),
        ("corrupt zstd", broken(zstd(&sound))),
        ("corrupt lz4", broken(lz4(&sound))),
    ]
}
