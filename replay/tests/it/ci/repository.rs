//! A copy of `examples/ci/repository` in git, with a clone in which somebody changes the config.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cli::{Folder, Ran};

/// The folder of the examples.
pub(crate) fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/ci")
}

/// The path to programs, with this one in front.
pub(crate) fn path() -> String {
    let ours = Path::new(env!("CARGO_BIN_EXE_knock-replay")).parent().unwrap();
    format!("{}:{}", ours.display(), env::var("PATH").unwrap())
}

/// Copies a folder with everything in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Somebody's clone, on a branch of its own.
pub(crate) struct Clone(pub(crate) Folder);

impl Clone {
    /// Makes the repository and its clone in a folder of the test's own.
    pub(crate) fn new(test: &str) -> Self {
        let outer = Folder::new(test);
        copy(&examples().join("repository"), &outer.path("upstream"));
        let clone = Self(Folder(outer.path("clone")));
        fs::create_dir(&clone.0.0).unwrap();
        clone.succeeds(
            "cd ../upstream && git init -q -b main && git add . && git commit -q -m 'Begin' &&
             cd ../clone && git clone -q ../upstream . && git checkout -q -b change",
        );
        clone
    }

    /// Runs a script of bash in the clone, with the options and variables that are given.
    pub(crate) fn run(&self, options: &str, script: &str, variables: &[(&str, &str)]) -> Ran {
        let home = self.0.0.parent().unwrap();
        let mut command = Command::new("bash");
        command.args(options.split(' ').filter(|option| !option.is_empty()));
        command.args(["-c", script]).current_dir(&self.0.0).stdin(Stdio::null());
        // Nobody's settings but these, and no repository but this one.
        command.env_clear().env("PATH", path()).env("HOME", home);
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("LC_ALL", "C.UTF-8");
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), "Ada");
            command.env(format!("GIT_{role}_EMAIL"), "ada@example.org");
        }
        let output = command.envs(variables.iter().copied()).output().unwrap();
        Ran { arguments: script.to_owned(), output }
    }

    /// Runs a script that must succeed; returns what it printed.
    #[track_caller]
    pub(crate) fn succeeds(&self, script: &str) -> String {
        self.run("-eu", script, &[]).exits(0).stdout()
    }

    /// Replaces a piece of the config, which must be there.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let config = String::from_utf8(self.0.read("knockd.conf")).unwrap();
        assert!(config.contains(from), "{config}");
        self.0.write("knockd.conf", config.replacen(from, to, 1).as_bytes());
    }
}

/// Half a second less for every knock at ssh: the phone of 198.51.100.20 takes longer.
pub(crate) const TOO_SHORT: (&str, &str) = ("seq_timeout   = 5", "seq_timeout   = 4");

/// Something that no recorded packet feels.
pub(crate) const HARMLESS: (&str, &str) =
    ("[options]\n", "# Who knocks is in the wiki.\n[options]\n");
