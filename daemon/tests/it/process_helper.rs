//! What must happen in a process of its own: the test binary run again, as one of these cases.

#![expect(clippy::unwrap_used, reason = "a test's helper has nobody to tell but the test")]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, exit};

use caps::{CapSet, Capability, CapsHashSet};
use knock_engine::time::Timestamp;
use knockd::log::{CommandEvent, Exit};
use knockd::process::children::{Children, Report};
use knockd::process::daemonize::{Detached, detach};
use knockd::process::descriptors::close_inherited;
use knockd::process::event_loop::{EventLoop, Interest};
use knockd::process::notify::{Notifier, Watchdog};
use knockd::process::privileges::{Host, Identity, Kept, Needs, find_program};
use knockd::process::signals::Signals;
use knockd::supervisor::ChildId;
use rustix::process::{Resource, getrlimit, setrlimit};

use super::process_privileges::{FIREWALL, LEGACY};

const CASE: &str = "KNOCKD_TEST_CASE";
const FOLDER: &str = "KNOCKD_TEST_FOLDER";

/// Returns the command that runs a case, which may leave files in the folder.
pub(crate) fn helper(case: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["process_helper::run_case", "--exact", "--ignored", "--nocapture", "--quiet"]);
    command.env(CASE, case).env(FOLDER, folder);
    command
}

#[test]
#[ignore = "the other tests run it"]
fn run_case() {
    let case = std::env::var(CASE).expect("only other tests run this one");
    let folder = std::env::var_os(FOLDER).unwrap();
    match case.as_str() {
        "detach and be ready" => detached(Path::new(&folder), Then::BeReady),
        "detach and fail" => detached(Path::new(&folder), Then::Fail),
        "detach and be killed" => detached(Path::new(&folder), Then::BeKilled),
        "close what was inherited" => {
            close_inherited().unwrap();
            descriptors_of_a_command(Path::new(&folder));
        }
        "children are ignored" => tell_exit(Path::new(&folder)),
        "children are ignored no more" => {
            let _signals = Signals::catch().unwrap();
            tell_exit(Path::new(&folder));
        }
        "no descriptors are left" => no_descriptors_are_left(Path::new(&folder)),
        "keep what was inherited" => descriptors_of_a_command(Path::new(&folder)),
        "notify" => notify(),
        "privileges for the firewall" => privileges(Path::new(&folder), &FIREWALL, false),
        "privileges in a container" => {
            caps::drop(None, CapSet::Effective, Capability::CAP_SETPCAP).unwrap();
            caps::drop(None, CapSet::Permitted, Capability::CAP_SETPCAP).unwrap();
            privileges(Path::new(&folder), &FIREWALL, false);
        }
        "privileges for files of others" => {
            privileges(Path::new(&folder), &FIREWALL, true);
        }
        "privileges for anything" => privileges(Path::new(&folder), &["chown 1 file"], false),
        "privileges for nothing" => privileges(Path::new(&folder), &[], false),
        _ => panic!("no case {case}"),
    }
}

#[derive(Clone, Copy)]
enum Then {
    BeReady,
    Fail,
    BeKilled,
}

fn detached(folder: &Path, then: Then) {
    let startup = match detach().unwrap() {
        Detached::Parent(status) => exit(status.into()),
        Detached::Daemon(startup) => startup,
    };
    let mut stderr = std::io::stderr();
    stderr.write_all(b"knockd: said on the way\n").unwrap();
    fs::write(folder.join("before"), std::process::id().to_string()).unwrap();
    match then {
        Then::Fail => exit(3),
        Then::BeKilled => {
            let signal = rustix::process::Signal::KILL;
            rustix::process::kill_process(rustix::process::getpid(), signal).unwrap();
        }
        Then::BeReady => {}
    }
    startup.ready().unwrap();
    stderr.write_all(b"knockd: never seen\n").unwrap();
    let stream = |number| fs::read_link(format!("/proc/self/fd/{number}")).unwrap();
    let session = rustix::process::getsid(None).unwrap() == rustix::process::getpid();
    let told = format!(
        "{:?}\n{}\nleads a session: {session}\n{}",
        [stream(0), stream(1), stream(2)],
        std::env::current_dir().unwrap().display(),
        fs::read_to_string("/proc/thread-self/comm").unwrap(),
    );
    fs::write(folder.join("new"), told).unwrap();
    fs::rename(folder.join("new"), folder.join("after")).unwrap();
    exit(0);
}

fn descriptors_of_a_command(folder: &Path) {
    let (lines, _) = run("ls /proc/$$/fd; true");
    fs::write(folder.join("descriptors"), lines.join(" ")).unwrap();
}

