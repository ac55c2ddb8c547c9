//! Puts the contracts on a chain. Every registry belongs to the timelock from its first block; the deployer keeps nothing.

use std::path::Path;

use alloy::network::TransactionBuilder;
use alloy::primitives::{Address, Bytes, U256};
use alloy::providers::Provider;
use alloy::rpc::types::TransactionRequest;
use alloy::sol_types::SolValue;
use anyhow::Context as _;
use hygeia_policies::care_coordinator::ICareCoordinator::Wiring;
use hygeia_policies::hygeia_governor::HygeiaGovernor::Rules;
use hygeia_policies::{
    AgentIdentityRegistry, AgentValidationRegistry, AuditLedger, CareCoordinator, CarePool, CredentialRegistry,
    HygeiaGovernor, HygeiaTimelock, HygeiaToken, InferenceValidator, InferenceVerifier, MandateRegistry, ModelRegistry,
    OracleRegistry, OracleRules, PolicyRegistry,
};
use serde::Deserialize;

use super::{AgentRegistries, Chain, ChainError, Deployment};

/// The generated verifier of the shipped model: ABI-less bytecode under its own compiler settings.
const VERIFIER: &str = include_str!("../../../../policies/generated/Halo2Verifier.json");
/// The generated verifier of its audits, at the size that a prover takes by default.
const AUDIT_VERIFIER: &str = include_str!("../../../../policies/generated/AuditVerifier.json");

/// The rules a network is founded with.
#[derive(Debug, Clone)]
pub struct Founding {
    /// Who receives the whole supply of the governance token.
    pub holder: Address,
    /// Who may suspend and cancel, and nothing else.
    pub guardian: Address,
    /// Supply of the governance token, in its smallest unit.
    pub supply: U256,
    /// Seconds between a proposal and the start of its vote.
    pub voting_delay_s: u32,
    /// Seconds a vote is open.
    pub voting_period_s: u32,
    /// Seconds between a passed vote and its execution at the earliest.
    pub timelock_s: u32,
    /// Votes needed to propose.
    pub proposal_threshold: U256,
    /// Share of the supply that must take part, in percent.
    pub quorum_percent: u8,
    /// Bond of an oracle, in the benefit token's smallest unit.
    pub oracle_bond: u128,
    /// Seconds for which an oracle that contradicted itself cannot be reinstated.
    pub jail_s: u32,
    /// Share of a slashed bond that goes to whoever showed the contradiction, in ten-thousandths.
    pub reporter_share_bps: u16,
    /// Seconds between a funder's wish to leave the pool and being served.
    pub exit_delay_s: u32,
    /// The chain's registry of agents by ERC-8004; one is deployed where it has none.
    pub identity_registry: Option<Address>,
    /// The chain's registry of agents' validations; likewise.
    pub validation_registry: Option<Address>,
}

impl Founding {
    /// Rules a network can live with: a day's notice, a week's vote, two days' timelock, 4 % quorum.
    pub fn standard(holder: Address, guardian: Address) -> Self {
        let token = U256::from(10).pow(U256::from(18));
        Self {
            holder,
            guardian,
            supply: U256::from(10_000_000) * token,
            voting_delay_s: 86_400,
            voting_period_s: 7 * 86_400,
            timelock_s: 2 * 86_400,
            proposal_threshold: U256::from(1_000) * token,
            quorum_percent: 4,
            oracle_bond: 1_000 * 10u128.pow(18),
            jail_s: 30 * 86_400,
            reporter_share_bps: 2_000,
            exit_delay_s: 14 * 86_400,
            identity_registry: None,
            validation_registry: None,
        }
    }
}

/// Deploys all contracts from `deployer`'s account, in one known order: some need the address of a later one.
pub async fn deploy(chain: &Chain, deployer: Address, founding: &Founding) -> Result<Deployment, ChainError> {
    let nonce = chain
        .provider
        .get_transaction_count(deployer)
        .await
        .map_err(ChainError::rpc("asking for the deployer's nonce"))?;
    let address = |offset: u64| deployer.create(nonce + offset);
    let block = chain.head().await? + 1;
    let deployment = Deployment {
        chain_id: chain.chain_id,
        block,
        token: address(0),
        timelock: address(1),
        governor: address(2),
        model_registry: address(3),
        inference_verifier: address(4),
        audit_ledger: address(5),
        policy_registry: address(6),
        mandate_registry: address(7),
        credential_registry: address(8),
        oracle_registry: address(9),
        care_pool: address(10),
        care_coordinator: address(11),
        benefit_token: address(0),
        agents: None,
    };
    for (expected, operation, code) in creations(&deployment, founding) {
        let created = create(chain, deployer, code, operation).await?;
        if created != expected {
            // Another transaction of the deployer came between: addresses handed out already would be wrong.
            return Err(ChainError::Reverted { operation });
        }
    }
    let agents = deploy_for_agents(chain, deployer, founding, deployment.inference_verifier).await?;
    Ok(Deployment { agents: Some(agents), ..deployment })
}

