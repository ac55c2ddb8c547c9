//! What a network is founded on: the vote's proposal, the spread of tokens, the pool's funds and the oracle's bond.

use alloy::primitives::{Address, B256, I256, U256, keccak256};
use anyhow::{Context, Result};
use hygeia_inference::metrics::AlertBudget;
use hygeia_inference::package::ModelPackage;
use hygeia_policies::{
    AuditBinding, CarePool, ChangeControl, Evidence, HygeiaToken, ModelCommitment, ModelRegistry, OracleRegistry,
    PolicyRegistry, PolicyTerms, ServiceBinding, ids,
};
use hygeia_zkml::engine::Engine;
use sha2::{Digest, Sha256};

use super::network::Accounts;
use crate::alarm::COOL_DOWN_S;
use crate::chain::governance::{self, Call};
use crate::chain::{Chain, ChainError, Deployment};
use crate::clock::now_s;

/// Tokens the pool is funded with.
const POOL_TOKENS: u64 = 100_000;
/// Tokens one trigger reserves.
const BENEFIT_TOKENS: u64 = 50;
/// Age of an attested window at which the chain no longer acts on it.
const ATTESTATION_AGE_S: u32 = 7 * 86_400;
/// Time a provider has to attend.
const FULFIL_WITHIN_S: u32 = 2 * 86_400;
/// Cares that may be started in a day: the demo's hours are minutes, so all of its days may fall on one.
const STARTS_PER_DAY_MAX: u32 = 1_000;
/// Benefits that may be set aside at a time: as many as the pool is funded for.
const OPEN_MAX: u32 = (POOL_TOKENS / BENEFIT_TOKENS) as u32;
/// Time an arbiter has for a disputed case.
const ARBITRATION_S: u32 = 5 * 86_400;

/// What the ward is ready to answer, and so what sets the policy's threshold: alerts on one stay in five at most.
const ALERT_BUDGET: AlertBudget = AlertBudget::StaysAlertedPercent(20);

/// What the vote is about: the shipped model, a care policy on it, the hospital's oracle.
pub struct Proposal {
    commitment: ModelCommitment,
    binding: ServiceBinding,
    evidence: Evidence,
    change: ChangeControl,
    terms: PolicyTerms,
    audits: Option<AuditBinding>,
    oracle: Address,
    /// Identifier the model will have.
    pub model_id: B256,
}

impl Proposal {
    /// The proposal to approve `model` under the keys of `engine`, verified by the contract at `verifier`, and what verifies
    /// its audits.
    pub fn new(
        model: &ModelPackage,
        engine: &dyn Engine,
        verifier: Address,
        accounts: &Accounts,
        threshold: Option<i64>,
        audits: Option<AuditBinding>,
    ) -> Result<Self> {
        let commitment = ModelCommitment {
            modelHash: B256::from(model.hash()),
            circuitHash: B256::from(engine.circuit_hash()),
            vkHash: B256::from(engine.verifying_key_hash()),
            proofSystemId: ids::proof_system_id(engine.proof_system_id()),
            uri: format!("hygeia:model:{}", hex::encode(model.hash())),
        };
        let binding = ServiceBinding {
            schemaHash: B256::from(model.schema().hash()),
            verifier,
            proofLength: u32::try_from(engine.proof_bytes()).context("a proof is shorter than 4 GiB")?,
        };
        let card = model.card();
        let change = ChangeControl {
            modification: card.change_control.modification.clone(),
            protocol: card.change_control.protocol.clone(),
            impact: card.change_control.impact.clone(),
        };
        let model_id = ids::model_id(&commitment);
        let threshold = threshold
            .or_else(|| card.operating_points.by_budget(ALERT_BUDGET))
            .context("the model's card has no threshold for the ward's alert budget")?;
        let token = U256::from(10).pow(U256::from(18));
        let terms = PolicyTerms {
            modelId: model_id,
            threshold: I256::try_from(threshold).context("a threshold fits the contract's integer")?,
            careCode: keccak256("snomed:736366004"),
            benefit: u128::try_from(U256::from(BENEFIT_TOKENS) * token).context("a benefit fits 128 bits")?,
            coolDownSeconds: COOL_DOWN_S,
            maxAttestationAgeSeconds: ATTESTATION_AGE_S,
            fulfilWithinSeconds: FULFIL_WITHIN_S,
            startsPerDayMax: STARTS_PER_DAY_MAX,
            openMax: OPEN_MAX,
            arbiter: accounts.guardian.address(),
            arbitrationSeconds: ARBITRATION_S,
        };
        Ok(Self {
            commitment,
            binding,
            evidence: evidence(model)?,
            change,
            terms,
            audits,
            oracle: accounts.oracle.address(),
            model_id,
        })
    }

