//! The log: its lines, who can read them, and that it never holds anybody up.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![expect(clippy::wildcard_enum_match_arm, reason = "a test looks at the few kinds it is about")]

mod document;
mod lines;
mod oracle;
mod processes;
mod samples;
mod sinks;
