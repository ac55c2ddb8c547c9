//! The linear equations between the numbers of one window. They are the whole of what a model is to the circuit.
//!
//! Three things are linear here: a neuron's `T = b + W x`, the packing of features into field elements, and the links
//! from a node of the tree to its children. The first two are listed by [`of_network`]; the links and the count of real
//! windows are written by [`layout`](super::circuit::layout).

use halo2_axiom::halo2curves::{bn256::Fr, ff::Field};
use hygeia_inference::IntegerNetwork;

use crate::statement::{FEATURE_BITS, FEATURE_OFFSET, FEATURES_PER_ELEMENT, field_from_i64};

/// Bits of a limb. Equal to the network's shift, so that a requantised value is a number's upper limbs.
pub const LIMB_BITS: u32 = 10;
/// Bits of a feature above its lower limb.
pub const UPPER_INPUT_BITS: u32 = FEATURE_BITS - LIMB_BITS;
/// Added to `T`, so that what is decomposed into limbs is not negative.
pub const SUM_OFFSET: i64 = 1 << (3 * LIMB_BITS);
/// Equations that stand before those of the elements: links, count, and the marks of inner nodes.
pub const EQUATIONS_BEFORE_ELEMENTS: usize = 3;

/// A number of a window that equations speak about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Term {
    /// A feature plus 2^15.
    Digit(usize),
    /// `T` of a neuron plus 2^30. Neurons are counted through all layers.
    Sum(usize),
    /// `max(floor(T / 2^10), 0)` of a neuron.
    Activation(usize),
    /// A packed element, as the hash absorbs it.
    Element(usize),
    /// The number 1.
    One,
}

/// Terms and coefficients whose sum is 0 in every window.
pub type Equation = Vec<(Term, Fr)>;

/// Packing of each element, then `T` of each neuron.
pub fn of_network(network: &IntegerNetwork) -> Vec<Equation> {
    packing(network.input_bounds().len()).into_iter().chain(neurons(network)).collect()
}

/// An element is its digits to base 2^16, the first most significant.
fn packing(inputs: usize) -> Vec<Equation> {
    let base = Fr::from(1 << FEATURE_BITS);
    let digits: Vec<usize> = (0..inputs).collect();
    let element = |(index, chunk): (usize, &[usize])| {
        let places = std::iter::successors(Some(-Fr::ONE), |place| Some(*place * base));
        let digits = chunk.iter().rev().zip(places).map(|(&digit, place)| (Term::Digit(digit), place));
        std::iter::once((Term::Element(index), Fr::ONE)).chain(digits).collect()
    };
    digits.chunks(FEATURES_PER_ELEMENT).enumerate().map(element).collect()
}

/// `T - W x - b = 0`, with the offsets of `T` and of the digits taken into the constant.
fn neurons(network: &IntegerNetwork) -> Vec<Equation> {
    let mut equations = Vec::new();
    // The first neuron of the layer before; features are no neurons.
    let mut before = None;
    for (layer, &neurons) in network.layers().iter().zip(&network.dims()[1..]) {
        let first_of_layer = equations.len();
        for neuron in 0..neurons {
            let mut constant = -field_from_i64(layer.bias_of(neuron) + SUM_OFFSET);
            let mut equation = vec![(Term::Sum(first_of_layer + neuron), Fr::ONE)];
            for (input, weight) in layer.terms_of(neuron).filter(|&(_, weight)| weight != 0) {
                let weight = field_from_i64(i64::from(weight));
                match before {
                    None => {
                        constant += weight * field_from_i64(i64::from(FEATURE_OFFSET));
                        equation.push((Term::Digit(input), -weight));
                    }
                    Some(first) => equation.push((Term::Activation(first + input), -weight)),
                }
            }
            equation.push((Term::One, constant));
            equations.push(equation);
        }
        before = Some(first_of_layer);
    }
    equations
}

#[cfg(test)]
mod tests {
    use hygeia_inference::{Dense, IntegerNetwork};
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;
    use crate::{
        fixtures::{random_features, random_network},
        statement::pack,
    };

    /// Value of a term in an honest window.
    fn value(network: &IntegerNetwork, features: &[i32], term: Term) -> Fr {
        let evaluation = network.evaluate(features).unwrap();
        let flat = |layers: &[Vec<i64>]| layers.concat();
        match term {
            Term::Digit(index) => field_from_i64(i64::from(features[index] + FEATURE_OFFSET)),
            Term::Sum(index) => field_from_i64(flat(&evaluation.pre)[index] + SUM_OFFSET),
            Term::Activation(index) => field_from_i64(flat(&evaluation.activations)[index]),
            Term::Element(index) => pack(features).unwrap()[index],
            Term::One => Fr::ONE,
        }
    }

    #[test]
    fn honest_windows_satisfy_every_equation() {
        for (seed, dims) in (0..).zip([vec![48, 64, 32, 1], vec![31, 5, 1], vec![1, 1]]) {
            let network = random_network(&dims, seed, (-8192, 8192));
            let features = random_features(&network, &mut ChaCha20Rng::seed_from_u64(seed));
            let equations = of_network(&network);
            assert_eq!(equations.len(), dims[0].div_ceil(15) + dims[1..].iter().sum::<usize>());
            for (index, equation) in equations.iter().enumerate() {
                let sum: Fr = equation.iter().map(|&(term, by)| by * value(&network, &features, term)).sum();
                assert_eq!(sum, Fr::ZERO, "equation {index} of {dims:?}");
            }
        }
    }

    #[test]
    fn another_weight_or_bias_is_another_equation() {
        let network = |weight, bias| {
            let layer = Dense { weights: vec![vec![weight]], bias: vec![bias] };
            IntegerNetwork::new(vec![layer.into()], vec![(-10, 10)]).unwrap()
        };
        let equations = of_network(&network(3, 4));
        assert_ne!(equations, of_network(&network(2, 4)));
        assert_ne!(equations, of_network(&network(3, 5)));
    }
}
