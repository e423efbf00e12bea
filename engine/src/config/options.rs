//! The options and the types of their values.

use std::time::Duration;

/// The `[options]` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `UseSyslog`: log through syslog.
    pub use_syslog: bool,
    /// `LogFile`: the file to log to.
    pub log_file: Option<String>,
    /// `LogFormat`: what a line of the log looks like.
    pub log_format: LogFormat,
    /// `LogLimit`: lines a second and door that strangers can cause, at most
    /// [`Options::MAX_LOG_LIMIT`]; 0 for no limit.
    pub log_limit: u32,
    /// `PidFile`: the file that holds the daemon's process number.
    pub pid_file: Option<String>,
    /// `Interface`: what to listen on. Empty where the config names none; [`Options::ANY`] stands
    /// alone. Each name is one that Linux could give to an interface, and none comes twice.
    pub interfaces: Vec<String>,
    /// `BufferSize`: the kernel's memory for packets of each capture.
    pub buffer_size: BufferSize,
    /// `StateDir`: the folder for what must survive the daemon; an absolute path.
    pub state_dir: String,
    /// `Record`: the folder for recordings, an absolute path; `None` where nothing is recorded.
    pub record: Option<String>,
    /// `RecordSize`: how much a recording may take on disk.
    pub record_size: RecordSize,
    /// `OnStop`: what becomes of open doors when the daemon is stopped.
    pub on_stop: OnStop,
    /// `max_attempts` (S14): pairs of source and door that are remembered, 1 to 16,777,216.
    pub max_attempts: u32,
    /// `max_leases` (S14): doors that are held open at a time, 1 to 16,777,216.
    pub max_leases: u32,
    /// `max_commands`: start and check commands that run side by side, 1 to 1,024; as many stop
    /// commands run beside them.
    pub max_commands: u16,
    /// `command_timeout`: how long a command may take; above zero.
    pub command_timeout: Duration,
}

impl Options {
    /// The name that stands for all interfaces.
    pub const ANY: &'static str = "any";
    /// The default of `LogLimit`.
    pub const DEFAULT_LOG_LIMIT: u32 = 20;
    /// The largest `LogLimit`.
    pub const MAX_LOG_LIMIT: u32 = 1_000_000;
    /// The default of `StateDir`.
    pub const DEFAULT_STATE_DIR: &'static str = "/var/lib/knockd";
    /// The default of `max_attempts` (S14).
    pub const DEFAULT_MAX_ATTEMPTS: u32 = 1_048_576;
    /// The default of `max_leases` (S14).
    pub const DEFAULT_MAX_LEASES: u32 = 65_536;
    /// The largest value of `max_attempts` and of `max_leases`.
    pub const MAX_TABLE: u32 = 16_777_216;
    /// The default of `max_commands`.
    pub const DEFAULT_MAX_COMMANDS: u16 = 16;
    /// The largest `max_commands`.
    pub const MAX_COMMANDS: u16 = 1024;
    /// The default of `command_timeout`.
    pub const DEFAULT_COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
}

impl Default for Options {
    fn default() -> Self {
        Self {
            use_syslog: false,
            log_file: None,
            log_format: LogFormat::default(),
            log_limit: Self::DEFAULT_LOG_LIMIT,
            pid_file: None,
            interfaces: Vec::new(),
            buffer_size: BufferSize::default(),
            state_dir: Self::DEFAULT_STATE_DIR.to_owned(),
            record: None,
            record_size: RecordSize::default(),
            on_stop: OnStop::default(),
            max_attempts: Self::DEFAULT_MAX_ATTEMPTS,
            max_leases: Self::DEFAULT_MAX_LEASES,
            max_commands: Self::DEFAULT_MAX_COMMANDS,
            command_timeout: Self::DEFAULT_COMMAND_TIMEOUT,
        }
    }
}

/// What a line of the log looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LogFormat {
    /// As knockd 0.8 writes it: `[2026-11-22 07:44] 192.0.2.7: ssh: OPEN SESAME`.
    #[default]
    Knockd,
    /// For people, with milliseconds, reasons and margins.
    Rfc3339,
    /// For programs: one JSON object a line.
    Json,
}

impl LogFormat {
    /// All of them, as a config names them.
    pub const NAMED: [(&'static str, Self); 3] =
        [("knockd", Self::Knockd), ("rfc3339", Self::Rfc3339), ("json", Self::Json)];

    /// Returns the name that a config uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Knockd => "knockd",
            Self::Rfc3339 => "rfc3339",
            Self::Json => "json",
        }
    }
}

/// What becomes of open doors when the daemon is stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnStop {
    /// They are closed; those whose stop commands take too long, by the next daemon.
    #[default]
    Close,
    /// They stay open. The next daemon closes them when their time is over.
    Keep,
}

impl OnStop {
    /// Both, as a config names them.
    pub const NAMED: [(&'static str, Self); 2] = [("close", Self::Close), ("keep", Self::Keep)];

    /// Returns the name that a config uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Close => "close",
            Self::Keep => "keep",
        }
    }
}

/// The kernel's memory for packets that a capture has not fetched yet: 64 KiB to 1 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BufferSize(u32);

impl BufferSize {
    /// The least there can be: 64 KiB.
    pub const LEAST: Self = Self(64 << 10);
    /// The most there can be: 1 GiB.
    pub const MOST: Self = Self(1 << 30);

    /// Makes a size of bytes; `None` where it is out of range.
    #[must_use]
    pub const fn new(bytes: u32) -> Option<Self> {
        if bytes >= Self::LEAST.0 && bytes <= Self::MOST.0 { Some(Self(bytes)) } else { None }
    }

    /// Returns the bytes.
    #[must_use]
    pub const fn bytes(self) -> u32 {
        self.0
    }
}

impl Default for BufferSize {
    /// Returns 8 MiB.
    fn default() -> Self {
        Self(8 << 20)
    }
}

/// How much a recording may take on disk: 1 MiB to 1 TiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordSize(u64);

impl RecordSize {
    /// The least there can be: 1 MiB.
    pub const LEAST: Self = Self(1 << 20);
    /// The most there can be: 1 TiB.
    pub const MOST: Self = Self(1 << 40);

    /// Makes a size of bytes; `None` where it is out of range.
    #[must_use]
    pub const fn new(bytes: u64) -> Option<Self> {
        if bytes >= Self::LEAST.0 && bytes <= Self::MOST.0 { Some(Self(bytes)) } else { None }
    }

    /// Returns the bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl Default for RecordSize {
    /// Returns 64 MiB.
    fn default() -> Self {
        Self(64 << 20)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_that_of_its_value() {
        assert!(LogFormat::NAMED.iter().all(|(name, value)| value.name() == *name));
        assert!(OnStop::NAMED.iter().all(|(name, value)| value.name() == *name));
    }

    #[test]
    fn a_recording_has_a_range() {
        let bytes = |bytes| RecordSize::new(bytes).map(RecordSize::bytes);
        assert_eq!(bytes((1 << 20) - 1), None);
        assert_eq!(bytes(1 << 20), Some(1 << 20));
        assert_eq!(bytes(1 << 40), Some(1 << 40));
        assert_eq!(bytes((1 << 40) + 1), None);
    }

    #[test]
    fn a_buffer_has_a_range() {
        let bytes = |bytes| BufferSize::new(bytes).map(BufferSize::bytes);
        assert_eq!(bytes(65_535), None);
        assert_eq!(bytes(65_536), Some(65_536));
        assert_eq!(bytes(1_073_741_824), Some(1_073_741_824));
        assert_eq!(bytes(1_073_741_825), None);
    }
}
