//! How knockd 0.8 reads its config (R50-R56).
//!
//! This is the original's reading, not the engine's: it takes `7000x` for 7000, `15m` for 15
//! seconds and a trailing comma for a knock on port 0, and stops at the first line that it
//! refuses.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use knock_engine::packet::{Protocol, TcpFlags};
use thiserror::Error;

use super::one_time;
use super::text::{address_text, atoi, lossy, pieces, trim, upper};

/// The most knocks that a sequence can have.
const MAX_KNOCKS: usize = 32;
/// The most bytes of a section's name that are kept.
const MAX_NAME: usize = 127;

/// A config as knockd 0.8 understood it, with the text of its one-time sequence files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Knockd08Config {
    pub(super) doors: Vec<DoorConfig>,
    /// The one-time sequence files by their path as the config spells it.
    pub(super) files: BTreeMap<String, Vec<u8>>,
}

impl Knockd08Config {
    /// Reads a config as knockd does, line by line, until the first line that it refuses.
    ///
    /// `read_file` is asked for each one-time sequence file, by the path that the config gives,
    /// when its directive is met; `None` means that it can't be read. The files are never
    /// written: the crossing out of used lines happens on the copy in memory.
    ///
    /// # Errors
    ///
    /// Whatever makes knockd exit with status 1 at its start: the line and what it refuses.
    pub fn parse(
        text: &[u8],
        read_file: &mut dyn FnMut(&str) -> Option<Vec<u8>>,
    ) -> Result<Self, Knockd08Refusal> {
        let mut reader =
            Reader { section: Section::None, doors: Vec::new(), files: BTreeMap::new(), read_file };
        for (index, piece) in pieces(text).enumerate() {
            let line = u32::try_from(index + 1).unwrap_or(u32::MAX);
            reader.line(trim(piece.text), line).map_err(|what| Knockd08Refusal { line, what })?;
        }
        let doors = reader.doors.into_iter().map(DoorDraft::finish).collect::<Result<_, _>>()?;
        Ok(Self { doors, files: reader.files })
    }

    /// Returns the names of the doors, in the order of the config.
    pub fn door_names(&self) -> impl Iterator<Item = &str> {
        self.doors.iter().map(|door| &*door.name)
    }

    /// Returns the number of doors.
    #[must_use]
    pub fn door_count(&self) -> usize {
        self.doors.len()
    }
}

/// Where and why knockd refuses a config; it exits with status 1.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {what}")]
pub struct Knockd08Refusal {
    /// The line, counted from 1 as knockd counts: a line of more than 4,095 bytes counts once
    /// for each piece of that length.
    pub line: u32,
    /// What knockd refuses there.
    pub what: Refused,
}

/// The things that knockd refuses in a config.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// A directive stands before the first section.
    #[error("a directive before the first [section]")]
    OutsideSection,
    /// A section is called `[]` (R51).
    #[error("a section without a name")]
    EmptySectionName,
    /// A key that this kind of section doesn't know, or a key without `=` (R55).
    #[error("{0:?} is not a directive that this section takes in this form")]
    Directive(String),
    /// A port above 65535 (R52); a negative one is taken modulo 65536.
    #[error("port {0} is above 65535")]
    Port(i32),
    /// Something else than tcp or udp behind a knock's first colon (R53).
    #[error("{0:?} is no protocol of a knock; knockd knows tcp and udp")]
    Protocol(String),
    /// More than 32 knocks in a sequence (R52).
    #[error("more than {MAX_KNOCKS} knocks in a sequence")]
    TooManyKnocks,
    /// Something else than the six flags; knockd doesn't trim the blank of `syn, ack` (R54).
    #[error("{0:?} is no TCP flag; knockd takes fin syn rst psh ack urg, with no blank at a comma")]
    Flag(String),
    /// A door has neither `sequence` nor `one_time_sequences` (R55).
    #[error("door {0:?} has no sequence")]
    NoSequence(String),
    /// A file of one-time sequences can't be read.
    #[error("the one-time sequence file {0:?} cannot be read")]
    UnreadableFile(String),
    /// A file of one-time sequences has no line left that is valid (R45).
    #[error("the one-time sequence file {0:?} has no usable line")]
    NoUsableLine(String),
    /// A target that is not an address. knockd hands it to the resolver when it makes its filter
    /// and exits if that fails; if it succeeds, the door still never opens, since the target is
    /// compared as text (R35).
    #[error("target {0:?} is not an IP address; knockd would look it up, and never match it")]
    Target(String),
}

