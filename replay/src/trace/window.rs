//! The one buffer of a trace.

use std::io::Read;
use std::ops::Range;

use super::compression::{Fault, Input};
use super::step::View;

/// The bytes of a trace that are in memory: read, but not yet consumed.
///
/// The buffer grows only for a record longer than itself; the callers bound what they ask for.
pub(super) struct Window<R: Read> {
    input: Input<R>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
    ended: bool,
    fault: Option<Fault>,
}

impl<R: Read> Window<R> {
    pub(super) fn new(input: Input<R>, capacity: usize) -> Self {
        Self {
            input,
            buffer: vec![0; capacity],
            start: 0,
            end: 0,
            offset: 0,
            ended: false,
            fault: None,
        }
    }

    /// Returns what is there.
    #[inline]
    pub(super) fn view(&self) -> View<'_> {
        View { bytes: &self.buffer[self.start..self.end], ended: self.ended }
    }

    /// Returns the offset, after decompression, of the first byte that is there.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn input(&self) -> &Input<R> {
        &self.input
    }

    /// Consumes `size` bytes and returns where, in the buffer, `range` of them lies.
    ///
    /// The place is good until the next call of [`Self::fill`].
    #[inline]
    pub(super) fn consume(&mut self, size: usize, range: Range<usize>) -> Range<usize> {
        let place = self.start + range.start..self.start + range.end;
        self.start += size;
        self.offset += size as u64;
        debug_assert!(self.start <= self.end, "no step is larger than what was there");
        place
    }

    /// Returns a place in the buffer that [`Self::consume`] told.
    #[inline]
    pub(super) fn at(&self, place: Range<usize>) -> &[u8] {
        &self.buffer[place]
    }

    /// Reads until `need` bytes are there or no more come.
    ///
    /// Each read takes what is ready and is not repeated once `need` is met: a live pipe is never
    /// waited for longer than the next record takes.
    #[cold]
    pub(super) fn fill(&mut self, need: usize) {
        if self.start > 0 {
            // What is left is the beginning of one record, so little is moved.
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.buffer.len() < need {
            self.buffer.resize(need.next_power_of_two(), 0);
        }
        while self.end < need && !self.ended {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(count) => self.end += count,
                Err(fault) => {
                    self.ended = true;
                    self.fault = Some(fault);
                }
            }
        }
    }

    /// Returns why the bytes ended, where that was not the end of the trace; at most once.
    pub(super) fn take_fault(&mut self) -> Option<Fault> {
        self.fault.take()
    }
}
