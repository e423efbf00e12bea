//! From a path to a file, and from the first bytes to a good message.

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use super::error::TraceError;
use super::pcap;

/// The path that stands for standard input.
pub(super) const STANDARD_INPUT: &str = "-";
/// How many first bytes a message shows.
pub(super) const SHOWN: usize = 8;

/// A trace's file.
pub(super) struct Opened {
    pub(super) file: File,
    /// The name for messages.
    pub(super) name: String,
    /// Its length; `None` for pipes and devices.
    pub(super) bytes: Option<u64>,
}

/// Opens a file, or standard input for `-`.
pub(super) fn open(path: &Path) -> Result<Opened, TraceError> {
    let stdin = path.as_os_str() == STANDARD_INPUT;
    let name = if stdin { "standard input".to_owned() } else { printable(&path.to_string_lossy()) };
    let file = if stdin { standard_input() } else { File::open(path) };
    match file.and_then(|file| Ok((file.metadata()?, file))) {
        Ok((metadata, _)) if metadata.is_dir() => Err(TraceError::Directory { trace: name }),
        Ok((metadata, file)) => {
            Ok(Opened { file, name, bytes: metadata.is_file().then_some(metadata.len()) })
        }
        Err(source) => Err(TraceError::Open { trace: name, source }),
    }
}

/// Returns standard input without the buffer that `std` puts in front of it.
fn standard_input() -> io::Result<File> {
    Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}

/// Returns a name without the control characters that would act on a terminal.
pub(super) fn printable(name: &str) -> String {
    let mut clean = String::with_capacity(name.len());
    for character in name.chars() {
        if character.is_control() {
            clean.extend(character.escape_default());
        } else {
            clean.push(character);
        }
    }
    clean
}

/// Names what a file is that is no capture, by its first bytes after decompression.
pub(super) fn not_a_capture(trace: String, start: &[u8]) -> TraceError {
    let unsupported = |trace, format, hint| TraceError::Unsupported { trace, format, hint };
    match start {
        [a, b, c, d, ..] if pcap::is_modified_magic([*a, *b, *c, *d]) => unsupported(
            trace,
            "the modified pcap format (magic a1b2cd34)",
            "convert it with: tcpdump -r OLD -w NEW",
        ),
        [0xfd, b'7', b'z', b'X', ..] => {
            unsupported(trace, "xz", "decompress it into a pipe: xz -dc FILE | knock-replay ... -")
        }
        [b'B', b'Z', b'h', ..] => unsupported(
            trace,
            "bzip2",
            "decompress it into a pipe: bzip2 -dc FILE | knock-replay ... -",
        ),
        [b's', b'n', b'o', b'o', ..] => {
            unsupported(trace, "the snoop format", "convert it with: tcpdump -r OLD -w NEW")
        }
        _ => TraceError::NotACapture { trace, start: describe(start) },
    }
}

/// Writes the first bytes in hexadecimal and, as far as they are printable ASCII, as text.
fn describe(start: &[u8]) -> String {
    let start = &start[..start.len().min(SHOWN)];
    let mut text = String::new();
    for byte in start {
        let space = if text.is_empty() { "" } else { " " };
        // Writing to a string cannot fail.
        let _ = write!(text, "{space}{byte:02x}");
    }
    if !start.is_empty() && start.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        let _ = write!(text, " (\"{}\")", String::from_utf8_lossy(start));
    }
    text
}
