//! `--anonymize` and `--redact`.

use std::collections::HashMap;
use std::fs;
use std::net::IpAddr;

use serde_json::Value;

use super::{HOME, KEY, cases, events, knocks, names, run_at_top};
use crate::cli::{Folder, pcap_of, syn};
use crate::drawn;

/// What stands for what, found by looking at both sides.
#[derive(Default)]
struct Images {
    there: HashMap<String, String>,
    back: HashMap<String, String>,
}

impl Images {
    /// Tells whether `b` can be the image of `a`: always the same, and nobody else's.
    fn pair(&mut self, a: &str, b: &str) -> bool {
        let there = self.there.entry(a.to_owned()).or_insert_with(|| b.to_owned());
        let back = self.back.entry(b.to_owned()).or_insert_with(|| a.to_owned());
        there == b && back == a
    }

    /// How many have another image than themselves.
    fn moved(&self) -> usize {
        self.there.iter().filter(|(a, b)| a != b).count()
    }
}

/// Compares events up to a mapping.
fn compare(before: &[Value], after: &[Value], (addresses, ports): (&mut Images, &mut Images)) {
    assert_eq!(before.len(), after.len());
    for (a, b) in before.iter().zip(after) {
        let (mut a, mut b) = (a.as_object().unwrap().clone(), b.as_object().unwrap().clone());
        assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
        for key in ["source", "destination", "port"] {
            let (Some(x), Some(y)) = (a.remove(key), b.remove(key)) else { continue };
            let images = if key == "port" { &mut *ports } else { &mut *addresses };
            let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
            assert!(images.pair(&text(&x), &text(&y)), "{key}: {x} and {y}");
        }
        // There are no commands in a config that is given away.
        if let Some(command) = b.remove("command") {
            assert!(["true", ""].contains(&command.as_str().unwrap()) || command.is_null());
            a.remove("command");
        }
        assert_eq!(a, b);
    }
}

#[test]
fn all_events_stay_up_to_the_mapping() {
    let folder = Folder::new("extract-hidden");
    let file = |name: &str| folder.0.join(name).display().to_string();
    let (mut moved_addresses, mut moved_ports) = (0, 0);
    for (case, config, traces) in cases() {
        let before = run_at_top(&format!("run -c {config} --format jsonl --resync {traces}"));
        for options in ["--anonymize", "--redact", "--anonymize --redact"] {
            let (out, its_config) = (file("out.pcapng"), file("out.conf"));
            let hidden = format!("{options} --config-out {its_config} --force --resync");
            run_at_top(&format!("extract -c {config} {traces} -o {out} {hidden}")).exits(0);
            let after = run_at_top(&format!("run -c {its_config} --format jsonl {out}"));
            let (mut addresses, mut ports) = (Images::default(), Images::default());
            let (a, b) = (events(&before), events(after.exits(0)));
            assert_eq!(a.len(), b.len(), "{case} {options}\n{before}{after}");
            compare(&a, &b, (&mut addresses, &mut ports));
            if options == "--anonymize" {
                assert_eq!(ports.moved(), 0);
            }
            if options == "--redact" {
                assert_eq!(addresses.moved(), 0);
            }
            moved_addresses += addresses.moved();
            moved_ports += ports.moved();
        }
    }
    assert!(moved_addresses > 100 && moved_ports > 100, "{moved_addresses}, {moved_ports}");
}

/// Over traffic with clock steps, lockouts and a full table, plain and hidden.
#[test]
fn drawn_traffic_keeps_its_events() {
    let folder = Folder::new("extract-drawn");
    let mut told = 0;
    for seed in 200..212 {
        folder.write("a.pcap", &drawn::traffic(seed));
        for config in [drawn::COOLING, drawn::LEASED, &drawn::crowded()] {
            folder.write("knockd.conf", config.as_bytes());
            let before = folder.run("run -c knockd.conf --format jsonl a.pcap");
            let before = events(before.exits(0));
            told += before.len();
            folder.run("extract -c knockd.conf a.pcap -o b --force").exits(0);
            let after = folder.run("run -c knockd.conf --format jsonl b");
            assert_eq!(before, events(after.exits(0)), "seed {seed}\n{config}");
            let hidden = "--anonymize --redact --config-out b.conf --force";
            folder.run(&format!("extract -c knockd.conf a.pcap -o b {hidden}")).exits(0);
            let after = folder.run("run -c b.conf --format jsonl b");
            let (mut addresses, mut ports) = (Images::default(), Images::default());
            compare(&before, &events(after.exits(0)), (&mut addresses, &mut ports));
        }
    }
    assert!(told > 5_000, "only {told} events");
}

/// A config with everything that tells something.
const TELLING: &str = "[options]\nLogFile = /srv/alice/knock.log\n\
    [ssh]\nsequence = 7000,8000:udp,9000\ntarget = 192.0.2.1\nallow = 198.51.100.0/24\n\
    deny = 198.51.100.128/25\nignore_ports = 440-450\n\
    start_command = open %IP% 22\nstop_command = close %IP%\n\
    [once]\none_time_sequences = once.seq\n";

