//! Traces that are cut off or damaged.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use knock_replay::trace::{Ending, OnDamage, SkipLog, TraceReader};
use proptest::prelude::*;

use super::build::{
    MICROS, NANOS, ORDERS, Order, Pcap, PcapNg, SECOND, gzip, lz4, payload, small_pcap,
    small_pcapng, zstd,
};
use super::check::{Outcome, check, read};
use super::sound;

/// What a small capture is made of: where its parts end, and how long the head of a part is that
/// tells the length of the rest.
struct Anatomy {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    head: usize,
    /// Which part, from 0, holds the first frame.
    first_frame: usize,
}

fn anatomies() -> Vec<Anatomy> {
    let mut all = Vec::new();
    for order in ORDERS {
        let ends = (0..=5).map(|record| 24 + record * 76).collect();
        all.push(Anatomy { bytes: small_pcap(order, 5), ends, head: 16, first_frame: 1 });
        let ends = [28].into_iter().chain((0..=5).map(|block| 28 + 20 + block * 92)).collect();
        all.push(Anatomy { bytes: small_pcapng(order, 5), ends, head: 12, first_frame: 2 });
    }
    all
}

#[test]
fn a_cut_anywhere_leaves_what_stands_before_it() {
    for Anatomy { bytes, ends, head, first_frame } in anatomies() {
        assert_eq!(ends.last(), Some(&bytes.len()), "the test knows the capture");
        let all = sound(&bytes);
        for cut in 0..=bytes.len() {
            check(&bytes[..cut]);
            let Outcome { frames, end, .. } = read(&bytes[..cut], OnDamage::Stop);
            if cut < 4 {
                end.unwrap_err();
                continue;
            }
            let whole = ends.iter().filter(|end| **end <= cut).count();
            assert_eq!(frames, all[..whole.saturating_sub(first_frame)], "cut at {cut}");
            let start = if whole == 0 { 0 } else { ends[whole - 1] };
            if start == cut {
                assert_eq!(end, Ok(Ending::Complete), "cut at {cut}");
                continue;
            }
            // The file header of a pcap is its own head.
            let head = if start == 0 && first_frame == 1 { 24 } else { head };
            let goal = if cut - start < head { start + head } else { ends[whole] };
            let missing = Some((goal - cut) as u64);
            let expected = Ending::Truncated { offset: start as u64, missing };
            assert_eq!(end, Ok(expected), "cut at {cut}");
        }
    }
}

#[test]
fn a_cut_anywhere_in_a_compressed_stream_is_truncation() {
    let plain = small_pcap(Order::Little, 60);
    let all = sound(&plain);
    for (name, packed) in [("gzip", gzip(&plain)), ("zstd", zstd(&plain)), ("lz4", lz4(&plain))] {
        let two = [packed.clone(), packed.clone()].concat();
        for cut in 4..packed.len() {
            let Outcome { frames, end, .. } = read(&packed[..cut], OnDamage::Stop);
            assert!(all.starts_with(&frames), "{name} cut at {cut}");
            let end = end.unwrap_or_else(|error| panic!("{name} cut at {cut}: {error}"));
            assert!(
                matches!(end, Ending::Truncated { missing: None, .. }),
                "{name} cut at {cut}: {end:?}"
            );
        }
        for cut in packed.len() + 1..two.len() {
            let outcome = read(&two[..cut], OnDamage::Stop);
            assert!(outcome.frames.starts_with(&all), "{name} cut at {cut}");
            assert_ne!(outcome.end, Ok(Ending::Complete), "{name} cut at {cut}");
        }
    }
}

#[test]
fn a_truncated_gzip_gives_nearly_everything() {
    let plain = small_pcap(Order::Little, 5_000);
    let packed = gzip(&plain);
    let outcome = read(&packed[..packed.len() - 8], OnDamage::Stop);
    assert_eq!(outcome.frames.len(), 5_000, "only the check sum is missing");
    let ending = Ending::Truncated { offset: plain.len() as u64, missing: None };
    assert_eq!(outcome.end, Ok(ending));
}

