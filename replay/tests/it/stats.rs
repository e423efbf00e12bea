//! `stats` from the outside.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::process::Stdio;

use serde_json::Value;

use crate::cli::{Folder, Ran, syn};
use crate::sweep::run_at_top;

const HOME: [u8; 4] = [198, 51, 100, 7];
const AWAY: [u8; 4] = [198, 51, 100, 8];
const SCANNER: [u8; 4] = [203, 0, 113, 9];

/// Makes a capture, packet by packet.
#[derive(Default)]
struct Traffic {
    records: Vec<(u64, Vec<u8>)>,
    from: u16,
}

impl Traffic {
    /// Adds a SYN from a port of its own, so many milliseconds after the start.
    fn syn(mut self, ms: u64, source: [u8; 4], port: u16) -> Self {
        self.from += 1;
        self.records.push((ms, syn(source, 40_000 + self.from, port)));
        self
    }

    /// Adds SYNs to these ports, so many milliseconds apart.
    fn knock(self, ms: u64, source: [u8; 4], ports: &[u16], gap: u64) -> Self {
        (0..)
            .zip(ports)
            .fold(self, |traffic, (index, port)| traffic.syn(ms + index * gap, source, *port))
    }

    /// Adds the last packet again, as it was.
    fn again(mut self, ms: u64) -> Self {
        let (_, frame) = self.records.last().unwrap().clone();
        self.records.push((ms, frame));
        self
    }

    fn pcap(mut self) -> Vec<u8> {
        self.records.sort_by_key(|(ms, _)| *ms);
        let mut file = Vec::new();
        for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1] {
            file.extend(u32::to_le_bytes(word));
        }
        for (ms, frame) in self.records {
            let length = u32::try_from(frame.len()).unwrap();
            let second = 1_795_341_600 + u32::try_from(ms / 1000).unwrap();
            let micros = u32::try_from(ms % 1000 * 1000).unwrap();
            for word in [second, micros, length, length] {
                file.extend(u32::to_le_bytes(word));
            }
            file.extend(frame);
        }
        file
    }
}

const KNOCK: [u16; 3] = [7000, 8000, 9000];

/// Returns a folder with a capture in which everything happens.
fn folder(test: &str) -> Folder {
    let folder = Folder::new(test);
    let short = "[ssh]\nsequence = 7000,8000,9000\nseq_timeout = 5\nstart_command = open %IP%\n\
                 [idle]\nsequence = 1111,2222\n";
    folder.write("knockd.conf", short.as_bytes());
    let minute = 60_000;
    let traffic = Traffic::default()
        .knock(0, HOME, &KNOCK, 300)
        .again(1_700)
        // Too slow for today, and slower still.
        .knock(minute, HOME, &KNOCK, 4_000)
        .knock(2 * minute, AWAY, &KNOCK, 15_500)
        // One knock is overtaken, one is lost, one is repeated.
        .knock(4 * minute, HOME, &[7000, 9000, 8000], 10)
        .knock(5 * minute, AWAY, &[7000, 9000], 500)
        .knock(5 * minute + 2_000, AWAY, &[7000, 8000, 8000, 9000], 500)
        // Nobody honest.
        .knock(20 * minute, SCANNER, &[7000, 1, 2, 3, 8000, 4, 5, 6, 9000], 10)
        .knock(40 * minute, SCANNER, &[7000, 9000], 10);
    folder.write("a.pcap", &traffic.pcap());
    folder
}

#[test]
fn everything_that_happened_is_told() {
    let folder = folder("stats_all");
    let ran = folder.run("stats -c knockd.conf --local 192.0.2.1 a.pcap");
    insta::assert_snapshot!("stats_text", ran.exits(0).to_string());
    let ran = folder.run("stats -c knockd.conf --local 192.0.2.1 --format jsonl a.pcap");
    insta::assert_snapshot!("stats_jsonl", ran.exits(0).to_string());
    let colours = "stats -c knockd.conf --door ssh --color always a.pcap";
    let coloured = folder.run(colours).exits(0).stdout();
    insta::assert_snapshot!(
        "stats_colours",
        coloured.escape_debug().to_string().replace("\\n", "\n")
    );
}

