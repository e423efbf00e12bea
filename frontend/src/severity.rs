//! How bad a message is.

use knock_engine::output::{Event, EventKind};

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// As it should be.
    Info,
    /// Not as it should be, but the daemon copes.
    Warning,
    /// Somebody has to do something.
    Error,
}

impl Severity {
    /// Returns the name that the formats use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// Returns how bad an event of the engine is.
    #[must_use]
    pub const fn of(event: &Event) -> Self {
        match event {
            Event::ClockStep { .. } | Event::Disabled { .. } => Self::Warning,
            Event::Door(event) => match event.kind {
                EventKind::Refused | EventKind::Lockout => Self::Warning,
                EventKind::Stage
                | EventKind::Duplicate
                | EventKind::Repeat
                | EventKind::Restart
                | EventKind::Stray
                | EventKind::Reset(_)
                | EventKind::Timeout
                | EventKind::Open
                | EventKind::Renew
                | EventKind::Close
                | EventKind::Suppressed
                | EventKind::Evicted => Self::Info,
            },
        }
    }
}
