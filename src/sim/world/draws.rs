//! Seeded randomness: SplitMix64 (Steele, Lea, Flood 2014), small and the same on every machine.

/// A stream of numbers that depends on its seed alone.
#[derive(Clone, Debug)]
pub struct Draws(u64);

impl Draws {
    /// A stream.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// The upper half of the next number.
    #[allow(clippy::cast_possible_truncation)]
    pub const fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    /// `ms`, give or take a fifth.
    pub const fn about(&mut self, ms: u64) -> u64 {
        let fifth = ms / 5;
        ms - fifth + self.next_u64() % (2 * fifth + 1)
    }
}
