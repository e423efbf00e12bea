//! That nobody waits for the log, and that lost lines are told.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use knockd::clock::Clock;
use knockd::log::{Format, Logger, Message, Settings, Severity, Targets, Verbosity, What};
use rustix::fs::{CWD, FileType, Mode, mknodat};

/// Long enough for any machine; only a failure takes it.
const PATIENCE: Duration = Duration::from_secs(20);

fn settings(file: &Path) -> Settings {
    Settings {
        format: Format::Knockd,
        verbosity: Verbosity::Normal,
        lines_per_second: 20,
        targets: Targets { file: Some(file.to_owned()), ..Targets::default() },
    }
}

fn notice(text: &str) -> Message {
    let what = What::Notice { severity: Severity::Info, text: text.to_owned() };
    Message { at: Clock::start().now(), what }
}

fn bodies(text: &str) -> Vec<&str> {
    text.lines().map(|line| line.split_once("] ").unwrap().1).collect()
}

/// Waits for a condition, not for a time.
fn eventually(condition: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < until, "it never happens");
        std::thread::yield_now();
    }
}

#[test]
fn lines_are_appended_and_the_file_is_not_for_everybody() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("knockd.log");
    for text in ["one", "two"] {
        let mut logger = Logger::open(&settings(&file)).unwrap();
        logger.log(&notice(text), Clock::start());
        assert!(logger.flush(PATIENCE));
    }
    assert_eq!(bodies(&fs::read_to_string(&file).unwrap()), ["one", "two"]);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o137, 0);
}

#[test]
fn a_rotated_file_is_left_and_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let (file, rotated) = (folder.path().join("knockd.log"), folder.path().join("knockd.log.1"));
    let mut logger = Logger::open(&settings(&file)).unwrap();
    logger.log(&notice("before"), Clock::start());
    assert!(logger.flush(PATIENCE));
    fs::rename(&file, &rotated).unwrap();
    logger.reopen();
    logger.log(&notice("after"), Clock::start());
    assert!(logger.flush(PATIENCE));
    assert_eq!(bodies(&fs::read_to_string(&rotated).unwrap()), ["before"]);
    assert_eq!(bodies(&fs::read_to_string(&file).unwrap()), ["after"]);
}

#[test]
fn a_file_that_cannot_be_opened_anew_is_kept_and_that_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    let moved = folder.path().join("moved");
    fs::create_dir(&logs).unwrap();
    let mut logger = Logger::open(&settings(&logs.join("knockd.log"))).unwrap();
    fs::rename(&logs, &moved).unwrap();
    logger.reopen();
    logger.log(&notice("after"), Clock::start());
    assert!(logger.flush(PATIENCE));
    let text = fs::read_to_string(moved.join("knockd.log")).unwrap();
    let text = text.replace(&folder.path().display().to_string(), "");
    assert_eq!(
        bodies(&text),
        [
            "error: can't open the log file /logs/knockd.log: No such file or directory (os error \
             2): make the folder that it lies in, or name another file with LogFile or -g; the \
             log goes on where it went before",
            "after"
        ]
    );
}

#[test]
fn what_cannot_be_opened_says_why_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    fs::create_dir(file("folder")).unwrap();
    fs::write(file("target"), "").unwrap();
    symlink(file("target"), file("link")).unwrap();
    symlink(file("nothing"), file("dangling")).unwrap();
    Logger::open(&settings(&file("link"))).unwrap();
    let mut messages = String::new();
    for name in ["missing/knockd.log", "folder", "dangling"] {
        let error = Logger::open(&settings(&file(name))).unwrap_err().to_string();
        messages += &error.replace(&folder.path().display().to_string(), "");
        messages += "\n";
    }
    insta::assert_snapshot!(messages);
    assert!(!file("nothing").exists());
}

