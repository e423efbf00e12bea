//! The real knockd 0.8 beside us: over the same capture it writes the same lines.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use jiff::tz::TimeZone;
use knock_engine::config::{parse, parse_one_time_lines};
use knock_engine::local::LocalAddresses;
use knock_engine::output::{Action, Output};
use knock_engine::time::Timestamp;
use knock_engine::wire::{self, LinkType};
use knock_engine::{Engine, HashKey};
use knockd::log::{
    CommandEvent, CommandKind, Exit, Format, Formatter, Message, Subject, Verbosity, What,
};

const INSTALL: &str = "apt-get install knockd gcc libpcap-dev";

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata")
}

/// A capture, its config, and what the machine was like that heard it.
struct Case {
    config: PathBuf,
    capture: PathBuf,
    /// A one-time file named `otp.txt`.
    one_time: Option<PathBuf>,
    local: &'static str,
    /// With what each command exits.
    exit_status: i32,
}

impl Case {
    fn scenario(name: &str) -> Self {
        let folder = testdata().join("oracle/scenarios").join(name);
        Self {
            config: folder.join("knockd.conf"),
            capture: folder.join("in.pcap"),
            one_time: Some(folder.join("otp.txt")).filter(|path| path.exists()),
            local: "10.0.0.1",
            exit_status: 0,
        }
    }

    fn recorded(name: &str) -> Self {
        Self {
            config: testdata().join(format!("{name}.conf")),
            capture: testdata().join(format!("{name}.pcap")),
            one_time: None,
            local: "192.0.2.1,2001:db8::1",
            exit_status: 0,
        }
    }
}

/// Builds the library that feeds knockd a capture, once for each run of the tests.
fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let name = format!("pcapshim-{}.so", std::process::id());
        let built = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let status = Command::new("gcc")
            .args(["-O2", "-shared", "-fPIC", "-o"])
            .arg(&built)
            .arg(testdata().join("oracle/pcapshim.c"))
            .args(["-lpcap", "-ldl"])
            .status()
            .unwrap_or_else(|error| panic!("gcc is needed ({error}): {INSTALL}"));
        assert!(status.success(), "the shim does not build; is all there? {INSTALL}");
        built
    })
}

/// Runs the real knockd over a case and returns its log.
fn log_of_knockd(case: &Case) -> String {
    let folder = tempfile::tempdir().unwrap();
    let copy = |from: &Path, name: &str| fs::copy(from, folder.path().join(name)).unwrap();
    copy(&case.config, "knockd.conf");
    copy(&case.capture, "in.pcap");
    if let Some(path) = &case.one_time {
        copy(path, "otp.txt");
    }
    let knockd = std::env::var_os("KNOCKD").unwrap_or_else(|| "/usr/sbin/knockd".into());
    Command::new(&knockd)
        .args(["-c", "knockd.conf", "-i", "eth0", "-g", "log"])
        .current_dir(folder.path())
        .env("TZ", "UTC")
        .env("KNOCK_PCAP", "in.pcap")
        .env("KNOCK_IFACE", "eth0")
        .env("KNOCK_LOCAL_IPS", case.local)
        .env("KNOCK_OUT", "out")
        .env("KNOCK_LOG", "log")
        .env("KNOCK_STATUS", case.exit_status.to_string())
        .env("LD_PRELOAD", shim())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap_or_else(|error| {
            panic!("the real knockd is needed ({}: {error}): {INSTALL}", knockd.display())
        });
    fs::read_to_string(folder.path().join("log")).unwrap()
}

/// Replays a case through the engine and writes down what comes of it.
struct OurLog {
    lines: Vec<String>,
    formatter: Formatter,
    exit_status: i32,
}

impl OurLog {
    fn of(case: &Case) -> Vec<String> {
        let formatter = Formatter::new(Format::Knockd, Verbosity::Normal, TimeZone::UTC);
        let mut log = Self { lines: Vec::new(), formatter, exit_status: case.exit_status };
        let text = fs::read(&case.config).unwrap();
        let mut config = parse(&text).config.unwrap();
        if let Some(path) = &case.one_time {
            let lines = fs::read(path).unwrap();
            config.set_one_time_lines(0, parse_one_time_lines(&lines).0);
        }
        let mut engine = Engine::new(config, LocalAddresses::Unknown, HashKey::default());
        let mut capture = pcap::Capture::from_file(&case.capture).unwrap();
        while let Ok(packet) = capture.next_packet() {
            let (seconds, micros) = (packet.header.ts.tv_sec, packet.header.ts.tv_usec);
            let nanos = seconds * 1_000_000_000 + micros * 1000;
            let at = Timestamp::from_nanos(nanos.try_into().unwrap());
            if let Ok(segment) = wire::decode(LinkType::Ethernet, packet.data) {
                engine.handle_packet(&segment.packet(), at);
                log.drain(&mut engine);
            }
        }
        while let Some(deadline) = engine.poll_timeout() {
            engine.handle_timeout(deadline.at);
            log.drain(&mut engine);
        }
        log.lines
    }

