//! Running programs that the tests need.

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
