//! From a message to a line.

use jiff::tz::TimeZone;
pub use knock_engine::config::LogFormat as Format;
use knock_engine::time::Timestamp;

use super::message::{Message, Severity};
use super::stamp::LocalClock;
use super::{json, knockd, rfc3339};

/// How much is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verbosity {
    /// What changes something.
    #[default]
    Normal,
    /// Also what changes nothing, such as strays (`-v`).
    Verbose,
    /// Also the ports of knocks, which are a secret (`-D`).
    Debug,
}

/// A line, complete but for its line break. No character in it does more than appear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The line.
    pub text: String,
    /// How bad it is.
    pub severity: Severity,
    /// Where what follows the stamp begins, for a target that has stamps of its own.
    pub(super) body: usize,
}

impl Line {
    /// Returns the line without its stamp, as syslog gets it.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.text[self.body..]
    }
}

/// Makes lines of messages.
#[derive(Clone, Debug)]
pub struct Formatter {
    format: Format,
    verbosity: Verbosity,
    local: LocalClock,
    utc: knock_frontend::format::Clock,
}

impl Formatter {
    /// Makes a formatter whose stamps are of this time zone; those of JSON are always UTC.
    #[must_use]
    pub fn new(format: Format, verbosity: Verbosity, zone: TimeZone) -> Self {
        let utc = knock_frontend::format::Clock::default();
        Self { format, verbosity, local: LocalClock::new(zone), utc }
    }

    /// Finds out the system's time zone anew.
    pub fn refresh_zone(&mut self) {
        self.local = LocalClock::new(TimeZone::system());
    }

    /// Makes the line of a message that happened when the wall clock showed `wall`.
    #[must_use]
    pub fn line(&mut self, message: &Message, wall: Timestamp) -> Line {
        let mut text = String::with_capacity(128);
        let body = match self.format {
            Format::Knockd => {
                text.push('[');
                self.local.append_minute(wall, &mut text);
                text.push_str("] ");
                let body = text.len();
                knockd::append(&mut text, message, self.verbosity);
                body
            }
            Format::Rfc3339 => {
                self.local.append_rfc3339(wall, &mut text);
                text.push(' ');
                let body = text.len();
                rfc3339::append(&mut text, message, self.verbosity);
                body
            }
            Format::Json => {
                let at = self.utc.rfc3339(wall);
                let from = json::stepped_from(message, wall).map(|from| self.utc.rfc3339(from));
                text = json::line(message, &json::Stamps { at: &at, from }, self.verbosity);
                0
            }
        };
        Line { text, severity: message.what.severity(), body }
    }
}

/// The most bytes of a command, of a line that a command printed or of a sentence that one line of
/// the log holds.
const MAX_FOREIGN: usize = 4096;

/// Cuts a text that is too long for a line, and says so.
pub(super) fn cut(text: &str) -> std::borrow::Cow<'_, str> {
    if text.len() <= MAX_FOREIGN {
        return text.into();
    }
    let kept = &text[..text.floor_char_boundary(MAX_FOREIGN)];
    format!("{kept}... ({} bytes more)", text.len() - kept.len()).into()
}
