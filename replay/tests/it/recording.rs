//! Recordings, as a replay tells them.

#![expect(clippy::unwrap_used, reason = "the lint knows only functions marked as tests")]

use std::borrow::Cow;
use std::net::Ipv4Addr;
use std::time::Duration;

use knock_engine::config::{self, Config};
use knock_engine::local::LocalAddresses;
use knock_engine::packet::{Packet, TcpFlags, Transport};
use knock_engine::snapshot::Snapshot;
use knock_engine::time::Timestamp;
use knock_engine::{Engine, HashKey};
use knock_frontend::recording::{BLOCK_TYPE, Beginning, ConfigText, Note};
use pcap_file::DataLink;
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption, InterfaceTsResolution,
};
use pcap_file::pcapng::blocks::unknown::UnknownBlock;
use serde_json::value::RawValue;

use crate::cli::Folder;
use crate::page::{outcomes_of_page, outcomes_of_run};

const SSH: &str = "[ssh]\nsequence = 7000,8000,9000\nstart_command = open %IP%\n\
    stop_command = close %IP%\ncmd_timeout = 10\n";
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// A recording as a daemon would write it: an engine that is told the same.
struct Recorder {
    engine: Engine,
    blocks: PcapNgWriter<Vec<u8>>,
    number: u64,
}

impl Recorder {
    fn new(text: &str) -> Self {
        let config = parse(text);
        let local = LocalAddresses::Known(vec![SERVER.into()]);
        let engine = Engine::new(config, local, HashKey::default());
        let mut recorder = Self { engine, blocks: blocks(), number: 0 };
        recorder.begin(at(0), 0);
        recorder
    }

    /// Ends a file, begins the next one, and returns the former.
    fn next_file(&mut self, at: Timestamp, lost: u64) -> Vec<u8> {
        let former = std::mem::replace(&mut self.blocks, blocks());
        self.number += 1;
        self.begin(at, lost);
        former.into_inner()
    }

    fn begin(&mut self, now: Timestamp, lost: u64) {
        let state = self.engine.snapshot(usize::MAX);
        self.note(&beginning(self.number, now, (lost, state), &self.engine.config()));
    }

    fn note(&mut self, note: &Note) {
        let content = note.to_block();
        let length = u32::try_from(content.len()).unwrap();
        self.blocks.write_pcapng_block(UnknownBlock::new(BLOCK_TYPE, length, &content)).unwrap();
    }

    fn command(&mut self, now: Timestamp, after: u64, line: &str) {
        let line = RawValue::from_string(line.to_owned()).unwrap();
        self.note(&Note::Command { at: now, after, line });
    }

    fn wake(&mut self, now: Timestamp) {
        self.engine.handle_timeout(now);
        while self.engine.poll_output().is_some() {}
        self.note(&Note::Wake { at: now });
    }

    fn knock(&mut self, source: u8, port: u16, now: Timestamp) {
        let source = Ipv4Addr::new(198, 51, 100, source);
        let number = u32::from(port);
        let packet = Packet {
            source: source.into(),
            destination: SERVER.into(),
            source_port: 40_000,
            destination_port: port,
            transport: Transport::Tcp { sequence_number: number, flags: TcpFlags::SYN },
        };
        self.engine.handle_packet(&packet, now);
        assert!(self.engine.was_noticed());
        while self.engine.poll_output().is_some() {}
        let frame = frame(source, port, number);
        let block = EnhancedPacketBlock {
            interface_id: 0,
            timestamp: Duration::from_nanos(now.as_nanos()),
            original_len: u32::try_from(frame.len()).unwrap(),
            data: Cow::Borrowed(&frame),
            options: Vec::new(),
        };
        self.blocks.write_pcapng_block(block).unwrap();
    }

    fn end(mut self, now: Timestamp) -> Vec<u8> {
        self.note(&Note::End { at: now });
        self.blocks.into_inner()
    }
}

fn parse(text: &str) -> Config {
    config::parse(text.as_bytes()).config.unwrap()
}

fn beginning(number: u64, at: Timestamp, (lost, state): (u64, Snapshot), config: &Config) -> Note {
    Note::Begin(Box::new(Beginning {
        at,
        program: "knockd".to_owned(),
        started: self::at(0),
        number,
        lost,
        config: ConfigText::of(config),
        local_addresses: vec![SERVER.into()],
        state,
    }))
}

fn blocks() -> PcapNgWriter<Vec<u8>> {
    let mut blocks = PcapNgWriter::new(Vec::new()).unwrap();
    let options = vec![InterfaceDescriptionOption::IfTsResol(InterfaceTsResolution::NANO)];
    let interface = InterfaceDescriptionBlock { linktype: DataLink::RAW, snaplen: 0, options };
    blocks.write_pcapng_block(interface).unwrap();
    blocks
}

/// An IPv4 packet with a SYN.
fn frame(source: Ipv4Addr, port: u16, number: u32) -> Vec<u8> {
    let mut frame = vec![0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0];
    frame.extend(source.octets());
    frame.extend(SERVER.octets());
    frame.extend(40_000_u16.to_be_bytes());
    frame.extend(port.to_be_bytes());
    frame.extend(number.to_be_bytes());
    frame.extend([0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0]);
    frame
}

/// Milliseconds after 2026-11-22T10:00:00Z.
fn at(millis: u64) -> Timestamp {
    Timestamp::from_nanos(1_795_341_600_000_000_000 + millis * 1_000_000)
}

