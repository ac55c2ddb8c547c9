//! What a proof shows besides its public values: nothing that does not change from proof to proof. The argument is in
//! docs/adr/0010-what-a-proof-hides.md.

use std::ops::Range;

use halo2_axiom::{
    arithmetic::eval_polynomial,
    halo2curves::{bn256::Fr, ff::Field},
    poly::Rotation,
};
use hygeia_gpu_kernels::{CpuAccelerator, Transform};

use super::{
    free::{Choices, MASK, prove},
    *,
};
use crate::circuit::{columns::Challenges, plan::UNUSABLE_ROWS, second_phase};

/// Words of a proof, by what they are. A point is two words, a scalar one.
struct Words {
    mask: Range<usize>,
    advice: Range<usize>,
    vanishing: Range<usize>,
    quotient: Range<usize>,
    mask_value: usize,
    advice_values: Range<usize>,
    fixed_values: Range<usize>,
    vanishing_value: usize,
    opening: Range<usize>,
}

impl Words {
    fn of(engine: &NativeEngine) -> Self {
        let cs = engine.prover.key().get_vk().cs();
        let advice = cs.num_advice_columns();
        let values = 2 * (advice + 1 + 4);
        let fixed = values + cs.advice_queries().len();
        let vanishing_value = fixed + cs.fixed_queries().len();
        let mask_query = cs.advice_queries().iter().position(|(column, _)| column.index() == MASK).unwrap();
        Self {
            mask: 2 * MASK..2 * MASK + 2,
            advice: 0..2 * advice,
            vanishing: 2 * advice..2 * advice + 2,
            quotient: 2 * advice + 2..values,
            mask_value: values + mask_query,
            advice_values: values..fixed,
            fixed_values: fixed..vanishing_value,
            vanishing_value,
            opening: vanishing_value + 1..vanishing_value + 5,
        }
    }
}

/// Index of the column of combined weights.
const WEIGHT: usize = 3;

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn witness() -> Witness {
    let (features, salt) = window(1);
    witness::fill(&ENGINE.layout, &ENGINE.network, &features, &salt, &mut rng(1)).unwrap()
}

fn one(n: usize) -> Vec<Fr> {
    let mut constant = vec![Fr::ZERO; n];
    constant[0] = Fr::ONE;
    constant
}

fn choices(blinding: u64, mask: u64, challenges: Option<u64>) -> Choices<'static> {
    Choices { blinding: rng(blinding), mask: rng(mask), vanishing: &one, challenges: challenges.map(rng) }
}

/// Numbers of the words in which two proofs differ.
fn differing(one: &[u8], other: &[u8]) -> Vec<usize> {
    let words = one.chunks(32).zip(other.chunks(32)).enumerate();
    words.filter(|(_, (one, other))| one != other).map(|(word, _)| word).collect()
}

fn joined(ranges: &[Range<usize>]) -> Vec<usize> {
    let mut words: Vec<usize> = ranges.iter().cloned().flatten().collect();
    words.sort_unstable();
    words
}

#[test]
fn two_proofs_of_one_window_share_nothing_but_what_is_public() {
    let (features, salt) = window(6);
    let proofs = [0, 1].map(|_| ENGINE.prove(&features, &salt).unwrap());
    assert_eq!(proofs[0].public, proofs[1].public);
    let words = |proof: &Proof| proof.bytes.chunks(32).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let (first, second) = (words(&proofs[0]), words(&proofs[1]));
    assert!(first.iter().all(|word| !second.contains(word)));
}

