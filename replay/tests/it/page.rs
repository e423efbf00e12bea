//! `report`, the page, from the outside: its data, its errors, and what a stranger can put into it.
//! What a browser makes of it is tried in `tests/browser`.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use proptest::prelude::*;
use serde_json::Value;

use crate::cli::{Folder, Ran, pcap_of, syn};
use crate::sweep::run_at_top;

/// Returns what stands between the tags of the data.
fn data_text(page: &str) -> &str {
    let begin = "<script type=\"application/json\" id=\"data\">";
    let (_, data) = page.split_once(begin).unwrap_or_else(|| panic!("no data in {page}"));
    data.split_once("</script>").unwrap().0
}

fn data(page: &str) -> Value {
    serde_json::from_str(data_text(page)).unwrap()
}

/// Lays the data out: a line for each record and row, with the words instead of their numbers.
fn shown(page: &str) -> String {
    let data = data(page);
    let list = |value: &Value| value.as_array().unwrap().clone();
    let index = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
    let mut text = String::new();
    let mut line = |it: String| {
        text.push_str(&it);
        text.push('\n');
    };
    for name in ["config", "traces", "local", "base_ms", "first", "last", "packets"] {
        line(format!("{name} {}", data[name]));
    }
    list(&data["notes"]).iter().for_each(|note| line(format!("note {note}")));
    list(&data["doors"]).iter().for_each(|door| line(format!("door {door}")));
    let (mut at, mut row) = (0, 0);
    let records = &data["records"];
    for record in 0..list(&records["source"]).len() {
        let of = |name: &str| &records[name][record];
        at += of("after").as_u64().unwrap();
        line(format!(
            "{at} +{} {} at {}: {}: {}",
            of("span"),
            data["sources"][index(of("source"))].as_str().unwrap(),
            data["doors"][index(of("door"))]["name"].as_str().unwrap(),
            data["outcomes"][index(of("outcome"))].as_str().unwrap(),
            data["said"][index(of("said"))].as_str().unwrap()
        ));
        for _ in 0..index(of("rows")) {
            let its = |name: &str| &data["rows"][name][row];
            let kind = match index(its("kind")) {
                0 => "deadline",
                kind => data["kinds"][kind - 1].as_str().unwrap(),
            };
            let words = data["words"][index(its("words"))].as_str().unwrap();
            let (after, left, frame) = (its("after"), its("left"), its("frame"));
            line(format!("  +{after} {kind}: {words}; left {left}, frame {frame}"));
            row += 1;
        }
    }
    for lease in 0..list(&data["leases"]["source"]).len() {
        let of = |name: &str| &data["leases"][name][lease];
        line(format!("open {} +{}", of("from"), of("span")));
    }
    for miss in 0..list(&data["near"]["record"]).len() {
        let of = |name: &str| &data["near"][name][miss];
        let why = data["nearness"][index(of("near"))].as_str().unwrap();
        let said = data["said"][index(of("said"))].as_str().unwrap();
        line(format!("near {} {why}: {said}", of("record")));
    }
    line(format!("marks {} omitted {}", data["marks"], data["omitted"]));
    text
}

/// The arguments that a capture of testdata/ is replayed with.
fn arguments(name: &str) -> String {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata");
    let extra = fs::read_to_string(top.join(format!("{name}.args"))).unwrap_or_default();
    let extra = extra.split_whitespace().collect::<Vec<_>>().join(" ");
    let gap = if extra.is_empty() { "" } else { " " };
    format!("-c testdata/{name}.conf{gap}{extra} testdata/{name}.pcap")
}

#[test]
fn the_bundled_captures_have_their_data() {
    for name in [
        "twice",
        "late",
        "reordered",
        "lost",
        "scan",
        "renewed",
        "lockout",
        "one-time",
        "clock-step",
        "wrong-protocol",
        "wrong-flags",
        "wrong-target",
        "interleaved",
        "retransmitted",
        "damaged-resync",
        "truncated",
        "cooldown",
    ] {
        let ran = run_at_top(&format!("report -o - {}", arguments(name)));
        insta::assert_snapshot!(
            format!("page_{name}"),
            format!("{}--- stderr\n{}", shown(&ran.exits(0).stdout()), ran.stderr())
        );
    }
}

#[test]
fn help() {
    let folder = Folder::new("page_help");
    insta::assert_snapshot!("help_report", folder.run("report --help").exits(0).stdout());
    insta::assert_snapshot!("help_report_short", folder.run("report -h").exits(0).stdout());
}

/// A capture of one knock that opens.
fn knocks() -> Vec<u8> {
    let ports = (0..).zip([7000, 8000, 9000]);
    pcap_of(1, ports.map(|(index, port)| syn([198, 51, 100, 7], 40_000 + index, port)))
}

