//! Random numbers of a ward: the same for the same seed on every machine and with every release of a library.

use std::f64::consts::TAU;

/// SplitMix64: a counter and a mix of it, eight bytes a patient.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// The generator of patient `number` under `seed`: one patient more changes nothing for the others.
    pub fn of(seed: u64, number: u64) -> Self {
        let mut rng = Self(seed);
        rng.0 = rng.next() ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93);
        rng
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Uniform from 0 to below 1.
    pub fn unit(&mut self) -> f64 {
        // The upper 53 bits: what a float holds exactly.
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform from `low` to below `high`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Normal with mean 0 and deviation 1 (Box and Muller).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (TAU * self.unit()).cos()
    }

    /// Exponential with this mean: the wait for something that may come at any time.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// One of the choices.
    pub fn pick<T: Copy>(&mut self, choices: &[T; 3]) -> T {
        let [first, second, third] = *choices;
        match self.unit() {
            below if below < 1.0 / 3.0 => first,
            below if below < 2.0 / 3.0 => second,
            _ => third,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_moments_of_their_distribution() {
        let mut rng = Rng::of(7, 0);
        let n = 100_000;
        let mean = |draw: &mut dyn FnMut() -> f64| (0..n).map(|_| draw()).sum::<f64>() / f64::from(n);
        assert!((mean(&mut || rng.unit()) - 0.5).abs() < 0.01);
        assert!(mean(&mut || rng.normal()).abs() < 0.01);
        assert!((mean(&mut || rng.normal().powi(2)) - 1.0).abs() < 0.02);
        assert!((mean(&mut || rng.exponential(4.0)) - 4.0).abs() < 0.05);
        assert!((mean(&mut || f64::from(u8::from(rng.chance(0.2)))) - 0.2).abs() < 0.01);
    }

    #[test]
    fn a_seed_gives_its_numbers_and_another_gives_others() {
        let draw = |seed, number| {
            let mut rng = Rng::of(seed, number);
            [rng.unit(), rng.unit(), rng.unit()]
        };
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(1, 3));
        assert_ne!(draw(1, 2), draw(2, 2));
    }
}