#[test]
fn corrupt_gzip_is_damage_with_a_place_in_the_file() {
    let plain = small_pcap(Order::Little, 20_000);
    let mut packed = gzip(&plain);
    let check_sum = packed.len() - 8;
    packed[check_sum] ^= 1;
    let outcome = read(packed.as_slice(), OnDamage::Stop);
    assert_eq!(outcome.frames.len(), 20_000);
    let message = format!(
        "t: damaged at byte {}: corrupt gzip stream: corrupt gzip stream does not have a matching \
         checksum; --resync skips what is damaged",
        packed.len()
    );
    assert_eq!(outcome.end, Err(message));
    let outcome = read(packed.as_slice(), OnDamage::Resync);
    assert_eq!((outcome.frames.len(), outcome.end), (20_000, Ok(Ending::Complete)));
    assert_eq!(outcome.skipped.len(), 1);
}

#[test]
fn corrupt_zstd_and_lz4_give_what_stands_before() {
    let plain = small_pcap(Order::Little, 20_000);
    let all = sound(&plain);
    for (name, pack) in [("zstd", zstd as fn(&[u8]) -> Vec<u8>), ("lz4", lz4)] {
        // The first stream is sound; the second is not even a stream behind its magic.
        let mut packed = pack(&plain);
        let second = packed.len();
        packed.extend(pack(&plain));
        packed[second + 4..].fill(0xff);
        let outcome = read(packed.as_slice(), OnDamage::Stop);
        assert!(outcome.frames == all, "{name}");
        let error = outcome.end.unwrap_err();
        assert!(error.contains(&format!(": corrupt {name} stream: ")), "{error}");
    }
}

#[test]
fn every_corruption_of_a_byte_terminates() {
    for Anatomy { bytes, .. } in anatomies() {
        for index in 0..bytes.len() {
            for change in [0x01, 0x80, 0xff, bytes[index]] {
                let mut damaged = bytes.clone();
                damaged[index] ^= change;
                check(&damaged);
            }
        }
    }
}

#[test]
fn a_corrupt_length_is_told_from_truncation() {
    let bytes = small_pcap(Order::Little, 5);
    let all = sound(&bytes);
    let second = 24 + 76;
    // Beyond the limit; reaching beyond the end; reaching far, within what a record may have.
    let cases = [
        (0xffff_fff0_u32, "a record of 4294967280 bytes is longer than the limit of 262144"),
        (100_000, "a record reaches beyond the end of the trace, but holds good records"),
        (150, "a record header that contradicts itself and the records behind it"),
    ];
    for (length, cause) in cases {
        let mut bytes = bytes.clone();
        bytes[second + 8..second + 12].copy_from_slice(&length.to_le_bytes());
        let Outcome { frames, end, .. } = read(bytes.as_slice(), OnDamage::Stop);
        assert_eq!(frames, all[..1]);
        let message =
            format!("t: damaged at byte {second}: {cause}; --resync skips what is damaged");
        assert_eq!(end, Err(message));
        let Outcome { frames, end, skipped } = read(bytes.as_slice(), OnDamage::Resync);
        assert_eq!(skipped, [(second as u64, 76, cause.to_owned())]);
        assert_eq!(end, Ok(Ending::Complete));
        let read: Vec<_> = frames.iter().map(|frame| &frame.captured).collect();
        let expected: Vec<_> = [0, 2, 3, 4].map(|index: usize| &all[index].captured).to_vec();
        assert_eq!(read, expected);
    }
}

#[test]
fn a_corrupt_block_length_is_told_from_truncation() {
    let bytes = small_pcapng(Order::Big, 5);
    let second = 28 + 20 + 92;
    let cases = [
        (0xffff_fff0_u32, "a block of 4294967280 bytes is longer than the limit of 327680"),
        (100_000, "a record reaches beyond the end of the trace, but holds good records"),
        (0, "a block of 0 bytes (the least is 12, in steps of 4)"),
        (91, "a block of 91 bytes (the least is 12, in steps of 4)"),
    ];
    for (length, cause) in cases {
        let mut bytes = bytes.clone();
        bytes[second + 4..second + 8].copy_from_slice(&length.to_be_bytes());
        let Outcome { frames, end, .. } = read(bytes.as_slice(), OnDamage::Stop);
        assert_eq!(frames.len(), 1);
        let message =
            format!("t: damaged at byte {second}: {cause}; --resync skips what is damaged");
        assert_eq!(end, Err(message));
        let Outcome { frames, end, skipped } = read(bytes.as_slice(), OnDamage::Resync);
        assert_eq!(skipped, [(second as u64, 92, cause.to_owned())]);
        assert_eq!((frames.len(), end), (4, Ok(Ending::Complete)));
    }
}

