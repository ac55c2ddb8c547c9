//! Poseidon against published vectors and against the textbook form of the permutation.

use halo2curves_axiom::ff::{Field, PrimeField};
use hygeia_gpu_kernels::{Fr, poseidon};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

/// Permutation of [0, 1, 2] and hash of (1, 2) as circomlib and iden3's go and rust implementations publish it.
const CIRCOMLIB_1_2: &str = "7853200120776062878684798364095072458815029376092732009249414926327459813530";

#[test]
fn the_permutation_is_the_published_one() {
    let mut state = [Fr::ZERO, Fr::from(1), Fr::from(2)];
    poseidon::permute(&mut state);
    assert_eq!(state[0], Fr::from_str_vartime(CIRCOMLIB_1_2).unwrap());
}

#[test]
fn compact_constants_give_the_textbook_permutation() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    for _ in 0..50 {
        let start: poseidon::State = std::array::from_fn(|_| Fr::random(&mut rng));
        let mut fast = start;
        poseidon::permute(&mut fast);
        assert_eq!(fast, textbook_permutation(start));
    }
}

#[test]
fn partial_rounds_add_to_lane_zero_only() {
    let constants = poseidon::constants();
    assert_eq!(constants.round_compact.len(), poseidon::ROUNDS);
    for (round, added) in constants.round_compact.iter().enumerate() {
        assert_eq!(poseidon::is_full_round(round), added[1] != Fr::ZERO || added[2] != Fr::ZERO, "round {round}");
    }
}

#[test]
fn the_sponge_absorbs_two_elements_per_permutation() {
    let (tag, message) = (Fr::from(9), [Fr::from(3), Fr::from(4), Fr::from(5)]);
    let first = textbook_permutation([tag, message[0], message[1]]);
    let second = textbook_permutation([first[0], first[1] + message[2], first[2]]);
    assert_eq!(poseidon::hash(tag, &message), second[1]);
}

#[test]
fn tag_order_and_every_element_change_the_digest() {
    let (a, b) = (Fr::from(3), Fr::from(4));
    let reference = poseidon::hash(Fr::from(9), &[a, b, a]);
    assert_ne!(reference, poseidon::hash(Fr::from(8), &[a, b, a]));
    assert_ne!(reference, poseidon::hash(Fr::from(9), &[b, a, a]));
    assert_ne!(reference, poseidon::hash(Fr::from(9), &[a, b, b]));
    assert_ne!(poseidon::hash(Fr::ZERO, &[]), Fr::ZERO);
}

/// The permutation as the paper writes it: constants of all lanes in every round, x^5 by exponentiation.
fn textbook_permutation(mut state: poseidon::State) -> poseidon::State {
    let constants = poseidon::constants();
    for (round, added) in constants.round.iter().enumerate() {
        for lane in 0..poseidon::WIDTH {
            state[lane] += added[lane];
        }
        let boxes = if (4..61).contains(&round) { 1 } else { 3 };
        for lane in &mut state[..boxes] {
            *lane = lane.pow_vartime([5]);
        }
        let before = state;
        for (row, lane) in state.iter_mut().enumerate() {
            *lane = (0..3).map(|column| constants.mds[row][column] * before[column]).sum();
        }
    }
    state
}
