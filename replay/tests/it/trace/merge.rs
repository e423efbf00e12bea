//! Several traces as one stream.

use knock_replay::trace::{Ending, OnDamage, TraceError, TraceReader, Traces};
use proptest::prelude::*;

use super::build::{MICROS, Order, Pcap, PcapNg, SECOND};

type Memory = std::io::Cursor<Vec<u8>>;

fn traces(captures: Vec<Vec<u8>>, on_damage: OnDamage) -> Traces<Memory> {
    let open = |(index, bytes): (usize, Vec<u8>)| {
        TraceReader::new(Memory::new(bytes), &format!("trace {index}"), on_damage).unwrap()
    };
    Traces::new(captures.into_iter().enumerate().map(open).collect())
}

/// A capture with a frame at each of these microseconds.
fn capture(micros: &[u32]) -> Vec<u8> {
    let start = Pcap::new(Order::Little, MICROS);
    micros.iter().fold(start, |pcap, at| pcap.frame(SECOND, *at, &at.to_be_bytes())).bytes
}

/// Reads all of `(microsecond, trace, number)`.
fn order(traces: &mut Traces<Memory>) -> Vec<(u64, usize, u64)> {
    let mut seen = Vec::new();
    while let Some(frame) = traces.next().unwrap() {
        let micros = frame.at.as_nanos() / 1_000 % 1_000_000;
        assert_eq!(frame.captured, u32::try_from(micros).unwrap().to_be_bytes());
        seen.push((micros, frame.trace, frame.number));
    }
    seen
}

#[test]
fn frames_come_by_stamp_and_ties_by_trace() {
    let mut traces =
        traces(vec![capture(&[5, 7]), capture(&[1, 5, 5, 9]), capture(&[])], OnDamage::Stop);
    assert_eq!(
        order(&mut traces),
        [(1, 1, 1), (5, 0, 1), (5, 1, 2), (5, 1, 3), (7, 0, 2), (9, 1, 4)]
    );
    for reader in traces.readers() {
        assert_eq!(reader.ending(), Some(Ending::Complete));
    }
}

#[test]
fn a_step_back_stays_where_it_is() {
    let mut traces = traces(vec![capture(&[10, 2, 12]), capture(&[3, 11])], OnDamage::Stop);
    assert_eq!(order(&mut traces), [(3, 1, 1), (10, 0, 1), (2, 0, 2), (11, 1, 2), (12, 0, 3)]);
}

#[test]
fn damage_in_one_trace_comes_behind_its_frames_and_leaves_the_others() {
    let mut broken = capture(&[1, 2, 3]);
    let record = 24 + 2 * 20;
    broken[record + 8..record + 12].copy_from_slice(&[0xf0, 0xff, 0xff, 0xff]);
    let mut traces = traces(vec![capture(&[2, 4]), broken], OnDamage::Stop);
    let mut seen = Vec::new();
    let error = loop {
        match traces.next() {
            Ok(Some(frame)) => seen.push((frame.trace, frame.number)),
            Ok(None) => panic!("the damage is reported"),
            Err(error) => break error,
        }
    };
    assert_eq!(seen, [(1, 1), (0, 1), (1, 2)]);
    assert!(matches!(error, TraceError::Damaged { .. }));
    assert!(error.to_string().starts_with("trace 1: damaged at byte 64:"), "{error}");
    assert_eq!(order(&mut traces), [(4, 0, 2)]);
}

#[test]
fn a_truncated_trace_ends_and_the_others_go_on() {
    let mut cut = capture(&[1, 2]);
    cut.truncate(cut.len() - 1);
    let mut traces = traces(vec![cut, capture(&[3])], OnDamage::Stop);
    assert_eq!(order(&mut traces), [(1, 0, 1), (3, 1, 1)]);
    let ending = Ending::Truncated { offset: 44, missing: Some(1) };
    assert_eq!(traces.readers()[0].ending(), Some(ending));
}

#[test]
fn addresses_of_all_traces_are_known_before_the_first_frame() {
    let with = |address: [u8; 4]| {
        let option = [address, [255; 4]].concat();
        PcapNg::new(Order::Big).interface(1, 0, &[(4, &option)]).enhanced(0, 0, b"x").bytes
    };
    let captures = vec![with([192, 0, 2, 1]), with([192, 0, 2, 2]), with([192, 0, 2, 1])];
    let mut traces = traces(captures, OnDamage::Stop);
    traces.next().unwrap();
    let addresses: Vec<_> = traces.local_addresses().iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["192.0.2.1", "192.0.2.2"]);
}

proptest! {
    #[test]
    fn merging_sorted_traces_is_a_stable_sort(
        captures in prop::collection::vec(prop::collection::vec(0_u32..50, 0..20), 0..6),
    ) {
        let mut expected = Vec::new();
        let mut files = Vec::new();
        for (trace, mut micros) in captures.into_iter().enumerate() {
            micros.sort_unstable();
            let numbered = micros.iter().zip(1..).map(|(at, number)| (u64::from(*at), trace, number));
            expected.extend(numbered);
            files.push(capture(&micros));
        }
        expected.sort_by_key(|(at, trace, _)| (*at, *trace));
        prop_assert_eq!(order(&mut traces(files, OnDamage::Stop)), expected);
    }
}
