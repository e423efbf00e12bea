//! Checks on a system that is only told of.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use knock_engine::config::Severity;

use super::system::{Access, Found, Ids, Kind, Privilege};
use super::*;
use crate::cli;

const COMMAND_PATH: &str = "/usr/sbin:/usr/bin";

/// A system in memory.
struct Told {
    user: u32,
    privileges: BTreeSet<Privilege>,
    /// Paths with what they lead to and what the user may do.
    paths: BTreeMap<PathBuf, (Found, BTreeSet<Access>)>,
    links: BTreeMap<PathBuf, PathBuf>,
    service_user: Option<Ids>,
}

impl Told {
    /// A host as Debian sets it up, as root sees it.
    fn as_root() -> Self {
        let mut told = Self {
            user: 0,
            privileges: [Privilege::NetRaw, Privilege::NetAdmin, Privilege::Chown].into(),
            paths: BTreeMap::new(),
            links: BTreeMap::new(),
            service_user: None,
        };
        let folders = ["/", "/start", "/etc", "/run", "/var/log", "/var/lib", "/usr/sbin"];
        folders.iter().for_each(|path| told.put(path, Kind::Folder, 0o755, "rwx"));
        told.put("/var/lib/knockd", Kind::Folder, 0o700, "rwx");
        told.put("/dev/log", Kind::Other, 0o666, "rw");
        told.put("/start/knockd.conf", Kind::File, 0o640, "rw");
        for name in ["nft", "xtables-nft-multi", "xtables-legacy-multi"] {
            told.put(&format!("/usr/sbin/{name}"), Kind::File, 0o755, "rwx");
        }
        let links = [
            ("iptables", "xtables-nft-multi"),
            ("ip6tables", "xtables-nft-multi"),
            ("iptables-legacy", "xtables-legacy-multi"),
        ];
        for (link, target) in links {
            told.link(&format!("/usr/sbin/{link}"), &format!("/usr/sbin/{target}"));
        }
        told
    }

    /// The same, as an ordinary user sees it.
    fn as_user(privileges: &[Privilege]) -> Self {
        let mut told = Self::as_root();
        told.user = 1000;
        told.privileges = privileges.iter().copied().collect();
        let private = |mode: u32| mode & 0o005 == 0;
        told.paths.retain(|_, (found, _)| found.kind == Kind::Folder || !private(found.mode));
        for (found, access) in told.paths.values_mut() {
            if found.kind != Kind::Other {
                access.remove(&Access::Write);
            }
        }
        told.put("/start/knockd.conf", Kind::File, 0o640, "r");
        told
    }

    fn put(&mut self, path: &str, kind: Kind, mode: u32, access: &str) {
        let letters = [('r', Access::Read), ('w', Access::Write), ('x', Access::Execute)];
        let access = letters.into_iter().filter(|(letter, _)| access.contains(*letter));
        let found = Found { kind, owner: self.user, group: self.user, mode, links: 1 };
        self.paths.insert(path.into(), (found, access.map(|(_, access)| access).collect()));
    }

    fn found(&mut self, path: &str) -> &mut Found {
        &mut self.paths.get_mut(Path::new(path)).unwrap().0
    }

    fn link(&mut self, link: &str, target: &str) {
        self.links.insert(link.into(), target.into());
    }

    fn look(&self, path: &Path) -> io::Result<&(Found, BTreeSet<Access>)> {
        self.paths.get(&self.resolve(path)?).ok_or_else(|| rustix::io::Errno::NOENT.into())
    }
}

impl System for Told {
    fn user(&self) -> u32 {
        self.user
    }

    fn service_user(&self) -> Option<Ids> {
        self.service_user
    }

    fn has(&self, privilege: Privilege) -> bool {
        self.privileges.contains(&privilege)
    }

    fn find(&self, path: &Path) -> io::Result<Found> {
        Ok(self.look(path)?.0)
    }

    fn access(&self, path: &Path, access: Access) -> io::Result<()> {
        let (_, allowed) = self.look(path)?;
        let allowed = allowed.contains(&access);
        allowed.then_some(()).ok_or_else(|| rustix::io::Errno::ACCESS.into())
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(self.links.get(path).cloned().unwrap_or_else(|| path.to_owned()))
    }
}

fn machine() -> Machine {
    let interface = |name: &str, addresses: &[&str]| Interface {
        name: name.to_owned(),
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
    };
    Machine {
        interfaces: vec![
            interface("lo", &["127.0.0.1", "::1"]),
            interface("eth0", &["192.0.2.5", "2001:db8::5"]),
            interface("tun0", &[]),
        ],
        default_interface: Some("eth0".to_owned()),
        filter: Ok("(tcp dst port 7000)\nor (udp dst port 8000)".to_owned()),
    }
}