/// Proofs are accepted whatever the vanishing argument's polynomial is; the same randomness gives the same proof, so that
/// the comparisons below can fail.
#[test]
fn the_choices_are_all_that_differs_between_proofs() {
    let witness = witness();
    let random = |n: usize| (0..n).map(|index| Fr::random(rng(index as u64))).collect();
    let vanishing: [&dyn Fn(usize) -> Vec<Fr>; 2] = [&one, &random];
    for vanishing in vanishing {
        let proof = prove(&ENGINE, &witness, Choices { vanishing, ..choices(1, 2, None) });
        assert_eq!(verify(ENGINE.verifying_key(), &proof, &witness.public), Ok(()));
        let again = prove(&ENGINE, &witness, Choices { vanishing, ..choices(1, 2, None) });
        assert!(differing(&proof, &again).is_empty());
        let mut wrong = witness.clone();
        wrong.public.score += 1;
        let forged = prove(&ENGINE, &wrong, Choices { vanishing, ..choices(1, 2, None) });
        assert_eq!(verify(ENGINE.verifying_key(), &forged, &wrong.public), Err(VerifyError::Rejected));
    }
}

/// A prover that leaves the vanishing argument's random polynomial out, as a GPU prover does, publishes nothing twice
/// but that polynomial itself.
#[test]
fn without_the_vanishing_polynomial_every_value_is_random_still() {
    let (words, witness) = (Words::of(&ENGINE), witness());
    let proofs = [(1, 2), (3, 4)].map(|(blinding, mask)| prove(&ENGINE, &witness, choices(blinding, mask, None)));
    for proof in &proofs {
        assert_eq!(verify(ENGINE.verifying_key(), proof, &witness.public), Ok(()));
    }
    let all = joined(&[words.advice, words.quotient, words.advice_values, words.fixed_values, words.opening]);
    assert_eq!(differing(&proofs[0], &proofs[1]), all);
    assert_eq!(proofs[0].len() / 32, all.len() + words.vanishing.len() + 1);
    assert_eq!(proofs[0][32 * words.vanishing_value..][..32], {
        let mut one = [0; 32];
        one[31] = 1;
        one
    });
}

/// Under the same challenges, so that only randomness itself makes a difference: blinding rows change every commitment
/// and every value of every column, and the quotient; the mask alone changes both points of the opening.
#[test]
fn blinding_and_mask_randomise_each_what_they_are_there_for() {
    let (words, witness) = (Words::of(&ENGINE), witness());
    let proof = |blinding, mask| prove(&ENGINE, &witness, choices(blinding, mask, Some(9)));
    let original = proof(1, 2);

    let masked = joined(&[words.mask.clone(), words.mask_value..words.mask_value + 1, words.opening.clone()]);
    assert_eq!(differing(&original, &proof(1, 3)), masked);

    let of_mask: Vec<usize> = words.mask.clone().chain([words.mask_value]).collect();
    let mut blinded =
        joined(&[words.advice.clone(), words.quotient.clone(), words.advice_values.clone(), words.opening.clone()]);
    blinded.retain(|word| !of_mask.contains(word));
    assert_eq!(differing(&original, &proof(4, 2)), blinded);
}

/// A commitment is a column's value at the secret of the reference string. Together with the values that are opened it is
/// a linear image of the column's blinding rows, and of full rank: so whatever a column holds, they are uniform.
#[test]
fn blinding_rows_make_commitment_and_values_of_a_column_uniform() {
    let key = ENGINE.prover.key().get_vk();
    let (domain, cs) = (key.get_domain(), key.cs());
    let n = 1 << domain.k();
    let (secret, x) = (Fr::random(rng(1)), Fr::random(rng(2)));
    let blinding: Vec<_> = (n - UNUSABLE_ROWS..n)
        .map(|row| {
            let mut unit = vec![Fr::ZERO; n];
            unit[row] = Fr::ONE;
            domain.lagrange_to_coeff(domain.lagrange_from_vec(unit))
        })
        .collect();
    for column in 0..cs.num_advice_columns() {
        let queries = cs.advice_queries().iter().filter(|(queried, _)| queried.index() == column);
        let points: Vec<Fr> =
            std::iter::once(secret).chain(queries.map(|&(_, rotation)| domain.rotate_omega(x, rotation))).collect();
        let image: Vec<Vec<Fr>> =
            points.iter().map(|&point| blinding.iter().map(|poly| eval_polynomial(poly, point)).collect()).collect();
        assert_eq!(rank(image), points.len(), "column {column}");
    }
}

