//! A target with a thread that writes to it, so that nobody else ever waits for it.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use knock_engine::time::Timestamp;

use super::format::{Formatter, Line};
use super::message::{Message, Severity, What};
use super::target::{OpenError, Output, Target};

/// The most lines that wait.
const MAX_LINES: usize = 4096;
/// The most bytes that wait.
const MAX_BYTES: usize = 1 << 20;

/// A target and its thread. The thread ends when the sink is dropped and all is written.
#[derive(Debug)]
pub struct Sink {
    target: Target,
    shared: Arc<Shared>,
}

impl Sink {
    /// Opens a target and starts its thread.
    ///
    /// `formatter` makes the lines in which the sink speaks for itself: how many lines were lost.
    ///
    /// # Errors
    ///
    /// Fails where the target cannot be opened, or no thread can be started.
    pub fn open(target: Target, formatter: Formatter) -> Result<Self, SinkError> {
        let output = target.open()?;
        let shared = Arc::new(Shared::default());
        let writer = Writer {
            target: target.clone(),
            shared: Arc::clone(&shared),
            output,
            formatter,
            lost: 0,
            reason: String::new(),
        };
        let thread = thread::Builder::new().name("log".to_owned());
        thread.spawn(move || writer.run()).map_err(SinkError::Thread)?;
        Ok(Self { target, shared })
    }

    /// Returns where the lines go.
    #[must_use]
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// Hands a line over, or counts it where too many wait already. It never waits itself.
    ///
    /// Returns what has to be told elsewhere: that lines are being lost here.
    pub(super) fn push(&self, line: Line) -> Option<String> {
        let mut state = self.shared.lock();
        if state.lines.len() >= MAX_LINES || state.bytes + line.text.len() > MAX_BYTES {
            state.dropped += 1;
            if state.trouble.is_none() {
                let news = format!("{} takes no more lines for now: some are lost", self.target);
                state.trouble = Some(news.clone());
                return Some(news);
            }
        } else {
            state.bytes += line.text.len();
            state.lines.push_back(line);
            state.accepted += 1;
            self.shared.work.notify_one();
        }
        state.news.take()
    }

    /// Asks the thread to open the target anew before it writes on.
    pub(super) fn reopen(&self) {
        self.shared.lock().reopen = true;
        self.shared.work.notify_one();
    }

    /// Returns what is wrong with the target now.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.shared.lock().trouble.clone()
    }

    /// Waits until every line that was handed over is written or lost, or until the moment comes;
    /// tells whether it was the former.
    pub(super) fn flush(&self, until: Instant) -> bool {
        let mut state = self.shared.lock();
        let wanted = state.accepted;
        while state.settled < wanted {
            let patience = until.saturating_duration_since(Instant::now());
            if patience.is_zero() {
                return false;
            }
            let waited = self.shared.settled.wait_timeout(state, patience);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_one();
    }
}

/// Why a sink cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The target cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The system gives us no thread.
    #[error("can't start a thread for the log: {0}: raise the limit of processes (ulimit -u)")]
    Thread(io::Error),
}

/// What the sink and its thread share.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// There is something to do.
    work: Condvar,
    /// Lines were written or lost.
    settled: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Line>,
    bytes: usize,
    /// Lines that found no room, and that the thread does not know of yet.
    dropped: u64,
    /// How many lines found room, and how many of these are written or lost.
    accepted: u64,
    settled: u64,
    reopen: bool,
    closed: bool,
    /// What is wrong with the target.
    trouble: Option<String>,
    /// What is to be told elsewhere.
    news: Option<String>,
}

impl Shared {
    /// Nobody panics while holding the lock, and a log that is a little wrong beats none.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for something to do; `None` when there never will be.
    fn next(&self) -> Option<Work> {
        let mut state = self.lock();
        while state.lines.is_empty() && !state.reopen {
            if state.closed {
                return None;
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.bytes = 0;
        Some(Work {
            lines: std::mem::take(&mut state.lines),
            dropped: std::mem::take(&mut state.dropped),
            reopen: std::mem::take(&mut state.reopen),
        })
    }

    /// Tells whether a target that takes nothing has been waited for long enough.
    fn is_urgent(&self) -> bool {
        let state = self.lock();
        state.reopen || state.closed
    }
}

#[derive(Debug)]
struct Work {
    lines: VecDeque<Line>,
    dropped: u64,
    reopen: bool,
}

/// The thread.
struct Writer {
    target: Target,
    shared: Arc<Shared>,
    output: Output,
    formatter: Formatter,
    /// Lines that were lost and not told of yet.
    lost: u64,
    /// Why.
    reason: String,
}

impl Writer {
    fn run(mut self) {
        while let Some(mut work) = self.shared.next() {
            let handed_over = work.lines.len();
            if work.reopen
                && let Some(news) = self.reopen()
            {
                let line = self.say(What::Notice { severity: Severity::Error, text: news.clone() });
                work.lines.push_front(line);
                self.shared.lock().news = Some(news);
            }
            self.write(&work.lines);
            if work.dropped > 0 {
                // These came when the others were waiting already.
                self.lose(work.dropped, "they came faster than they could be written");
                self.write(&VecDeque::new());
            }
            let mut state = self.shared.lock();
            state.settled += u64::try_from(handed_over).unwrap_or(u64::MAX);
            drop(state);
            self.shared.settled.notify_all();
        }
    }

    /// Opens the target anew; where that fails, the old one is kept, and the reason returned.
    fn reopen(&mut self) -> Option<String> {
        self.formatter.refresh_zone();
        match self.target.open() {
            Ok(output) => {
                self.output = output;
                None
            }
            Err(error) => Some(format!("{error}; the log goes on where it went before")),
        }
    }

    /// Writes lines, before them how many were lost, and counts those that are lost now.
    fn write(&mut self, lines: &VecDeque<Line>) {
        let lost_line = (self.lost > 0)
            .then(|| self.say(What::Lost { lines: self.lost, reason: self.reason.clone() }));
        let told = usize::from(lost_line.is_some());
        let shared = &self.shared;
        let delivered = self.output.deliver(lost_line.iter().chain(lines), || shared.is_urgent());
        if delivered.lines >= told {
            self.lost = 0;
        }
        let mut state = self.shared.lock();
        let Some(error) = delivered.error else {
            state.trouble = None;
            return;
        };
        if state.trouble.is_none() {
            let news = format!("can't write to {}: {error}: lines are lost", self.target);
            state.news = Some(news.clone());
            state.trouble = Some(news);
        }
        drop(state);
        let missing = lines.len() - delivered.lines.saturating_sub(told);
        self.lose(u64::try_from(missing).unwrap_or(u64::MAX), &error.to_string());
    }

    fn lose(&mut self, lines: u64, reason: &str) {
        self.lost = self.lost.saturating_add(lines);
        reason.clone_into(&mut self.reason);
    }

    /// Makes a line of the sink's own, with the wall clock as it is now.
    fn say(&mut self, what: What) -> Line {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall = Timestamp::ZERO.saturating_add(since_epoch);
        self.formatter.line(&Message { at: wall, what }, wall)
    }
}
