//! The systemd unit, hardened and with the drop-in that gives it the privileges of Debian's.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::install::script;
use crate::run::{Ran, project, run};

/// What `systemd-analyze security` may say at most, times ten.
const MOST_EXPOSURE: &str = "15";

/// A host's root with the unit in it, and the drop-in if it is wanted.
fn root(with_drop_in: bool) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let units = root.path().join("etc/systemd/system");
    fs::create_dir_all(units.join("knockd.service.d")).unwrap();
    let systemd = project().join("packaging/systemd");
    fs::copy(systemd.join("knockd.service"), units.join("knockd.service")).unwrap();
    if with_drop_in {
        let name = "privileged.conf";
        fs::copy(systemd.join(name), units.join("knockd.service.d").join(name)).unwrap();
    }
    root
}

fn analyze(root: &Path, arguments: &[&str]) -> Ran {
    let mut command = Command::new("systemd-analyze");
    run(command.arg("--no-pager").arg(format!("--root={}", root.display())).args(arguments))
}

fn security(root: &Path, threshold: &str) -> Ran {
    let threshold = format!("--threshold={threshold}");
    analyze(root, &["security", "--offline=yes", &threshold, "knockd.service"])
}

#[test]
fn the_hardened_unit_exposes_little_and_the_other_no_more_than_debian_s() {
    let hardened = root(false);
    let ran = security(hardened.path(), MOST_EXPOSURE);
    assert_eq!(ran.status, 0, "{}", ran.said);
    let privileged = root(true);
    assert_ne!(security(privileged.path(), MOST_EXPOSURE).status, 0, "the drop-in does nothing");
    // Debian's unit of knockd 0.8-2 has 7.4; the difference is the folders that ours is given.
    assert_eq!(security(privileged.path(), "78").status, 0);
}

#[test]
fn systemd_finds_nothing_amiss() {
    let folder = tempfile::tempdir().unwrap();
    let prefix = folder.path().join("prefix");
    let ran = script("install", &[("DESTDIR", &folder.path().join("root")), ("PREFIX", &prefix)]);
    assert_eq!(ran.status, 0, "{}", ran.said);
    let installed = folder.path().join("root").join(prefix.strip_prefix("/").unwrap());
    // The programs must be where the unit says.
    symlink(&installed, &prefix).unwrap();
    let units = installed.join("lib/systemd/system");
    for with_drop_in in [false, true] {
        if with_drop_in {
            let drop_ins = units.join("knockd.service.d");
            fs::create_dir(&drop_ins).unwrap();
            let drop_in = installed.join("share/knockd/privileged.conf");
            fs::copy(drop_in, drop_ins.join("privileged.conf")).unwrap();
        }
        let mut verify = Command::new("systemd-analyze");
        verify.args(["verify", "--man=no", "--recursive-errors=no"]);
        let Ran { status, said } = run(verify.arg(units.join("knockd.service")));
        // Where systemd does not run, or this is a container, it says so; all else is about us.
        let ours: Vec<_> = said.lines().filter(|line| line.contains("knockd")).collect();
        assert_eq!((status, ours), (0, Vec::new()), "{said}");
    }
    // What is wrong would be seen.
    let unit = units.join("knockd.service");
    let text = fs::read_to_string(&unit).unwrap();
    fs::write(&unit, text.replace("KillMode=mixed", "KilMode=mixed")).unwrap();
    let mut verify = Command::new("systemd-analyze");
    let ran = run(verify.args(["verify", "--man=no", "--recursive-errors=no"]).arg(unit));
    assert!(ran.said.contains("KilMode"), "{}", ran.said);
}

/// Returns the settings of a section of a unit; of those that come again, the last one.
fn settings(file: &str, section: &str) -> BTreeMap<String, String> {
    let text = fs::read_to_string(project().join("packaging/systemd").join(file)).unwrap();
    let mut found = BTreeMap::new();
    let mut is_inside = false;
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        if line.starts_with('[') {
            is_inside = line == section;
        } else if is_inside {
            let (key, value) = line.split_once('=').unwrap();
            found.insert(key.to_owned(), value.to_owned());
        }
    }
    assert!(!found.is_empty(), "{file} has no {section}");
    found
}

/// What of the unit's service is no privilege, and the same with the drop-in.
const NO_PRIVILEGE: [&str; 17] = [
    "Type",
    "EnvironmentFile",
    "ExecStartPre",
    "ExecStart",
    "ExecReload",
    "ExecStopPost",
    "KillMode",
    "Restart",
    "RestartSec",
    "WatchdogSec",
    "StateDirectory",
    "StateDirectoryMode",
    "RuntimeDirectory",
    "RuntimeDirectoryPreserve",
    "LogsDirectory",
    "LogsDirectoryMode",
    "PrivateMounts",
];

#[test]
fn the_drop_in_takes_back_everything_that_the_unit_takes_away() {
    let unit = settings("knockd.service", "[Service]");
    let drop_in = settings("privileged.conf", "[Service]");
    let taken: Vec<_> = unit.keys().filter(|key| !NO_PRIVILEGE.contains(&&***key)).collect();
    let given: Vec<_> = drop_in.keys().filter(|key| *key != "PrivateMounts").collect();
    assert_eq!(taken, given);
    let debian = "CAP_NET_RAW CAP_NET_ADMIN CAP_SYS_MODULE";
    assert_eq!(drop_in["CapabilityBoundingSet"], debian);
    assert_eq!((&*drop_in["User"], &*drop_in["ProtectSystem"]), ("root", "yes"));
    assert!(["AmbientCapabilities", "SystemCallFilter"].iter().all(|key| drop_in[*key].is_empty()));
}

#[test]
fn the_unit_checks_first_closes_what_is_left_and_keeps_what_is_in_run() {
    let unit = settings("knockd.service", "[Service]");
    assert_eq!(unit["Type"], "notify");
    assert!(unit["ExecStartPre"].starts_with("/usr/lib/knockd/check-first start "));
    assert!(unit["ExecStopPost"].contains("--close-all --obey-on-stop"));
    assert_eq!(unit["RuntimeDirectoryPreserve"], "yes");
    let text = fs::read_to_string(project().join("packaging/systemd/knockd.service")).unwrap();
    let check = text.find("ExecReload=/usr/lib/knockd/check-first reload ").unwrap();
    assert!(check < text.find("ExecReload=/bin/kill -HUP $MAINPID").unwrap());
    // What --check takes for writable is what the unit makes writable.
    for folder in ["StateDirectory", "RuntimeDirectory", "LogsDirectory"] {
        assert_eq!(unit[folder], "knockd");
    }
    assert_eq!(unit["ReadWritePaths"], "-/etc/knockd");
}
