//! The program itself, where it needs no privileges: what it refuses, and what it says then.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// A folder with a config, and what `knockd` says about it.
struct Place(TempDir);

impl Place {
    fn new(config: &str) -> Self {
        let place = Self(tempfile::tempdir().expect("a folder can be made"));
        let config = config.replace("HERE", &place.path().display().to_string());
        fs::write(place.path().join("k.conf"), config).expect("the folder can be written");
        place
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn knockd(&self, arguments: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_knockd"));
        command.current_dir(self.path()).args(arguments.split_ascii_whitespace());
        command.output().expect("the program was built for this test")
    }

    /// Runs it, and returns its status and both of its streams, with the folder's name taken out.
    fn told(&self, arguments: &str) -> String {
        let Output { status, stdout, stderr } = self.knockd(arguments);
        let text = format!(
            "status {}\n{}{}",
            status.code().unwrap_or(-1),
            String::from_utf8_lossy(&stdout),
            String::from_utf8_lossy(&stderr)
        );
        text.replace(&self.path().display().to_string(), "HERE")
    }
}

const STATE: &str = "[options]\nstatedir = HERE/state\nlogfile = HERE/log\n";

#[test]
fn a_config_that_is_not_there_is_named() {
    insta::assert_snapshot!(Place::new("").told("-c nowhere.conf"), @r"
    status 1
    knockd: nowhere.conf: cannot read the config: No such file or directory (os error 2)
    ");
}

#[test]
fn what_is_to_stay_open_is_not_closed_by_whoever_obeys() {
    let place = Place::new(&format!("{STATE}onstop = keep\n[ssh]\nsequence = 7000\n"));
    assert_eq!(place.told("-c k.conf --close-all --obey-on-stop"), "status 0\n");
    assert!(!place.path().join("state").exists(), "it has not even looked");
    assert_eq!(place.told("-c k.conf --close-all"), "status 0\n");
    assert!(place.path().join("state").exists());
}

#[test]
fn every_error_of_a_config_is_shown_with_its_line() {
    let place = Place::new("[ssh]\nsequence = 7000,70000\nseq_timout = 5\n");
    let told = place.told("-c k.conf");
    assert!(told.starts_with("status 1\n"), "{told}");
    for part in ["k.conf:2:", "70000", "k.conf:3:1:", "did you mean \"seq_timeout\"?"] {
        assert!(told.contains(part), "{part} in {told}");
    }
    assert!(place.told("-c k.conf -d").starts_with("status 1\n"), "also in the background");
    assert!(place.told("-c k.conf --check").starts_with("status 2\n"));
}

#[test]
fn warnings_are_errors_only_where_that_is_asked_for() {
    let place = Place::new(&format!("{STATE}[ssh]\nsequence = 7000 # mine\n"));
    let told = place.told("-c k.conf --close-all");
    assert!(told.starts_with("status 0\n") && told.contains("k.conf:5:"), "{told}");
    let told = place.told("-c k.conf --close-all --strict");
    assert!(told.starts_with("status 1\n") && told.contains("--strict"), "{told}");
}

#[test]
fn there_is_nothing_to_close_in_an_empty_ledger() {
    let place = Place::new(&format!("{STATE}[ssh]\nsequence = 7000\n"));
    assert_eq!(place.told("-c k.conf --close-all"), "status 0\n");
}

#[test]
fn a_file_that_is_no_ledger_is_left_alone_and_named_in_the_log_too() {
    let place = Place::new(&format!("{STATE}[ssh]\nsequence = 7000\n"));
    place.told("-c k.conf -i lo --close-all");
    let folder = fs::read_dir(place.path().join("state")).expect("the ledger's folder was made");
    let ledger = folder.flatten().next().expect("a ledger was made").path();
    fs::write(&ledger, "precious").expect("the ledger can be written");
    let told = place.told("-c k.conf -i lo");
    assert!(told.starts_with("status 1\n") && told.contains("no ledger of knockd"), "{told}");
    assert!(told.contains(".ledger") && told.contains("StateDir"), "{told}");
    let log = fs::read_to_string(place.path().join("log")).expect("there is a log");
    assert!(log.contains("no ledger of knockd"), "{log}");
    assert_eq!(fs::read(&ledger).expect("it is still there"), b"precious");
}

#[test]
fn a_check_says_what_would_keep_the_daemon_from_working() {
    let place = Place::new(&format!("{STATE}[ssh]\nsequence = 7000,8000\n"));
    let told = place.told("--check -c k.conf -i no-such-link");
    assert!(told.starts_with("status 1\n"), "{told}");
    for part in ["no-such-link", "sequence = 7000:tcp,8000:tcp", "tcp"] {
        assert!(told.contains(part), "{part} in {told}");
    }
    assert!(!place.path().join("state").exists(), "a check makes nothing");
}
