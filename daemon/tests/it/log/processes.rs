//! Syslog and standard error belong to a whole process: so each test here starts this program
//! again, for one of the ignored tests at the end, with a syslog or a standard error of its own.

use std::io::Read;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use knockd::clock::Clock;
use knockd::log::{Format, Logger, Message, Settings, Severity, Targets, Verbosity, What};

/// Long enough for any machine; only a failure takes it.
const PATIENCE: Duration = Duration::from_secs(20);

fn logger(targets: Targets) -> Logger {
    let settings = Settings {
        format: Format::Knockd,
        verbosity: Verbosity::Normal,
        lines_per_second: 20,
        targets,
    };
    Logger::open(&settings).unwrap()
}

fn notice(severity: Severity, text: &str) -> Message {
    let what = What::Notice { severity, text: text.to_owned() };
    Message { at: Clock::start().now(), what }
}

/// A command that runs one of the ignored tests below.
fn alone(mut command: Command, test: &str) -> Command {
    let name = format!("log::processes::{test}");
    command.args(["--exact", &name, "--ignored", "--nocapture"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn this_program() -> Command {
    Command::new(std::env::current_exe().unwrap())
}

fn read(from: &mut impl Read) -> String {
    let mut text = String::new();
    from.read_to_string(&mut text).unwrap();
    text
}

/// A name that no test has would be no failure by itself.
fn assert_ran(report: &str) {
    assert!(report.contains("\ntest result: ok. 1 passed;"), "{report}");
}

/// Waits for a child that nobody reads from; a child that waits for a reader fails the test.
fn wait(child: &mut Child) {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            return;
        }
        if Instant::now() > until {
            child.kill().unwrap();
            panic!("it waits for a reader");
        }
        std::thread::yield_now();
    }
}

#[test]
fn standard_error_that_nobody_reads_holds_nobody_up() {
    let mut child = alone(this_program(), "fill_standard_error").spawn().unwrap();
    let mut errors = child.stderr.take().unwrap();
    wait(&mut child);
    assert_ran(&read(&mut child.stdout.take().unwrap()));
    let text = read(&mut errors);
    let line = text.lines().next().unwrap();
    assert!(line.starts_with('[') && line.ends_with("] line"), "{line}");
    assert!(text.len() >= 1 << 15, "{} bytes", text.len());
}

#[test]
fn syslog_gets_the_text_and_the_priority_and_holds_nobody_up() {
    // The C library looks at /dev/log and nowhere else, so that has to be ours.
    const PREPARE: &str = "mkdir $0/dev && touch $0/dev/null && mount --bind /dev/null $0/dev/null \
                           && mount --rbind $0/dev /dev && shift && exec \"$@\"";
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", PREPARE]);
    command.arg(folder.path()).arg("sh").arg(std::env::current_exe().unwrap());
    let output = alone(command, "talk_to_syslog")
        .output()
        .unwrap_or_else(|error| panic!("unshare is needed ({error}): apt-get install util-linux"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "it failed, or there are no user namespaces here:\n{errors}");
    assert_ran(&String::from_utf8_lossy(&output.stdout));
}

#[test]
#[ignore = "fills standard error; started by a test above"]
fn fill_standard_error() {
    let mut logger = logger(Targets { stderr: true, ..Targets::default() });
    for _ in 0..20_000 {
        logger.log(&notice(Severity::Info, "line"), Clock::start());
    }
    assert!(!logger.flush(Duration::from_millis(1)));
}

#[test]
#[ignore = "takes the place of /dev/log; started by a test above"]
fn talk_to_syslog() {
    let socket = UnixDatagram::bind("/dev/log").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let receive = || {
        let mut bytes = [0; 1 << 13];
        let count = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    };
    let mut logger = logger(Targets { syslog: true, ..Targets::default() });
    let severities = [Severity::Info, Severity::Warning, Severity::Error];
    for severity in severities {
        logger.log(&notice(severity, "one\ntwo"), Clock::start());
    }
    // The facility is 3, `daemon`; the priorities are 5, 4 and 3.
    for (priority, label) in [("<29>", ""), ("<28>", "warning: "), ("<27>", "error: ")] {
        let line = receive();
        assert!(line.starts_with(priority), "{line}");
        assert!(line.ends_with(&format!(" knockd: {label}one\\ntwo")), "{line}");
    }
    assert!(logger.flush(PATIENCE));

    let lines = 20_000;
    for _ in 0..lines {
        logger.log(&notice(Severity::Info, "many"), Clock::start());
    }
    assert!(!logger.flush(Duration::ZERO));
    // Every line is there or told to be lost; a receiver that waits in vain fails.
    let mut accounted_for = 0;
    while accounted_for < lines {
        let line = receive();
        let (_, body) = line.split_once(" knockd: ").unwrap();
        accounted_for += match body.strip_prefix("warning: ") {
            Some(told) => told.split(' ').next().unwrap().replace(',', "").parse().unwrap(),
            None => 1,
        };
    }
    assert_eq!(accounted_for, lines);
    assert!(logger.flush(PATIENCE));
}
