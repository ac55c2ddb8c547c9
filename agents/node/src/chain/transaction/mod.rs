//! Sends one trigger and follows it to finality: the driver of `hygeia_protocol::submission`.
//!
//! The machine decides; this module asks the chain, signs and sends. The machine is stored before each of its actions is
//! carried out, so that a steward that was killed goes on with the nonce and the payer it had; and a transaction stands
//! in the journal before it leaves.

mod look;
mod payer;
mod store;

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use alloy::network::TransactionBuilder;
use alloy::primitives::{Address, B256, I256};
use alloy::providers::Provider;
use alloy::rpc::types::TransactionRequest;
use hygeia_policies::{CareCoordinator, PolicyRegistry, TriggerRequest, ids, refusal};
use hygeia_protocol::bytes::{self, B32};
use hygeia_protocol::journal::Fact;
use hygeia_protocol::message::Receipt;
use hygeia_protocol::submission::{Action, Event, FailReason, SendFailure, Submission, SubmissionConfig};
use hygeia_protocol::time::Timestamp;
use thiserror::Error;

use super::{Chain, ChainError, Deployment};
use crate::bus::{Bus, BusError};
use crate::clock::now_ms;
use crate::journal::{Journal, JournalError};
use crate::telemetry::{Gauge, Metrics};

pub use look::commitment_of;
pub use payer::{Held, Payer, Payers};
pub use store::{Stored, Submissions};

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
        /// Name of the contract's error.
        reason: String,
    },
    /// The time allowed was over, and the chain, asked last, did not have it.
    GivenUp,
}

/// Why a receipt came to no outcome. It is to be tried again.
#[derive(Debug, Error)]
pub enum SettleError {
    /// The chain gave no answer, or one that cannot be true.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The broker gave no answer.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The journal could not be written, and nothing is sent without it.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Another steward works on the receipt.
    #[error("another steward works on the receipt")]
    Taken,
    /// The receipt's transactions are another payer's.
    #[error("the receipt stays with another payer")]
    OtherPayer,
}

/// Brings receipts to the coordinator.
pub struct Triggers {
    chain: Chain,
    coordinator: Address,
    policies: Address,
    from_block: u64,
    config: SubmissionConfig,
    submissions: Submissions,
    journal: Arc<Journal>,
    /// Transactions that wait for their payer's limit.
    held_back: AtomicU64,
    metrics: Metrics,
}

impl Triggers {
    /// A sender to the deployment's coordinator. The connection needs no signer.
    pub async fn open(
        chain: Chain,
        deployment: &Deployment,
        confirmations: u64,
        bus: &Bus,
        journal: Arc<Journal>,
        metrics: Metrics,
    ) -> Result<Self, BusError> {
        Ok(Self {
            chain,
            coordinator: deployment.care_coordinator,
            policies: deployment.policy_registry,
            from_block: deployment.block,
            config: SubmissionConfig { confirmations, ..SubmissionConfig::default() },
            submissions: Submissions::open(bus).await?,
            journal,
            held_back: AtomicU64::new(0),
            metrics,
        })
    }

    /// The account that a receipt stays with; nothing where none was chosen yet.
    pub async fn payer_of(&self, receipt: &B32) -> Result<Option<Address>, BusError> {
        Ok(self.submissions.get(receipt).await?.map(|stored| Address::from(stored.payer.into_bytes())))
    }

    /// Follows a receipt until the chain has taken it for good or refuses it.
    pub async fn settle(&self, receipt: &Receipt, payer: &Payer) -> Result<Outcome, SettleError> {
        let trigger_id = match self.trigger_id(receipt).await? {
            Some(id) => id,
            None => return Ok(Outcome::Refused { reason: "PolicyNotActive".to_owned() }),
        };
        let way = Way { of: self, receipt, payer, trigger_id };
        let account = bytes::Address::new(payer.address().into_array());
        let fresh = Submission::new(self.config, receipt.receipt_id);
        let mut stored = self.submissions.get_or(&receipt.receipt_id, account, fresh).await?;
        if stored.payer != account {
            return Err(SettleError::OtherPayer);
        }
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
            // What was sent is followed by its hash, so that hash is kept too.
            let is_sent = matches!(event, Event::Sent { .. });
            let actions = stored.machine.step(event, Timestamp::from_millis(now_ms()));
            if is_sent || !actions.is_empty() {
                self.submissions.put(&mut stored).await?;
            }
            for action in actions {
                match action {
                    Action::Done { tx, block } => return self.triggered(trigger_id, tx, block).await,
                    Action::Fail { reason } => return Ok(outcome_of(reason)),
                    action => events.push_back(way.carry_out(action).await?),
                }
            }
        }
    }

    /// Asks the coordinator without sending anything: `Err` holds the name of its error.
    pub async fn dry_run(&self, receipt: &Receipt, from: Address) -> Result<Result<(), String>, ChainError> {
        let coordinator = CareCoordinator::new(self.coordinator, &self.chain.provider);
        match coordinator.trigger(request_of(receipt)).from(from).call().await {
            Ok(_) => Ok(Ok(())),
            Err(error) => match error.as_revert_data() {
                Some(data) => Ok(Err(refusal::name(&data).unwrap_or("UnknownError").to_owned())),
                None => Err(ChainError::call("trying the trigger")(error)),
            },
        }
    }

    fn holds_back(&self, waits: bool) {
        let held_back = match waits {
            true => self.held_back.fetch_add(1, Ordering::Relaxed).saturating_add(1),
            false => self.held_back.fetch_sub(1, Ordering::Relaxed).saturating_sub(1),
        };
        self.metrics.set(Gauge::TransactionsHeldBack, held_back);
    }

    async fn triggered(&self, trigger_id: B256, tx: B32, block: u64) -> Result<Outcome, SettleError> {
        let transaction = B256::from(tx.into_bytes());
        let call = self.chain.provider.get_transaction_receipt(transaction).await;
        let receipt = call.map_err(ChainError::rpc("reading the trigger's receipt"))?;
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

/// One receipt on its way with its payer.
struct Way<'a> {
    of: &'a Triggers,
    receipt: &'a Receipt,
    payer: &'a Payer,
    trigger_id: B256,
}

