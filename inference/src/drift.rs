//! Drift: how far the windows that are served now lie from those that a model was fitted and validated on.
//!
//! Each feature of the newest windows, and the score, is compared with the training windows by the Hellinger distance of
//! two normal distributions of the same means and variances: 0 for the same, 1 for nothing in common. It sees a mean that
//! moves and a spread that changes, and is bounded, so that one flag that a ward never sets cannot drown the others. What
//! it does not see is a change of shape that leaves both moments as they were.
//!
//! The reference is taken from the package that governance approved and from nothing else: mean and covariance of the
//! training windows stand in its guard, and the score is linear in the last hidden layer, so its mean and variance follow
//! from that layer's. Sums are of integers, so the order of windows is of no account. This module reads no clock and keeps
//! no window longer than the newest [`WINDOWS`].

use std::collections::VecDeque;

use crate::guard::Space;
use crate::package::ModelPackage;

/// Windows compared at a time: a ward of twenty for a week, at one window an hour.
pub const WINDOWS: usize = 4_096;
/// Windows before anything is said: fewer are a few patients and not a population.
pub const WINDOWS_MIN: usize = 1_024;
/// Windows from one comparison to the next.
const COMPARED_EVERY: usize = 64;
/// Mean distance from which it is an alarm. The validation split as a whole is 0.01 away, thirty random stays of it 0.07 to
/// 0.10, and a shift of everything by one deviation is 0.34.
pub const ALARM_FROM: f64 = 0.20;
/// Mean distance below which an alarm is over: hysteresis.
pub const ALARM_UNTIL: f64 = 0.15;

/// Mean and variance of one quantity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// Mean.
    pub mean: f64,
    /// Variance.
    pub variance: f64,
}

/// The distance of the newest windows to the reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distance {
    /// Mean over the features.
    pub mean: f64,
    /// Greatest of the features.
    pub greatest: f64,
    /// The feature that has it, by its place in the schema.
    pub feature: usize,
    /// That of the score.
    pub score: f64,
}

/// A change of the alarm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// The distance rose over its limit.
    Raised(Distance),
    /// It fell below the lower mark.
    Cleared(Distance),
}

/// Follows the windows of one model.
#[derive(Clone, Debug)]
pub struct Drift {
    /// Of each feature, then of the score.
    reference: Vec<Moment>,
    /// Added to each variance on both sides: a quantity without spread must not divide by 0.
    floors: Vec<f64>,
    newest: VecDeque<Vec<i64>>,
    sums: Vec<i128>,
    squares: Vec<i128>,
    since_compared: usize,
    distance: Option<Distance>,
    is_raised: bool,
}

impl Drift {
    /// Nothing seen yet of this model's windows.
    pub fn of(model: &ModelPackage) -> Self {
        let guard = model.guard();
        let (mut reference, floor) = moments(&guard.features);
        let width = reference.len();
        let (score, score_floor) = score_moment(model);
        reference.push(score);
        let mut floors = vec![floor; width];
        floors.push(score_floor);
        Self {
            sums: vec![0; width + 1],
            squares: vec![0; width + 1],
            reference,
            floors,
            newest: VecDeque::with_capacity(WINDOWS),
            since_compared: 0,
            distance: None,
            is_raised: false,
        }
    }

    /// Takes in a window and its score; says where the alarm changes with it.
    pub fn observe(&mut self, features: &[i32], score: i64) -> Option<Change> {
        assert_eq!(features.len() + 1, self.reference.len(), "a window of the model's schema");
        if self.newest.len() == WINDOWS
            && let Some(oldest) = self.newest.pop_front()
        {
            self.count(&oldest, -1);
        }
        let window: Vec<i64> = features.iter().map(|&x| i64::from(x)).chain([score]).collect();
        self.count(&window, 1);
        self.newest.push_back(window);
        self.since_compared += 1;
        if self.newest.len() < WINDOWS_MIN || self.since_compared < COMPARED_EVERY {
            return None;
        }
        self.since_compared = 0;
        let distance = self.compare();
        self.distance = Some(distance);
        self.judge(distance)
    }

