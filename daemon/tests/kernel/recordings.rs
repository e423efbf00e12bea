//! Recordings: replayed, they tell what the daemon's own log told, field by field.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use knock_lab::daemon::{Daemon, Setup};
use knock_lab::lab::{CLIENT_V6, Lab, SERVER, SERVER_V6};
use knock_lab::wire::{Port, Wire};
use knock_lab::{privilege, wait};
use rustix::process::Signal;
use serde_json::{Map, Value};

use crate::bench::{alone, sample_or_full, setup, shared};

/// A line of the log or of the replay.
type Line = Map<String, Value>;

const ADDED: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 99));

#[test]
fn a_recording_replays_to_the_log_across_reloads_addresses_and_a_kill() {
    privilege::test(|| {
        let _machine = shared();
        let lab = Lab::new()?;
        lab.add_ipv6()?;
        let desk = Desk::new(&lab, "64M")?;
        let mut daemon = desk.start(&lab)?;
        let mut wire = Wire::new(&lab.client)?;
        desk.everything_that_happens(&lab, &mut wire, &daemon)?;
        desk.compare_all().with_context(|| daemon.story())?;

        // A kill, with a door open and an attempt begun, and a new start from the ledger.
        desk.knock(&mut wire, source(30), &DOOR)?;
        desk.knock(&mut wire, source(31), &DOOR[..1])?;
        desk.logged("OPEN", |line| is(line, "running", source(30)))?;
        desk.compare_all()?;
        daemon.signal(Signal::KILL)?;
        daemon.wait(wait::SOON)?;
        let mut daemon = desk.start(&lab)?;
        desk.logged("the recovery", |line| is(line, "recovered", source(30)))?;
        desk.knock(&mut wire, source(32), &DOOR)?;
        desk.logged("the close", |line| is(line, "close", source(32)))?;
        daemon.signal(Signal::TERM)?;
        daemon.wait(wait::SOON)?;
        desk.compare_all().with_context(|| daemon.story())?;
        let told = desk.replay()?;
        for event in EVENTS {
            ensure!(told.iter().any(|line| line["event"] == event), "no {event} in the recording");
        }
        Ok(())
    });
}

#[test]
fn a_ring_that_has_wrapped_replays_to_the_end_of_the_log() {
    privilege::test(|| {
        let _machine = alone();
        let lab = Lab::new()?;
        let desk = Desk::new(&lab, "1M")?;
        let daemon = desk.start(&lab)?;
        let mut wire = Wire::new(&lab.client)?;
        // An attempt that begins before the first file is gone, and a lease that outlasts it.
        desk.knock(&mut wire, source(1), &DOOR)?;
        let begun = Instant::now();
        for number in 0..sample_or_full(16_000, 60_000) {
            wire.knock(source(2), SERVER, SLOW[0])?;
            if number % 100 == 99 {
                let pace = Duration::from_millis(u64::try_from(number)? / 10);
                wait::pace(begun + pace);
            }
        }
        wire.knock(source(2), SERVER, SLOW[1])?;
        desk.logged("OPEN", |line| is(line, "open", source(2)))?;
        let files = desk.files()?;
        let bytes: u64 =
            files.iter().map(|file| fs::metadata(file).map_or(0, |its| its.len())).sum();
        ensure!(bytes <= 1 << 20, "the ring takes {bytes} bytes\n{}", daemon.story());
        let told = desk.compare_end().with_context(|| daemon.story())?;
        ensure!(told > 4_000 && told < desk.log()?.len(), "the replay told {told} lines");
        Ok(())
    });
}

#[test]
fn a_disk_that_is_full_costs_a_stretch_of_the_recording_and_no_knock() {
    privilege::test(|| {
        let _machine = shared();
        let lab = Lab::new()?;
        let desk = Desk::new(&lab, "1M")?;
        fs::create_dir_all(desk.record())?;
        lab.server.run(&format!("mount -t tmpfs -o size=40k tmpfs {}", desk.record().display()))?;
        let daemon = desk.start(&lab)?;
        let mut wire = Wire::new(&lab.client)?;
        let mut number = 0;
        wait::until("the disk to be full", || {
            for _ in 0..50 {
                wire.knock(source(2), SERVER, SLOW[0])?;
            }
            number += 1;
            desk.knock(&mut wire, source(100 + number % 100), &DOOR)?;
            Ok(fs::read_to_string(&desk.setup.log)?.contains("nothing is recorded until"))
        })
        .with_context(|| daemon.story())?;
        // Doors still open, and once there is room, the recording goes on and says what is missing.
        desk.knock(&mut wire, source(1), &DOOR)?;
        desk.logged("OPEN", |line| is(line, "open", source(1)))?;
        lab.server.run(&format!("mount -o remount,size=8m {}", desk.record().display()))?;
        wait::until("the recording to go on", || {
            wire.knock(source(2), SERVER, SLOW[0])?;
            Ok(fs::read_to_string(&desk.setup.log)?.contains("records again"))
        })
        .with_context(|| daemon.story())
    });
}

