//! The reports, told by a real engine about packets that are made here.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use knock_engine::local::LocalAddresses;
use knock_engine::packet::{Packet, TcpFlags, Transport};
use knock_engine::time::Timestamp;
use knock_engine::{Engine, HashKey, config};
use knock_replay::report::style::Palette;
use knock_replay::report::{
    Doors, Jsonl, LocalOrigin, Origin, Pace, Report, Summary, Text, TextOptions, Totals,
};

/// 2026-11-22T10:00:00Z.
const START: u64 = 1_795_341_600;

const SSH: &str = "[ssh]
sequence = 7000,8000,9000
seq_timeout = 5
start_command = open %IP%
stop_command = close %IP%
";

/// A schedule of packets under a config.
struct Scene {
    config: &'static str,
    packets: Vec<(Timestamp, Packet)>,
    pace: Pace,
    width: usize,
}

impl Scene {
    fn new(config: &'static str) -> Self {
        Self { config, packets: Vec::new(), pace: Pace::Recorded, width: 80 }
    }

    /// Adds a SYN from a port of its own, so many milliseconds after the start.
    fn syn(self, ms: u64, source: &str, port: u16) -> Self {
        let source_port = 40_000 + u16::try_from(self.packets.len() % 20_000).unwrap();
        self.syn_from(ms, source, source_port, port)
    }

    fn syn_from(mut self, ms: u64, source: &str, source_port: u16, port: u16) -> Self {
        let packet = Packet {
            source: source.parse().unwrap(),
            destination: "192.0.2.1".parse().unwrap(),
            source_port,
            destination_port: port,
            transport: Transport::Tcp {
                sequence_number: u32::from(source_port),
                flags: TcpFlags::SYN,
            },
        };
        let at = Timestamp::from_nanos(START * 1_000_000_000);
        self.packets.push((at.saturating_add(Duration::from_millis(ms)), packet));
        self
    }

    fn live(self) -> Self {
        Self { pace: Pace::Live, ..self }
    }

    fn text(&self) -> String {
        self.coloured_text(Palette::plain())
    }

    fn coloured_text(&self, palette: Palette) -> String {
        let mut out = Vec::new();
        let options = TextOptions {
            palette,
            width: self.width,
            pace: self.pace,
            local: LocalAddresses::Unknown,
            explain: "knock-replay explain -c knockd.conf knocks.pcap".to_owned(),
        };
        let names = ["knocks.pcap".to_owned()];
        let doors = Doors::new(&self.config().doors);
        self.play(&mut Text::new(&mut out, &names, doors, options));
        String::from_utf8(out).unwrap()
    }

    fn jsonl(&self) -> String {
        let mut out = Vec::new();
        self.play(&mut Jsonl::new(&mut out, vec!["knocks.pcap".to_owned()]));
        String::from_utf8(out).unwrap()
    }

    fn summary(&self) -> String {
        let mut out = Vec::new();
        self.play(&mut Summary::new(&mut out, Palette::plain()));
        String::from_utf8(out).unwrap()
    }

    fn config(&self) -> config::Config {
        let parsed = config::parse(self.config.as_bytes());
        let mut config = parsed.config.unwrap_or_else(|| panic!("{:?}", parsed.diagnostics));
        for index in 0..config.doors.len() {
            let (lines, _) = config::parse_one_time_lines(b"7000,8000\n7100,8100\n");
            config.set_one_time_lines(index, lines);
        }
        config
    }

    fn play(&self, report: &mut dyn Report) {
        let config = self.config();
        let doors = Doors::new(&config.doors);
        let mut totals = Totals::new("sesame", LocalOrigin::Assumed, doors.names());
        let mut engine = Engine::new(config, LocalAddresses::Unknown, HashKey::default());
        let drain = |engine: &mut Engine, report: &mut dyn Report, totals: &mut Totals, origin| {
            while let Some(output) = engine.poll_output() {
                totals.count_output(&output, &doors);
                report.output(&output, origin).unwrap();
            }
        };
        for (frame, (at, packet)) in (1..).zip(&self.packets) {
            let origin = Origin { trace: 0, frame };
            totals.count_packet(*at, 60);
            totals.judged += 1;
            engine.handle_packet(packet, *at);
            drain(&mut engine, report, &mut totals, Some(origin));
            report.packet(packet, *at, origin).unwrap();
        }
        while let Some(deadline) = engine.poll_timeout() {
            engine.handle_timeout(deadline.at);
            drain(&mut engine, report, &mut totals, None);
        }
        report.finish(&totals).unwrap();
    }
}

