//! What a daemon's recording holds beside packets: the notes in it, and the names of its files.
//!
//! A recording is a ring of pcapng files. Their packets are those that changed something, stamped
//! with the engine's time; between them stand *notes*, blocks of a type for local use, in the order
//! in which things happened. The first block of each file, behind the section's header, is a note
//! with everything that the engine knew then, so each file can be replayed on its own. To programs
//! that don't know notes it is a capture like any other.

use std::net::IpAddr;

use knock_engine::config::{self, Config, OneTimeLine, Sequences};
use knock_engine::local::LocalAddresses;
use knock_engine::snapshot::Snapshot;
use knock_engine::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

/// The type of the blocks that hold notes, one of those that pcapng leaves to local use.
pub const BLOCK_TYPE: u32 = 0x8000_6b6e;

/// What the content of a note's block begins with. Behind it stands JSON, filled up with spaces to
/// whole words of four bytes.
const MAGIC: [u8; 8] = *b"sesame1 ";

/// Something that a recording tells beside packets.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// Everything that the engine knew when the file began.
    Begin(Box<Beginning>),
    /// A new config (S16).
    Config {
        /// When it was put in place.
        at: Timestamp,
        /// The config.
        config: ConfigText,
    },
    /// New local addresses (S4).
    LocalAddresses {
        /// When they were put in place.
        at: Timestamp,
        /// The addresses.
        addresses: Vec<IpAddr>,
    },
    /// Deadlines fired, and no packet brought it about.
    Wake {
        /// The engine's time then, at or behind these deadlines.
        at: Timestamp,
    },
    /// What became of a command.
    Command {
        /// When it was told.
        at: Timestamp,
        /// How many events of the engine the file told before it.
        after: u64,
        /// The line of the log, in the format `json`, with the engine's time.
        line: Box<RawValue>,
    },
    /// The daemon ended. A file without it was cut off, or is being written.
    End {
        /// When.
        at: Timestamp,
    },
}

impl Note {
    /// Returns when it was written.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        match self {
            Self::Begin(beginning) => beginning.at,
            Self::Config { at, .. }
            | Self::LocalAddresses { at, .. }
            | Self::Wake { at }
            | Self::Command { at, .. }
            | Self::End { at } => *at,
        }
    }

    /// Makes the content of a block.
    #[must_use]
    pub fn to_block(&self) -> Vec<u8> {
        let mut content = MAGIC.to_vec();
        // Neither a Vec nor any of these types refuses to be written.
        let _ = serde_json::to_writer(&mut content, self);
        content.resize(content.len().next_multiple_of(4), b' ');
        content
    }

    /// Reads the content of a block; `None` where it is somebody else's block of this type.
    ///
    /// # Errors
    ///
    /// It is a note, but not one that can be read.
    pub fn from_block(content: &[u8]) -> Option<Result<Self, NoteError>> {
        let text = content.strip_prefix(&MAGIC)?;
        Some(serde_json::from_slice(text).map_err(|error| NoteError(error.to_string())))
    }
}

/// A note that can't be read: it is damaged, or of a later version.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("a note of the recording can't be read (damaged, or of a later version?): {0}")]
pub struct NoteError(String);

/// Everything that an engine knew when a file began.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Beginning {
    /// When that was.
    pub at: Timestamp,
    /// Which daemon wrote it, and its version.
    pub program: String,
    /// When the daemon started; tells one run of it from another.
    pub started: Timestamp,
    /// The number of the file in this run, from 0.
    pub number: u64,
    /// How many packets and notes are missing between the file before and this one, because they
    /// came faster than they could be written, or could not be written.
    pub lost: u64,
    /// The config; of one-time files, the lines that were not used.
    pub config: ConfigText,
    /// The local addresses (S4).
    pub local_addresses: Vec<IpAddr>,
    /// Everything else.
    pub state: Snapshot,
}

/// A config as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigText {
    /// The config, with every default.
    pub text: String,
    /// The unused lines of one-time files (S12).
    pub one_time: Vec<OneTimeText>,
}

/// The unused lines of a door's one-time file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneTimeText {
    /// The door's number in the config, from 0.
    pub door: usize,
    /// The lines: their numbers in the file, from 1, and what they say.
    pub lines: Vec<(usize, String)>,
}

