//! The thread that writes: the ledger's records and the marks of one-time files, in order.
//!
//! A disk that stalls holds up this thread and nothing else. Records that queue up while it waits
//! for the disk go there together, in one append with one sync.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel,
};
use std::thread;
use std::time::{Duration, Instant};

use knock_engine::config::Sequence;
use knock_frontend::notice::clause;
use knock_frontend::one_time;
use rustix::event::{EventfdFlags, eventfd};

use crate::ledger::{Ledger, Record, Storage};
use crate::supervisor::{Write, WriteId};

/// How many writes may wait. A sixteenth of the doors that may be open at once: whoever has to
/// wait behind so many finds the door shut anyway.
pub const MAX_WAITING: usize = 4096;
/// How many records go to the disk together.
const MAX_TOGETHER: usize = 256;

/// How a write went: `Err` holds a clause such as `no space left on device`, fit to follow
/// "the ledger can't be written: ".
pub type Answer = (WriteId, Result<(), String>);

/// The writing thread, as others see it. Its descriptor is readable while answers wait.
#[derive(Debug)]
pub struct Disk {
    jobs: SyncSender<(WriteId, Write)>,
    answers: Receiver<Answer>,
    /// For the answers that are given without the thread.
    refusals: VecDeque<Answer>,
    wake: Arc<OwnedFd>,
}

/// What [`Disk::close`] leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The answers that nobody took.
    pub answers: Vec<Answer>,
    /// Whether everything that was sent was tried, in time.
    pub is_finished: bool,
}

impl Disk {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// The system gives no thread or no descriptor.
    pub fn start<S: Storage + Send + 'static>(ledger: Ledger<S>) -> io::Result<Self> {
        Self::start_with(ledger, |path, line, sequence| {
            one_time::mark_used(path, line, sequence).map_err(|error| error.to_string())
        })
    }

    /// Starts the thread with another way to mark a line of a one-time file.
    ///
    /// # Errors
    ///
    /// The system gives no thread or no descriptor.
    pub fn start_with<S, M>(ledger: Ledger<S>, mark_used: M) -> io::Result<Self>
    where
        S: Storage + Send + 'static,
        M: FnMut(&Path, usize, &Sequence) -> Result<(), String> + Send + 'static,
    {
        let (jobs, waiting) = sync_channel(MAX_WAITING);
        let (answered, answers) = channel();
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let mut writer = Writer::new(ledger, mark_used);
        let waker = Arc::clone(&wake);
        let body = move || {
            writer.prepare();
            let mut next = waiting.recv().ok();
            while let Some(first) = next {
                let mut answer = |answer| {
                    // Nobody is there any more after a close that didn't wait to the end.
                    let _ = answered.send(answer);
                    wake_up(&waker);
                };
                next = writer.write(first, &mut || waiting.try_recv().ok(), &mut answer);
                next = next.or_else(|| waiting.recv().ok());
            }
        };
        thread::Builder::new().name("disk".to_owned()).spawn(body)?;
        Ok(Self { jobs, answers, refusals: VecDeque::new(), wake })
    }

    /// Hands a write over; never waits. Writes are carried out in the order in which they are
    /// sent. Each is answered once; where the queue is full, at once and out of turn.
    pub fn send(&mut self, id: WriteId, write: Write) {
        let reason = match self.jobs.try_send((id, write)) {
            Ok(()) => return,
            Err(TrySendError::Full(_)) => {
                format!("the disk is too slow: {MAX_WAITING} writes wait for it")
            }
            Err(TrySendError::Disconnected(_)) => "the thread that writes has ended".to_owned(),
        };
        self.refusals.push_back((id, Err(reason)));
        wake_up(&self.wake);
    }

    /// Returns the answers that have come since the last call, without waiting.
    pub fn take_answers(&mut self) -> Vec<Answer> {
        // Before the answers are taken, so that one that comes meanwhile wakes again.
        let mut count = [0; 8];
        let _ = rustix::io::read(&*self.wake, &mut count);
        self.refusals.drain(..).chain(self.answers.try_iter()).collect()
    }

    /// Lets the thread finish what was sent, and waits for that, but not for longer than this.
    #[must_use]
    pub fn close(self, limit: Duration) -> Closed {
        let Self { jobs, answers, refusals, .. } = self;
        drop(jobs);
        let mut closed = Closed { answers: refusals.into(), is_finished: false };
        let end = Instant::now() + limit;
        loop {
            match answers.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(answer) => closed.answers.push(answer),
                Err(RecvTimeoutError::Timeout) => return closed,
                Err(RecvTimeoutError::Disconnected) => {
                    closed.is_finished = true;
                    return closed;
                }
            }
        }
    }
}

