//! Feature vectors of made-up patients, as the shipped schema makes them.

use hygeia_inference::{ClinicalState, FeatureSchema, Reading, Sex, Unit, Variable};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

/// The longest age at which a value is carried forward, in seconds.
const AGE_S_MAX: u32 = 48 * 3_600;

/// Features of `count` windows. Every variable is present, with any plausible value; the same seed gives the same ones.
pub fn features(schema: &FeatureSchema, count: usize, seed: u64) -> Vec<Vec<i32>> {
    states(count, seed).iter().map(|state| schema.features(state)).collect()
}

/// What is known of `count` patients, each with every variable measured.
pub fn states(count: usize, seed: u64) -> Vec<ClinicalState> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    (0..count).map(|_| state(&mut rng)).collect()
}

fn state(rng: &mut ChaCha20Rng) -> ClinicalState {
    ClinicalState {
        hours_observed: rng.gen_range(0..240),
        age_years: Some(rng.gen_range(18..=100)),
        sex: Some(if rng.gen_bool(0.5) { Sex::Female } else { Sex::Male }),
        unit: Some(if rng.gen_bool(0.5) { Unit::Medical } else { Unit::Surgical }),
        hours_before_icu: Some(rng.gen_range(0..200)),
        readings: Variable::ALL.map(|variable| Some(reading(variable, rng))),
        hourly: Default::default(),
    }
}

fn reading(variable: Variable, rng: &mut ChaCha20Rng) -> Reading {
    let (least, greatest) = variable.plausible_milli();
    let [first, last] = [(); 2].map(|()| rng.gen_range(least..=greatest));
    Reading {
        value_milli: last,
        age_s: rng.gen_range(0..=AGE_S_MAX),
        delta_milli: last - first,
        min_milli: first.min(last),
        max_milli: first.max(last),
    }
}
