//! What the program says about itself, on standard error.

use std::fmt::Display;
use std::io::{self, Write as _};

use crate::report::escape::Escaped;

/// Says why the program could not do what it was asked to.
pub fn error(error: &anyhow::Error) {
    say(&format!("{error:#}"));
}

/// Says that something is not as it should be, though the program goes on.
pub fn warning(what: &dyn Display) {
    say(&format!("warning: {what}"));
}

/// Says something that helps to understand the report.
pub fn note(what: &dyn Display) {
    say(&format!("note: {what}"));
}

/// Writes one line. Where standard error is closed there is nobody left to tell.
fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "knock-replay: {}", Escaped(line));
}
