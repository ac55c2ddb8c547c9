//! What must hold at every moment of a run, told by whoever stores something, and what must hold at its end.
//!
//! It keeps machines of its own, fed from the streams alone and never restarted, and compares what the roles did. It
//! never looks into a role.

mod alerts;
mod governed;
mod money;
mod owners;
mod reference;
mod violation;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hygeia_protocol::bytes::B32;
use hygeia_protocol::message::{
    AttestedWindow, AuditOrder, AuditedBatch, DeadLetter, Message, ProofRequest, Receipt, ScoredWindow,
};
use hygeia_protocol::subject::{Partition, Stream};

use self::alerts::Alerts;
use self::governed::Governed;
use self::money::Money;
use self::owners::Owners;
use self::reference::Reference;
pub use self::violation::Violation;
use crate::broker::{Entry, Subject};
use crate::chain::{Chain, Tx};
use crate::drivers::Manifest;
use crate::governance::{Decision, Seen};
use crate::process::{Process, Role};

/// The checker.
#[derive(Debug)]
pub struct Checker {
    /// Whether positions and acknowledgements are held against what is stored.
    is_order_watched: bool,
    reference: Reference,
    owners: Owners,
    governed: Governed,
    alerts: Alerts,
    money: Money,
    /// Observations stored.
    observations: usize,
    windows: BTreeMap<B32, B32>,
    window_ends: BTreeMap<B32, u64>,
    ordered: BTreeSet<(B32, B32)>,
    batches: BTreeSet<B32>,
    put_aside: BTreeSet<B32>,
    /// What the oracle's positions must not pass: places of observations and the windows that they closed.
    due_windows: BTreeMap<Partition, VecDeque<(u64, B32)>>,
    /// What the sentinel's positions must not pass: places of windows, and the windows.
    due_lines: BTreeMap<Partition, VecDeque<(u64, B32)>>,
    orders: Vec<B32>,
}

impl Checker {
    /// A checker of a run in which this is decided.
    #[must_use]
    pub fn new(is_order_watched: bool, decisions: Vec<(u64, Decision)>) -> Checker {
        Checker {
            is_order_watched,
            reference: Reference::default(),
            owners: Owners::default(),
            governed: Governed::new(decisions),
            alerts: Alerts::default(),
            money: Money::default(),
            observations: 0,
            windows: BTreeMap::new(),
            window_ends: BTreeMap::new(),
            ordered: BTreeSet::new(),
            batches: BTreeSet::new(),
            put_aside: BTreeSet::new(),
            due_windows: BTreeMap::new(),
            due_lines: BTreeMap::new(),
            orders: Vec::new(),
        }
    }

    /// A message was stored, by a process in one of its lives.
    pub fn stored(
        &mut self,
        stream: Stream,
        entry: &Entry,
        by: (Process, u64),
        (chain, now_ms): (&Chain, u64),
    ) -> Result<(), Violation> {
        self.owners.stored(stream, &entry.subject, by)?;
        let Subject::Of(partition) = entry.subject else { return self.stored_unfenced(stream, entry, chain) };
        let bytes = &entry.payload;
        match stream {
            Stream::Observations => {
                self.observations += 1;
                let closed = self.reference.observe(entry);
                let due = self.due_windows.entry(partition).or_default();
                due.extend(closed.into_iter().map(|window| (entry.sequence, window)));
                Ok(())
            }
            Stream::Windows => self.window(partition, entry.sequence, &decoded(bytes), now_ms),
            Stream::Alerts => self.alerts.alert(&mut self.reference, &decoded(bytes)),
            Stream::Ledger => {
                let line: ScoredWindow = decoded(bytes);
                self.governed.scored(&line.window_id, &line.model, now_ms);
                self.alerts.line(&mut self.reference, &line)
            }
            _ => Ok(()),
        }
    }

