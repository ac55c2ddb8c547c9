//! What governance approves now: the roles' watcher of the registries.
//!
//! At every new block it reads the registries' events since the last block it trusts and the state of every model and
//! policy it knows. The newest [`REORG_DEPTH_BLOCKS`] blocks are read again each time, so that a re-organised chain
//! cannot leave a revoked mandate standing. While the chain is silent the last view stands.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use alloy::primitives::{Address, B256, FixedBytes};
use alloy::providers::Provider;
use alloy::rpc::types::{Filter, Log};
use alloy::sol_types::SolEvent;
use hygeia_policies::mandate_registry::MandateRegistry as MandateEvents;
use hygeia_policies::model_registry::ModelRegistry as ModelEvents;
use hygeia_policies::policy_registry::PolicyRegistry as PolicyEvents;
use hygeia_policies::{ModelRegistry, PolicyRegistry, ids};
use hygeia_protocol::bytes::B32;
use hygeia_zkml::CommitmentScheme;
use tokio_util::sync::CancellationToken;

use super::{Chain, ChainError, Deployment};

/// How often the chain is asked for a new block.
const POLL: Duration = Duration::from_millis(500);
/// Blocks that may still be re-organised and are read again.
const REORG_DEPTH_BLOCKS: u64 = 12;
/// Blocks asked for in one call: nodes bound the range of a log query.
const BLOCKS_PER_QUERY: u64 = 2_000;

/// A care policy that is live, with a model that is live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivePolicy {
    /// The policy's identifier.
    pub id: B32,
    /// The identifier of the model it names.
    pub model_id: B32,
    /// Score from which it applies.
    pub threshold: i64,
    /// Least time between two triggers under one mandate.
    pub cool_down_s: u32,
}

/// A model that is live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovedModel {
    /// The model's identifier.
    pub id: B32,
    /// Content hash of its package.
    pub package: [u8; 32],
    /// Hash of its circuit.
    pub circuit: [u8; 32],
    /// Hash of its verifying key.
    pub verifying_key: [u8; 32],
    /// The proof system that it is approved under.
    pub proof_system: ProofSystem,
}

/// A proof system, as a model is approved under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofSystem {
    /// This project's own.
    Native,
    /// EZKL's.
    Ezkl,
    /// One that this program does not know.
    Other,
}

impl ProofSystem {
    /// The one with this identifier.
    fn of(id: FixedBytes<4>) -> Self {
        [(ids::PROOF_SYSTEM, Self::Native), (ids::EZKL_PROOF_SYSTEM, Self::Ezkl)]
            .into_iter()
            .find(|(name, _)| ids::proof_system_id(name) == id)
            .map_or(Self::Other, |(_, system)| system)
    }

