//! Mirrors `agents/node/src/roles/prover/audit/work.rs` (`Worker::take`, `work`, `collect`, `put_aside`), `job.rs`
//! (tries) and `publish.rs` (each window's receipt, then the batch).
//!
//! Left out: memory, keys of other sizes. Receipts are stored one after another, where the product has 64 on their way.

use std::rc::Rc;

use hygeia_protocol::audit::{AfterFailure, after_failure};
use hygeia_protocol::bytes::B32;
use hygeia_protocol::message::{
    AttestedWindow, AuditOrder, AuditedBatch, DeadLetter, HexBytes, Inclusion, Message, V1, WindowReceipt,
    WindowToAudit,
};
use hygeia_protocol::subject::{self, Partition, Stream};

use super::Shared;
use crate::broker::{Delivery, Subject};
use crate::call::{Request, Unanswered};
use crate::port::Port;
use crate::ward::{self, CIRCUIT, MODELS};

/// How long an audit's proof takes.
const PROVE_MS: u64 = 25_000;
/// Pause between two looks whether an alert is being proved.
const ALERTS_PAUSE_MS: u64 = 500;

struct Kept {
    partition: Partition,
    window: AttestedWindow,
    score: i64,
}

pub(super) async fn run(port: Port, shared: Rc<Shared>) -> Result<(), Unanswered> {
    loop {
        for job in port.jobs(Stream::AuditOrders, 1).await? {
            if let Ok(order) = AuditOrder::decode(&job.entry.payload) {
                port.while_working(Stream::AuditOrders, &job, work(&port, &order, &job, &shared)).await?;
            }
            port.ack(Stream::AuditOrders, &job).await?;
        }
    }
}

async fn work(port: &Port, order: &AuditOrder, job: &Delivery, shared: &Shared) -> Result<(), Unanswered> {
    if port.last_of(Stream::Audits, batch_of(order)).await?.is_some() {
        return Ok(());
    }
    if !order.is_consistent() || !MODELS.contains(&order.model) {
        return dead_letter(port, "audit_inconsistent", order.batch_id, job.entry.sequence).await;
    }
    let mut kept = Vec::with_capacity(order.windows.len());
    for wanted in &order.windows {
        match find(port, &order.model, wanted).await? {
            Some(found) => kept.push(found),
            None => dead_letter(port, "audit_window_gone", wanted.window_id, wanted.sequence).await?,
        }
    }
    while shared.alerts.get() > 0 {
        port.sleep(ALERTS_PAUSE_MS).await;
    }
    let mut tries = 0;
    while port.call(Request::Prove { takes_ms: PROVE_MS }).await.is_err() {
        tries += 1;
        if after_failure(tries, job.deliveries) == AfterFailure::PutAside {
            return dead_letter(port, "audit_panicked", order.batch_id, job.entry.sequence).await;
        }
    }
    publish(port, order, &kept).await
}

async fn find(port: &Port, model: &B32, wanted: &WindowToAudit) -> Result<Option<Kept>, Unanswered> {
    let Some(entry) = port.at(Stream::Windows, wanted.sequence).await? else { return Ok(None) };
    let (Ok(window), Subject::Of(partition)) = (AttestedWindow::decode(&entry.payload), entry.subject) else {
        return Ok(None);
    };
    let is_wanted = window.window_id == wanted.window_id
        && ward::commitment(&window.features, &window.salt) == window.commitment
        && ward::score(model, &window.features) == wanted.score;
    Ok(is_wanted.then_some(Kept { partition, window, score: wanted.score }))
}

async fn publish(port: &Port, order: &AuditOrder, kept: &[Kept]) -> Result<(), Unanswered> {
    let count = u32::try_from(kept.len()).expect("an order is bounded");
    for (kept, index) in kept.iter().zip(0..) {
        let inclusion = Inclusion {
            version: 1,
            index,
            leaves: count,
            count,
            root: order.batch_id,
            commitment: kept.window.commitment,
            score: kept.score,
            path: Vec::new(),
        };
        let receipt = WindowReceipt { v: V1, window_id: kept.window.window_id, batch_id: order.batch_id, inclusion };
        let subject = Subject::Named(subject::window_receipt(kept.partition).into());
        port.publish(Stream::Audits, subject, &receipt).await?;
    }
    let batch = AuditedBatch {
        v: V1,
        batch_id: order.batch_id,
        model: order.model,
        circuit: CIRCUIT,
        verifying_key: CIRCUIT,
        proof_system: "simulated".to_owned(),
        root: order.batch_id,
        count,
        leaves: count,
        proof: HexBytes::new(vec![1]),
        proved_at_ms: port.now_ms(),
        prove_ms: PROVE_MS,
        cpu_ms: PROVE_MS,
    };
    port.publish(Stream::Audits, batch_of(order), &batch).await
}

fn batch_of(order: &AuditOrder) -> Subject {
    Subject::Named(subject::audited_batch(&order.batch_id).into())
}

async fn dead_letter(port: &Port, reason: &'static str, digest: B32, sequence: u64) -> Result<(), Unanswered> {
    let letter = DeadLetter {
        v: V1,
        reason: reason.to_owned(),
        digest,
        stream_sequence: sequence,
        received_at_ms: port.now_ms(),
    };
    port.publish(Stream::DeadLetters, Subject::Named(subject::dead_letter(reason).into()), &letter).await
}
