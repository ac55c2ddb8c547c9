//! What must hold at every moment of a run, told by whoever stores something, and what must hold at its end.
//!
//! It keeps machines of its own, fed from the streams alone and never restarted, and compares what the roles did. It
//! never looks into a role.

mod reference;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hygeia_protocol::bytes::B32;
use hygeia_protocol::message::{
    Alert, AttestedWindow, AuditOrder, AuditedBatch, DeadLetter, Message, ProofRequest, Receipt, ScoredWindow,
    Settlement, SettlementStatus,
};
use hygeia_protocol::subject::Stream;

use self::reference::Reference;
use crate::broker::{Broker, Entry};
use crate::chain::{CONFIRMATIONS, Chain, Tx};
use crate::ward::{self, TRIAGE};

/// What did not hold. Each says it in the words of the document that asks for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// ADR 1.
    #[error("an observation must never be lost: a checkpoint passed it, and a window that it closed does not stand")]
    WindowLost,
    /// ADR 1.
    #[error(
        "the checkpoint moves after every effect of a message has been stored: {missing} of window {window} is missing"
    )]
    CheckpointFirst {
        /// What is not stored.
        missing: &'static str,
        /// Whose.
        window: B32,
    },
    /// ADR 1.
    #[error("an acknowledgement is given after the effect is stored: {stream} {sequence} was acknowledged before")]
    AckFirst {
        /// Of which stream.
        stream: &'static str,
        /// Which message.
        sequence: u64,
    },
    /// Issue 8.
    #[error("no alert twice to people for one mandate, policy and window: window end {end}")]
    AlertTwice {
        /// The window's end.
        end: u64,
    },
    /// Issue 8.
    #[error("the cool-down holds across restarts: an alert {after_s} s after the one before, and no escalation")]
    CoolDown {
        /// Time between the windows' ends.
        after_s: u64,
    },
    /// The triage machine.
    #[error("a role decides what the machine decides: an alert that triage does not raise, window end {end}")]
    AlertInvented {
        /// The window's end.
        end: u64,
    },
    /// ADR 1.
    #[error("a window made again is the same window, bit for bit: window {window} has two commitments")]
    Equivocation {
        /// The window.
        window: B32,
    },
    /// ADR 16.
    #[error("a scored window stands under exactly one audit root: window {window} stands in two orders")]
    OrderedTwice {
        /// The window.
        window: B32,
    },
    /// Issue 8.
    #[error("every settled trigger has its proof and alert before it: {missing} of receipt {receipt} is missing")]
    Unfounded {
        /// What is not stored.
        missing: &'static str,
        /// The receipt.
        receipt: B32,
    },
    /// The submission machine.
    #[error(
        "every transaction of a trigger has the same nonce: receipt {receipt} can land under nonces {one} and {other}"
    )]
    TwoNonces {
        /// The receipt.
        receipt: B32,
        /// A nonce.
        one: u64,
        /// Another.
        other: u64,
    },
    /// ADR 1.
    #[error("the broker's word is not the truth about a settlement: receipt {receipt} is recorded as {recorded}")]
    Settlement {
        /// The receipt.
        receipt: B32,
        /// What the settlement says.
        recorded: &'static str,
    },
    /// ADR 24.
    #[error("no trigger is given up while the chain would take it: receipt {receipt}")]
    GivenUp {
        /// The receipt.
        receipt: B32,
    },
    /// ADR 1: what `sync_interval: always` is for.
    #[error("acknowledged messages of stream {stream} were lost on power failure")]
    BrokerForgot {
        /// The stream.
        stream: &'static str,
    },
    /// Issue 8: nothing lost.
    #[error("hours after the last fault {missing} is still missing")]
    NotAtRest {
        /// What.
        missing: &'static str,
    },
    /// A loop without an await, or a run that does not move on.
    #[error("the run does not come to an end")]
    Endless,
}

/// The checker.
#[derive(Debug, Default)]
pub struct Checker {
    reference: Reference,
    windows: BTreeMap<B32, B32>,
    alerts: BTreeMap<(B32, u64), B32>,
    alert_ids: BTreeSet<B32>,
    /// Ends of each mandate's alerts that are no escalations, and of all.
    ends: BTreeMap<B32, BTreeMap<u64, bool>>,
    requests: BTreeSet<B32>,
    lines: BTreeSet<B32>,
    receipts: BTreeMap<B32, Receipt>,
    receipt_of: BTreeSet<B32>,
    settled: BTreeSet<B32>,
    /// Receipts whose submission ended for want of time.
    given_up: BTreeSet<B32>,
    ordered: BTreeSet<B32>,
    batches: BTreeSet<B32>,
    put_aside: BTreeSet<B32>,
    /// Alerts whose proof failed: the prover reports an incident and goes on.
    incidents: BTreeSet<B32>,
    /// What the oracle's checkpoint must not pass: places of observations and the windows that they closed.
    due_windows: VecDeque<(u64, B32)>,
    /// What the sentinel's checkpoint must not pass: places of windows, the windows, the alerts that they raise.
    due_lines: VecDeque<(u64, B32, Option<B32>)>,
    orders: Vec<B32>,
}

