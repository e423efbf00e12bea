//! The record of what was skipped.

use super::error::{Damage, Position, Skipped};

/// The damaged stretches of a trace that were skipped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SkipLog {
    kept: Vec<Skipped>,
    count: u64,
    bytes: u64,
    /// The end of the last stretch, kept or not.
    end: Option<Position>,
}

impl SkipLog {
    /// How many stretches are kept; those beyond are only counted.
    pub const LIMIT: usize = 1_000;

    /// Returns the first [`Self::LIMIT`] stretches, in the order of the trace.
    #[must_use]
    pub fn stretches(&self) -> &[Skipped] {
        &self.kept
    }

    /// Returns how many stretches there were. Stretches that touch count as one.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns how many bytes were skipped in all.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes a stretch down; one that begins where the last ended makes that longer.
    pub(super) fn push(&mut self, position: Position, bytes: u64, cause: Damage) {
        self.bytes += bytes;
        let end = Position { byte: position.byte + bytes, ..position };
        if self.end.replace(end) != Some(position) {
            self.count += 1;
            if self.kept.len() < Self::LIMIT {
                self.kept.push(Skipped { position, bytes, cause });
            }
        } else if self.count == self.kept.len() as u64
            && let Some(last) = self.kept.last_mut()
        {
            last.bytes += bytes;
        }
    }
}
