//! `packaging/install`: what `make install` and `make uninstall` do.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::run::{Ran, project, run, succeed};

/// A folder of what `make release` builds, but without optimisation. Whoever tests the whole
/// workspace has all of it built by then.
pub(crate) fn built() -> &'static Path {
    static BUILT: OnceLock<TempDir> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["build", "--locked", "-q", "-p", "knockd", "-p", "knock"]);
            succeed(cargo.args(["-p", "knock-replay"]).current_dir(project()));
            let pages = Path::new(env!("CARGO_BIN_EXE_knock-pages"));
            let folder = tempfile::tempdir().unwrap();
            for program in ["knockd", "knock", "knock-replay"] {
                symlink(pages.with_file_name(program), folder.path().join(program)).unwrap();
            }
            succeed(Command::new(pages).arg(folder.path().join("share")));
            folder
        })
        .path()
}

/// Runs the script with these variables.
pub(crate) fn script(action: &str, variables: &[(&str, &Path)]) -> Ran {
    let mut command = Command::new(project().join("packaging/install"));
    command.arg(action).env("TARGET", built()).current_dir("/");
    for name in ["PREFIX", "DESTDIR", "UNITDIR", "ZSHDIR", "DOCDIR"] {
        command.env_remove(name);
    }
    run(command.envs(variables.iter().copied()))
}

/// Returns every file below a folder, with its mode.
pub(crate) fn files(folder: &Path) -> BTreeMap<PathBuf, u32> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            if metadata.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_owned();
                found.insert(name, metadata.permissions().mode() & 0o7777);
            }
        }
    }
    found
}

/// Lists files, without the documentation.
fn listed(files: &BTreeMap<PathBuf, u32>) -> String {
    let lines = files.iter().filter(|(path, _)| !path.starts_with("usr/local/share/doc"));
    lines.map(|(path, mode)| format!("{mode:o} {}\n", path.display())).collect()
}

#[test]
fn everything_gets_to_its_place_and_away_again() {
    let root = tempfile::tempdir().unwrap();
    let destdir = [("DESTDIR", root.path())];
    let Ran { status, said } = script("install", &destdir);
    assert_eq!((status, &*said), (0, ""));
    let installed = files(root.path());
    insta::assert_snapshot!(listed(&installed));
    for page in ["README.md", "INSTALL.md", "LICENSE-MIT"] {
        assert!(installed.contains_key(&Path::new("usr/local/share/doc/knockd").join(page)));
    }

    let unit = root.path().join("usr/local/lib/systemd/system/knockd.service");
    let unit = fs::read_to_string(unit).unwrap();
    assert!(unit.contains("\nExecStart=/usr/local/sbin/knockd $KNOCKD_OPTS\n"), "{unit}");
    assert!(!unit.contains("/usr/sbin/") && !unit.contains("/usr/lib/"), "{unit}");
    let init = fs::read_to_string(root.path().join("etc/init.d/knockd")).unwrap();
    assert!(init.contains("\nknockd=/usr/local/sbin/knockd\n"), "{init}");

    let (again, before) = (script("install", &destdir), files(root.path()));
    assert_eq!((again.status, &before), (0, &installed), "{}", again.said);
    let Ran { status, said } = script("uninstall", &destdir);
    assert_eq!(status, 0, "{said}");
    let left: Vec<_> = files(root.path()).into_keys().collect();
    let configs =
        ["etc/default/knockd", "etc/init.d/knockd", "etc/knockd.conf", "etc/logrotate.d/knockd"];
    assert_eq!(left, configs.map(PathBuf::from));
    assert_eq!(said.lines().count(), configs.len(), "{said}");
    assert!(!root.path().join("usr/local/share/doc/knockd").exists());
}

#[test]
fn a_config_is_never_touched_and_keeps_the_privileges_that_it_may_need() {
    let root = tempfile::tempdir().unwrap();
    let destdir = [("DESTDIR", root.path())];
    let config = root.path().join("etc/knockd.conf");
    let drop_in = root.path().join("etc/systemd/system/knockd.service.d/privileged.conf");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    fs::write(&config, "# mine\n").unwrap();
    let Ran { status, said } = script("install", &destdir);
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("left as it is") && said.contains("knockd --check"), "{said}");
    assert_eq!(fs::read_to_string(&config).unwrap(), "# mine\n");
    assert!(drop_in.exists());

    // Whoever has taken it away does not get it again.
    fs::remove_file(&drop_in).unwrap();
    assert_eq!(script("install", &destdir).status, 0);
    assert!(!drop_in.exists());
}

#[test]
fn what_is_not_built_is_named_and_nothing_is_installed() {
    let root = tempfile::tempdir().unwrap();
    let nothing = tempfile::tempdir().unwrap();
    let ran = script("install", &[("DESTDIR", root.path()), ("TARGET", nothing.path())]);
    assert_eq!(ran.status, 1);
    assert!(ran.said.contains("knockd") && ran.said.contains("make release"), "{}", ran.said);
    assert!(files(root.path()).is_empty());
    let relative = script("install", &[("PREFIX", Path::new("local"))]);
    assert_eq!(relative.status, 2, "{}", relative.said);
}

#[test]
fn the_sample_config_opens_nothing_until_it_is_edited() {
    let text = fs::read_to_string(project().join("packaging/etc/knockd.conf")).unwrap();
    let parsed = knock_engine::config::parse(text.as_bytes());
    assert_eq!(parsed.diagnostics, []);
    assert_eq!(parsed.config.unwrap().doors.len(), 0);
    // The door in it is right once its comments are taken off.
    let edited: String = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if setting.starts_with('[') || setting.contains(" = ") => setting,
            _ => line,
        })
        .map(|line| format!("{line}\n"))
        .collect();
    let parsed = knock_engine::config::parse(edited.as_bytes());
    assert_eq!(parsed.diagnostics, []);
    assert_eq!(parsed.config.unwrap().doors.len(), 1);
}

#[test]
fn logrotate_understands_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(project().join("packaging/etc/logrotate")).unwrap();
    // There need not be such a user here.
    let text = text.replace("su knockd knockd", "su root root");
    let file = folder.path().join("knockd");
    fs::write(&file, text).unwrap();
    let mut logrotate = Command::new("logrotate");
    logrotate
        .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
        .arg("--debug")
        .arg("--state")
        .arg(folder.path().join("state"))
        .arg(&file);
    let said = succeed(&mut logrotate);
    assert!(!said.contains("error:"), "{said}");
    for log in ["/var/log/knockd.log", "/var/log/knockd/*.log"] {
        assert!(said.contains(log), "{said}");
    }
}
