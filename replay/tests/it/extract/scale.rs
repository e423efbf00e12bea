//! The map step of docs/SCALE.md.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::events;
use crate::cli::{Folder, Ran, pcap_of, syn};

const DOCUMENT: &str = include_str!("../../../../docs/SCALE.md");

/// Returns the commands of the document, in this language, that have this in them.
fn shown(language: &str, having: &str) -> &'static str {
    let fence = format!("```{language}\n");
    let blocks = DOCUMENT.split(&fence).skip(1);
    let mut blocks = blocks.map(|rest| rest.split("```").next().unwrap());
    blocks.find(|block| block.contains(having)).unwrap()
}

const CONFIG: &[u8] = b"[ssh]\nsequence = 7000,8000,9000\nseq_timeout = 60\n\
    start_command = open %IP%\nstop_command = close %IP%\ncmd_timeout = 30\n\
    [once]\none_time_sequences = once.seq\nmax_strays = 2\n";

/// Writes 64 files with the traffic of 64 minutes. Knocks begin in one and end in the next, and
/// one-time sequences are used up on the way.
fn write_parts(folder: &Folder) {
    let lines: String =
        (0..40).map(|line| format!("{},{}\n", 10_000 + line, 20_000 + line)).collect();
    folder.write("knockd.conf", CONFIG);
    folder.write("once.seq", lines.as_bytes());
    let mut state = 1_u64;
    let mut random = |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut next = HashMap::new();
    for part in 0..64_u32 {
        let frames = (0..60_u16).map(|second| {
            // One line of the one-time file every 20 seconds, some of them from one file to the next.
            let now = part * 60 + u32::from(second);
            let line = u16::try_from((now + 1) / 20).unwrap();
            let guest = match now % 20 {
                19 | 0 => 0,
                _ => u8::try_from(1 + random(5)).unwrap(),
            };
            let port = match (random(10), guest) {
                (_, 0) if now % 20 == 19 => 10_000 + line - 1,
                (_, 0) => 20_000 + line.max(1) - 1,
                (0..4, _) => u16::try_from(random(60_000)).unwrap() + 1,
                (_, guest) => {
                    let stage: &mut usize = next.entry(guest).or_default();
                    *stage += 1;
                    [7000, 8000, 9000][(*stage - 1) % 3]
                }
            };
            let mut frame = syn([198, 51, 100, guest], second + 1000, port);
            if guest > 0 && random(3) == 0 {
                // Data, which concerns nobody.
                frame[14 + 20 + 13] = 0x10;
            }
            frame
        });
        let mut bytes = pcap_of(1, frames);
        for record in 0..60 {
            let at = 24 + record * (16 + 54);
            let second = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) + part * 60;
            bytes[at..at + 4].copy_from_slice(&second.to_le_bytes());
        }
        folder.write(&format!("part-{part:02}.pcap"), &bytes);
    }
}

/// A folder with 64 files, and the events of one run over all of them.
fn whole(test: &str) -> (Folder, Vec<Value>) {
    let folder = Folder::new(test);
    write_parts(&folder);
    let parts: Vec<String> = (0..64).map(|part| format!("part-{part:02}.pcap")).collect();
    let run = "run -c knockd.conf --local 192.0.2.1 --format jsonl";
    let events = events(folder.run(&format!("{run} {}", parts.join(" "))).exits(0));
    let count = |door: &str| {
        events.iter().filter(|event| event["event"] == "open" && event["door"] == door).count()
    };
    assert!(count("ssh") > 20 && count("once") == 40, "{} and {}", count("ssh"), count("once"));
    (folder, events)
}

/// Runs a program with what the document shows, this program on its path.
fn run(folder: &Folder, program: &Path, arguments: &[&str]) -> Ran {
    let replay = Path::new(env!("CARGO_BIN_EXE_knock-replay")).parent().unwrap();
    let path = format!("{}:{}", replay.display(), env::var("PATH").unwrap());
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", path).current_dir(&folder.0).stdin(Stdio::null());
    // Spark's parts speak to each other by this address.
    let output = command.env("SPARK_LOCAL_IP", "127.0.0.1").output();
    let output = output.unwrap_or_else(|error| {
        panic!("{} can't be run: {error}; try: ci/install-deps test", program.display())
    });
    Ran { arguments: arguments.join(" "), output }
}

/// Checks that there are 64 extracts, which come to these events; then takes them away.
fn check(folder: &Folder, whole: &[Value]) {
    let small = folder.path("small");
    assert_eq!(fs::read_dir(&small).unwrap().count(), 64);
    let last = shown("sh", "xargs -P").lines().last().unwrap();
    let scaled = run(folder, Path::new("sh"), &["-ec", last]);
    assert_eq!(events(scaled.exits(0)), whole);
    assert!(fs::metadata(small.join("part-00.pcap.pcapng")).unwrap().len() > 0);
    fs::remove_dir_all(&small).unwrap();
}

#[test]
fn extracts_of_64_files_come_to_the_same_as_one_run() {
    let (folder, whole) = whole("extract-scale");
    let ran = run(&folder, Path::new("sh"), &["-ec", shown("sh", "xargs -P")]);
    assert_eq!(events(ran.exits(0)), whole);
    check(&folder, &whole);
}

#[test]
fn gnu_parallel_comes_to_the_same_and_goes_on_where_it_was_interrupted() {
    let (folder, whole) = whole("extract-parallel");
    fs::create_dir(folder.path("small")).unwrap();
    let version = run(&folder, Path::new("parallel"), &["--version"]);
    assert!(version.stdout().starts_with("GNU parallel"), "another parallel is on the path");
    let script = shown("sh", "parallel ");
    run(&folder, Path::new("sh"), &["-ec", script]).exits(0);
    // A file that failed is done again, and no other.
    let log = String::from_utf8(folder.read("extract.log")).unwrap();
    assert_eq!(log.lines().count(), 1 + 64, "{log}");
    let lines = log.lines().map(|line| match line.contains(" part-07.pcap ") {
        true => line.replace("\t0\t0\tknock-replay", "\t2\t0\tknock-replay"),
        false => line.to_owned(),
    });
    let failed = lines.map(|line| line + "\n").collect::<String>();
    assert_ne!(failed, log);
    folder.write("extract.log", failed.as_bytes());
    let again = run(&folder, Path::new("sh"), &["-ec", script]);
    let again = again.exits(0).stderr();
    assert_eq!(again.matches("packets concern a door").count(), 1, "{again}");
    check(&folder, &whole);
}

#[test]
fn spark_comes_to_the_same() {
    let (folder, whole) = whole("extract-spark");
    fs::create_dir(folder.path("small")).unwrap();
    folder.write("job.py", shown("python", "pyspark").as_bytes());
    let python = crate::python("python");
    run(&folder, &python, &["job.py"]).exits(0);
    check(&folder, &whole);
    // A file that can't be read fails the job; one is enough to see that.
    fs::create_dir(folder.path("small")).unwrap();
    for part in (0..64).filter(|part| *part != 7) {
        fs::remove_file(folder.path(&format!("part-{part:02}.pcap"))).unwrap();
    }
    folder.write("part-07.pcap", b"this is no capture");
    let failed = run(&folder, &python, &["job.py"]);
    failed.exits(1).says("part-07.pcap");
}
