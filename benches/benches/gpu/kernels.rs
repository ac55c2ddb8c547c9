//! Multi-scalar multiplication, transforms and gates with data on the device, each checked against the processor once.

use std::{error::Error, hint::black_box, time::Instant};

use halo2curves_axiom::{
    ff::Field,
    group::{Curve, prime::PrimeCurveAffine},
};
use hygeia_benches::measure::{Sorted, rounded};
use hygeia_gpu_kernels::{
    Accelerator, Columns, CpuAccelerator, CudaAccelerator, Fr, G1, G1Affine, KernelError, RowProgram,
    program::{Operand, Operation, Query, Source, Step},
};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use serde_json::{Value, json};

use crate::{
    cases::Cases,
    machine,
    place::{Place, Scale},
};

/// Timings of one case, of which the median counts.
const REPEATS: usize = 7;
/// Multiplications of the timed program, about those of an alert's gates.
const PROGRAM_STEPS: usize = 600;

/// All sizes, the clocks behind the last.
pub fn run<P: Place>(cases: &mut Cases, scale: &Scale) {
    let points = points(1 << scale.log_n.end());
    for log_n in scale.log_n.clone() {
        cases.add(&format!("2^{log_n}"), || case::<P>(log_n, &points[..1 << log_n]));
    }
    cases.add("the device right after", || Ok(json!({ "device": machine::device() })));
}

/// One size: what the kernels take, in milliseconds.
fn case<P: Place>(log_n: u32, points: &[G1Affine]) -> Result<Value, Box<dyn Error>> {
    let device = CudaAccelerator::over(P::open(None)?)?;
    let settle = || device.device().settle();
    let values = elements(1 << log_n, 1);
    let vector = device.upload(values.clone())?;

    let table = device.bases(points)?;
    let (cpu_msm, expected) = clocked(|| CpuAccelerator.msm(&values, points))?;
    assert_eq!(device.msm_many(&table, &[&vector])?, [expected], "msm of 2^{log_n}");
    let msm = median(&settle, || device.msm_many(&table, &[&vector]).map(|sums| drop(black_box(sums))))?;
    drop(table);

    let (cpu_domain, domain) = (CpuAccelerator.domain(log_n)?, device.domain(log_n)?);
    let mut expected = [values];
    let (cpu_ntt, ()) = clocked(|| CpuAccelerator.forward(&cpu_domain, &mut expected))?;
    let mut vectors = [vector];
    device.forward(&domain, &mut vectors)?;
    assert!(device.download(&vectors[0])? == expected[0], "transform of 2^{log_n}");
    let ntt = median(&settle, || device.forward(&domain, &mut vectors))?;
    let [vector] = vectors;

    let program = device.prepare(&program())?;
    let (columns, scalars) = ([vector], [Fr::from(3), Fr::from(5)]);
    let columns = Columns { fixed: &[], advice: &columns, instance: &columns[0] };
    let rows = median(&settle, || device.run(&program, &columns, &scalars).map(|values| drop(black_box(values))))?;
    Ok(json!({
        "log_n": log_n,
        "msm_ms": rounded(msm, 4),
        "ntt_ms": rounded(ntt, 4),
        "program_ms": rounded(rows, 4),
        "program_steps": PROGRAM_STEPS,
        "cpu_msm_once_ms": rounded(cpu_msm, 3),
        "cpu_ntt_once_ms": rounded(cpu_ntt, 3),
    }))
}

fn clocked<T>(work: impl FnOnce() -> Result<T, KernelError>) -> Result<(f64, T), KernelError> {
    let start = Instant::now();
    let result = work()?;
    Ok((start.elapsed().as_secs_f64() * 1e3, result))
}

fn median(
    settle: &impl Fn() -> Result<(), KernelError>,
    mut run: impl FnMut() -> Result<(), KernelError>,
) -> Result<f64, KernelError> {
    let mut settled = || run().and_then(|()| settle());
    settled()?;
    let times = (0..REPEATS).map(|_| Ok(clocked(&mut settled)?.0)).collect::<Result<Vec<_>, KernelError>>()?;
    Ok(Sorted::new(times).median())
}

/// Multiplications that depend on each other, over a few registers.
fn program() -> RowProgram {
    let compute = |index: usize| {
        let target = index % 4;
        let left = if index < 3 { Operand::Query(0) } else { Operand::Register((index + 1) % 4) };
        Step::Compute(target, Operation::Multiply, left, Operand::Query(index % 2))
    };
    let gather = Step::Gather(Operand::Register((PROGRAM_STEPS - 1) % 4));
    RowProgram {
        queries: vec![
            Query { source: Source::Advice(0), rotation: 1 },
            Query { source: Source::Instance, rotation: -1 },
        ],
        steps: (0..PROGRAM_STEPS).map(compute).chain([gather]).collect(),
        registers: 4,
        scalars: 2,
    }
}

fn elements(count: usize, seed: u64) -> Vec<Fr> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    (0..count).map(|_| Fr::random(&mut rng)).collect()
}

/// Different points, made by addition.
fn points(count: usize) -> Vec<G1Affine> {
    let step = G1::generator().to_affine();
    let points: Vec<G1> =
        std::iter::successors(Some(G1::generator()), |point| Some(point + step)).take(count).collect();
    let mut affine = vec![G1Affine::identity(); count];
    G1::batch_normalize(&points, &mut affine);
    affine
}
