//! A small random generator, so that the same seed makes the same bytes on every machine.

/// The `SplitMix64` generator (Steele, Lea and Flood, 2014): 64 bits of state, one addition and
/// two multiplications a number. Good for traffic, not for secrets.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Makes a generator; equal seeds give equal numbers.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next 64 random bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number from 0 up to, not including, `bound`; 0 where the bound is 0.
    ///
    /// The high half of a product: its bias is below 2^-32 for the bounds that traffic needs.
    pub fn below(&mut self, bound: u64) -> u64 {
        let product = u128::from(self.bits()) * u128::from(bound);
        u64::try_from(product >> 64).expect("the high half of a 128-bit product fits")
    }

    /// Returns a number from `first` to `last`, both included.
    pub fn between(&mut self, first: u16, last: u16) -> u16 {
        let offset = self.below(u64::from(last.saturating_sub(first)) + 1);
        first + u16::try_from(offset).expect("an offset is at most the width of its range")
    }

    /// Returns a 32-bit number, such as a TCP sequence number.
    pub fn word(&mut self) -> u32 {
        u32::try_from(self.bits() >> 32).expect("32 bits fit")
    }

    /// Tells whether an event comes about that does so `permille` times in 1,000.
    pub fn chance(&mut self, permille: u64) -> bool {
        self.below(1000) < permille
    }

    /// Returns one of the items, or `None` where there are none.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> Option<T> {
        let index = self.below(u64::try_from(items.len()).ok()?);
        items.get(usize::try_from(index).ok()?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first numbers of the algorithm's published reference for seed 1234567.
    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        let mut random = Random::new(1_234_567);
        let numbers = [random.bits(), random.bits(), random.bits()];
        assert_eq!(numbers, [6457827717110365317, 3203168211198807973, 9817491932198370423]);
    }

    #[test]
    fn numbers_stay_in_their_ranges_and_reach_the_ends() {
        let mut random = Random::new(7);
        let drawn: Vec<u16> = (0..1000).map(|_| random.between(60, 64)).collect();
        assert_eq!((drawn.iter().min(), drawn.iter().max()), (Some(&60), Some(&64)));
        assert_eq!(random.below(0), 0);
        assert_eq!(random.between(9, 9), 9);
        assert_eq!(random.pick::<u16>(&[]), None);
    }
}
