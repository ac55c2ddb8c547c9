//! Carries out what sets a finding right. Each repair publishes under an identity of its own: the broker remembers the
//! first message's for a while, also after that was deleted. Two reconcilers that repair the same thing at once publish
//! under the same identity, and the broker keeps one.

use alloy::primitives::B256;
use alloy::providers::Provider;
use anyhow::Result;
use hygeia_protocol::bytes::B32;
use hygeia_protocol::journal::{Fact, message_hash};
use hygeia_protocol::message::{Message, Receipt};
use hygeia_protocol::reconcile::{Finding, Repair};
use hygeia_protocol::subject::{self, Stream};

use super::Done;
use super::read::Read;
use crate::bus::Bus;
use crate::chain::transaction::{Outcome, Submissions};
use crate::chain::{Chain, ChainError};
use crate::journal::Journal;
use crate::roles::steward::settlement_of;

/// What repairs need.
pub struct Repairs<'a> {
    /// The broker.
    pub bus: &'a Bus,
    /// The chain.
    pub chain: &'a Chain,
    /// Every repair is noted.
    pub journal: &'a Journal,
    /// What was compared.
    pub read: &'a Read,
}

impl Repairs<'_> {
    /// Sets a finding right, where a machine may.
    pub async fn carry_out(&self, finding: &Finding) -> Result<Done> {
        match (finding.repair(), *finding) {
            (Repair::TellPeople, _) => Ok(Done::LeftToPeople),
            (Repair::NoteInJournal, Finding::JournalGap { receipt, message }) => {
                self.note(receipt, finding, message).await?;
                Ok(Done::Repaired)
            }
            (Repair::PublishSettlement, Finding::SettlementMissing { receipt, trigger, transaction, block }) => {
                self.publish_settlement(finding, receipt, trigger, transaction, block).await
            }
            (
                Repair::SubmitAgain,
                Finding::SettlementUnfounded { receipt, .. } | Finding::ReceiptForgotten { receipt },
            ) => self.submit_again(finding, receipt).await,
            _ => Ok(Done::Left),
        }
    }

    async fn publish_settlement(
        &self,
        finding: &Finding,
        receipt: B32,
        trigger: B32,
        transaction: B32,
        block: u64,
    ) -> Result<Done> {
        let Some(alert) = self.read.alerts.get(&receipt) else { return Ok(Done::LeftToPeople) };
        let transaction = B256::from(transaction.into_bytes());
        let mined = self.chain.provider.get_transaction_receipt(transaction).await;
        let mined = mined.map_err(ChainError::rpc("reading a trigger's receipt"))?;
        let gas_used = mined.map_or(0, |mined| mined.gas_used);
        let trigger_id = B256::from(trigger.into_bytes());
        let outcome = Outcome::Triggered { trigger_id, transaction, block, gas_used };
        let settlement = settlement_of(receipt, *alert, &outcome);
        let bytes = settlement.encode();
        let message = message_hash(&bytes);
        let id = format!("{}-repair-{}", settlement.message_id(), self.settlements_of(receipt));
        self.note(receipt, finding, message).await?;
        self.bus.publish(Stream::Settlements, subject::SETTLEMENT.to_owned(), &id, bytes).await?;
        Ok(Done::Repaired)
    }

    /// The submission begins again with its nonce, and then the stewards get the receipt once more.
    async fn submit_again(&self, finding: &Finding, receipt: B32) -> Result<Done> {
        let Some((entry, copies)) = self.read.copies.get(&receipt) else { return Ok(Done::LeftToPeople) };
        if !Submissions::open(self.bus).await?.reopen(&receipt).await? {
            return Ok(Done::Left);
        }
        let message = Receipt::decode(&entry.payload)?;
        let id = format!("{}-again-{copies}", message.message_id());
        let bytes = entry.payload.to_vec();
        self.note(receipt, finding, message_hash(&entry.payload)).await?;
        self.bus.publish(Stream::Receipts, subject::RECEIPT.to_owned(), &id, bytes).await?;
        Ok(Done::Repaired)
    }

    async fn note(&self, receipt: B32, finding: &Finding, message: B32) -> Result<()> {
        Ok(self.journal.note(Fact::Repaired { receipt, finding: finding.kind().to_owned(), message }).await?)
    }

    /// Settlements that the journal tells of and repairs of it: grows with each repair, and is the same for all who repair
    /// at the same time.
    fn settlements_of(&self, id: B32) -> usize {
        let is_of = |fact: &Fact| match fact {
            Fact::TriggerSettled { receipt, .. }
            | Fact::TriggerRefused { receipt, .. }
            | Fact::TriggerGivenUp { receipt, .. }
            | Fact::Repaired { receipt, .. } => *receipt == id,
            _ => false,
        };
        self.read.books.journal.iter().filter(|(_, fact)| is_of(fact)).count()
    }
}

/// The receipt, trigger or root that a finding is about.
pub fn id_of(finding: &Finding) -> String {
    match finding {
        Finding::SettlementMissing { receipt, .. }
        | Finding::SettlementUnfounded { receipt, .. }
        | Finding::ReceiptForgotten { receipt }
        | Finding::JournalGap { receipt, .. }
        | Finding::ReceiptLost { receipt } => receipt.to_hex(),
        Finding::TriggerUnknown { trigger, .. } => trigger.to_hex(),
        Finding::AuditUnknown { root } | Finding::AuditUnfounded { root } => root.to_hex(),
    }
}
