//! What a program says about itself, on standard error.

use std::fmt::Display;
use std::io::{self, Write as _};

use crate::escape::Escaped;

/// A program by its name, which every message begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program(pub &'static str);

impl Program {
    /// Says why the program could not do what it was asked to.
    pub fn error(self, error: &anyhow::Error) {
        self.say(&told(error));
    }

    /// Says that something is not as it should be, though the program goes on.
    pub fn warning(self, what: &dyn Display) {
        self.say(&format!("warning: {what}"));
    }

    /// Says something that helps to understand what the program does.
    pub fn note(self, what: &dyn Display) {
        self.say(&format!("note: {what}"));
    }

    /// Writes one line. Where standard error is closed there is nobody left to tell.
    fn say(self, line: &str) {
        let _ = writeln!(io::stderr().lock(), "{}: {}", self.0, Escaped(line));
    }
}

/// Tells an error and its causes, but for those that a message before has told already.
#[must_use]
pub fn told(error: &anyhow::Error) -> String {
    let mut told = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !told.contains(&cause) {
            told.push_str(": ");
            told.push_str(&cause);
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let error = Err::<(), _>(io::Error::other("disk on fire"));
        let error = error.context("a: cannot read: disk on fire").context("replay").unwrap_err();
        assert_eq!(told(&error), "replay: a: cannot read: disk on fire");
    }
}
