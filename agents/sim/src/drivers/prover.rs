//! Mirrors `agents/node/src/roles/prover/mod.rs`: `Prover::work` and `handle` (prove, publish the receipt or report an
//! incident, then acknowledge) with `prover/alert.rs`: a proof that fails is made again when the queue gives its request
//! again, which here is after the time that a job may be held without a sign of life. What is refused is an incident at
//! once.

use std::rc::Rc;

use hygeia_protocol::message::{HexBytes, Message, ProofRequest, Receipt, V1};
use hygeia_protocol::subject::{self, Stream};

use super::Shared;
use crate::broker::{Delivery, Subject};
use crate::call::{Request, Unanswered};
use crate::port::Port;
use crate::run::PlantedBug;
use crate::ward::{self, CIRCUIT};

/// Deliveries after which a request whose proof fails is put aside; the product goes by the time.
const TRIES_MAX: u64 = 100;
/// How long a proof takes.
const PROVE_MS: u64 = 900;

pub(super) async fn run(port: Port, shared: Rc<Shared>) -> Result<(), Unanswered> {
    loop {
        for job in port.jobs_at_hand(Stream::ProofRequests).await? {
            let Ok(request) = ProofRequest::decode(&job.entry.payload) else {
                port.ack(Stream::ProofRequests, &job).await?;
                continue;
            };
            let alerts = &shared.alerts;
            alerts.set(alerts.get() + 1);
            let handled = handle(&port, &request, &job).await;
            alerts.set(alerts.get() - 1);
            handled?;
        }
    }
}

async fn handle(port: &Port, request: &ProofRequest, job: &Delivery) -> Result<(), Unanswered> {
    let is_hasty = port.has_bug(PlantedBug::AckBeforePublish);
    let window = &request.window;
    if ward::commitment(&window.features, &window.salt) != window.commitment {
        port.incident(request.alert_id);
        return port.ack(Stream::ProofRequests, job).await;
    }
    let proved = port.while_working(Stream::ProofRequests, job, prove(port, request)).await;
    if is_hasty {
        port.ack(Stream::ProofRequests, job).await?;
    }
    match proved {
        Ok(receipt) => port.publish(Stream::Receipts, Subject::Named(subject::RECEIPT.into()), &receipt).await?,
        Err(Unanswered) if is_hasty || job.deliveries >= TRIES_MAX => port.incident(request.alert_id),
        Err(Unanswered) => return Ok(()),
    }
    if is_hasty { Ok(()) } else { port.ack(Stream::ProofRequests, job).await }
}

async fn prove(port: &Port, request: &ProofRequest) -> Result<Receipt, Unanswered> {
    let window = &request.window;
    port.call(Request::Prove { takes_ms: PROVE_MS }).await?;
    Ok(Receipt {
        v: V1,
        receipt_id: Receipt::id(&request.alert_id, &CIRCUIT),
        alert_id: request.alert_id,
        mandate: window.mandate,
        policy: request.policy,
        model: request.model,
        circuit: CIRCUIT,
        verifying_key: CIRCUIT,
        proof_system: "simulated".to_owned(),
        commitment: window.commitment,
        score: request.score,
        proof: HexBytes::new(vec![1]),
        end: window.end,
        oracle: window.oracle,
        signature: window.signature,
        proved_at_ms: port.now_ms(),
        prove_ms: PROVE_MS,
    })
}
