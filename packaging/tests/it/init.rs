//! The init script, with the real daemon, in namespaces whose `/etc` and `/run` are its own.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::install::script;
use crate::run::{Ran, in_namespaces};

/// An installation of its own.
pub(crate) struct Host(TempDir);

impl Host {
    pub(crate) fn new() -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        let prefix = host.at("prefix");
        let ran = script("install", &[("DESTDIR", &host.at("root")), ("PREFIX", &prefix)]);
        assert_eq!(ran.status, 0, "{}", ran.said);
        let there = host.at("root").join(prefix.strip_prefix("/").unwrap());
        std::os::unix::fs::symlink(there, prefix).unwrap();
        host.write("good.conf", &host.config("[a]\nsequence = 7000\n"));
        host.write("bad.conf", &host.config("[a]\nsequence = 70000\n"));
        host
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.at(name), text).unwrap();
    }

    fn config(&self, doors: &str) -> String {
        let here = self.0.path().display();
        format!(
            "[options]\nInterface = lo\nStateDir = {here}/state\nLogFile = {here}/log\n\
             PidFile = {here}/pid\n{doors}"
        )
    }

    /// Runs commands in which `init` is the script, `use` chooses a config, and `alive` tells
    /// whether the daemon of before is still there; returns what they say.
    pub(crate) fn run(&self, script: &str) -> String {
        let here = self.0.path().display();
        let script = format!(
            "cd {here}; mount --bind root/etc /etc; mount -t tmpfs none /run; ip link set lo up
             init() {{ local status=0; /etc/init.d/knockd \"$@\" 2>&1 || status=$?; echo \"= $status\"; }}
             use() {{ cat \"$1.conf\" >/etc/knockd.conf; }}
             opts() {{ printf 'START_KNOCKD=%s\\nKNOCKD_OPTS=\"%s\"\\n' \"$1\" \"$2\" >/etc/default/knockd; }}
             remember() {{ before=$(cat pid); }}
             alive() {{ [ \"$(cat pid)\" = \"$before\" ] && [ -e /proc/$before ] && echo 'the same runs' || echo another; }}
             until_gone() {{ until ! [ -e /proc/$1 ]; do sleep 0.01; done; }}
             export PATH=$PATH:/usr/sbin:/sbin
             {script}"
        );
        let kinds = ["--net", "--pid", "--mount-proc"];
        let Ran { status, said } = in_namespaces(&kinds, &script);
        assert_eq!(status, 0, "{said}");
        tidy(&said, self.0.path())
    }
}

/// Takes out what differs between two runs.
fn tidy(said: &str, folder: &Path) -> String {
    let said = said.replace(&folder.display().to_string(), "HERE");
    let mut words: Vec<String> = Vec::new();
    for line in said.lines() {
        let mut line = line.to_owned();
        if let Some(at) = line.find("as process ") {
            line.truncate(at + "as process".len());
        }
        words.push(line);
    }
    words.join("\n")
}

#[test]
fn it_starts_only_where_it_is_told_to_and_says_how_things_are() {
    let said = Host::new().run(
        "use good; init status; init start; init status
         opts 1 ''; init start; init status; init start; init stop; init status; init stop
         init; init jump",
    );
    insta::assert_snapshot!(said);
}

#[test]
fn neither_a_reload_nor_a_restart_ends_a_daemon_whose_config_is_broken_now() {
    let said = Host::new().run(
        "use good; opts 1 ''; init start; remember
         use bad; init reload; alive; init restart; alive; init force-reload; alive; init status
         use good; init reload; until grep -q 're-read' log; do sleep 0.01; done; alive
         init restart; alive; use bad; init stop; init start; init status",
    );
    insta::assert_snapshot!(said);
}

#[test]
fn options_are_honoured_and_a_daemon_that_was_killed_is_cleaned_up_behind() {
    let said = Host::new().run(
        "cp good.conf other.conf; chmod 600 other.conf; echo 'not this one' >/etc/knockd.conf
         opts 1 \"-c $PWD/other.conf -v\"; init start; kill -9 $(cat pid); until_gone $(cat pid); init status; init reload
         init try-restart; init start; remember; init try-restart; alive; init reopen-log; init stop",
    );
    insta::assert_snapshot!(said);
}
