//! The alert statement as rank-1 constraints: the same numbers, the same commitment and the same public values as the
//! circuit of `hygeia-zkml`, laid out as cheaply as this form allows.
//!
//! Weights are constants, so a layer costs nothing but a linear combination in the one constraint that ties each neuron to
//! its digits. A neuron's digits reach as far as interval arithmetic says that it can, not further.

use std::array;

use halo2curves_axiom::bn256::Fr;
use halo2curves_axiom::ff::{Field, PrimeField};
use hygeia_gpu_kernels::poseidon::{self, ROUNDS, State, WIDTH};
use hygeia_inference::network::SHIFT;
use hygeia_inference::{Evaluation, IntegerNetwork, Layer};
use hygeia_zkml::statement::{FEATURE_BITS, FEATURE_OFFSET, FEATURES_PER_ELEMENT, domain_tag, field_from_i64};
use hygeia_zkml::{PublicInputs, Salt, commit};

use crate::r1cs::{Number, System};

/// Hash of the feature schema that windows are committed under; any will do here.
pub const SCHEMA: [u8; 32] = [7; 32];
/// Place of the commitment among the public values.
const COMMITMENT: usize = 0;
/// Place of the score.
const SCORE: usize = 1;

/// A window to prove, and what the network makes of it.
pub struct Witness {
    features: Vec<i32>,
    salt: Fr,
    evaluation: Evaluation,
    /// What the world sees of it.
    pub public: PublicInputs,
}

impl Witness {
    /// Commits to a window and evaluates it.
    pub fn new(network: &IntegerNetwork, features: &[i32], salt: [u8; 16]) -> anyhow::Result<Self> {
        let evaluation = network.evaluate(features)?;
        let commitment = commit(SCHEMA, features, &Salt::new(salt))?;
        let public = PublicInputs { commitment, score: evaluation.score };
        let salt = Fr::from_u128(u128::from_be_bytes(salt));
        Ok(Self { features: features.to_vec(), salt, evaluation, public })
    }

    /// A window within the network's bounds, to learn the constraints by.
    pub fn example(network: &IntegerNetwork) -> anyhow::Result<Self> {
        let features: Vec<i32> = network.input_bounds().iter().map(|&(low, high)| 0.clamp(low, high)).collect();
        Self::new(network, &features, [0; 16])
    }

    /// Constraints and values.
    pub fn recorded(&self, network: &IntegerNetwork) -> System {
        self.synthesize(System::recording(&self.public.instances()), network)
    }

    /// Values alone.
    pub fn computed(&self, network: &IntegerNetwork) -> System {
        self.synthesize(System::computing(&self.public.instances()), network)
    }

    fn synthesize(&self, mut system: System, network: &IntegerNetwork) -> System {
        let features: Vec<Number> = self.features.iter().map(|&value| feature(&mut system, value)).collect();
        let mut inputs = features.clone();
        for (index, layer) in network.layers().iter().enumerate() {
            let is_last = index + 1 == network.layers().len();
            inputs = (0..network.bounds()[index].len())
                .map(|place| {
                    let pre = self.evaluation.pre[index][place];
                    let sum = weighed(&system, layer, place, &inputs, pre);
                    let bound = &network.bounds()[index][place];
                    let reach = (bound.pre_max >> SHIFT).max(-1 - (bound.pre_min >> SHIFT)).max(0);
                    let width = u64::BITS - reach.unsigned_abs().leading_zeros();
                    neuron(&mut system, &sum, pre, width, is_last)
                })
                .collect();
        }
        let score = system.public(SCORE);
        system.equal(&inputs[0], &score);
        let digest = self.digest(&mut system, &features);
        let commitment = system.public(COMMITMENT);
        system.equal(&digest, &commitment);
        system
    }

    /// The hash of packed features and salt.
    fn digest(&self, system: &mut System, features: &[Number]) -> Number {
        let offset = system.constant(field_from_i64(FEATURE_OFFSET.into()));
        let base = Fr::from(1 << FEATURE_BITS);
        let pack = |features: &[Number]| {
            let nothing = system.constant(Fr::ZERO);
            features.iter().fold(nothing, |packed, feature| packed.times(base).plus(feature).plus(&offset))
        };
        let mut message: Vec<Number> = features.chunks(FEATURES_PER_ELEMENT).map(pack).collect();
        message.push(system.variable(self.salt));
        let zero = system.constant(Fr::ZERO);
        let mut state = [system.constant(domain_tag(SCHEMA, features.len())), zero.clone(), zero];
        for block in message.chunks(poseidon::RATE) {
            for (lane, element) in state[1..].iter_mut().zip(block) {
                *lane = lane.clone().plus(element);
            }
            permute(system, &mut state);
        }
        let [_, digest, _] = state;
        digest
    }
}

