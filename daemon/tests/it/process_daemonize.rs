//! Going to the background, in processes of their own.

#![expect(clippy::unwrap_used, reason = "a test's helper has nobody to tell but the test")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::process_helper::helper;

/// Runs a case, and returns how it ended and the daemon's process number.
fn run(case: &str, folder: &Path) -> (Output, u32) {
    let output = helper(case, folder).output().unwrap();
    let pid = fs::read_to_string(folder.join("before")).expect("the daemon has begun by now");
    (output, pid.parse().unwrap())
}

#[test]
fn the_parent_stays_until_the_daemon_is_ready_and_shows_what_it_says_until_then() {
    let folder = tempfile::tempdir().unwrap();
    let (output, pid) = run("detach and be ready", folder.path());
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "knockd: said on the way\n");
    let begin = Instant::now();
    let told = loop {
        if let Ok(told) = fs::read_to_string(folder.path().join("after")) {
            break told;
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "process {pid} did not go on");
        std::thread::yield_now();
    };
    let expected =
        "[\"/dev/null\", \"/dev/null\", \"/dev/null\"]\n/\nleads a session: true\nknockd\n";
    assert_eq!(told, expected);
}

#[test]
fn a_daemon_that_can_not_start_gives_its_parent_its_status() {
    for (case, status) in [("detach and fail", 3), ("detach and be killed", 128 + 9)] {
        let folder = tempfile::tempdir().unwrap();
        let (output, _) = run(case, folder.path());
        assert_eq!(output.status.code(), Some(status));
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "knockd: said on the way\n");
        assert!(!folder.path().join("after").exists());
    }
}

#[test]
fn who_has_only_inherited_the_variable_is_no_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let mut helper = helper("detach and fail", folder.path());
    helper.env("KNOCKD_DETACHED_BY", "1").stdout(Stdio::null()).stderr(Stdio::null());
    let mut parent = helper.spawn().unwrap();
    assert_eq!(parent.wait().unwrap().code(), Some(3));
    // It has started a child of its own, and ended with its status.
    let pid = fs::read_to_string(folder.path().join("before")).unwrap();
    assert_ne!(pid.parse::<u32>().unwrap(), parent.id());
}

#[test]
fn commands_get_the_three_standard_descriptors_only() {
    for case in ["close what was inherited", "keep what was inherited"] {
        let folder = tempfile::tempdir().unwrap();
        let helper = helper(case, folder.path());
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "exec 7< /dev/null; exec \"$0\" \"$@\""]);
        shell.arg(helper.get_program()).args(helper.get_args());
        shell.envs(helper.get_envs().filter_map(|(name, value)| Some((name, value?))));
        assert!(shell.output().unwrap().status.success());
        let descriptors = fs::read_to_string(folder.path().join("descriptors")).unwrap();
        if case == "close what was inherited" {
            assert_eq!(descriptors, "0 1 2");
        } else {
            assert!(descriptors.split(' ').any(|one| one == "7"), "{descriptors}");
        }
    }
}
