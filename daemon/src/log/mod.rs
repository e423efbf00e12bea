//! The log: what the daemon says, in three formats, to a file, to syslog or to standard error.

mod message;

pub use message::{CommandEvent, CommandKind, Exit, Message, Severity, Subject, What};
