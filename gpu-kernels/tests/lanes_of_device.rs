//! Lanes, recordings and the gate, on an emulated device that does everything as late as a device may.

mod conformance;

use std::time::Duration;

use halo2curves_axiom::{
    ff::Field,
    group::{Curve, prime::PrimeCurveAffine},
};
use hygeia_gpu_emulator::{EmulatedAccelerator, Emulator};
use hygeia_gpu_kernels::{
    Accelerator, CpuAccelerator, CudaAccelerator, Fr, G1, G1Affine, InferenceGate, KernelError, cuda::Device,
};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

/// Longer than any test runs.
const FOR_EVER: Duration = Duration::from_secs(3600);

fn late() -> EmulatedAccelerator {
    CudaAccelerator::over(Emulator::new().unwrap().late()).unwrap()
}

fn elements(count: usize, seed: u64) -> Vec<Fr> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    (0..count).map(|_| Fr::random(&mut rng)).collect()
}

fn points(count: usize) -> Vec<G1Affine> {
    let step = G1::generator() * Fr::from(0x1234_5678_9abc);
    let points: Vec<G1> = std::iter::successors(Some(step), |point| Some(point + step)).take(count).collect();
    let mut affine = vec![G1Affine::identity(); count];
    G1::batch_normalize(&points, &mut affine);
    affine
}

#[test]
fn a_late_device_conforms_in_and_outside_of_lanes() {
    let device = late();
    conformance::all(&device);
    device.in_flight(conformance::all).unwrap();
}

/// A lane is no part of the order of another: what it does not follow, it does not see.
#[test]
fn a_lane_sees_what_it_follows() {
    let home = Emulator::new().unwrap().late();
    let (mut memory, bytes) = (home.allocate(8).unwrap(), [1, 2, 3, 4, 5, 6, 7, 8]);
    home.write(&mut memory, &bytes).unwrap();
    let (hasty, patient) = (home.lane().unwrap(), home.lane().unwrap());
    let seen = |lane: &Emulator| {
        let (mut copy, mut seen) = (lane.allocate(8).unwrap(), [0; 8]);
        lane.copy(&memory, &mut copy, 8).unwrap();
        lane.read(&copy, 0, &mut seen).unwrap();
        seen
    };
    assert_ne!(seen(&hasty), bytes);
    patient.follow(&home).unwrap();
    assert_eq!(seen(&patient), bytes);
}

/// More callers than lanes, all over bases and vectors that were asked for and not waited for.
#[test]
fn callers_in_lanes_do_not_disturb_each_other() {
    let (device, points) = (late(), points(300));
    let (table, domain) = (device.bases(&points).unwrap(), device.domain(8).unwrap());
    let values = elements(256, 0);
    let shared = device.upload(values.clone()).unwrap();
    std::thread::scope(|scope| {
        for seed in 1..12 {
            let (device, points, table, domain, values, shared) = (&device, &points, &table, &domain, &values, &shared);
            scope.spawn(move || {
                let own = elements(256, seed);
                let expected = CpuAccelerator.msm(&own, &points[..256]).unwrap();
                let sums = CpuAccelerator.combine(&[(Fr::ONE, values), (Fr::ONE, &own)], 256).unwrap();
                let work = |lane: &EmulatedAccelerator| -> Result<_, KernelError> {
                    let mut vectors = [lane.upload(own.clone())?];
                    for _ in 0..3 {
                        assert_eq!(lane.msm_many(table, &[&vectors[0]])?, [expected]);
                        lane.forward(domain, &mut vectors)?;
                        lane.inverse(domain, &mut vectors)?;
                    }
                    lane.download(&lane.combine(&[(Fr::ONE, shared), (Fr::ONE, &vectors[0])], 256)?)
                };
                assert_eq!(device.in_flight(work).unwrap().unwrap(), sums);
            });
        }
    });
}

