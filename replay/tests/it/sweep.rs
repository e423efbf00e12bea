//! `sweep` from the outside, and beside single runs.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::cli::{Folder, Ran, pcap_of, syn};
use crate::drawn;

const HOME: [u8; 4] = [198, 51, 100, 7];
const OTHER: [u8; 4] = [203, 0, 113, 9];
/// A port that no door has; hits on it let a second pass.
const IDLE: u16 = 0;

/// Returns a capture of SYNs to these ports, a second apart; `IDLE` comes from somebody else.
fn knocks(ports: &[u16]) -> Vec<u8> {
    let syns = (40_000..).zip(ports).map(|(from, port)| match *port {
        IDLE => syn(OTHER, from, 443),
        port => syn(HOME, from, port),
    });
    pcap_of(1, syns)
}

/// Runs the program in the top folder of the repository.
pub(crate) fn run_at_top(arguments: &str) -> Ran {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut command = Command::new(env!("CARGO_BIN_EXE_knock-replay"));
    command.current_dir(top).args(arguments.split(' ')).stdin(Stdio::null());
    command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").env_remove("COLUMNS");
    Ran { arguments: arguments.to_owned(), output: command.output().unwrap() }
}

#[test]
fn the_bundled_captures_are_swept() {
    for (name, options) in [
        ("late", "--set seq_timeout=1s..20s"),
        ("strays", "--set max_strays=0..16,off"),
        ("scan", "--set max_strays=0,8,32,64,off --set seq_timeout=1s..5s/3"),
        ("interleaved", "--set seq_timeout=100ms..1s"),
        ("cooldown", "--set cooldown=0..60s"),
        ("renewed", "--set cmd_timeout=1s..10s"),
        ("lockout", "--set max_failures=0..4 --set lockout=10s,60s,300s"),
        ("retransmitted", "--set retransmit_window=0..30s"),
        ("damaged", "--set seq_timeout=1s..3s"),
    ] {
        let door = door_of(name);
        let arguments =
            format!("sweep -c testdata/{name}.conf --door {door} {options} testdata/{name}.pcap");
        insta::assert_snapshot!(format!("sweep_{name}"), run_at_top(&arguments).to_string());
    }
}

/// Returns the name of the only door of a config in testdata/.
pub(crate) fn door_of(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../testdata/{name}.conf"));
    let text = std::fs::read_to_string(path).unwrap();
    let names = text.lines().filter_map(|line| line.strip_prefix('[')?.strip_suffix(']'));
    let doors: Vec<&str> = names.filter(|name| *name != "options").collect();
    assert_eq!(doors.len(), 1, "doors of {name}");
    doors[0].to_owned()
}

#[test]
fn help() {
    let folder = Folder::new("sweep_help");
    insta::assert_snapshot!("help_sweep", folder.run("sweep --help").exits(0).stdout());
    insta::assert_snapshot!("help_sweep_short", folder.run("sweep -h").exits(0).stdout());
}

#[test]
fn what_cannot_be_swept_is_told_and_exits_with_2() {
    let folder = Folder::new("sweep_errors");
    folder.write("a.pcap", &knocks(&[7000, 8000, 9000]));
    folder.write("two.conf", b"[a]\nsequence = 1\n[a]\nsequence = 2\n");
    folder.write("evil.conf", b"[\x1b[31mred]\nsequence = 7000\n");
    let mut told = String::new();
    for arguments in [
        "-c knockd.conf --door ssh a.pcap",
        "-c knockd.conf --door sshd --set seq_timeout=1s..5s a.pcap",
        "-c evil.conf --door sshd --set seq_timeout=1s..5s a.pcap",
        "-c two.conf --door a --set seq_timeout=1s..5s a.pcap",
        "-c knockd.conf --door ssh --set seq_timeout a.pcap",
        "-c knockd.conf --door ssh --set sequence=7000 a.pcap",
        "-c knockd.conf --door ssh --set seq_timeout=5s..1s a.pcap",
        "-c knockd.conf --door ssh --set seq_timeout=1parsec a.pcap",
        "-c knockd.conf --door ssh --set \u{1b}[31m=1 a.pcap",
        "-c knockd.conf --door ssh --set seq_timeout=1s --set seq_timeout=2s a.pcap",
        "-c knockd.conf --door ssh --set seq_timeout=1s..60s/60 --set max_strays=0..59/60 a.pcap",
        "-c knockd.conf --door ssh --set seq_timeout=1s --scanner 0 a.pcap",
        "-c knockd.conf --door ssh --set seq_timeout=1s missing.pcap",
        "--door ssh --set seq_timeout=1s a.pcap",
    ] {
        let ran = folder.run(&format!("sweep {arguments}"));
        ran.exits(2);
        assert_eq!(ran.stdout(), "", "{ran}");
        assert!(!ran.stderr().contains('\u{1b}'), "{ran}");
        told.push_str(&format!("$ sweep {}\n{}\n", arguments.escape_debug(), ran.stderr()));
    }
    insta::assert_snapshot!(told);
}

