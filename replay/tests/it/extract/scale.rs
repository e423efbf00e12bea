//! The map step of docs/SCALE.md.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::process::{Command, Stdio};

use super::events;
use crate::cli::{Folder, Ran, pcap_of, syn};

const DOCUMENT: &str = include_str!("../../../../docs/SCALE.md");

/// Returns the shell commands of the document that have this in them.
fn shown(having: &str) -> &'static str {
    let mut blocks =
        DOCUMENT.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
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

#[test]
fn extracts_of_64_files_come_to_the_same_as_one_run() {
    let folder = Folder::new("extract-scale");
    write_parts(&folder);
    let parts: Vec<String> = (0..64).map(|part| format!("part-{part:02}.pcap")).collect();
    let run = "run -c knockd.conf --local 192.0.2.1 --format jsonl";
    let whole = folder.run(&format!("{run} {}", parts.join(" ")));
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_knock-replay")).parent().unwrap();
    let path = format!("{}:{}", program.display(), env::var("PATH").unwrap());
    let script = format!("set -e\n{}", shown("xargs -P"));
    let output = Command::new("sh")
        .args(["-c", &script])
        .env("PATH", path)
        .current_dir(&folder.0)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let scaled = Ran { arguments: script, output };
    let (whole, scaled) = (events(whole.exits(0)), events(scaled.exits(0)));
    assert_eq!(whole, scaled);
    let count = |door: &str| {
        whole.iter().filter(|event| event["event"] == "open" && event["door"] == door).count()
    };
    assert!(count("ssh") > 20 && count("once") == 40, "{} and {}", count("ssh"), count("once"));
    let size = |name: &str| fs::metadata(folder.0.join(name)).unwrap().len();
    assert!(size("small/part-00.pcap.pcapng") > 0);
}
