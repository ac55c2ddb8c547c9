//! What is put to the vote: a model with its evidence, a care policy with its terms.

use std::path::Path;

use alloy::primitives::{Address, B256, I256, keccak256};
use alloy::sol_types::SolCall as _;
use anyhow::{Context as _, Result};
use hygeia_inference::package::ModelPackage;
use hygeia_policies::model_registry::ModelRegistry::approveModelCall;
use hygeia_policies::policy_registry::PolicyRegistry::approvePolicyCall;
use hygeia_policies::{ChangeControl, Evidence, ModelCommitment, PolicyTerms, ServiceBinding, ids};
use hygeia_zkml::Placement;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::chain::Deployment;
use crate::chain::governance::{Call, Proposal};
use crate::cli::EngineKind;
use crate::cli::gov::{ProposeModelArgs, ProposePolicyArgs};
use crate::keys::{self, KeySettings};
use crate::{engines, models};

/// A proposal, and what will be known by which identifier once it is carried out.
pub struct Motion {
    /// What it is about, in a word.
    pub subject: &'static str,
    /// The identifier that the subject will have.
    pub id: B256,
    /// The proposal.
    pub proposal: Proposal,
}

/// The proposal to approve a model.
pub async fn model(args: &ProposeModelArgs, deployment: &Deployment) -> Result<Motion> {
    let package = models::load(args.model.as_deref())?;
    let circuit = circuit(args, &package, deployment.chain_id).await?;
    let uri = args.uri.clone().unwrap_or_else(|| format!("hygeia:model:{}", hex::encode(package.hash())));
    let commitment = ModelCommitment {
        modelHash: B256::from(package.hash()),
        circuitHash: circuit.hash,
        vkHash: circuit.verifying_key_hash,
        proofSystemId: ids::proof_system_id(match args.engine {
            EngineKind::Native => ids::PROOF_SYSTEM,
            EngineKind::Ezkl => ids::EZKL_PROOF_SYSTEM,
        }),
        uri,
    };
    let binding = ServiceBinding {
        schemaHash: B256::from(package.schema().hash()),
        verifier: args.verifier,
        proofLength: circuit.proof_length,
    };
    let evidence = Evidence {
        cardHash: sha256_of(&args.card)?,
        fidelityHash: sha256_of(&args.fidelity)?,
        evaluationHash: sha256_of(&args.evaluation)?,
    };
    let noted = &package.card().change_control;
    let change = ChangeControl {
        modification: args.modification.clone().unwrap_or_else(|| noted.modification.clone()),
        protocol: args.protocol.clone().unwrap_or_else(|| noted.protocol.clone()),
        impact: args.impact.clone().unwrap_or_else(|| noted.impact.clone()),
    };
    let id = ids::model_id(&commitment);
    let description = args.description.clone();
    let mut description = description.unwrap_or_else(|| format!("Approve model {id} ({})", package.card().name));
    if let Some(path) = &args.shadow_report {
        description.push_str(&super::evidence::of_shadow(path, &package.hash())?);
    }
    let data = approveModelCall { commitment, binding, evidence, change }.abi_encode().into();
    let calls = vec![Call { target: deployment.model_registry, data }];
    Ok(Motion { subject: "model", id, proposal: Proposal { calls, description } })
}

/// What the contract needs to know of a model's circuit.
struct Circuit {
    hash: B256,
    verifying_key_hash: B256,
    proof_length: u32,
}

async fn circuit(args: &ProposeModelArgs, package: &ModelPackage, chain_id: u64) -> Result<Circuit> {
    if let (Some(hash), Some(verifying_key_hash), Some(proof_length)) =
        (args.circuit_hash, args.verifying_key_hash, args.proof_length)
    {
        return Ok(Circuit { hash, verifying_key_hash, proof_length });
    }
    let settings = KeySettings {
        keys_dir: args.keys_dir.clone(),
        threads: 0,
        circuit: args.circuit.clone(),
        placement: Placement::Cpu,
    };
    eprintln!("making or opening the model's keys in {}", args.keys_dir.display());
    let engine = engines::open(args.engine, package, &settings, &args.ezkl).await?;
    keys::allow_on(chain_id, engine.is_development())?;
    Ok(Circuit {
        hash: B256::from(engine.circuit_hash()),
        verifying_key_hash: B256::from(engine.verifying_key_hash()),
        proof_length: u32::try_from(engine.proof_bytes()).context("a proof is shorter than 4 GiB")?,
    })
}

/// The terms of a care policy as people write them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Terms {
    model_id: B256,
    threshold: i64,
    care_code: String,
    /// A text: a number in JSON is too small for the smallest unit of a token.
    benefit: String,
    cool_down_s: u32,
    max_attestation_age_s: u32,
    fulfil_within_s: u32,
    starts_per_day_max: u32,
    open_max: u32,
    #[serde(default)]
    arbiter: Address,
    #[serde(default)]
    arbitration_s: u32,
}

/// The proposal to approve a care policy.
pub fn policy(args: &ProposePolicyArgs, deployment: &Deployment) -> Result<Motion> {
    let unusable = || {
        format!("{} holds no terms of a policy; `hygeia gov propose-policy --help` shows them", args.terms.display())
    };
    let written: Terms = serde_json::from_slice(&read(&args.terms)?).with_context(unusable)?;
    let benefit = written.benefit.parse();
    let terms = PolicyTerms {
        modelId: written.model_id,
        threshold: I256::try_from(written.threshold).context("a threshold fits the contract's integer")?,
        careCode: keccak256(&written.care_code),
        benefit: benefit.context("the benefit is a whole number in quotes").with_context(unusable)?,
        coolDownSeconds: written.cool_down_s,
        maxAttestationAgeSeconds: written.max_attestation_age_s,
        fulfilWithinSeconds: written.fulfil_within_s,
        startsPerDayMax: written.starts_per_day_max,
        openMax: written.open_max,
        arbiter: written.arbiter,
        arbitrationSeconds: written.arbitration_s,
    };
    let id = ids::policy_id(&terms);
    let description = args.description.clone();
    let description = description.unwrap_or_else(|| {
        format!("Approve care policy {id}: {} at a score of {} or more", written.care_code, written.threshold)
    });
    let data = approvePolicyCall { terms }.abi_encode().into();
    let calls = vec![Call { target: deployment.policy_registry, data }];
    Ok(Motion { subject: "policy", id, proposal: Proposal { calls, description } })
}

fn sha256_of(path: &Path) -> Result<B256> {
    Ok(B256::from_slice(&Sha256::digest(read(path)?)))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("reading {}", path.display()))
}
