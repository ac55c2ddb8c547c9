//! What a machine with a CUDA device is asked to do with the kernels: agree with the definitions first, then be timed.
//! Prints one record as JSON.
//!
//! `gpu_suite [--emulated] [--log-max N]`: sizes go from 2^12 (2^6 emulated) to 2^N. With `--emulated` the processor
//! takes the device's place, which shows that the suite runs to its end and says nothing about speed.

#[path = "../tests/conformance/mod.rs"]
mod conformance;

use std::{env, hint::black_box, process::Command, time::Instant};

use halo2curves_axiom::{
    ff::Field,
    group::{Curve, prime::PrimeCurveAffine},
};
use hygeia_gpu_emulator::Emulator;
use hygeia_gpu_kernels::{
    Accelerator, Columns, CpuAccelerator, CudaAccelerator, Fr, G1, G1Affine, KernelError, RowProgram,
    cuda::{Device, Driver, DriverConfig},
    program::{Operand, Operation, Query, Source, Step},
};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use serde_json::{Value, json};

/// Timings of one case, of which the median counts.
const REPEATS: usize = 7;
/// Multiplications of the timed program, about those of an alert's gates.
const PROGRAM_STEPS: usize = 600;

fn main() -> Result<(), KernelError> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let is_emulated = arguments.iter().any(|argument| argument == "--emulated");
    let after = |name: &str| arguments.iter().skip_while(|argument| *argument != name).nth(1);
    let log_max = after("--log-max").and_then(|value| value.parse().ok());
    let record = if is_emulated {
        suite(&CudaAccelerator::over(Emulator::new()?)?, 6..=log_max.unwrap_or(10), |_| Ok(()))?
    } else {
        let folder = env::temp_dir().join("hygeia-kernel-images");
        let config = DriverConfig { image_folder: Some(folder), ..DriverConfig::default() };
        let device = CudaAccelerator::open(&config)?;
        suite(&device, 12..=log_max.unwrap_or(22), Driver::synchronise)?
    };
    println!("{record:#}");
    Ok(())
}

fn suite<D: Device>(
    device: &CudaAccelerator<D>,
    sizes: std::ops::RangeInclusive<u32>,
    settle: impl Fn(&D) -> Result<(), KernelError>,
) -> Result<Value, KernelError> {
    conformance::all(device);
    let points = points(1 << sizes.end());
    let settle = || settle(device.device());
    let cases: Vec<Value> = sizes.map(|log_n| case(device, log_n, &points, &settle)).collect::<Result<_, _>>()?;
    Ok(json!({ "device": device.name(), "machine": machine(), "conforms": true, "cases": cases }))
}

/// One size: what the kernels take with data on the device, in milliseconds.
fn case<A: Accelerator>(
    device: &A,
    log_n: u32,
    points: &[G1Affine],
    settle: &impl Fn() -> Result<(), KernelError>,
) -> Result<Value, KernelError> {
    let size = 1_usize << log_n;
    let (values, table) = (elements(size, 1), device.bases(&points[..size])?);
    let vector = device.upload(values.clone())?;
    let sum = device.msm_many(&table, &[&vector])?;
    assert_eq!(sum, [CpuAccelerator.msm(&values, &points[..size])?], "msm of 2^{log_n}");
    let msm = median(settle, || device.msm_many(&table, &[&vector]).map(|sums| drop(black_box(sums))))?;
    drop(table);

    let domain = device.domain(log_n)?;
    let mut vectors = [vector];
    let ntt = median(settle, || device.forward(&domain, &mut vectors))?;
    let [vector] = vectors;

    let program = device.prepare(&program())?;
    let (columns, scalars) = ([vector], [Fr::from(3), Fr::from(5)]);
    let columns = Columns { fixed: &[], advice: &columns, instance: &columns[0] };
    let rows = median(settle, || device.run(&program, &columns, &scalars).map(|values| drop(black_box(values))))?;
    Ok(json!({ "log_n": log_n, "msm_ms": msm, "ntt_ms": ntt, "program_ms": rows, "program_steps": PROGRAM_STEPS }))
}

fn median(
    settle: &impl Fn() -> Result<(), KernelError>,
    mut run: impl FnMut() -> Result<(), KernelError>,
) -> Result<f64, KernelError> {
    run()?;
    settle()?;
    let mut times = Vec::with_capacity(REPEATS);
    for _ in 0..REPEATS {
        let start = Instant::now();
        run()?;
        settle()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[REPEATS / 2])
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

/// What the system's own tool says of device, driver and clocks; nothing where there is none.
fn machine() -> Value {
    let query = "--query-gpu=name,driver_version,clocks.sm,clocks.mem,clocks.max.sm,memory.total";
    let output = Command::new("nvidia-smi").args([query, "--format=csv,noheader"]).output();
    match output {
        Ok(output) if output.status.success() => json!(String::from_utf8_lossy(&output.stdout).trim()),
        _ => Value::Null,
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
