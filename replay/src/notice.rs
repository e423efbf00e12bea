//! What the program says about itself, on standard error.

use std::fmt::Display;
use std::io::{self, Write as _};

use crate::report::escape::Escaped;

/// Says why the program could not do what it was asked to.
pub fn error(error: &anyhow::Error) {
    say(&told(error));
}

/// Says that something is not as it should be, though the program goes on.
pub fn warning(what: &dyn Display) {
    say(&format!("warning: {what}"));
}

/// Says something that helps to understand the report.
pub fn note(what: &dyn Display) {
    say(&format!("note: {what}"));
}

/// Tells an error and its causes, but for those that a message before has told already.
fn told(error: &anyhow::Error) -> String {
    let mut told = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !told.contains(&cause) {
            told.push_str(": ");
            told.push_str(&cause);
        }
    }
    told
}

/// Writes one line. Where standard error is closed there is nobody left to tell.
fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "knock-replay: {}", Escaped(line));
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
