//! People's configs as they are: they start and open here as they do in Debian's knockd.
//!
//! Our own stand for the four kinds that knockd's manual shows, and one that has several doors.
//! The manual's and Debian's default are read from where the package `knockd` installs them, for
//! their text is under the GPL.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use knock_lab::daemon::Setup;
use knock_lab::lab::{CLIENT, CLIENT_V6, Lab, SERVER, SERVER_V6};
use knock_lab::wire::{Port, SYN, Wire};
use knock_lab::{privilege, wait};

use crate::bench::{folder, note, program, shared};

const ORIGINAL: &str = "/usr/sbin/knockd";
const MANUAL: &str = "/usr/share/man/man1/knockd.1.gz";
const DEFAULT: &str = "/etc/knockd.conf";

const OURS: [&str; 5] = [
    "[options]\nlogfile = /var/log/knockd.log\n\n\
     [letin]\nsequence = 6001,6002,6003\nseq_timeout = 8\ntcpflags = syn\n\
     command = /sbin/iptables -A INPUT -s %IP% -j ACCEPT\n\n\
     [shutout]\nsequence = 6003,6002,6001\nseq_timeout = 8\ntcpflags = syn\n\
     command = /sbin/iptables -D INPUT -s %IP% -j ACCEPT\n",
    include_str!("../../../testdata/opencloseSSH.conf"),
    "[options]\nLogFile = /var/log/knockd.log\n\
     [mail]\none_time_sequences = /run/knocks\nseq_timeout = 12\ntcpflags = fin,!ack\n\
     start_command = /usr/sbin/iptables -A INPUT -s %IP% -p tcp --dport 25 -j ACCEPT\n\
     cmd_timeout = 2\n\
     stop_command = /usr/sbin/iptables -D INPUT -s %IP% -p tcp --dport 25 -j ACCEPT\n",
    "[options]\nlogfile = /var/log/knockd.log\n\
     [both]\nsequence = 6001,6002:udp,6003\nseq_timeout = 12\ntcpflags = syn,!ack\n\
     start_command = /usr/sbin/iptables -A INPUT -s %IP% -j ACCEPT\n\
     start_command_6 = /usr/sbin/ip6tables -A INPUT -s %IP% -j ACCEPT\n\
     cmd_timeout = 2\n\
     stop_command = /usr/sbin/iptables -D INPUT -s %IP% -j ACCEPT\n\
     stop_command_6 = /usr/sbin/ip6tables -D INPUT -s %IP% -j ACCEPT\n",
    "[options]\n\tUseSyslog\n\n\
     [a]\n\tsequence = 6001,6002\n\tcommand = /bin/echo a %IP%\n\ttcpflags = syn\n\
     [b]\n\tsequence = 6003:udp\n\tcommand = /no/such/program %IP%\n",
];

#[test]
fn configs_start_and_open_as_in_the_original() {
    privilege::test(|| {
        let _machine = shared();
        let installed = installed_configs()?;
        let configs: Vec<&str> =
            OURS.into_iter().chain(installed.iter().map(String::as_str)).collect();
        std::thread::scope(|scope| -> Result<()> {
            let trials: Vec<_> = configs
                .iter()
                .map(|config| {
                    let original = scope.spawn(|| play(Path::new(ORIGINAL), config));
                    (config, original, scope.spawn(|| play(&program(), config)))
                })
                .collect();
            for (config, original, ours) in trials {
                let original = join(original).with_context(|| format!("the original, {config}"))?;
                let ours = join(ours).with_context(|| format!("ours, {config}"))?;
                ensure!(!original.said.is_empty(), "the original did nothing with\n{config}");
                ensure!(
                    original == ours,
                    "of\n{config}\nthe original makes\n{original:#?}\nours\n{ours:#?}"
                );
            }
            Ok(())
        })
    });
}

