//! The recorder: what the doors saw and what came of it, kept in a ring of capture files.
//!
//! It records every packet that changed something, and notes of all else that the engine was told:
//! `knock-replay run` over the files gives the daemon's events again. The thread that decides only
//! hands things over, and never waits. Where they come faster than a disk takes them, or the disk
//! fails, a stretch of the recording is left out; the next file says how much is missing and begins
//! with everything that the engine knows then, so from there on the recording is whole again.

mod ring;
mod writer;

use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use jiff::tz::TimeZone;
use knock_engine::Engine;
use knock_engine::config::{Config, RecordSize};
use knock_engine::local::LocalAddresses;
use knock_engine::snapshot::Snapshot;
use knock_engine::time::Timestamp;
use knock_engine::wire::LinkType;
use knock_frontend::files::{Files, RealFiles};
use knock_frontend::recording::Note;
use serde_json::value::RawValue;

pub use self::ring::{RecorderError, Ring};
pub use self::writer::Writer;
use crate::log::{Format, Formatter, Message, Verbosity, What};

/// How many packets and notes wait for the thread, at most.
pub const QUEUE: usize = 4096;
/// How many files a recording has when it is full. One eighth of it is lost at a time.
const FILES: u64 = 8;
/// The bytes that a place of the engine's may take in the note at a file's beginning. So many
/// places are written there that they take half a file at most.
const PLACE_BYTES: u64 = 256;
/// How long to wait before a new file is begun after one that failed.
const PAUSE: Duration = Duration::from_secs(5);

/// Brings items to whoever writes them, in order.
pub trait Carrier {
    /// Takes an item; never waits. Tells whether there was room for it.
    fn carry(&mut self, item: Item) -> bool;

    /// Sees that all of them are written, but waits no longer than this.
    fn finish(self: Box<Self>, patience: Duration);
}

/// The way to the thread that writes.
struct ToThread {
    items: SyncSender<Item>,
    /// Ends with the thread.
    ended: Receiver<()>,
}

impl Carrier for ToThread {
    fn carry(&mut self, item: Item) -> bool {
        self.items.try_send(item).is_ok()
    }

    fn finish(self: Box<Self>, patience: Duration) {
        let Self { items, ended } = *self;
        drop(items);
        // Nothing is ever sent: it is over, or it takes too long.
        let _ = ended.recv_timeout(patience);
    }
}

/// Hands over what is to be recorded.
pub struct Recorder {
    carrier: Box<dyn Carrier>,
    shared: Arc<Shared>,
    formatter: Formatter,
    /// How large a file gets.
    file_bytes: u64,
    started: Timestamp,
    /// The number of the next file.
    number: u64,
    /// How many events the file at hand has told.
    events: u64,
    /// What was not handed over since the file at hand ended.
    lost: u64,
    state: State,
}

/// Whether there is a file to write to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Recording,
    /// A new file is to be begun from this time on.
    Waiting(Timestamp),
}

/// What the thread that decides and the one that writes both know.
#[derive(Debug, Default)]
pub struct Shared {
    told: Mutex<Told>,
}

/// What the thread has to tell.
#[derive(Debug, Default)]
struct Told {
    /// The number of the file that the thread is at; the rest is about it.
    number: u64,
    /// Its length.
    file_bytes: u64,
    /// What is to be logged.
    news: Option<String>,
    /// Whether it can't be written.
    has_failed: bool,
}