/// Returns the text without the totals behind it.
fn blocks(text: &str) -> &str {
    text.split("\ndoor ").next().unwrap()
}

const HOME: &str = "198.51.100.7";

#[test]
fn a_knock_that_opens() {
    let scene = Scene::new(SSH).syn(0, HOME, 7000).syn(300, HOME, 8000).syn(601, HOME, 9000);
    insta::assert_snapshot!(scene.text());
}

#[test]
fn a_knock_while_the_door_is_open_and_a_close_call() {
    let scene = Scene::new(SSH)
        .syn(0, HOME, 7000)
        .syn(1, HOME, 8000)
        .syn(2, HOME, 9000)
        .syn(3_000, HOME, 7000)
        .syn(3_500, HOME, 8000)
        .syn(7_920, HOME, 9000);
    insta::assert_snapshot!(blocks(&scene.text()));
}

#[test]
fn a_reordered_knock() {
    let scene = Scene::new(SSH).syn(0, HOME, 7000).syn(100, HOME, 9000).syn(110, HOME, 8000);
    insta::assert_snapshot!(scene.text());
}

#[test]
fn a_lost_knock_and_a_second_try() {
    let scene = Scene::new(SSH)
        .syn(0, HOME, 7000)
        .syn(200, HOME, 9000)
        .syn(1_000, HOME, 7000)
        .syn(1_100, HOME, 8000)
        .syn(1_200, HOME, 7000)
        .syn(1_300, HOME, 8000)
        .syn(1_400, HOME, 9000);
    insta::assert_snapshot!(blocks(&scene.text()));
}

#[test]
fn a_late_knock_and_a_missing_one() {
    let scene = Scene::new(SSH)
        .syn(0, HOME, 7000)
        .syn(300, HOME, 8000)
        .syn(6_400, HOME, 9000)
        .syn(20_000, HOME, 7000)
        .syn(20_300, HOME, 8000);
    insta::assert_snapshot!(blocks(&scene.text()));
}

#[test]
fn repeats_retransmissions_and_strays_on_the_way() {
    let scene = Scene::new(SSH)
        .syn(0, HOME, 7000)
        .syn(100, HOME, 8000)
        .syn(200, HOME, 8000)
        .syn(250, HOME, 8000)
        .syn_from(1_000, HOME, 40_000, 7000)
        .syn(1_100, HOME, 22)
        .syn(1_200, HOME, 443)
        .syn(1_300, HOME, 443)
        .syn(1_400, HOME, 9000);
    insta::assert_snapshot!(blocks(&scene.text()));
}

#[test]
fn a_port_scan() {
    let mut scene = Scene::new(SSH);
    for port in 6_990..9_010 {
        scene = scene.syn(u64::from(port - 6_990), "203.0.113.66", port);
    }
    insta::assert_snapshot!(scene.text());
}