fn join<T>(thread: std::thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// What a daemon makes of a config and of all its knocks.
#[derive(Debug, PartialEq, Eq)]
struct Played {
    /// For each line that it says, without its time, how often.
    said: BTreeMap<String, usize>,
    /// The rules in the end, when the doors that close have closed.
    rules: Vec<String>,
    /// What is left in the file of one-time sequences.
    sequences: String,
}

const SEQUENCES: &str = " 6011,6012:udp,6013\n 6021,6022,6023:udp\n 6031,6032,6033\n";

fn play(program: &Path, config: &str) -> Result<Played> {
    let lab = Lab::new()?;
    lab.add_ipv6()?;
    // The manual's folder is one of the host's, which is not ours to write to.
    let mut config = config.replace("/etc/knockd/smtp_sequences", "/run/knocks");
    if !config.to_ascii_lowercase().contains("logfile") {
        config = config.replacen("[options]", "[options]\nlogfile = /var/log/knockd.log", 1);
    }
    std::fs::write(lab.server.path("/run/knocks"), SEQUENCES)?;
    let mut setup = Setup::new(program, &folder(&lab, "knockd")?);
    setup.write_config_text(&config)?;
    setup.log = lab.server.path("/var/log/knockd.log");
    let daemon = setup.start(&lab.server)?;
    let mut wire = Wire::new(&lab.client)?;
    let mut opens = 0;
    let mut closing = 0;
    let doors = doors(&config)?;
    let ends = [(CLIENT, SERVER), (CLIENT_V6, SERVER_V6)];
    for (door, (source, server)) in doors.iter().flat_map(|door| ends.map(|end| (door, end))) {
        if door.is_one_time && server.is_ipv6() {
            continue; // The line has been used.
        }
        for &port in &door.ports {
            let mut packet = wire.fresh(source, server, port);
            packet.flags = door.flags;
            wire.send_frame(&packet.frame()?)?;
        }
        opens += 1;
        closing += usize::from(door.closes);
        // The next door's knock could undo something before it is done.
        wait::until("the door to open", || {
            Ok(count(&daemon.log()?, "OPEN SESAME") >= opens
                && count(&daemon.log()?, "running command") >= opens)
        })
        .with_context(|| daemon.story())?;
        wait_for_commands(&lab)?;
    }
    wait::within(Duration::from_secs(30), "the doors to close", || {
        let log = daemon.log()?;
        Ok(count(&log, "command timeout") >= closing
            && count(&log, "running command") >= opens + closing)
    })
    .with_context(|| daemon.story())?;
    wait_for_commands(&lab)?;
    let mut said = BTreeMap::new();
    let kinds = ["Stage ", "OPEN SESAME", "running command: ", "command timeout"];
    for line in daemon.log()?.lines() {
        if let Some((_, words)) = line.split_once("] ")
            && kinds.iter().any(|kind| words.contains(kind))
        {
            *said.entry(words.to_owned()).or_default() += 1;
        }
    }
    let sequences = std::fs::read_to_string(lab.server.path("/run/knocks"))?;
    Ok(Played { said, rules: rules(&lab)?, sequences })
}

fn count(log: &str, words: &str) -> usize {
    log.lines().filter(|line| line.contains(words)).count()
}

fn rules(lab: &Lab) -> Result<Vec<String>> {
    let rules = lab.server.run("iptables -S INPUT")? + &lab.server.run("ip6tables -S INPUT")?;
    Ok(rules.lines().map(str::to_owned).collect())
}

/// Waits until the server runs nothing but knockd, and does not begin to for a little while.
///
/// A door's next command must not meet one of the door before. The original's children wait for
/// their stop commands under its name.
fn wait_for_commands(lab: &Lab) -> Result<()> {
    const A_WHILE: Duration = Duration::from_millis(80);
    let mut quiet_since = None;
    wait::until("the commands to be over", || {
        let mut is_quiet = true;
        for pid in lab.server.processes()? {
            // One that is gone has no name: the next look tells.
            let name = std::fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero()));
            is_quiet &= name.is_ok_and(|name| name.trim() == "knockd");
        }
        if !is_quiet {
            quiet_since = None;
            return Ok(false);
        }
        Ok(quiet_since.get_or_insert_with(Instant::now).elapsed() >= A_WHILE)
    })
}

/// A door as a reader of the config sees it.
struct Door {
    ports: Vec<Port>,
    flags: u8,
    closes: bool,
    is_one_time: bool,
}

/// Reads the doors by means of its own, for the daemon's are what is tried.
fn doors(config: &str) -> Result<Vec<Door>> {
    let mut doors = Vec::new();
    for line in config.lines().map(str::trim) {
        if line.starts_with('[') && line != "[options]" {
            doors.push(Door { ports: Vec::new(), flags: SYN, closes: false, is_one_time: false });
        }
        let (Some((key, value)), Some(door)) = (line.split_once('='), doors.last_mut()) else {
            continue;
        };
        match key.trim() {
            "sequence" => door.ports = ports(value)?,
            "one_time_sequences" => {
                door.is_one_time = true;
                door.ports = ports(SEQUENCES.lines().next().context("there are some")?)?;
            }
            "tcpflags" => door.flags = flags(value)?,
            "stop_command" => door.closes = true,
            _ => {}
        }
    }
    Ok(doors)
}

fn ports(sequence: &str) -> Result<Vec<Port>> {
    let steps = sequence.trim().split(',').map(|step| {
        let (number, protocol) = step.split_once(':').unwrap_or((step, "tcp"));
        let number = number.parse().with_context(|| format!("odd port {step}"))?;
        Ok(if protocol == "udp" { Port::Udp(number) } else { Port::Tcp(number) })
    });
    steps.collect()
}

fn flags(names: &str) -> Result<u8> {
    let mut flags = 0;
    for name in names.split(',').map(str::trim).filter(|name| !name.starts_with('!')) {
        let known = ["fin", "syn", "rst", "psh", "ack", "urg"];
        let bit = known.iter().position(|known| *known == name);
        flags |= 1 << bit.with_context(|| format!("odd flag {name}"))?;
    }
    Ok(flags)
}

/// Returns the configs that Debian's package installs: those of the manual, and the default.
fn installed_configs() -> Result<Vec<String>> {
    let mut configs = Vec::new();
    match std::fs::read(MANUAL) {
        Ok(bytes) => {
            let mut manual = String::new();
            flate2::read::GzDecoder::new(&bytes[..])
                .read_to_string(&mut manual)
                .with_context(|| format!("cannot read {MANUAL}"))?;
            let examples = manual.split(".nf\n").skip(1).filter_map(|rest| {
                let (example, _) = rest.split_once(".fi\n")?;
                example.contains("[options]").then(|| example.replace("\\-", "-"))
            });
            configs.extend(examples);
            ensure!(configs.len() >= 3, "{MANUAL} has but {} examples", configs.len());
        }
        Err(error) => note(&format!("not tried: the manual's configs ({MANUAL}: {error})"))?,
    }
    match std::fs::read_to_string(DEFAULT) {
        Ok(text) => configs.push(text),
        Err(error) => note(&format!("not tried: Debian's default config ({DEFAULT}: {error})"))?,
    }
    Ok(configs)
}