fn tell_exit(folder: &Path) {
    fs::write(folder.join("told"), run("exit 4").1.to_string()).unwrap();
}

/// Spawns until there are no descriptors left, and tells how that went.
fn no_descriptors_are_left(folder: &Path) {
    let mut children = Children::new().unwrap();
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(64);
    setrlimit(Resource::Nofile, limit).unwrap();
    let spawn = |child| super::process_children::spawn(child, "read line < /dev/zero");
    let refused = (0..100).find_map(|child| children.spawn(&spawn(child)).err()).unwrap();
    let running = children.running();
    let mut events = Vec::new();
    for child in 0..running {
        children.kill(ChildId(child.try_into().unwrap()));
    }
    while children.running() > 0 {
        children.handle_ready(&mut |report| events.push(report));
    }
    let ended = events.iter().filter(|report| matches!(report, Report::Exited { .. })).count();
    // The room is there again.
    let again = children.spawn(&spawn(1000)).is_ok();
    children.kill(ChildId(1000));
    let told =
        format!("{refused}; {}; again: {again}", if ended == running { "all ended" } else { "?" });
    fs::write(folder.join("told"), told).unwrap();
}

/// Runs a command to its end; returns what it printed, and how it ended.
fn run(command: &str) -> (Vec<String>, Exit) {
    let (mut children, mut events) = (Children::new().unwrap(), EventLoop::new().unwrap());
    events.register(&children, 0, Interest::Readable).unwrap();
    children.spawn(&super::process_children::spawn(1, command)).unwrap();
    let (mut lines, mut ended) = (Vec::new(), None);
    loop {
        events.wait(&mut Vec::new()).unwrap();
        children.handle_ready(&mut |report| match report {
            Report::Output { event: CommandEvent::Printed { line }, .. } => lines.push(line),
            Report::Output { .. } => {}
            Report::Exited { exit, .. } => ended = Some(exit),
        });
        if let Some(exit) = ended {
            return (lines, exit);
        }
    }
}

/// Keeps what these commands need, and tells what the daemon and its commands can do then.
fn privileges(folder: &Path, commands: &[&str], has_foreign: bool) {
    // An ordinary user gets them from the program's file, not as ambient ones.
    caps::clear(None, CapSet::Ambient).unwrap();
    caps::clear(None, CapSet::Inheritable).unwrap();
    if !rustix::process::geteuid().is_root() {
        let given = CapsHashSet::from([Capability::CAP_NET_ADMIN, Capability::CAP_NET_RAW]);
        caps::set(None, CapSet::Effective, &given).unwrap();
        caps::set(None, CapSet::Permitted, &given).unwrap();
    }
    let identity = Identity::current().unwrap();
    let needs = Needs::of(commands.iter().copied(), &find_program);
    let host = Host { has_foreign_files: has_foreign, has_legacy_v4: true, has_legacy_v6: true };
    let kept = Kept::decide(&identity, &needs, host);
    kept.apply().unwrap();

    let own = capabilities(&fs::read_to_string("/proc/thread-self/status").unwrap());
    let (lines, _) = run("cat /proc/self/status");
    let mut told = vec![
        kept.to_string(),
        format!("daemon: {own}"),
        format!("commands: {}", capabilities(&lines.join("\n"))),
    ];
    let file = folder.join("file");
    fs::write(&file, "").unwrap();
    let tries = [
        ("iptables-nft, nft", FIREWALL.to_vec()),
        ("iptables-legacy", LEGACY.to_vec()),
        ("mount", vec!["mount -t tmpfs none /mnt"]),
    ];
    for (what, commands) in tries {
        let worked = commands.iter().filter(|command| run(command).1.is_success()).count();
        told.push(format!("{what}: {worked} of {} work", commands.len()));
    }
    fs::write(folder.join("told"), told.join("\n")).unwrap();
}

/// Names the effective capabilities in a `status` of `/proc`, and whether more can be gained.
fn capabilities(status: &str) -> String {
    let field =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
    let bits = u64::from_str_radix(field("CapEff:"), 16).unwrap();
    let all: Vec<_> = caps::all().into_iter().filter(|one| bits & one.bitmask() != 0).collect();
    let mut names: Vec<_> = all.iter().map(ToString::to_string).collect();
    names.sort();
    let names = if names.len() > 6 { "many".to_owned() } else { names.join(" ") };
    let more = if field("NoNewPrivs:") == "1" { "no more to gain" } else { "more to gain" };
    format!("[{names}], {more}")
}

fn notify() {
    let notifier = Notifier::from_environment().unwrap();
    let watchdog = Watchdog::from_environment(Timestamp::from_nanos(5));
    notifier.ready(&format!("{watchdog:?}")).unwrap();
}
