//! Intervals by resampling stays with replacement (Efron 1979): hours of one stay are no independent witnesses.

use serde::{Deserialize, Serialize};

use super::quantile;
use crate::sequence::Sequence;

/// Replicates of every interval in cards and reports: the ends move by about a fiftieth of the width beyond this.
pub const REPLICATES: usize = 500;
/// Seed of the same draws in every run.
pub const SEED: u64 = 2019;
/// Replicates are shared out among this many threads. The figures do not depend on it.
const THREADS: usize = 2;
/// Share of the replicates on either side of a 95 % interval.
const TAIL: f64 = 0.025;

/// Least and greatest plausible value of a figure: a 95 % interval, inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval(pub f64, pub f64);

/// Repeated draws of as many stays as there are, with replacement.
#[derive(Clone, Copy, Debug)]
pub struct Resamples {
    stays: usize,
    replicates: usize,
    seed: u64,
}

impl Resamples {
    /// Draws of `stays` stays. The same seed gives the same draws, so that two scores can be compared pairwise.
    pub fn new(stays: usize, replicates: usize, seed: u64) -> Self {
        Self { stays, replicates, seed }
    }

    /// Gives each replicate's weights, how often each stay was drawn, to `judge`. Results keep the order of replicates.
    pub fn each<T: Send>(&self, judge: impl Fn(&[u32]) -> T + Sync) -> Vec<T> {
        let share = self.replicates.div_ceil(THREADS).max(1);
        let part = |first: usize| {
            let mut weights = vec![0u32; self.stays];
            let replicates = first..(first + share).min(self.replicates);
            let mut results = Vec::with_capacity(replicates.len());
            for replicate in replicates {
                self.draw(replicate, &mut weights);
                results.push(judge(&weights));
            }
            results
        };
        std::thread::scope(|scope| {
            let starts = (0..self.replicates).step_by(share);
            let threads: Vec<_> = starts.map(|first| scope.spawn(move || part(first))).collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("judging does not panic")).collect()
        })
    }

    fn draw(&self, replicate: usize, weights: &mut [u32]) {
        weights.fill(0);
        // Each replicate has a sequence of its own: which thread draws it makes no difference.
        let mut start = Sequence::new(self.seed ^ (replicate as u64).wrapping_mul(0xd6e8_feb8_6659_fd93));
        let mut draw = Sequence::new(start.next());
        for _ in 0..self.stays {
            weights[(draw.next() % self.stays as u64) as usize] += 1;
        }
    }
}

/// The middle 95 % of what replicates gave. Nothing when none gave anything.
pub fn interval(values: impl IntoIterator<Item = f64>) -> Option<Interval> {
    let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
    values.sort_unstable_by(f64::total_cmp);
    Some(Interval(quantile(&values, TAIL)?, quantile(&values, 1.0 - TAIL)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_repeat_from_a_seed_and_keep_the_number_of_stays() {
        let draws = |seed| Resamples::new(40, 9, seed).each(<[u32]>::to_vec);
        let first = draws(1);
        assert_eq!(first.len(), 9);
        assert!(first.iter().all(|weights| weights.iter().sum::<u32>() == 40));
        assert_eq!(first, draws(1));
        assert_ne!(first, draws(2));
        assert_ne!(first[0], first[1]);
        assert!(Resamples::new(40, 0, 1).each(<[u32]>::to_vec).is_empty());
    }

    #[test]
    fn the_interval_of_a_mean_is_what_theory_says() {
        // 400 stays, half of them 1: standard error of the mean 0.025.
        let values: Vec<f64> = (0..400).map(|stay| f64::from(stay % 2)).collect();
        let mean = |weights: &[u32]| weights.iter().zip(&values).map(|(&w, v)| f64::from(w) * v).sum::<f64>() / 400.0;
        let Interval(low, high) = interval(Resamples::new(400, 2000, 7).each(mean)).unwrap();
        assert!((low - 0.451).abs() < 0.006 && (high - 0.549).abs() < 0.006, "{low} {high}");
    }

    #[test]
    fn quantiles_are_interpolated_and_what_is_not_finite_is_left_out() {
        let values = (0..=100).map(f64::from).chain([f64::NAN]);
        assert_eq!(interval(values), Some(Interval(2.5, 97.5)));
        assert_eq!(interval([]), None);
    }
}
