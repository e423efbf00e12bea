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

/// Returns an error as a clause: without a capital letter and the number of the error.
#[must_use]
pub fn clause(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split_once(" (os error ").map_or(text.as_str(), |(text, _)| text);
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
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

    #[test]
    fn errors_become_clauses() {
        let clause_of = |errno: rustix::io::Errno| clause(&errno.into());
        assert_eq!(clause_of(rustix::io::Errno::NOSPC), "no space left on device");
        assert_eq!(clause_of(rustix::io::Errno::ROFS), "read-only file system");
        assert_eq!(clause_of(rustix::io::Errno::IO), "input/output error");
        assert_eq!(clause(&io::Error::other("a b")), "a b");
    }
}
