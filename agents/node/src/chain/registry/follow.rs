//! Brings the machine's branch up to the node's newest block.

use alloy::primitives::B256;
use hygeia_protocol::bytes::B32;
use hygeia_protocol::registry::{HISTORY_BLOCKS, Step, View, Watch};

use super::RegistryError;
use super::read::{Head, Reader};
use crate::chain::{Chain, ChainError, Deployment};

/// [`HISTORY_BLOCKS`] as a height.
const HISTORY: u64 = HISTORY_BLOCKS as u64;

/// Follows the registries of one deployment.
pub(super) struct Follower {
    reader: Reader,
    watch: Watch,
    deployment_block: u64,
    /// Hash of the deployment's block: a node that has another one there serves another chain.
    anchor: Option<B256>,
}

impl Follower {
    pub(super) fn new(chain: Chain, deployment: &Deployment, confirmations: u64) -> Self {
        Self {
            reader: Reader::new(chain, deployment),
            watch: Watch::new(confirmations),
            deployment_block: deployment.block,
            anchor: None,
        }
    }

    /// What holds at the node's newest block; `None` when nothing is new: the node is at our head, or behind it.
    pub(super) async fn refresh(&mut self) -> Result<Option<View>, RegistryError> {
        let tip = self.reader.newest().await?;
        if self.watch.knows(&tip.block().hash) {
            return Ok(None);
        }
        let head = self.watch.head().map(|head| head.number);
        match head {
            None => self.read_anew(&tip).await?,
            Some(head) => self.go_on(head, &tip).await?,
        }
        self.compare().await;
        Ok(Some(self.watch.view()))
    }

    async fn go_on(&mut self, head: u64, tip: &Head) -> Result<(), RegistryError> {
        // Nobody looked for long: what lies far behind the tip is read in ranges, as it was at the start.
        let is_far = tip.header.number > head.saturating_add(HISTORY);
        let branch = if is_far { None } else { branch(&mut self.reader, &self.watch, tip).await? };
        let Some(branch) = branch else {
            tracing::warn!(block = tip.header.number, "the known chain ends far back; reading the registries anew");
            return self.read_anew(tip).await;
        };
        let adopted = self.watch.adopt(&steps(&self.reader, &branch).await?)?;
        if adopted.blocks_rolled_back > 0 {
            tracing::warn!(blocks = adopted.blocks_rolled_back, "the chain was re-organised");
        }
        Ok(())
    }

    /// Reads everything since the deployment: in ranges what is too old to change, block by block what is not.
    async fn read_anew(&mut self, tip: &Head) -> Result<(), RegistryError> {
        let (head, deployment) = (tip.header.number, self.deployment_block);
        if head < deployment {
            return Err(RegistryError::Behind { head, deployment });
        }
        let anchor = self.reader.at(deployment).await?.header.hash;
        if self.anchor.is_some_and(|known| known != anchor) {
            return Err(RegistryError::OtherChain);
        }
        let last = self.reader.at(head.saturating_sub(HISTORY).max(deployment)).await?.block();
        let mut watch = self.watch.restarted();
        watch.load(&self.reader.past(deployment, last.number).await?, last);
        if last.hash != tip.block().hash {
            let branch = branch(&mut self.reader, &watch, tip).await?.ok_or(RegistryError::BlockGone)?;
            watch.adopt(&steps(&self.reader, &branch).await?)?;
        }
        (self.watch, self.anchor) = (watch, Some(anchor));
        Ok(())
    }

    /// Compares what events say is active with what the registries themselves say as of the same block. Where they differ,
    /// an event was left out: the safe side holds.
    async fn compare(&mut self) {
        let Some(head) = self.watch.head().map(|head| B256::from(head.hash.into_bytes())) else { return };
        let active = |(id, active): (B32, bool)| active.then_some(id);
        let models: Vec<B32> = self.watch.models().filter_map(active).collect();
        let policies: Vec<B32> = self.watch.policies().filter_map(active).collect();
        for id in models {
            let answer = self.reader.model_is_active(B256::from(id.into_bytes()), head).await;
            self.note(id, answer);
        }
        for id in policies {
            let answer = self.reader.policy_is_active(B256::from(id.into_bytes()), head).await;
            self.note(id, answer);
        }
    }

    fn note(&mut self, id: B32, is_active: Result<bool, ChainError>) {
        match is_active {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(%id, "the registry says that this is not active although no event told of it; it is held");
                self.watch.hold(id);
            }
            // What events said stands: a node without the state of this block must not hide a suspension that was read.
            Err(reason) => tracing::debug!(%id, %reason, "the registry's state could not be compared"),
        }
    }
}

/// The blocks from one that the machine knows (without it) to the tip, each found by the hash that the next one names, so
/// that they hang together however many nodes answer; `None` when the machine knows none within its history.
async fn branch(reader: &mut Reader, watch: &Watch, tip: &Head) -> Result<Option<Vec<Head>>, RegistryError> {
    let mut heads = vec![tip.clone()];
    let mut parent = tip.header.parent_hash;
    while !watch.knows(&B32::new(parent.0)) {
        if heads.len() > HISTORY_BLOCKS {
            return Ok(None);
        }
        let head = reader.of(parent).await?;
        parent = head.header.parent_hash;
        heads.push(head);
    }
    heads.reverse();
    Ok(Some(heads))
}

async fn steps(reader: &Reader, branch: &[Head]) -> Result<Vec<Step>, RegistryError> {
    let mut steps = Vec::with_capacity(branch.len());
    for head in branch {
        steps.push(reader.step(head).await?);
    }
    Ok(steps)
}