#[test]
fn warnings_of_the_parser_are_told_once() {
    let folder = Folder::new("sweep_warnings");
    folder.write("a.pcap", &knocks(&[7000, 8000, 9000]));
    let ran = folder
        .run("sweep -c knockd.conf --door ssh --set lockout=10s..60s --local 192.0.2.1 a.pcap");
    insta::assert_snapshot!(ran.exits(0).stderr());
}

#[test]
fn nothing_of_a_config_reaches_the_terminal_as_it_is() {
    let folder = Folder::new("sweep_hostile");
    folder.write("evil.conf", b"[\x1b[31mred\xe2\x80\xae]\nsequence = 7000,8000,9000\n");
    folder.write("a.pcap", &knocks(&[7000, 8000, 9000]));
    let arguments =
        "sweep -c evil.conf --door \u{1b}[31mred\u{202e} --set seq_timeout=1s..5s a.pcap";
    let ran = folder.run(arguments);
    ran.exits(0).says("\\u{1b}[31mred\\u{202e}: 5 values of seq_timeout; today 25 s");
    for text in
        [ran.stdout(), ran.stderr(), folder.run(&format!("{arguments} --format jsonl")).stdout()]
    {
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
    }
}

#[test]
fn colours_are_as_asked_for() {
    let folder = Folder::new("sweep_colours");
    folder.write("a.pcap", &knocks(&[7000, 8000, 9000]));
    let ran =
        folder.run("sweep -c knockd.conf --door ssh --set seq_timeout=1,5 --color always a.pcap");
    insta::assert_snapshot!(ran.exits(0).stdout().escape_debug().to_string().replace("\\n", "\n"));
}

#[test]
fn a_longer_timeout_can_break_a_knock() {
    let folder = Folder::new("sweep_longer");
    // A client that gave up after two knocks comes back: with a short timeout it is a new knock,
    // with a long one its first knock counts as the third.
    folder.write(
        "twice.conf",
        b"[ssh]\nsequence = 7000,8000,7000,9000\nseq_timeout = 5\nstart_command = open %IP%\n",
    );
    let idle = [IDLE; 5];
    let ports = [&[7000, 8000][..], &idle, &[7000, 8000, 7000, 9000]].concat();
    folder.write("a.pcap", &knocks(&ports));
    let ran = folder.run("sweep -c twice.conf --door ssh --set seq_timeout=1s..30s a.pcap");
    insta::assert_snapshot!(ran.exits(0).stdout());
}

/// Returns `honest` and `accidental` of today's run.
fn judged(folder: &Folder, options: &str) -> (u64, u64) {
    let ran = folder.run(&format!(
        "sweep -c knockd.conf --door ssh --set seq_timeout=25 --format jsonl {options} a.pcap"
    ));
    let line = lines(&ran).remove(0);
    assert_eq!(line["today"], true);
    (line["honest"].as_u64().unwrap(), line["accidental"].as_u64().unwrap())
}

