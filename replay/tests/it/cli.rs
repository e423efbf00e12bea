//! The program from the outside: its streams and exit codes.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

const SSH: &str = "[ssh]
sequence = 7000,8000,9000
start_command = open %IP%
stop_command = close %IP%
";

/// A folder of a test's own, and the program run in it.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(test: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cli").join(test);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let folder = Self(folder);
        folder.write("knockd.conf", SSH.as_bytes());
        folder
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.0.join(name), bytes).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.join(name)).unwrap()
    }

    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_knock-replay"));
        command.current_dir(&self.0).args(arguments.split(' ').filter(|word| !word.is_empty()));
        command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").env_remove("COLUMNS");
        command.stdin(Stdio::null());
        command
    }

    /// Runs the program with arguments that are separated by one blank.
    pub(crate) fn run(&self, arguments: &str) -> Ran {
        let output = self.command(arguments).output().unwrap();
        Ran { arguments: arguments.to_owned(), output }
    }
}

/// What a run came to. Failed assertions show the command and both streams.
pub(crate) struct Ran {
    pub(crate) arguments: String,
    pub(crate) output: Output,
}

impl Ran {
    pub(crate) fn stdout(&self) -> String {
        String::from_utf8(self.output.stdout.clone()).unwrap()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8(self.output.stderr.clone()).unwrap()
    }

    #[track_caller]
    pub(crate) fn exits(&self, code: i32) -> &Self {
        assert_eq!(self.output.status.code(), Some(code), "exit code of {self}");
        self
    }

    #[track_caller]
    pub(crate) fn says(&self, expected: &str) -> &Self {
        let said = self.stdout().contains(expected) || self.stderr().contains(expected);
        assert!(said, "{expected:?} is missing from {self}");
        self
    }

    /// Returns the last line of standard output, an object.
    fn summary(&self) -> serde_json::Value {
        let stdout = self.stdout();
        let last = stdout.lines().last().unwrap_or_else(|| panic!("no output of {self}"));
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error} in {self}"))
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "knock-replay {}\n({})", self.arguments, self.output.status)?;
        writeln!(f, "--- stdout\n{}", String::from_utf8_lossy(&self.output.stdout))?;
        writeln!(f, "--- stderr\n{}", String::from_utf8_lossy(&self.output.stderr))
    }
}

/// A pcap file with SYNs to these ports, a second apart from 2026-11-22T10:00:00Z on.
fn pcap(link_type: u32, ports: &[u16]) -> Vec<u8> {
    let syns = (0..).zip(ports).map(|(index, port)| syn([198, 51, 100, 7], 40_000 + index, *port));
    pcap_of(link_type, syns)
}

/// A pcap file with these frames, a second apart from 2026-11-22T10:00:00Z on.
pub(crate) fn pcap_of(link_type: u32, frames: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, link_type] {
        file.extend(u32::to_le_bytes(word));
    }
    for (second, frame) in (1_795_341_600..).zip(frames) {
        let length = u32::try_from(frame.len()).unwrap();
        for word in [second, 0, length, length] {
            file.extend(u32::to_le_bytes(word));
        }
        file.extend(frame);
    }
    file
}

/// The bytes of a record.
const RECORD: usize = 16 + 54;

/// An Ethernet frame with a SYN to 192.0.2.1.
pub(crate) fn syn(source: [u8; 4], source_port: u16, port: u16) -> Vec<u8> {
    let mut frame = vec![0; 12];
    frame.extend([0x08, 0x00]);
    frame.extend([0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0]);
    frame.extend(source);
    frame.extend([192, 0, 2, 1]);
    frame.extend(source_port.to_be_bytes());
    frame.extend(port.to_be_bytes());
    frame.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0]);
    frame
}

#[test]
fn help() {
    let folder = Folder::new("help");
    insta::assert_snapshot!("help", folder.run("--help").exits(0).stdout());
    insta::assert_snapshot!("help_short", folder.run("-h").exits(0).stdout());
    insta::assert_snapshot!("help_run", folder.run("run --help").exits(0).stdout());
    insta::assert_snapshot!("help_run_short", folder.run("run -h").exits(0).stdout());
    insta::assert_snapshot!("help_explain", folder.run("explain --help").exits(0).stdout());
    insta::assert_snapshot!("help_explain_short", folder.run("explain -h").exits(0).stdout());
    insta::assert_snapshot!("help_lint", folder.run("lint --help").exits(0).stdout());
    insta::assert_snapshot!("help_lint_short", folder.run("lint -h").exits(0).stdout());
}