impl AsFd for Disk {
    /// Borrows the descriptor to wait on.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

fn wake_up(wake: &OwnedFd) {
    // It fails only where the count is at its end, and then it is readable anyway.
    let _ = rustix::io::write(wake, &1u64.to_ne_bytes());
}

/// The thread's side: carries writes out, and answers each once.
#[derive(Debug)]
pub struct Writer<S, M> {
    ledger: Ledger<S>,
    mark_used: M,
}

/// Somebody who is told how writes went.
type Told<'a> = &'a mut dyn FnMut(Answer);

impl<S, M> Writer<S, M>
where
    S: Storage,
    M: FnMut(&Path, usize, &Sequence) -> Result<(), String>,
{
    /// Makes one that writes to this ledger, and marks lines of one-time files by `mark_used`.
    pub const fn new(ledger: Ledger<S>, mark_used: M) -> Self {
        Self { ledger, mark_used }
    }

    /// Does what would hold up the first write. A failure comes again with that, and is told then.
    pub fn prepare(&mut self) {
        let _ = self.ledger.prepare();
    }

    /// Carries out a write. Records that wait behind a record go to the disk with it, in one append
    /// with one sync; what else was found waiting is returned, to be the next.
    pub fn write(
        &mut self,
        (id, write): (WriteId, Write),
        waiting: &mut dyn FnMut() -> Option<(WriteId, Write)>,
        told: Told<'_>,
    ) -> Option<(WriteId, Write)> {
        let record = match write {
            Write::MarkUsed { path, line, sequence } => {
                told((id, (self.mark_used)(Path::new(&path), line, &sequence)));
                return None;
            }
            Write::Ledger(record) => record,
        };
        let (mut ids, mut records) = (vec![id], vec![record]);
        let mut next = None;
        while records.len() < MAX_TOGETHER {
            match waiting() {
                Some((id, Write::Ledger(record))) => {
                    ids.push(id);
                    records.push(record);
                }
                other => {
                    next = other;
                    break;
                }
            }
        }
        self.append(&ids, &records, told);
        next
    }

    fn append(&mut self, ids: &[WriteId], records: &[Record], told: Told<'_>) {
        match self.ledger.append(records) {
            Ok(()) => ids.iter().for_each(|&id| told((id, Ok(())))),
            Err(error) if records.len() == 1 => told((ids[0], Err(clause(&error)))),
            Err(_) => self.append_one_by_one(ids, records, told),
        }
    }

    /// Appends each record alone, since what there is no room for may be one of them only: an
    /// intent needs room, and nothing else does. What failed once is not tried with every other,
    /// so that a disk that is slow to fail holds nobody up for long.
    fn append_one_by_one(&mut self, ids: &[WriteId], records: &[Record], told: Told<'_>) {
        let (mut intents, mut others) = (Ok(()), Ok(()));
        for (&id, record) in ids.iter().zip(records) {
            let is_intent = matches!(record, Record::Intent { .. });
            let failed = if is_intent { &mut intents } else { &mut others };
            if failed.is_ok() {
                match self.ledger.append(std::slice::from_ref(record)) {
                    Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                        told((id, Err(clause(&error))));
                        continue;
                    }
                    outcome => *failed = outcome.map_err(|error| clause(&error)),
                }
            }
            told((id, failed.clone()));
        }
    }
}
