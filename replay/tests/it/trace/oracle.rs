//! The same captures through libpcap, by way of tcpdump.

use std::io::Write;
use std::process::{Command, Stdio};

use super::build::{MICROS, NANOS, ORDERS, Opt, Order, Pcap, PcapNg, SECOND, payload};
use super::check::Owned;
use super::sound;

/// Runs tcpdump over a trace on its standard input, with nanoseconds.
fn tcpdump(trace: &[u8], arguments: &[&str]) -> Vec<u8> {
    let mut child = Command::new("tcpdump")
        .args(["-r", "-", "--time-stamp-precision=nano", "-n"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("tcpdump is installed (make test does it)");
    let mut input = child.stdin.take().unwrap();
    let trace = trace.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&trace));
    let output = child.wait_with_output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "tcpdump {arguments:?}: {complaint}");
    writer.join().unwrap().unwrap();
    output.stdout
}

/// Compares bytes and stamps with what libpcap reads.
fn assert_agrees(trace: &[u8]) {
    let ours = sound(trace);
    // What libpcap read, written out again as a pcap.
    let theirs = sound(&tcpdump(trace, &["-w", "-"]));
    assert_eq!(ours, theirs);
    // Its stamps once more as text, so that an error in our reading of pcap cannot hide.
    let text = String::from_utf8(tcpdump(trace, &["-tt", "-q"])).unwrap();
    let stamps: Vec<_> =
        text.lines().filter_map(|line| Some(line.split_once(' ')?.0.to_owned())).collect();
    let expected: Vec<_> = ours.iter().map(stamp).collect();
    assert_eq!(expected, stamps);
}

fn stamp(frame: &Owned) -> String {
    format!("{}.{:09}", frame.nanos / 1_000_000_000, frame.nanos % 1_000_000_000)
}

/// An ARP request, which tcpdump prints on one line.
fn arp(number: u32) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1]);
    frame.extend([192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 192, 0, 2, 2]);
    frame.extend(&payload(number)[..20]);
    frame
}

#[test]
fn libpcap_reads_the_same_of_pcap() {
    for order in ORDERS {
        for (magic, step) in [(MICROS, 999), (NANOS, 999_999)] {
            let trace = (0..500).fold(Pcap::new(order, magic), |pcap, number| {
                pcap.frame(SECOND + number, number * step, &arp(number))
            });
            assert_agrees(&trace.bytes);
        }
    }
}

#[test]
fn libpcap_reads_the_same_of_pcapng() {
    let offset = |order: Order, seconds: i64| match order {
        Order::Big => seconds.to_be_bytes(),
        Order::Little => seconds.to_le_bytes(),
    };
    for order in ORDERS {
        let five = offset(order, 5);
        let cases: [(&[Opt<'_>], u64); 5] = [
            (&[], 1_000_000),
            (&[(9, &[9])], 1_000_000_000),
            (&[(9, &[3])], 1_000),
            (&[(9, &[0x8a])], 1_024),
            (&[(9, &[6]), (14, &five)], 1_000_000),
        ];
        for (options, units) in cases {
            let start = PcapNg::new(order).interface(1, 262_144, options);
            let trace = (0..300).fold(start, |trace, number| {
                let ticks = u64::from(SECOND) * units + u64::from(number) * units / 7;
                trace.enhanced(0, ticks, &arp(number))
            });
            assert_agrees(&trace.bytes);
        }
    }
}
