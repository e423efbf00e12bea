//! One thing to say, before it is a line of any format.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use knock_engine::output::Event;
use knock_engine::time::Timestamp;

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