#[test]
fn an_accident_is_an_opening_among_hits_of_many_other_ports() {
    let folder = Folder::new("sweep_accidents");
    let write = |config: &str, ports: &[u16]| {
        folder.write("knockd.conf", config.as_bytes());
        folder.write("a.pcap", &knocks(ports));
    };
    let ssh = "[ssh]\nsequence = 7000,8000,9000\n";
    // Five other ports in between are five too many, four are not.
    write(ssh, &[7000, 1, 2, 3, 8000, 4, 9000]);
    assert_eq!(judged(&folder, ""), (1, 0));
    assert_eq!(judged(&folder, "--scanner 4"), (0, 1));
    write(ssh, &[7000, 1, 2, 3, 8000, 4, 5, 9000]);
    assert_eq!(judged(&folder, ""), (0, 1));
    // Distinct ones count.
    write(ssh, &[7000, 1, 2, 3, 8000, 4, 4, 3, 2, 1, 9000]);
    assert_eq!(judged(&folder, ""), (1, 0));
    // So they do at most ten seconds before and after, whatever max_strays makes of them.
    let off = "[ssh]\nsequence = 7000,8000,9000\nmax_strays = off\n";
    let between = |seconds: usize| vec![IDLE; seconds];
    write(off, &[&[1, 2, 3, 4, 5][..], &between(5), &[7000, 8000, 9000]].concat());
    assert_eq!(judged(&folder, ""), (0, 1));
    write(off, &[&[1, 2, 3, 4, 5][..], &between(6), &[7000, 8000, 9000]].concat());
    assert_eq!(judged(&folder, ""), (1, 0));
    write(off, &[&[7000, 8000, 9000][..], &between(5), &[1, 2, 3, 4, 5]].concat());
    assert_eq!(judged(&folder, ""), (0, 1));
    write(off, &[&[7000, 8000, 9000][..], &between(6), &[1, 2, 3, 4, 5]].concat());
    assert_eq!(judged(&folder, ""), (1, 0));
    // A scan of neighbours is a scan.
    write("[ssh]\nsequence = 20,21,22\n", &(10..40).collect::<Vec<_>>());
    assert_eq!(judged(&folder, ""), (0, 1));
}

#[test]
fn the_hits_of_others_and_on_others_do_not_count() {
    let folder = Folder::new("sweep_other_hits");
    let hits = (1..20).map(|port| syn(OTHER, 50_000 + port, port));
    let knocks = [7000, 8000, 9000].map(|port| syn(HOME, 40_000, port));
    folder.write("a.pcap", &pcap_of(1, hits.chain(knocks)));
    assert_eq!(judged(&folder, ""), (1, 0));
    let own_hits = (1..5).map(|port| syn(HOME, 50_000 + port, port));
    let knocks = [7000, 8000, 9000].map(|port| syn(HOME, 40_000, port));
    folder.write("a.pcap", &pcap_of(1, own_hits.chain(knocks)));
    assert_eq!(judged(&folder, "--scanner 4"), (0, 1));
    // To an address that isn't this host's: neither knocks nor hits.
    assert_eq!(judged(&folder, "--scanner 4 --local 192.0.2.99"), (0, 0));
}

