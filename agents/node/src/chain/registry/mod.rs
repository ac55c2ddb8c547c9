//! What governance approves now: the roles' watcher of the registries.
//!
//! [`hygeia_protocol::registry`] decides what holds; here blocks are read for it, whole and in one branch, and its views are
//! handed to the roles. While the chain is silent, or answers something that does not hang together, the last view stands.
//! This module never takes back a suspension or a revocation on the word of a node that merely leaves it out.

mod events;
mod follow;
mod read;

use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::{Address, B256, FixedBytes};
use hygeia_policies::ids;
use hygeia_protocol::bytes::B32;
use hygeia_protocol::registry::{BranchError, Model, Policy, View};
use hygeia_zkml::CommitmentScheme;
use thiserror::Error;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Chain, ChainError, Deployment};
use crate::telemetry::{Gauge, Moment, process};
use follow::Follower;

/// How often the chain is asked for a new block.
const POLL: Duration = Duration::from_millis(500);
/// Blocks on top of an approval before agents act on it, unless they are told otherwise.
pub const CONFIRMATIONS: u64 = 2;

/// Why the registries could not be read. The last view stands.
#[derive(Debug, Error)]
pub enum RegistryError {
    /// The node did not answer, or with an error.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The node has no block that it named a moment ago.
    #[error("the node no longer has a block that it named: it is re-organising, or several nodes answer")]
    BlockGone,
    /// The node has not come as far as the deployment.
    #[error("the node is at block {head}, before the deployment in block {deployment}")]
    Behind {
        /// The node's newest block.
        head: u64,
        /// Block of the first contract.
        deployment: u64,
    },
    /// A header's hash is not that of its content, on a chain where those before were.
    #[error("the header of block {number} does not have the hash that the node gives for it")]
    HeaderForged {
        /// The block.
        number: u64,
    },
    /// The node's receipts of a block are not all, or not of that block.
    #[error("the receipts of block {number} are not all that its header stands for")]
    Incomplete {
        /// The block.
        number: u64,
    },
    /// A log comes without its place, or from a place that was not asked for.
    #[error("the node answered with a log of a place that was not asked for")]
    ForeignLog,
    /// The block of the deployment is another than it was.
    #[error("the node serves another chain than the one followed so far: the block of the deployment has another hash")]
    OtherChain,
    /// The blocks do not follow each other.
    #[error(transparent)]
    Branch(#[from] BranchError),
}

/// A care policy with the model that it names.
pub use hygeia_protocol::registry::Policy as ActivePolicy;

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

impl From<&Model> for ApprovedModel {
    fn from(model: &Model) -> Self {
        Self {
            id: model.id,
            package: model.package.into_bytes(),
            circuit: model.circuit.into_bytes(),
            verifying_key: model.verifying_key.into_bytes(),
            proof_system: ProofSystem::of(model.proof_system),
        }
    }
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
    pub fn of(id: [u8; 4]) -> Self {
        [(ids::PROOF_SYSTEM, Self::Native), (ids::EZKL_PROOF_SYSTEM, Self::Ezkl)]
            .into_iter()
            .find(|(name, _)| ids::proof_system_id(name) == FixedBytes(id))
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

/// Says how new a view is.
fn note(view: &View) {
    process().saw(Moment::Block);
    process().set(Gauge::HeadBlock, view.head().map_or(0, |head| head.number));
}

/// The registries' newest state, kept current in the background.
#[derive(Clone)]
pub struct Registries {
    // Written once per block by the follower, read per window by the roles: no reader ever waits for the network. It is
    // closed when the site stops; the last view can still be read then.
    view: watch::Receiver<Arc<View>>,
}

impl Registries {
    /// Reads the registries once, then follows them until `stop`. An approval counts once `confirmations` blocks stand on
    /// it; a suspension or a revocation counts at once.
    pub async fn watch(
        chain: Chain,
        deployment: Deployment,
        confirmations: u64,
        stop: CancellationToken,
    ) -> Result<Self, RegistryError> {
        let mut follower = Follower::new(chain, &deployment, confirmations);
        let first = follower.refresh().await?.unwrap_or_default();
        process().saw(Moment::RegistryView);
        note(&first);
        let (publish, view) = watch::channel(Arc::new(first));
        tokio::spawn(async move {
            let mut said = None;
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(POLL) => {}
                }
                let answer = follower.refresh().await;
                if let Ok(view) = &answer {
                    process().saw(Moment::RegistryView);
                    view.iter().for_each(note);
                }
                say(&mut said, answer.as_ref().err());
                if let Ok(Some(view)) = answer {
                    publish.send_replace(Arc::new(view));
                }
            }
        });
        Ok(Self { view })
    }

    /// What holds at the newest block seen.
    pub fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// Tells of each new view; closed when the site stops.
    pub fn changes(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    /// The live policies whose model's package has this content hash.
    pub fn policies_of(&self, package: [u8; 32]) -> Vec<Policy> {
        let of_package = |policy: &&Policy| policy.model.package.as_bytes() == &package;
        self.view.borrow().live_policies().filter(of_package).copied().collect()
    }

    /// The models of live policies whose package has this content hash.
    pub fn models_of(&self, package: [u8; 32]) -> Vec<ApprovedModel> {
        let mut models: Vec<ApprovedModel> = Vec::new();
        for policy in self.policies_of(package) {
            if models.iter().all(|other| other.id != policy.model.id) {
                models.push(ApprovedModel::from(&policy.model));
            }
        }
        models
    }

    /// How windows under a mandate are committed to: in the way of the proof system of its policy's model.
    pub fn commitment_scheme(&self, mandate: &B32) -> Option<CommitmentScheme> {
        ProofSystem::of(self.view.borrow().policy_of(mandate)?.model.proof_system).commitment_scheme()
    }

    /// Whether a live mandate lets `oracle` attest windows: granted to it, not revoked, not expired by the chain's clock.
    pub fn may_attest(&self, mandate: &B32, oracle: Address) -> bool {
        self.view.borrow().may_attest(mandate, &oracle.into_array().into())
    }

    /// Whether a live mandate consents to `policy`, and the policy is live.
    pub fn consents(&self, mandate: &B32, policy: &B32) -> bool {
        self.view.borrow().consented(mandate).is_some_and(|consented| consented.id == *policy)
    }
}

/// Says what went wrong when it is not what was said last, and when it is over: polls come twice a second.
fn say(said: &mut Option<String>, error: Option<&RegistryError>) {
    let now = error.map(ToString::to_string);
    if now == *said {
        return;
    }
    match (&now, error.and_then(std::error::Error::source)) {
        (Some(reason), source) => {
            let source = source.map(ToString::to_string).unwrap_or_default();
            tracing::warn!(reason, source, "the registries could not be read; the last view stands");
        }
        (None, _) => tracing::info!("the registries are read again"),
    }
    *said = now;
}

fn b32(word: B256) -> B32 {
    B32::new(word.0)
}