#[test]
fn what_cannot_be_done_is_told_exits_with_2_and_leaves_nothing() {
    let folder = Folder::new("page_errors");
    folder.write("a.pcap", &knocks());
    folder.write("text.pcap", b"somebody's notes, no capture at all");
    let mut damaged = knocks();
    damaged.splice(24 + 8..24 + 12, [0xff; 4]);
    folder.write("damaged.pcap", &damaged);
    folder.write("there.html", b"somebody's");
    folder.write("bad.conf", b"[ssh]\nseq_timout = 5\nsequence = 0\n");
    let mut told = String::new();
    for arguments in [
        "-c knockd.conf a.pcap",
        "-c absent.conf -o page.html a.pcap",
        "-c bad.conf -o page.html a.pcap",
        "-c knockd.conf -o page.html absent.pcap",
        "-c knockd.conf -o page.html text.pcap",
        "-c knockd.conf -o page.html damaged.pcap",
        "-c knockd.conf -o there.html a.pcap",
        "-c knockd.conf -o absent/page.html a.pcap",
        "-c knockd.conf -o /dev/null a.pcap",
        "-o page.html a.pcap",
    ] {
        let ran = folder.run(&format!("report {arguments}"));
        told.push_str(&ran.exits(2).to_string());
        assert_eq!(ran.stdout(), "");
    }
    insta::assert_snapshot!("page_errors", told);
    assert_eq!(folder.read("there.html"), b"somebody's");
    let left: Vec<String> = fs::read_dir(&folder.0)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("page") || name.starts_with('.'))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn a_page_is_written_and_replaced() {
    let folder = Folder::new("page_written");
    folder.write("a.pcap", &knocks());
    folder.write("none.pcap", &pcap_of(1, std::iter::empty()));
    folder.run("report -c knockd.conf -o page.html none.pcap").exits(0);
    let empty = String::from_utf8(folder.read("page.html")).unwrap();
    insta::assert_snapshot!("page_of_nothing", shown(&empty));
    folder.run("report -c knockd.conf -o page.html -f a.pcap").exits(0);
    let page = String::from_utf8(folder.read("page.html")).unwrap();
    assert_eq!(data(&page)["doors"][0]["opens"], 1);
    let mut command = folder.command("report -c knockd.conf -o - -");
    let trace = fs::File::open(folder.path("a.pcap")).unwrap();
    let output = command.stdin(Stdio::from(trace)).output().unwrap();
    let streamed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(data(&streamed)["records"], data(&page)["records"]);
    assert_eq!(data(&streamed)["traces"][0], "-");
}

#[test]
fn nothing_of_a_stranger_s_looks_like_markup() {
    let folder = Folder::new("page_hostile");
    let hostile = "</script><img src=x onerror=alert(1)>&amp;\u{202e}\u{2028}\u{1b}[31m";
    let config = format!(
        "# {hostile}\n[a{hostile}]\nsequence = 7000,8000,9000\nstart_command = a {hostile}\n\
         stop_command = b {hostile} %IP%\n"
    );
    folder.write("knockd.conf", config.as_bytes());
    let name = "<!--&\u{202e}.pcap";
    folder.write(name, &knocks());
    let ran = folder.run(&format!("report -c knockd.conf -o - {name}"));
    let page = ran.exits(0).stdout();
    let text = data_text(&page);
    assert!(!text.contains(['<', '>', '&']), "{text}");
    let is_plain = |c: char| !c.is_control() && !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2028}');
    assert!(text.chars().all(is_plain), "{text}");
    let data = data(&page);
    let door = data["doors"][0]["name"].as_str().unwrap();
    assert!(door.contains("</script><img src=x onerror=alert(1)>"), "it is there: {door}");
    assert!(door.contains("\\u{202e}"), "it is shown as an escape: {door}");
    // The page around it is the same, whatever comes in.
    let frame = page.replace(text, "");
    folder.write("plain.conf", b"[a]\nsequence = 7000,8000,9000\n");
    let plain = folder.run(&format!("report -c plain.conf -o - {name}")).exits(0).stdout();
    assert_eq!(frame, plain.replace(data_text(&plain), ""));
}

#[test]
fn its_sentences_are_those_of_explain() {
    for name in ["twice", "late", "reordered", "lost", "scan", "wrong-protocol", "wrong-target"] {
        let arguments = arguments(name);
        let page = run_at_top(&format!("report -o - {arguments}")).exits(0).stdout();
        let explained = run_at_top(&format!("explain {arguments}")).exits(0).stdout();
        let words: String = explained.split_whitespace().collect::<Vec<_>>().join(" ");
        let data = data(&page);
        let told = data["records"]["said"].as_array().unwrap().iter().any(|said| {
            let said = usize::try_from(said.as_u64().unwrap()).unwrap();
            words.contains(data["said"][said].as_str().unwrap())
        });
        assert!(told, "{name}: {} is not in {explained}", data["said"]);
    }
}