    /// How a window is committed to that is to be proved with it.
    pub fn commitment_scheme(self) -> Option<CommitmentScheme> {
        match self {
            Self::Native => Some(CommitmentScheme::Native),
            Self::Ezkl => Some(CommitmentScheme::Ezkl),
            Self::Other => None,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct MandateState {
    policy: B32,
    oracle: Address,
    granted_at: u64,
    revoked_at: Option<u64>,
    expires: u64,
}

#[derive(Debug, Clone, Default)]
struct View {
    head: u64,
    head_time_s: u64,
    policies: Vec<ActivePolicy>,
    models: Vec<ApprovedModel>,
    /// Of every policy that was ever approved: what a window is committed to with never changes under one mandate.
    proof_systems: HashMap<B32, ProofSystem>,
    mandates: HashMap<B32, MandateState>,
}

/// The registries' newest state, kept current in the background.
#[derive(Clone)]
pub struct Registries {
    // Written once per block by the watcher, read per window by the roles: no reader ever waits for the network.
    view: Arc<RwLock<View>>,
}

impl Registries {
    /// Reads the registries once, then follows them until `stop`.
    pub async fn watch(chain: Chain, deployment: Deployment, stop: CancellationToken) -> Result<Self, ChainError> {
        let mut watcher = Watcher::new(chain, deployment);
        let first = watcher.refresh().await?.unwrap_or_default();
        let registries = Self { view: Arc::new(RwLock::new(first)) };
        let shared = registries.view.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(POLL) => {}
                }
                match watcher.refresh().await {
                    Ok(Some(view)) => *shared.write().unwrap_or_else(PoisonError::into_inner) = view,
                    Ok(None) => {}
                    Err(reason) => tracing::warn!(%reason, "the registries could not be read; the last view stands"),
                }
            }
        });
        Ok(registries)
    }

    /// The live policies whose model's package has this content hash.
    pub fn policies_of(&self, package: [u8; 32]) -> Vec<ActivePolicy> {
        self.read(|view| {
            let approved: Vec<&B32> = view.models.iter().filter(|m| m.package == package).map(|m| &m.id).collect();
            view.policies.iter().filter(|p| approved.contains(&&p.model_id)).cloned().collect()
        })
    }

    /// The live models whose package has this content hash.
    pub fn models_of(&self, package: [u8; 32]) -> Vec<ApprovedModel> {
        self.read(|view| view.models.iter().filter(|m| m.package == package).cloned().collect())
    }

    /// How windows under a mandate are committed to: in the way of the proof system of its policy's model.
    pub fn commitment_scheme(&self, mandate: &B32) -> Option<CommitmentScheme> {
        self.read(|view| view.proof_systems.get(&view.mandates.get(mandate)?.policy).copied())?.commitment_scheme()
    }

    /// Whether a live mandate lets `oracle` attest windows: granted to it, not revoked, not expired by the chain's clock.
    pub fn may_attest(&self, mandate: &B32, oracle: Address) -> bool {
        self.live_mandate(mandate).is_some_and(|m| m.oracle == oracle)
    }

    /// Whether a live mandate consents to `policy`.
    pub fn consents(&self, mandate: &B32, policy: &B32) -> bool {
        self.live_mandate(mandate).is_some_and(|m| m.policy == *policy)
    }

    /// Every mandate that was revoked.
    pub fn revoked(&self) -> Vec<B32> {
        self.read(|view| view.mandates.iter().filter(|(_, m)| m.revoked_at.is_some()).map(|(id, _)| *id).collect())
    }

    fn live_mandate(&self, mandate: &B32) -> Option<MandateState> {
        self.read(|view| {
            let state = view.mandates.get(mandate).copied()?;
            (state.revoked_at.is_none() && view.head_time_s < state.expires).then_some(state)
        })
    }

    fn read<T>(&self, look: impl FnOnce(&View) -> T) -> T {
        look(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Watcher {
    chain: Chain,
    deployment: Deployment,
    view: View,
    /// What was approved and never changes; read once.
    policies: Vec<(B256, Option<Terms>)>,
    models: Vec<(B256, Option<ApprovedModel>)>,
    next_block: u64,
}

impl Watcher {
    fn new(chain: Chain, deployment: Deployment) -> Self {
        let next_block = deployment.block;
        Self { chain, deployment, view: View::default(), policies: Vec::new(), models: Vec::new(), next_block }
    }

    /// The registries' state at the newest block; `None` when there is no new block.
    async fn refresh(&mut self) -> Result<Option<View>, ChainError> {
        let latest = self
            .chain
            .provider
            .get_block_by_number(alloy::eips::BlockNumberOrTag::Latest)
            .await
            .map_err(ChainError::rpc("asking for the newest block"))?;
        let Some(latest) = latest else { return Ok(None) };
        let head = latest.header.number;
        if head == self.view.head && head != 0 {
            return Ok(None);
        }
        self.read_events(head).await?;
        self.view.models = self.live_models().await?;
        self.view.policies = self.live_policies().await?;
        self.view.proof_systems = self.proof_systems();
        self.view.head = head;
        self.view.head_time_s = latest.header.timestamp;
        Ok(Some(self.view.clone()))
    }

    async fn read_events(&mut self, head: u64) -> Result<(), ChainError> {
        let mut from = self.next_block.saturating_sub(REORG_DEPTH_BLOCKS).max(self.deployment.block);
        self.forget_from(from);
        while from <= head {
            let to = head.min(from + BLOCKS_PER_QUERY - 1);
            let filter = Filter::new().from_block(from).to_block(to).address(vec![
                self.deployment.model_registry,
                self.deployment.policy_registry,
                self.deployment.mandate_registry,
            ]);
            let logs = self
                .chain
                .provider
                .get_logs(&filter)
                .await
                .map_err(ChainError::rpc("reading the registries' events"))?;
            for log in &logs {
                self.apply(log);
            }
            from = to + 1;
        }
        self.next_block = head + 1;
        Ok(())
    }

    /// Takes back what was read of blocks from `block` on.
    fn forget_from(&mut self, block: u64) {
        self.view.mandates.retain(|_, mandate| mandate.granted_at < block);
        for mandate in self.view.mandates.values_mut() {
            mandate.revoked_at = mandate.revoked_at.filter(|revoked| *revoked < block);
        }
    }

    fn apply(&mut self, log: &Log) {
        let block = log.block_number.unwrap_or(self.deployment.block);
        if let Ok(event) = ModelEvents::ModelApproved::decode_log(&log.inner) {
            remember(&mut self.models, event.modelId);
        } else if let Ok(event) = PolicyEvents::PolicyApproved::decode_log(&log.inner) {
            remember(&mut self.policies, event.policyId);
        } else if let Ok(event) = MandateEvents::MandateGranted::decode_log(&log.inner) {
            let state = MandateState {
                policy: B32::new(event.policyId.0),
                oracle: event.oracle,
                granted_at: block,
                revoked_at: None,
                expires: event.expires,
            };
            self.view.mandates.insert(B32::new(event.mandateId.0), state);
        } else if let Ok(event) = MandateEvents::MandateRevoked::decode_log(&log.inner)
            && let Some(mandate) = self.view.mandates.get_mut(&B32::new(event.mandateId.0))
        {
            mandate.revoked_at = Some(block);
        }
    }

    async fn live_models(&mut self) -> Result<Vec<ApprovedModel>, ChainError> {
        let registry = ModelRegistry::new(self.deployment.model_registry, &self.chain.provider);
        let mut live = Vec::new();
        for (id, known) in &mut self.models {
            if known.is_none() {
                let model = registry.modelOf(*id).call().await.map_err(ChainError::call("reading a model"))?._0;
                *known = Some(ApprovedModel {
                    id: B32::new(id.0),
                    package: model.modelHash.0,
                    circuit: model.circuitHash.0,
                    verifying_key: model.vkHash.0,
                    proof_system: ProofSystem::of(model.proofSystemId),
                });
            }
            let active = registry.isActive(*id).call().await.map_err(ChainError::call("asking for a model's state"))?;
            live.extend(known.clone().filter(|_| active));
        }
        Ok(live)
    }

    async fn live_policies(&mut self) -> Result<Vec<ActivePolicy>, ChainError> {
        let registry = PolicyRegistry::new(self.deployment.policy_registry, &self.chain.provider);
        let mut live = Vec::new();
        for (id, known) in &mut self.policies {
            if known.is_none() {
                let terms = registry.policyOf(*id).call().await.map_err(ChainError::call("reading a policy"))?;
                *known = Some(Terms {
                    model_id: B32::new(terms.modelId.0),
                    threshold: i64::try_from(terms.threshold).ok(),
                    cool_down_s: terms.coolDownSeconds,
                });
            }
            let active =
                registry.isActive(*id).call().await.map_err(ChainError::call("asking for a policy's state"))?;
            // A threshold outside i64 can never be reached by a score; such a policy is not live for an agent.
            if let (true, Some(Terms { model_id, threshold: Some(threshold), cool_down_s })) = (active, *known) {
                live.push(ActivePolicy { id: B32::new(id.0), model_id, threshold, cool_down_s });
            }
        }
        Ok(live)
    }

    fn proof_systems(&self) -> HashMap<B32, ProofSystem> {
        let models = self.models.iter().filter_map(|(_, model)| model.as_ref());
        let of_model: HashMap<B32, ProofSystem> = models.map(|model| (model.id, model.proof_system)).collect();
        let of_policy =
            |(id, terms): &(B256, Option<Terms>)| Some((B32::new(id.0), *of_model.get(&terms.as_ref()?.model_id)?));
        self.policies.iter().filter_map(of_policy).collect()
    }
}

/// What of a policy's terms concerns an agent.
#[derive(Debug, Clone, Copy)]
struct Terms {
    model_id: B32,
    threshold: Option<i64>,
    cool_down_s: u32,
}

fn remember<T>(known: &mut Vec<(B256, Option<T>)>, id: B256) {
    if known.iter().all(|(other, _)| *other != id) {
        known.push((id, None));
    }
}