impl Checker {
    /// A message was stored.
    pub fn stored(&mut self, stream: Stream, entry: &Entry, chain: &Chain) -> Result<(), Violation> {
        let bytes = &entry.payload;
        match stream {
            Stream::Observations => {
                let closed = self.reference.observe(entry);
                self.due_windows.extend(closed.into_iter().map(|window| (entry.sequence, window)));
                Ok(())
            }
            Stream::Windows => self.window(entry.sequence, &decoded(bytes)),
            Stream::Alerts => self.alert(&decoded(bytes)),
            Stream::ProofRequests => {
                self.requests.insert(decoded::<ProofRequest>(bytes).alert_id);
                Ok(())
            }
            Stream::Ledger => {
                self.lines.insert(decoded::<ScoredWindow>(bytes).window_id);
                Ok(())
            }
            Stream::Receipts => self.receipt(decoded(bytes)),
            Stream::Settlements => self.settlement(&decoded(bytes), chain),
            Stream::AuditOrders => self.order(&decoded(bytes)),
            Stream::Audits => {
                // The stream's other messages are the windows' receipts.
                self.batches.extend(AuditedBatch::decode(bytes).ok().map(|batch| batch.batch_id));
                Ok(())
            }
            Stream::DeadLetters => {
                let letter = decoded::<DeadLetter>(bytes);
                if letter.reason.starts_with("audit_") {
                    self.put_aside.insert(letter.digest);
                }
                Ok(())
            }
            // Nothing that follows depends on a comparison, or on the journal.
            Stream::Shadow | Stream::Journal => Ok(()),
        }
    }

    /// The oracle's checkpoint was stored.
    pub fn oracle_checkpoint(&mut self, to: u64) -> Result<(), Violation> {
        while let Some((_, window)) = self.due_windows.pop_front_if(|(place, _)| *place <= to) {
            if !self.windows.contains_key(&window) {
                return Err(Violation::WindowLost);
            }
        }
        Ok(())
    }

    /// The sentinel's checkpoint was stored.
    pub fn sentinel_checkpoint(&mut self, to: u64) -> Result<(), Violation> {
        while let Some((_, window, alert)) = self.due_lines.pop_front_if(|(place, ..)| *place <= to) {
            let missing = |missing| Err(Violation::CheckpointFirst { missing, window });
            if alert.is_some_and(|alert| !self.alert_ids.contains(&alert)) {
                return missing("the alert");
            }
            if alert.is_some_and(|alert| !self.requests.contains(&alert)) {
                return missing("the proof request");
            }
            if !self.lines.contains(&window) {
                return missing("the ledger's line");
            }
        }
        Ok(())
    }

    /// A job was acknowledged.
    pub fn acked(&self, stream: Stream, entry: &Entry) -> Result<(), Violation> {
        let is_done = match stream {
            Stream::ProofRequests => {
                let alert = decoded::<ProofRequest>(&entry.payload).alert_id;
                self.receipt_of.contains(&alert) || self.incidents.contains(&alert)
            }
            Stream::AuditOrders => {
                let batch = decoded::<AuditOrder>(&entry.payload).batch_id;
                self.batches.contains(&batch) || self.put_aside.contains(&batch)
            }
            Stream::Receipts => self.settled.contains(&decoded::<Receipt>(&entry.payload).receipt_id),
            _ => true,
        };
        let ack_first = Violation::AckFirst { stream: stream.name(), sequence: entry.sequence };
        if is_done { Ok(()) } else { Err(ack_first) }
    }

    /// The prover says that an alert gets no proof.
    pub fn incident(&mut self, alert: B32) {
        self.incidents.insert(alert);
    }

    /// A node took a transaction.
    pub fn sent(&self, tx: &Tx, chain: &Chain) -> Result<(), Violation> {
        let other = chain.open().find(|open| open.receipt == tx.receipt && open.nonce != tx.nonce);
        match other {
            None => Ok(()),
            Some(other) => Err(Violation::TwoNonces { receipt: tx.receipt, one: other.nonce, other: tx.nonce }),
        }
    }

    /// A trigger had its effect.
    pub fn triggered(&self, tx: &Tx) -> Result<(), Violation> {
        let missing = |missing| Err(Violation::Unfounded { missing, receipt: tx.receipt });
        match self.receipts.get(&tx.receipt) {
            None => missing("the proof"),
            Some(receipt) if !self.alert_ids.contains(&receipt.alert_id) => missing("the alert"),
            Some(_) => Ok(()),
        }
    }

