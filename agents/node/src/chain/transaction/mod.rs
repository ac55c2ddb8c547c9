//! Sends one trigger and follows it to finality: the driver of `hygeia_protocol::submission`.
//!
//! The machine decides; this file asks the chain, signs and sends. The machine is stored before each of its actions is
//! carried out, so that a steward that was killed goes on with the nonce it had.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;

use alloy::eips::{BlockId, BlockNumberOrTag};
use alloy::network::TransactionBuilder;
use alloy::primitives::{Address, B256, I256};
use alloy::providers::Provider;
use alloy::rpc::types::{Filter, TransactionRequest};
use alloy::sol_types::{SolCall, SolEvent};
use hygeia_policies::care_coordinator::CareCoordinator as Coordinator;
use hygeia_policies::{CareCoordinator, PolicyRegistry, TriggerRequest, ids, refusal};
use hygeia_protocol::bytes::B32;
use hygeia_protocol::message::Receipt;
use hygeia_protocol::submission::{Action, Event, FailReason, Landing, SendFailure, Submission, SubmissionConfig};
use hygeia_protocol::time::Timestamp;

use super::{Chain, ChainError, Deployment};
use crate::bus::{Bucket, Bus};
use crate::clock::now_ms;

/// Bucket with the submissions under way.
const SUBMISSIONS_BUCKET: &str = "hygeia_submission";
/// How often the chain is asked while a transaction is under way.
const POLL: Duration = Duration::from_millis(300);

/// What the chain made of a receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Care is triggered, and final.
    Triggered {
        /// The trigger's identifier on chain.
        trigger_id: B256,
        /// The transaction that triggered it.
        transaction: B256,
        /// Its block.
        block: u64,
        /// Gas it used.
        gas_used: u64,
    },
    /// The chain refuses.
    Refused {
        /// Name of the contract's error, or of the submission's end.
        reason: String,
    },
}

/// Brings receipts to the coordinator.
pub struct Triggers {
    chain: Chain,
    account: Address,
    coordinator: Address,
    policies: Address,
    from_block: u64,
    config: SubmissionConfig,
    submissions: Bucket,
}

