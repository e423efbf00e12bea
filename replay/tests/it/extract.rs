//! `extract`: only the packets that concern a door.

#![expect(clippy::unwrap_used, reason = "the lint knows only functions marked as tests")]

mod hidden;
mod scale;

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::cli::{Folder, Ran, pcap_of, syn};

/// Where the configs of testdata/ have their one-time files.
pub(crate) const TOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The key of extracts that are to be the same each time.
const KEY: &str = "000102030405060708090a0b0c0d0e0f\n";

const HOME: [u8; 4] = [198, 51, 100, 7];

/// Frames, a second apart, that knock at the folder's config and at others' ports.
fn knocks() -> Vec<u8> {
    let ports = [7000, 443, 8000, 9000, 22];
    let mut frames: Vec<Vec<u8>> =
        (40_000..).zip(ports).map(|(from, port)| syn(HOME, from, port)).collect();
    // No initial SYN, and not to this host.
    frames[1][14 + 20 + 13] = 0x10;
    frames[4][14 + 19] = 9;
    pcap_of(1, frames.into_iter())
}

/// Runs the program in the top folder.
pub(crate) fn run_at_top(arguments: &str) -> Ran {
    Folder(TOP.into()).run(arguments)
}

/// The captures of testdata/, with their configs: the name, the config, the traces.
pub(crate) fn cases() -> Vec<(String, String, String)> {
    let files = fs::read_dir(format!("{TOP}/testdata")).unwrap();
    let mut files: Vec<String> =
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    let cases = files.iter().filter_map(|file| {
        // One of them can't be read by anybody.
        let case = file.strip_suffix(".conf").filter(|case| *case != "link-unknown")?;
        let is_of_it = |name: &&String| {
            let rest = name.strip_prefix(case).unwrap_or_default();
            let rest = rest.strip_prefix(".1").or(rest.strip_prefix(".2")).unwrap_or(rest);
            rest.starts_with(".pcap")
        };
        let traces: Vec<String> =
            files.iter().filter(is_of_it).map(|name| format!("testdata/{name}")).collect();
        let (case, config) = (case.to_owned(), format!("testdata/{case}.conf"));
        (!traces.is_empty()).then(|| (case, config, traces.join(" ")))
    });
    let cases: Vec<_> = cases.collect();
    assert!(cases.len() > 30, "only {} cases", cases.len());
    cases
}

/// What a run tells of events, without the places of the packets.
pub(crate) fn events(ran: &Ran) -> Vec<Value> {
    let stdout = ran.stdout();
    let lines = stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut events: Vec<Value> = lines.filter(|line| line["event"] != "summary").collect();
    for event in &mut events {
        let fields = event.as_object_mut().unwrap();
        fields.remove("frame");
        fields.remove("trace");
    }
    events
}

#[test]
fn a_replay_of_the_extract_gives_the_same_events() {
    let folder = Folder::new("extract-same");
    let (mut told, mut smaller) = (0, 0);
    for (case, config, traces) in cases() {
        let out = folder.0.join(&case).display().to_string();
        for local in ["", "--local 192.0.2.1,2001:db8::1"] {
            let before =
                run_at_top(&format!("run -c {config} --format jsonl --resync {local} {traces}"));
            let extract = format!("extract -c {config} --resync --force {local} {traces} -o {out}");
            run_at_top(&extract).exits(0);
            // The extract tells the local addresses itself.
            let after = run_at_top(&format!("run -c {config} --format jsonl {out}"));
            assert_eq!(events(&before), events(after.exits(0)), "{before}{after}");
            told += events(&before).len();
            let count = |ran: &Ran| summary(ran)["packets"].as_u64().unwrap();
            assert!(count(&after) <= count(&before), "{after}");
            smaller += usize::from(count(&after) < count(&before));

            // And an extract of the extract is the extract.
            let again = format!("{out}.again");
            run_at_top(&format!("extract -c {config} --force {out} -o {again}")).exits(0);
            let (first, second) = (fs::read(&out).unwrap(), fs::read(&again).unwrap());
            assert_eq!(first, second, "{case}");
        }
    }
    assert!(told > 500 && smaller > 5, "{told} events, {smaller} extracts are smaller");
}

fn summary(ran: &Ran) -> Value {
    serde_json::from_str(ran.stdout().lines().last().unwrap()).unwrap()
}