fn lines(ran: &Ran) -> Vec<Value> {
    ran.exits(0).stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns the config with these lines at the end of its only door's section.
fn edited(config: &str, set: &serde_json::Map<String, Value>) -> String {
    let mut text = config.to_owned();
    for (key, value) in set {
        let setting = match (key.strip_suffix("_ns"), value.as_u64()) {
            (Some(key), Some(nanos)) => {
                format!("{key} = {}.{:09}s", nanos / 1_000_000_000, nanos % 1_000_000_000)
            }
            (None, Some(number)) => format!("{key} = {number}"),
            (_, None) if key == "max_strays" => "max_strays = off".to_owned(),
            (_, None) if key == "max_failures" => "max_failures = 0".to_owned(),
            (_, None) => continue,
        };
        text.push_str(&setting);
        text.push('\n');
    }
    text
}

/// How often each thing happened in what was compared: what never did, was not.
type Kinds = BTreeMap<&'static str, u64>;

/// Compares a line of a sweep with the events of a single run, as far as these sources go.
fn compare(run: &Value, single: &str, knockers: &[String], kinds: &mut Kinds) {
    let set = &run["set"];
    let n = |value: &Value| value.as_u64().unwrap();
    let events: Vec<Value> =
        single.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let counted = |is_it: &dyn Fn(&Value) -> bool| {
        let is_knocker =
            |event: &Value| knockers.iter().any(|source| event["source"] == source.as_str());
        events.iter().filter(|event| is_it(event) && is_knocker(event)).count() as u64
    };
    let opens = n(&run["honest"]) + n(&run["accidental"]);
    let completions = opens + n(&run["suppressed"]) + n(&run["refused"]);
    assert_eq!(completions, counted(&|event| event["event"] == "open"), "{set}");
    let attempts = counted(&|event| event["event"] == "stage" && event["stage"] == 1);
    assert_eq!(n(&run["attempts"]), attempts, "{set}");
    for (field, name) in [
        ("timeouts", "timeout"),
        ("resets", "reset"),
        ("lockouts", "lockout"),
        ("renewals", "renew"),
        ("suppressed", "suppressed"),
        ("evicted", "evicted"),
    ] {
        let count = n(&run[field]);
        assert_eq!(count, counted(&|event| event["event"] == name), "{field} of {set}");
        *kinds.entry(field).or_default() += count;
    }
    let steps = events.iter().filter(|event| event["event"] == "clock_step").count() as u64;
    *kinds.entry("steps").or_default() += steps;
    // The stamps of a close behind a step don't tell how long the door was open.
    if steps == 0 {
        assert_eq!(n(&run["open_ns"]), open_time(single), "{set}");
    }
    *kinds.entry("opens").or_default() += opens;
    *kinds.entry("lost").or_default() += n(&run["lost"]);
    *kinds.entry("compared").or_default() += 1;
}

#[test]
fn every_run_of_a_sweep_is_what_a_single_run_makes_of_it() {
    let folder = Folder::new("sweep_agrees");
    let (cooling, leased, crowded) = (drawn::COOLING, drawn::LEASED, &*drawn::crowded());
    let mut kinds = Kinds::new();
    for seed in 0..6 {
        folder.write("a.pcap", &drawn::traffic(seed));
        for (config, options) in [
            (cooling, "--set seq_timeout=2s..20s/7"),
            (cooling, "--set max_strays=0..3,off --set cooldown=0,300s"),
            (cooling, "--set retransmit_window=0,100s"),
            (leased, "--set cmd_timeout=1s..60s/3 --set seq_timeout=4s,150s"),
            (leased, "--set max_failures=0..2 --set lockout=10s,100s --set failure_window=20s"),
            (crowded, "--set seq_timeout=4s..30s/5"),
        ] {
            folder.write("knockd.conf", config.as_bytes());
            let sends_all = |host: &usize| drawn::LIMITS[*host] == 10 || config != cooling;
            let knockers: Vec<String> =
                (0..6).filter(sends_all).map(|host| format!("198.51.100.{host}")).collect();
            let ran = folder
                .run(&format!("sweep -c knockd.conf --door ssh {options} --format jsonl a.pcap"));
            let lines = lines(&ran);
            for run in &lines[..lines.len() - 1] {
                let one = edited(config, run["set"].as_object().unwrap());
                folder.write("one.conf", one.as_bytes());
                let single = folder.run("run -c one.conf --format jsonl a.pcap");
                compare(run, &single.exits(0).stdout(), &knockers, &mut kinds);
            }
        }
    }
    assert!(kinds["compared"] >= 150, "{kinds:?}");
    for kind in
        ["opens", "lost", "timeouts", "lockouts", "renewals", "suppressed", "evicted", "steps"]
    {
        assert!(kinds[kind] > 0, "{kind} in {kinds:?}");
    }
}

/// Returns how long doors were open in the events of a run, in nanoseconds.
fn open_time(events: &str) -> u64 {
    let nanos = |event: &Value| {
        let at = event["at"].as_str().unwrap();
        let (time, fraction) = at.split_once('.').unwrap();
        let clock: Vec<u64> =
            time.split(['T', ':']).skip(1).map(|it| it.parse().unwrap()).collect();
        let seconds = (clock[0] * 60 + clock[1]) * 60 + clock[2];
        seconds * 1_000_000_000 + fraction.trim_end_matches('Z').parse::<u64>().unwrap()
    };
    let mut opened = std::collections::HashMap::new();
    let mut sum = 0;
    for line in events.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        if event["event"] == "open" && event["command"].is_string() {
            opened.insert(event["source"].to_string(), nanos(&event));
        } else if event["event"] == "close" {
            sum += nanos(&event) - opened[&event["source"].to_string()];
        }
    }
    sum
}

#[test]
fn several_traces_and_standard_input_are_one_stream() {
    use std::io::Write as _;
    let folder = Folder::new("sweep_streams");
    let all = knocks(&[7000, 8000, 9000]);
    folder.write("a.pcap", &all);
    let arguments = "sweep -c knockd.conf --door ssh --set seq_timeout=1s..5s";
    let from_file = folder.run(&format!("{arguments} a.pcap")).exits(0).stdout();
    let mut command = folder.command(&format!("{arguments} -"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(&all).unwrap();
    let ran = Ran { arguments: arguments.to_owned(), output: child.wait_with_output().unwrap() };
    assert_eq!(ran.exits(0).stdout(), from_file, "{ran}");
}

#[test]
fn one_time_sequences_are_swept_as_they_are_used_up() {
    let ran = run_at_top(&format!(
        "sweep -c testdata/one-time.conf --door {} --set seq_timeout=1s..3s --format jsonl \
         testdata/one-time.pcap",
        door_of("one-time")
    ));
    let lines = lines(&ran);
    assert!(lines.iter().take(3).any(|line| line["honest"] == 2), "{ran}");
}
