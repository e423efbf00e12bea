//! One run: a config, its files, an interface, and a capture.

use std::net::IpAddr;

use knock_replay::knockd08::Families;

/// What knockd is started with, and what it then sees.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) config: Vec<u8>,
    /// Files by name, in the folder that knockd runs in.
    pub(super) files: Vec<(String, String)>,
    pub(super) local: Vec<IpAddr>,
    pub(super) families: Families,
    pub(super) capture: Capture,
}

/// A capture in memory.
#[derive(Clone, Debug)]
pub(super) struct Capture {
    pub(super) link_type: u32,
    pub(super) frames: Vec<Frame>,
}

/// A captured frame.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) at_ns: u64,
    pub(super) bytes: Vec<u8>,
}

/// What a run came to: lines in the oracle's format, and how knockd ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) lines: Vec<String>,
    /// `EXIT n` or `CRASH n`.
    pub(super) end: String,
    /// The one-time sequence files at the end, by name.
    pub(super) files: Vec<(String, String)>,
}

/// Tells whether a line of the oracle is a decision that the model makes too.
pub(super) fn is_decision(line: &str) -> bool {
    let event = line.split(' ').nth(2).unwrap_or_default();
    ["STAGE", "OPEN", "TIMEOUT", "EXEC", "SLEEP", "CMDTIMEOUT"].contains(&event)
}

impl Capture {
    /// Reads a pcap file: both byte orders, micro- and nanoseconds.
    pub(super) fn from_pcap(bytes: &[u8]) -> Self {
        let big = bytes[0] == 0xa1;
        let word = |at: usize| {
            let word: [u8; 4] = bytes[at..at + 4].try_into().unwrap();
            if big { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
        };
        let unit = if word(0) == 0xa1b2_3c4d { 1 } else { 1000 };
        let (mut at, mut frames) = (24, Vec::new());
        while at < bytes.len() {
            let length = usize::try_from(word(at + 8)).unwrap();
            let at_ns = u64::from(word(at)) * 1_000_000_000 + u64::from(word(at + 4)) * unit;
            frames.push(Frame { at_ns, bytes: bytes[at + 16..at + 16 + length].to_vec() });
            at += 16 + length;
        }
        Self { link_type: word(20), frames }
    }

    /// Writes a pcap file with microseconds.
    pub(super) fn to_pcap(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, self.link_type] {
            out.extend_from_slice(&u32::to_le_bytes(word));
        }
        for frame in &self.frames {
            let micros = frame.at_ns / 1000;
            let length = u64::try_from(frame.bytes.len()).unwrap();
            for word in [micros / 1_000_000, micros % 1_000_000, length, length] {
                out.extend_from_slice(&u32::try_from(word).unwrap().to_le_bytes());
            }
            out.extend_from_slice(&frame.bytes);
        }
        out
    }
}
