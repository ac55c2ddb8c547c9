//! How far a proof's score may lie from the reference's, when whoever made the proof bent what EZKL's circuit lets bend.
//!
//! EZKL divides by asking the prover for the quotient and checking that quotient times divisor differs from the dividend by
//! less than the divisor. Two quotients pass wherever the division leaves a remainder: the floor and the ceiling. An honest
//! prover rounds to the nearest, and for a network exported by `export_exact` its scores are the reference's bit for bit.
//! One that is not honest may move each neuron by one. This module adds up what that does to the score at most. It follows
//! from how EZKL's division is laid out; nothing else of EZKL's circuit is judged here.

use hygeia_inference::{IntegerNetwork, Layer};

/// 1.0 as a weight.
const ONE: u64 = 1 << 10;
/// A quotient that passes differs from the floor of the sum, less half a unit, by less than this over 1024.
const REACH: u64 = ONE + ONE / 2 - 1;

/// Most that the score of a proof that verifies can differ from the reference's, over all windows within the bounds.
pub fn freedom_max(network: &IntegerNetwork) -> u64 {
    let mut freedom: Vec<u64> = vec![0; network.input_bounds().len()];
    for (layer, bounds) in network.layers().iter().zip(network.bounds()) {
        freedom = (0..bounds.len()).map(|neuron| of_neuron(layer, neuron, &freedom)).collect();
    }
    freedom.first().copied().unwrap_or(0)
}

/// Freedom of a neuron whose inputs have some: their weighted sum, and that of its own division.
fn of_neuron(layer: &Layer, neuron: usize, inputs: &[u64]) -> u64 {
    let moved = |(input, weight): (usize, i32)| u64::from(weight.unsigned_abs()).saturating_mul(inputs[input]);
    let sum = layer.terms_of(neuron).map(moved).fold(0, u64::saturating_add);
    sum.saturating_add(REACH) / ONE
}

#[cfg(test)]
mod tests {
    use hygeia_inference::Dense;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha20Rng;

    use super::*;
    use crate::fixtures::{random_features, random_network};

    /// What a prover gets who takes, at each division, either quotient that passes, as a coin falls.
    fn bent(network: &IntegerNetwork, features: &[i32], coin: &mut impl FnMut() -> bool) -> i64 {
        let mut x: Vec<i64> = features.iter().copied().map(i64::from).collect();
        let last = network.layers().len() - 1;
        for (index, layer) in network.layers().iter().enumerate() {
            let quotient = |neuron: usize| {
                let sum = layer.bias_of(neuron)
                    + layer.terms_of(neuron).map(|(input, weight)| i64::from(weight) * x[input]).sum::<i64>();
                // Half a unit less, as the file has it; then the floor, or the ceiling where there is a remainder.
                let divided = sum - 512;
                let up = coin() && divided.rem_euclid(1024) != 0;
                let quotient = divided.div_euclid(1024) + i64::from(up);
                if index < last { quotient.max(0) } else { quotient }
            };
            x = (0..layer.outputs(x.len()).unwrap()).map(quotient).collect();
        }
        x[0]
    }

    #[test]
    fn no_bent_score_lies_beyond_the_bound() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        for seed in 0..20 {
            let network = random_network(&[12, 8, 6, 1], seed, (-4096, 4096));
            let bound = freedom_max(&network);
            for _ in 0..200 {
                let features = random_features(&network, &mut rng);
                let mut coin_rng = ChaCha20Rng::seed_from_u64(rng.r#gen());
                let score = bent(&network, &features, &mut || coin_rng.r#gen());
                assert!(score.abs_diff(network.score(&features).unwrap()) <= bound, "seed {seed}");
            }
        }
    }

    /// One neuron, one division: the bound is met, so it is no larger than it must be.
    #[test]
    fn the_bound_is_reached() {
        let layers = vec![Dense { weights: vec![vec![1]], bias: vec![0] }.into()];
        let network = IntegerNetwork::new(layers, vec![(-2048, 2048)]).unwrap();
        assert_eq!(freedom_max(&network), 1);
        let farthest = |features: &[i32]| {
            let reference = network.score(features).unwrap();
            [true, false].map(|up| bent(&network, features, &mut || up).abs_diff(reference)).into_iter().max()
        };
        assert_eq!((-2048..=2048).filter_map(|feature| farthest(&[feature])).max(), Some(1));
    }
}