/// A FIFO without a reader takes what a pipe holds, and then nothing. More lines than can wait are
/// counted, and told to the reader that comes at last.
#[test]
fn a_fifo_that_nobody_reads_holds_nobody_up() {
    const LINES: usize = 20_000;
    const TOLD: &str = " lines of this log lost: they came faster than they could be written";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fifo");
    mknodat(CWD, &file, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let mut logger = Logger::open(&settings(&file)).unwrap();
    let clock = Clock::start();
    let (message, begun) = (notice(&"x".repeat(100)), Instant::now());
    for _ in 0..LINES {
        logger.log(&message, clock);
    }
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    assert!(!logger.flush(Duration::ZERO));
    assert!(logger.trouble().unwrap().contains("takes no more lines"));

    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap();
    let mut reader = fs::File::options().read(true).custom_flags(nonblocking).open(&file).unwrap();
    let mut text = String::new();
    let mut read = || {
        let mut bytes = [0; 1 << 16];
        if let Ok(count) = reader.read(&mut bytes) {
            text += std::str::from_utf8(&bytes[..count]).unwrap();
        }
    };
    while !logger.flush(Duration::from_millis(1)) {
        read();
    }
    logger.log(&notice("last"), clock);
    while !logger.flush(Duration::from_millis(1)) {
        read();
    }
    read();
    let lines = bodies(&text);
    let there = lines.iter().filter(|line| line.starts_with('x')).count();
    let told = |line: &&str| -> Option<usize> {
        let number = line.strip_prefix("warning: ")?.strip_suffix(TOLD)?;
        Some(number.replace(',', "").parse().unwrap())
    };
    let lost: Vec<usize> = lines.iter().filter_map(told).collect();
    assert!(there < LINES);
    assert_eq!(there + lost.iter().sum::<usize>(), LINES, "{lost:?}");
    assert_eq!(lines.last(), Some(&"last"));
}

/// `/dev/full` stands for a full disk: what it refuses is told once there is room again, by a
/// reopening here.
#[test]
fn lines_that_a_full_disk_refuses_are_counted_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("knockd.log");
    symlink("/dev/full", &file).unwrap();
    let mut logger = Logger::open(&settings(&file)).unwrap();
    for _ in 0..3 {
        logger.log(&notice("lost"), Clock::start());
        assert!(logger.flush(PATIENCE));
    }
    let trouble = format!(
        "can't write to the log file {}: No space left on device (os error 28): lines are lost",
        file.display()
    );
    assert_eq!(logger.trouble(), Some(trouble));
    fs::remove_file(&file).unwrap();
    logger.reopen();
    logger.log(&notice("there"), Clock::start());
    assert!(logger.flush(PATIENCE));
    let told = "warning: 3 lines of this log lost: No space left on device (os error 28)";
    assert_eq!(bodies(&fs::read_to_string(&file).unwrap()), [told, "there"]);
    eventually(|| logger.trouble().is_none());
}

#[test]
fn lines_that_strangers_cause_are_limited_and_the_rest_is_told() {
    use super::samples::{AT, SOURCE, door, event};
    use knock_engine::output::EventKind;

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("knockd.log");
    let mut logger = Logger::open(&settings(&file)).unwrap();
    let (clock, door) = (Clock::start(), door("openSSH"));
    for _ in 0..100 {
        logger.log(&Message { at: AT, what: event(&door, SOURCE, EventKind::Stage) }, clock);
        logger.log(&Message { at: AT, what: event(&door, SOURCE, EventKind::Stray) }, clock);
        logger.log(&Message { at: AT, what: event(&door, SOURCE, EventKind::Open) }, clock);
    }
    let over = AT.saturating_add(Duration::from_secs(1));
    assert_eq!(logger.poll_timeout(), Some(over));
    logger.handle_timeout(over, clock);
    assert_eq!(logger.poll_timeout(), None);
    for _ in 0..21 {
        logger.log(&Message { at: over, what: event(&door, SOURCE, EventKind::Timeout) }, clock);
    }
    assert!(logger.finish(clock, PATIENCE));
    let text = fs::read_to_string(&file).unwrap();
    let lines = bodies(&text);
    let count = |end: &str| lines.iter().filter(|line| line.ends_with(end)).count();
    assert_eq!((count("Stage 2"), count("OPEN SESAME"), lines.len()), (20, 100, 142));
    assert_eq!(lines[120], "openSSH: 80 more lines not logged (LogLimit)");
    assert_eq!(lines.last(), Some(&"openSSH: 1 more line not logged (LogLimit)"));
}