    /// Lets the care policy call for a patient again after this long.
    pub fn set_cool_down(&mut self, cool_down_s: u32) {
        self.terms.coolDownSeconds = cool_down_s;
    }

    /// Identifier the care policy will have.
    pub fn policy_id(&self) -> B256 {
        ids::policy_id(&self.terms)
    }

    /// What the timelock calls when the vote has passed.
    pub fn calls(&self, deployment: &Deployment, chain: &Chain) -> Vec<Call> {
        let models = ModelRegistry::new(deployment.model_registry, &chain.provider);
        let oracles = OracleRegistry::new(deployment.oracle_registry, &chain.provider);
        let mut calls = self.approvals(deployment, chain);
        calls.push(Call {
            target: deployment.oracle_registry,
            data: oracles.admitOracle(self.oracle).calldata().clone(),
        });
        if let Some(binding) = &self.audits {
            let approve_audits = models.approveAuditVerifier(self.model_id, binding.clone());
            calls.push(Call { target: deployment.model_registry, data: approve_audits.calldata().clone() });
        }
        calls
    }

    /// Of that, what approves the model and the policy: all there is to a second model.
    pub fn approvals(&self, deployment: &Deployment, chain: &Chain) -> Vec<Call> {
        let models = ModelRegistry::new(deployment.model_registry, &chain.provider);
        let policies = PolicyRegistry::new(deployment.policy_registry, &chain.provider);
        let approve_model = models.approveModel(
            self.commitment.clone(),
            self.binding.clone(),
            self.evidence.clone(),
            self.change.clone(),
        );
        let approve_policy = policies.approvePolicy(self.terms.clone());
        vec![
            Call { target: deployment.model_registry, data: approve_model.calldata().clone() },
            Call { target: deployment.policy_registry, data: approve_policy.calldata().clone() },
        ]
    }

    /// What voters read.
    pub fn description(&self) -> String {
        format!("Approve model {}, care policy {} and oracle {}", self.model_id, self.policy_id(), self.oracle)
    }
}

/// What voters have before them: the card, its figures of how far integers are from floats, and its evaluations.
fn evidence(model: &ModelPackage) -> Result<Evidence> {
    let hash = |bytes: &[u8]| B256::from_slice(&Sha256::digest(bytes));
    let card = model.card();
    Ok(Evidence {
        cardHash: hash(&serde_json::to_vec(card)?),
        fidelityHash: hash(&serde_json::to_vec(&card.training)?),
        evaluationHash: hash(&serde_json::to_vec(&card.evaluations)?),
    })
}

/// Spreads the tokens over the holders, so that a vote is more than one person's.
pub async fn distribute(chain: &Chain, deployment: &Deployment, accounts: &Accounts) -> Result<()> {
    let token = HygeiaToken::new(deployment.token, &chain.provider);
    let Some((holder, others)) = accounts.voters.split_first() else { return Ok(()) };
    let supply = token.totalSupply().call().await.map_err(ChainError::call("reading the supply"))?;
    let share = supply / U256::from(accounts.voters.len() + 1);
    for other in others {
        let transfer = token.transfer(other.address(), share);
        governance::send(chain, holder.address(), transfer.calldata().clone(), deployment.token, "distributing tokens")
            .await?;
    }
    Ok(())
}

/// Funds the pool and pays the oracle's bond out of the first holder's tokens.
pub async fn fund(chain: &Chain, deployment: &Deployment, accounts: &Accounts, bond: u128) -> Result<()> {
    let holder = accounts.voters.first().context("a network has token holders")?.address();
    let token = HygeiaToken::new(deployment.benefit_token, &chain.provider);
    let pool = CarePool::new(deployment.care_pool, &chain.provider);
    let oracles = OracleRegistry::new(deployment.oracle_registry, &chain.provider);
    let funds = U256::from(POOL_TOKENS) * U256::from(10).pow(U256::from(18));
    let oracle = accounts.oracle.address();
    let steps = [
        (
            token.approve(deployment.care_pool, funds).calldata().clone(),
            deployment.benefit_token,
            "allowing the pool's funding",
        ),
        (pool.fund(funds).calldata().clone(), deployment.care_pool, "funding the pool"),
        (
            token.approve(deployment.oracle_registry, U256::from(bond)).calldata().clone(),
            deployment.benefit_token,
            "allowing the bond",
        ),
        (oracles.payBond(oracle, bond).calldata().clone(), deployment.oracle_registry, "paying the oracle's bond"),
    ];
    for (data, to, operation) in steps {
        governance::send(chain, holder, data, to, operation).await?;
    }
    Ok(())
}

/// Brings the chain's clock to the present if the vote left it behind.
pub async fn catch_up(chain: &Chain) -> Result<()> {
    let behind = now_s().saturating_sub(governance::chain_time(chain).await?);
    if behind > 0 {
        governance::move_time(chain, behind).await?;
    }
    Ok(())
}
