//! What comes of an audit proof: each window's receipt, then the batch. The batch is stored last: where it stands,
//! everything stands.

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use hygeia_protocol::bytes::B32;
use hygeia_protocol::message::{AuditOrder, AuditedBatch, DeadLetter, HexBytes, Inclusion, Message, V1, WindowReceipt};
use hygeia_protocol::subject::{self, Partition, Stream};
use hygeia_zkml::PROOF_SYSTEM_ID;
use hygeia_zkml::audit::{AuditProof, AuditReceipt, AuditVerifyingKey};

use crate::bus::{Bus, BusError};
use crate::clock::now_ms;

/// Receipts on their way to the broker at a time.
const RECEIPTS_AT_A_TIME: usize = 64;

/// A window under a proof, in the order of the leaves.
#[derive(Debug, Clone, Copy)]
pub struct Leaf {
    /// The window.
    pub window_id: B32,
    /// The partition that it travels in.
    pub partition: Partition,
}

/// What a proof took.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Time on the wall.
    pub wall_ms: u64,
    /// Processor time of the process meanwhile.
    pub cpu_ms: u64,
}

/// Stores the receipts of all leaves and then the batch.
pub async fn publish(
    bus: &Bus,
    order: &AuditOrder,
    leaves: &[Leaf],
    proof: &AuditProof,
    key: &AuditVerifyingKey,
    cost: Cost,
) -> Result<()> {
    let receipts: Vec<(Partition, WindowReceipt)> = leaves
        .iter()
        .enumerate()
        .map(|(index, leaf)| Ok((leaf.partition, receipt(order, leaf, proof, index)?)))
        .collect::<Result<_>>()?;
    stream::iter(receipts)
        .map(|(partition, receipt)| async move {
            let subject = subject::window_receipt(partition);
            bus.publish(Stream::Audits, subject, &receipt.message_id(), receipt.encode()).await
        })
        .buffer_unordered(RECEIPTS_AT_A_TIME)
        .try_for_each(|_| std::future::ready(Ok(())))
        .await?;
    let batch = batch(order, proof, key, cost)?;
    let subject = subject::audited_batch(&order.batch_id);
    bus.publish(Stream::Audits, subject, &batch.message_id(), batch.encode()).await?;
    Ok(())
}

/// Sets a window or a batch aside: `reason` is one of our own labels.
pub async fn dead_letter(bus: &Bus, reason: &'static str, digest: B32, sequence: u64) -> Result<(), BusError> {
    let letter =
        DeadLetter { v: V1, reason: reason.to_owned(), digest, stream_sequence: sequence, received_at_ms: now_ms() };
    let subject = subject::dead_letter(reason);
    bus.publish(Stream::DeadLetters, subject, &letter.message_id(), letter.encode()).await?;
    Ok(())
}

fn receipt(order: &AuditOrder, leaf: &Leaf, proof: &AuditProof, index: usize) -> Result<WindowReceipt> {
    let receipt = AuditReceipt::of(proof, index).context("a proof has a leaf for each of its windows")?;
    let inclusion: Inclusion = serde_json::from_value(serde_json::to_value(receipt)?)?;
    Ok(WindowReceipt { v: V1, window_id: leaf.window_id, batch_id: order.batch_id, inclusion })
}

fn batch(order: &AuditOrder, proof: &AuditProof, key: &AuditVerifyingKey, cost: Cost) -> Result<AuditedBatch> {
    Ok(AuditedBatch {
        v: V1,
        batch_id: order.batch_id,
        model: order.model,
        circuit: B32::new(key.circuit_hash()),
        verifying_key: B32::new(key.hash()),
        proof_system: PROOF_SYSTEM_ID.to_owned(),
        root: B32::new(proof.public.root()),
        count: proof.public.count(),
        leaves: u32::try_from(key.leaves()).context("a tree has fewer than 2^32 leaves")?,
        proof: HexBytes::new(proof.bytes.clone()),
        proved_at_ms: now_ms(),
        prove_ms: cost.wall_ms,
        cpu_ms: cost.cpu_ms,
    })
}
