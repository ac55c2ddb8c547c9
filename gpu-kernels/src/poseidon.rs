//! Poseidon over the BN254 scalar field: width 3, rate 2, 8 full and 57 partial rounds, S-box x^5.
//!
//! Round constants and matrix come from the Grain generator of the Poseidon paper's reference script (eprint 2019/458),
//! so the permutation is the one that circomlib and iden3 publish for two inputs. The sponge is of fixed length: the
//! capacity starts at a tag, and **the tag must bind the length of the message** and its purpose, because an odd
//! message is filled with a zero.

use std::{array, sync::LazyLock};

use halo2curves_axiom::ff::Field;
use poseidon_primitives::poseidon::primitives::Spec;

use crate::Fr;

/// Field elements in the state.
pub const WIDTH: usize = 3;
/// Field elements absorbed by one permutation.
pub const RATE: usize = 2;
/// Rounds with an S-box on every lane; half of them come before the partial rounds, half after.
pub const FULL_ROUNDS: usize = 8;
/// Rounds with an S-box on lane 0 alone.
pub const PARTIAL_ROUNDS: usize = 57;
/// All rounds.
pub const ROUNDS: usize = FULL_ROUNDS + PARTIAL_ROUNDS;

/// State of the permutation: lane 0 is the capacity, lanes 1 and 2 are the rate.
pub type State = [Fr; WIDTH];

/// Round constants and matrix.
#[derive(Debug, Clone)]
pub struct Constants {
    /// Added to the state before the S-boxes of each round, as the reference script gives them.
    pub round: Vec<State>,
    /// An equivalent set in which partial rounds add to lane 0 only. The S-box of a partial round leaves lanes 1 and 2
    /// alone, so what would be added there is carried through the matrix into the next round.
    pub round_compact: Vec<State>,
    /// The matrix, by output lane, then input lane.
    pub mds: [State; WIDTH],
}

/// The constants, computed once per process.
pub fn constants() -> &'static Constants {
    static CONSTANTS: LazyLock<Constants> = LazyLock::new(|| {
        let (round, mds, _) = Bn254Width3::constants();
        let round_compact = compact(&round, &mds);
        Constants { round, round_compact, mds }
    });
    &CONSTANTS
}

/// Whether every lane of this round has an S-box.
pub const fn is_full_round(round: usize) -> bool {
    round < FULL_ROUNDS / 2 || round >= FULL_ROUNDS / 2 + PARTIAL_ROUNDS
}

/// Hashes a message under a capacity tag. Lane 1 of the last state is the digest.
///
/// The tag must bind the message's length (see the module's text). An empty message takes one permutation.
pub fn hash(tag: Fr, message: &[Fr]) -> Fr {
    let mut state = [tag, Fr::ZERO, Fr::ZERO];
    if message.is_empty() {
        permute(&mut state);
    }
    for block in message.chunks(RATE) {
        for (lane, element) in state[1..].iter_mut().zip(block) {
            *lane += element;
        }
        permute(&mut state);
    }
    state[1]
}

/// The permutation, in place.
pub fn permute(state: &mut State) {
    let constants = constants();
    for (round, added) in constants.round_compact.iter().enumerate() {
        if is_full_round(round) {
            *state = array::from_fn(|lane| pow5(state[lane] + added[lane]));
        } else {
            state[0] = pow5(state[0] + added[0]);
        }
        *state = apply(&constants.mds, state);
    }
}

/// The S-box.
pub fn pow5(x: Fr) -> Fr {
    x.square().square() * x
}

/// Matrix times state.
pub fn apply(mds: &[State; WIDTH], state: &State) -> State {
    array::from_fn(|row| mds[row].iter().zip(state).map(|(entry, lane)| *entry * lane).sum())
}

#[derive(Debug)]
struct Bn254Width3;

impl Spec<Fr, WIDTH, RATE> for Bn254Width3 {
    fn full_rounds() -> usize {
        FULL_ROUNDS
    }

    fn partial_rounds() -> usize {
        PARTIAL_ROUNDS
    }

    fn sbox(value: Fr) -> Fr {
        pow5(value)
    }

    /// The first matrix of the generator is the secure one for these parameters.
    fn secure_mds() -> usize {
        0
    }
}

fn compact(round: &[State], mds: &[State; WIDTH]) -> Vec<State> {
    let mut compact = round.to_vec();
    for index in (0..ROUNDS).filter(|&index| !is_full_round(index)) {
        let [_, lane1, lane2] = compact[index];
        let carried = apply(mds, &[Fr::ZERO, lane1, lane2]);
        compact[index] = [compact[index][0], Fr::ZERO, Fr::ZERO];
        for (lane, carry) in compact[index + 1].iter_mut().zip(carried) {
            *lane += carry;
        }
    }
    compact
}