/// Two files: a door that opens in the first one and is closed in the second, where another attempt
/// goes on that had begun before; a stop that fails; and a reload.
fn recording() -> [Vec<u8>; 2] {
    let mut recorder = Recorder::new(SSH);
    for (number, port) in (0..).zip([7000, 8000, 9000]) {
        recorder.knock(7, port, at(1000 + number * 100));
    }
    let line = "{\"at\":\"2026-11-22T10:00:01.201000000Z\",\"event\":\"running\",\"door\":\"ssh\",\
        \"source\":\"198.51.100.7\",\"command\":\"open 198.51.100.7\",\"kind\":\"start\",\
        \"severity\":\"info\"}";
    recorder.command(at(1201), 4, line);
    recorder.knock(8, 7000, at(8000));
    let first = recorder.next_file(at(9000), 0);
    recorder.wake(at(11_200));
    let line = "{\"at\":\"2026-11-22T10:00:11.203000000Z\",\"event\":\"failed\",\"door\":\"ssh\",\
        \"source\":\"198.51.100.7\",\"kind\":\"stop\",\"status\":4,\"severity\":\"warning\"}";
    recorder.command(at(11_203), 1, line);
    recorder.knock(8, 8000, at(12_000));
    let config = parse(&format!("{SSH}[web]\nsequence = 1,2\n"));
    recorder.engine.handle_config(config.clone(), at(13_000));
    recorder.note(&Note::Config { at: at(13_000), config: ConfigText::of(&config) });
    recorder.knock(8, 9000, at(13_500));
    recorder.knock(9, 1, at(13_600));
    recorder.knock(9, 2, at(13_700));
    [first, recorder.end(at(14_000))]
}

fn recorded(test: &str) -> Folder {
    let folder = Folder::new(test);
    let [first, second] = recording();
    folder.write("a.pcapng", &first);
    folder.write("b.pcapng", &second);
    folder
}

#[test]
fn a_recording_is_told_without_a_config() {
    let folder = recorded("recording");
    let ran = folder.run("run a.pcapng b.pcapng");
    insta::assert_snapshot!(ran.exits(0).to_string());
    let lines = folder.run("run --format jsonl a.pcapng b.pcapng");
    insta::assert_snapshot!(lines.exits(0).to_string());
}

#[test]
fn the_end_of_a_ring_goes_on_where_the_daemon_was() {
    let folder = recorded("recording-end");
    let ran = folder.run("run b.pcapng");
    insta::assert_snapshot!(ran.exits(0).to_string());
    let whole = folder.run("run --format jsonl a.pcapng b.pcapng").stdout();
    let end = folder.run("run --format jsonl b.pcapng").stdout();
    let events = |text: &str| {
        let lines = text.lines().filter(|line| !line.contains("\"summary\""));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let (whole, end) = (events(&whole), events(&end));
    assert!(end.len() > 5 && whole.ends_with(&end), "{whole:#?}\n{end:#?}");
}

#[test]
fn the_report_tells_what_run_tells_of_a_recording() {
    let folder = recorded("recording-report");
    for traces in ["a.pcapng b.pcapng", "b.pcapng", "-c knockd.conf a.pcapng b.pcapng"] {
        let run = folder.run(&format!("run --format jsonl {traces}"));
        let told = outcomes_of_run(run.exits(0));
        let mut shown =
            outcomes_of_page(&folder.run(&format!("report -o - {traces}")).exits(0).stdout());
        // What goes on where a recording ends has no event.
        shown.retain(|(_, _, outcome), _| outcome != "unfinished");
        assert!(!told.is_empty());
        assert_eq!(shown, told, "{traces}");
    }
}

#[test]
fn with_a_config_a_recording_is_a_capture() {
    let folder = recorded("recording-as-capture");
    folder.write("other.conf", b"[ssh]\nsequence = 7000,8000\n");
    let ran = folder.run("run -c other.conf --format summary a.pcapng b.pcapng");
    insta::assert_snapshot!(ran.exits(0).to_string());
    let explained = folder.run("explain a.pcapng b.pcapng --source 198.51.100.8");
    insta::assert_snapshot!(explained.exits(0).to_string());
}

#[test]
fn what_is_missing_in_a_recording_is_told() {
    let folder = Folder::new("recording-holes");
    let mut recorder = Recorder::new(SSH);
    recorder.knock(7, 7000, at(1000));
    let first = recorder.next_file(at(5000), 4711);
    recorder.knock(7, 8000, at(6000));
    folder.write("a.pcapng", &first);
    folder.write("b.pcapng", &recorder.end(at(7000)));
    let state = Snapshot { left_out: 12_345, ..Snapshot::default() };
    let mut flood = Recorder {
        engine: Engine::new(parse(SSH), LocalAddresses::Unknown, HashKey::default()),
        blocks: blocks(),
        number: 0,
    };
    flood.note(&beginning(3, at(0), (0, state), &parse(SSH)));
    folder.write("flood.pcapng", &flood.end(at(1000)));
    let mut told = String::new();
    for arguments in ["run --format summary a.pcapng b.pcapng", "run --format summary flood.pcapng"]
    {
        told.push_str(&folder.run(arguments).exits(0).to_string());
    }
    insta::assert_snapshot!(told);
}

#[test]
fn where_there_is_no_config_the_way_out_is_told() {
    let folder = recorded("recording-refusals");
    folder.write("plain.pcap", &crate::cli::pcap_of(1, std::iter::empty()));
    let mut told = String::new();
    for arguments in [
        "run plain.pcap",
        "run a.pcapng plain.pcap",
        "run -",
        "run --local 192.0.2.1 a.pcapng",
        "run --strict a.pcapng",
        "run --as knockd-0.8 a.pcapng",
        "explain plain.pcap",
    ] {
        told.push_str(&folder.run(arguments).exits(2).to_string());
    }
    insta::assert_snapshot!(told);
}
