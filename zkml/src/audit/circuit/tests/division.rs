//! A neuron's `T` is divided by 2^10 with a remainder: other quotients and remainders, signs and encodings of what comes
//! out. What is wrong with a range shows in the gate `totals`, as all sums over windows do.

use super::*;

/// Number of the neuron whose quotient is the score.
const SCORE: usize = 9;

/// Changes to the lower limbs of a neuron that keep `T`: the remainder too large, below 0 so that it wraps the field, lower
/// still; a quotient whose upper limb is too large; and a part of a limb, which only a field has.
fn other_divisions() -> Vec<[Fr; 3]> {
    let step = Fr::from(1 << 10);
    let part = step.invert().unwrap();
    vec![
        [step, -Fr::ONE, Fr::ZERO],
        [-step, Fr::ONE, Fr::ZERO],
        [-step * Fr::from(1_000_000), Fr::from(1_000_000), Fr::ZERO],
        [-step * step * step, Fr::ZERO, step],
        [Fr::ONE, -part, Fr::ZERO],
    ]
}

/// Another score in its leaf, with tree and root to match, and `T` what it must be.
#[test]
fn a_score_of_another_division_is_refused() {
    let root = HONEST.instances[0];
    for change in other_divisions() {
        let mut case = HONEST.clone();
        case.divide_otherwise(SCORE, change);
        assert_ne!(case.instances[0], root);
        assert_eq!(case.failures(), only("totals"));
    }
    let mut case = HONEST.clone();
    case.divide_otherwise(SCORE, [Fr::ZERO; 3]);
    assert_eq!((case.failures(), case.instances[0]), (none(), root));
}

/// In each layer: the activation of a negative `T` is 0 whatever its quotient is, so only the range is wrong.
#[test]
fn a_remainder_or_quotient_out_of_range_is_refused() {
    let row = |neuron: usize| HONEST.layout.slot(SLOT).start + HONEST.layout.window.neurons[neuron];
    let is_negative = |neuron: &usize| HONEST.witness.rows[row(*neuron)].limbs[3] == Fr::ZERO;
    let first = (0..5).find(is_negative).expect("the window has a negative sum in the first layer");
    let second = (5..9).find(is_negative).expect("and in the second");
    for (neuron, change) in
        [first, second].into_iter().flat_map(|neuron| other_divisions().into_iter().map(move |c| (neuron, c)))
    {
        let mut case = HONEST.clone();
        case.divide_otherwise(neuron, change);
        assert_eq!(case.failures(), only("totals"), "neuron {neuron}");
    }
}

/// The sign is the bit above the limbs: without it, or with it, `T` is another by 2^30.
#[test]
fn the_other_sign_is_refused() {
    for neuron in [0, 5, SCORE] {
        let mut case = HONEST.clone();
        case.bend_unit(SLOT, case.layout.window.neurons[neuron], |Limbs([first, second, third, sign])| {
            [first, second, third, Fr::ONE - sign]
        });
        case.settle(SLOT, SCORE);
        assert_eq!(case.failures(), only("totals"), "neuron {neuron}");
    }
}

/// A leaf with a negative score's magnitude, or with a machine's two's complement of it.
#[test]
fn a_negative_score_has_one_encoding() {
    let slot = HONEST.witness.windows.iter().position(|window| window.score < 0).expect("some score is negative");
    let public = HONEST.witness.windows[slot];
    let magnitude = Fr::from(public.score.unsigned_abs());
    let leaf_with = |score: Fr| {
        let mut case = HONEST.clone();
        case.bend_slot(slot, |layout, rows| fill_leaf(layout, public.commitment.to_field(), score, true, rows));
        case.failures()
    };
    assert_eq!(leaf_with(-magnitude), none());
    let wrapped = |bits: u64| Fr::from(2).pow_vartime([bits]) - magnitude;
    for encoding in [magnitude, wrapped(32), wrapped(64), wrapped(128), wrapped(253)] {
        assert_eq!(leaf_with(encoding), only("state"));
    }
}

impl Case {
    /// Adds to the lower limbs of a neuron of the slot in the middle, and hashes its score and the tree anew.
    fn divide_otherwise(&mut self, neuron: usize, change: [Fr; 3]) {
        self.bend_unit(SLOT, self.layout.window.neurons[neuron], |Limbs([first, second, third, sign])| {
            [first + change[0], second + change[1], third + change[2], sign]
        });
        self.settle(SLOT, SCORE);
    }
}