    fn stored_unfenced(&mut self, stream: Stream, entry: &Entry, chain: &Chain) -> Result<(), Violation> {
        let bytes = &entry.payload;
        match (stream, &entry.subject) {
            (_, Subject::Fence(_)) => Ok(()),
            (Stream::ProofRequests, _) => {
                self.alerts.requested(decoded::<ProofRequest>(bytes).alert_id);
                Ok(())
            }
            (Stream::Receipts, _) => self.money.receipt(decoded(bytes), |alert| self.alerts.has(alert)),
            (Stream::Settlements, _) => self.money.settlement(&decoded(bytes), chain),
            (Stream::AuditOrders, _) => self.order(&decoded(bytes)),
            (Stream::Audits, _) => {
                // The stream's other messages are the windows' receipts.
                self.batches.extend(AuditedBatch::decode(bytes).ok().map(|batch| batch.batch_id));
                Ok(())
            }
            (Stream::DeadLetters, _) => {
                let letter = decoded::<DeadLetter>(bytes);
                if letter.reason.starts_with("audit_") {
                    self.put_aside.insert(letter.digest);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A value was written: a snapshot's manifest says that the effects of all inputs up to its position are stored.
    pub fn written(&mut self, key: &str, bytes: &[u8]) -> Result<(), Violation> {
        if !self.is_order_watched || !key.starts_with("snapshot.") {
            return Ok(());
        }
        let position = || serde_json::from_slice::<Manifest>(bytes).map_or(0, |manifest| manifest.sequence);
        if let Some(partition) = Manifest::partition(key, Role::Oracle) {
            return self.passed_by_oracle(partition, position());
        }
        match Manifest::partition(key, Role::Sentinel) {
            Some(partition) => self.passed_by_sentinel(partition, position()),
            None => Ok(()),
        }
    }

    fn passed_by_oracle(&mut self, partition: Partition, to: u64) -> Result<(), Violation> {
        let due = self.due_windows.entry(partition).or_default();
        while let Some((_, window)) = due.pop_front_if(|(place, _)| *place <= to) {
            if !self.windows.contains_key(&window) {
                return Err(Violation::WindowLost);
            }
        }
        Ok(())
    }

    fn passed_by_sentinel(&mut self, partition: Partition, to: u64) -> Result<(), Violation> {
        let due = self.due_lines.entry(partition).or_default();
        while let Some((_, window)) = due.pop_front_if(|(place, _)| *place <= to) {
            if !self.governed.is_scored(&window) {
                return Err(Violation::PositionFirst { missing: "the ledger's line", window });
            }
        }
        Ok(())
    }

    /// A job was acknowledged.
    pub fn acked(&self, stream: Stream, entry: &Entry) -> Result<(), Violation> {
        if !self.is_order_watched {
            return Ok(());
        }
        let is_done = match stream {
            Stream::ProofRequests => self.money.is_proved(&decoded::<ProofRequest>(&entry.payload).alert_id),
            Stream::AuditOrders => {
                let batch = decoded::<AuditOrder>(&entry.payload).batch_id;
                self.batches.contains(&batch) || self.put_aside.contains(&batch)
            }
            Stream::Receipts => self.money.is_settled(&decoded::<Receipt>(&entry.payload).receipt_id),
            _ => true,
        };
        let ack_first = Violation::AckFirst { stream: stream.name(), sequence: entry.sequence };
        if is_done { Ok(()) } else { Err(ack_first) }
    }

    /// The prover says that an alert gets no proof.
    pub fn incident(&mut self, alert: B32) {
        self.money.incident(alert);
    }

    /// A process was told what stands in the registries.
    pub fn told(&mut self, by: Process, seen: &Seen, now_ms: u64) {
        self.governed.told(by, seen, now_ms);
    }

    /// A process scores a window.
    pub fn scored(&self, by: Process, model: &B32, now_ms: u64) -> Result<(), Violation> {
        if self.governed.may_score(by, model, now_ms) { Ok(()) } else { Err(Violation::NotLive { model: *model }) }
    }

    /// A node took a transaction.
    pub fn sent(&self, tx: &Tx, chain: &Chain) -> Result<(), Violation> {
        self.money.sent(tx, chain)
    }

    /// A trigger had its effect.
    pub fn triggered(&self, tx: &Tx) -> Result<(), Violation> {
        self.money.triggered(tx, |alert| self.alerts.has(alert))
    }

    /// What is still missing before the run is at rest.
    pub fn missing(&self, chain: &Chain, sent: usize) -> Result<(), &'static str> {
        let all = |is_there: bool, missing| if is_there { Ok(()) } else { Err(missing) };
        all(self.observations >= sent, "an observation")?;
        all(self.reference.closed().all(|window| self.windows.contains_key(window)), "a window")?;
        all(self.windows.keys().all(|window| self.governed.is_scored(window)), "a ledger's line")?;
        all(self.governed.is_scored_by_all_live(), "the line of a live model")?;
        all(self.alerts.lines().all(|line| self.ordered.contains(line)), "an audit order")?;
        let audited = |batch| self.batches.contains(batch) || self.put_aside.contains(batch);
        all(self.orders.iter().all(audited), "an audit")?;
        all(self.alerts.ids().all(|alert| self.money.is_proved(alert)), "a proof")?;
        self.money.missing(chain)
    }

    /// Alerts, triggers and orders seen, for the summary.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            windows: self.windows.len(),
            alerts: self.alerts.ids().count(),
            held_back: self.alerts.held_back(),
            by_second_model: self.alerts.by_second_model(),
            settlements: self.money.settled(),
            given_up: self.money.given_up(),
            orders: self.orders.len(),
        }
    }

    fn window(
        &mut self,
        partition: Partition,
        sequence: u64,
        window: &AttestedWindow,
        now_ms: u64,
    ) -> Result<(), Violation> {
        let known = self.windows.insert(window.window_id, window.commitment);
        if known.is_some_and(|commitment| commitment != window.commitment) {
            return Err(Violation::Equivocation { window: window.window_id });
        }
        let newest = self.window_ends.entry(window.mandate).or_insert(0);
        if known.is_some() || window.end <= *newest {
            return Err(Violation::NotOnceInOrder { stream: Stream::Windows.name(), end: window.end });
        }
        *newest = window.end;
        self.reference.attested(window);
        self.governed.attested(window.window_id, now_ms);
        self.due_lines.entry(partition).or_default().push_back((sequence, window.window_id));
        Ok(())
    }

    fn order(&mut self, order: &AuditOrder) -> Result<(), Violation> {
        for window in &order.windows {
            if !self.ordered.insert((window.window_id, order.model)) {
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
    /// Alerts that a limit held back.
    pub held_back: usize,
    /// Lines of the ledger by the second model.
    pub by_second_model: usize,
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
