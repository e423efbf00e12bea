//! What must hold for a trace of any bytes; the fuzz targets and the tests share it.

use std::io::{self, Read};

use knock_replay::trace::{Ending, OnDamage, TraceReader};

/// A frame with its own bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owned {
    pub(crate) nanos: u64,
    pub(crate) link_type: u32,
    pub(crate) captured: Vec<u8>,
    pub(crate) number: u64,
}

/// All that reading a trace gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) frames: Vec<Owned>,
    /// How it ended, or the error.
    pub(crate) end: Result<Ending, String>,
    /// Begin, length and cause of each stretch skipped.
    pub(crate) skipped: Vec<(u64, u64, String)>,
}

/// Reads a whole trace.
pub(crate) fn read(input: impl Read, on_damage: OnDamage) -> Outcome {
    let mut outcome = Outcome { frames: Vec::new(), end: Err(String::new()), skipped: Vec::new() };
    let mut reader = match TraceReader::new(input, "t", on_damage) {
        Ok(reader) => reader,
        Err(error) => {
            outcome.end = Err(error.to_string());
            return outcome;
        }
    };
    outcome.end = loop {
        match reader.next() {
            Ok(Some(frame)) => outcome.frames.push(Owned {
                nanos: frame.at.as_nanos(),
                link_type: frame.link_type,
                captured: frame.captured.to_vec(),
                number: frame.number,
            }),
            Ok(None) => break Ok(reader.ending().expect("a trace without an error has an ending")),
            Err(error) => break Err(error.to_string()),
        }
    };
    assert!(matches!(reader.next(), Ok(None)), "nothing comes behind the end");
    let stretches = reader.skipped().stretches();
    outcome.skipped.extend(
        stretches.iter().map(|skip| (skip.position.byte, skip.bytes, skip.cause.to_string())),
    );
    outcome
}

/// Gives one byte at a time and is interrupted before each.
pub(crate) struct Trickle<'a> {
    bytes: &'a [u8],
    interrupted: bool,
}

impl<'a> Trickle<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, interrupted: false }
    }
}

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let (Some((first, rest)), false) = (self.bytes.split_first(), buffer.is_empty()) else {
            return Ok(0);
        };
        buffer[0] = *first;
        self.bytes = rest;
        Ok(1)
    }
}

/// Checks what must hold for a trace of any bytes.
///
/// What is read up to the first damage must not depend on what is done about it. Of a trace that
/// is not compressed, it must not matter in which pieces the bytes come, and frames and skipped
/// stretches together cannot have more bytes than it. (Of a corrupt compressed stream the
/// decompressors give more or less, by the piece in which they find out.)
pub(crate) fn check(bytes: &[u8]) {
    let stopped = read(bytes, OnDamage::Stop);
    let resynced = read(bytes, OnDamage::Resync);
    assert!(
        resynced.frames.starts_with(&stopped.frames),
        "what stands before the damage is read the same"
    );
    assert_eq!(stopped.skipped, [], "nothing is skipped unless asked");
    if stopped.end.is_ok() {
        assert_eq!(stopped, resynced, "without damage there is nothing to skip");
    }
    if stopped.end.is_err() && resynced.end.is_ok() {
        assert_ne!(resynced.skipped, [], "damage is written down");
    }
    for (index, frame) in resynced.frames.iter().enumerate() {
        assert_eq!(frame.number, index as u64 + 1, "frames are numbered from 1");
    }
    if is_plain(bytes) {
        assert_eq!(read(Trickle::new(bytes), OnDamage::Stop), stopped, "pieces do not matter");
        assert_eq!(read(Trickle::new(bytes), OnDamage::Resync), resynced, "pieces do not matter");
        let frames: usize = resynced.frames.iter().map(|frame| frame.captured.len()).sum();
        let skipped: u64 = resynced.skipped.iter().map(|(_, bytes, _)| bytes).sum();
        assert!(frames as u64 + skipped <= bytes.len() as u64, "no byte is read twice");
    }
}

/// Tells whether these are the first bytes of a trace that is not compressed.
pub(crate) fn is_plain(bytes: &[u8]) -> bool {
    bytes.first_chunk().is_some_and(|magic| {
        let (big, little) = (u32::from_be_bytes(*magic), u32::from_le_bytes(*magic));
        [0xa1b2_c3d4, 0xa1b2_3c4d, 0x0a0d_0d0a].iter().any(|it| [big, little].contains(it))
    })
}