/// Events by door, source and name, as `run` tells them; only those that end attempts.
pub(crate) fn outcomes_of_run(ran: &Ran) -> BTreeMap<(String, String, String), u64> {
    let mut outcomes = BTreeMap::new();
    for line in ran.stdout().lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        let name = match text("event").as_str() {
            "reset" => format!("reset ({})", text("reason")),
            // An opening that does not start anything has a second event.
            name @ ("renew" | "suppressed" | "refused") => {
                let open = (text("door"), text("source"), "open".to_owned());
                *outcomes.get_mut(&open).unwrap() -= 1;
                name.to_owned()
            }
            name @ ("open" | "timeout") => name.to_owned(),
            _ => continue,
        };
        *outcomes.entry((text("door"), text("source"), name)).or_default() += 1;
    }
    outcomes.retain(|_, count| *count > 0);
    outcomes
}

pub(crate) fn outcomes_of_page(page: &str) -> BTreeMap<(String, String, String), u64> {
    let data = data(page);
    let records = &data["records"];
    let index = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
    let mut outcomes = BTreeMap::new();
    for record in 0..records["source"].as_array().unwrap().len() {
        let outcome = data["outcomes"][index(&records["outcome"][record])].as_str().unwrap();
        if matches!(outcome, "no attempt" | "evicted" | "clock_step") {
            continue;
        }
        let door = data["doors"][index(&records["door"][record])]["name"].as_str().unwrap();
        let source = data["sources"][index(&records["source"][record])].as_str().unwrap();
        let key = (door.to_owned(), source.to_owned(), outcome.to_owned());
        *outcomes.entry(key).or_default() += 1;
    }
    outcomes
}

#[test]
fn the_bundled_captures_come_to_what_run_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata");
    let mut compared = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(name) = name.strip_suffix(".pcap").filter(|name| !name.contains('.')) else {
            continue;
        };
        let arguments = arguments(name);
        let run = run_at_top(&format!("run --format jsonl {arguments}"));
        if run.output.status.success() {
            let page = run_at_top(&format!("report -o - {arguments}")).exits(0).stdout();
            assert_eq!(outcomes_of_page(&page), outcomes_of_run(&run), "{name}");
            compared += 1;
        }
    }
    assert!(compared > 25, "{compared} captures");
}

/// What was left of the window at each knock that matched, in microseconds, from the least up.
fn margins_of_run(ran: &Ran) -> Vec<u64> {
    let events = ran.stdout();
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let matches = events.filter(|event| event["event"] == "stage" || event["event"] == "restart");
    let mut margins: Vec<u64> =
        matches.map(|event| event["margin_ns"].as_u64().unwrap() / 1_000).collect();
    margins.sort_unstable();
    margins
}

fn margins_of_page(page: &str) -> Vec<u64> {
    let data = data(page);
    let rows = &data["rows"];
    let words = rows["words"].as_array().unwrap().iter().zip(rows["left"].as_array().unwrap());
    let matches = words.filter(|(word, _)| {
        let word = usize::try_from(word.as_u64().unwrap()).unwrap();
        let word = data["words"][word].as_str().unwrap();
        word.starts_with("stage") || word.starts_with("restart") || word.contains(", stage")
    });
    let mut margins: Vec<u64> = matches.map(|(_, left)| left.as_u64().unwrap() - 1).collect();
    margins.sort_unstable();
    margins
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// The page tells the attempts that `run` tells, whatever the packets are.
    #[test]
    fn any_packets_come_to_what_run_says(
        packets in prop::collection::vec((0_u8..4, 0_usize..6, 0_u16..3), 0..120),
    ) {
        let folder = Folder::new("page_property");
        folder.write(
            "knockd.conf",
            b"[a]\nsequence = 7000,8000,9000\nseq_timeout = 5\nstart_command = a\n\
              stop_command = b\ncmd_timeout = 20\nmax_strays = 1\n\
              [b]\nsequence = 7000,9000\nseq_timeout = 3\nstart_command = a\ncooldown = 20\n",
        );
        let frames = packets.iter().map(|(source, port, from)| {
            let port = [7000, 8000, 9000, 22, 23, 24][*port];
            syn([198, 51, 100, *source], 40_000 + from, port)
        });
        folder.write("a.pcap", &pcap_of(1, frames));
        let run = folder.run("run -c knockd.conf --format jsonl a.pcap");
        let page = folder.run("report -c knockd.conf -o - a.pcap").exits(0).stdout();
        prop_assert_eq!(outcomes_of_page(&page), outcomes_of_run(run.exits(0)));
        prop_assert_eq!(margins_of_page(&page), margins_of_run(&run));
    }
}
