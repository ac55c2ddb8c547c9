//! Measures audit mode: CPU-seconds of the process (user and system, all threads), peak memory, proof bytes.
//!
//! ```text
//! cargo run --package hygeia-zkml --example audit -- WINDOWS [RUNS] [DIRECTORY]
//! ```
//!
//! With a directory it leaves the verifier contract and the calldata of the last proof there.

use std::{env, error::Error, fs, path::Path};

use hygeia_inference::{Dense, IntegerNetwork};
use hygeia_zkml::{
    EngineConfig, Salt, Srs,
    audit::{AuditBatch, AuditKeys, AuditPlan, AuditWindow, calldata, verifier_solidity},
};
use rand::Rng;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

const SCHEMA: [u8; 32] = [7; 32];
const BOUNDS: (i32, i32) = (-8192, 8192);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let windows: usize = arguments.next().map_or(Ok(256), |text| text.parse())?;
    let runs: usize = arguments.next().map_or(Ok(3), |text| text.parse())?;
    let directory = arguments.next();

    let network = network(&[48, 64, 32, 1])?;
    let plan = AuditPlan::for_windows(&network, windows)?;
    let keys_dir = env::temp_dir().join("hygeia-audit-keys");
    let srs = Srs::development_cached(plan.k, &keys_dir)?;
    let before = cpu_s()?;
    let keys = AuditKeys::generate(&network, SCHEMA, &plan, &srs, &EngineConfig::default())?;
    println!("plan {plan:?}, keys made in {:.2} CPU-s", cpu_s()? - before);

    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut window = || {
        let features = network.input_bounds().iter().map(|&(low, high)| rng.gen_range(low..=high)).collect();
        AuditWindow::new(features, Salt::new(rng.r#gen()))
    };
    let batch: AuditBatch = (0..windows).map(|_| window()).collect();
    for _ in 0..runs {
        let before = cpu_s()?;
        let proof = keys.prove(&batch)?;
        let spent = cpu_s()? - before;
        println!(
            "{windows} windows: {spent:.2} CPU-s, {:.2} ms each, proof {} bytes, peak {} MB",
            spent * 1e3 / windows as f64,
            proof.bytes.len(),
            peak_mb()?
        );
        if let Some(directory) = &directory {
            let directory = Path::new(directory);
            fs::create_dir_all(directory)?;
            fs::write(directory.join("verifier.sol"), verifier_solidity(keys.verifying_key())?)?;
            fs::write(directory.join("calldata.hex"), hex::encode(calldata(&proof.public, &proof.bytes)))?;
        }
    }
    Ok(())
}

/// A network whose weights are as large as its bounds allow.
fn network(dims: &[usize]) -> Result<IntegerNetwork, Box<dyn Error>> {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut reach = i64::from(BOUNDS.1);
    let mut layers = Vec::new();
    for pair in dims.windows(2) {
        let (inputs, outputs) = (pair[0], pair[1]);
        let limit = i32::try_from((1 << 29) / (reach * i64::try_from(inputs)?))?;
        let weights = (0..outputs).map(|_| (0..inputs).map(|_| rng.gen_range(-limit..=limit)).collect()).collect();
        let bias = (0..outputs).map(|_| rng.gen_range(-(1 << 20)..1 << 20)).collect();
        layers.push(Dense { weights, bias }.into());
        reach = (reach * i64::try_from(inputs)? * i64::from(limit) + (1 << 20)) >> 10;
    }
    Ok(IntegerNetwork::new(layers, vec![BOUNDS; dims[0]])?)
}

/// User and system time of the process, in seconds.
fn cpu_s() -> Result<f64, Box<dyn Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(')').next().ok_or("stat has no name")?;
    let ticks: f64 = after_name.split_whitespace().skip(11).take(2).map(|field| field.parse().unwrap_or(0.0)).sum();
    Ok(ticks / 100.0)
}

fn peak_mb() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM")).ok_or("no peak")?;
    Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse::<u64>()? / 1024)
}
