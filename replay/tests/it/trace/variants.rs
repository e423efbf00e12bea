//! Sound captures of every kind.

use std::net::IpAddr;

use knock_replay::trace::{Compression, Format, OnDamage, TraceReader};

use super::build::{self, MICROS, NANOS, ORDERS, Opt, Order, Pcap, PcapNg, SECOND, payload};
use super::check::check;
use super::sound;

/// What compresses a trace.
type Packer = fn(&[u8]) -> Vec<u8>;

/// The stamps of a trace, in nanoseconds.
fn stamps(bytes: &[u8]) -> Vec<u64> {
    sound(bytes).iter().map(|frame| frame.nanos).collect()
}

#[test]
fn pcap_in_both_byte_orders_and_resolutions() {
    for order in ORDERS {
        for (magic, fraction) in [(MICROS, 123_456), (NANOS, 123_456_789)] {
            let trace = Pcap::new(order, magic).frame(SECOND, fraction, b"first").frame(
                SECOND + 1,
                0,
                b"second",
            );
            check(&trace.bytes);
            let frames = sound(&trace.bytes);
            let nanos = if magic == MICROS { 123_456_000 } else { 123_456_789 };
            assert_eq!(frames[0].nanos, 1_700_000_000_000_000_000 + nanos, "{order:?} {magic:x}");
            assert_eq!(frames[0].captured, b"first");
            assert_eq!((frames[0].number, frames[0].link_type), (1, 1));
            assert_eq!(frames[1].nanos, 1_700_000_001_000_000_000);
            assert_eq!(frames[1].captured, b"second");
            assert_eq!(frames.len(), 2);
        }
    }
}

#[test]
fn what_pcap_files_writer_writes_is_read() {
    let frames: Vec<_> = (0..100).map(payload).collect();
    let mut writer = pcap_file::pcap::PcapWriter::new(Vec::new()).unwrap();
    for (second, frame) in (0..).zip(&frames) {
        let at = std::time::Duration::from_micros(1_700_000_000_000_000 + second * 1_000_001);
        let packet = pcap_file::pcap::PcapPacket::new(at, 1_500, frame).unwrap();
        writer.write_packet(&packet).unwrap();
    }
    let read = sound(&writer.into_inner());
    assert_eq!(read.len(), 100);
    for (index, frame) in read.iter().enumerate() {
        assert_eq!(frame.captured, frames[index]);
        assert_eq!(frame.nanos, 1_700_000_000_000_000_000 + index as u64 * 1_000_001_000);
    }
}

#[test]
fn headers_that_contradict_themselves_are_delivered() {
    // In turn: snap length 0; longer than the snap length; captured beyond original; a second of
    // microseconds and more. Each is followed by a sound record or by the end.
    let long = [7; 100];
    let cases = [
        (0, [SECOND, 0, 100, 100], 1_700_000_000_000_000_000),
        (50, [SECOND, 0, 100, 100], 1_700_000_000_000_000_000),
        (200, [SECOND, 0, 100, 60], 1_700_000_000_000_000_000),
        (200, [SECOND, 0, 100, 0], 1_700_000_000_000_000_000),
        (200, [SECOND, 1_500_000, 100, 100], 1_700_000_001_500_000_000),
        (200, [SECOND, u32::MAX, 100, 100], 1_700_004_294_967_295_000),
    ];
    for (snaplen, header, nanos) in cases {
        let last = Pcap::with_header(Order::Little, MICROS, snaplen, 1).record(header, &long);
        let followed = Pcap::with_header(Order::Little, MICROS, snaplen, 1)
            .record(header, &long)
            .frame(SECOND, 1, b"next");
        for trace in [last, followed] {
            check(&trace.bytes);
            let frames = sound(&trace.bytes);
            assert_eq!(frames[0].captured, long, "snaplen {snaplen}, {header:?}");
            assert_eq!(frames[0].nanos, nanos, "snaplen {snaplen}, {header:?}");
        }
    }
}