#[test]
fn what_is_asked_for_is_enough_and_no_more() {
    let folder = folder("stats_asked");
    let lines = lines(&folder.run("stats -c knockd.conf --door ssh --format jsonl a.pcap"));
    let door = &lines[0];
    assert_eq!(door["slow"], 2);
    assert_eq!(door["opens_when_asked"], 2);
    // The slowest took 31 s exactly, and a knock on its deadline is late (S2).
    assert_eq!(door["asked_seq_timeout_ns"], 32_000_000_000_u64);
    let run = |set: &str| {
        let sweep = "sweep -c knockd.conf --door ssh --format jsonl --set seq_timeout=";
        let ran = folder.run(&format!("{sweep}{set} a.pcap"));
        let runs = self::lines(&ran);
        runs.iter().find(|run| run["today"] == false).unwrap()["honest"].as_u64().unwrap()
    };
    assert_eq!((run("32"), run("31")), (4, 3));
    // Twice the 10 ms by which a knock was overtaken.
    assert_eq!(door["asked_delay_ns"], 20_000_000);
    assert_eq!((&door["lost"], &door["overtaken"]), (&1.into(), &1.into()));
    assert_eq!((&door["repeats"], &door["duplicates"]), (&1.into(), &1.into()));
    assert_eq!((&door["opens"], &door["accidental"]), (&2.into(), &1.into()));
}

fn lines(ran: &Ran) -> Vec<Value> {
    ran.exits(0).stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_bundled_captures_have_their_figures() {
    for name in ["interleaved", "late", "lost", "reordered", "retransmitted", "twice", "scan"] {
        let ran = run_at_top(&format!("stats -c testdata/{name}.conf testdata/{name}.pcap"));
        insta::assert_snapshot!(format!("stats_{name}"), ran.exits(0).to_string());
    }
    let ran = run_at_top("stats -c testdata/damaged.conf testdata/damaged.pcap");
    insta::assert_snapshot!("stats_damaged", ran.exits(2).to_string());
}

#[test]
fn help() {
    let folder = Folder::new("stats_help");
    insta::assert_snapshot!("help_stats", folder.run("stats --help").exits(0).stdout());
    insta::assert_snapshot!("help_stats_short", folder.run("stats -h").exits(0).stdout());
}

#[test]
fn what_cannot_be_told_is_said_and_exits_with_2() {
    let folder = folder("stats_errors");
    let mut told = String::new();
    for arguments in [
        "-c knockd.conf",
        "-c knockd.conf --door sshd a.pcap",
        "-c knockd.conf --door \u{1b}[31m a.pcap",
        "-c missing.conf a.pcap",
        "-c knockd.conf missing.pcap",
        "-c knockd.conf --top many a.pcap",
    ] {
        let ran = folder.run(&format!("stats {arguments}"));
        ran.exits(2);
        assert!(!ran.stderr().contains('\u{1b}') && ran.stdout().is_empty(), "{ran}");
        told.push_str(&format!("$ stats {}\n{}\n", arguments.escape_debug(), ran.stderr()));
    }
    insta::assert_snapshot!(told);
}

#[test]
fn nothing_of_a_config_reaches_the_terminal_as_it_is() {
    let folder = folder("stats_hostile");
    folder.write("evil.conf", b"[\x1b[31mred\xe2\x80\xae]\nsequence = 7000,8000,9000\n");
    for format in ["text", "jsonl"] {
        let ran = folder.run(&format!("stats -c evil.conf --format {format} a.pcap"));
        ran.exits(0).says("[31mred");
        let said = ran.stdout() + &ran.stderr();
        assert!(!said.contains('\u{1b}') && !said.contains('\u{202e}'), "{ran}");
    }
}

#[test]
fn the_sources_with_the_most_knocks_are_told() {
    let folder = Folder::new("stats_top");
    let traffic = (0..5).fold(Traffic::default(), |traffic, host: u8| {
        (0..=u64::from(host)).fold(traffic, |traffic, time| {
            let source = [198, 51, 100, host];
            traffic.knock(time * 60_000 + u64::from(host) * 7, source, &KNOCK, 100)
        })
    });
    folder.write("a.pcap", &traffic.pcap());
    let ran = folder.run("stats -c knockd.conf --top 2 --format jsonl a.pcap");
    let lines = lines(&ran);
    let sources: Vec<_> = lines.iter().filter_map(|line| line["source"].as_str()).collect();
    assert_eq!(sources, ["198.51.100.4", "198.51.100.3"]);
    assert_eq!(lines[0]["sources"], 5);
    folder.run("stats -c knockd.conf --top 2 a.pcap").exits(0).says("and 3 more sources (--top)");
}

#[test]
fn standard_input_is_kept() {
    use std::io::Write as _;
    let folder = folder("stats_stdin");
    let from_file = folder.run("stats -c knockd.conf a.pcap").exits(0).stdout();
    let mut command = folder.command("stats -c knockd.conf -");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(&folder.read("a.pcap")).unwrap();
    let ran = Ran { arguments: "stats -".to_owned(), output: child.wait_with_output().unwrap() };
    assert_eq!(ran.exits(0).stdout(), from_file, "{ran}");
}