impl Way<'_> {
    async fn carry_out(&self, action: Action) -> Result<Event, SettleError> {
        match action {
            Action::CheckSettled => Ok(self.of.check(self.receipt, self.trigger_id, self.payer.address()).await?),
            Action::Send { nonce, fee_bump_percent, .. } => self.send(nonce, fee_bump_percent).await,
            Action::AskReceipt { tx } => Ok(self.of.ask(tx, self.trigger_id).await?),
            Action::Done { .. } | Action::Fail { .. } => Ok(Event::Tick),
        }
    }

    async fn send(&self, nonce: u64, fee_bump_percent: u32) -> Result<Event, SettleError> {
        self.payer.within_limit(|waits| self.of.holds_back(waits)).await;
        let request = match self.request(nonce, fee_bump_percent).await? {
            Ok(request) => request,
            Err(kind) => return Ok(Event::SendFailed { kind }),
        };
        let signed = self.payer.sign(request).await?;
        let tx = B32::new(signed.tx_hash().0);
        self.of
            .journal
            .note(Fact::TriggerSubmitted {
                receipt: self.receipt.receipt_id,
                signer: bytes::Address::new(self.payer.address().into_array()),
                nonce,
                transaction: tx,
            })
            .await?;
        // The hash is ours: a node cannot name another.
        match self.of.chain.provider.send_tx_envelope(signed).await {
            Ok(_) => Ok(Event::Sent { tx, nonce }),
            Err(error) => Ok(match answer_of(&error.to_string()) {
                Answer::KnownAlready => Event::Sent { tx, nonce },
                Answer::Failed(kind) => Event::SendFailed { kind },
            }),
        }
    }

    /// The transaction to be signed, or why the contract or the node would not take it.
    async fn request(
        &self,
        nonce: u64,
        fee_bump_percent: u32,
    ) -> Result<Result<TransactionRequest, SendFailure>, ChainError> {
        let provider = &self.of.chain.provider;
        let coordinator = CareCoordinator::new(self.of.coordinator, provider);
        let call = coordinator.trigger(request_of(self.receipt)).from(self.payer.address());
        let gas = match call.estimate_gas().await {
            Ok(gas) => gas,
            Err(error) => {
                let selector = error.as_revert_data().and_then(|data| data.first_chunk::<4>().copied());
                let reverted = |selector| SendFailure::Reverted { selector: Some(selector) };
                return Ok(Err(selector.map_or(SendFailure::Transient, reverted)));
            }
        };
        let fees = provider.estimate_eip1559_fees().await.map_err(ChainError::rpc("asking for the fee"))?;
        let bump = |fee: u128| fee.saturating_add(fee.saturating_mul(u128::from(fee_bump_percent)) / 100);
        Ok(Ok(TransactionRequest::default()
            .with_from(self.payer.address())
            .with_to(self.of.coordinator)
            .with_chain_id(self.of.chain.chain_id)
            .with_input(call.calldata().clone())
            .with_nonce(nonce)
            // The window between estimate and block may move a storage slot from warm to cold: a tenth to spare.
            .with_gas_limit(gas.saturating_add(gas / 10))
            .with_max_fee_per_gas(bump(fees.max_fee_per_gas))
            .with_max_priority_fee_per_gas(bump(fees.max_priority_fee_per_gas))))
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

fn outcome_of(reason: FailReason) -> Outcome {
    match reason {
        FailReason::Reverted { selector } => {
            Outcome::Refused { reason: selector.and_then(|s| refusal::name(&s)).unwrap_or("UnknownError").to_owned() }
        }
        FailReason::GaveUp => Outcome::GivenUp,
    }
}

/// What a node says that did not take a transaction.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// It has this very transaction.
    KnownAlready,
    Failed(SendFailure),
}

/// Nodes tell these apart by their text alone.
fn answer_of(text: &str) -> Answer {
    let text = text.to_lowercase();
    if text.contains("already known") || text.contains("already imported") {
        Answer::KnownAlready
    } else if text.contains("nonce too low") {
        Answer::Failed(SendFailure::NonceTooLow)
    } else if text.contains("underpriced") || text.contains("max fee per gas less than") {
        Answer::Failed(SendFailure::Underpriced)
    } else {
        Answer::Failed(SendFailure::Transient)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nodes_words_are_told_apart() {
        for (text, expected) in [
            ("already known", Answer::KnownAlready),
            ("transaction already imported", Answer::KnownAlready),
            ("nonce too low: next nonce 8, tx nonce 7", Answer::Failed(SendFailure::NonceTooLow)),
            ("replacement transaction underpriced", Answer::Failed(SendFailure::Underpriced)),
            ("max fee per gas less than block base fee", Answer::Failed(SendFailure::Underpriced)),
            ("insufficient funds for gas * price + value", Answer::Failed(SendFailure::Transient)),
            ("", Answer::Failed(SendFailure::Transient)),
        ] {
            assert_eq!(answer_of(text), expected, "{text}");
        }
    }
}
