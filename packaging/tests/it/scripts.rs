//! The shell scripts: that shells understand them, and what `check-first` makes of a check.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::run::{Ran, project, run, succeed};

/// What is run by any `/bin/sh`.
const POSIX: [&str; 7] = [
    "lib/check-first",
    "etc/init",
    "sbin/knock_helper_ipt.sh",
    "debian/preinst",
    "debian/postinst",
    "debian/prerm",
    "debian/postrm",
];

#[test]
fn shells_understand_every_script() {
    for script in POSIX {
        let path = project().join("packaging").join(script);
        for shell in ["dash", "bash"] {
            succeed(Command::new(shell).arg("-n").arg(&path));
        }
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{script} can't be run");
    }
    for script in ["install", "deb"] {
        succeed(Command::new("bash").arg("-n").arg(project().join("packaging").join(script)));
    }
}

#[test]
fn shellcheck_has_nothing_to_say() {
    let paths = POSIX.map(|script| project().join("packaging").join(script));
    succeed(Command::new("shellcheck").args(["-s", "sh"]).args(paths));
    let scripts = ["install", "deb"].map(|script| project().join("packaging").join(script));
    succeed(Command::new("shellcheck").args(scripts));
}

/// Lets `check-first` decide about a check that ends with this status.
fn check_first(folder: &Path, action: &str, status: i32) -> Ran {
    let knockd = folder.join("knockd");
    let script = format!(
        "#!/bin/sh\necho secret: 7000\necho \"asked: $*\" >&2\necho wrong >&2\nexit {status}\n"
    );
    fs::write(&knockd, script).unwrap();
    fs::set_permissions(&knockd, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(project().join("packaging/lib/check-first"));
    run(command.env("KNOCKD", knockd).args([action, "-i", "eth0"]))
}

#[test]
fn a_config_with_errors_refuses_all_and_a_missing_interface_all_but_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [("start", [0, 0, 1, 1]), ("reload", [0, 1, 1, 1]), ("restart", [0, 1, 1, 1])];
    for (action, expected) in cases {
        for (status, expected) in [0, 1, 2, 127].into_iter().zip(expected) {
            let Ran { status: found, said } = check_first(folder.path(), action, status);
            assert_eq!(found, expected, "{action}, {status}: {said}");
            assert!(said.contains("asked: --check -i eth0"), "{said}");
            assert!(!said.contains("secret"), "sequences would be in the journal: {said}");
            assert!(said.contains("wrong") && (status == 0 || said.contains("check-first: ")));
        }
    }
    assert_eq!(check_first(folder.path(), "stop", 0).status, 2);
}
