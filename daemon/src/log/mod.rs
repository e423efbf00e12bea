//! The log: what the daemon says, in three formats, to a file, to syslog or to standard error.
//!
//! [`Logger::log`] never waits: it makes the line, unless the door's [`Limiter`] keeps it, and
//! hands it to a thread for each target. A stalled disk, a FIFO that nobody reads or a full disk
//! costs lines, which are counted and told later, but never time. `docs/LOGS.md` describes every
//! line; a test compares it with what comes out of here.

mod format;
mod json;
mod knockd;
mod limit;
mod logger;
mod message;
mod rfc3339;
mod sink;
mod stamp;
mod target;

pub use format::{Format, Formatter, Line, Verbosity};
pub use limit::{Held, Limiter};
pub use logger::{Logger, Settings, Targets};
pub use message::{CommandEvent, CommandKind, Exit, Message, Severity, Subject, What};
pub use sink::{Sink, SinkError};
pub use target::{OpenError, Target};
