//! Changes to honest inputs, from a seed: bits, bytes and numbers changed, ends cut and grown, parts moved and mixed.

use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha20Rng;

/// Numbers at which decoders go wrong.
const NUMBERS: [u64; 12] =
    [0, 1, 2, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 32, u64::MAX / 2, u64::MAX];
/// Most changes made to one input.
const CHANGES_MAX: usize = 4;
/// Most bytes added at an end.
const GROWTH_BYTES_MAX: usize = 600;

/// Makes inputs; the same ones for the same seed.
pub struct Mutator {
    rng: ChaCha20Rng,
}

impl Mutator {
    /// Begins a sequence.
    pub fn new(seed: u64) -> Self {
        Self { rng: ChaCha20Rng::seed_from_u64(seed) }
    }

    /// The next input: one of the seeds, changed.
    ///
    /// # Panics
    /// If there are no seeds.
    pub fn next(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = seeds.choose(&mut self.rng).expect("a target has seeds").clone();
        for _ in 0..self.rng.gen_range(1..=CHANGES_MAX) {
            self.change(&mut bytes, seeds);
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        if bytes.is_empty() {
            bytes.push(self.rng.r#gen());
        }
        let at = self.place(bytes.len());
        match self.rng.gen_range(0..9) {
            0 | 1 => bytes[at] ^= 1 << self.rng.gen_range(0..8),
            2 => bytes[at] = self.rng.r#gen(),
            3 => self.number(&mut bytes[at..]),
            4 => bytes.truncate(at),
            5 => {
                let more = self.rng.gen_range(1..GROWTH_BYTES_MAX);
                bytes.extend((0..more).map(|_| self.rng.r#gen::<u8>()));
            }
            6 => self.splice(bytes, seeds),
            7 => self.repeat(bytes),
            _ => bytes[at] = bytes[at].wrapping_add(1),
        }
    }

    /// A place in the input, as often near its beginning, where sizes stand, as anywhere.
    fn place(&mut self, length: usize) -> usize {
        let near = if self.rng.r#gen() { length } else { length.min(128) };
        self.rng.gen_range(0..near)
    }

    /// A number of four or eight bytes, either end first.
    fn number(&mut self, bytes: &mut [u8]) {
        let number = *NUMBERS.choose(&mut self.rng).expect("there are some");
        let mut encoded = number.to_le_bytes();
        let width = if self.rng.r#gen() { 4 } else { 8 };
        if self.rng.r#gen() {
            encoded[..width].reverse();
        }
        bytes.iter_mut().zip(&encoded[..width]).for_each(|(to, from)| *to = *from);
    }

    /// A part of some seed in the place of as much here.
    fn splice(&mut self, bytes: &mut [u8], seeds: &[Vec<u8>]) {
        let other = seeds.choose(&mut self.rng).expect("a target has seeds");
        let from = self.rng.gen_range(0..=other.len());
        let at = if self.rng.r#gen() { from.min(bytes.len()) } else { self.rng.gen_range(0..=bytes.len()) };
        let length = self.rng.gen_range(0..=64_usize);
        bytes[at..].iter_mut().zip(&other[from..]).take(length).for_each(|(to, from)| *to = *from);
    }

    /// A part of the input once more, before or instead of what follows it.
    fn repeat(&mut self, bytes: &mut Vec<u8>) {
        let (start, length) = (self.rng.gen_range(0..bytes.len()), self.rng.gen_range(1..=128_usize));
        let part = bytes[start..bytes.len().min(start + length)].to_vec();
        let at = self.rng.gen_range(0..=bytes.len());
        let end = if self.rng.r#gen() { at } else { bytes.len().min(at + part.len()) };
        bytes.splice(at..end, part);
    }
}
