//! Several traces as one stream, by time stamp.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;

use knock_engine::time::Timestamp;

use super::error::TraceError;
use super::reader::{BUFFER, TraceReader};
use super::{Frame, OnDamage, Sieve, open};

/// What the buffers of many traces take together, in bytes; at least [`SMALLEST_BUFFER`] each.
const ALL_BUFFERS: usize = 4 << 20;
/// The smallest buffer of a trace, in bytes.
const SMALLEST_BUFFER: usize = 16 << 10;

/// Reads several traces as one stream.
///
/// Frames come in the order of their stamps; equal stamps come in the order of the traces. The
/// frames of one trace stay in its order: where its stamps step back, the frames behind the step
/// are not moved to the front. The first frame has to be known of every trace, so with a live
/// trace among them nothing comes before that trace's first frame.
pub struct Traces<R: Read = File> {
    readers: Vec<TraceReader<R>>,
    /// The next stamp of every trace that has a next frame, but for `current`.
    heads: BinaryHeap<Reverse<(Timestamp, usize)>>,
    /// The trace whose frame was returned last.
    current: Option<usize>,
    /// How many traces, from the first, were asked for their first frame.
    started: usize,
    addresses: Vec<IpAddr>,
    /// How many addresses of each trace are in `addresses`.
    taken: Vec<usize>,
}

impl Traces<File> {
    /// Opens the traces at `paths`, of which one may be `-`, standard input.
    ///
    /// # Errors
    ///
    /// As [`TraceReader::open`], for the first path that fails; or `-` is named twice.
    pub fn open<P: AsRef<Path>>(paths: &[P], on_damage: OnDamage) -> Result<Self, TraceError> {
        if paths.iter().filter(|path| path.as_ref().as_os_str() == open::STANDARD_INPUT).count() > 1
        {
            return Err(TraceError::StandardInputTwice);
        }
        let capacity = (ALL_BUFFERS / paths.len().max(1)).clamp(SMALLEST_BUFFER, BUFFER);
        let open = |(index, path): (usize, &P)| {
            TraceReader::open_as(path.as_ref(), on_damage, index, capacity)
        };
        Ok(Self::of(paths.iter().enumerate().map(open).collect::<Result<_, _>>()?))
    }
}

impl<R: Read> Traces<R> {
    /// Merges traces that are open; their frames are numbered by their place in `readers`.
    #[must_use]
    pub fn new(mut readers: Vec<TraceReader<R>>) -> Self {
        for (index, reader) in readers.iter_mut().enumerate() {
            reader.place_at(index);
        }
        Self::of(readers)
    }

    fn of(readers: Vec<TraceReader<R>>) -> Self {
        let taken = vec![0; readers.len()];
        Self {
            heads: BinaryHeap::with_capacity(readers.len()),
            readers,
            current: None,
            started: 0,
            addresses: Vec::new(),
            taken,
        }
    }

    /// Returns the next frame, or `None` behind the last frame of the last trace.
    ///
    /// # Errors
    ///
    /// As [`TraceReader::next`]. An error comes when its trace is read past the frame before the
    /// damage; calling again afterwards goes on with the other traces.
    #[expect(clippy::should_implement_trait, reason = "the frame borrows from a reader")]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, TraceError> {
        if self.readers.len() == 1 {
            return self.readers[0].next();
        }
        match self.select()? {
            Some(index) => Ok(Some(self.readers[index].frame())),
            None => Ok(None),
        }
    }

    /// Returns the next frame that the sieve stops at, or `None` behind the last frame of the last
    /// trace.
    ///
    /// # Errors
    ///
    /// As [`Self::next`].
    #[inline]
    pub fn find(&mut self, sieve: &mut impl Sieve) -> Result<Option<Frame<'_>>, TraceError> {
        if self.readers.len() == 1 {
            return self.readers[0].find(sieve);
        }
        while let Some(index) = self.select()? {
            if sieve.stops_at(&self.readers[index].frame()) {
                return Ok(Some(self.readers[index].frame()));
            }
        }
        Ok(None)
    }

    /// From now on, also returns the notes of daemons' recordings, as frames that
    /// [say so](Frame::is_note).
    pub fn tell_notes(&mut self) {
        self.readers.iter_mut().for_each(TraceReader::tell_notes);
    }

    /// Returns the traces, in their order, to be asked for names, endings and skipped stretches.
    #[must_use]
    pub fn readers(&self) -> &[TraceReader<R>] {
        &self.readers
    }

    /// Returns how many bytes of the files were read, and how many they have where that is known
    /// of all of them.
    #[must_use]
    pub fn progress(&self) -> (u64, Option<u64>) {
        let each = || self.readers.iter().map(TraceReader::progress);
        (each().map(|(read, _)| read).sum(), each().map(|(_, all)| all).sum())
    }

    /// Returns the addresses of the capturing interfaces, as far as the traces have told so far.
    ///
    /// The list only grows, so its length tells whether there is something new. It holds every
    /// address that the traces gave before the frame returned last.
    #[must_use]
    pub fn local_addresses(&self) -> &[IpAddr] {
        match self.readers.as_slice() {
            [single] => single.local_addresses(),
            _ => &self.addresses,
        }
    }

    /// Finds the trace with the earliest next frame.
    fn select(&mut self) -> Result<Option<usize>, TraceError> {
        while self.started < self.readers.len() {
            let index = self.started;
            self.started += 1;
            if self.advance(index)? {
                self.heads.push(Reverse((self.readers[index].frame().at, index)));
            }
        }
        // The last trace is taken out while it is read, so an error leaves the others in order.
        if let Some(index) = self.current.take()
            && self.advance(index)?
        {
            let head = (self.readers[index].frame().at, index);
            if self.heads.peek().is_none_or(|Reverse(other)| head <= *other) {
                self.current = Some(index);
                return Ok(self.current);
            }
            self.heads.push(Reverse(head));
        }
        self.current = self.heads.pop().map(|Reverse((_, index))| index);
        Ok(self.current)
    }

    /// Goes to the next frame of a trace and takes over the addresses that it tells.
    fn advance(&mut self, index: usize) -> Result<bool, TraceError> {
        let reader = &mut self.readers[index];
        let more = reader.advance()?;
        let addresses = reader.local_addresses();
        if addresses.len() > self.taken[index] {
            for address in &addresses[self.taken[index]..] {
                if !self.addresses.contains(address) {
                    self.addresses.push(*address);
                }
            }
            self.taken[index] = addresses.len();
        }
        Ok(more)
    }
}
