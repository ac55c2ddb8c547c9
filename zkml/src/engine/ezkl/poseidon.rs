//! EZKL's hash of its inputs: Poseidon over the BN254 scalar field, width 2, rate 1, 8 full and 56 partial rounds, S-box x^5.
//!
//! Constants come from the same generator as those of our own permutation, for this width. The state begins as `[0, 2^64]`,
//! one element is added before each permutation, nothing is padded and nothing tagged: neither purpose nor length enters the
//! hash. What it does not bind, a circuit must.

use std::sync::LazyLock;

use halo2_axiom::halo2curves::{
    bn256::Fr,
    ff::{Field, PrimeField},
};
use hygeia_gpu_kernels::poseidon::pow5;
use poseidon_primitives::poseidon::primitives::Spec;

const WIDTH: usize = 2;
const FULL_ROUNDS: usize = 8;
const PARTIAL_ROUNDS: usize = 56;

type State = [Fr; WIDTH];

struct Constants {
    round: Vec<State>,
    mds: [State; WIDTH],
}

/// Hashes a message.
pub fn hash(message: impl IntoIterator<Item = Fr>) -> Fr {
    let mut state = [Fr::ZERO, Fr::from_u128(1 << 64)];
    for element in message {
        state[0] += element;
        permute(&mut state);
    }
    state[0]
}

fn permute(state: &mut State) {
    static CONSTANTS: LazyLock<Constants> = LazyLock::new(|| {
        let (round, mds, _) = Bn254Width2::constants();
        Constants { round, mds }
    });
    let half = FULL_ROUNDS / 2;
    for (round, added) in CONSTANTS.round.iter().enumerate() {
        let is_full = round < half || round >= half + PARTIAL_ROUNDS;
        let [first, second] = [state[0] + added[0], state[1] + added[1]];
        let boxed = [pow5(first), if is_full { pow5(second) } else { second }];
        *state = CONSTANTS.mds.map(|row| row[0] * boxed[0] + row[1] * boxed[1]);
    }
}

#[derive(Debug)]
struct Bn254Width2;

impl Spec<Fr, WIDTH, 1> for Bn254Width2 {
    fn full_rounds() -> usize {
        FULL_ROUNDS
    }

    fn partial_rounds() -> usize {
        PARTIAL_ROUNDS
    }

    fn sbox(value: Fr) -> Fr {
        pow5(value)
    }

    /// The first matrix of the generator.
    fn secure_mds() -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::{field_from_i64, field_to_be_bytes};

    /// Answers of `ezkl.poseidon_hash` of EZKL 23.0.5 for little-endian elements, turned around.
    const VECTORS: [(&[i64], &str); 4] = [
        (&[1], "085669613228caa1a618fd5c9eef3a196612f180ed346cccb1f0eaadc2b9bb90"),
        (&[1, 2, 3], "2c3294b916f404517529c048d4ec3fb21cd0f370184a5729b71d4e499f8b5259"),
        (&[5, -7, 12345, 0], "10ea5db0f73ebdc63d1c1f935e99ee80594d8ebca6011d9c5ac14b3ee5e65ab2"),
        (
            &[-32768, 32767, 1024, 1, 16777215, 16777215, 16777215, 16777215, 16777215, 16777215],
            "184472ba4ef9de291b87e0305b4fe1b1916a6ace99339f2975c5f608d4d883d5",
        ),
    ];

    #[test]
    fn hashes_are_those_of_ezkl() {
        for (message, expected) in VECTORS {
            let digest = hash(message.iter().copied().map(field_from_i64));
            assert_eq!(hex::encode(field_to_be_bytes(digest)), expected, "{message:?}");
        }
    }

    #[test]
    fn order_length_and_each_element_change_the_hash() {
        let digest = |message: &[u64]| hash(message.iter().copied().map(Fr::from));
        let base = digest(&[1, 2, 3]);
        for other in [&[3, 2, 1][..], &[1, 2], &[1, 2, 3, 0], &[0, 1, 2, 3], &[1, 2, 4]] {
            assert_ne!(digest(other), base, "{other:?}");
        }
    }
}