impl Triggers {
    /// A sender from `account`, whose key the chain connection holds.
    pub async fn open(
        chain: Chain,
        account: Address,
        deployment: &Deployment,
        confirmations: u64,
        bus: &Bus,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            chain,
            account,
            coordinator: deployment.care_coordinator,
            policies: deployment.policy_registry,
            from_block: deployment.block,
            config: SubmissionConfig { confirmations, ..SubmissionConfig::default() },
            submissions: bus.bucket(SUBMISSIONS_BUCKET).await?,
        })
    }

    /// Follows a receipt until the chain has taken it for good or refuses it.
    pub async fn settle(&self, receipt: &Receipt) -> anyhow::Result<Outcome> {
        let trigger_id = match self.trigger_id(receipt).await? {
            Some(id) => id,
            None => return Ok(Outcome::Refused { reason: "PolicyNotActive".to_owned() }),
        };
        let key = receipt.receipt_id.to_hex();
        let mut machine = self.load(&key, &receipt.receipt_id).await?;
        let mut events = VecDeque::from([Event::Requested]);
        loop {
            let event = match events.pop_front() {
                Some(event) => event,
                None => {
                    tokio::time::sleep(POLL).await;
                    events.push_back(Event::Tick);
                    Event::Head { number: self.chain.head().await? }
                }
            };
            let actions = machine.step(event, Timestamp::from_millis(now_ms()));
            if !actions.is_empty() {
                self.submissions.put(&key, serde_json::to_vec(&machine)?).await?;
            }
            for action in actions {
                match action {
                    Action::Done { tx, block } => return self.triggered(trigger_id, tx, block).await,
                    Action::Fail { reason } => return Ok(Outcome::Refused { reason: name_of(reason) }),
                    action => events.push_back(self.carry_out(action, receipt, trigger_id).await?),
                }
            }
        }
    }

    /// Asks the coordinator without sending anything: `Err` holds the name of its error.
    pub async fn dry_run(&self, receipt: &Receipt) -> Result<Result<(), String>, ChainError> {
        let coordinator = CareCoordinator::new(self.coordinator, &self.chain.provider);
        match coordinator.trigger(request_of(receipt)).from(self.account).call().await {
            Ok(_) => Ok(Ok(())),
            Err(error) => match error.as_revert_data() {
                Some(data) => Ok(Err(refusal::name(&data).unwrap_or("UnknownError").to_owned())),
                None => Err(ChainError::call("trying the trigger")(error)),
            },
        }
    }

    async fn load(&self, key: &str, id: &B32) -> anyhow::Result<Submission> {
        if let Some(bytes) = self.submissions.get(key).await? {
            match serde_json::from_slice(&bytes) {
                Ok(machine) => return Ok(machine),
                Err(_) => tracing::warn!(receipt = key, "a stored submission cannot be read; the chain is asked anew"),
            }
        }
        Ok(Submission::new(self.config, *id))
    }

    async fn carry_out(&self, action: Action, receipt: &Receipt, trigger_id: B256) -> Result<Event, ChainError> {
        match action {
            Action::CheckSettled => self.check(receipt, trigger_id).await,
            Action::Send { nonce, fee_bump_percent, .. } => self.send(receipt, nonce, fee_bump_percent).await,
            Action::AskReceipt { tx } => self.ask(tx).await,
            Action::Done { .. } | Action::Fail { .. } => Ok(Event::Tick),
        }
    }

    async fn check(&self, receipt: &Receipt, trigger_id: B256) -> Result<Event, ChainError> {
        let head = self.chain.head().await?;
        let count = |block: BlockId| {
            let provider = &self.chain.provider;
            let account = self.account;
            async move {
                provider
                    .get_transaction_count(account)
                    .block_id(block)
                    .await
                    .map_err(ChainError::rpc("asking for the signer's nonce"))
            }
        };
        Ok(Event::Checked {
            settled: self.landing_of(receipt, trigger_id).await?,
            final_nonce: count(BlockId::number(head.saturating_sub(self.config.confirmations))).await?,
            next_nonce: count(BlockId::Number(BlockNumberOrTag::Pending)).await?,
        })
    }

    /// The transaction that triggered on this very receipt, whoever sent it.
    async fn landing_of(&self, receipt: &Receipt, trigger_id: B256) -> Result<Option<Landing>, ChainError> {
        let filter = Filter::new()
            .address(self.coordinator)
            .event_signature(Coordinator::CareTriggered::SIGNATURE_HASH)
            .topic1(trigger_id)
            .from_block(self.from_block);
        let logs =
            self.chain.provider.get_logs(&filter).await.map_err(ChainError::rpc("looking for the trigger's event"))?;
        for log in logs {
            let (Some(hash), Some(block)) = (log.transaction_hash, log.block_number) else { continue };
            let transaction = self
                .chain
                .provider
                .get_transaction_by_hash(hash)
                .await
                .map_err(ChainError::rpc("reading the trigger's transaction"))?;
            let input = transaction.map(|t| alloy::consensus::Transaction::input(&t).clone()).unwrap_or_default();
            let ours = Coordinator::triggerCall::abi_decode(&input)
                .is_ok_and(|call| call.request.commitment.0 == *receipt.commitment.as_bytes());
            if ours {
                return Ok(Some(Landing { tx: B32::new(hash.0), block }));
            }
        }
        Ok(None)
    }

    async fn send(&self, receipt: &Receipt, nonce: u64, fee_bump_percent: u32) -> Result<Event, ChainError> {
        let coordinator = CareCoordinator::new(self.coordinator, &self.chain.provider);
        let call = coordinator.trigger(request_of(receipt)).from(self.account);
        let gas = match call.estimate_gas().await {
            Ok(gas) => gas,
            Err(error) => {
                let selector = error.as_revert_data().and_then(|data| data.first_chunk::<4>().copied());
                let kind = selector
                    .map_or(SendFailure::Transient, |selector| SendFailure::Reverted { selector: Some(selector) });
                return Ok(Event::SendFailed { kind });
            }
        };
        let fees = self.chain.provider.estimate_eip1559_fees().await.map_err(ChainError::rpc("asking for the fee"))?;
        let bump = |fee: u128| fee.saturating_add(fee.saturating_mul(u128::from(fee_bump_percent)) / 100);
        let request = TransactionRequest::default()
            .with_from(self.account)
            .with_to(self.coordinator)
            .with_input(call.calldata().clone())
            .with_nonce(nonce)
            // The window between estimate and block may move a storage slot from warm to cold: a tenth to spare.
            .with_gas_limit(gas.saturating_add(gas / 10))
            .with_max_fee_per_gas(bump(fees.max_fee_per_gas))
            .with_max_priority_fee_per_gas(bump(fees.max_priority_fee_per_gas));
        match self.chain.provider.send_transaction(request).await {
            Ok(pending) => Ok(Event::Sent { tx: B32::new(pending.tx_hash().0), nonce }),
            Err(error) => Ok(Event::SendFailed { kind: failure_of(&error.to_string()) }),
        }
    }

    async fn ask(&self, tx: B32) -> Result<Event, ChainError> {
        let hash = B256::from(tx.into_bytes());
        let receipt = self
            .chain
            .provider
            .get_transaction_receipt(hash)
            .await
            .map_err(ChainError::rpc("asking for a transaction's receipt"))?;
        Ok(match receipt.and_then(|r| r.block_number.map(|block| (block, r.status()))) {
            Some((block, success)) => Event::Receipt { tx, block, success },
            None => Event::ReceiptMissing { tx },
        })
    }

    async fn triggered(&self, trigger_id: B256, tx: B32, block: u64) -> anyhow::Result<Outcome> {
        let transaction = B256::from(tx.into_bytes());
        let receipt = self.chain.provider.get_transaction_receipt(transaction).await?;
        Ok(Outcome::Triggered { trigger_id, transaction, block, gas_used: receipt.map_or(0, |r| r.gas_used) })
    }

    /// The identifier a trigger on this receipt has; `None` when its policy does not exist.
    async fn trigger_id(&self, receipt: &Receipt) -> Result<Option<B256>, ChainError> {
        let registry = PolicyRegistry::new(self.policies, &self.chain.provider);
        let policy = B256::from(receipt.policy.into_bytes());
        let terms = match registry.policyOf(policy).call().await {
            Ok(terms) => terms,
            Err(error) if error.as_revert_data().is_some() => return Ok(None),
            Err(error) => return Err(ChainError::call("reading the policy")(error)),
        };
        let mandate = B256::from(receipt.mandate.into_bytes());
        Ok(NonZeroU32::new(terms.coolDownSeconds)
            .map(|cool_down| ids::nullifier(mandate, policy, receipt.end, cool_down)))
    }
}