#[test]
fn all_the_odd_headers_in_one_trace_are_delivered() {
    let long = [7; 100];
    let trace = Pcap::with_header(Order::Big, MICROS, 50, 1)
        .record([SECOND, 0, 100, 100], &long)
        .record([SECOND, 1_500_000, 40, 40], &long[..40])
        .record([SECOND, 0, 0, 60], b"")
        .record([SECOND, 0, 100, 0], &long)
        .record([SECOND, 0, 40, 39], &long[..40])
        .frame(SECOND, 1, b"next")
        .bytes;
    check(&trace);
    assert_eq!(sound(&trace).len(), 6);
}

#[test]
fn a_frame_of_no_bytes_is_a_frame() {
    let trace = Pcap::new(Order::Big, MICROS).record([SECOND, 5, 0, 1_500], b"").bytes;
    check(&trace);
    assert_eq!(sound(&trace)[0].captured, b"");
}

#[test]
fn frames_of_the_largest_snap_length_are_read() {
    // 262,144 bytes and the record header do not fit the buffer as it begins.
    let large = vec![0xa5; 262_144];
    let trace = Pcap::new(Order::Little, MICROS)
        .frame(SECOND, 0, b"before")
        .frame(SECOND, 1, &large)
        .frame(SECOND, 2, b"behind")
        .bytes;
    let frames = sound(&trace);
    assert_eq!(frames[1].captured, large);
    assert_eq!(frames[2].captured, b"behind");

    let larger = vec![0xa5; 1_000_000];
    let trace =
        Pcap::with_header(Order::Little, MICROS, 2_000_000, 1).frame(SECOND, 1, &larger).bytes;
    assert_eq!(sound(&trace)[0].captured, larger, "the snap length allows it");
    let trace = PcapNg::new(Order::Little).interface(1, 2_000_000, &[]).enhanced(0, 0, &larger);
    assert_eq!(sound(&trace.bytes)[0].captured, larger, "the snap length allows it");
}

#[test]
fn check_sum_bits_are_no_link_type() {
    let trace = Pcap::with_header(Order::Little, MICROS, 65_535, 0x4400_0001);
    assert_eq!(sound(&trace.frame(SECOND, 0, b"x").bytes)[0].link_type, 1);
}

#[test]
fn stamps_that_step_back_keep_the_order_of_the_file() {
    let trace = Pcap::new(Order::Little, MICROS)
        .frame(SECOND + 9, 0, b"a")
        .frame(SECOND, 0, b"b")
        .frame(SECOND + 5, 0, b"c");
    let frames = sound(&trace.bytes);
    let order: Vec<_> = frames.iter().map(|frame| frame.captured[0]).collect();
    assert_eq!(order, b"abc");
}

#[test]
fn pcapng_sections_of_both_byte_orders_with_several_interfaces() {
    for (first, second) in [(Order::Big, Order::Little), (Order::Little, Order::Big)] {
        let trace = PcapNg::new(first)
            .interface(1, 0, &[])
            .interface(101, 65_535, &[(9, &[9])])
            .enhanced(1, 1_700_000_000_123_456_789, b"raw")
            .enhanced(0, 1_700_000_000_123_456, b"ethernet")
            .section(second)
            .interface(113, 0, &[])
            .enhanced(0, 1_700_000_001_000_000, b"cooked");
        check(&trace.bytes);
        let frames = sound(&trace.bytes);
        let seen: Vec<_> =
            frames.iter().map(|f| (f.link_type, f.captured.as_slice(), f.nanos)).collect();
        assert_eq!(
            seen,
            [
                (101, b"raw".as_slice(), 1_700_000_000_123_456_789),
                (1, b"ethernet", 1_700_000_000_123_456_000),
                (113, b"cooked", 1_700_000_001_000_000_000),
            ]
        );
    }
}