/// What was made outside may be dropped while a lane has yet to read it.
#[test]
fn memory_that_a_lane_reads_outlives_its_owner() {
    let (device, values) = (late(), elements(1 << 10, 1));
    let twice: Vec<Fr> = values.iter().map(Fr::double).collect();
    let read = device
        .in_flight(|lane| -> Result<_, KernelError> {
            let outside = device.upload(values)?;
            // Behind its owner's order from here on, as at a lane's opening.
            lane.device().follow(device.device())?;
            let sum = lane.combine(&[(Fr::from(2), &outside)], 1 << 10)?;
            drop(outside);
            // Whoever waits for the owner's lane first must find that nothing was given back too early.
            device.device().finish()?;
            lane.download(&sum)
        })
        .unwrap();
    assert_eq!(read, Ok(twice));
}

#[test]
fn a_small_sum_is_recorded_once_and_repeated_with_other_scalars() {
    let (device, size) = (late(), 1000);
    let points = points(size);
    let table = device.bases(&points).unwrap();
    let few: Vec<Fr> = (0..size as u64).map(|index| Fr::from(index % 3)).collect();
    let columns =
        [elements(size, 2), few, vec![Fr::ZERO; size], vec![-Fr::ONE; size], elements(7, 3), vec![Fr::ONE], vec![]];
    let sum = |column: &Vec<Fr>| CpuAccelerator.msm(column, &points[..column.len()]).unwrap();
    for (index, column) in columns.iter().enumerate() {
        let vector = device.upload(column.clone()).unwrap();
        assert_eq!(device.msm_many(&table, &[&vector]).unwrap(), [sum(column)], "{index}");
    }
    assert_eq!(device.device().replays(), columns.len());
    // Another number of columns is another sequence; other bases are another table.
    let pair = [&columns[0], &columns[1]].map(|column| device.upload(column.clone()).unwrap());
    assert_eq!(device.msm_many(&table, &pair.each_ref()).unwrap(), [sum(&columns[0]), sum(&columns[1])]);
    let others = device.bases(&points[1..]).unwrap();
    let shifted = CpuAccelerator.msm(&columns[0][1..], &points[1..]).unwrap();
    let vector = device.upload(columns[0][1..].to_vec()).unwrap();
    assert_eq!(device.msm_many(&others, &[&vector]).unwrap(), [shifted]);
    assert_eq!(device.device().replays(), columns.len() + 2);
}

#[test]
fn large_sums_and_those_without_room_are_not_recorded() {
    let points = points(1 << 14);
    let scalars = elements(1 << 14, 4);
    let expected = CpuAccelerator.msm(&scalars, &points).unwrap();
    let device = late();
    let (table, vector) = (device.bases(&points).unwrap(), device.upload(scalars).unwrap());
    assert_eq!(device.msm_many(&table, &[&vector]).unwrap(), [expected]);
    assert_eq!(device.device().replays(), 0);
}

#[test]
fn scoring_goes_before_proving() {
    let gate = InferenceGate::new(FOR_EVER);
    let device = CudaAccelerator::beside(Emulator::new().unwrap(), gate.clone()).unwrap();
    let (domain, values) = (device.domain(6).unwrap(), elements(64, 5));
    let mut vectors = [device.upload(values.clone()).unwrap()];
    let scoring = gate.score();
    std::thread::scope(|scope| {
        let proving = scope.spawn(|| device.forward(&domain, &mut vectors));
        gate.wait_for_prover();
        assert!(!proving.is_finished());
        drop(scoring);
        assert_eq!(proving.join().unwrap(), Ok(()));
    });
    let scoring = gate.score();
    std::thread::scope(|scope| {
        let proving = scope.spawn(|| device.in_flight(|lane| lane.inverse(&domain, &mut vectors)));
        gate.wait_for_prover();
        drop(scoring);
        assert_eq!(proving.join().unwrap(), Ok(Ok(())));
    });
    assert_eq!(device.download(&vectors[0]).unwrap(), values);
}