/// A config, its command line, and the files beside it.
struct Case<'a> {
    config: &'a str,
    arguments: &'a str,
    files: &'a [(&'a str, &'a str)],
}

impl Case<'_> {
    /// Checks it, and returns all that is told, and the exit status.
    fn check(&self, system: &Told, machine: &Machine) -> (String, u8) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("knockd.conf"), self.config).unwrap();
        for (name, text) in self.files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let arguments = ["knockd", "--check", "-c", "knockd.conf"].into_iter();
        let cli = cli::parse(arguments.chain(self.arguments.split_ascii_whitespace())).unwrap();
        let read = ConfigFile::read_in(folder.path(), &cli.config).unwrap();
        let config = read.config().unwrap();
        let settings = &Settings::merge(&cli, &config.options, Path::new("/start"));
        let input = CheckInput {
            read: &read,
            config,
            settings,
            machine,
            system,
            command_path: COMMAND_PATH,
        };
        let mut out = Vec::new();
        let outcome = check(&input, &mut out);
        let mut told = String::from_utf8(out).unwrap();
        told.push_str("\nStandard error:\n");
        for Finding { severity, text } in &outcome.findings {
            let severity = match severity {
                Severity::Warning => "warning: ",
                Severity::Error => "",
            };
            writeln!(told, "knockd: {severity}{}", Escaped(text)).unwrap();
        }
        writeln!(told, "Exit status: {}", outcome.status()).unwrap();
        (told, outcome.status())
    }
}

const GOOD: &str = "\
[options]
UseSyslog
LogFile = /var/log/knockd.log
Interface = eth0

[ssh]
sequence = 7000,8000:udp,9000
start_command = iptables -I INPUT -s %IP% -p tcp --dport 22 -j ACCEPT
stop_command = iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT
start_command_6 = /usr/sbin/ip6tables -I INPUT -s %IP% -p tcp --dport 22 -j ACCEPT
stop_command_6 =

[once]
one_time_sequences = once.seq
start_command = LANG=C exec nft add element inet filter knocked { %IP% }
";

const ONCE: (&str, &str) = ("once.seq", "# 1,2\n3,4\n");

#[test]
fn a_good_config_has_no_findings() {
    let mut system = Told::as_root();
    system.put("/start/once.seq", Kind::File, 0o600, "rw");
    let case = Case { config: GOOD, arguments: "-d --strict", files: &[ONCE] };
    let (told, status) = case.check(&system, &machine());
    assert_eq!(status, 0);
    insta::assert_snapshot!(told);
}

#[test]
fn an_ordinary_user_with_both_capabilities_is_enough_for_nft() {
    let mut system = Told::as_user(&[Privilege::NetRaw, Privilege::NetAdmin]);
    system.put("/start/once.seq", Kind::File, 0o600, "rw");
    system.put("/start", Kind::Folder, 0o755, "rwx");
    system.put("/var/log/knockd.log", Kind::File, 0o640, "w");
    system.put("/var/lib/knockd", Kind::Folder, 0o700, "rwx");
    let case = Case { config: GOOD, arguments: "--strict", files: &[ONCE] };
    let (told, status) = case.check(&system, &machine());
    assert_eq!(status, 0, "{told}");
}

/// What a check says of the hardened unit.
fn hardened(case: &Case<'_>, system: &Told) -> String {
    let (told, _) = case.check(system, &machine());
    let lines = told.lines().skip_while(|line| !line.contains("hardened knockd.service"));
    let lines: Vec<_> = lines.take_while(|line| !line.starts_with("/start/knockd.conf:")).collect();
    lines.join("\n")
}

#[test]
fn what_breaks_under_the_hardened_unit_is_told_to_root_where_systemd_runs() {
    let mut system = Told::as_root();
    system.put("/start/once.seq", Kind::File, 0o600, "rw");
    system.put("/usr/sbin/ufw", Kind::File, 0o755, "rx");
    let config = format!(
        "{GOOD}[ufw]\nsequence = 1\nstart_command = ufw allow from %IP%\n\
         stop_command = iptables-legacy -D INPUT -s %IP%\n"
    );
    let case = Case { config: &config, arguments: "", files: &[ONCE] };
    let without = |told: &str| !told.contains("hardened");
    assert!(without(&case.check(&system, &machine()).0), "there is no systemd");
    system.put("/run/systemd/system", Kind::Folder, 0o755, "rx");
    insta::assert_snapshot!("hardened_without_user", hardened(&case, &system));
    system.service_user = Some(Ids { user: 990, group: 991 });
    insta::assert_snapshot!("hardened", hardened(&case, &system));
    system.user = 1000;
    assert!(without(&case.check(&system, &machine()).0), "who is no root is told of it all");
}