/// The quotient is linear in the weights. So, whatever all other columns hold, its four pieces' values at the secret are
/// together with commitment and values of that column an affine image of the column's blinding rows, and of full rank.
#[test]
fn blinding_rows_make_the_quotient_uniform_as_well() {
    let (witness, mut rng) = (witness(), rng(7));
    let [node, layer, range, y, secret, x] = std::array::from_fn(|_| Fr::random(&mut rng));
    let second = second_phase(&ENGINE.layout, &witness, &Challenges { node, layer, range });
    let first = &witness.first;
    let columns = [&first.limb, &first.cell, &first.mask, &second.weight, &second.place, &second.sum, &second.tally];
    let columns: Vec<Vec<Fr>> = columns.map(|values| blinded(values, &mut rng)).into();
    let polys: Vec<Vec<Fr>> = columns.iter().map(|values| interpolate(values)).collect();

    let domain = ENGINE.prover.key().get_vk().get_domain();
    let n = 1 << domain.k();
    let mut instance = witness.public.instances().to_vec();
    instance.resize(n, Fr::ZERO);
    let instance = interpolate(&instance);
    let published = |weights: &[Fr]| -> Vec<Fr> {
        let mut polys = polys.clone();
        polys[WEIGHT] = interpolate(weights);
        let points = [secret, x, domain.rotate_omega(x, Rotation::prev())];
        let values = points.map(|point| eval_polynomial(&polys[WEIGHT], point));
        let quotient = ENGINE.prover.processor(ENGINE.srs.params()).unwrap().quotient();
        let pieces = quotient.pieces(&CpuAccelerator, &polys, &instance, &[node, layer, range], y).unwrap();
        values.into_iter().chain(pieces.map(|piece| eval_polynomial(&piece, secret))).collect()
    };
    let original = published(&columns[WEIGHT]);
    assert_eq!(original.len(), 3 + 4);
    let image: Vec<Vec<Fr>> = (n - original.len()..n)
        .map(|row| {
            let mut weights = columns[WEIGHT].clone();
            weights[row] += Fr::ONE;
            published(&weights).iter().zip(&original).map(|(changed, original)| changed - original).collect()
        })
        .collect();
    assert_eq!(rank(image), original.len());
}

/// A column with its last rows drawn at random.
fn blinded(values: &[Fr], rng: &mut ChaCha20Rng) -> Vec<Fr> {
    let plan = &ENGINE.layout.plan;
    let mut values = values.to_vec();
    values.resize(plan.rows_usable(), Fr::ZERO);
    values.extend((plan.rows_usable()..1 << plan.k).map(|_| Fr::random(&mut *rng)));
    values
}

/// Coefficients of the polynomial with these values on the rows.
fn interpolate(values: &[Fr]) -> Vec<Fr> {
    let mut values = values.to_vec();
    Transform::new(ENGINE.layout.plan.k).unwrap().inverse(&mut values).unwrap();
    values
}

/// Number of independent rows, by elimination.
fn rank(mut rows: Vec<Vec<Fr>>) -> usize {
    let mut rank = 0;
    for column in 0..rows.first().map_or(0, Vec::len) {
        let Some(pivot) = (rank..rows.len()).find(|&row| rows[row][column] != Fr::ZERO) else { continue };
        rows.swap(rank, pivot);
        let inverse = rows[rank][column].invert().unwrap();
        let pivot = rows[rank].clone();
        for row in &mut rows[rank + 1..] {
            let factor = row[column] * inverse;
            row.iter_mut().zip(&pivot).for_each(|(value, pivot)| *value -= factor * pivot);
        }
        rank += 1;
    }
    rank
}