/// One section of the config that is a door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DoorConfig {
    pub(super) name: Arc<str>,
    pub(super) sequence: Sequence,
    /// The path of the file that the next sequence comes from after each opening.
    pub(super) one_time: Option<String>,
    pub(super) seq_timeout_s: i64,
    pub(super) flags: FlagSpec,
    pub(super) target: Option<Target>,
    pub(super) start: Option<Vec<u8>>,
    pub(super) start_6: Option<Vec<u8>>,
    pub(super) stop: Option<Vec<u8>>,
    pub(super) stop_6: Option<Vec<u8>>,
    pub(super) cmd_timeout_s: u32,
}

/// The knocks of a door, of which there is at least one and at most 32.
pub(super) type Sequence = Vec<Knock>;

/// One knock of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Knock {
    pub(super) port: u16,
    pub(super) protocol: Protocol,
}

/// A `target` (R35).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// What the filter looks for.
    pub(super) address: IpAddr,
    /// Whether the config spells it as knockd prints it; if not, no packet ever equals it.
    pub(super) canonical: bool,
}

impl Target {
    fn parse(value: &[u8]) -> Result<Self, Refused> {
        let text = lossy(value);
        let address = text.parse().ok().or_else(|| parse_padded_ipv4(&text));
        let address = address.ok_or_else(|| Refused::Target(text.clone()))?;
        Ok(Self { address, canonical: address_text(address) == text })
    }
}

/// Reads a dotted quad with leading zeros, which libpcap takes as decimal.
fn parse_padded_ipv4(text: &str) -> Option<IpAddr> {
    let mut octets = [0_u8; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        if part.is_empty() || part.len() > 3 || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        *octet = part.parse().ok()?;
    }
    parts.next().is_none().then(|| IpAddr::V4(Ipv4Addr::from(octets)))
}

/// What a door asks of the flags of a TCP packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FlagSpec {
    set: TcpFlags,
    clear: TcpFlags,
}

impl FlagSpec {
    /// Tells whether the door has no `tcpflags`.
    pub(super) fn is_empty(self) -> bool {
        self.set.is_empty() && self.clear.is_empty()
    }

    /// Tells whether a segment with these flags counts.
    pub(super) fn accepts(self, flags: TcpFlags) -> bool {
        flags.contains(self.set) && flags.intersection(self.clear).is_empty()
    }

    /// Adds one `tcpflags` line; the last mention of a flag wins (R54).
    fn add(&mut self, value: &[u8]) -> Result<(), Refused> {
        for word in upper(value).split(|&b| b == b',') {
            let (name, wanted) = match word.strip_prefix(b"!") {
                Some(name) => (name, false),
                None => (word, true),
            };
            let named = TcpFlags::NAMED
                .iter()
                .find(|(_, known)| known.as_bytes().eq_ignore_ascii_case(name))
                .ok_or_else(|| Refused::Flag(lossy(word)))?;
            let flag = named.0;
            self.set = if wanted { self.set.union(flag) } else { self.set.difference(flag) };
            self.clear = if wanted { self.clear.difference(flag) } else { self.clear.union(flag) };
        }
        Ok(())
    }
}

/// Reads the value of a `sequence`, or a line of a one-time sequence file (R52, R53).
pub(super) fn parse_sequence(value: &[u8]) -> Result<Sequence, Refused> {
    let mut sequence = Vec::new();
    for item in value.split(|&b| b == b',') {
        if sequence.len() == MAX_KNOCKS {
            return Err(Refused::TooManyKnocks);
        }
        sequence.push(parse_knock(item)?);
    }
    Ok(sequence)
}

fn parse_knock(item: &[u8]) -> Result<Knock, Refused> {
    let mut fields = item.split(|&b| b == b':');
    let port = atoi(fields.next().unwrap_or_default());
    if port > 65_535 {
        return Err(Refused::Port(port));
    }
    let port = u16::try_from(port.rem_euclid(65_536)).unwrap_or(u16::MAX);
    let protocol = match fields.next().map(trim) {
        None => Protocol::Tcp,
        Some(name) if name.eq_ignore_ascii_case(b"tcp") => Protocol::Tcp,
        Some(name) if name.eq_ignore_ascii_case(b"udp") => Protocol::Udp,
        Some(name) => return Err(Refused::Protocol(lossy(name))),
    };
    Ok(Knock { port, protocol })
}

/// The section that a line belongs to.
enum Section {
    None,
    Options,
    Door,
}

/// A door while its section is being read.
struct DoorDraft {
    line: u32,
    name: Arc<str>,
    sequence: Option<Sequence>,
    one_time: Option<String>,
    seq_timeout_s: i64,
    flags: FlagSpec,
    target: Option<Target>,
    start: Option<Vec<u8>>,
    start_6: Option<Vec<u8>>,
    stop: Option<Vec<u8>>,
    stop_6: Option<Vec<u8>>,
    cmd_timeout_s: u32,
}

