//! The CUDA kernels, emulated: the same body of tests as every accelerator, and what only larger sizes reach.

mod conformance;

use std::sync::LazyLock;

use halo2curves_axiom::{
    ff::Field,
    group::{Curve, prime::PrimeCurveAffine},
};
use hygeia_gpu_emulator::{EmulatedAccelerator, Emulator};
use hygeia_gpu_kernels::{Accelerator, CpuAccelerator, CudaAccelerator, Fr, G1, G1Affine, KernelError};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

static DEVICE: LazyLock<EmulatedAccelerator> = LazyLock::new(|| hygeia_gpu_emulator::accelerator().unwrap());

fn elements(count: usize, seed: u64) -> Vec<Fr> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    (0..count).map(|_| Fr::random(&mut rng)).collect()
}

/// Different points, made by addition.
fn points(count: usize) -> Vec<G1Affine> {
    let step = G1::generator() * Fr::from(0x1234_5678_9abc);
    let points: Vec<G1> = std::iter::successors(Some(step), |point| Some(point + step)).take(count).collect();
    let mut affine = vec![G1Affine::identity(); count];
    G1::batch_normalize(&points, &mut affine);
    affine
}

#[test]
fn the_emulated_device_conforms() {
    conformance::all(&*DEVICE);
}

/// More digits than one thread's share for each thread that shares are cut for, and lists of sums several launches
/// long: random scalars spread over all buckets, small and equal ones crowd into few.
#[test]
fn crowded_and_even_buckets_of_many_points_are_summed() {
    let size = (1 << 16) - 1;
    let points = points(size);
    let small: Vec<Fr> = (0..size as u64).map(|index| Fr::from(1 + index % 3)).collect();
    for scalars in [elements(size, 1), small, vec![-Fr::ONE; size]] {
        let expected = CpuAccelerator.msm(&scalars, &points).unwrap();
        assert_eq!(DEVICE.msm(&scalars, &points).unwrap(), expected);
        assert_ne!(DEVICE.msm(&scalars[1..], &points[1..]).unwrap(), expected);
    }
}

#[test]
fn fixed_bases_of_no_round_number_agree_with_the_processor() {
    let size = 5003;
    let points = points(size);
    let columns = [elements(size, 2), vec![Fr::from(7); size], elements(4096, 3), vec![Fr::ZERO; size]];
    let expected: Vec<G1> =
        columns.iter().map(|column| CpuAccelerator.msm(column, &points[..column.len()]).unwrap()).collect();
    let table = DEVICE.bases(&points).unwrap();
    let vectors: Vec<_> = columns.into_iter().map(|column| DEVICE.upload(column).unwrap()).collect();
    assert_eq!(DEVICE.msm_many(&table, &vectors.iter().collect::<Vec<_>>()).unwrap(), expected);
}

/// Three passes over memory, the most that any size up to 2^30 takes.
#[test]
fn a_transform_of_three_passes_agrees_with_the_processor() {
    let log_n = 21;
    let values = elements(1 << log_n, 4);
    let expected = {
        let (domain, mut vectors) = (CpuAccelerator.domain(log_n).unwrap(), [values.clone()]);
        CpuAccelerator.forward(&domain, &mut vectors).unwrap();
        let [vector] = vectors;
        vector
    };
    let (domain, mut vectors) = (DEVICE.domain(log_n).unwrap(), [DEVICE.upload(values.clone()).unwrap()]);
    DEVICE.forward(&domain, &mut vectors).unwrap();
    assert!(DEVICE.download(&vectors[0]).unwrap() == expected);
    DEVICE.inverse(&domain, &mut vectors).unwrap();
    assert!(DEVICE.download(&vectors[0]).unwrap() == values);
}

/// Long scans give each thread of the block that carries more than one chunk.
#[test]
fn long_scans_agree_with_the_processor() {
    let values = elements((1 << 17) + 11, 5);
    let point = values[7];
    let (mut there, mut here) = (DEVICE.upload(values.clone()).unwrap(), values);
    DEVICE.divide(&mut there, point).unwrap();
    CpuAccelerator.divide(&mut here, point).unwrap();
    assert!(DEVICE.download(&there).unwrap() == here);
    DEVICE.running_product(&mut there).unwrap();
    CpuAccelerator.running_product(&mut here).unwrap();
    // The highest coefficient of a quotient is zero.
    assert!(DEVICE.download(&there).unwrap() == here);
    DEVICE.running_sum(&mut there).unwrap();
    CpuAccelerator.running_sum(&mut here).unwrap();
    assert!(DEVICE.download(&there).unwrap() == here);
}

#[test]
fn a_device_without_memory_says_so_and_goes_on() {
    let device = CudaAccelerator::over(Emulator::with_memory(1 << 20).unwrap()).unwrap();
    let bytes = (1 << 16) * size_of::<Fr>();
    assert_eq!(device.upload(vec![Fr::ONE; 1 << 16]).err(), Some(KernelError::Memory { bytes }));
    let vector = device.upload(vec![Fr::ONE; 1 << 14]).unwrap();
    assert!(matches!(device.copy(&vector).and(device.domain(16).map(drop)), Err(KernelError::Memory { .. })));
    assert_eq!(device.evaluate(&[(&vector, Fr::ONE)]), Ok(vec![Fr::from(1 << 14)]));
}

/// Callers on different threads do not disturb each other.
#[test]
fn one_device_serves_many_callers() {
    let points = points(300);
    let table = DEVICE.bases(&points).unwrap();
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let (points, table) = (&points, &table);
            scope.spawn(move || {
                let values = elements(256, seed);
                let sum = CpuAccelerator.msm(&values, &points[..256]).unwrap();
                let domain = DEVICE.domain(8).unwrap();
                let mut vectors = [DEVICE.upload(values.clone()).unwrap()];
                for _ in 0..5 {
                    assert_eq!(DEVICE.msm_many(table, &[&vectors[0]]).unwrap(), [sum]);
                    DEVICE.forward(&domain, &mut vectors).unwrap();
                    DEVICE.inverse(&domain, &mut vectors).unwrap();
                }
                assert_eq!(DEVICE.download(&vectors[0]).unwrap(), values);
            });
        }
    });
}
