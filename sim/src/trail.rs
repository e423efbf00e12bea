//! A hash of everything that happened, by which two runs of a seed are compared.

use std::hash::{Hash, Hasher};

/// The hash so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trail(u64);

impl Trail {
    /// Adds something that happened.
    pub fn add(&mut self, what: &impl Hash) {
        what.hash(self);
    }
}

impl Hasher for Trail {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 29;
    }
}