#[test]
fn a_packet_of_an_unknown_interface_is_damage_of_that_packet() {
    let trace = PcapNg::new(Order::Little)
        .interface(1, 0, &[])
        .enhanced(0, 0, b"before")
        .enhanced(3, 1, b"lost")
        .enhanced(0, 2, b"behind");
    let Outcome { frames, end, skipped } = read(trace.bytes.as_slice(), OnDamage::Resync);
    assert_eq!((frames.len(), end), (2, Ok(Ending::Complete)));
    let cause = "a packet of interface 3, while 1 are described".to_owned();
    assert_eq!(skipped, [(28 + 20 + 40, 36, cause)]);
    check(&trace.bytes);

    let trace = PcapNg::new(Order::Little)
        .interface(1, 0, &[])
        .enhanced_of(0, 0, [200, 200], b"captured length beyond the block")
        .enhanced(0, 2, b"behind");
    let Outcome { frames, skipped, .. } = read(trace.bytes.as_slice(), OnDamage::Resync);
    assert_eq!((frames.len(), skipped.len()), (1, 1));
}

#[test]
fn a_damaged_section_header_keeps_its_byte_order() {
    for order in ORDERS {
        let mut bytes = small_pcapng(order, 5);
        bytes[8] ^= 0xff;
        let Outcome { frames, end, skipped } = read(bytes.as_slice(), OnDamage::Resync);
        assert_eq!((frames.len(), end), (5, Ok(Ending::Complete)), "{order:?}");
        assert_eq!((skipped.len(), skipped[0].1), (1, 28), "{order:?}");
    }
}

#[test]
fn zeros_at_the_end_are_damage() {
    let mut bytes = small_pcap(Order::Little, 5);
    let end = bytes.len();
    bytes.extend([0; 4_096]);
    let outcome = read(bytes.as_slice(), OnDamage::Stop);
    assert_eq!(outcome.frames.len(), 5);
    let message = format!(
        "t: damaged at byte {end}: a record header of zeros; --resync skips what is damaged"
    );
    assert_eq!(outcome.end, Err(message));
    let outcome = read(bytes.as_slice(), OnDamage::Resync);
    assert_eq!((outcome.frames.len(), outcome.end), (5, Ok(Ending::Complete)));
    assert_eq!(outcome.skipped, [(end as u64, 4_096, "a record header of zeros".to_owned())]);
}

#[test]
fn zeros_in_the_middle_are_skipped() {
    for bytes in [small_pcap(Order::Big, 5_000), small_pcapng(Order::Big, 5_000)] {
        let mut bytes = bytes;
        // Larger than the buffer of the search, as a lost stretch of a disk.
        bytes[100_000..300_000].fill(0);
        let outcome = read(bytes.as_slice(), OnDamage::Resync);
        assert_eq!(outcome.end, Ok(Ending::Complete));
        let lost = 5_000 - outcome.frames.len();
        assert!((2_100..2_700).contains(&lost), "{lost} frames are lost");
        assert_eq!(outcome.frames.last().unwrap().captured, payload(4_999));
    }
}

#[test]
fn a_capture_appended_to_another_is_named() {
    for (order, magic) in [(Order::Little, MICROS), (Order::Big, NANOS)] {
        let one = Pcap::new(order, magic).frame(SECOND, 1, b"one").bytes;
        let two = [one.as_slice(), &one].concat();
        let outcome = read(two.as_slice(), OnDamage::Stop);
        assert_eq!(outcome.frames.len(), 1);
        let message = "t: damaged at byte 43: another capture was appended here; name both \
                       captures instead; --resync skips what is damaged";
        assert_eq!(outcome.end, Err(message.to_owned()));
        check(&two);
    }
}