    /// What is still missing before the run is at rest.
    pub fn missing(&self, broker: &Broker, chain: &Chain, sent: usize) -> Result<(), &'static str> {
        let all = |is_there: bool, missing| if is_there { Ok(()) } else { Err(missing) };
        all(broker.entries(Stream::Observations).len() >= sent, "an observation")?;
        all(self.reference.closed().all(|window| self.windows.contains_key(window)), "a window")?;
        all(self.reference.raised().all(|alert| self.alert_ids.contains(alert)), "an alert")?;
        all(self.windows.keys().all(|window| self.lines.contains(window)), "a ledger's line")?;
        all(self.windows.keys().all(|window| self.ordered.contains(window)), "an audit order")?;
        let audited = |batch| self.batches.contains(batch) || self.put_aside.contains(batch);
        all(self.orders.iter().all(audited), "an audit")?;
        let proved = |alert| self.receipt_of.contains(alert) || self.incidents.contains(alert);
        all(self.alert_ids.iter().all(proved), "a proof")?;
        all(self.receipts.keys().all(|receipt| self.settled.contains(receipt)), "a settlement")?;
        let burned = |receipt: &Receipt| {
            let is_burned = chain.refuses(&ward::nullifier(&receipt.mandate, receipt.end));
            is_burned || self.given_up.contains(&receipt.receipt_id)
        };
        all(self.receipts.values().all(burned), "a trigger")
    }

    /// Alerts, triggers and orders seen, for the summary.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            windows: self.windows.len(),
            alerts: self.alert_ids.len(),
            settlements: self.settled.len(),
            given_up: self.given_up.len(),
            orders: self.orders.len(),
        }
    }

    fn window(&mut self, sequence: u64, window: &AttestedWindow) -> Result<(), Violation> {
        let known = self.windows.insert(window.window_id, window.commitment);
        if known.is_some_and(|commitment| commitment != window.commitment) {
            return Err(Violation::Equivocation { window: window.window_id });
        }
        if let Some(raised) = self.reference.score(window) {
            self.due_lines.push_back((sequence, window.window_id, raised));
        }
        Ok(())
    }

    fn alert(&mut self, alert: &Alert) -> Result<(), Violation> {
        let end = alert.end;
        let known = *self.alerts.entry((alert.mandate, end)).or_insert(alert.alert_id);
        if known != alert.alert_id {
            return Err(Violation::AlertTwice { end });
        }
        if !self.alert_ids.insert(alert.alert_id) {
            // Beyond the broker's memory of ids; the people's page keeps the first.
            return Ok(());
        }
        let ends = self.ends.entry(alert.mandate).or_default();
        let before = ends.range(..end).next_back().map(|(before, _)| end - before);
        if let Some(after_s) = before.filter(|&after_s| !alert.escalation && after_s < u64::from(TRIAGE.cool_down_s)) {
            return Err(Violation::CoolDown { after_s });
        }
        ends.insert(end, alert.escalation);
        if self.reference.has_raised(&alert.alert_id) { Ok(()) } else { Err(Violation::AlertInvented { end }) }
    }

    fn receipt(&mut self, receipt: Receipt) -> Result<(), Violation> {
        self.receipt_of.insert(receipt.alert_id);
        if !self.alert_ids.contains(&receipt.alert_id) {
            return Err(Violation::Unfounded { missing: "the alert", receipt: receipt.receipt_id });
        }
        self.receipts.insert(receipt.receipt_id, receipt);
        Ok(())
    }

    /// A settlement says what stands on chain for good.
    fn settlement(&mut self, settlement: &Settlement, chain: &Chain) -> Result<(), Violation> {
        let id = settlement.receipt_id;
        let Some(receipt) = self.receipts.get(&id) else {
            return Err(Violation::Unfounded { missing: "the proof", receipt: id });
        };
        self.settled.insert(id);
        let nullifier = ward::nullifier(&receipt.mandate, receipt.end);
        if settlement.reason.as_deref() == Some("GaveUp") {
            self.given_up.insert(id);
            if !chain.refuses(&nullifier) {
                return Err(Violation::GivenUp { receipt: id });
            }
        }
        let landing = chain.landing(&nullifier, &id);
        let is_final = landing.is_some_and(|landing| landing.block + CONFIRMATIONS <= chain.head());
        match settlement.status {
            SettlementStatus::Triggered if !is_final => {
                Err(Violation::Settlement { receipt: id, recorded: "triggered" })
            }
            SettlementStatus::Refused if is_final => Err(Violation::Settlement { receipt: id, recorded: "refused" }),
            _ => Ok(()),
        }
    }

    fn order(&mut self, order: &AuditOrder) -> Result<(), Violation> {
        for window in &order.windows {
            if !self.ordered.insert(window.window_id) {
                return Err(Violation::OrderedTwice { window: window.window_id });
            }
        }
        self.orders.push(order.batch_id);
        Ok(())
    }
}

/// What a run brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counts {
    /// Attested windows.
    pub windows: usize,
    /// Alerts to people.
    pub alerts: usize,
    /// Receipts that were settled one way or the other.
    pub settlements: usize,
    /// Of those, the ones that nothing but a want of time ended.
    pub given_up: usize,
    /// Audit orders.
    pub orders: usize,
}

fn decoded<T: Message>(bytes: &[u8]) -> T {
    T::decode(bytes).expect("the simulated roles store messages of the right type")
}
