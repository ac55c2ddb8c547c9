//! The arithmetic in lanes against that of the fields, on random numbers and at the ends of what may be put in. On a
//! processor without the instructions there is nothing to test.

use std::arch::x86_64::{__m512i, _mm512_set1_epi64};

use halo2curves_axiom::{
    bn256::{Fq, Fr},
    ff::{Field, PrimeField},
    group::{Curve, Group, prime::PrimeCurveAffine},
};
use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha20Rng;

use super::{
    Chains, Ifma,
    field::{ALL, Lanes, Prime, split},
    memory::{load, load_points, load_slice, rows_of_points, store_point, store_slice, words},
};
use crate::{
    G1, G1Affine,
    cpu::{Arithmetic, addition::Adder},
};

type Limbs = [u64; 5];

const LIMB_MAX: u64 = (1 << 52) - 1;

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(23)
}

/// The element that limbs stand for.
fn element<F: PrimeField>(limbs: &Limbs) -> F {
    limbs.iter().rev().fold(F::ZERO, |sum, &limb| sum * F::from(1 << 52) + F::from(limb))
}

/// A small multiple of the prime, plus or minus a little.
fn near<F: Prime>(multiple: u64, offset: i64) -> Limbs {
    let mut carry = i128::from(offset);
    F::LIMBS.map(|limb| {
        let sum = i128::from(limb) * i128::from(multiple) + carry;
        carry = sum >> 52;
        sum as u64 & LIMB_MAX
    })
}

/// Numbers below 2^260, of which many lie at ends: zero, one, multiples of the prime and their neighbours, all bits set.
fn numbers<F: Prime>() -> Vec<Limbs> {
    let mut rng = rng();
    let mut numbers = vec![[0; 5], [1, 0, 0, 0, 0], [LIMB_MAX; 5], [0, 0, 0, 0, LIMB_MAX], [LIMB_MAX, 0, 0, 0, 0]];
    for multiple in [1, 2, 3, 4, 16, 32, 40, 57, 84] {
        numbers.extend([-1, 0, 1].map(|offset| near::<F>(multiple, offset)));
    }
    numbers.extend((0..64).map(|_| std::array::from_fn(|_| rng.next_u64() & LIMB_MAX)));
    numbers
}

fn lanes_of(vector: __m512i) -> [u64; 8] {
    // SAFETY: both types are 64 bytes of integers.
    unsafe { std::mem::transmute(vector) }
}

fn limbs<F>(lanes: &Lanes<F>) -> [Limbs; 8] {
    let columns = lanes.limbs.map(lanes_of);
    std::array::from_fn(|lane| columns.map(|column| column[lane]))
}

/// Lanes with different numbers, of which the first is the one asked for.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn spread<F: Prime>(numbers: &[Limbs], first: usize) -> Lanes<F> {
    let mut lanes = Lanes::splat(&numbers[first]);
    for lane in 1..8 {
        lanes = lanes.or_else(1 << lane, Lanes::splat(&numbers[(first + lane * 7) % numbers.len()]));
    }
    lanes
}

/// Whether a tight number is below a multiple of the prime.
fn is_below<F: Prime>(limbs: &Limbs, multiple: u64) -> bool {
    limbs.iter().rev().lt(near::<F>(multiple, 0).iter().rev())
}

fn in_lanes(test: unsafe fn()) {
    if Ifma::detect().is_some() {
        // SAFETY: the processor has the instructions.
        unsafe { test() }
    }
}

#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn products<F: Prime + PrimeField>() {
    let numbers = numbers::<F>();
    let rights: Vec<Limbs> = numbers.iter().copied().filter(|number| is_below::<F>(number, 80)).collect();
    let shrink = F::from(2).pow_vartime([260]).invert().unwrap();
    for left in 0..numbers.len() {
        for right in 0..rights.len() {
            let (a, b) = (spread::<F>(&numbers, left), spread::<F>(&rights, right));
            let found = limbs(&a.times(b));
            for ((a, b), found) in limbs(&a).iter().zip(&limbs(&b)).zip(&found) {
                assert_eq!(element::<F>(found), element::<F>(a) * element::<F>(b) * shrink, "{a:x?} {b:x?}");
                assert!(found.iter().all(|&limb| limb <= LIMB_MAX), "{a:x?} {b:x?}");
                if is_below::<F>(a, 2) && is_below::<F>(b, 40) {
                    assert!(is_below::<F>(found, 2), "{a:x?} {b:x?}");
                }
            }
        }
    }
}

#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn sums<F: Prime + PrimeField>() {
    let numbers: Vec<Limbs> = numbers::<F>().into_iter().filter(|number| is_below::<F>(number, 41)).collect();
    for left in 0..numbers.len() {
        for right in 0..numbers.len() {
            let (a, b) = (spread::<F>(&numbers, left), spread::<F>(&numbers, right));
            let sum = limbs(&a.plus(b).tight());
            let loose = a.minus(b).plus_primes(ALL, 41);
            let difference = limbs(&loose.tight());
            let signs = a.minus(b).tight().negative();
            for (lane, (a, b)) in limbs(&a).iter().zip(&limbs(&b)).enumerate() {
                assert_eq!(element::<F>(&sum[lane]), element::<F>(a) + element::<F>(b), "{a:x?} {b:x?}");
                assert_eq!(element::<F>(&difference[lane]), element::<F>(a) - element::<F>(b), "{a:x?} {b:x?}");
                assert_eq!(signs >> lane & 1 == 1, a.iter().rev().lt(b.iter().rev()), "{a:x?} {b:x?}");
                for result in [sum[lane], difference[lane]] {
                    assert!(result.iter().all(|&limb| limb <= LIMB_MAX), "{a:x?} {b:x?}");
                }
            }
        }
    }
}