#[test]
fn the_skip_log_is_bounded() {
    let mut trace = PcapNg::new(Order::Little).interface(1, 0, &[]);
    for number in 0..1_500 {
        trace = trace.enhanced(7, 0, b"lost").enhanced(0, number, b"read");
    }
    let mut reader = TraceReader::new(trace.bytes.as_slice(), "t", OnDamage::Resync).unwrap();
    let mut frames = 0;
    while reader.next().unwrap().is_some() {
        frames += 1;
    }
    assert_eq!(frames, 1_500);
    assert_eq!(reader.skipped().stretches().len(), SkipLog::LIMIT);
    assert_eq!((reader.skipped().count(), reader.skipped().bytes()), (1_500, 1_500 * 36));
}

#[test]
fn stretches_that_touch_are_one() {
    let mut trace = PcapNg::new(Order::Little).interface(1, 0, &[]);
    for _ in 0..10 {
        trace = trace.enhanced(7, 0, b"lost");
    }
    let outcome = read(trace.bytes.as_slice(), OnDamage::Resync);
    let cause = "a packet of interface 7, while 1 are described".to_owned();
    assert_eq!(outcome.skipped, [(48, 360, cause)]);
}

#[test]
fn a_hostile_number_of_interfaces_is_refused() {
    let mut trace = PcapNg::new(Order::Little);
    for _ in 0..=65_536 {
        trace = trace.interface(1, 0, &[]);
    }
    let outcome = read(trace.bytes.as_slice(), OnDamage::Stop);
    let error = outcome.end.unwrap_err();
    assert!(error.contains("more than 65536 interfaces in a section"), "{error}");
}

/// A generator of numbers that is the same everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

#[test]
fn nearly_all_frames_survive_fifty_corrupt_spots() {
    const FRAMES: u32 = 20_000;
    for (name, sound) in [
        ("pcap", small_pcap(Order::Little, FRAMES)),
        ("pcapng", small_pcapng(Order::Little, FRAMES)),
    ] {
        for seed in 0..10 {
            let mut dice = Dice(seed);
            let mut bytes = sound.clone();
            for _ in 0..50 {
                // The file header and the interface stay: without them there is nothing to read.
                let start = 48 + dice.below(bytes.len() - 64);
                for byte in &mut bytes[start..start + 1 + dice.below(16)] {
                    *byte = u8::try_from(dice.below(256)).unwrap();
                }
            }
            let outcome = read(bytes.as_slice(), OnDamage::Resync);
            outcome.end.unwrap();
            let read: HashSet<_> =
                outcome.frames.iter().map(|frame| frame.captured.as_slice()).collect();
            let found = (0..FRAMES).filter(|number| read.contains(&*payload(*number))).count();
            assert!(found >= 19_800, "{name}, seed {seed}: {found} of {FRAMES} frames");
            let invented = outcome.frames.len() - found;
            assert!(invented <= 100, "{name}, seed {seed}: {invented} frames invented or changed");
        }
    }
}

#[test]
fn the_fuzz_corpus_holds() {
    for format in ["pcap", "pcapng"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(format);
        let mut count = 0;
        for entry in fs::read_dir(folder).unwrap() {
            check(&fs::read(entry.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count >= 10, "{count} files in the corpus of {format}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(
        start in prop::sample::select(vec![
            Vec::new(),
            Pcap::new(Order::Little, MICROS).bytes,
            Pcap::new(Order::Big, NANOS).bytes,
            PcapNg::new(Order::Little).interface(1, 0, &[]).bytes,
            PcapNg::new(Order::Big).interface(1, 0, &[]).bytes,
        ]),
        rest in prop::collection::vec(prop_oneof![Just(0), 0_u8..8, any::<u8>()], 0..600),
    ) {
        check(&[start, rest].concat());
    }

    #[test]
    fn any_changes_to_a_capture_are_survived(
        pcapng in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        hole in any::<prop::sample::Index>(),
        hole_bytes in 0_usize..100,
    ) {
        let mut bytes = if pcapng {
            small_pcapng(Order::Little, 10)
        } else {
            small_pcap(Order::Big, 10)
        };
        for (index, value) in changes {
            let index = index.index(bytes.len());
            bytes[index] = value;
        }
        let start = hole.index(bytes.len());
        let end = bytes.len().min(start + hole_bytes);
        bytes.drain(start..end);
        check(&bytes);
    }
}