#[test]
fn a_flood_of_first_knocks_is_told_in_a_few_lines() {
    let mut scene = Scene::new(SSH);
    for host in 0..1_000_u64 {
        let source = format!("10.0.{}.{}", host / 250, host % 250 + 1);
        scene = scene.syn(host * 10, &source, 7000);
    }
    for (ms, port) in [(10_000, 7000), (10_200, 8000), (10_400, 9000)] {
        scene = scene.syn(ms, HOME, port);
    }
    let text = scene.text();
    assert!(text.lines().count() < 40, "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn lockouts_clock_steps_and_one_time_sequences() {
    const CONFIG: &str = "[guarded]
sequence = 7000,8000,9000
max_failures = 2
[once]
one_time_sequences = /var/lib/once
start_command = open %IP%
cooldown = 5
";
    let scene = Scene::new(CONFIG)
        .syn(0, HOME, 7000)
        .syn(10, HOME, 9000)
        .syn(20, HOME, 7000)
        .syn(30, HOME, 9000)
        .syn(100, "203.0.113.5", 7000)
        .syn(200, "203.0.113.6", 7000)
        .syn(300, "203.0.113.5", 8000)
        .syn(400, "203.0.113.5", 7100)
        .syn(500, "203.0.113.5", 8100)
        .syn(9_000, "203.0.113.9", 7000)
        .syn(1_000, "203.0.113.9", 7000);
    insta::assert_snapshot!(scene.text());
}

#[test]
fn live_every_line_appears_at_once_and_explanations_follow() {
    let scene = Scene::new(SSH).syn(0, HOME, 7000).syn(100, HOME, 9000).syn(110, HOME, 8000).live();
    insta::assert_snapshot!(blocks(&scene.text()));
}

#[test]
fn a_narrow_terminal_wraps_sentences_and_not_commands() {
    let mut scene = Scene::new(SSH)
        .syn(0, "2001:db8:1234:5678:9abc:def0:1234:5678", 7000)
        .syn(100, "2001:db8:1234:5678:9abc:def0:1234:5678", 9000)
        .syn(110, "2001:db8:1234:5678:9abc:def0:1234:5678", 8000);
    scene.width = 64;
    let text = scene.text();
    let blocks = blocks(&text);
    let fits = |line: &str| line.trim_end().chars().count() <= 64;
    assert!(blocks.lines().all(fits), "{blocks}");
    insta::assert_snapshot!(blocks);
}

#[test]
fn colours_change_nothing_but_colours() {
    let scene = Scene::new(SSH).syn(0, HOME, 7000).syn(300, HOME, 8000).syn(601, HOME, 9000);
    let coloured = scene.coloured_text(Palette::coloured());
    assert_ne!(coloured, scene.text());
    assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), scene.text());
}

#[test]
fn names_and_commands_cannot_reach_the_terminal() {
    const HOSTILE: &str = "[a\u{1b}[2Jb]
sequence = 7000
start_command = echo \u{1b}]0;title\u{7}
";
    let scene = Scene::new(HOSTILE).syn(0, HOME, 7000);
    for told in [scene.text(), scene.jsonl(), scene.summary()] {
        assert!(!told.chars().any(|c| c.is_control() && c != '\n'), "{told:?}");
        assert!(told.contains("[2Jb"), "{told}");
    }
}

/// Schedules that bring every event that there is.
fn every_event() -> Vec<Scene> {
    const GUARDED: &str = "[guarded]
sequence = 7000,8000,9000
max_strays = 1
max_failures = 2
";
    const ONCE: &str = "[once]
one_time_sequences = /etc/knock/once
start_command = open %IP%
cooldown = 5
";
    const CROWDED: &str = "[options]
max_attempts = 1
max_leases = 1
[crowded]
sequence = 7000,8000
start_command = open %IP%
stop_command = close %IP%
retransmit_window = 0
";
    vec![
        Scene::new(SSH)
            .syn_from(0, HOME, 41_000, 7000)
            .syn(100, HOME, 7000)
            .syn(200, HOME, 8000)
            .syn(300, HOME, 8000)
            .syn_from(400, HOME, 41_000, 7000)
            .syn(500, HOME, 22)
            .syn(600, HOME, 9000)
            .syn(3_000, HOME, 7000)
            .syn(3_100, HOME, 8000)
            .syn(3_200, HOME, 9000)
            .syn(4_000, HOME, 7000),
        Scene::new(GUARDED)
            .syn(0, HOME, 7000)
            .syn(100, HOME, 9000)
            .syn(200, HOME, 7000)
            .syn(300, HOME, 22)
            .syn(400, HOME, 23)
            .syn(9_000, "203.0.113.9", 7000)
            .syn(1_000, "203.0.113.9", 7000),
        Scene::new(ONCE)
            .syn(0, HOME, 7000)
            .syn(100, "203.0.113.9", 7000)
            .syn(200, HOME, 8000)
            .syn(300, HOME, 7100)
            .syn(400, HOME, 8100),
        Scene::new(CROWDED)
            .syn(0, HOME, 7000)
            .syn(100, HOME, 8000)
            .syn(200, HOME, 7000)
            .syn(300, "203.0.113.9", 7000)
            .syn(400, "203.0.113.9", 8000),
    ]
}