/// What the test of everything brings about.
const EVENTS: [&str; 19] = [
    "stage",
    "open",
    "renew",
    "close",
    "timeout",
    "reset",
    "suppressed",
    "lockout",
    "duplicate",
    "repeat",
    "restart",
    "stray",
    "disabled",
    "running",
    "failed",
    "printed",
    "retry",
    "recovered",
    "evicted",
];
const DOOR: [Port; 3] = [Port::Tcp(7000), Port::Udp(8000), Port::Tcp(9000)];
const SLOW: [Port; 2] = [Port::Tcp(7100), Port::Tcp(8100)];
const DOORS: &str = "[door]\nsequence = 7000,8000:udp,9000\nseq_timeout = 500ms\ntcpflags = syn\n\
    start_command = echo opened\ncmd_timeout = 1\nstop_command = exit 3\n\
    [slow]\nsequence = 7100,8100\nseq_timeout = 1h\nstart_command = true\ncmd_timeout = 1h\n\
    stop_command = true\n\
    [once]\none_time_sequences = FOLDER/once\nseq_timeout = 5\nstart_command = true\n\
    [strict]\nsequence = 7200,8200\nseq_timeout = 5\nmax_strays = 1\nmax_failures = 2\n\
    start_command = echo started\ncooldown = 1h\n";

/// A daemon that logs and records, and what both came to.
struct Desk {
    setup: Setup,
    doors: String,
    options: String,
}

impl Desk {
    fn new(lab: &Lab, size: &str) -> Result<Self> {
        let mut setup = setup(lab)?;
        setup.arguments.extend(["-v".to_owned(), "-D".to_owned()]);
        fs::write(setup.folder.join("once"), "7300,8300\n7300,8301\n")?;
        let folder = setup.folder.display();
        let options = format!(
            "logformat = json\nloglimit = 0\nrecord = {folder}/record\nrecordsize = {size}\n\
             statedir = {folder}/state\nmax_attempts = 64"
        );
        let doors = DOORS.replace("FOLDER", &folder.to_string());
        Ok(Self { setup, doors, options })
    }

    fn start(&self, lab: &Lab) -> Result<Daemon> {
        self.setup.write_config(&self.options, &self.doors)?;
        self.setup.start(&lab.server)
    }

    fn record(&self) -> PathBuf {
        self.setup.folder.join("record")
    }

    /// Makes each kind of event happen that a network can cause.
    fn everything_that_happens(&self, lab: &Lab, wire: &mut Wire, daemon: &Daemon) -> Result<()> {
        let tcp = Port::Tcp;
        // Opened and renewed, with a stop that fails; a timeout; an attempt that begins anew.
        self.knock(wire, source(1), &DOOR)?;
        self.knock(wire, source(1), &DOOR)?;
        self.knock(wire, source(2), &DOOR[..2])?;
        self.knock(wire, source(3), &[tcp(7100), tcp(7100), tcp(8100)])?;
        self.knock(wire, source(13), &[tcp(7000), DOOR[1], DOOR[1], tcp(9000)])?;
        // Out of order; strays until it breaks, twice, and locked out.
        self.knock(wire, source(4), &[tcp(7000), tcp(9000)])?;
        self.knock(wire, source(5), &[tcp(7200), tcp(1), tcp(2), tcp(7200), tcp(1), tcp(2)])?;
        self.knock(wire, source(5), &[tcp(7200), tcp(8200)])?;
        // Two openings within the cooldown, over IPv6; a knock before its time, and repeated.
        for _ in 0..2 {
            wire.knock(CLIENT_V6, SERVER_V6, tcp(7200))?;
            wire.knock(CLIENT_V6, SERVER_V6, tcp(8200))?;
        }
        self.retransmit(wire, source(6))?;
        // A one-time sequence is used up while somebody else stands in it.
        self.knock(wire, source(7), &[tcp(7300)])?;
        self.knock(wire, source(8), &[tcp(7300), tcp(8300)])?;
        self.logged("the use", |line| is(line, "reset", source(7)))?;
        // A new address, and a knock at it; before that, nobody is there.
        wire.knock(source(9), ADDED, tcp(7000))?;
        lab.number("eth0", ADDED)?;
        wait::until("the new address to be heard", || {
            wire.knock(source(9), ADDED, tcp(7000))?;
            self.has_logged(|line| is(line, "stage", source(9)))
        })?;
        self.logged("the timeout", |line| is(line, "timeout", source(2)))?;
        // A reload that changes a door, forgets another one, and adds one.
        let doors = self.doors.replace("seq_timeout = 500ms", "seq_timeout = 700ms");
        let doors = doors.replace("[slow]", "[slower]");
        self.knock(wire, source(10), &[tcp(7200)])?;
        self.setup.write_config(&self.options, &format!("{doors}[new]\nsequence = 7400,8400\n"))?;
        daemon.signal(Signal::HUP)?;
        self.logged("the reload", |line| {
            line.get("message")
                .is_some_and(|its| its.as_str().is_some_and(|its| its.contains("re-read")))
        })?;
        self.knock(wire, source(10), &[tcp(8200)])?;
        self.knock(wire, source(11), &[tcp(7400), tcp(8400)])?;
        // The second line of the one-time file, and then none is left.
        self.knock(wire, source(12), &[tcp(7300), tcp(8301)])?;
        self.logged("the end of the one-time file", |line| line["event"] == "disabled")?;
        self.logged("the close", |line| is(line, "close", source(1)))?;
        // More sources than there is room for.
        (100..200).try_for_each(|number| self.knock(wire, source(number), &DOOR[..1]))?;
        self.logged("an eviction", |line| line["event"] == "evicted")
    }

