//! `hygeia verify`: anyone checks a receipt, offline with the verifying key, and against a chain when one is named. A
//! receipt is of an alert's proof, or of one window's place in an audit.

use std::path::Path;
use std::time::{Duration, Instant};

use alloy::primitives::{B256, Bytes, U256};
use anyhow::{Context, Result, bail};
use hygeia_policies::{InferenceVerifier, PolicyRegistry, ids};
use hygeia_protocol::message::{AuditedBatch, Message, Receipt, WindowReceipt};
use hygeia_zkml::audit::{self, AuditPublic, AuditReceipt, AuditVerifyingKey};
use hygeia_zkml::engine::Engine;
use hygeia_zkml::engine::native::{self, VerifyingKeyFile};
use hygeia_zkml::statement::{Commitment, PublicInputs};
use hygeia_zkml::{EZKL_PROOF_SYSTEM_ID, EzklEngine};

use crate::chain::{Chain, Deployment};
use crate::cli::VerifyArgs;
use crate::keys::KeySettings;
use crate::{engines, keys, models};

/// How long the chain may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Largest receipt file read; a receipt takes about six kilobytes.
const RECEIPT_BYTES_MAX: u64 = 1024 * 1024;

/// Checks the receipt and prints each check; `Ok(false)` when one of them does not hold.
pub async fn command(args: &VerifyArgs) -> Result<bool> {
    let mut verdict = Verdict::default();
    let bytes = read(&args.receipt)?;
    match (Receipt::decode(&bytes), WindowReceipt::decode(&bytes)) {
        (Ok(receipt), _) => of_alert(&receipt, args, &mut verdict).await?,
        (_, Ok(receipt)) => of_window(&receipt, args, &mut verdict)?,
        (Err(reason), Err(_)) => {
            return Err(reason).with_context(|| format!("{} holds no receipt", args.receipt.display()));
        }
    }
    println!("{}", if verdict.failed == 0 { "The receipt holds." } else { "THE RECEIPT DOES NOT HOLD." });
    Ok(verdict.failed == 0)
}

async fn of_alert(receipt: &Receipt, args: &VerifyArgs, verdict: &mut Verdict) -> Result<()> {
    if receipt.proof_system == EZKL_PROOF_SYSTEM_ID {
        eprintln!("a proof of EZKL: opening its circuit of the shipped model in {}", args.keys_dir.display());
        let settings = KeySettings::development(&args.keys_dir, 0);
        let engine = engines::open_ezkl(&models::load(None)?, &settings, &args.ezkl).await?;
        verify_offline(receipt, &engine, verdict);
    } else {
        verify_offline(receipt, &native_key(args).await?, verdict);
    }
    if let Some(url) = &args.chain {
        verify_on_chain(receipt, url, &args.deployment, verdict).await?;
    }
    Ok(())
}

async fn native_key(args: &VerifyArgs) -> Result<VerifyingKeyFile> {
    if let Some(path) = &args.verifying_key {
        return Ok(VerifyingKeyFile::load(path)?);
    }
    eprintln!("no --verifying-key given: taking that of the shipped model from {}", args.keys_dir.display());
    let engine = keys::open_engine(&models::load(None)?, &args.keys_dir, 0).await?;
    Ok(VerifyingKeyFile::from_bytes(engine.verifying_key().bytes().to_vec())?)
}

fn of_window(receipt: &WindowReceipt, args: &VerifyArgs, verdict: &mut Verdict) -> Result<()> {
    let path = args.batch.as_deref().context("--batch is needed: the audited batch that the receipt is of")?;
    let batch = AuditedBatch::decode(&read(path)?).with_context(|| format!("{} holds no batch", path.display()))?;
    let key = match &args.verifying_key {
        Some(path) => AuditVerifyingKey::load(path)?,
        None => keys::audit_verifying_key(&args.keys_dir, batch.circuit.as_bytes())?,
    };
    let started = Instant::now();
    verify_audit_offline(receipt, &batch, &key, verdict);
    eprintln!("checked in {:.1} ms, without the key's reading", started.elapsed().as_secs_f64() * 1e3);
    if args.chain.is_some() {
        bail!("the chain is not asked about audits; what is above was checked offline");
    }
    Ok(())
}