#[test]
fn a_config_for_the_hardened_unit_has_nothing_that_breaks() {
    let mut system = Told::as_root();
    system.service_user = Some(Ids { user: 990, group: 991 });
    system.put("/run/systemd/system", Kind::Folder, 0o755, "rx");
    system.found("/start/knockd.conf").group = 991;
    system.put("/etc/knockd", Kind::Folder, 0o700, "rwx");
    system.found("/etc/knockd").owner = 990;
    let config = GOOD
        .replace("/var/log/knockd.log", "/var/log/knockd/knockd.log")
        .replace("= once.seq", "= /etc/knockd/once.seq")
        .replace("LANG=C exec nft", "nft");
    let case = Case { config: &config, arguments: "", files: &[] };
    let all_works = "Under the hardened knockd.service all of it would work.";
    assert_eq!(hardened(&case, &system).trim(), all_works);
    system.found("/start/knockd.conf").mode = 0o600;
    assert!(hardened(&case, &system).contains("chgrp knockd /start/knockd.conf"));
    system.found("/start/knockd.conf").mode = 0o640;
    for (from, to) in [
        ("/var/log/knockd/knockd.log", "/var/log/knockd/../knockd.log"),
        ("[options]", "[options]\nStateDir = /srv/knockd"),
        ("[options]", "[options]\nRecord = /srv/record"),
        ("/etc/knockd/once.seq", "/etc/once.seq"),
    ] {
        let config = config.replace(from, to);
        let case = Case { config: &config, ..case };
        assert_ne!(hardened(&case, &system).trim(), all_works, "{to}");
    }
}

const ODD: &str = "\
[options]
LogFile = /var/log/knockd.log
UseSyslog
[a]
sequence = 7000 # seven thousand
target = 2001:db8::5
start_command = iptables-legacy -I INPUT -s %IP%
stop_command = iptables-legacy -D INPUT -s %IP%
check_command = iptables-legacy -C INPUT -s %IP%
[b]
sequence = 8000
start_command = /usr/local/bin/open %IP%
stop_command = ../opt/close
[c]
one_time_sequences = used.seq
start_command = sudo open
[d]
sequence = 9000
start_command = echo %IP%
";

#[test]
fn what_is_odd_is_a_warning() {
    let mut system = Told::as_user(&[Privilege::NetRaw]);
    system.paths.remove(Path::new("/dev/log"));
    system.put("/start/knockd.conf", Kind::File, 0o666, "rw");
    system.put("/var/log/knockd.log", Kind::File, 0o640, "w");
    system.put("/var/lib/knockd", Kind::Folder, 0o700, "rwx");
    system.put("/usr/local/bin/open", Kind::File, 0o755, "rx");
    system.put("/../opt/close", Kind::File, 0o755, "rx");
    system.put("/usr/bin/sudo", Kind::File, 0o755, "rx");
    system.put("/start", Kind::Folder, 0o755, "rwx");
    system.put("/start/used.seq", Kind::File, 0o600, "rw");
    let mut case = Case {
        config: ODD,
        arguments: "-4 -l -g other.log -i tun0,eth0:1",
        files: &[("used.seq", "# 1,2\n")],
    };
    let (told, status) = case.check(&system, &machine());
    assert_eq!(status, 0);
    insta::assert_snapshot!(told);
    case.arguments = "-4 --strict";
    let (told, status) = case.check(&system, &machine());
    assert_eq!(status, 1);
    let last = told.lines().find(|line| line.contains("--strict takes")).unwrap();
    insta::assert_snapshot!(
        last,
        @"/start/knockd.conf: 9 warnings, and --strict takes warnings as errors"
    );
}

const MISSING: &str = "\
[options]
LogFile = /nowhere/knockd.log
PidFile = /var/log
Interface = eth7, tun0
StateDir = /var/lib/other/knockd
Record = /var/lib/other/record
[a]
sequence = 7000
start_command = iptables-nope -I INPUT -s %IP%
stop_command = nft delete element inet filter knocked { %IP% }
[b]
one_time_sequences = missing.seq
start_command = /usr/sbin
[c]
one_time_sequences = theirs.seq
start_command = notes
[d]
one_time_sequences = linked.seq
start_command = /usr/bin/gone
[e]
one_time_sequences = folder.seq
";

