//! Nanoseconds per packet: for an irrelevant packet, a first knock and a full sequence, at 1 to
//! 1,000,000 attempts and at 1 and 10,000 doors; and for finding the packet in a frame.
//!
//! What should come out: at most twice the time at 1,000,000 attempts as at 1, and the same at
//! 10,000 doors as at one.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{
    BatchSize, BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use knock_benches::bed::{Bed, STEPS, Spans, irrelevant};
use knock_benches::data::SEED;
use knock_benches::load::{Load, Scale};
use knock_engine::packet::TcpFlags;
use knock_engine::wire::{LinkType, decode};
use pcap_file::pcap::PcapReader;

/// Pairs of doors and attempts.
const SIZES: [(u16, u64); 5] =
    [(1, 1), (1, 100_000), (1, 1_000_000), (10_000, 1), (10_000, 1_000_000)];

/// Attempts that stand all the time, and knocks that are soon forgotten: what a sequence leaves
/// behind is gone a thousand sequences later.
const STANDING: Spans = Spans {
    seq_timeout: Duration::from_secs(10 * 365 * 86_400),
    retransmit_window: Duration::from_secs(1),
    lease: Some(Duration::from_secs(1)),
};
const SEQUENCE_WAIT: Duration = Duration::from_millis(1);

/// Attempts that are forgotten with their knocks after so long that, with the right wait between
/// two of them, as many end as begin.
const FLEETING: Spans = Spans {
    seq_timeout: Duration::from_secs(25),
    retransmit_window: Duration::from_secs(25),
    lease: Some(Duration::from_secs(10)),
};

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.warm_up_time(Duration::from_millis(500));
    group.measurement_time(Duration::from_millis(1500));
    group.sample_size(20);
    group
}

fn id((doors, attempts): (u16, u64)) -> BenchmarkId {
    BenchmarkId::from_parameter(format!("{doors}_doors/{attempts}_attempts"))
}

fn irrelevant_packet(criterion: &mut Criterion) {
    let mut group = group(criterion, "irrelevant_packet");
    for size in SIZES {
        let mut bed = Bed::new(size.0, STANDING);
        bed.begin_attempts(size.1);
        let packet = irrelevant(IpAddr::V4(Ipv4Addr::new(128, 9, 9, 9)));
        group.bench_function(id(size), |bencher| {
            bencher.iter(|| bed.handle(black_box(&packet), Duration::ZERO));
        });
    }
}

/// Each first knock makes the oldest attempt time out, so both are in the figure.
fn first_knock(criterion: &mut Criterion) {
    let mut group = group(criterion, "first_knock_and_timeout");
    for size in SIZES {
        let mut bed = Bed::new(size.0, FLEETING);
        let nanos = u64::try_from(FLEETING.seq_timeout.as_nanos()).expect("25 s fit");
        let wait = Duration::from_nanos(nanos / size.1);
        for _ in 0..size.1 {
            black_box(bed.first_knock(wait));
        }
        group.bench_function(id(size), |bencher| bencher.iter(|| bed.first_knock(wait)));
        assert_eq!(bed.engine.stats().attempts, usize::try_from(size.1).expect("it fits"));
    }
}

/// The figure is for one of the three packets, with the opening and a lease's end in it.
fn full_sequence(criterion: &mut Criterion) {
    let mut group = group(criterion, "full_sequence_per_packet");
    group.throughput(Throughput::Elements(u64::from(STEPS)));
    for size in SIZES {
        let mut bed = Bed::new(size.0, STANDING);
        bed.begin_attempts(size.1);
        // As many leases and remembered packets as there will be at any time.
        for _ in 0..2000 {
            black_box(bed.sequence(SEQUENCE_WAIT));
        }
        group.bench_function(id(size), |bencher| bencher.iter(|| bed.sequence(SEQUENCE_WAIT)));
    }
}

/// The figure is for 10,000 frames of the background; the throughput tells it per frame.
fn frame(criterion: &mut Criterion) {
    let scale = Scale(NonZeroU32::new(1000).expect("1,000 is not 0"));
    let mut capture = Vec::new();
    Load::P1.write(scale, SEED, &mut capture).expect("writing to memory cannot fail");
    let mut reader = PcapReader::new(capture.as_slice()).expect("it begins with a header");
    let mut frames = Vec::new();
    while let Some(record) = reader.next_packet() {
        frames.push(record.expect("it ends with a whole record").data().to_vec());
    }
    let engine = Bed::new(1, STANDING).engine;
    let mut group = group(criterion, "frame");
    group.throughput(Throughput::Elements(u64::try_from(frames.len()).expect("it fits")));
    group.bench_function("decode", |bencher| {
        bencher.iter(|| {
            let decoded = frames.iter().map(|frame| decode(LinkType::Ethernet, black_box(frame)));
            decoded.filter(Result::is_ok).count()
        });
    });
    group.bench_function("decode_and_prefilter", |bencher| {
        bencher.iter(|| {
            let decoded = frames.iter().map(|frame| decode(LinkType::Ethernet, black_box(frame)));
            let candidates = decoded.filter(|decoded| {
                decoded.as_ref().is_ok_and(|segment| {
                    let flags = segment.tcp_flags().unwrap_or(TcpFlags::NONE);
                    engine.is_candidate(segment.protocol(), segment.destination_port(), flags)
                })
            });
            candidates.count()
        });
    });
    group.bench_function("decode_to_packets", |bencher| {
        bencher.iter_batched(
            || Vec::with_capacity(frames.len()),
            |mut packets| {
                let decoded = frames.iter().map(|frame| decode(LinkType::Ethernet, frame));
                packets.extend(decoded.flatten().map(|segment| segment.packet()));
                packets
            },
            BatchSize::LargeInput,
        );
    });
}

criterion_group!(benches, frame, irrelevant_packet, first_knock, full_sequence);
criterion_main!(benches);
