//! Blocks and their events out of a node that may answer wrong.
//!
//! A header is taken for what its hash says. Events come from all receipts of a block, which must be as many as its
//! transactions and together make up the header's filter of logs: a node that leaves a log out is found out. Only the past
//! that is too old to change is read by ranges of blocks, where each log must name its place.

use alloy::eips::{BlockId, BlockNumberOrTag};
use alloy::primitives::{B256, Bloom};
use alloy::providers::Provider as _;
use alloy::rpc::types::{Block as RpcBlock, Filter, Header};
use hygeia_policies::{ModelRegistry, PolicyRegistry};
use hygeia_protocol::registry::{Block, Event, Step};

use super::events::Contracts;
use super::{RegistryError, b32};
use crate::chain::{Chain, ChainError, Deployment};

/// Blocks asked for in one call: nodes bound the range of a log query.
const BLOCKS_PER_QUERY: u64 = 2_000;

/// A block's header, with how many transactions it has.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub header: Header,
    pub transactions: usize,
}

impl Head {
    pub(super) fn block(&self) -> Block {
        Block {
            number: self.header.number,
            hash: b32(self.header.hash),
            parent: b32(self.header.parent_hash),
            time_s: self.header.timestamp,
        }
    }
}

/// Reads one deployment's registries on one chain.
pub(super) struct Reader {
    chain: Chain,
    contracts: Contracts,
    /// Whether this chain's headers have the hashes that Ethereum's would have: what the first one shows must hold for all.
    hashes_as_ethereum: Option<bool>,
}

impl Reader {
    pub(super) fn new(chain: Chain, deployment: &Deployment) -> Self {
        Self { chain, contracts: deployment.into(), hashes_as_ethereum: None }
    }

    pub(super) async fn newest(&mut self) -> Result<Head, RegistryError> {
        self.head(BlockId::latest()).await
    }

    pub(super) async fn at(&mut self, number: u64) -> Result<Head, RegistryError> {
        let head = self.head(BlockId::Number(BlockNumberOrTag::Number(number))).await?;
        if head.header.number == number { Ok(head) } else { Err(RegistryError::BlockGone) }
    }

    pub(super) async fn of(&mut self, hash: B256) -> Result<Head, RegistryError> {
        let head = self.head(BlockId::hash(hash)).await?;
        if head.header.hash == hash { Ok(head) } else { Err(RegistryError::BlockGone) }
    }

    async fn head(&mut self, id: BlockId) -> Result<Head, RegistryError> {
        let block = self.chain.provider.get_block(id).await.map_err(ChainError::rpc("asking for a block"))?;
        let RpcBlock { header, transactions, .. } = block.ok_or(RegistryError::BlockGone)?;
        let is_own_hash = header.inner.hash_slow() == header.hash;
        let expected = *self.hashes_as_ethereum.get_or_insert(is_own_hash);
        if expected && !is_own_hash {
            return Err(RegistryError::HeaderForged { number: header.number });
        }
        Ok(Head { transactions: transactions.len(), header })
    }

    /// A block with every event of the registries in it.
    pub(super) async fn step(&self, head: &Head) -> Result<Step, RegistryError> {
        let block = head.block();
        if !self.contracts.may_be_in(&head.header.logs_bloom) {
            return Ok(Step { block, events: Vec::new() });
        }
        let receipts = self.chain.provider.get_block_receipts(BlockId::hash(head.header.hash));
        let receipts = receipts.await.map_err(ChainError::rpc("reading a block's receipts"))?;
        let receipts = receipts.ok_or(RegistryError::BlockGone)?;
        let incomplete = RegistryError::Incomplete { number: block.number };
        let mut bloom = Bloom::ZERO;
        let mut events = Vec::new();
        for receipt in &receipts {
            if receipt.block_hash != Some(head.header.hash) {
                return Err(incomplete);
            }
            for log in receipt.inner.logs() {
                bloom.accrue_log(&log.inner);
                events.extend(self.contracts.event(&log.inner));
            }
        }
        match bloom == head.header.logs_bloom && receipts.len() == head.transactions {
            true => Ok(Step { block, events }),
            false => Err(incomplete),
        }
    }

    /// The events of a span of blocks that is too old to change, each with its block.
    pub(super) async fn past(&self, from: u64, to: u64) -> Result<Vec<(u64, Event)>, RegistryError> {
        let mut events = Vec::new();
        let mut start = from;
        while start <= to {
            let end = to.min(start.saturating_add(BLOCKS_PER_QUERY - 1));
            let filter = Filter::new().from_block(start).to_block(end).address(self.contracts.addresses().to_vec());
            let logs = self.chain.provider.get_logs(&filter).await;
            let mut logs = logs.map_err(ChainError::rpc("reading the registries' events"))?;
            logs.sort_by_key(|log| (log.block_number, log.log_index));
            for log in &logs {
                let number = log.block_number.filter(|number| (start..=end).contains(number) && !log.removed);
                let number = number.ok_or(RegistryError::ForeignLog)?;
                events.extend(self.contracts.event(&log.inner).map(|event| (number, event)));
            }
            start = end + 1;
        }
        Ok(events)
    }

    /// Whether the registry itself says, as of this block, that a model may be acted on.
    pub(super) async fn model_is_active(&self, id: B256, at: B256) -> Result<bool, ChainError> {
        let [registry, ..] = self.contracts.addresses();
        let registry = ModelRegistry::new(registry, &self.chain.provider);
        let active = registry.isActive(id).block(BlockId::hash(at)).call().await;
        active.map_err(ChainError::call("asking for a model's state"))
    }

    /// The same of a policy.
    pub(super) async fn policy_is_active(&self, id: B256, at: B256) -> Result<bool, ChainError> {
        let [_, registry, _] = self.contracts.addresses();
        let registry = PolicyRegistry::new(registry, &self.chain.provider);
        let active = registry.isActive(id).block(BlockId::hash(at)).call().await;
        active.map_err(ChainError::call("asking for a policy's state"))
    }
}