impl ConfigText {
    /// Writes a config down.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let one_time = config.doors.iter().enumerate().filter_map(|(door, its)| {
            let Sequences::OneTime { lines, .. } = &its.sequences else { return None };
            let lines = lines.iter().map(|line| (line.number, line.sequence.to_string()));
            Some(OneTimeText { door, lines: lines.collect() })
        });
        Self { text: config.to_string(), one_time: one_time.collect() }
    }

    /// Returns the config.
    ///
    /// # Errors
    ///
    /// It is none: the note is damaged, or of a version that knows other keys.
    pub fn config(&self) -> Result<Config, NoteError> {
        let parsed = config::parse(self.text.as_bytes());
        let problem = || parsed.diagnostics.first().map(ToString::to_string).unwrap_or_default();
        let mut config = parsed.config.clone().ok_or_else(|| NoteError(problem()))?;
        for its in &self.one_time {
            let lines = its.lines.iter().map(|(number, text)| {
                let (mut lines, _) = config::parse_one_time_lines(text.as_bytes());
                let line =
                    lines.pop().ok_or_else(|| NoteError(format!("line {number}: {text}")))?;
                Ok(OneTimeLine { number: *number, ..line })
            });
            let lines = lines.collect::<Result<_, NoteError>>()?;
            config.set_one_time_lines(its.door, lines);
        }
        Ok(config)
    }
}

/// Returns the addresses as a note has them; none where they are not known.
#[must_use]
pub fn addresses(local: &LocalAddresses) -> Vec<IpAddr> {
    match local {
        LocalAddresses::Unknown => Vec::new(),
        LocalAddresses::Known(addresses) => addresses.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_nanos(1_700_000_000_123_456_789);

    fn config() -> Config {
        let text = b"[options]\nRecord = /var/log/knock\n[a]\nsequence = 7000,8000:udp\n\
            [b]\none_time_sequences = b.seq\nstart_command = echo \"%IP%\"\n";
        let mut config = config::parse(text).config.unwrap();
        let (lines, _) = config::parse_one_time_lines(b"#1000\n2000,3000\n\n4000:udp,5000\n");
        config.set_one_time_lines(1, lines);
        config
    }

    #[test]
    fn a_config_survives_with_the_numbers_of_its_one_time_lines() {
        assert_eq!(ConfigText::of(&config()).config(), Ok(config()));
    }

    #[test]
    fn notes_fill_whole_words_and_come_back() {
        let line = RawValue::from_string("{\"event\": \"running\"}".to_owned()).unwrap();
        let config = ConfigText::of(&config());
        let beginning = Beginning {
            at: AT,
            program: "knockd".to_owned(),
            started: AT,
            number: 7,
            lost: 3,
            config: config.clone(),
            local_addresses: vec![[192, 0, 2, 1].into()],
            state: Snapshot { now: AT, ..Snapshot::default() },
        };
        let notes = [
            Note::Begin(Box::new(beginning)),
            Note::Config { at: AT, config },
            Note::LocalAddresses { at: AT, addresses: vec!["2001:db8::1".parse().unwrap()] },
            Note::Wake { at: AT },
            Note::Command { at: AT, after: 12, line },
            Note::End { at: AT },
        ];
        for note in notes {
            let block = note.to_block();
            assert_eq!(block.len() % 4, 0);
            assert_eq!(note.at(), AT);
            let back = Note::from_block(&block).unwrap().unwrap();
            assert_eq!(format!("{back:?}"), format!("{note:?}"));
        }
    }

    #[test]
    fn other_blocks_are_not_ours_and_damaged_notes_say_so() {
        assert!(Note::from_block(b"").is_none());
        assert!(Note::from_block(b"whatever").is_none());
        let told = Note::from_block(b"sesame1 {\"later\":1}").unwrap().unwrap_err().to_string();
        assert!(told.starts_with("a note of the recording can't be read"), "{told}");
        let text = ConfigText { text: "[a]\nsequense = 1\n".to_owned(), one_time: Vec::new() };
        let told = text.config().unwrap_err().to_string();
        assert!(told.contains("has no sequence"), "{told}");
    }
}