/// Checks an audit's proof against the verifying key, and a window's receipt against the proof's root; needs no network.
pub fn verify_audit_offline(
    receipt: &WindowReceipt,
    batch: &AuditedBatch,
    key: &AuditVerifyingKey,
    verdict: &mut Verdict,
) {
    let is_of_key = key.hash() == *batch.verifying_key.as_bytes() && key.circuit_hash() == *batch.circuit.as_bytes();
    verdict.check("the key is the one the batch names", is_of_key);
    verdict.check("the proof system is this program's", batch.proof_system == hygeia_zkml::PROOF_SYSTEM_ID);
    let public = AuditPublic::new(*batch.root.as_bytes(), batch.count);
    let proved = public.is_some_and(|public| audit::verify(key, batch.proof.as_slice(), &public).is_ok());
    verdict.check("the proof holds for this root and number of windows", proved);
    verdict.check("the receipt names this batch", receipt.batch_id == batch.batch_id);
    let inclusion = serde_json::to_string(&receipt.inclusion).ok().and_then(|text| AuditReceipt::from_json(&text).ok());
    let is_under_root = match (inclusion, public) {
        (Some(inclusion), Some(public)) => inclusion.verify(&public, key.leaves()).is_ok(),
        _ => false,
    };
    verdict.check("the window's commitment and score are under this root", is_under_root);
}

/// What a receipt of an alert is checked against.
pub trait ReceiptKey {
    /// The proof system.
    fn proof_system_id(&self) -> &'static str;
    /// Hash of the circuit.
    fn circuit_hash(&self) -> [u8; 32];
    /// Hash of the verifying key.
    fn hash(&self) -> [u8; 32];
    /// Whether the proof holds.
    fn accepts(&self, public: &PublicInputs, proof: &[u8]) -> bool;
}

impl ReceiptKey for VerifyingKeyFile {
    fn proof_system_id(&self) -> &'static str {
        hygeia_zkml::PROOF_SYSTEM_ID
    }

    fn circuit_hash(&self) -> [u8; 32] {
        self.circuit_hash()
    }

    fn hash(&self) -> [u8; 32] {
        self.hash()
    }

    fn accepts(&self, public: &PublicInputs, proof: &[u8]) -> bool {
        native::verify(self, proof, public).is_ok()
    }
}

/// EZKL verifies in a process of its own.
impl ReceiptKey for EzklEngine {
    fn proof_system_id(&self) -> &'static str {
        EZKL_PROOF_SYSTEM_ID
    }

    fn circuit_hash(&self) -> [u8; 32] {
        Engine::circuit_hash(self)
    }

    fn hash(&self) -> [u8; 32] {
        self.verifying_key_hash()
    }

    fn accepts(&self, public: &PublicInputs, proof: &[u8]) -> bool {
        self.verify(public, proof).is_ok()
    }
}

/// Checks the proof against the verifying key; needs no network.
pub fn verify_offline(receipt: &Receipt, key: &impl ReceiptKey, verdict: &mut Verdict) {
    verdict.check("the key is the one the receipt names", key.hash() == *receipt.verifying_key.as_bytes());
    verdict.check("the circuit is the one the receipt names", key.circuit_hash() == *receipt.circuit.as_bytes());
    verdict.check("the proof system is the key's", receipt.proof_system == key.proof_system_id());
    let proved = Commitment::from_bytes(*receipt.commitment.as_bytes()).is_ok_and(|commitment| {
        key.accepts(&PublicInputs { commitment, score: receipt.score }, receipt.proof.as_slice())
    });
    verdict.check("the proof holds for this commitment and score", proved);
}

async fn verify_on_chain(receipt: &Receipt, url: &str, deployment: &Path, verdict: &mut Verdict) -> Result<()> {
    let deployment = Deployment::load(deployment)?;
    let chain = Chain::connect(url, &[], PATIENCE).await?;
    chain.expect(&deployment)?;
    let policies = PolicyRegistry::new(deployment.policy_registry, &chain.provider);
    let policy = B256::from(receipt.policy.into_bytes());
    verdict.check("the chain's policy is active", policies.isActive(policy).call().await?);
    let Ok(terms) = policies.policyOf(policy).call().await else {
        verdict.check("the chain knows the policy", false);
        return Ok(());
    };
    let verifier = InferenceVerifier::new(deployment.inference_verifier, &chain.provider);
    let inputs = [U256::from_be_bytes(receipt.commitment.into_bytes()), ids::score_input(receipt.score)];
    let proof = Bytes::from(receipt.proof.as_slice().to_vec());
    let verified = verifier.verifyPublicInputs(terms.modelId, inputs, proof).call().await;
    verdict.check("the chain's verifier accepts the proof for the policy's model", verified.is_ok());
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let size = std::fs::metadata(path).with_context(|| format!("reading {}", path.display()))?.len();
    if size > RECEIPT_BYTES_MAX {
        bail!("{} is too large for a receipt", path.display());
    }
    std::fs::read(path).with_context(|| format!("reading {}", path.display()))
}

/// The checks made, printed as they are made.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Checks that did not hold.
    pub failed: u32,
}

impl Verdict {
    fn check(&mut self, what: &str, holds: bool) {
        println!("  [{}] {what}", if holds { "ok" } else { "NO" });
        self.failed += u32::from(!holds);
    }
}