/// Deploys what the chain lacks of ERC-8004, and the validator of our models' inferences.
async fn deploy_for_agents(
    chain: &Chain,
    deployer: Address,
    founding: &Founding,
    verifier: Address,
) -> Result<AgentRegistries, ChainError> {
    let identity_registry = match founding.identity_registry {
        Some(known) => known,
        None => {
            create(chain, deployer, AgentIdentityRegistry::BYTECODE.clone(), "deploying the agents' registry").await?
        }
    };
    let validation_registry = match founding.validation_registry {
        Some(known) => known,
        None => {
            let code = code(&AgentValidationRegistry::BYTECODE, (identity_registry,).abi_encode_params());
            create(chain, deployer, code, "deploying the validations' registry").await?
        }
    };
    let registry = AgentValidationRegistry::new(validation_registry, &chain.provider);
    let agents = registry.getIdentityRegistry().call().await;
    let agents = agents.map_err(ChainError::call("asking the validations' registry for its agents"))?;
    if agents != identity_registry {
        return Err(ChainError::OtherAgents { expected: identity_registry, found: agents });
    }
    let code = code(&InferenceValidator::BYTECODE, (verifier, validation_registry).abi_encode_params());
    let inference_validator = create(chain, deployer, code, "deploying InferenceValidator").await?;
    Ok(AgentRegistries { identity_registry, validation_registry, inference_validator })
}

/// Deploys the shipped model's generated verifier.
pub async fn deploy_verifier(chain: &Chain, deployer: Address) -> Result<Address, ChainError> {
    create(chain, deployer, bytecode(VERIFIER)?, "deploying the proof verifier").await
}

/// Deploys the generated verifier of the shipped model's audits.
pub async fn deploy_audit_verifier(chain: &Chain, deployer: Address) -> Result<Address, ChainError> {
    create(chain, deployer, bytecode(AUDIT_VERIFIER)?, "deploying the audit verifier").await
}

/// Compiles a verifier that EZKL generated and deploys it. `policies` is the folder with the compiler's tools.
pub async fn deploy_ezkl_verifier(
    chain: &Chain,
    deployer: Address,
    policies: &Path,
    source: &str,
) -> anyhow::Result<Address> {
    let scratch = tempfile::tempdir()?;
    let [input, output] = ["verifier.sol", "verifier.json"].map(|name| scratch.path().join(name));
    std::fs::write(&input, source)?;
    let script = policies.join("tools/compile-verifier.mjs");
    let mut node = tokio::process::Command::new("node");
    let status = node.arg(&script).arg(&input).arg(&output).status().await.context("starting node")?;
    anyhow::ensure!(status.success(), "{} did not compile EZKL's verifier ({status})", script.display());
    let code = bytecode(&std::fs::read_to_string(&output)?)?;
    Ok(create(chain, deployer, code, "deploying EZKL's verifier").await?)
}

fn bytecode(artifact: &str) -> Result<Bytes, ChainError> {
    #[derive(Deserialize)]
    struct Artifact {
        bytecode: Bytes,
    }
    let read: Artifact = serde_json::from_str(artifact)
        .map_err(|source| ChainError::Call { operation: "reading a generated verifier", source: Box::new(source) })?;
    Ok(read.bytecode)
}