    /// The distance at the last comparison; none before there were [`WINDOWS_MIN`].
    pub fn distance(&self) -> Option<Distance> {
        self.distance
    }

    /// Whether the alarm is raised.
    pub fn is_raised(&self) -> bool {
        self.is_raised
    }

    fn judge(&mut self, distance: Distance) -> Option<Change> {
        match self.is_raised {
            false if distance.mean >= ALARM_FROM => {
                self.is_raised = true;
                Some(Change::Raised(distance))
            }
            true if distance.mean < ALARM_UNTIL => {
                self.is_raised = false;
                Some(Change::Cleared(distance))
            }
            _ => None,
        }
    }

    fn count(&mut self, window: &[i64], sign: i128) {
        for ((sum, square), &x) in self.sums.iter_mut().zip(&mut self.squares).zip(window) {
            *sum += sign * i128::from(x);
            *square += sign * i128::from(x) * i128::from(x);
        }
    }

    fn compare(&self) -> Distance {
        let count = self.newest.len() as f64;
        let seen = self.sums.iter().zip(&self.squares).map(|(&sum, &square)| {
            let mean = sum as f64 / count;
            Moment { mean, variance: (square as f64 / count - mean * mean).max(0.0) }
        });
        let mut distances: Vec<f64> = seen
            .zip(self.reference.iter().zip(&self.floors))
            .map(|(seen, (reference, floor))| hellinger(seen, *reference, *floor))
            .collect();
        let score = distances.pop().expect("the score comes last");
        let mean = distances.iter().sum::<f64>() / distances.len() as f64;
        let (feature, greatest) =
            distances.into_iter().enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).expect("a schema has features");
        Distance { mean, greatest, feature, score }
    }
}

/// Hellinger distance of two normal distributions, with `floor` added to each variance.
fn hellinger(a: Moment, b: Moment, floor: f64) -> f64 {
    let (va, vb) = (a.variance + floor, b.variance + floor);
    let overlap = (2.0 * (va * vb).sqrt() / (va + vb)).sqrt() * (-(a.mean - b.mean).powi(2) / (4.0 * (va + vb))).exp();
    (1.0 - overlap).max(0.0).sqrt()
}

/// Moments of each dimension of a space, and the floor that its variances were fitted with.
fn moments(space: &Space) -> (Vec<Moment>, f64) {
    let floor = space.ridge();
    let moment = |(mean, variance): (f64, f64)| Moment { mean, variance: (variance - floor).max(0.0) };
    (space.moments().map(moment).collect(), floor)
}

