//! Running programs that the tests need.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What came of a program.
pub(crate) struct Ran {
    /// Its exit status; 128 and more for a signal.
    pub(crate) status: i32,
    /// What it said, standard error behind standard output.
    pub(crate) said: String,
}

/// Runs a program to its end.
///
/// # Panics
///
/// There is no such program: the message says what to install.
pub(crate) fn run(command: &mut Command) -> Ran {
    let output = command.output();
    let Output { status, stdout, stderr } = output.unwrap_or_else(|error| {
        panic!("{:?} can't be run: {error}; try: ci/install-deps test", command.get_program())
    });
    let said = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    Ran { status: status.code().unwrap_or(128), said }
}

/// Runs a program that must succeed, and returns what it said.
pub(crate) fn succeed(command: &mut Command) -> String {
    let Ran { status, said } = run(command);
    assert_eq!(status, 0, "{command:?}\n{said}");
    said
}

/// The folder of the whole project.
pub(crate) fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Runs a script of a shell in namespaces of its own, in which it is root; returns what came of it.
/// `kinds` are the options of unshare for the namespaces.
pub(crate) fn in_namespaces(kinds: &[&str], script: &str) -> Ran {
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "--fork"]).args(kinds);
    run(command.args(["bash", "-euo", "pipefail", "-c", script]))
}
