//! Tests that need a kernel run in a network namespace of their own: the test's binary runs
//! itself once more inside one, for that test alone.

#![expect(clippy::unwrap_used, reason = "a test may panic where its own data is wrong")]

use std::env;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Set inside.
const INSIDE: &str = "KNOCKD_TEST_IN_NAMESPACE";

/// How long something may take that should happen at once, on a machine that is busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Runs the body of the test of this name, as the test's binary calls it, in a network namespace
/// with nothing but a loopback interface in it, which is down.
pub(crate) fn in_namespace(test: &str, body: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        return body();
    }
    let arguments: &[&str] = if rustix::process::geteuid().is_root() {
        &["--net"]
    } else {
        &["--user", "--map-root-user", "--net"]
    };
    let output = Command::new("unshare")
        .args(arguments)
        .arg("--")
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare can be run: it is in the package util-linux");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "in a network namespace: {}\n{text}\n{errors}", output.status);
    assert!(text.contains("1 passed"), "there is no test {test:?}:\n{text}\n{errors}");
}

/// Runs `ip` with these arguments, which are separated by spaces.
pub(crate) fn ip(arguments: &str) {
    run("ip", arguments);
}

/// Runs a program with these arguments, which are separated by spaces.
pub(crate) fn run(program: &str, arguments: &str) {
    let output = Command::new(program)
        .args(arguments.split_whitespace())
        // Programs for administrators are not on everybody's path.
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .output()
        .unwrap_or_else(|error| panic!("{program} can't be run: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments}: {errors}");
}

/// Waits until one of the descriptors is readable, or for `at_most`.
pub(crate) fn wait(descriptors: &[BorrowedFd<'_>], at_most: Duration) {
    let mut polled: Vec<PollFd<'_>> =
        descriptors.iter().map(|fd| PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)).collect();
    let timeout = Timespec::try_from(at_most).unwrap();
    poll(&mut polled, Some(&timeout)).unwrap();
}

/// What is left of [`PATIENCE`] since a moment.
///
/// # Panics
///
/// Where it is over: the condition that is waited for did not come about.
pub(crate) fn patience_left(since: Instant, what: &str) -> Duration {
    let left = PATIENCE.saturating_sub(since.elapsed());
    assert!(!left.is_zero(), "waited in vain until {what}");
    left
}