/// A feature: 16 digits, the last of which is what the others leave of it.
fn feature(system: &mut System, value: i32) -> Number {
    let feature = system.variable(field_from_i64(value.into()));
    let digit = u64::from((value + FEATURE_OFFSET).unsigned_abs());
    let rest = system.digits(digit, FEATURE_BITS - 1);
    let offset = system.constant(field_from_i64(FEATURE_OFFSET.into()));
    let top = Fr::from(1 << (FEATURE_BITS - 1)).invert().expect("a power of two is no multiple of the modulus");
    let highest = feature.clone().plus(&offset).minus(&rest).times(top);
    system.boolean(&highest);
    feature
}

/// A neuron's sum of bias and weighed inputs, which is known to be `pre`.
fn weighed(system: &System, layer: &Layer, place: usize, inputs: &[Number], pre: i64) -> Number {
    let bias = system.constant(field_from_i64(layer.bias_of(place)));
    let add = |sum: Number, (input, weight): (usize, i32)| {
        sum.plus(&inputs[input].clone().times(field_from_i64(weight.into())))
    };
    if system.is_recording() { layer.terms_of(place).fold(bias, add) } else { bias.with_value(field_from_i64(pre)) }
}

/// What a neuron gives: `pre` without its lowest ten digits, and not below zero unless it is the last. What is left lies in
/// `[-2^width, 2^width)`: a sign and `width` digits.
fn neuron(system: &mut System, sum: &Number, pre: i64, width: u32, is_last: bool) -> Number {
    let shifted = pre >> SHIFT;
    let dropped = system.digits((pre - (shifted << SHIFT)).unsigned_abs(), SHIFT);
    let is_positive = shifted >= 0;
    let sign = system.variable(Fr::from(u64::from(is_positive)));
    system.boolean(&sign);
    let reach = 1_i64 << width;
    let magnitude = system.digits((if is_positive { shifted } else { shifted + reach }).unsigned_abs(), width);
    let below = system.constant(Fr::ONE).minus(&sign).times(field_from_i64(reach));
    let whole = magnitude.clone().minus(&below);
    system.equal(&whole.clone().times(Fr::from(1 << SHIFT)).plus(&dropped), sum);
    if is_last { whole } else { system.product(&sign, &magnitude) }
}

/// Poseidon's permutation: three constraints for each S-box, none for what is linear.
fn permute(system: &mut System, state: &mut [Number; WIDTH]) {
    let constants = poseidon::constants();
    for (round, added) in (0..ROUNDS).zip(&constants.round_compact) {
        let lanes = if poseidon::is_full_round(round) { WIDTH } else { 1 };
        for lane in 0..lanes {
            let number = state[lane].clone().plus(&system.constant(added[lane]));
            state[lane] = pow5(system, &number);
        }
        *state = mix(system, &constants.mds, state);
    }
}

fn pow5(system: &mut System, number: &Number) -> Number {
    let square = system.product(number, number);
    let fourth = system.product(&square, &square);
    system.product(&fourth, number)
}

fn mix(system: &System, mds: &[State; WIDTH], state: &[Number; WIDTH]) -> [Number; WIDTH] {
    array::from_fn(|row| {
        let terms = mds[row].iter().zip(state);
        terms.fold(system.constant(Fr::ZERO), |sum, (factor, lane)| sum.plus(&lane.clone().times(*factor)))
    })
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha20Rng;

    use super::*;
    use crate::models::{MODELS, Model};

    /// Scores and commitments are those of the product by construction: what is shown is that the constraints agree.
    #[test]
    fn windows_of_every_model_satisfy_it() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        for name in MODELS {
            let model = Model::named(name);
            for _ in 0..3 {
                let witness = Witness::new(&model.network, &model.window(&mut rng), rng.r#gen()).unwrap();
                let recorded = witness.recorded(&model.network);
                assert_eq!(recorded.unsatisfied(), None, "{name}");
                let computed = witness.computed(&model.network);
                assert!(computed.values == recorded.values && computed.constraints.is_empty(), "{name}");
            }
        }
    }

    #[test]
    fn another_score_or_commitment_does_not() {
        let model = Model::named(MODELS[0]);
        let witness = Witness::example(&model.network).unwrap();
        for place in [COMMITMENT, SCORE] {
            let mut system = witness.recorded(&model.network);
            system.values[1 + place] += Fr::ONE;
            assert!(system.unsatisfied().is_some(), "{place}");
        }
    }

    /// Each private value is bound: no other satisfies the constraints beside the rest.
    #[test]
    fn another_private_value_does_not() {
        let model = Model::named(MODELS[0]);
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let witness = Witness::new(&model.network, &model.window(&mut rng), rng.r#gen()).unwrap();
        let mut system = witness.recorded(&model.network);
        for place in (3..system.values.len()).step_by(37) {
            system.values[place] += Fr::ONE;
            assert!(system.unsatisfied().is_some(), "{place}");
            system.values[place] -= Fr::ONE;
        }
    }
}