    fn drain(&mut self, engine: &mut Engine) {
        while let Some(output) = engine.poll_output() {
            match output {
                Output::Event(event) => self.say(event.at(), What::Event(event)),
                Output::Action(Action::Start { at, door, source, .. }) => {
                    let command = door.start_command(source).unwrap().expand(source, door.grant);
                    self.run(at, Subject { door: door.name.clone(), source }, command);
                }
                Output::Action(Action::Stop { at, door, source }) => {
                    let command = door.stop_command(source).unwrap().expand(source, door.grant);
                    self.run(at, Subject { door: door.name.clone(), source }, command);
                }
                Output::Action(Action::Consume { .. } | Action::Renew { .. }) => {}
            }
        }
    }

    fn run(&mut self, at: Timestamp, subject: Subject, command: String) {
        let mut say = |event| {
            let (subject, kind) = (subject.clone(), CommandKind::Start);
            self.say(at, What::Command { subject, kind, event });
        };
        say(CommandEvent::Running { command });
        let exit = Exit::Status(self.exit_status);
        if !exit.is_success() {
            let event = CommandEvent::Failed { exit };
            self.say(at, What::Command { subject, kind: CommandKind::Start, event });
        }
    }

    fn say(&mut self, at: Timestamp, what: What) {
        self.lines.push(self.formatter.line(&Message { at, what }, at).text);
    }
}

/// Returns knockd's lines and ours. Both are sorted, for knockd notices an expiry late (R21), and
/// what a daemon says about itself is left out.
fn both(case: &Case) -> (Vec<String>, Vec<String>) {
    let text = log_of_knockd(case);
    let of_itself =
        |line: &&str| line.contains("] starting up, ") || line.ends_with("] shutting down");
    let theirs = text.lines().filter(|line| !line.is_empty() && !of_itself(line));
    let mut theirs: Vec<String> = theirs.map(str::to_owned).collect();
    let mut ours = OurLog::of(case);
    theirs.sort_unstable();
    ours.sort_unstable();
    assert!(!theirs.is_empty());
    (theirs, ours)
}

#[test]
fn an_opening_and_its_closing() {
    let (theirs, ours) = both(&Case::recorded("opencloseSSH"));
    assert_eq!(theirs, ours);
    assert_eq!(theirs.len(), 7, "{theirs:?}");
}

#[test]
fn a_knock_over_ipv6() {
    let (theirs, ours) = both(&Case::recorded("ipv6"));
    assert_eq!(theirs, ours);
    assert_eq!(theirs.len(), 7, "{theirs:?}");
}

#[test]
fn commands_that_fail() {
    let (theirs, ours) = both(&Case { exit_status: 3, ..Case::scenario("b12-status") });
    assert_eq!(theirs, ours);
    assert_eq!(theirs.len(), 7, "{theirs:?}");
}

/// knockd notices the timeout when the next packet comes, in another minute: so without stamps.
#[test]
fn a_timeout() {
    let (theirs, ours) = both(&Case::scenario("t02-lazy"));
    let bodies = |lines: &[String]| -> Vec<String> {
        lines.iter().map(|line| line.split_once("] ").unwrap().1.to_owned()).collect()
    };
    assert_eq!(bodies(&theirs), bodies(&ours));
    assert!(theirs.iter().any(|line| line.ends_with(": sequence timeout (stage 1)")));
}

/// knockd crashes there (R45), so it says less; but what it says, we say.
#[test]
fn the_last_one_time_sequence() {
    let (theirs, mut ours) = both(&Case::scenario("o02-last"));
    ours.retain(|line| theirs.contains(line));
    assert_eq!(theirs, ours);
    assert!(theirs.iter().any(|line| line.ends_with("--> disabling the door")));
}
