//! What systemd is told.

#![expect(clippy::unwrap_used, reason = "a test's helper has nobody to tell but the test")]

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::Duration;

use knock_engine::time::Timestamp;
use knockd::process::notify::{Notifier, Watchdog};

use super::process_helper::helper;

fn received(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 4096];
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let length = socket.recv(&mut buffer).unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

fn listener(folder: &Path) -> (UnixDatagram, std::path::PathBuf) {
    let path = folder.join("notify");
    (UnixDatagram::bind(&path).unwrap(), path)
}

#[test]
fn each_state_is_a_message() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, path) = listener(folder.path());
    let notifier = Notifier::new(Some(path.as_os_str())).unwrap();
    notifier.ready("3 doors on eth0").unwrap();
    assert_eq!(received(&socket), "READY=1\nSTATUS=3 doors on eth0\n");
    notifier.status("evil\nMAINPID=1").unwrap();
    assert_eq!(received(&socket), "STATUS=evil MAINPID=1\n");
    notifier.alive().unwrap();
    assert_eq!(received(&socket), "WATCHDOG=1\n");
    notifier.stopping().unwrap();
    assert_eq!(received(&socket), "STOPPING=1\n");

    let monotonic = || {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
    };
    let before = monotonic();
    notifier.reloading().unwrap();
    let message = received(&socket);
    let stamp = message.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().trim_end();
    assert!((before..=monotonic()).contains(&stamp.parse().unwrap()), "{message}");
}

#[test]
fn a_name_in_the_abstract_name_space_will_do() {
    let name = format!("knockd-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    let notifier = Notifier::new(Some(OsStr::new(&format!("@{name}")))).unwrap();
    notifier.alive().unwrap();
    assert_eq!(received(&socket), "WATCHDOG=1\n");
}

#[test]
fn without_a_socket_nothing_is_sent_and_nothing_fails() {
    let notifier = Notifier::new(None).unwrap();
    notifier.ready("").unwrap();
    notifier.reloading().unwrap();
    notifier.stopping().unwrap();
    assert!(Notifier::new(Some(OsStr::new("vsock:2:1"))).is_err());
}

#[test]
fn a_service_manager_that_is_gone_or_does_not_read_blocks_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, path) = listener(folder.path());
    let notifier = Notifier::new(Some(path.as_os_str())).unwrap();
    // More than any socket's queue takes.
    let sent = (0..100_000).take_while(|_| notifier.alive().is_ok()).count();
    assert!(sent < 100_000);
    assert_eq!(received(&socket), "WATCHDOG=1\n");
    notifier.alive().unwrap();
    drop(socket);
    assert!(notifier.alive().is_err());
    std::fs::remove_file(&path).unwrap();
    let (socket, _) = listener(folder.path());
    notifier.stopping().unwrap();
    assert_eq!(received(&socket), "STOPPING=1\n", "one that is started anew is found again");
}

#[test]
fn the_watchdog_is_fed_at_half_its_time() {
    let at = |ms: u64| Timestamp::from_nanos(ms * 1_000_000);
    let mut watchdog = Watchdog::new(Duration::from_secs(2), at(100));
    assert_eq!(watchdog.poll_timeout(), at(100));
    assert!(!watchdog.handle_timeout(at(99)));
    assert!(watchdog.handle_timeout(at(100)));
    assert!(!watchdog.handle_timeout(at(100)));
    assert_eq!(watchdog.poll_timeout(), at(1100));
    // Late, after a suspend: once, and half the time from now.
    assert!(watchdog.handle_timeout(at(9000)));
    assert_eq!(watchdog.poll_timeout(), at(10_000));
}

#[test]
fn the_environment_says_where_and_how_often() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, path) = listener(folder.path());
    let run = |watchdog_pid: Option<&str>| {
        let mut helper = helper("notify", folder.path());
        helper.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "3000000");
        helper.env_remove("WATCHDOG_PID").envs(watchdog_pid.map(|pid| ("WATCHDOG_PID", pid)));
        assert!(helper.output().unwrap().status.success());
        received(&socket)
    };
    let watchdog = Watchdog::new(Duration::from_secs(3), Timestamp::from_nanos(5));
    assert_eq!(run(None), format!("READY=1\nSTATUS={:?}\n", Some(watchdog)));
    assert_eq!(run(Some("1")), "READY=1\nSTATUS=None\n", "it is another process that is watched");
}