/// Numbers between -2 p and 2 p become the ones that memory holds.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn canonical<F: Prime + PrimeField>() {
    let numbers: Vec<Limbs> = numbers::<F>().into_iter().filter(|number| is_below::<F>(number, 2)).collect();
    for first in 0..numbers.len() {
        let lanes = spread::<F>(&numbers, first);
        let mirrored = Lanes::small(0).minus(lanes);
        for (given, (found, turned)) in
            limbs(&lanes).iter().zip(limbs(&lanes.canonical()).iter().zip(&limbs(&mirrored.canonical())))
        {
            let expected: F = element(given);
            for (found, expected) in [(found, expected), (turned, -expected)] {
                assert!(is_below::<F>(found, 1), "{given:x?}");
                assert_eq!(element::<F>(found), expected, "{given:x?}");
            }
        }
    }
}

/// Sixteen times, and the mask of zeros.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn shifts_and_zeros<F: Prime + PrimeField>() {
    let numbers: Vec<Limbs> = numbers::<F>().into_iter().filter(|number| is_below::<F>(number, 5)).collect();
    for first in 0..numbers.len() {
        let lanes = spread::<F>(&numbers, first);
        for (lane, (given, shifted)) in limbs(&lanes).iter().zip(&limbs(&lanes.shift4())).enumerate() {
            assert_eq!(element::<F>(shifted), element::<F>(given) * F::from(16), "{given:x?}");
            assert!(shifted.iter().all(|&limb| limb <= LIMB_MAX), "{given:x?}");
            assert_eq!(lanes.zero() >> lane & 1 == 1, *given == [0; 5], "{given:x?}");
        }
    }
}

#[test]
fn products_are_those_of_the_field() {
    in_lanes(products::<Fq>);
    in_lanes(products::<Fr>);
}

#[test]
fn sums_and_differences_are_those_of_the_field() {
    in_lanes(sums::<Fq>);
    in_lanes(sums::<Fr>);
}

#[test]
fn canonical_numbers_are_below_the_prime() {
    in_lanes(canonical::<Fq>);
    in_lanes(canonical::<Fr>);
}

#[test]
fn shifts_multiply_and_zeros_are_found() {
    in_lanes(shifts_and_zeros::<Fq>);
    in_lanes(shifts_and_zeros::<Fr>);
}

/// What the words of an element mean, which its size alone does not say, and that lanes come back where they were.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn memory() {
    let mut rng = rng();
    for _ in 0..20 {
        let mut elements: [Fr; 8] = std::array::from_fn(|_| Fr::random(&mut rng));
        elements[rng.gen_range(0..8)] = -Fr::ONE;
        let montgomery = Fr::from(2).pow_vartime([256]);
        for (element, limbs) in elements.iter().zip(limbs(&load_slice(&elements))) {
            assert_eq!(self::element::<Fr>(&limbs), element * montgomery);
            assert_eq!(limbs, split(words(element)));
        }
        let mut stored = [Fr::ZERO; 8];
        store_slice(&mut stored, load_slice(&elements));
        assert_eq!(stored, elements);
        let turned = elements.each_ref();
        assert_eq!(limbs(&load(turned)), limbs(&load_slice(&elements)));

        let points: [G1Affine; 8] = std::array::from_fn(|_| G1::random(&mut rng).to_affine());
        let (x, y) = load_points(points.each_ref());
        assert_eq!(limbs(&x), limbs(&load(points.each_ref().map(|point| &point.x))));
        assert_eq!(limbs(&y), limbs(&load(points.each_ref().map(|point| &point.y))));
        let mut stored = [G1Affine::identity(); 8];
        stored.iter_mut().zip(rows_of_points(x, y)).for_each(|(place, row)| store_point(place, row));
        assert_eq!(stored, points);
    }
    assert_eq!(lanes_of(_mm512_set1_epi64(7)), [7; 8]);
}

#[test]
fn memory_is_read_and_written_as_the_fields_do() {
    in_lanes(memory);
}

/// Every pairing of special points in every lane, and all numbers of pairs around those of a vector and of a batch.
#[test]
fn additions_are_those_of_the_group() {
    let Some(ifma) = Ifma::detect() else { return };
    let mut rng = rng();
    let point = G1::random(&mut rng).to_affine();
    let few = [G1Affine::identity(), point, -point, (point + point).to_affine(), G1::random(&mut rng).to_affine()];
    for count in (0..20).chain([1023, 1024, 1025, 3000]) {
        let mut arena: Vec<G1Affine> = (0..2 * count).map(|_| few[rng.gen_range(0..few.len())]).collect();
        let pairs: Vec<(u32, u32)> = (0..count as u32).map(|pair| (pair, 2 * count as u32 - 1 - pair)).collect();
        let expected: Vec<G1Affine> =
            pairs.iter().map(|&(left, right)| (arena[left as usize] + arena[right as usize]).to_affine()).collect();
        let mut scalar = arena.clone();
        Chains::new(ifma).add_pairs(&mut arena, &pairs);
        assert_eq!(arena[..count], expected, "{count} pairs");
        Adder::new(Arithmetic::SCALAR).add_pairs(&mut scalar, &pairs);
        assert_eq!(arena, scalar, "{count} pairs");
    }
}
