//! One trace, frame by frame.

use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::ops::Range;
use std::path::Path;

use knock_engine::time::Timestamp;

use super::compression::{Compression, Fault, Input};
use super::error::{Damage, Layer, Position, TraceError};
use super::feed::{Feed, MAGIC_BYTES};
use super::pcap::{self, Pcap};
use super::pcapng::{self, PcapNg};
use super::skips::SkipLog;
use super::step::{Anchor, Record, Step, View};
use super::window::Window;
use super::{Ending, Format, Frame, OnDamage, Sieve, open};

/// The buffer of a trace, in bytes: large enough to make reads cheap, small enough for the cache.
pub(super) const BUFFER: usize = 256 << 10;
/// The search behind damage gives up bytes in pieces of this size.
const SEARCH_PIECE: usize = 64 << 10;

/// Reads one trace.
///
/// After the last frame [`Self::next`] returns `None` again and again, and [`Self::ending`] tells
/// how the trace ended. After an error it returns `None` too.
pub struct TraceReader<R: Read> {
    window: Window<R>,
    parser: Parser,
    name: String,
    /// The length of the file, where it has one.
    file_bytes: Option<u64>,
    trace: usize,
    on_damage: OnDamage,
    head: Head,
    state: State,
    skips: SkipLog,
    tells_notes: bool,
}

/// The frame read last, as a place in the window.
struct Head {
    at: Timestamp,
    link_type: u32,
    original: u32,
    place: Range<usize>,
    number: u64,
}

/// Whether more frames may come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    Ended(Ending),
    Failed,
}

/// Whoever splits the bytes into records.
enum Parser {
    /// Nobody: the trace ends within its header.
    None,
    Pcap(Pcap),
    PcapNg(PcapNg),
}

impl TraceReader<File> {
    /// Opens the trace at `path`; `-` is standard input. Waits for its first bytes.
    ///
    /// # Errors
    ///
    /// The file cannot be opened or read, is empty, or is no capture.
    pub fn open(path: &Path, on_damage: OnDamage) -> Result<Self, TraceError> {
        Self::open_as(path, on_damage, 0, BUFFER)
    }

    /// Opens a trace as the one at place `trace` among several, with a buffer of `capacity` bytes.
    pub(super) fn open_as(
        path: &Path,
        on_damage: OnDamage,
        trace: usize,
        capacity: usize,
    ) -> Result<Self, TraceError> {
        let open::Opened { file, name, bytes } = open::open(path)?;
        let mut reader = Self::with_capacity(file, name, on_damage, capacity)?;
        reader.file_bytes = bytes;
        reader.place_at(trace);
        Ok(reader)
    }
}

impl<R: Read> TraceReader<R> {
    /// Reads a trace from `input`; `name` stands in messages. Waits for its first bytes.
    ///
    /// # Errors
    ///
    /// As [`TraceReader::open`].
    pub fn new(input: R, name: &str, on_damage: OnDamage) -> Result<Self, TraceError> {
        Self::with_capacity(input, open::printable(name), on_damage, BUFFER)
    }

    fn with_capacity(
        input: R,
        name: String,
        on_damage: OnDamage,
        capacity: usize,
    ) -> Result<Self, TraceError> {
        let input = match Input::new(Feed::new(input)) {
            Ok(input) => input,
            Err(source) => {
                let position = Position { byte: 0, layer: Layer::File };
                return Err(TraceError::Read { trace: name, position, source });
            }
        };
        let mut reader = Self {
            window: Window::new(input, capacity),
            parser: Parser::None,
            name,
            file_bytes: None,
            trace: 0,
            on_damage,
            head: Head { at: Timestamp::ZERO, link_type: 0, original: 0, place: 0..0, number: 0 },
            state: State::Reading,
            skips: SkipLog::default(),
            tells_notes: false,
        };
        reader.begin()?;
        Ok(reader)
    }

