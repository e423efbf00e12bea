//! One thing to say, before it is a line of any format.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use knock_engine::output::{Event, EventKind};
use knock_engine::time::Timestamp;
pub use knock_frontend::severity::Severity;

/// One thing to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// When it happened, in engine time.
    pub at: Timestamp,
    /// What happened.
    pub what: What,
}

/// What there is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// An event of the engine.
    Event(Event),
    /// Something about a door's command for a source.
    Command {
        /// Whose command it is.
        subject: Subject,
        /// Which of the door's commands.
        kind: CommandKind,
        /// What happened.
        event: CommandEvent,
    },
    /// Something about the daemon itself, in a whole sentence.
    Notice {
        /// How bad it is.
        severity: Severity,
        /// The sentence; it may hold foreign text, so it is escaped on its way out.
        text: String,
    },
    /// Lines that strangers caused at a door, more than are logged. The log itself says this.
    NotLogged {
        /// The door's name; `None` for doors beyond those that are counted one by one.
        door: Option<String>,
        /// How many lines there were beyond the limit.
        lines: u64,
    },
    /// Lines that could not be written. The log itself says this, once it can write again.
    Lost {
        /// How many lines were lost.
        lines: u64,
        /// Why, as the operating system has it.
        reason: String,
    },
}

impl What {
    /// Returns the name that the formats use; the names of the engine's events are its own.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Event(event) => event.name(),
            Self::Command { event, .. } => event.name(),
            Self::Notice { .. } => "notice",
            Self::NotLogged { .. } => "not_logged",
            Self::Lost { .. } => "lost",
        }
    }

    /// Returns how bad it is.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        match self {
            Self::Event(event) => Severity::of(event),
            Self::Command { kind, event, .. } => event.severity(*kind),
            Self::Notice { severity, .. } => *severity,
            Self::NotLogged { .. } | Self::Lost { .. } => Severity::Warning,
        }
    }

    /// Tells whether it is only said to those who ask for more (`-v`): what changes nothing.
    #[must_use]
    pub const fn is_detail(&self) -> bool {
        match self {
            Self::Event(Event::Door(event)) => matches!(
                event.kind,
                EventKind::Duplicate
                    | EventKind::Repeat
                    | EventKind::Restart
                    | EventKind::Stray
                    | EventKind::Evicted
            ),
            Self::Command { kind: CommandKind::Check, event, .. } => {
                matches!(event, CommandEvent::Running { .. } | CommandEvent::WouldRun { .. })
            }
            Self::Event(Event::ClockStep { .. } | Event::Disabled { .. })
            | Self::Command { .. }
            | Self::Notice { .. }
            | Self::NotLogged { .. }
            | Self::Lost { .. } => false,
        }
    }

    /// Returns the name of the door at which strangers can cause as many of these as they like;
    /// `None` for what takes a whole knock, or the daemon itself.
    #[must_use]
    pub fn stranger_at(&self) -> Option<&str> {
        let Self::Event(Event::Door(event)) = self else { return None };
        match event.kind {
            EventKind::Open | EventKind::Renew | EventKind::Close => None,
            EventKind::Stage
            | EventKind::Duplicate
            | EventKind::Repeat
            | EventKind::Restart
            | EventKind::Stray
            | EventKind::Reset(_)
            | EventKind::Timeout
            | EventKind::Suppressed
            | EventKind::Refused
            | EventKind::Lockout
            | EventKind::Evicted => Some(&event.door.name),
        }
    }
}

/// A door and a source, by the door's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// The door's name.
    pub door: String,
    /// The source.
    pub source: IpAddr,
}

/// Which of a door's commands (S11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CommandKind {
    /// `start_command`.
    Start,
    /// `stop_command`.
    Stop,
    /// `check_command`.
    Check,
}

impl CommandKind {
    /// Returns the name that messages use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Check => "check",
        }
    }
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With this status; 0 is success.
    Status(i32),
    /// By this signal.
    Signal(i32),
    /// It took longer than `command_timeout` and was killed.
    TimedOut,
    /// It could not be run at all, for this reason.
    NotRun(String),
}

impl Exit {
    /// Tells whether the command did what it should.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self, Self::Status(0))
    }
}

impl fmt::Display for Exit {
    /// Writes `exited with status 4`, `was ended by signal 9`, and the like.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "exited with status {status}"),
            Self::Signal(signal) => write!(f, "was ended by signal {signal}"),
            Self::TimedOut => f.write_str("took too long and was killed"),
            Self::NotRun(reason) => write!(f, "could not be run: {reason}"),
        }
    }
}

/// What happened to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandEvent {
    /// The time of the open door is over: the stop command's turn. knockd: `command timeout`.
    ///
    /// For a lease that the engine does not know of, because the daemon was started after it
    /// began; the engine's own `close` is the same line, so never send both.
    Expired,
    /// It begins to run. knockd: `running command: ...`.
    Running {
        /// The expanded command.
        command: String,
    },
    /// It would run now, but `--dry-run` is on.
    WouldRun {
        /// The expanded command.
        command: String,
    },
    /// It ended otherwise than by success.
    Failed {
        /// How.
        exit: Exit,
    },
    /// A line of what it printed, without its line break.
    Printed {
        /// The line, cut where it was too long.
        line: String,
    },
    /// It printed more than is logged.
    PrintedMore {
        /// How many bytes were dropped.
        bytes: u64,
    },
    /// A start-only command has been running for so long; it goes on.
    StillRunning {
        /// How long.
        elapsed: Duration,
    },
    /// A stop that failed will be tried again.
    Retry {
        /// The number of the try to come, from 2 on.
        attempt: u32,
        /// How long until then.
        delay: Duration,
    },
    /// A stop that failed is not tried again by itself: the door may still be open.
    GivenUp {
        /// How many tries there were.
        attempts: u32,
    },
    /// A start did not run, for this reason; the door stays shut.
    NotStarted {
        /// A clause such as `the ledger can't be written: no space left on device`.
        reason: String,
    },
    /// `check_command` says that the start's effect is gone; the start runs again.
    EffectMissing,
    /// The door was found open in the ledger at start-up; the stop comes at its deadline.
    Recovered {
        /// How long it stays open.
        remaining: Duration,
    },
}

impl CommandEvent {
    /// Returns the name that the formats use.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Expired => "close",
            Self::Running { .. } => "running",
            Self::WouldRun { .. } => "would_run",
            Self::Failed { .. } => "failed",
            Self::Printed { .. } => "printed",
            Self::PrintedMore { .. } => "printed_more",
            Self::StillRunning { .. } => "still_running",
            Self::Retry { .. } => "retry",
            Self::GivenUp { .. } => "given_up",
            Self::NotStarted { .. } => "not_started",
            Self::EffectMissing => "effect_missing",
            Self::Recovered { .. } => "recovered",
        }
    }

    /// Returns how bad it is: an error where somebody stays out who knocked right, or a door may
    /// stay open.
    #[must_use]
    pub const fn severity(&self, kind: CommandKind) -> Severity {
        match self {
            Self::Failed { .. } => match kind {
                CommandKind::Start => Severity::Error,
                CommandKind::Stop | CommandKind::Check => Severity::Warning,
            },
            Self::GivenUp { .. } | Self::NotStarted { .. } => Severity::Error,
            Self::StillRunning { .. } | Self::Retry { .. } | Self::EffectMissing => {
                Severity::Warning
            }
            Self::Expired
            | Self::Running { .. }
            | Self::WouldRun { .. }
            | Self::Printed { .. }
            | Self::PrintedMore { .. }
            | Self::Recovered { .. } => Severity::Info,
        }
    }
}
