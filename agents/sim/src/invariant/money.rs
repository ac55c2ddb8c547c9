//! What leads to money: receipts, transactions, settlements.

use std::collections::{BTreeMap, BTreeSet};

use hygeia_protocol::bytes::B32;
use hygeia_protocol::message::{Receipt, Settlement, SettlementStatus};

use super::Violation;
use crate::chain::{CONFIRMATIONS, Chain, Tx};
use crate::governance::Decision;
use crate::ward;

#[derive(Debug, Default)]
pub(super) struct Money {
    receipts: BTreeMap<B32, Receipt>,
    /// Alerts that have a receipt.
    proved: BTreeSet<B32>,
    /// Alerts whose proof failed: the prover reports an incident and goes on.
    incidents: BTreeSet<B32>,
    settled: BTreeSet<B32>,
    /// Receipts whose submission ended for want of time.
    given_up: BTreeSet<B32>,
}

impl Money {
    pub(super) fn incident(&mut self, alert: B32) {
        self.incidents.insert(alert);
    }

    pub(super) fn is_proved(&self, alert: &B32) -> bool {
        self.proved.contains(alert) || self.incidents.contains(alert)
    }

    pub(super) fn is_settled(&self, receipt: &B32) -> bool {
        self.settled.contains(receipt)
    }

    pub(super) fn settled(&self) -> usize {
        self.settled.len()
    }

    pub(super) fn given_up(&self) -> usize {
        self.given_up.len()
    }

    pub(super) fn receipt(&mut self, receipt: Receipt, is_alert: impl Fn(&B32) -> bool) -> Result<(), Violation> {
        self.proved.insert(receipt.alert_id);
        if !is_alert(&receipt.alert_id) {
            return Err(Violation::Unfounded { missing: "the alert", receipt: receipt.receipt_id });
        }
        self.receipts.insert(receipt.receipt_id, receipt);
        Ok(())
    }

    pub(super) fn sent(&self, tx: &Tx, chain: &Chain) -> Result<(), Violation> {
        let is_other =
            |open: &&Tx| open.call.receipt == tx.call.receipt && (open.account, open.nonce) != (tx.account, tx.nonce);
        match chain.open().find(is_other) {
            None => Ok(()),
            Some(other) => Err(Violation::TwoNonces { receipt: tx.call.receipt, one: other.nonce, other: tx.nonce }),
        }
    }

    pub(super) fn triggered(&self, tx: &Tx, is_alert: impl Fn(&B32) -> bool) -> Result<(), Violation> {
        let missing = |missing| Err(Violation::Unfounded { missing, receipt: tx.call.receipt });
        match self.receipts.get(&tx.call.receipt) {
            None => missing("the proof"),
            Some(receipt) if !is_alert(&receipt.alert_id) => missing("the alert"),
            Some(_) => Ok(()),
        }
    }

    /// A settlement says what stands on chain for good.
    pub(super) fn settlement(&mut self, settlement: &Settlement, chain: &Chain) -> Result<(), Violation> {
        let id = settlement.receipt_id;
        let Some(receipt) = self.receipts.get(&id) else {
            return Err(Violation::Unfounded { missing: "the proof", receipt: id });
        };
        self.settled.insert(id);
        if settlement.reason.as_deref() == Some("GaveUp") {
            self.given_up.insert(id);
            if !chain.is_burned(&nullifier(receipt)) && chain.is_approved(&receipt.model) {
                return Err(Violation::GivenUp { receipt: id });
            }
        }
        let landing = chain.landing(&nullifier(receipt), &id);
        let is_final = landing.is_some_and(|landing| landing.block + CONFIRMATIONS <= chain.head());
        match settlement.status {
            SettlementStatus::Triggered if !is_final => {
                Err(Violation::Settlement { receipt: id, recorded: "triggered" })
            }
            SettlementStatus::Refused if is_final => Err(Violation::Settlement { receipt: id, recorded: "refused" }),
            _ => Ok(()),
        }
    }

    pub(super) fn missing(&self, chain: &Chain) -> Result<(), &'static str> {
        if !self.receipts.keys().all(|receipt| self.settled.contains(receipt)) {
            return Err("a settlement");
        }
        let decisions = chain.registries().decisions;
        let was_suspended = |model: &B32| decisions.iter().any(|decided| decided.what == Decision::Suspend(*model));
        let is_done = |receipt: &Receipt| {
            chain.is_burned(&nullifier(receipt))
                || self.given_up.contains(&receipt.receipt_id)
                || was_suspended(&receipt.model)
        };
        if self.receipts.values().all(is_done) { Ok(()) } else { Err("a trigger") }
    }
}

fn nullifier(receipt: &Receipt) -> B32 {
    ward::nullifier(&receipt.mandate, &receipt.policy, receipt.end)
}
