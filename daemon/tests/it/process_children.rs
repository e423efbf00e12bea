//! Children, with the real shell.

#![expect(clippy::unwrap_used, reason = "a test's helper has nobody to tell but the test")]

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use knock_engine::config::{Command, Grant};
use knockd::log::{CommandEvent, CommandKind, Exit, Subject};
use knockd::process::children::{Children, GRACE, MAX_LINGERING, PATH, Report};
use knockd::process::event_loop::{EventLoop, Interest, Ready};
use knockd::supervisor::{ChildId, Spawn};
use proptest::prelude::*;
use rustix::process::Signal;

use super::process_helper::helper;

/// Children, and who waits for them.
struct Run {
    children: Children,
    events: EventLoop,
    reports: Vec<Report>,
}

impl Run {
    fn new() -> Self {
        let (children, events) = (Children::new().unwrap(), EventLoop::new().unwrap());
        events.register(&children, 0, Interest::Readable).unwrap();
        Self { children, events, reports: Vec::new() }
    }

    fn spawn(&mut self, child: u64, command: &str) {
        self.children.spawn(&spawn(child, command)).unwrap();
    }

    /// Waits, at most 20 seconds, until the reports are as wanted.
    fn until(&mut self, wanted: impl Fn(&[Report]) -> bool) {
        self.wait_until(|run| wanted(&run.reports));
    }

    /// Waits, at most 20 seconds, until the children are as wanted.
    fn until_children(&mut self, wanted: impl Fn(&Children) -> bool) {
        self.wait_until(|run| wanted(&run.children));
    }

    fn wait_until(&mut self, wanted: impl Fn(&Self) -> bool) {
        let mut ready = Vec::new();
        let clock = knockd::clock::Clock::start();
        let limit = clock.since_boot(clock.now()) + Duration::from_secs(20);
        self.events.set_alarm(Some(limit)).unwrap();
        while !wanted(self) {
            self.events.wait(&mut ready).unwrap();
            assert!(!ready.contains(&Ready::Alarm), "so far: {:?}", self.reports);
            self.children.handle_ready(&mut |report| self.reports.push(report));
        }
    }

    /// Waits for the child's end.
    fn exit(&mut self, number: u64) -> Exit {
        self.until(|reports| exit_of(reports, number).is_some());
        exit_of(&self.reports, number).unwrap()
    }

    fn lines(&self) -> Vec<&str> {
        self.reports.iter().filter_map(line).collect()
    }
}

pub(crate) fn spawn(child: u64, command: &str) -> Spawn {
    Spawn {
        child: ChildId(child),
        kind: CommandKind::Start,
        command: command.to_owned(),
        door: "ssh".to_owned(),
        source: "192.0.2.7".parse().unwrap(),
        network: "192.0.2.0/24".parse().unwrap(),
    }
}

fn exit_of(reports: &[Report], number: u64) -> Option<Exit> {
    reports.iter().find_map(|report| match report {
        Report::Exited { child, exit } if *child == ChildId(number) => Some(exit.clone()),
        Report::Exited { .. } | Report::Output { .. } => None,
    })
}

fn line(report: &Report) -> Option<&str> {
    match report {
        Report::Output { event: CommandEvent::Printed { line }, .. } => Some(line),
        Report::Output { .. } | Report::Exited { .. } => None,
    }
}

fn file(name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    (folder, path)
}

/// Tells whether a process is gone, a zombie not being gone.
fn is_gone(pid: &str) -> bool {
    !Path::new("/proc").join(pid.trim()).exists()
}

#[test]
fn the_end_of_a_command_is_told() {
    let mut run = Run::new();
    for (number, (command, exit)) in [
        ("true", Exit::Status(0)),
        ("exit 4", Exit::Status(4)),
        ("/no/such/program", Exit::Status(127)),
        ("kill -9 $$", Exit::Signal(9)),
        ("if", Exit::Status(2)),
    ]
    .into_iter()
    .enumerate()
    {
        let number = u64::try_from(number).unwrap();
        run.spawn(number, command);
        assert_eq!(run.exit(number), exit, "{command}");
    }
    assert_eq!(run.children.running(), 0);
}

