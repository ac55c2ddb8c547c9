//! Proving and verifying keys of a model: made once, kept by content, opened by roles and commands.

use std::path::Path;

use anyhow::Result;
use hygeia_inference::package::ModelPackage;
use hygeia_inference::schema::ClinicalState;
use hygeia_zkml::engine::Engine as _;
use hygeia_zkml::engine::native::{EngineConfig, NativeEngine};
use hygeia_zkml::statement::Salt;

use crate::cli::KeysArgs;
use crate::models;

/// Opens the engine of a model, making its keys under `keys_dir` when they are not there. `threads` 0 means all cores.
pub async fn open_engine(model: &ModelPackage, keys_dir: &Path, threads: usize) -> Result<NativeEngine> {
    let (network, schema, dir) = (model.network().clone(), model.schema().hash(), keys_dir.to_owned());
    std::fs::create_dir_all(&dir)?;
    let config = EngineConfig { threads, ..EngineConfig::default() };
    let open = move || NativeEngine::open_development(&network, schema, &dir, &config);
    let engine = tokio::task::spawn_blocking(open).await??;
    Ok(engine)
}

/// `hygeia keys`: makes the keys and says what they are.
pub async fn command(args: &KeysArgs) -> Result<()> {
    let model = models::load(args.model.as_deref())?;
    eprintln!("making or opening the keys of model {} under {}", hex::encode(model.hash()), args.keys_dir.display());
    let engine = open_engine(&model, &args.keys_dir, 0).await?;
    println!("model          {}", hex::encode(model.hash()));
    println!("schema         {}", hex::encode(model.schema().hash()));
    println!("circuit        {}", hex::encode(engine.circuit_hash()));
    println!("verifying key  {}", hex::encode(engine.verifying_key_hash()));
    println!("proof          {} bytes", engine.verifying_key().proof_bytes());
    println!("keys           {}", args.keys_dir.display());
    Ok(())
}

/// `hygeia gen-verifier`: writes the Solidity verifier of a model's circuit, and a proof it must accept when asked to.
pub fn write_verifier(out: &Path, proof: Option<&Path>, model: Option<&Path>) -> Result<()> {
    let model = models::load(model)?;
    let keys = tempfile::tempdir()?;
    let engine =
        NativeEngine::open_development(model.network(), model.schema().hash(), keys.path(), &EngineConfig::default())?;
    if let Some(parent) = out.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::write(out, hygeia_zkml::contract::verifier_solidity(engine.verifying_key())?)?;
    eprintln!("wrote {}", out.display());
    if let Some(path) = proof {
        std::fs::write(path, sample_proof(&model, &engine)?)?;
        eprintln!("wrote {}", path.display());
    }
    Ok(())
}

/// A proof about a window of nobody's: every value unmeasured, the salt public.
fn sample_proof(model: &ModelPackage, engine: &NativeEngine) -> Result<String> {
    let features = model.schema().features(&ClinicalState::default());
    let proof = engine.prove(&features, &Salt::new([0; 16]))?;
    let sample = serde_json::json!({
        "commitment": format!("0x{}", hex::encode(proof.public.commitment.to_bytes())),
        "score": proof.public.score.to_string(),
        "proof": format!("0x{}", hex::encode(&proof.bytes)),
    });
    Ok(serde_json::to_string_pretty(&sample)? + "\n")
}