#[test]
fn version() {
    let ran = Folder::new("version").run("--version");
    assert_eq!(ran.exits(0).stdout(), concat!("knock-replay ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn wrong_command_lines_say_what_is_wrong_and_exit_with_2() {
    let folder = Folder::new("wrong_command_lines");
    let mut told = String::new();
    for arguments in [
        "run -c knockd.conf",
        "run a.pcap",
        "run -c knockd.conf --fromat jsonl a.pcap",
        "run -c knockd.conf --as knockd a.pcap",
        "run -c knockd.conf --local 192.0.2.300 a.pcap",
        "runn",
    ] {
        let ran = folder.run(arguments);
        assert_eq!(ran.exits(2).stdout(), "", "{ran}");
        writeln!(told, "$ knock-replay {arguments}\n{}", ran.stderr()).unwrap();
    }
    insta::assert_snapshot!(told);
}

#[test]
fn what_cannot_be_read_is_named() {
    let folder = Folder::new("what_cannot_be_read");
    folder.write("empty.pcap", b"");
    folder.write("text.pcap", b"this is no capture");
    folder.write("wifi.pcap", &pcap(105, &[7000]));
    folder.write("once.conf", b"[once]\none_time_sequences = missing.txt\n");
    let mut told = String::new();
    for arguments in [
        "run -c missing.conf a.pcap",
        "run -c once.conf a.pcap",
        "run -c knockd.conf missing.pcap",
        "run -c knockd.conf empty.pcap",
        "run -c knockd.conf text.pcap",
        "run -c knockd.conf --format jsonl wifi.pcap",
        "run -c knockd.conf .",
    ] {
        let ran = folder.run(arguments);
        ran.exits(2);
        writeln!(told, "$ knock-replay {arguments}\n{}", ran.stderr()).unwrap();
    }
    insta::assert_snapshot!(told);
}

#[test]
fn a_bad_config_is_refused_and_every_problem_is_named() {
    let folder = Folder::new("bad_config");
    folder.write("bad.conf", b"[ssh]\nsequence = 7000,70000\nseq_timout = 5\n");
    let ran = folder.run("run -c bad.conf a.pcap");
    ran.exits(2).says("70000").says("seq_timout").says("seq_timeout").says("bad.conf");
    assert_eq!(ran.stdout(), "", "{ran}");
}

#[test]
fn strict_takes_warnings_as_errors() {
    let folder = Folder::new("strict");
    folder.write("odd.conf", b"[ssh]\nsequence = 7000 # my knock\n");
    folder.write("a.pcap", &pcap(1, &[7000]));
    folder.run("run -c odd.conf a.pcap").exits(0).says("odd.conf:2:").says("opened");
    folder.run("run --strict -c odd.conf a.pcap").exits(2).says("--strict");
    folder.run("explain --strict -c odd.conf a.pcap").exits(2).says("--strict");
    folder.write("once.conf", b"[once]\none_time_sequences = once.txt\n");
    folder.write("once.txt", b"7000,8000\n7000,telnet\n");
    folder.run("run -c once.conf a.pcap").exits(0).says("once.txt:2:");
    folder.run("run --strict -c once.conf a.pcap").exits(2).says("once.conf").says("--strict");
    // The original knows no warnings: what it refuses it refuses in any case.
    let ran = folder.run("run --strict --as knockd-0.8 -c knockd.conf a.pcap");
    ran.exits(2).says("knockd 0.8 has no warnings");
}

#[test]
fn a_config_without_a_door_is_no_error_but_is_told() {
    let folder = Folder::new("no_door");
    folder.write("none.conf", b"[options]\nlogfile = /var/log/knockd.log\n");
    folder.write("a.pcap", &pcap(1, &[7000]));
    for command in ["run", "explain", "run --as knockd-0.8"] {
        let ran = folder.run(&format!("{command} -c none.conf a.pcap"));
        ran.exits(0).says("note: none.conf has no door: nothing can open");
    }
}

#[test]
fn every_format_tells_of_the_same_run() {
    let folder = Folder::new("every_format");
    folder.write("a.pcap", &pcap(1, &[7000, 8000, 9000, 22]));
    let ran = folder.run("run -c knockd.conf a.pcap");
    ran.exits(0).says("opened in 2 s of 25 s").says("note: local addresses unknown");
    folder.run("run -c knockd.conf --local 192.0.2.1 --format summary a.pcap").exits(0).says("ssh");
    let ran = folder.run("run -c knockd.conf --format jsonl a.pcap");
    assert_eq!(ran.exits(0).stderr(), "", "{ran}");
    insta::assert_snapshot!(ran.stdout());
}

#[test]
fn local_addresses_decide() {
    let folder = Folder::new("local_addresses");
    folder.write("a.pcap", &pcap(1, &[7000, 8000, 9000]));
    let opens = |local: &str| {
        let ran = folder.run(&format!("run -c knockd.conf --format jsonl {local} a.pcap"));
        let summary = ran.exits(0).summary();
        (summary["doors"][0]["opens"].as_u64(), summary["local"].as_str().map(str::to_owned))
    };
    assert_eq!(opens(""), (Some(1), Some("assumed".to_owned())));
    assert_eq!(opens("--local 192.0.2.1"), (Some(1), Some("given".to_owned())));
    assert_eq!(opens("--local 10.0.0.1,192.0.2.1"), (Some(1), Some("given".to_owned())));
    assert_eq!(opens("--local 10.0.0.1 --local 2001:db8::1"), (Some(0), Some("given".to_owned())));
}

#[test]
fn a_trace_that_is_cut_off_is_read_as_far_as_it_goes() {
    let folder = Folder::new("cut_off");
    let whole = pcap(1, &[7000, 8000, 9000, 22]);
    folder.write("cut.pcap", &whole[..whole.len() - 7]);
    let ran = folder.run("run -c knockd.conf --format jsonl cut.pcap");
    ran.exits(0).says("warning: cut.pcap").says("\"event\":\"open\"");
    assert_eq!(ran.summary()["truncated"], true, "{ran}");
    assert_eq!(ran.summary()["packets"], 3, "{ran}");
    insta::assert_snapshot!(ran.stderr());
}

/// A capture with garbage between the third and the fourth packet.
fn damaged() -> Vec<u8> {
    let mut file = pcap(1, &[7000, 8000, 9000, 22, 7000, 7000]);
    let behind_third = 24 + 3 * RECORD;
    file[behind_third..behind_third + RECORD].fill(0xff);
    file
}

#[test]
fn damage_ends_the_run_after_what_came_before_it() {
    let folder = Folder::new("damage");
    folder.write("damaged.pcap", &damaged());
    let ran = folder.run("run -c knockd.conf --format jsonl damaged.pcap");
    ran.exits(2).says("\"event\":\"open\"").says("\"event\":\"close\"").says("--resync");
    let offset = 24 + 3 * RECORD;
    ran.says(&format!("byte {offset}"));
    assert_eq!(ran.summary()["packets"], 3, "{ran}");
    assert_eq!(ran.summary()["damage"][0]["offset"], offset, "{ran}");
    insta::assert_snapshot!(ran.stderr());
}

#[test]
fn resync_reads_on_behind_damage() {
    let folder = Folder::new("resync");
    folder.write("damaged.pcap", &damaged());
    let ran = folder.run("run -c knockd.conf --resync --format jsonl damaged.pcap");
    ran.exits(0).says("warning: damaged.pcap: damaged at byte");
    let summary = ran.summary();
    assert_eq!(summary["packets"], 5, "{ran}");
    assert_eq!(summary["damage"][0]["bytes"], RECORD, "{ran}");
}

#[test]
fn a_closed_pipe_is_no_error() {
    let folder = Folder::new("closed_pipe");
    let ports: Vec<u16> = [7000, 8000, 9000].repeat(2_000);
    folder.write("a.pcap", &pcap(1, &ports));
    for format in ["text", "jsonl"] {
        let arguments = format!("run -c knockd.conf --format {format} a.pcap");
        let mut command = folder.command(&arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut [0; 10]).unwrap();
        drop(stdout);
        let ran = Ran { arguments, output: child.wait_with_output().unwrap() };
        ran.exits(0);
        assert!(!ran.stderr().contains("panicked") && !ran.stderr().contains("pipe"), "{ran}");
    }
}

#[test]
fn a_live_pipe_is_told_line_by_line() {
    let folder = Folder::new("live_pipe");
    let arguments = "run -c knockd.conf --format jsonl -";
    let mut command = folder.command(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdin.write_all(&pcap(1, &[7000])).unwrap();
    stdin.flush().unwrap();
    // This returns although the input is still open, or it never returns.
    let mut seen = Vec::new();
    let mut byte = [0];
    while byte != *b"\n" {
        stdout.read_exact(&mut byte).unwrap();
        seen.extend(byte);
    }
    assert!(seen.starts_with(b"{\"at\":"), "{:?}", String::from_utf8_lossy(&seen));
    drop(stdin);
    stdout.read_to_end(&mut seen).unwrap();
    let mut output = child.wait_with_output().unwrap();
    output.stdout = seen;
    let ran = Ran { arguments: arguments.to_owned(), output };
    assert_eq!(ran.exits(0).summary()["packets"], 1, "{ran}");
}

#[test]
fn colours_are_for_terminals_and_for_those_who_ask() {
    let folder = Folder::new("colours");
    folder.write("a.pcap", &pcap(1, &[7000, 8000, 9000]));
    let has_colours = |arguments: &str, no_color: bool| {
        let mut command = folder.command(arguments);
        if no_color {
            command.env("NO_COLOR", "1");
        }
        let output = command.output().unwrap();
        let ran = Ran { arguments: arguments.to_owned(), output };
        ran.exits(0).stdout().contains('\u{1b}')
    };
    assert!(!has_colours("run -c knockd.conf a.pcap", false));
    assert!(!has_colours("run -c knockd.conf --color never a.pcap", false));
    assert!(has_colours("run -c knockd.conf --color always a.pcap", false));
    assert!(has_colours("run -c knockd.conf --color always a.pcap", true));
    assert!(!has_colours("run -c knockd.conf --color always --format jsonl a.pcap", false));
}

#[test]
fn two_traces_are_one_stream_and_name_their_frames() {
    let folder = Folder::new("two_traces");
    let whole = pcap(1, &[7000, 8000, 9000]);
    let only = |index: usize| {
        let start = 24 + index * RECORD;
        [&whole[..24], &whole[start..start + RECORD]].concat()
    };
    folder.write("odd.pcap", &[only(0), only(2)[24..].to_vec()].concat());
    folder.write("even.pcap", &only(1));
    let ran = folder.run("run -c knockd.conf --local 192.0.2.1 even.pcap odd.pcap");
    insta::assert_snapshot!(ran.exits(0).stdout());
}

#[test]
fn the_original_loses_a_repeated_knock_and_says_so_here() {
    let folder = Folder::new("original");
    folder.write("a.pcap", &pcap(1, &[7000, 7000, 8000, 9000, 7000, 8000, 9000, 22]));
    let ran = folder.run("run -c knockd.conf --local 192.0.2.1 --as knockd-0.8 a.pcap");
    insta::assert_snapshot!(ran.exits(0).stdout());
    let ran = folder.run("run -c knockd.conf --as knockd-0.8 --format jsonl a.pcap");
    insta::assert_snapshot!("the_original_in_lines", ran.exits(0).stdout());
    let ran = folder.run("run -c knockd.conf --as knockd-0.8 --format summary a.pcap");
    ran.exits(0).says("lost: a knock came twice");
}

#[test]
fn what_the_original_refuses_is_refused_in_its_name() {
    let folder = Folder::new("original_refuses");
    folder.write("flags.conf", b"[ssh]\nsequence = 7000\ntcpflags = syn, ack\n");
    folder.write("a.pcap", &pcap(1, &[7000]));
    folder.write("sll2.pcap", &pcap(276, &[7000]));
    folder.run("run -c flags.conf a.pcap").exits(0);
    let ran = folder.run("run -c flags.conf --as knockd-0.8 a.pcap");
    ran.exits(2).says("flags.conf: knockd 0.8 refuses this config: line 3");
    let ran = folder.run("run -c knockd.conf --as knockd-0.8 sll2.pcap");
    ran.exits(2).says("sll2.pcap: frame 1: knockd 0.8 refuses link type 276");
}

#[test]
fn a_one_time_file_that_is_used_up_is_told() {
    let folder = Folder::new("used_up");
    folder.write("once.conf", b"[once]\none_time_sequences = once.txt\n");
    folder.write("once.txt", b"# 7000,8000\n");
    folder.write("a.pcap", &pcap(1, &[7000, 8000]));
    for command in ["run", "explain"] {
        let ran = folder.run(&format!("{command} -c once.conf a.pcap"));
        ran.exits(0).says("note: door once: no sequence is left in once.txt: nothing opens it");
    }
    let ran = folder.run("explain -c once.conf --source 198.51.100.7 a.pcap");
    ran.exits(0).says("  once  every one-time sequence is used up: add lines to the file");
}

#[test]
fn one_time_files_are_read_and_never_changed() {
    let folder = Folder::new("one_time");
    folder.write("once.conf", b"[once]\none_time_sequences = once.txt\nstart_command = x\n");
    folder.write("once.txt", b"# used: 1,2\n7000,8000\n9000,7000\n");
    folder.write("a.pcap", &pcap(1, &[7000, 8000, 9000, 7000, 7000]));
    let before = fs::metadata(folder.0.join("once.txt")).unwrap().modified().unwrap();
    let ran = folder.run("run -c once.conf --format jsonl a.pcap");
    ran.exits(0).says("\"event\":\"disabled\"");
    assert_eq!(ran.summary()["doors"][0]["opens"], 2, "{ran}");
    let after = fs::metadata(folder.0.join("once.txt")).unwrap().modified().unwrap();
    assert_eq!(before, after);
}
