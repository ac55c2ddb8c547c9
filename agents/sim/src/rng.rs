//! Random numbers that depend on a seed and a key alone, so that one fault less changes nothing else of a run.

/// SplitMix64: each number is a mix of a counter, so a generator can be made for every call at no cost.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The generator for `key` under `seed`.
    #[must_use]
    pub fn of(seed: u64, key: &[u64]) -> Rng {
        let mut rng = Rng(seed);
        for &part in key {
            rng.0 = rng.next() ^ part.wrapping_mul(0xd6e8_feb8_6659_fd93);
        }
        rng
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        assert!(low <= high, "a range has a lower and an upper end");
        low + self.next() % (high - low + 1)
    }

    /// True once in `of` times.
    pub fn once_in(&mut self, of: u64) -> bool {
        self.between(1, of) == 1
    }

    /// One of the choices.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        let index = self.between(1, choices.len() as u64) - 1;
        choices[usize::try_from(index).expect("an index of a slice")]
    }
}