impl Shared {
    /// Nobody panics while holding the lock.
    fn lock(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something to record.
pub struct Item(Recorded);

impl Item {
    /// Tells whether a new file begins with it.
    #[must_use]
    pub const fn begins_file(&self) -> bool {
        matches!(self.0, Recorded::Begin(_))
    }
}

enum Recorded {
    Begin(Box<Beginning>),
    Note(Note),
    Packet { interface: Box<str>, link: LinkType, at: Timestamp, bytes: Box<[u8]> },
}

/// What a file begins with, before it is text: that takes the other thread's time.
struct Beginning {
    at: Timestamp,
    started: Timestamp,
    number: u64,
    lost: u64,
    config: Config,
    local: LocalAddresses,
    state: Snapshot,
}

impl Recorder {
    /// Opens a recording in a folder, which is made where only its last part is missing, and takes
    /// it for this daemon alone. Nothing is recorded before a file [begins](Self::begin).
    ///
    /// # Errors
    ///
    /// The folder can't be made or used, another daemon records there, or there is no thread.
    pub fn open(folder: &Path, size: RecordSize, now: Timestamp) -> Result<Self, RecorderError> {
        let ring = Ring::open(&RealFiles, folder, size.bytes())?;
        Self::with(ring, size, now, |mut writer| {
            let (items, queue) = mpsc::sync_channel(QUEUE);
            let (end, ended) = mpsc::channel();
            let thread = thread::Builder::new().name("recorder".to_owned());
            let body = move || {
                while let Ok(first) = queue.recv() {
                    writer.write_all(first, &mut || queue.try_recv().ok());
                }
                drop::<Sender<()>>(end);
            };
            thread.spawn(body).map_err(RecorderError::Thread)?;
            Ok(Box::new(ToThread { items, ended }))
        })
    }

    /// Makes one whose files somebody else writes: `employ` gets the writer, and returns the way to
    /// it.
    ///
    /// # Errors
    ///
    /// Those of `employ`.
    pub fn with<F: Files>(
        ring: Ring<F>,
        size: RecordSize,
        now: Timestamp,
        employ: impl FnOnce(Writer<F>) -> Result<Box<dyn Carrier>, RecorderError>,
    ) -> Result<Self, RecorderError> {
        let shared = Arc::new(Shared::default());
        let carrier = employ(Writer::new(ring, Arc::clone(&shared)))?;
        Ok(Self {
            carrier,
            shared,
            formatter: Formatter::new(Format::Json, Verbosity::Normal, TimeZone::UTC),
            file_bytes: size.bytes() / FILES,
            started: now,
            number: 0,
            events: 0,
            lost: 0,
            state: State::Waiting(now),
        })
    }

    /// Tells whether a new file is to begin.
    #[must_use]
    pub fn is_due(&mut self, now: Timestamp) -> bool {
        let told = self.shared.lock();
        // What is told of the file before does not make another one due.
        let is_current = told.number + 1 == self.number;
        let is_full = is_current && told.file_bytes >= self.file_bytes;
        let has_failed = is_current && told.has_failed;
        drop(told);
        match self.state {
            State::Recording if has_failed => {
                self.state = State::Waiting(now.saturating_add(PAUSE));
                false
            }
            State::Recording => is_full,
            State::Waiting(from) => from <= now,
        }
    }

    /// Begins a new file with all that the engine knows. Its outputs must have been taken.
    pub fn begin(&mut self, engine: &Engine, now: Timestamp) {
        let most = usize::try_from(self.file_bytes / 2 / PLACE_BYTES).unwrap_or(usize::MAX);
        let beginning = Beginning {
            at: now,
            started: self.started,
            number: self.number,
            lost: self.lost,
            config: engine.config(),
            local: engine.local_addresses().clone(),
            state: engine.snapshot(most),
        };
        self.state = State::Recording;
        if self.hand_over(Recorded::Begin(Box::new(beginning)), now) {
            self.number += 1;
            self.events = 0;
            self.lost = 0;
        }
    }

    /// Records a packet that changed something.
    pub fn packet(&mut self, interface: &str, (link, bytes): (LinkType, &[u8]), now: Timestamp) {
        self.hand_over(
            Recorded::Packet { interface: interface.into(), link, at: now, bytes: bytes.into() },
            now,
        );
    }

    /// Records something else that the engine was told.
    pub fn note(&mut self, note: Note) {
        let now = note.at();
        self.hand_over(Recorded::Note(note), now);
    }

    /// Records what is said about a command, and counts what is said about events.
    pub fn message(&mut self, message: &Message, now: Timestamp) {
        match &message.what {
            What::Event(_) => self.events += 1,
            What::Command { .. } => {
                let line = self.formatter.line(message, message.at).text;
                if let Ok(line) = RawValue::from_string(line) {
                    self.note(Note::Command { at: now, after: self.events, line });
                }
            }
            What::Notice { .. } | What::NotLogged { .. } | What::Lost { .. } => {}
        }
    }

    /// Returns what there is to log about the recording itself.
    #[must_use]
    pub fn take_news(&mut self) -> Option<String> {
        self.shared.lock().news.take()
    }

    /// Ends the recording, and waits a little until all of it is written.
    pub fn close(mut self, now: Timestamp, patience: Duration) {
        self.note(Note::End { at: now });
        self.carrier.finish(patience);
    }

    /// Hands something over; tells whether that was possible.
    fn hand_over(&mut self, item: Recorded, now: Timestamp) -> bool {
        if self.state != State::Recording {
            self.lost += 1;
            return false;
        }
        let is_taken = self.carrier.carry(Item(item));
        if !is_taken {
            self.lost += 1;
            self.state = State::Waiting(now.saturating_add(PAUSE));
        }
        is_taken
    }
}