/// Moments of the score, which is linear in the last hidden layer, or in the features of a network without one.
fn score_moment(model: &ModelPackage) -> (Moment, f64) {
    let (network, guard) = (model.network(), model.guard());
    let space = guard.hidden.as_ref().unwrap_or(&guard.features);
    let last = network.layers().last().expect("a network has a layer");
    let one = f64::from(2_u32.pow(network.shift()));
    let mut weights = vec![0.0; space.dimensions()];
    for (input, weight) in last.terms_of(0) {
        weights[input] = f64::from(weight) / one;
    }
    let (mean, variance) = space.along(&weights);
    let floor = space.ridge() * weights.iter().map(|weight| weight * weight).sum::<f64>();
    let mean = mean + last.bias_of(0) as f64 / one;
    (Moment { mean, variance: (variance - floor).max(0.0) }, floor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequence::Sequence;

    /// Windows drawn independently around the reference's own moments, moved by `shift` deviations.
    struct Source {
        draw: Sequence,
        moments: Vec<Moment>,
    }

    impl Source {
        fn of(drift: &Drift, seed: u64) -> Self {
            Self { draw: Sequence::new(seed), moments: drift.reference.clone() }
        }

        /// A sum of twelve uniform draws: near enough to a normal one.
        fn normal(&mut self) -> f64 {
            (0..12).map(|_| (self.draw.next() >> 11) as f64 / (1u64 << 53) as f64).sum::<f64>() - 6.0
        }

        fn feed(&mut self, drift: &mut Drift, windows: usize, shift: f64, spread: f64) -> Vec<Change> {
            let mut changes = Vec::new();
            for _ in 0..windows {
                let mut values: Vec<f64> = Vec::with_capacity(self.moments.len());
                for at in 0..self.moments.len() {
                    let Moment { mean, variance } = self.moments[at];
                    values.push(mean + variance.sqrt() * (self.normal() * spread + shift));
                }
                let score = values.pop().unwrap() as i64;
                let features: Vec<i32> = values.into_iter().map(|x| x as i32).collect();
                changes.extend(drift.observe(&features, score));
            }
            changes
        }
    }

    #[test]
    fn windows_of_the_reference_raise_nothing() {
        let mut drift = Drift::of(ModelPackage::default_model());
        let mut source = Source::of(&drift, 1);
        assert_eq!(source.feed(&mut drift, WINDOWS_MIN - 1, 0.0, 1.0), []);
        assert_eq!(drift.distance(), None, "too few to say anything");
        assert_eq!(source.feed(&mut drift, 2 * WINDOWS, 0.0, 1.0), []);
        let distance = drift.distance().unwrap();
        assert!(distance.mean < 0.03 && distance.score < 0.05, "{distance:?}");
        assert!(!drift.is_raised());
    }

    #[test]
    fn a_shift_raises_the_alarm_once_and_its_end_clears_it_once() {
        let mut drift = Drift::of(ModelPackage::default_model());
        let mut source = Source::of(&drift, 2);
        source.feed(&mut drift, WINDOWS, 0.0, 1.0);
        let changes = source.feed(&mut drift, WINDOWS, 1.0, 1.0);
        assert!(matches!(changes.as_slice(), [Change::Raised(_)]), "{changes:?}");
        assert!(drift.is_raised());
        let distance = drift.distance().unwrap();
        // The distance of two normal distributions one deviation apart is 0.343.
        assert!((0.30..0.36).contains(&distance.mean), "{distance:?}");
        let changes = source.feed(&mut drift, WINDOWS, 0.0, 1.0);
        assert!(matches!(changes.as_slice(), [Change::Cleared(_)]), "{changes:?}");
        assert!(!drift.is_raised());
    }

    #[test]
    fn a_spread_that_shrinks_is_seen_though_no_mean_moves() {
        let mut drift = Drift::of(ModelPackage::default_model());
        let mut source = Source::of(&drift, 3);
        let changes = source.feed(&mut drift, WINDOWS, 0.0, 0.25);
        assert!(matches!(changes.as_slice(), [Change::Raised(_)]), "{changes:?}");
    }

    #[test]
    fn the_feature_that_moved_most_is_named() {
        let mut drift = Drift::of(ModelPackage::default_model());
        let mut source = Source::of(&drift, 4);
        source.moments[5].mean += 3.0 * source.moments[5].variance.sqrt();
        source.feed(&mut drift, WINDOWS, 0.0, 1.0);
        let distance = drift.distance().unwrap();
        assert_eq!(distance.feature, 5);
        assert!(distance.greatest > 0.7 && distance.mean < ALARM_UNTIL, "one feature alone is no alarm: {distance:?}");
    }

    #[test]
    fn distances_are_bounded_and_symmetric() {
        let (a, b) = (Moment { mean: 0.0, variance: 4.0 }, Moment { mean: 3.0, variance: 1.0 });
        assert_eq!(hellinger(a, a, 0.5), 0.0);
        assert_eq!(hellinger(a, b, 0.5), hellinger(b, a, 0.5));
        let far = hellinger(Moment { mean: 1e9, variance: 0.0 }, a, 0.01);
        assert!((0.999..=1.0).contains(&far), "{far}");
        let same_point = Moment { mean: 7.0, variance: 0.0 };
        assert_eq!(hellinger(same_point, same_point, 0.01), 0.0, "no spread on either side");
    }
}