fn creations(d: &Deployment, f: &Founding) -> Vec<(Address, &'static str, Bytes)> {
    let rules = Rules {
        votingDelaySeconds: alloy::primitives::aliases::U48::from(f.voting_delay_s),
        votingPeriodSeconds: f.voting_period_s,
        proposalThreshold: f.proposal_threshold,
        quorumPercent: U256::from(f.quorum_percent),
        lateQuorumSeconds: alloy::primitives::aliases::U48::from(f.voting_period_s / 4),
    };
    let wiring = Wiring {
        models: d.model_registry,
        verifier: d.inference_verifier,
        audits: d.audit_ledger,
        policies: d.policy_registry,
        oracles: d.oracle_registry,
        mandates: d.mandate_registry,
        credentials: d.credential_registry,
        pool: d.care_pool,
    };
    let owned = (d.timelock, f.guardian).abi_encode_params();
    let oracle_rules = OracleRules {
        minimumBond: f.oracle_bond,
        unbondingSeconds: u64::from(f.voting_period_s) * 2,
        jailSeconds: u64::from(f.jail_s),
        reporterShareBps: f.reporter_share_bps,
    };
    let oracle = (d.benefit_token, d.care_coordinator, oracle_rules, d.timelock, f.guardian);
    let pool = (d.benefit_token, d.care_coordinator, d.timelock, u64::from(f.exit_delay_s));
    vec![
        (d.token, "deploying HygeiaToken", code(&HygeiaToken::BYTECODE, (f.holder, f.supply).abi_encode_params())),
        (
            d.timelock,
            "deploying the timelock",
            code(&HygeiaTimelock::BYTECODE, (U256::from(f.timelock_s), d.governor).abi_encode_params()),
        ),
        (
            d.governor,
            "deploying the governor",
            code(&HygeiaGovernor::BYTECODE, (d.token, d.timelock, f.guardian, rules).abi_encode_params()),
        ),
        (d.model_registry, "deploying ModelRegistry", code(&ModelRegistry::BYTECODE, owned.clone())),
        (
            d.inference_verifier,
            "deploying InferenceVerifier",
            code(&InferenceVerifier::BYTECODE, (d.model_registry,).abi_encode_params()),
        ),
        (
            d.audit_ledger,
            "deploying AuditLedger",
            code(&AuditLedger::BYTECODE, (d.model_registry,).abi_encode_params()),
        ),
        (d.policy_registry, "deploying PolicyRegistry", code(&PolicyRegistry::BYTECODE, owned.clone())),
        (d.mandate_registry, "deploying MandateRegistry", code(&MandateRegistry::BYTECODE, Vec::new())),
        (d.credential_registry, "deploying CredentialRegistry", code(&CredentialRegistry::BYTECODE, owned)),
        (d.oracle_registry, "deploying OracleRegistry", code(&OracleRegistry::BYTECODE, oracle.abi_encode_params())),
        (d.care_pool, "deploying CarePool", code(&CarePool::BYTECODE, pool.abi_encode_params())),
        (
            d.care_coordinator,
            "deploying CareCoordinator",
            code(&CareCoordinator::BYTECODE, (wiring,).abi_encode_params()),
        ),
    ]
}

fn code(bytecode: &Bytes, arguments: Vec<u8>) -> Bytes {
    [bytecode.as_ref(), &arguments].concat().into()
}

async fn create(chain: &Chain, from: Address, code: Bytes, operation: &'static str) -> Result<Address, ChainError> {
    let request = TransactionRequest::default().with_from(from).with_deploy_code(code);
    let pending = chain.provider.send_transaction(request).await.map_err(ChainError::rpc(operation))?;
    let receipt =
        pending.get_receipt().await.map_err(|source| ChainError::Call { operation, source: Box::new(source) })?;
    receipt.contract_address.filter(|_| receipt.status()).ok_or(ChainError::Reverted { operation })
}

/// `hygeia deploy`: founds a network on a chain and writes its addresses.
pub async fn command(args: &crate::cli::DeployArgs) -> anyhow::Result<()> {
    let signer = super::load_signer(&args.signer_key_file)?;
    let deployer = signer.address();
    let holder = args.holder.unwrap_or(deployer);
    let founding = Founding {
        identity_registry: args.identity_registry,
        validation_registry: args.validation_registry,
        ..Founding::standard(holder, args.guardian.unwrap_or(holder))
    };
    let chain = Chain::connect(&args.chain, &[signer], std::time::Duration::from_secs(20)).await?;
    crate::keys::allow_on(chain.chain_id, !args.no_verifier).context(
        "the generated verifier of the shipped model is not deployed; deploy the contracts alone with --no-verifier, and \
         a verifier that `hygeia gen-verifier --srs FILE` writes",
    )?;
    eprintln!("deploying to chain {}: tokens to {holder}, guardian {}", chain.chain_id, founding.guardian);
    let deployment = deploy(&chain, deployer, &founding).await?;
    if !args.no_verifier {
        eprintln!("verifier of the shipped model at {}", deploy_verifier(&chain, deployer).await?);
    }
    deployment.save(&args.out)?;
    println!("{}", serde_json::to_string_pretty(&deployment)?);
    eprintln!("addresses written to {}", args.out.display());
    Ok(())
}
