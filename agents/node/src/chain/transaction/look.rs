//! What the chain is asked about a trigger, and how its answers are checked.
//!
//! A node may answer late, from a branch that lost, or wrongly. What would end a submission is therefore taken from it only
//! where its own answers bear each other out: the chain's id, the receipt's own fields and event, and the blocks on top by
//! their parents' hashes. A node that makes up a whole chain is not found out; name one that you run.

use alloy::consensus::Transaction as _;
use alloy::eips::{BlockId, BlockNumberOrTag};
use alloy::primitives::{Address, B256};
use alloy::providers::Provider;
use alloy::rpc::types::{Filter, Header};
use alloy::sol_types::{SolCall, SolEvent};
use hygeia_policies::care_coordinator::CareCoordinator as Coordinator;
use hygeia_protocol::bytes::B32;
use hygeia_protocol::message::Receipt;
use hygeia_protocol::submission::{Event, Landing};

use super::Triggers;
use crate::chain::ChainError;

impl Triggers {
    /// Whether the effect is there, and which nonces are spent and free, with one head for all of it.
    pub(super) async fn check(&self, receipt: &Receipt, trigger_id: B256, payer: Address) -> Result<Event, ChainError> {
        self.same_chain().await?;
        let head = self.chain.head().await?;
        let settled = self.landing_of(receipt, trigger_id).await?;
        if let Some((landing, block_hash)) = settled {
            self.borne_out(landing, block_hash, head).await?;
        }
        let final_nonce = self.nonce(payer, BlockId::number(head.saturating_sub(self.config.confirmations))).await?;
        let next_nonce = self.nonce(payer, BlockId::Number(BlockNumberOrTag::Pending)).await?;
        Ok(Event::Checked { settled: settled.map(|(landing, _)| landing), final_nonce, next_nonce })
    }

    /// What became of a transaction of ours.
    pub(super) async fn ask(&self, tx: B32, trigger_id: B256) -> Result<Event, ChainError> {
        let hash = B256::from(tx.into_bytes());
        let call = self.chain.provider.get_transaction_receipt(hash).await;
        let receipt = call.map_err(ChainError::rpc("asking for a transaction's receipt"))?;
        let Some(receipt) = receipt else { return Ok(Event::ReceiptMissing { tx }) };
        let (Some(block), Some(block_hash)) = (receipt.block_number, receipt.block_hash) else {
            return Ok(Event::ReceiptMissing { tx });
        };
        if receipt.transaction_hash != hash || receipt.to != Some(self.coordinator) {
            return Err(ChainError::Contradiction { what: "a receipt of another transaction" });
        }
        let success = receipt.status();
        let has_event = receipt.logs().iter().any(|log| {
            let topics = log.topics();
            log.address() == self.coordinator
                && topics.first() == Some(&Coordinator::CareTriggered::SIGNATURE_HASH)
                && topics.get(1) == Some(&trigger_id)
        });
        if success != has_event {
            return Err(ChainError::Contradiction { what: "a receipt whose status and event disagree" });
        }
        self.borne_out(Landing { tx, block }, block_hash, self.chain.head().await?).await?;
        Ok(Event::Receipt { tx, block, success })
    }

    /// The transaction that triggered on this very receipt, whoever sent it, and its block's hash.
    async fn landing_of(&self, receipt: &Receipt, trigger_id: B256) -> Result<Option<(Landing, B256)>, ChainError> {
        let filter = Filter::new()
            .address(self.coordinator)
            .event_signature(Coordinator::CareTriggered::SIGNATURE_HASH)
            .topic1(trigger_id)
            .from_block(self.from_block);
        let logs =
            self.chain.provider.get_logs(&filter).await.map_err(ChainError::rpc("looking for the trigger's event"))?;
        for log in logs {
            let (Some(hash), Some(block), Some(block_hash)) = (log.transaction_hash, log.block_number, log.block_hash)
            else {
                continue;
            };
            if log.address() != self.coordinator || log.topics().get(1) != Some(&trigger_id) {
                return Err(ChainError::Contradiction { what: "an event that was not asked for" });
            }
            if commitment_of(&self.chain.provider, hash).await? == Some(B256::from(receipt.commitment.into_bytes())) {
                return Ok(Some((Landing { tx: B32::new(hash.0), block }, block_hash)));
            }
        }
        Ok(None)
    }

    /// Where a landing is final by the head that the node gives, its block and those on top must be a chain.
    async fn borne_out(&self, landing: Landing, block_hash: B256, head: u64) -> Result<(), ChainError> {
        let last = landing.block.saturating_add(self.config.confirmations);
        if head < last {
            return Ok(());
        }
        let mut expected = block_hash;
        for number in landing.block..=last {
            let header = self.header(number).await?;
            let follows =
                if number == landing.block { header.hash == expected } else { header.parent_hash == expected };
            if header.number != number || !follows {
                return Err(ChainError::Contradiction { what: "blocks that do not follow each other" });
            }
            expected = header.hash;
        }
        Ok(())
    }

    async fn header(&self, number: u64) -> Result<Header, ChainError> {
        let block = self.chain.provider.get_block_by_number(BlockNumberOrTag::Number(number)).await;
        let block = block.map_err(ChainError::rpc("reading a block's header"))?;
        Ok(block.ok_or(ChainError::Contradiction { what: "a head above its newest block" })?.header)
    }

    async fn same_chain(&self) -> Result<(), ChainError> {
        let id = self.chain.provider.get_chain_id().await.map_err(ChainError::rpc("asking which chain it is"))?;
        match id == self.chain.chain_id {
            true => Ok(()),
            false => Err(ChainError::Contradiction { what: "another chain's id" }),
        }
    }

    async fn nonce(&self, account: Address, block: BlockId) -> Result<u64, ChainError> {
        let call = self.chain.provider.get_transaction_count(account).block_id(block).await;
        call.map_err(ChainError::rpc("asking for the signer's nonce"))
    }
}

/// The commitment that a trigger's transaction carries; nothing where it was not sent to the coordinator itself.
pub async fn commitment_of(provider: &impl Provider, transaction: B256) -> Result<Option<B256>, ChainError> {
    let call = provider.get_transaction_by_hash(transaction).await;
    let transaction = call.map_err(ChainError::rpc("reading the trigger's transaction"))?;
    let input = transaction.map(|transaction| transaction.input().clone()).unwrap_or_default();
    Ok(Coordinator::triggerCall::abi_decode(&input).ok().map(|call| call.request.commitment))
}