const FORMATS: &str = include_str!("../../../docs/FORMATS.md");

/// Returns the fields that the tables of FORMATS.md describe.
fn documented_fields() -> BTreeSet<&'static str> {
    let rows = FORMATS.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    rows.collect()
}

fn collect_fields(value: &serde_json::Value, path: &str, fields: &mut BTreeSet<String>) {
    // The causes of `skipped` and `lost` are values that happen to be keys.
    if let Some(object) = value.as_object().filter(|_| path != "skipped" && path != "lost") {
        for (key, value) in object {
            fields.insert(key.clone());
            collect_fields(value, key, fields);
        }
    }
    for value in value.as_array().into_iter().flatten() {
        collect_fields(value, path, fields);
    }
}

#[test]
fn every_field_and_event_is_documented_with_an_example_that_is_real() {
    let told: String = every_event().iter().map(Scene::jsonl).collect();
    let mut fields = BTreeSet::new();
    let mut examples = BTreeMap::new();
    for line in told.lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        collect_fields(&object, "", &mut fields);
        let name = object["event"].as_str().unwrap().to_owned();
        examples.entry(name).or_insert_with(Vec::new).push(line);
    }
    let documented = documented_fields();
    let missing: Vec<_> = fields.iter().filter(|it| !documented.contains(it.as_str())).collect();
    assert!(missing.is_empty(), "not in docs/FORMATS.md: {missing:?}");
    let names: Vec<&str> = examples.keys().map(String::as_str).collect();
    insta::assert_debug_snapshot!(names);
    for (name, lines) in &examples {
        let shown = lines.iter().any(|line| FORMATS.contains(line));
        assert!(shown, "no example of {name} in docs/FORMATS.md; it could be\n{}", lines[0]);
    }
}

#[test]
fn every_example_in_the_documentation_is_what_the_program_writes() {
    let told: String = every_event().iter().map(Scene::jsonl).collect();
    // Those of the other commands are compared where these are tested.
    let (formats, _) = FORMATS.split_once("\n## The lines of `").unwrap();
    let examples: Vec<&str> = formats.lines().filter(|line| line.starts_with("{\"")).collect();
    assert!(examples.len() > 10, "{}", examples.len());
    for example in examples {
        let compact_damage = "\"damage\":[{";
        let is_told = told.lines().any(|line| line == example);
        assert!(is_told || example.contains(compact_damage), "nothing writes {example}");
    }
}

#[test]
fn the_lines_are_in_order_and_counted_in_the_summary() {
    for scene in every_event() {
        let told = scene.jsonl();
        let lines: Vec<serde_json::Value> =
            told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let (summary, events) = lines.split_last().unwrap();
        let count =
            |name: &str| events.iter().filter(|event| event["event"] == name).count() as u64;
        let sum = |field: &str| -> u64 {
            let doors = summary["doors"].as_array().unwrap();
            doors.iter().map(|door| door[field].as_u64().unwrap()).sum()
        };
        for (name, field) in [
            ("open", "opens"),
            ("renew", "renewals"),
            ("timeout", "timeouts"),
            ("close", "closes"),
            ("lockout", "lockouts"),
            ("duplicate", "duplicates"),
            ("repeat", "repeats"),
            ("restart", "restarts"),
            ("stray", "strays"),
            ("evicted", "evicted"),
            ("suppressed", "suppressed"),
            ("refused", "refused"),
        ] {
            assert_eq!(count(name), sum(field), "{name} in {told}");
        }
        assert_eq!(count("clock_step"), summary["clock_steps"].as_u64().unwrap(), "{told}");
        if count("clock_step") == 0 {
            let stamps: Vec<&str> = events.iter().map(|it| it["at"].as_str().unwrap()).collect();
            assert!(stamps.is_sorted(), "{told}");
        }
    }
}