#[test]
fn nothing_that_is_hidden_is_in_any_file() {
    let folder = Folder::new("extract-telling");
    folder.write("telling.conf", TELLING.as_bytes());
    folder.write("once.seq", b"#7001,7002\n7003,7004\n");
    folder.write("key", KEY.as_bytes());
    let secret: &[u8] = b"a-payload-that-tells";
    let frames = [7000, 7003, 443, 7004].into_iter().zip(40_000..).map(|(port, from)| {
        let mut frame = syn(HOME, from, port);
        frame[..12].copy_from_slice(b"MACMACMACMAC");
        frame.extend(secret);
        frame
    });
    folder.write("a.pcap", &pcap_of(1, frames));
    let hidden = "--anonymize --redact --key key --config-out out.conf --local 192.0.2.1";
    folder.run(&format!("extract -c telling.conf a.pcap -o out.pcapng {hidden}")).exits(0);
    let capture = fs::read(folder.0.join("out.pcapng")).unwrap();
    let holds = |bytes: &[u8]| capture.windows(bytes.len()).any(|window| window == bytes);
    for bytes in [secret, &HOME, &[192, 0, 2, 1], b"MACMAC"] {
        assert!(!holds(bytes), "{bytes:?}");
    }
    for port in [7000_u16, 7003, 7004, 443, 40_000] {
        assert!(!holds(&port.to_be_bytes()), "{port}");
    }
    let config = fs::read_to_string(folder.0.join("out.conf")).unwrap();
    let lines = fs::read_to_string(folder.0.join("out.conf.one-time-2")).unwrap();
    for text in ["alice", "open", "192.0.2", "198.51", "7000", "8000", "9000", "once.seq", "700"] {
        assert!(!config.contains(text) && !lines.contains(text), "{text}\n{config}{lines}");
    }
    // By a key that is known, the same each time.
    let run = folder.run("run -c out.conf --format jsonl out.pcapng").exits(0).stdout();
    insta::assert_snapshot!(format!("{config}\n== one-time\n{lines}\n== run\n{run}"));
}

#[test]
fn parts_by_the_same_key_fit_together_and_others_do_not() {
    let folder = Folder::new("extract-key");
    folder.write("a.pcap", &knocks());
    folder.write("key", KEY.as_bytes());
    let extract = |options: &str| {
        let hidden = format!("--anonymize --redact --force --config-out c.conf {options}");
        folder.run(&format!("extract -c knockd.conf a.pcap -o b {hidden}")).exits(0);
        fs::read(folder.0.join("b")).unwrap()
    };
    assert_eq!(extract("--key key"), extract("--key key"));
    assert_ne!(extract(""), extract(""));
    assert_eq!(names(&folder), ["a.pcap", "b", "c.conf", "key", "knockd.conf"]);
}

#[test]
fn packets_made_anew_have_right_checksums() {
    use etherparse::{NetSlice, SlicedPacket, TransportSlice};
    use knock_replay::trace::{OnDamage, Traces};
    let (mut tcp, mut udp, mut v6) = (0, 0, 0);
    let folder = Folder::new("extract-checksums");
    let out = folder.0.join("out.pcapng").display().to_string();
    for case in ["ipv6", "by-udp", "interleaved"] {
        let its_config = folder.0.join("out.conf").display().to_string();
        let files = format!("testdata/{case}.pcap -o {out} --config-out {its_config} --force");
        run_at_top(&format!("extract -c testdata/{case}.conf --anonymize {files}")).exits(0);
        let mut traces = Traces::open(&[&out], OnDamage::Stop).unwrap();
        while let Some(frame) = traces.next().unwrap() {
            assert_eq!(frame.link_type, 101);
            let sliced = SlicedPacket::from_ip(frame.captured).unwrap();
            let (source, destination): (IpAddr, IpAddr) = match sliced.net.unwrap() {
                NetSlice::Ipv4(ip) => {
                    let header = ip.header().to_header();
                    assert_eq!(header.header_checksum, header.calc_header_checksum());
                    (header.source.into(), header.destination.into())
                }
                NetSlice::Ipv6(ip) => {
                    v6 += 1;
                    (ip.header().source_addr().into(), ip.header().destination_addr().into())
                }
                other => panic!("{other:?}"),
            };
            match (sliced.transport.unwrap(), source, destination) {
                (TransportSlice::Tcp(its), IpAddr::V4(from), IpAddr::V4(to)) => {
                    tcp += 1;
                    let sum = its.calc_checksum_ipv4(from.octets(), to.octets()).unwrap();
                    assert_eq!(its.checksum(), sum);
                }
                (TransportSlice::Tcp(its), IpAddr::V6(from), IpAddr::V6(to)) => {
                    tcp += 1;
                    let sum = its.calc_checksum_ipv6(from.octets(), to.octets()).unwrap();
                    assert_eq!(its.checksum(), sum);
                }
                (TransportSlice::Udp(its), IpAddr::V4(from), IpAddr::V4(to)) => {
                    udp += 1;
                    let header = its.to_header();
                    let sum = header.calc_checksum_ipv4_raw(from.octets(), to.octets(), &[]);
                    assert_eq!(header.checksum, sum.unwrap());
                }
                (TransportSlice::Udp(its), IpAddr::V6(from), IpAddr::V6(to)) => {
                    udp += 1;
                    let header = its.to_header();
                    let sum = header.calc_checksum_ipv6_raw(from.octets(), to.octets(), &[]);
                    assert_eq!(header.checksum, sum.unwrap());
                }
                (other, _, _) => panic!("{other:?}"),
            }
        }
    }
    assert!(tcp > 10 && udp > 0 && v6 > 0, "{tcp} TCP, {udp} UDP, {v6} IPv6");
}