#[test]
fn it_keeps_the_packets_that_concern_a_door() {
    let folder = Folder::new("extract-few");
    folder.write("a.pcap", &knocks());
    let arguments = "extract -c knockd.conf --local 192.0.2.1 a.pcap -o small.pcapng";
    let ran = folder.run(arguments);
    ran.exits(0).says("small.pcapng: 3 of 5 packets concern a door");
    assert_eq!(ran.stdout(), "");
    let lines = folder.run("run -c knockd.conf --format jsonl small.pcapng");
    assert_eq!(summary(&lines)["local"], "recorded");
    insta::assert_snapshot!(lines.exits(0).stdout());
    // Standard input and output, and compressed or not, it is the same extract.
    let mut piped = folder.command("extract -c knockd.conf --local 192.0.2.1 - -o -");
    piped.stdin(fs::File::open(folder.0.join("a.pcap")).unwrap());
    assert_eq!(piped.output().unwrap().stdout, fs::read(folder.0.join("small.pcapng")).unwrap());
}

#[test]
fn frames_keep_their_stamps_their_lengths_and_their_link_types() {
    use knock_replay::trace::{Ending, OnDamage, Traces};
    let folder = Folder::new("extract-frames");
    // Nanoseconds, and 40 bytes that a snap length cut off.
    let mut trace = knocks();
    trace[0..4].copy_from_slice(&0xa1b2_3c4d_u32.to_le_bytes());
    trace[28..32].copy_from_slice(&123_456_789_u32.to_le_bytes());
    trace[36..40].copy_from_slice(&94_u32.to_le_bytes());
    folder.write("a.pcap", &trace);
    folder.write("b.pcap", &pcap_of(101, std::iter::once(syn(HOME, 1, 7000)[14..].to_vec())));
    folder.run("extract -c knockd.conf b.pcap a.pcap -o small.pcapng").exits(0);
    let mut traces = Traces::open(&[folder.0.join("small.pcapng")], OnDamage::Stop).unwrap();
    let mut seen = Vec::new();
    while let Some(frame) = traces.next().unwrap() {
        let nanos = frame.at.as_nanos() % 1_000_000_000;
        seen.push((nanos, frame.link_type, frame.captured.len(), frame.original));
    }
    assert_eq!(traces.readers()[0].ending(), Some(Ending::Complete));
    let usual = (0, 1, 54, 54);
    assert_eq!(seen, [(0, 101, 40, 40), (123_456_789, 1, 54, 94), usual, usual, usual]);
}

#[test]
fn lines_of_a_one_time_file_that_come_later_are_kept_for() {
    let folder = Folder::new("extract-one-time");
    folder.write("once.conf", b"[once]\none_time_sequences = once.seq\nmax_strays = off\n");
    folder.write("once.seq", b"#1,2\n1000,2000\n3000,4000\n");
    let frames = (1..).zip([3000, 4000, 1000, 2000, 1, 3000, 4000]);
    folder.write("a.pcap", &pcap_of(1, frames.map(|(from, port)| syn(HOME, from, port))));
    folder.run("extract -c once.conf a.pcap -o b.pcapng").exits(0).says("6 of 7 packets");
    let opens = |trace: &str| {
        let run = folder.run(&format!("run -c once.conf --format jsonl {trace}"));
        events(run.exits(0))
    };
    assert_eq!(opens("a.pcap"), opens("b.pcapng"));
    assert_eq!(opens("b.pcapng").iter().filter(|event| event["event"] == "open").count(), 2);
}

/// A block of a pcapng.
fn block(kind: u32, content: &[u8]) -> Vec<u8> {
    let padding = vec![0; content.len().next_multiple_of(4) - content.len()];
    let length = u32::try_from(12 + content.len() + padding.len()).unwrap().to_le_bytes();
    [&kind.to_le_bytes()[..], &length, content, &padding, &length].concat()
}

/// A description of an Ethernet interface with stamps in microseconds, and its address.
fn interface(address: [u8; 4]) -> Vec<u8> {
    let option = [[4, 0, 8, 0], address, [255; 4], [0; 4]].concat();
    block(1, &[&[1, 0, 0, 0, 0, 0, 0, 0][..], &option].concat())
}

/// A SYN to the last address of 192.0.2.0/24, so many seconds after the first.
fn packet(second: u16, last: u8, port: u16) -> Vec<u8> {
    let mut frame = syn(HOME, 40_000 + second, port);
    frame[14 + 19] = last;
    let stamp = (1_795_341_600 + u64::from(second)) * 1_000_000;
    let (high, low) = (stamp >> 32, stamp & u64::from(u32::MAX));
    let length = u32::try_from(frame.len()).unwrap();
    let [high, low] = [high, low].map(|half| u32::try_from(half).unwrap());
    let fields = [0, high, low, length, length].map(u32::to_le_bytes).concat();
    block(6, &[fields, frame].concat())
}

