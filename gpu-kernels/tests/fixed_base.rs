//! Multiplication over fixed bases at sizes and edges that are the CPU's own, and the root of its transforms.

use halo2curves_axiom::{
    ff::{Field, PrimeField},
    group::{Curve, Group},
};
use hygeia_gpu_kernels::{FixedBases, Fr, G1, G1Affine, Transform, cpu::Arithmetic};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(11)
}

fn points(count: usize, rng: &mut ChaCha20Rng) -> Vec<G1Affine> {
    (0..count).map(|_| G1::random(&mut *rng).to_affine()).collect()
}

fn naive(scalars: &[Fr], bases: &[G1Affine]) -> G1 {
    scalars.iter().zip(bases).map(|(scalar, base)| *base * scalar).sum()
}

/// On a processor without vector arithmetic both are the same.
fn ways() -> [Arithmetic; 2] {
    [Arithmetic::SCALAR, Arithmetic::detect()]
}

fn check(case: &str, scalars: &[Fr], bases: &[G1Affine]) {
    let expected = naive(scalars, bases);
    for arithmetic in ways() {
        let table = FixedBases::with_arithmetic(bases, arithmetic).unwrap();
        assert_eq!(table.msm(scalars).unwrap(), expected, "{case}, {arithmetic:?}");
    }
}

/// The scalars next to which digits, signs and carries change.
fn edges() -> Vec<Fr> {
    let two = Fr::from(2);
    let half = -two.invert().unwrap();
    let powers = (1..254).map(|power| two.pow_vartime([power]));
    let near = powers.flat_map(|power| [power - Fr::ONE, power, -power]);
    [Fr::ZERO, Fr::ONE, -Fr::ONE, half, half + Fr::ONE].into_iter().chain(near).collect()
}

#[test]
fn agrees_with_the_definition_for_any_number_of_bases() {
    let mut rng = rng();
    for size in [0, 1, 2, 3, 31, 100, 257] {
        let bases = points(size, &mut rng);
        let random: Vec<Fr> = (0..size).map(|_| Fr::random(&mut rng)).collect();
        let small: Vec<Fr> = (0..size).map(|_| Fr::from(rng.gen_range(0..1024))).collect();
        check("random", &random, &bases);
        check("small", &small, &bases);
        check("small negatives", &small.iter().map(|scalar| -scalar).collect::<Vec<_>>(), &bases);
        check("fewer scalars than bases", &random[..size / 2], &bases);
        check("zeros", &vec![Fr::ZERO; size], &bases);
    }
}

#[test]
fn agrees_at_the_edges_of_digits() {
    let scalars = edges();
    let bases = points(scalars.len(), &mut rng());
    check("each with its own base", &scalars, &bases);
    for scalar in scalars {
        check("alone", &[scalar], &bases[..1]);
    }
}

#[test]
fn takes_equal_and_opposite_points_in_one_bucket() {
    let base = points(1, &mut rng())[0];
    for count in 1..20 {
        for scalar in [Fr::ONE, -Fr::ONE, Fr::from(77)] {
            check("equal points", &vec![scalar; count], &vec![base; count]);
            let opposite: Vec<G1Affine> = (0..count).map(|i| if i % 3 == 0 { -base } else { base }).collect();
            check("opposite points", &vec![scalar; count], &opposite);
        }
    }
}

#[test]
fn large_sizes_agree_with_their_folded_halves() {
    let mut rng = rng();
    let few = points(64, &mut rng);
    let size = (1 << 14) + 5;
    let bases: Vec<G1Affine> = (0..size).map(|index| few[index % few.len()]).collect();
    let random: Vec<Fr> = (0..size).map(|_| Fr::random(&mut rng)).collect();
    let columns = [random.clone(), vec![Fr::from(3); size], random[..5000].to_vec()];
    let folded = |scalars: &[Fr]| -> Vec<Fr> {
        (0..few.len()).map(|start| scalars.iter().skip(start).step_by(few.len()).sum()).collect()
    };
    let expected = columns.each_ref().map(|column| naive(&folded(column), &few));
    for arithmetic in ways() {
        let table = FixedBases::with_arithmetic(&bases, arithmetic).unwrap();
        let sums = table.msm_many(&columns.each_ref().map(Vec::as_slice)).unwrap();
        let alone: Vec<G1> = columns.iter().map(|column| table.msm(column).unwrap()).collect();
        assert_eq!(sums, alone);
        assert_eq!(sums, expected, "{arithmetic:?}");
    }
}

#[test]
fn the_root_is_the_one_of_the_field() {
    let expected = (5..Fr::S).fold(Fr::ROOT_OF_UNITY, |root, _| root.square());
    assert_eq!(Transform::new(5).unwrap().omega(), expected);
}
