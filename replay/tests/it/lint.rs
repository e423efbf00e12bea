//! `knock-replay lint`: each code with a config that brings it about and one that just doesn't,
//! configs as people publish them, and the ways to tell it.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod codes;
mod fuzz;
mod hostile;
mod output;
mod published;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::cli::{Folder, Ran};

/// A config in a folder of a test's own, which nobody else may read.
pub(crate) struct Config {
    folder: Folder,
}

impl Config {
    pub(crate) fn new(test: &str, text: impl AsRef<[u8]>) -> Self {
        let config = Self { folder: Folder::new(&format!("lint/{test}")) };
        config.write("knockd.conf", text);
        config
    }

    /// Writes a file that only its owner may read.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        self.folder.write(name, text.as_ref());
        self.set_mode(name, 0o600);
    }

    pub(crate) fn set_mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.folder.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Runs the program in the config's folder.
    pub(crate) fn run(&self, arguments: &str) -> Ran {
        self.folder.run(&format!("lint -c knockd.conf {arguments}"))
    }

    /// Returns the findings, as objects.
    pub(crate) fn findings(&self) -> Vec<serde_json::Value> {
        let ran = self.run("--format jsonl");
        let lines = ran.stdout();
        let lines = lines.lines().map(|line| serde_json::from_str(line).unwrap());
        let lines: Vec<serde_json::Value> = lines.collect();
        let findings: Vec<_> =
            lines.into_iter().filter(|line| line["event"] == "finding").collect();
        ran.exits(if findings.is_empty() { 0 } else { 3 });
        findings
    }

    /// Returns the codes that were found.
    pub(crate) fn codes(&self) -> BTreeSet<String> {
        self.findings().iter().map(|found| found["code"].as_str().unwrap().to_owned()).collect()
    }
}

/// Returns the text of a file of the repository.
pub(crate) fn repository_file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
