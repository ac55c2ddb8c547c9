//! What a measured prover says: one JSON answer a line behind a mark, first about its keys, then for each line that comes in.
//!
//! `{"prove": [..]}` proves that window, given as floats; `{"stop": 0}` asks for the memory it had, and ends.

use std::fs;
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};
use hygeia_inference::IntegerNetwork;
use hygeia_zkml::PublicInputs;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use crate::models::ONE;
use crate::statement::Witness;

/// A prover with its keys.
pub trait Peer {
    /// Its keys, and what kind of prover it is.
    fn about(&self) -> Value;
    /// Proves, from the window's evaluation on.
    fn prove(&self, network: &IntegerNetwork, witness: &Witness) -> Result<Vec<u8>>;
    /// Refuses a proof that does not hold.
    fn verify(&self, public: &PublicInputs, proof: &[u8]) -> Result<()>;
    /// What its contract takes, where it has one.
    fn calldata(&self, public: &PublicInputs, proof: &[u8]) -> Option<Vec<u8>>;
}

/// Proves as often as it is asked to. The last proof's calldata lies in the folder.
pub fn serve(peer: &dyn Peer, network: &IntegerNetwork, folder: &Path) -> Result<()> {
    answer(&peer.about())?;
    let mut rng = ChaCha20Rng::seed_from_u64(6);
    for line in std::io::stdin().lock().lines() {
        let asked: Value = serde_json::from_str(&line?)?;
        if asked.get("stop").is_some() {
            return answer(&json!({ "peak_mb": peak_mb()? }));
        }
        let window = window_in(&asked).context("a window to prove")?;
        let salt = rng.r#gen();
        let (took, (public, proof)) = measured(|| {
            let witness = Witness::new(network, &window, salt)?;
            Ok((witness.public, peer.prove(network, &witness)?))
        })?;
        let (verified, ()) = measured(|| peer.verify(&public, &proof))?;
        if let Some(calldata) = peer.calldata(&public, &proof) {
            fs::write(folder.join("calldata.bin"), calldata)?;
        }
        let (cpu_s, wall_s) = took;
        answer(&json!({
            "cpu_s": cpu_s, "wall_s": wall_s, "verify_cpu_s": verified.0, "proof_bytes": proof.len()
        }))?;
    }
    Ok(())
}

/// Features are thousand-and-twenty-fourths, which floats hold exactly.
fn window_in(asked: &Value) -> Option<Vec<i32>> {
    let floats = asked.get("prove")?.as_array()?;
    floats.iter().map(|float| Some((float.as_f64()? * f64::from(ONE)).round() as i32)).collect()
}

fn answer(value: &Value) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "@@{value}")?;
    Ok(out.flush()?)
}

/// CPU seconds of this process, all threads, and seconds on the clock.
fn measured<T>(work: impl FnOnce() -> Result<T>) -> Result<((f64, f64), T)> {
    let (cpu, wall) = (cpu_s(), Instant::now());
    let result = work()?;
    Ok(((cpu_s() - cpu, wall.elapsed().as_secs_f64()), result))
}

/// What a piece of work took in CPU seconds, noted in the folder, so that a later start can say it. Work whose file is there
/// is not done again.
pub fn once(made: &Path, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let noted = made.with_extension("seconds");
    if !made.exists() {
        let ((took, _), ()) = measured(work)?;
        fs::write(&noted, took.to_string())?;
    }
    Ok(fs::read_to_string(&noted)?.parse()?)
}

/// User and system time of all threads, also of those that have ended: arkworks starts threads for single sums.
fn cpu_s() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn peak_mb() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM")).context("no peak")?;
    Ok(line.split_whitespace().nth(1).context("no number")?.parse::<f64>()? / 1024.0)
}
