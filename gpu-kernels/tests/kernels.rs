//! Every accelerator must agree with the definitions below, edge inputs included.

use halo2curves_axiom::{
    ff::{Field, PrimeField},
    group::{Curve, Group, prime::PrimeCurveAffine},
};
use hygeia_gpu_kernels::{Accelerator, CpuAccelerator, Fr, G1, G1Affine, KernelError};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

fn naive_msm(scalars: &[Fr], bases: &[G1Affine]) -> G1 {
    scalars.iter().zip(bases).map(|(scalar, base)| *base * scalar).sum()
}

fn naive_ntt(values: &[Fr], omega: Fr) -> Vec<Fr> {
    let evaluate = |x: Fr| values.iter().rev().fold(Fr::ZERO, |sum, value| sum * x + value);
    (0..values.len() as u64).map(|index| evaluate(omega.pow_vartime([index]))).collect()
}

fn root_of_unity(log_n: u32) -> Fr {
    (log_n..Fr::S).fold(Fr::ROOT_OF_UNITY, |root, _| root.square())
}

fn points(count: usize, rng: &mut ChaCha20Rng) -> Vec<G1Affine> {
    (0..count).map(|_| G1::random(&mut *rng).to_affine()).collect()
}

fn check_msm(case: &str, scalars: &[Fr], bases: &[G1Affine]) {
    assert_eq!(CpuAccelerator.msm(scalars, bases).unwrap(), naive_msm(scalars, bases), "{case}");
}

#[test]
fn msm_agrees_with_the_definition() {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    for size in [1, 2, 3, 4, 31, 32, 33, 257] {
        let bases = points(size, &mut rng);
        let random: Vec<Fr> = (0..size).map(|_| Fr::random(&mut rng)).collect();
        let small: Vec<Fr> = (0..size).map(|_| Fr::from(rng.gen_range(0..1024))).collect();
        check_msm("random scalars", &random, &bases);
        check_msm("small scalars", &small, &bases);
        check_msm("zero scalars", &vec![Fr::ZERO; size], &bases);
        check_msm("scalars r - 1", &vec![-Fr::ONE; size], &bases);
    }
}

#[test]
fn msm_of_one_large_size_agrees_with_two_halves() {
    // Above e^9 points the bucket method with affine additions takes over.
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let few = points(64, &mut rng);
    let size = 1 << 14;
    let bases: Vec<G1Affine> = (0..size).map(|index| few[index % few.len()]).collect();
    let scalars: Vec<Fr> = (0..size).map(|_| Fr::random(&mut rng)).collect();
    let folded: Vec<Fr> = (0..few.len()).map(|start| scalars.iter().skip(start).step_by(few.len()).sum()).collect();
    assert_eq!(CpuAccelerator.msm(&scalars, &bases).unwrap(), naive_msm(&folded, &few));
}

#[test]
fn msm_takes_repeated_opposite_and_identity_bases() {
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    for size in [5, 40, 300, 10_000] {
        let base = points(1, &mut rng)[0];
        let mut bases = vec![base; size];
        bases[1] = -base;
        bases[2] = G1Affine::identity();
        let scalars: Vec<Fr> = (0..size as u64).map(Fr::from).collect();
        check_msm("one point repeated", &scalars, &bases);
    }
    check_msm("identity alone", &[Fr::from(7)], &[G1Affine::identity()]);
    check_msm("empty", &[], &[]);
}

#[test]
fn msm_refuses_unequal_lengths() {
    let refused = CpuAccelerator.msm(&[Fr::ONE], &[]);
    assert_eq!(refused.unwrap_err(), KernelError::LengthMismatch { scalars: 1, bases: 0 });
}

#[test]
fn ntt_agrees_with_the_definition_and_inverts() {
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    for log_n in 0..=8 {
        let n = 1_u64 << log_n;
        let omega = root_of_unity(log_n);
        for values in
            [(0..n).map(|_| Fr::random(&mut rng)).collect(), vec![Fr::ZERO; n as usize], vec![-Fr::ONE; n as usize]]
        {
            let mut transformed = values.clone();
            CpuAccelerator.ntt(&mut transformed, omega, log_n).unwrap();
            assert_eq!(transformed, naive_ntt(&values, omega), "log_n {log_n}");

            CpuAccelerator.ntt(&mut transformed, omega.invert().unwrap(), log_n).unwrap();
            let n_inverse = Fr::from(n).invert().unwrap();
            let restored: Vec<Fr> = transformed.iter().map(|value| *value * n_inverse).collect();
            assert_eq!(restored, values, "log_n {log_n}");
        }
    }
}

#[test]
fn ntt_refuses_wrong_sizes_and_roots() {
    let refuse =
        |length: usize, omega, log_n| CpuAccelerator.ntt(&mut vec![Fr::ONE; length], omega, log_n).unwrap_err();
    assert_eq!(refuse(3, root_of_unity(2), 2), KernelError::TransformSize { values: 3, log_n: 2 });
    assert_eq!(refuse(0, Fr::ONE, 40), KernelError::TransformSize { values: 0, log_n: 40 });
    assert_eq!(refuse(4, root_of_unity(3), 2), KernelError::NotPrimitiveRoot { log_n: 2 });
    assert_eq!(refuse(4, root_of_unity(1), 2), KernelError::NotPrimitiveRoot { log_n: 2 });
    assert_eq!(refuse(4, Fr::ZERO, 2), KernelError::NotPrimitiveRoot { log_n: 2 });
}