#[test]
fn what_can_not_be_run_is_told_with_the_reason_and_nothing_is_left() {
    let mut run = Run::new();
    let too_long = "x".repeat(200_000);
    for (command, reason) in [("a\0b", "nul byte"), (&too_long, "Argument list too long")] {
        let Err(Exit::NotRun(told)) = run.children.spawn(&spawn(1, command)) else {
            panic!("{reason}: it runs");
        };
        assert!(told.contains(reason), "{told}");
    }
    assert_eq!(run.children.running(), 0);
    run.spawn(1, "true");
    assert_eq!(run.exit(1), Exit::Status(0));
}

#[test]
fn without_descriptors_nothing_is_run_and_what_runs_is_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let status = helper("no descriptors are left", folder.path()).output().unwrap().status;
    assert!(status.success());
    let told = fs::read_to_string(folder.path().join("told")).unwrap();
    let refused = "could not be run: Too many open files (os error 24)";
    assert_eq!(told, format!("{refused}; all ended; again: true"));
}

#[test]
fn who_is_started_with_children_ignored_still_hears_how_they_end() {
    for (case, expected) in [
        ("children are ignored no more", "exited with status 4"),
        // Otherwise it is at least told that it is not known.
        ("children are ignored", "could not be run: how it ended is lost"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let helper = helper(case, folder.path());
        // The shell does not do this one.
        let mut env = std::process::Command::new("env");
        env.arg("--ignore-signal=CHLD").arg(helper.get_program()).args(helper.get_args());
        env.envs(helper.get_envs().filter_map(|(name, value)| Some((name, value?))));
        assert!(env.output().unwrap().status.success());
        let told = fs::read_to_string(folder.path().join("told")).unwrap();
        assert!(told.starts_with(expected), "{told}");
    }
}

#[test]
fn a_command_finds_its_surroundings_fixed() {
    let mut run = Run::new();
    run.spawn(
        1,
        "tr '\\0' '\\n' < /proc/$$/environ | sort; pwd; cat; echo $0 $#; \
         grep -E 'Sig(Blk|Ign)' /proc/$$/status | cut -c9-; \
         [ $(cut -d' ' -f5 /proc/$$/stat) = $$ ] && echo leads its group",
    );
    run.exit(1);
    let lines = run.lines();
    let ignored = lines[lines.len() - 2];
    let pipe = 1 << (Signal::PIPE.as_raw() - 1);
    assert_eq!(u64::from_str_radix(ignored, 16).unwrap() & pipe, 0, "SIGPIPE is ignored");
    let expected = [
        "KNOCK_DOOR=ssh",
        "KNOCK_IP=192.0.2.7",
        "KNOCK_NET=192.0.2.0/24",
        "LANG=C",
        &format!("PATH={PATH}"),
        "/",
        "/bin/sh 0",
        "0000000000000000",
        ignored,
        "leads its group",
    ];
    assert_eq!(lines, expected);
    let subject = Subject { door: "ssh".to_owned(), source: "192.0.2.7".parse().unwrap() };
    let event = CommandEvent::Printed { line: "KNOCK_DOOR=ssh".to_owned() };
    assert_eq!(run.reports[0], Report::Output { subject, kind: CommandKind::Start, event });
}

#[test]
fn both_streams_come_in_order_and_before_the_exit() {
    let mut run = Run::new();
    run.spawn(1, "echo one; echo two >&2; echo three; printf 'no end'; exit 3");
    assert_eq!(run.exit(1), Exit::Status(3));
    assert_eq!(run.lines(), ["one", "two", "three", "no end"]);
    assert!(matches!(run.reports.last(), Some(Report::Exited { .. })));
}

#[test]
fn a_flood_of_output_is_cut_and_counted_and_starves_nobody() {
    let mut run = Run::new();
    run.spawn(1, "yes");
    run.spawn(2, "head -c 1000000 /dev/zero | tr '\\0' x");
    run.spawn(3, "echo calm");
    assert_eq!(run.exit(3), Exit::Status(0));
    assert_eq!(run.exit(2), Exit::Status(0));
    assert!(exit_of(&run.reports, 1).is_none());
    let more = |bytes| {
        move |report: &Report| {
            matches!(report, Report::Output { event: CommandEvent::PrintedMore { bytes: told }, .. }
                if *told >= bytes)
        }
    };
    assert!(run.reports.iter().any(more(1_000_000 - 1024)));
    run.children.kill(ChildId(1));
    assert_eq!(run.exit(1), Exit::Signal(15));
    assert_eq!(run.lines().iter().filter(|line| **line == "y").count(), 64);
    assert!(run.reports.iter().any(more(1)));
}

#[test]
fn to_kill_is_to_kill_the_whole_group() {
    let (_folder, path) = file("pids");
    let mut run = Run::new();
    let command = format!(
        "sleep 1000 & echo $! $$ > {0}.new; mv {0}.new {0}; echo ready; wait",
        path.display()
    );
    run.spawn(1, &command);
    run.until(|reports| reports.iter().filter_map(line).any(|line| line == "ready"));
    run.children.kill(ChildId(1));
    run.children.kill(ChildId(1));
    assert_eq!(run.exit(1), Exit::Signal(15));
    let pids = fs::read_to_string(path).unwrap();
    let begin = Instant::now();
    while !pids.split(' ').all(is_gone) {
        assert!(begin.elapsed() < Duration::from_secs(20), "{pids} still there");
        std::thread::yield_now();
    }
    run.children.kill(ChildId(1));
    run.children.kill(ChildId(99));
}

#[test]
fn whoever_ignores_the_polite_signal_is_killed_after_the_grace() {
    let mut run = Run::new();
    // The first leaves a stubborn one behind, the second is one, the third is stopped.
    run.spawn(1, "(trap '' TERM; echo ready; while :; do sleep 1000; done) & wait");
    run.spawn(2, "trap '' TERM; echo ready; while :; do sleep 1000; done");
    // The third says that it is ready only when it is stopped.
    let stopped = "until grep -q '^State:.T' /proc/$$/status; do :; done";
    run.spawn(3, &format!("({stopped}; echo ready) & kill -STOP $$; wait"));
    run.until(|reports| {
        reports.iter().filter_map(line).filter(|line| *line == "ready").count() == 3
    });
    let begin = Instant::now();
    for child in 1..=3 {
        run.children.kill(ChildId(child));
    }
    assert_eq!(run.exit(2), Exit::Signal(9));
    assert!(begin.elapsed() >= GRACE);
    assert_eq!((run.exit(1), run.exit(3)), (Exit::Signal(15), Exit::Signal(15)));
    // The first left nobody behind, for nobody holds its pipe any more.
    run.until_children(|children| children.lingering() == 0);
}

/// A named pipe, on which a job in the background waits for leave to go on.
struct Leave {
    folder: tempfile::TempDir,
    path: PathBuf,
}

impl Leave {
    fn new() -> Self {
        let (folder, path) = file("leave");
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        Self { folder, path }
    }

    fn give(&self) {
        fs::write(&self.path, "go\n").unwrap();
    }
}

#[test]
fn a_background_job_delays_nothing_and_is_heard_on() {
    let (leave, mut run) = (Leave::new(), Run::new());
    run.spawn(1, &format!("(read line < {}; echo later) & echo now", leave.path.display()));
    assert_eq!(run.exit(1), Exit::Status(0));
    assert_eq!((run.lines(), run.children.lingering()), (vec!["now"], 1));
    leave.give();
    run.until_children(|children| children.lingering() == 0);
    assert_eq!(run.lines(), ["now", "later"]);
}

#[test]
fn a_background_job_survives_that_nobody_listens_any_more() {
    let (leave, mut run) = (Leave::new(), Run::new());
    let done = leave.folder.path().join("done");
    let (path, file) = (leave.path.display(), done.display());
    run.spawn(1, &format!("(read line < {path}; echo closing; echo done > {file}) &"));
    assert_eq!(run.exit(1), Exit::Status(0));
    drop(run);
    leave.give();
    let begin = Instant::now();
    while fs::read_to_string(&done).unwrap_or_default() != "done\n" {
        assert!(begin.elapsed() < Duration::from_secs(20), "it died of its output");
        std::thread::yield_now();
    }
}

#[test]
fn background_jobs_can_not_use_up_the_descriptors() {
    let mut run = Run::new();
    let jobs = u64::try_from(MAX_LINGERING).unwrap() + 20;
    for child in 0..jobs {
        run.spawn(child, "sleep 5 &");
        assert_eq!(run.exit(child), Exit::Status(0));
    }
    assert_eq!(run.children.lingering(), MAX_LINGERING);
}

fn arbitrary_template() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("%IP%".to_owned()),
        Just("%NET%".to_owned()),
        "[ -~\u{a1}-\u{ff}]{0,12}".prop_map(|text| text),
        Just("\n".to_owned()),
        Just("%%IP%%".to_owned()),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn arbitrary_address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u16; 8]>().prop_map(IpAddr::from),
        // Runs of zeros, and IPv4 addresses in IPv6 ones, are where notations differ.
        prop::array::uniform8(prop_oneof![Just(0_u16), Just(0xffff), any::<u16>()])
            .prop_map(IpAddr::from),
    ]
}