/// What the coordinator is asked on a receipt.
pub fn request_of(receipt: &Receipt) -> TriggerRequest {
    TriggerRequest {
        policyId: B256::from(receipt.policy.into_bytes()),
        mandateId: B256::from(receipt.mandate.into_bytes()),
        windowEnd: receipt.end,
        commitment: B256::from(receipt.commitment.into_bytes()),
        score: I256::try_from(receipt.score).unwrap_or_default(),
        oracle: Address::from(receipt.oracle.into_bytes()),
        oracleSignature: receipt.signature.as_bytes().to_vec().into(),
        proof: receipt.proof.as_slice().to_vec().into(),
    }
}

fn name_of(reason: FailReason) -> String {
    match reason {
        FailReason::Reverted { selector } => {
            selector.and_then(|s| refusal::name(&s)).unwrap_or("UnknownError").to_owned()
        }
        FailReason::Exhausted => "Exhausted".to_owned(),
        FailReason::GaveUp => "GaveUp".to_owned(),
    }
}

/// Nodes tell these three apart by their text alone.
fn failure_of(text: &str) -> SendFailure {
    let text = text.to_lowercase();
    if text.contains("nonce too low") {
        SendFailure::NonceTooLow
    } else if text.contains("underpriced") || text.contains("max fee per gas less than") {
        SendFailure::Underpriced
    } else {
        SendFailure::Transient
    }
}