#[test]
fn addresses_that_change_on_the_way_change_in_the_extract() {
    use knock_engine::time::Timestamp;
    use knock_frontend::recording::{BLOCK_TYPE, Note};
    let note = |last: u8| {
        let addresses = vec![[192, 0, 2, last].into()];
        let at = Timestamp::from_nanos(1_795_341_600_000_000_000);
        block(BLOCK_TYPE, &Note::LocalAddresses { at, addresses }.to_block())
    };
    let head = [&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat();
    let nameless = block(1, &[1, 0, 0, 0, 0, 0, 0, 0]);
    // Everything is local at first; then 192.0.2.1, with 192.0.2.2, and at last only 192.0.2.3.
    let trace = [
        block(0x0a0d_0d0a, &head),
        nameless,
        packet(0, 9, 7000),
        interface([192, 0, 2, 1]),
        packet(1, 9, 8000),
        packet(2, 1, 8000),
        interface([192, 0, 2, 2]),
        packet(3, 2, 9000),
        note(3),
        packet(4, 1, 7000),
        packet(5, 3, 7000),
        packet(6, 2, 8000),
        packet(7, 3, 8000),
        packet(8, 3, 9000),
    ];
    let folder = Folder::new("extract-addresses");
    folder.write("a.pcapng", &trace.concat());
    folder.write("key", KEY.as_bytes());
    folder.run("extract -c knockd.conf a.pcapng -o b.pcapng").exits(0).says("6 of 9 packets");
    let hidden = "--anonymize --key key --config-out c.conf";
    folder.run(&format!("extract -c knockd.conf a.pcapng -o c.pcapng {hidden}")).exits(0);
    let run = |arguments: &str| {
        let run = folder.run(&format!("run --format jsonl {arguments}"));
        events(run.exits(0))
    };
    let (before, after) = (run("-c knockd.conf a.pcapng"), run("-c knockd.conf b.pcapng"));
    assert_eq!(before, after);
    let opens = |events: &[Value]| events.iter().filter(|its| its["event"] == "open").count();
    assert_eq!((opens(&before), opens(&run("-c c.conf c.pcapng"))), (2, 2));
    // Whoever knows better says so, and it is written instead.
    let given = "extract -c knockd.conf --local 192.0.2.9 a.pcapng -o d.pcapng";
    folder.run(given).exits(0).says("2 of 9 packets");
    assert_eq!(run("-c knockd.conf --local 192.0.2.9 a.pcapng"), run("-c knockd.conf d.pcapng"));
}

#[test]
fn what_exists_is_left_alone_and_what_fails_leaves_nothing() {
    let folder = Folder::new("extract-refusals");
    folder.write("a.pcap", &knocks());
    let mut damaged = knocks();
    damaged.extend([0xee; 300]);
    folder.write("damaged.pcap", &damaged);
    folder.write("there.pcapng", b"precious");
    folder.write("bad.key", b"0123");
    fs::create_dir(folder.0.join("folder")).unwrap();
    let before = names(&folder);
    let mut all = String::new();
    for arguments in [
        "extract -c knockd.conf a.pcap",
        "extract a.pcap -o small.pcapng",
        "extract -c absent.conf a.pcap -o small.pcapng",
        "extract -c knockd.conf absent.pcap -o small.pcapng",
        "extract -c knockd.conf a.pcap -o there.pcapng",
        "extract -c knockd.conf a.pcap -o folder",
        "extract -c knockd.conf a.pcap -o folder --force",
        "extract -c knockd.conf a.pcap -o /dev/full --force",
        "extract -c knockd.conf a.pcap -o nowhere/small.pcapng",
        "extract -c knockd.conf damaged.pcap -o small.pcapng",
        "extract -c knockd.conf a.pcap -o small.pcapng --anonymize",
        "extract -c knockd.conf a.pcap -o small.pcapng --redact",
        "extract -c knockd.conf a.pcap -o small.pcapng --config-out small.conf",
        "extract -c knockd.conf a.pcap -o small.pcapng --key bad.key",
        "extract -c knockd.conf a.pcap -o s --redact --config-out s.conf --key bad.key",
        "extract -c knockd.conf a.pcap -o s --redact --config-out s.conf --key absent.key",
        "extract -c knockd.conf a.pcap -o s --redact --config-out knockd.conf",
        "extract -c knockd.conf a.pcap -o s --redact --config-out -",
        "extract -c knockd.conf a.pcap -o s --redact --config-out s",
        "extract -c knockd.conf damaged.pcap -o s --redact --config-out s.conf",
    ] {
        all.push_str(&folder.run(arguments).exits(2).to_string());
        assert_eq!(names(&folder), before, "{arguments}");
    }
    insta::assert_snapshot!(all);
    assert_eq!(fs::read(folder.0.join("there.pcapng")).unwrap(), b"precious");

    folder.run("extract -c knockd.conf a.pcap -o there.pcapng --force").exits(0);
    folder.run("extract -c knockd.conf damaged.pcap --resync -o small.pcapng").exits(0);
    let (there, small) = (folder.0.join("there.pcapng"), folder.0.join("small.pcapng"));
    assert_eq!(fs::read(there).unwrap(), fs::read(small).unwrap());
    // An extract may take the place of its trace.
    folder.run("extract -c knockd.conf a.pcap -o a.pcap --force").exits(0).says("of 5 packets");
    folder.run("run -c knockd.conf a.pcap").exits(0);
}

/// The names in a folder, hidden ones too.
fn names(folder: &Folder) -> Vec<String> {
    let entries = fs::read_dir(&folder.0).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_full_disk_is_told() {
    let folder = Folder::new("extract-full");
    folder.write("a.pcap", &knocks());
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = folder.command("extract -c knockd.conf a.pcap -o -");
    let ran = command.stdout(full).output().unwrap();
    let ran = Ran { arguments: "extract to /dev/full".to_owned(), output: ran };
    ran.exits(2).says("cannot write to standard output: No space left on device");
    // A file that may not grow stands for a disk that is full.
    let limited = "ulimit -f 1; trap '' XFSZ; exec \"$0\" extract -c knockd.conf big.pcap -o small";
    let frames = (0..200).map(|from| syn(HOME, from, 7000));
    folder.write("big.pcap", &pcap_of(1, frames));
    let before = names(&folder);
    let output = Command::new("sh")
        .args(["-c", limited, env!("CARGO_BIN_EXE_knock-replay")])
        .current_dir(&folder.0)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let ran = Ran { arguments: limited.to_owned(), output };
    ran.exits(2).says("small: cannot write; nothing is left there: File too large");
    assert_eq!(names(&folder), before);
}

#[test]
fn a_trace_that_is_cut_off_is_extracted_as_far_as_it_goes() {
    let folder = Folder::new("extract-cut");
    let whole = knocks();
    for length in 0..whole.len() {
        folder.write("cut.pcap", &whole[..length]);
        let ran = folder.run("extract -c knockd.conf cut.pcap -o small.pcapng --force");
        // What has not even a header is no trace.
        assert!(matches!(ran.output.status.code(), Some(0 | 2)), "{length}: {ran}");
        if length >= 24 {
            let run = folder.run("run -c knockd.conf --format jsonl cut.pcap");
            let extract = folder.run("run -c knockd.conf --format jsonl small.pcapng");
            assert_eq!(events(&run), events(ran.exits(0).and(&extract)), "{length}");
        }
    }
}

#[test]
fn hostile_bytes_end_it_decently() {
    let folder = Folder::new("extract-hostile");
    let samples = ["interfaces.pcapng", "vlan.pcap", "gzip.pcap.gz", "extensions.pcap"];
    let mut state = 7_u64;
    let mut random = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    for sample in samples {
        let bytes = fs::read(format!("{TOP}/testdata/{sample}")).unwrap();
        for _ in 0..12 {
            let mut bytes = bytes.clone();
            for _ in 0..=random(6) {
                let place = random(bytes.len());
                bytes[place] = u8::try_from(random(256)).unwrap();
            }
            folder.write("a", &bytes);
            for options in ["--resync", "--resync --anonymize --redact --config-out c.conf"] {
                let ran = folder.run(&format!("extract -c knockd.conf a -o b --force {options}"));
                assert!(matches!(ran.output.status.code(), Some(0 | 2)), "{ran}");
                if ran.output.status.success() {
                    folder.run("run -c knockd.conf b").exits(0);
                }
            }
        }
    }
}

impl Ran {
    /// Returns another run, once this one is in order.
    fn and<'a>(&self, other: &'a Self) -> &'a Self {
        other
    }
}