#[test]
fn what_is_missing_is_told_with_the_way_out() {
    let mut system = Told::as_user(&[]);
    for name in ["theirs.seq", "linked.seq", "folder.seq"] {
        system.put(&format!("/start/{name}"), Kind::File, 0o644, "r");
    }
    system.found("/start/theirs.seq").owner = 0;
    system.found("/start/linked.seq").links = 2;
    system.put("/usr/bin/notes", Kind::File, 0o644, "r");
    let mut machine = machine();
    machine.filter = Err("libpcap can't compile it".to_owned());
    let line = "1,2\n";
    let files = [("theirs.seq", line), ("linked.seq", line), ("folder.seq", line)];
    let case = Case { config: MISSING, arguments: "-d", files: &files };
    let (told, status) = case.check(&system, &machine);
    assert_eq!(status, 1);
    insta::assert_snapshot!(told);
}

#[test]
fn a_ledger_s_folder_is_nobody_else_s_to_write() {
    let case = |config| Case { config, arguments: "", files: &[] };
    let config = "[options]\nStateDir = /s\n[a]\nsequence = 1\n";
    for (mode, status) in [(0o700, 0), (0o755, 0), (0o777, 1), (0o770, 1), (0o1777, 0)] {
        let mut system = Told::as_root();
        system.put("/s", Kind::Folder, mode, "rwx");
        assert_eq!(case(config).check(&system, &machine()).1, status, "{mode:o}");
    }
    let mut system = Told::as_root();
    system.put("/s", Kind::File, 0o600, "rw");
    assert_eq!(case(config).check(&system, &machine()).1, 1);
}

#[test]
fn nothing_to_listen_on_is_told() {
    let machine =
        Machine { interfaces: Vec::new(), default_interface: None, filter: Ok("tcp".to_owned()) };
    let system = Told::as_root();
    let check = |config, arguments| Case { config, arguments, files: &[] }.check(&system, &machine);
    let (told, status) = check("[a]\nsequence = 1\n", "");
    assert_eq!(status, 1);
    let (_, findings) = told.split_once("Standard error:\n").unwrap();
    insta::assert_snapshot!(findings, @r"
    knockd: there is no default route and no eth0, so there is nothing to listen on; name an interface with Interface or -i
    knockd: warning: door a: it has no target, and this host has no address, so it hears nothing until there is one
    Exit status: 1
    ");
    assert_eq!(check("[a]\nsequence = 1\n", "-i any").1, 0);
    let (told, status) = check("", "-i any");
    assert_eq!(status, 0);
    assert!(told.contains("there is no door in the config"), "{told}");
}

#[test]
fn nothing_of_a_hostile_config_reaches_the_terminal() {
    let config = "[options]\nInterface = e\x1b[31m\nLogFile = /\x1b]0;x\x07/l\n\
                  [s\x1b[2J\u{202e}]\nsequence = 7000\n\
                  start_command = \x1b[31mred \u{9b}2J \"quoted\"\n\
                  stop_command = \u{2066}x\n";
    let mut machine = machine();
    machine.interfaces[0].name = "l\x1b[31mo".to_owned();
    machine.filter = Ok("tcp\x1b[31m".to_owned());
    let case = Case { config, arguments: "", files: &[] };
    let (told, status) = case.check(&Told::as_root(), &machine);
    assert_eq!(status, 1);
    let is_unsafe = |letter| letter != '\n' && knock_frontend::escape::is_unsafe(letter);
    assert!(!told.chars().any(is_unsafe));
    insta::assert_snapshot!(told);
}

#[test]
fn all_of_it_tells_by_its_status_whether_there_is_a_config() {
    let folder = tempfile::tempdir().unwrap();
    let run = |config: Option<&str>| {
        if let Some(config) = config {
            fs::write(folder.path().join("knockd.conf"), config).unwrap();
        }
        let cli = cli::parse(["knockd", "--check", "-c", "knockd.conf"]).unwrap();
        let mut out = Vec::new();
        let status = run(&cli, folder.path(), COMMAND_PATH, |_, _| machine(), &mut out);
        (status, !out.is_empty())
    };
    assert_eq!(run(None), (2, false), "no config");
    assert_eq!(run(Some("[a]\nsequense = 7000\n")), (2, false), "an error in it");
    let missing = format!(
        "[options]\nInterface = nope0\nStateDir = {}/s\n[a]\nsequence = 7000\n",
        folder.path().display()
    );
    assert_eq!(run(Some(&missing)), (1, true), "an interface that is missing");
    assert!(!folder.path().join("s").exists(), "a check makes nothing");
}
