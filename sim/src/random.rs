//! Random numbers from a seed, the same on every machine.

/// A small generator (splitmix64). Whoever needs numbers of its own gets a [`fork`](Self::fork), so
/// that one more draw here does not change all draws there.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Makes one from a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Makes one whose numbers have nothing to do with the ones that follow here.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self(self.number() ^ 0x6a09_e667_f3bc_c909)
    }

    /// Returns the next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below this one, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        u64::try_from((u128::from(self.number()) * u128::from(end)) >> 64).unwrap_or(0)
    }

    /// Returns a number of a range, both ends included.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// Returns an index below this length, which is not 0.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// Is true this often in a thousand.
    pub fn chance(&mut self, per_mille: u32) -> bool {
        self.below(1000) < u64::from(per_mille)
    }

    /// Returns one of these, of which there is at least one.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.index(of.len())]
    }

    /// Returns a number between both ends, whose order of magnitude is what is drawn.
    pub fn span(&mut self, from: u64, to: u64) -> u64 {
        let (low, high) = (from.max(1).ilog2(), to.max(1).ilog2());
        let top = 1 << self.between(u64::from(low), u64::from(high));
        self.between(top, top.saturating_mul(2)).clamp(from, to)
    }
}
