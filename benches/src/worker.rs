//! A prover in a process of its own, so that its memory and its CPU time are its own.
//!
//! One JSON answer a line: first about the keys, then one for each line that comes in, which proves once.

use std::error::Error;
use std::fs;
use std::io::{BufRead, Write};
use std::path::Path;

use hygeia_zkml::audit::{self, AuditBatch, AuditKeys, AuditPlan, AuditWindow};
use hygeia_zkml::engine::{Engine as _, ezkl};
use hygeia_zkml::{EngineConfig, EzklConfig, EzklEngine, Goal, NativeEngine, Placement, Salt, contract, verify};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use serde_json::{Value, json};

use crate::Arguments;
use crate::measure::{measured, peak_mb};
use crate::models::Model;

const SCHEMA: [u8; 32] = [7; 32];

/// What the process is asked for.
enum Work {
    /// One window a proof.
    Alert(Goal),
    /// So many windows a proof.
    Audit(usize),
    /// One window a proof, by the engine that has EZKL's processes prove.
    Ezkl,
}

impl Work {
    /// `latency`, `gas`, `ezkl` or a number of windows.
    fn read(text: &str) -> Self {
        match text {
            "latency" => Self::Alert(Goal::Latency),
            "gas" => Self::Alert(Goal::Gas),
            "ezkl" => Self::Ezkl,
            windows => Self::Audit(windows.parse().expect("latency, gas, ezkl or a number of windows")),
        }
    }
}

/// Works as a prover where the command line says so, `--worker WORK --model MODEL --folder FOLDER`; says whether it did.
pub fn worked(arguments: &Arguments) -> bool {
    let Some(work) = arguments.value("--worker") else { return false };
    let [model, folder] =
        ["--model", "--folder"].map(|name| arguments.value(name).expect("a worker is told model and folder"));
    let threads = arguments.number("--threads", 0);
    run(&Model::named(&model), &Work::read(&work), Path::new(&folder), threads).expect("the worker works");
    true
}

/// Makes or opens keys in a folder, then proves as often as it is asked to.
fn run(model: &Model, work: &Work, folder: &Path, threads: usize) -> Result<(), Box<dyn Error>> {
    match work {
        Work::Alert(goal) => alerts(model, EngineConfig { threads, goal: *goal, placement: Placement::Cpu }, folder),
        Work::Ezkl => ezkl(model, threads, folder),
        Work::Audit(windows) => {
            audits(model, *windows, &EngineConfig { threads, goal: Goal::Latency, placement: Placement::Cpu }, folder)
        }
    }
}

fn alerts(model: &Model, config: EngineConfig, folder: &Path) -> Result<(), Box<dyn Error>> {
    let engine = NativeEngine::open_development(&model.network, SCHEMA, folder, &config)?;
    let key = engine.verifying_key();
    fs::write(folder.join("verifier.sol"), contract::verifier_solidity(key)?)?;
    answer(&json!({ "plan": key.plan().to_string(), "key_bytes": bytes_of(folder, ".pk")? }))?;
    let mut rng = ChaCha20Rng::seed_from_u64(6);
    serve(|| {
        let (window, salt) = (model.window(&mut rng), Salt::new(rng.r#gen()));
        let (took, proof) = measured(|| engine.prove(&window, &salt))?;
        let (verified, ()) = measured(|| verify(key, &proof.bytes, &proof.public))?;
        fs::write(folder.join("calldata.bin"), contract::calldata(&proof.public, &proof.bytes))?;
        Ok(
            json!({ "cpu_s": took.cpu_s, "wall_s": took.wall_s, "verify_cpu_s": verified.cpu_s, "proof_bytes": proof.bytes.len() }),
        )
    })
}

fn ezkl(model: &Model, threads: usize, folder: &Path) -> Result<(), Box<dyn Error>> {
    let tools = std::env::var_os("HYGEIA_TOOLS_DIR").ok_or("HYGEIA_TOOLS_DIR names the tools")?;
    let mut config = EzklConfig::new(Path::new(&tools).join("venv/bin/python"));
    config.threads = threads;
    let engine = EzklEngine::open_development(&model.network, SCHEMA, folder, &config)?;
    fs::write(folder.join("verifier.sol"), engine.contract())?;
    let manifest = engine.manifest();
    let key = EzklEngine::folder(&model.network, SCHEMA, folder, true)?.join("proving.key");
    let plan = format!("k {}, {} rows", manifest.logrows, manifest.rows);
    answer(&json!({ "ezkl": manifest.ezkl, "plan": plan, "key_bytes": fs::metadata(key)?.len() }))?;
    let mut rng = ChaCha20Rng::seed_from_u64(6);
    serve(|| {
        let (window, salt) = (model.window(&mut rng), Salt::new(rng.r#gen()));
        let (took, proof) = measured(|| engine.prove(&window, &salt))?;
        let (verified, ()) = measured(|| engine.verify(&proof.public, &proof.bytes))?;
        fs::write(folder.join("calldata.bin"), ezkl::calldata(&proof.public, &proof.bytes))?;
        Ok(
            json!({ "cpu_s": took.cpu_s, "wall_s": took.wall_s, "verify_cpu_s": verified.cpu_s, "proof_bytes": proof.bytes.len() }),
        )
    })
}

fn audits(model: &Model, windows: usize, config: &EngineConfig, folder: &Path) -> Result<(), Box<dyn Error>> {
    let plan = AuditPlan::for_windows(&model.network, windows)?;
    let keys = AuditKeys::open_development(&model.network, SCHEMA, &plan, folder, config)?;
    fs::write(folder.join("verifier.sol"), audit::verifier_solidity(keys.verifying_key())?)?;
    let about = format!("k {}, {} slots of {} features and {} neurons", plan.k, plan.slots, plan.inputs, plan.neurons);
    answer(&json!({ "plan": about, "key_bytes": bytes_of(folder, ".pk")? }))?;
    let mut rng = ChaCha20Rng::seed_from_u64(6);
    serve(|| {
        let mut window = || AuditWindow::new(model.window(&mut rng), Salt::new(rng.r#gen()));
        let batch: AuditBatch = (0..windows).map(|_| window()).collect();
        let (took, proof) = measured(|| keys.prove(&batch))?;
        let (verified, ()) = measured(|| audit::verify(keys.verifying_key(), &proof.bytes, &proof.public))?;
        fs::write(folder.join("calldata.bin"), audit::calldata(&proof.public, &proof.bytes))?;
        Ok(
            json!({ "cpu_s": took.cpu_s, "wall_s": took.wall_s, "verify_cpu_s": verified.cpu_s, "proof_bytes": proof.bytes.len() }),
        )
    })
}

/// Answers each line with a proof; the last answer is the memory it had.
fn serve(mut prove: impl FnMut() -> Result<Value, Box<dyn Error>>) -> Result<(), Box<dyn Error>> {
    for line in std::io::stdin().lock().lines() {
        if line?.contains("stop") {
            return answer(&json!({ "peak_mb": peak_mb()? }));
        }
        answer(&prove()?)?;
    }
    Ok(())
}

fn answer(value: &Value) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "@@{value}")?;
    Ok(out.flush()?)
}

/// Bytes of the folder's only file with this ending.
fn bytes_of(folder: &Path, ending: &str) -> Result<u64, Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(ending) {
            return Ok(entry.metadata()?.len());
        }
    }
    Err(format!("no file ending in {ending}").into())
}