/// Writes an address as RFC 5952 says, by other means than the program.
fn canonical(address: IpAddr) -> String {
    let IpAddr::V6(address) = address else {
        let IpAddr::V4(address) = address else { unreachable!() };
        return address.octets().map(|octet| octet.to_string()).join(".");
    };
    let groups = address.segments();
    if let [0, 0, 0, 0, 0, 0xffff, ..] = groups {
        let [.., a, b, c, d] = address.octets();
        return format!("::ffff:{a}.{b}.{c}.{d}");
    }
    let hex =
        |groups: &[u16]| groups.iter().map(|g| format!("{g:x}")).collect::<Vec<_>>().join(":");
    let zeros = |from: usize| groups[from..].iter().take_while(|&&group| group == 0).count();
    // The first of the longest runs of zeros: `max_by_key` takes the last of equals.
    let (from, run) =
        (0..8).rev().map(|from| (from, zeros(from))).max_by_key(|(_, run)| *run).unwrap();
    if run < 2 {
        return hex(&groups);
    }
    format!("{}::{}", hex(&groups[..from]), hex(&groups[from + run..]))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn argv_and_environment_are_the_template_with_the_canonical_address(
        template in arbitrary_template(),
        source in arbitrary_address(),
        (v4, v6) in (0_u8..=32, 0_u8..=128),
        door in "[ -Z^-~]{1,20}",
    ) {
        let (_folder, path) = file("dump");
        let grant = Grant::new(v4, v6).unwrap();
        // The shell reads line by line, so it never gets to the template; its argv has it all.
        let dump = format!("cat /proc/$$/cmdline /proc/$$/environ > {}; exit\n", path.display());
        let text = format!("{dump}{template}");
        let command = Command::new(text.clone()).unwrap().expand(source, grant);
        let network = grant.network(source);
        let mut run = Run::new();
        let spawn = Spawn { command, door: door.clone(), source, network, ..spawn(1, "") };
        run.children.spawn(&spawn).unwrap();
        prop_assert_eq!(run.exit(1), Exit::Status(0));

        let (ip, bits) = (canonical(source), if source.is_ipv4() { v4 } else { v6 });
        let net = format!("{}/{bits}", canonical(masked(source, bits)));
        let expected = [
            "/bin/sh".to_owned(),
            "-c".to_owned(),
            text.replace("%IP%", &ip).replace("%NET%", &net),
            format!("PATH={PATH}"),
            "LANG=C".to_owned(),
            format!("KNOCK_IP={ip}"),
            format!("KNOCK_NET={net}"),
            format!("KNOCK_DOOR={door}"),
        ];
        let dumped = fs::read(&path).unwrap();
        let mut dumped: Vec<_> = dumped.strip_suffix(b"\0").unwrap().split(|&byte| byte == 0)
            .map(|word| String::from_utf8(word.to_vec()).unwrap()).collect();
        prop_assert_eq!(&dumped[..3], &expected[..3]);
        dumped[3..].sort();
        let mut variables = expected[3..].to_vec();
        variables.sort();
        prop_assert_eq!(&dumped[3..], &variables[..]);
    }
}

fn masked(address: IpAddr, bits: u8) -> IpAddr {
    let host_v4 = u32::MAX.checked_shr(u32::from(bits)).unwrap_or(0);
    let host_v6 = u128::MAX.checked_shr(u32::from(bits)).unwrap_or(0);
    match address {
        IpAddr::V4(address) => IpAddr::from((u32::from(address) & !host_v4).to_be_bytes()),
        IpAddr::V6(address) => IpAddr::from((u128::from(address) & !host_v6).to_be_bytes()),
    }
}