#[test]
fn pcapng_clocks() {
    let second = 1_700_000_000_u64;
    let five = 5_i64.to_be_bytes();
    let minus_five = (-5_i64).to_be_bytes();
    let before_1970 = (-1_700_000_001_i64).to_be_bytes();
    let cases: [(&[Opt<'_>], u64, u64); 9] = [
        (&[], second * 1_000_000 + 1, second * 1_000_000_000 + 1_000),
        (&[(9, &[3])], second * 1_000 + 1, second * 1_000_000_000 + 1_000_000),
        (&[(9, &[9])], second * 1_000_000_000 + 1, second * 1_000_000_000 + 1),
        (&[(9, &[0x8a])], second * 1_024 + 512, second * 1_000_000_000 + 500_000_000),
        (&[(9, &[0xa0])], (second << 32) | 1 << 31, second * 1_000_000_000 + 500_000_000),
        (&[(9, &[12])], 1_234_567_890_123, 1_234_567_890),
        (&[(14, &five)], second * 1_000_000, (second + 5) * 1_000_000_000),
        (&[(14, &minus_five)], second * 1_000_000, (second - 5) * 1_000_000_000),
        (&[(14, &before_1970)], second * 1_000_000, 0),
    ];
    for (options, ticks, nanos) in cases {
        let trace = PcapNg::new(Order::Big).interface(1, 0, options).enhanced(0, ticks, b"x");
        assert_eq!(stamps(&trace.bytes), [nanos], "{options:?}");
    }
}

#[test]
fn pcapng_packets_of_the_other_kinds() {
    for order in ORDERS {
        let trace = PcapNg::new(order).interface(1, 8, &[]).interface(12, 0, &[]);
        // The obsolete Packet Block has 16 bits of interface and 16 bits of drop count.
        let ticks = 1_700_000_000_000_000_u64;
        let mut old = trace.u16(1).to_vec();
        old.extend(trace.u16(77));
        old.extend(trace.u32(u32::try_from(ticks >> 32).unwrap()));
        old.extend(trace.u32(u32::try_from(ticks & 0xffff_ffff).unwrap()));
        old.extend([trace.u32(5), trace.u32(1_500)].concat());
        old.extend(b"older");
        // The Simple Packet Block has a length only; the snap length cuts the frame.
        let mut simple = trace.u32(1_500).to_vec();
        simple.extend(b"cutcutcu");
        let mut short = trace.u32(5).to_vec();
        short.extend(b"short");
        let trace = trace.block(2, &old).block(3, &simple).block(3, &short);
        check(&trace.bytes);
        let frames = sound(&trace.bytes);
        let seen: Vec<_> =
            frames.iter().map(|f| (f.link_type, f.captured.as_slice(), f.nanos)).collect();
        let nanos = ticks * 1_000;
        assert_eq!(
            seen,
            [(12, b"older".as_slice(), nanos), (1, b"cutcutcu", nanos), (1, b"short", nanos)]
        );
    }
}

#[test]
fn blocks_that_are_no_packets_are_passed_over() {
    let mut trace = PcapNg::new(Order::Little).interface(1, 0, &[]);
    for block in [4, 5, 9, 10, 0xbad, 0x4000_0bad, 0x7777] {
        trace = trace.block(block, &[0x11; 24]);
    }
    // Far larger than the buffer, as key logs can be.
    trace = trace.block(10, &vec![0x22; 1_000_000]).enhanced(0, 1, b"x");
    assert_eq!(sound(&trace.bytes).len(), 1);
}

#[test]
fn interface_descriptions_that_break_the_rules_are_read() {
    // A name that is no UTF-8, and an option list that ends without an end.
    let name: Opt<'_> = (2, &[0xff, 0xfe]);
    let trace = PcapNg::new(Order::Little).interface(1, 0, &[name, (9, &[9])]);
    assert_eq!(stamps(&trace.enhanced(0, 42, b"x").bytes), [42]);
    // The reserved field is not 0.
    let mut trace = PcapNg::new(Order::Little).interface(1, 0, &[(9, &[9])]);
    trace.bytes[28 + 8 + 2] = 1;
    assert_eq!(stamps(&trace.enhanced(0, 42, b"x").bytes), [42]);
    // An option longer than the block.
    let mut trace = PcapNg::new(Order::Little).interface(1, 0, &[(9, &[9]), (2, b"eth0")]);
    let at = trace.bytes.len() - 4 - 6;
    trace.bytes[at..at + 2].copy_from_slice(&[0xff, 0xff]);
    assert_eq!(stamps(&trace.enhanced(0, 42, b"x").bytes), [42]);
    // Of an option given twice the first counts.
    let trace = PcapNg::new(Order::Little).interface(1, 0, &[(9, &[9]), (9, &[6])]);
    assert_eq!(stamps(&trace.enhanced(0, 42, b"x").bytes), [42]);
}

#[test]
fn options_of_packets_do_not_matter() {
    let trace = PcapNg::new(Order::Little).interface(1, 0, &[]);
    let mut frame = b"wxyz".to_vec();
    // epb_flags, and an option whose length is nonsense.
    frame.extend([2, 0, 4, 0, 1, 0, 0, 0, 9, 0, 0xff, 0xff]);
    let trace = trace.enhanced_of(0, 5, [4, 4], &frame).enhanced_of(0, 6, [4, 0], b"orig");
    let frames = sound(&trace.bytes);
    assert_eq!(frames[0].captured, b"wxyz");
    assert_eq!(frames[1].captured, b"orig", "captured beyond original is delivered");
}

#[test]
fn local_addresses_are_collected() {
    let v4: Opt<'_> = (4, &[192, 0, 2, 1, 255, 255, 255, 0]);
    let v6_bytes = [[0x20, 1, 0xd, 0xb8].as_slice(), &[0; 11], &[1, 64]].concat();
    let v6: Opt<'_> = (5, &v6_bytes);
    let other: Opt<'_> = (4, &[198, 51, 100, 9, 255, 255, 255, 0]);
    let trace = PcapNg::new(Order::Little)
        .interface(1, 0, &[v4, v6, v4])
        .enhanced(0, 0, b"x")
        .interface(1, 0, &[other])
        .enhanced(0, 1, b"y")
        .bytes;
    let mut reader = TraceReader::new(trace.as_slice(), "t", OnDamage::Stop).unwrap();
    reader.next().unwrap();
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    let first = [address("192.0.2.1"), address("2001:db8::1")];
    assert_eq!(reader.local_addresses(), first);
    reader.next().unwrap();
    assert_eq!(reader.local_addresses(), [first.as_slice(), &[address("198.51.100.9")]].concat());
}

#[test]
fn compressed_traces_are_found_by_magic() {
    for plain in [build::small_pcap(Order::Little, 5_000), build::small_pcapng(Order::Big, 5_000)] {
        let expected = sound(&plain);
        assert_eq!(expected.len(), 5_000);
        let (first, second) = plain.split_at(plain.len() / 3);
        let packers: [(Compression, Packer); 3] = [
            (Compression::Gzip, build::gzip),
            (Compression::Zstd, build::zstd),
            (Compression::Lz4, build::lz4),
        ];
        for (compression, pack) in packers {
            assert_eq!(sound(&pack(&plain)), expected, "{compression}");
            let two = [pack(first), pack(second)].concat();
            assert_eq!(sound(&two), expected, "{compression} in two members");
            let reader = TraceReader::new(two.as_slice(), "t", OnDamage::Stop).unwrap();
            assert_eq!(reader.compression(), compression);
            assert!(reader.format().is_some());
        }
        let skippable = [[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0].as_slice(), b"size"].concat();
        let pzstd = [skippable, build::zstd(&plain)].concat();
        assert_eq!(sound(&pzstd), expected, "zstd behind a skippable frame");
    }
}

#[test]
fn the_format_is_told() {
    let reader = |bytes: &[u8]| {
        TraceReader::new(std::io::Cursor::new(bytes.to_vec()), "t", OnDamage::Stop).unwrap()
    };
    assert_eq!(reader(&build::small_pcap(Order::Big, 1)).format(), Some(Format::Pcap));
    assert_eq!(reader(&build::small_pcapng(Order::Big, 1)).format(), Some(Format::PcapNg));
}