    /// Returns the next frame, or `None` behind the last.
    ///
    /// # Errors
    ///
    /// The trace is damaged (with [`OnDamage::Stop`]), or the operating system cannot read on.
    /// Every frame before that place has been returned then.
    #[expect(clippy::should_implement_trait, reason = "the frame borrows from the reader")]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, TraceError> {
        Ok(if self.advance()? { Some(self.frame()) } else { None })
    }

    /// Returns the next frame that the sieve stops at, or `None` behind the last.
    ///
    /// # Errors
    ///
    /// As [`Self::next`].
    #[inline]
    pub fn find(&mut self, sieve: &mut impl Sieve) -> Result<Option<Frame<'_>>, TraceError> {
        loop {
            if self.sweep(sieve) {
                return Ok(Some(self.frame()));
            }
            if !self.advance()? {
                return Ok(None);
            }
            if sieve.stops_at(&self.frame()) {
                return Ok(Some(self.frame()));
            }
        }
    }

    /// Goes to the next frame that the sieve stops at, as far as that is a matter of plain records that are in
    /// memory; tells whether it got there.
    #[inline]
    fn sweep(&mut self, sieve: &mut impl Sieve) -> bool {
        let Parser::Pcap(parser) = &mut self.parser else { return false };
        if self.state != State::Reading {
            return false;
        }
        let (trace, link_type, first) = (self.trace, parser.link_type(), self.head.number + 1);
        let sweep = parser.sweep(self.window.view().bytes, |at, (captured, original), passed| {
            let number = first + passed;
            sieve.stops_at(&Frame { at, link_type, captured, original, number, trace })
        });
        self.window.consume(sweep.passed, 0..0);
        self.head.number += sweep.records;
        match sweep.found {
            Some(record) => {
                self.take(&record);
                true
            }
            None => false,
        }
    }

    /// Returns how the trace ended: `None` while it has not, or if it ended in an error.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        match self.state {
            State::Ended(ending) => Some(ending),
            State::Reading | State::Failed => None,
        }
    }

    /// Returns the trace's name for messages: its path or `standard input`, fit for a terminal.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the trace's format; `None` where it ends within the header that would tell.
    #[must_use]
    pub fn format(&self) -> Option<Format> {
        match self.parser {
            Parser::None => None,
            Parser::Pcap(_) => Some(Format::Pcap),
            Parser::PcapNg(_) => Some(Format::PcapNg),
        }
    }

    /// Returns how the trace is compressed.
    #[must_use]
    pub fn compression(&self) -> Compression {
        self.window.input().compression()
    }

    /// Returns how far the next record lies from the beginning, after decompression.
    #[must_use]
    pub fn position(&self) -> Position {
        let layer = match self.compression() {
            Compression::Plain => Layer::File,
            Compression::Gzip | Compression::Zstd | Compression::Lz4 => Layer::Decompressed,
        };
        Position { byte: self.window.offset(), layer }
    }

    /// Returns how many bytes of the file were read, and how many it has where that is known.
    #[must_use]
    pub fn progress(&self) -> (u64, Option<u64>) {
        (self.window.input().file_position(), self.file_bytes)
    }

    /// Returns the addresses of the capturing interfaces, as far as the trace has told so far.
    ///
    /// Only a pcapng tells. The list only grows, in the order of the trace, each address once.
    #[must_use]
    pub fn local_addresses(&self) -> &[IpAddr] {
        match &self.parser {
            Parser::PcapNg(parser) => parser.addresses(),
            Parser::None | Parser::Pcap(_) => &[],
        }
    }

    /// Returns the damaged stretches that were skipped.
    #[must_use]
    pub fn skipped(&self) -> &SkipLog {
        &self.skips
    }

    /// Returns the notes of a recording too, as frames.
    pub(super) fn tell_notes(&mut self) {
        self.tells_notes = true;
    }

    /// Makes this the trace at place `trace` among several.
    pub(super) fn place_at(&mut self, trace: usize) {
        self.trace = trace;
    }

    /// Returns the frame that [`Self::advance`] found.
    #[inline]
    pub(super) fn frame(&self) -> Frame<'_> {
        Frame {
            at: self.head.at,
            link_type: self.head.link_type,
            captured: self.window.at(self.head.place.clone()),
            original: self.head.original,
            number: self.head.number,
            trace: self.trace,
        }
    }

    /// Goes to the next frame; tells whether there is one.
    #[inline]
    pub(super) fn advance(&mut self) -> Result<bool, TraceError> {
        if self.state != State::Reading {
            return Ok(false);
        }
        loop {
            match self.parser.step(self.window.view()) {
                Step::Frame(record) => {
                    self.take(&record);
                    return Ok(true);
                }
                Step::Note(record) if self.tells_notes => {
                    let number = self.head.number;
                    self.take(&record);
                    self.head.number = number;
                    return Ok(true);
                }
                Step::Note(Record { size, .. }) | Step::Other { size } => {
                    self.window.consume(size, 0..0);
                }
                Step::More { need } => {
                    if !self.window.view().ended {
                        self.window.fill(need);
                    } else if self.end(need)? {
                        return Ok(false);
                    }
                }
                Step::Damaged { cause, size } => self.damaged(cause, size)?,
            }
        }
    }

    #[inline]
    fn take(&mut self, record: &Record) {
        self.head = Head {
            at: record.at,
            link_type: record.link_type,
            original: record.original,
            place: self.window.consume(record.size, record.from..record.to),
            number: self.head.number + 1,
        };
    }

    /// Finds the format by the first bytes after decompression and reads the header.
    fn begin(&mut self) -> Result<(), TraceError> {
        self.window.fill(MAGIC_BYTES);
        let Some(magic) = self.window.view().bytes.first_chunk::<MAGIC_BYTES>().copied() else {
            return self.refuse_stump();
        };
        if pcapng::is_magic(magic) {
            self.parser = Parser::PcapNg(PcapNg::new());
        } else if pcap::is_magic(magic) {
            self.window.fill(pcap::FILE_HEADER);
            if let Some(parser) = Pcap::new(self.window.view().bytes) {
                self.window.consume(pcap::FILE_HEADER, 0..0);
                self.parser = Parser::Pcap(parser);
            }
        } else {
            self.window.fill(open::SHOWN);
            return Err(open::not_a_capture(self.name.clone(), self.window.view().bytes));
        }
        Ok(())
    }

    /// Judges a trace of fewer bytes than tell a format.
    fn refuse_stump(&mut self) -> Result<(), TraceError> {
        let trace = self.name.clone();
        match self.window.take_fault() {
            Some(Fault::Io(source)) => {
                Err(TraceError::Read { trace, position: self.position(), source })
            }
            Some(Fault::Corrupt(message)) => Err(self.stream_damage(message).0),
            Some(Fault::Truncated) => {
                self.state = State::Ended(Ending::Truncated { offset: 0, missing: None });
                Ok(())
            }
            None if self.window.view().bytes.is_empty() => Err(TraceError::Empty { trace }),
            None => Err(open::not_a_capture(trace, self.window.view().bytes)),
        }
    }

    /// Ends the trace, of which `need` bytes were wanted and fewer are there; tells whether it
    /// has ended, or goes on behind damage.
    #[cold]
    fn end(&mut self, need: usize) -> Result<bool, TraceError> {
        if self.holds_records() {
            self.damaged(Damage::RunsPastEnd, None)?;
            return Ok(false);
        }
        let offset = self.window.offset();
        let left = self.window.view().bytes.len();
        let ending = match self.window.take_fault() {
            Some(Fault::Io(source)) => {
                self.state = State::Failed;
                let (trace, position) = (self.name.clone(), self.position());
                return Err(TraceError::Read { trace, position, source });
            }
            Some(Fault::Corrupt(message)) => {
                let (error, cause, position) = self.stream_damage(message);
                if self.on_damage == OnDamage::Stop {
                    self.state = State::Failed;
                    return Err(error);
                }
                self.skips.push(position, 0, cause);
                Ending::Complete
            }
            Some(Fault::Truncated) => Ending::Truncated { offset, missing: None },
            None if left == 0 => Ending::Complete,
            None => Ending::Truncated { offset, missing: Some((need - left) as u64) },
        };
        self.state = State::Ended(ending);
        Ok(true)
    }

    /// Describes damage to the compressed stream itself.
    fn stream_damage(&self, message: String) -> (TraceError, Damage, Position) {
        let position = Position { byte: self.window.input().file_position(), layer: Layer::File };
        let cause = Damage::Compression { format: self.compression().name(), message };
        let trace = self.name.clone();
        (TraceError::Damaged { trace, position, cause: cause.clone() }, cause, position)
    }

    /// Tells whether good records lie within what looks like one record cut off by the end.
    fn holds_records(&self) -> bool {
        let view = self.window.view();
        (1..view.bytes.len()).any(|at| self.parser.anchor(view, at) == Anchor::Good)
    }

    /// Gives up at damage, or skips it: `size` bytes if that is known, else up to the next place
    /// where reading can go on.
    #[cold]
    fn damaged(&mut self, cause: Damage, size: Option<usize>) -> Result<(), TraceError> {
        let position = self.position();
        if self.on_damage == OnDamage::Stop {
            self.state = State::Failed;
            return Err(TraceError::Damaged { trace: self.name.clone(), position, cause });
        }
        match size {
            Some(size) => {
                self.window.consume(size, 0..0);
            }
            None => self.search(),
        }
        self.skips.push(position, self.window.offset() - position.byte, cause);
        Ok(())
    }

    /// Consumes bytes up to the next place where reading can go on, at least one.
    fn search(&mut self) {
        let mut at = 1;
        loop {
            let view = self.window.view();
            if at >= view.bytes.len() && view.ended {
                self.window.consume(view.bytes.len(), 0..0);
                return;
            }
            // A place needs at least one byte to be looked at.
            let anchor = if at >= view.bytes.len() {
                Anchor::More { need: at + 1 }
            } else {
                self.parser.anchor(view, at)
            };
            match anchor {
                Anchor::Good => {
                    self.window.consume(at, 0..0);
                    return;
                }
                Anchor::More { need } => self.window.fill(need),
                Anchor::Bad if at < SEARCH_PIECE => at += 1,
                Anchor::Bad => {
                    self.window.consume(at, 0..0);
                    at = 1;
                }
            }
        }
    }
}

impl Parser {
    #[inline]
    fn step(&mut self, view: View<'_>) -> Step {
        match self {
            Self::Pcap(parser) => parser.step(view),
            Self::PcapNg(parser) => parser.step(view),
            Self::None => Step::More { need: pcap::FILE_HEADER },
        }
    }

    fn anchor(&self, view: View<'_>, at: usize) -> Anchor {
        match self {
            Self::Pcap(parser) => parser.anchor(view, at),
            Self::PcapNg(parser) => parser.anchor(view, at),
            Self::None => Anchor::Bad,
        }
    }
}