impl DoorDraft {
    fn new(name: &[u8], line: u32) -> Self {
        Self {
            line,
            name: lossy(&name[..name.len().min(MAX_NAME)]).into(),
            sequence: None,
            one_time: None,
            seq_timeout_s: 25,
            flags: FlagSpec::default(),
            target: None,
            start: None,
            start_6: None,
            stop: None,
            stop_6: None,
            cmd_timeout_s: 10,
        }
    }

    fn finish(self) -> Result<DoorConfig, Knockd08Refusal> {
        let Some(sequence) = self.sequence else {
            let what = Refused::NoSequence(self.name.to_string());
            return Err(Knockd08Refusal { line: self.line, what });
        };
        Ok(DoorConfig {
            name: self.name,
            sequence,
            one_time: self.one_time,
            seq_timeout_s: self.seq_timeout_s,
            flags: self.flags,
            target: self.target,
            start: self.start,
            start_6: self.start_6,
            stop: self.stop,
            stop_6: self.stop_6,
            cmd_timeout_s: self.cmd_timeout_s,
        })
    }
}

struct Reader<'a> {
    section: Section,
    doors: Vec<DoorDraft>,
    files: BTreeMap<String, Vec<u8>>,
    read_file: &'a mut dyn FnMut(&str) -> Option<Vec<u8>>,
}

impl Reader<'_> {
    /// Reads one trimmed line.
    fn line(&mut self, line: &[u8], number: u32) -> Result<(), Refused> {
        if line.is_empty() || line.starts_with(b"#") {
            return Ok(());
        }
        if let Some(name) = line.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")) {
            return self.open_section(name, number);
        }
        let (key, value) = match line.iter().position(|&b| b == b'=') {
            Some(at) => (trim(&line[..at]), Some(trim(&line[at + 1..]))),
            None => (line, None),
        };
        if matches!(self.section, Section::None) {
            return Err(Refused::OutsideSection);
        }
        let key = upper(key);
        match (value, &self.section) {
            (None, _) if key == b"USESYSLOG" => Ok(()),
            (Some(value), Section::Door) => self.door_directive(&key, value),
            (Some(_), Section::Options)
                if matches!(key.as_slice(), b"LOGFILE" | b"PIDFILE" | b"INTERFACE") =>
            {
                Ok(())
            }
            (_, Section::None | Section::Options | Section::Door) => {
                Err(Refused::Directive(lossy(&key)))
            }
        }
    }

    fn open_section(&mut self, name: &[u8], number: u32) -> Result<(), Refused> {
        if name.is_empty() {
            return Err(Refused::EmptySectionName);
        }
        if name == b"options" {
            self.section = Section::Options;
        } else {
            self.section = Section::Door;
            self.doors.push(DoorDraft::new(name, number));
        }
        Ok(())
    }

    fn door_directive(&mut self, key: &[u8], value: &[u8]) -> Result<(), Refused> {
        let Some(door) = self.doors.last_mut() else { return Err(Refused::OutsideSection) };
        match key {
            b"SEQUENCE" => door.sequence = Some(parse_sequence(value)?),
            b"ONE_TIME_SEQUENCES" => return self.one_time_sequences(value),
            b"TIMEOUT" | b"SEQ_TIMEOUT" => door.seq_timeout_s = i64::from(atoi(value)),
            // sleep() takes an unsigned number: -1 waits for 4294967295 s.
            b"CMD_TIMEOUT" => door.cmd_timeout_s = atoi(value).cast_unsigned(),
            b"TCPFLAGS" => door.flags.add(value)?,
            b"TARGET" => door.target = Some(Target::parse(value)?),
            b"COMMAND" | b"START_COMMAND" => door.start = Some(value.to_vec()),
            b"COMMAND_6" | b"START_COMMAND_6" => door.start_6 = Some(value.to_vec()),
            b"STOP_COMMAND" => door.stop = Some(value.to_vec()),
            b"STOP_COMMAND_6" => door.stop_6 = Some(value.to_vec()),
            _ => return Err(Refused::Directive(lossy(key))),
        }
        Ok(())
    }

    /// Takes the first usable line of a file as the door's sequence (R44).
    fn one_time_sequences(&mut self, value: &[u8]) -> Result<(), Refused> {
        let path = lossy(value);
        if !self.files.contains_key(&path) {
            let text = (self.read_file)(&path);
            let text = text.ok_or_else(|| Refused::UnreadableFile(path.clone()))?;
            self.files.insert(path.clone(), text);
        }
        let text = self.files.get(&path).map_or(&[][..], Vec::as_slice);
        let first = one_time::first_usable(text);
        let first = first.ok_or_else(|| Refused::NoUsableLine(path.clone()))?;
        if let Some(door) = self.doors.last_mut() {
            door.sequence = Some(first);
            door.one_time = Some(path);
        }
        Ok(())
    }
}