    /// Sends a knock, and before its time the next one; then the same packets once more.
    fn retransmit(&self, wire: &mut Wire, source: IpAddr) -> Result<()> {
        let early = wire.fresh(source, SERVER, Port::Tcp(8200));
        let first = wire.fresh(source, SERVER, Port::Tcp(7200));
        for packet in [early, first, first, early] {
            wire.send_frame(&packet.frame()?)?;
        }
        self.logged("the duplicate", |line| is(line, "duplicate", source))
    }

    fn knock(&self, wire: &mut Wire, source: IpAddr, ports: &[Port]) -> Result<()> {
        ports.iter().try_for_each(|port| wire.knock(source, SERVER, *port))
    }

    /// Returns what the log tells of doors.
    fn log(&self) -> Result<Vec<Line>> {
        let lines = lines(&fs::read_to_string(&self.setup.log)?)?;
        let is_of_doors =
            |line: &Line| !["notice", "not_logged", "lost"].iter().any(|its| line["event"] == *its);
        Ok(lines.into_iter().filter(is_of_doors).collect())
    }

    fn has_logged(&self, wanted: impl Fn(&Line) -> bool) -> Result<bool> {
        Ok(lines(&fs::read_to_string(&self.setup.log)?)?.iter().any(wanted))
    }

    fn logged(&self, what: &str, wanted: impl Fn(&Line) -> bool) -> Result<()> {
        wait::until(what, || self.has_logged(&wanted))
    }

    /// Returns the files of the recording, the oldest first.
    fn files(&self) -> Result<Vec<PathBuf>> {
        let entries = fs::read_dir(self.record())?;
        let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        files.sort();
        Ok(files)
    }

    /// Returns what a replay of the recording tells of doors.
    fn replay(&self) -> Result<Vec<Line>> {
        let output = Command::new(replay_program()?)
            .args(["run", "--format", "jsonl"])
            .args(self.files()?)
            .output()?;
        let told = String::from_utf8(output.stdout)?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut lines = lines(&told)?;
        lines.retain(|line| line["event"] != "summary");
        for line in &mut lines {
            line.remove("trace");
            line.remove("frame");
        }
        Ok(lines)
    }

    /// Waits until the replay tells what the log tells.
    fn compare_all(&self) -> Result<()> {
        let mut difference = String::new();
        wait::until("the recording to be the log", || {
            let (log, replay) = (self.log()?, self.replay()?);
            difference = first_difference(&log, &replay);
            Ok(difference.is_empty())
        })
        .context(difference)
    }

    /// Waits until the replay tells what the end of the log tells. Returns how many lines that is.
    fn compare_end(&self) -> Result<usize> {
        let (mut difference, mut told) = (String::new(), 0);
        wait::until("the recording to be the end of the log", || {
            let (log, replay) = (self.log()?, self.replay()?);
            told = replay.len();
            let end = log.len().saturating_sub(told);
            difference = first_difference(&log[end..], &replay);
            Ok(difference.is_empty())
        })
        .context(difference)?;
        Ok(told)
    }
}

/// Tells where the two part; nothing where they are the same.
fn first_difference(log: &[Line], replay: &[Line]) -> String {
    let same = log.iter().zip(replay).take_while(|(log, replay)| log == replay).count();
    if same == log.len() && same == replay.len() {
        return String::new();
    }
    let show = |lines: &[Line]| {
        let rest = lines[same..].iter().take(4);
        rest.map(|line| format!("\n    {}", Value::Object(line.clone()))).collect::<String>()
    };
    format!("{same} lines are the same; then\n  log:{}\n  replay:{}", show(log), show(replay))
}

fn lines(text: &str) -> Result<Vec<Line>> {
    // The last line may be half written.
    let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    lines.map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

fn is(line: &Line, event: &str, source: IpAddr) -> bool {
    line["event"] == event && line.get("source").is_some_and(|its| *its == source.to_string())
}

fn source(number: u8) -> IpAddr {
    Ipv4Addr::new(198, 51, 100, number).into()
}

/// Returns the replay tool, which stands beside the daemon.
fn replay_program() -> Result<PathBuf> {
    let program = Path::new(env!("CARGO_BIN_EXE_knockd")).with_file_name("knock-replay");
    if !program.exists() {
        bail!("{} is missing: cargo build -p knock-replay", program.display());
    }
    Ok(program)
}
