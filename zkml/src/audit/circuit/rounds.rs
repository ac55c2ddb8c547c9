//! Poseidon's rounds as the audit circuit takes them: up to four a row, with constants on as few lanes as can be.
//!
//! In partial rounds only lane 0 has an S-box, and [`Constants::round_compact`] adds to that lane alone; but the first full
//! round after them adds to all three. Here lanes 1 and 2 carry that addition along from the start of the partial rounds,
//! so that a row of partial rounds needs one constant per round and no more.
//!
//! [`Constants::round_compact`]: hygeia_gpu_kernels::poseidon::Constants

use std::{array, sync::LazyLock};

use halo2_axiom::halo2curves::{bn256::Fr, ff::Field};
use hygeia_gpu_kernels::poseidon::{self, FULL_ROUNDS, PARTIAL_ROUNDS, ROUNDS, State};

/// Partial rounds on one row.
pub const PARTIAL_ROUNDS_PER_ROW: usize = 4;

/// By round: what is added before its S-boxes, given that lanes 1 and 2 carry what they carry. After the last round
/// nothing is added.
pub fn constants() -> &'static [State; ROUNDS + 1] {
    static CONSTANTS: LazyLock<[State; ROUNDS + 1]> = LazyLock::new(carry_from_the_start);
    &CONSTANTS
}

/// The state after the S-boxes of a row and what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FourRounds {
    /// Inputs of the second, third and fourth S-box.
    pub inputs: [Fr; 3],
    /// State before the S-boxes of the next round.
    pub next: State,
}

/// Four partial rounds, from the state before the S-box of the first. `first` numbers that round.
pub fn four_partial_rounds(first: usize, state: &State) -> FourRounds {
    let mut state = *state;
    let after: [State; PARTIAL_ROUNDS_PER_ROW] = array::from_fn(|index| {
        state = partial_round(first + index, &state);
        state
    });
    FourRounds { inputs: [after[0][0], after[1][0], after[2][0]], next: after[3] }
}

/// One partial round, and the constants of the next.
pub fn partial_round(round: usize, state: &State) -> State {
    linear_layer(round, &[poseidon::pow5(state[0]), state[1], state[2]])
}

/// One full round, and the constants of the next.
pub fn full_round(round: usize, state: &State) -> State {
    linear_layer(round, &state.map(poseidon::pow5))
}

fn linear_layer(round: usize, boxed: &State) -> State {
    let mixed = poseidon::apply(&poseidon::constants().mds, boxed);
    array::from_fn(|lane| mixed[lane] + constants()[round + 1][lane])
}

/// Lanes 1 and 2 pass `u' = N u + p y` through a partial round, with `y` from lane 0. So an addition to them at the end
/// is one at the start, through the inverse of `N`, and what it does to lane 0 on the way is taken off its constants.
fn carry_from_the_start() -> [State; ROUNDS + 1] {
    let poseidon::Constants { round_compact, mds, .. } = poseidon::constants();
    let mut constants = [[Fr::ZERO; 3]; ROUNDS + 1];
    constants[..ROUNDS].copy_from_slice(round_compact);
    let first = FULL_ROUNDS / 2;
    let after = first + PARTIAL_ROUNDS;
    let determinant = mds[1][1] * mds[2][2] - mds[1][2] * mds[2][1];
    let inverse = determinant.invert().expect("every minor of the matrix is invertible");
    let [_, mut lane1, mut lane2] = constants[after];
    for round in (first + 1..=after).rev() {
        let before = [mds[2][2] * lane1 - mds[1][2] * lane2, mds[1][1] * lane2 - mds[2][1] * lane1];
        [lane1, lane2] = before.map(|lane| lane * inverse);
        constants[round][0] -= mds[0][1] * lane1 + mds[0][2] * lane2;
    }
    constants[first] = [constants[first][0], lane1, lane2];
    constants[after] = [constants[after][0], Fr::ZERO, Fr::ZERO];
    constants
}

#[cfg(test)]
mod tests {
    use halo2_axiom::halo2curves::ff::Field;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;

    #[test]
    fn rounds_with_carried_constants_are_the_permutation() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        for _ in 0..20 {
            let start: State = array::from_fn(|_| Fr::random(&mut rng));
            let mut expected = start;
            poseidon::permute(&mut expected);

            let mut state: State = array::from_fn(|lane| start[lane] + constants()[0][lane]);
            let mut round = 0;
            while round < ROUNDS {
                if poseidon::is_full_round(round) {
                    state = full_round(round, &state);
                    round += 1;
                } else if round == FULL_ROUNDS / 2 {
                    state = partial_round(round, &state);
                    round += 1;
                } else {
                    state = four_partial_rounds(round, &state).next;
                    round += PARTIAL_ROUNDS_PER_ROW;
                }
            }
            assert_eq!(state, expected);
        }
    }

    /// A row's fourth constant also switches nothing on or off, but a constant of 0 would say that carrying went wrong.
    #[test]
    fn partial_rounds_add_to_lane_0_alone() {
        for (round, constants) in constants().iter().enumerate().take(FULL_ROUNDS / 2 + PARTIAL_ROUNDS + 1).skip(5) {
            assert_ne!(constants[0], Fr::ZERO, "round {round}");
            assert_eq!(constants[1..], [Fr::ZERO; 2], "round {round}");
        }
    }
}
