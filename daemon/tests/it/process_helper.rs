//! What must happen in a process of its own: the test binary run again, as one of these cases.

#![expect(clippy::unwrap_used, reason = "a test's helper has nobody to tell but the test")]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, exit};

use knock_engine::time::Timestamp;
use knockd::log::CommandEvent;
use knockd::process::children::{Children, Report};
use knockd::process::daemonize::{Detached, detach};
use knockd::process::descriptors::close_inherited;
use knockd::process::event_loop::{EventLoop, Interest};
use knockd::process::notify::{Notifier, Watchdog};
use knockd::supervisor::Spawn;

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
        "keep what was inherited" => descriptors_of_a_command(Path::new(&folder)),
        "notify" => notify(),
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
    let (mut children, mut events) = (Children::new().unwrap(), EventLoop::new().unwrap());
    events.register(&children, 0, Interest::Readable).unwrap();
    let command = "ls /proc/$$/fd; true".to_owned();
    children.spawn(&Spawn { command, ..super::process_children::spawn(1, "") }).unwrap();
    let (mut lines, mut ended) = (Vec::new(), false);
    while !ended {
        events.wait(&mut Vec::new()).unwrap();
        children.handle_ready(&mut |report| match report {
            Report::Output { event: CommandEvent::Printed { line }, .. } => lines.push(line),
            Report::Output { .. } => {}
            Report::Exited { .. } => ended = true,
        });
    }
    fs::write(folder.join("descriptors"), lines.join(" ")).unwrap();
}

fn notify() {
    let notifier = Notifier::from_environment().unwrap();
    let watchdog = Watchdog::from_environment(Timestamp::from_nanos(5));
    notifier.ready(&format!("{watchdog:?}")).unwrap();
}
