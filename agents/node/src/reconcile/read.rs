//! Reads the three books: the broker's streams and stored submissions, the chain's events, the journal.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::B256;
use alloy::providers::Provider;
use alloy::rpc::types::{Filter, Log};
use alloy::sol_types::SolEvent;
use anyhow::Result;
use hygeia_policies::audit_ledger::AuditLedger::AuditRecorded;
use hygeia_policies::care_coordinator::CareCoordinator::CareTriggered;
use hygeia_protocol::bytes::B32;
use hygeia_protocol::journal::{JournalEntry, message_hash};
use hygeia_protocol::message::{AuditedBatch, Message, Receipt, Settlement, SettlementStatus};
use hygeia_protocol::reconcile::{Books, ChainTrigger, StoredReceipt, StoredSettlement, TriggerKey};
use hygeia_protocol::subject::Stream;
use hygeia_protocol::submission::Landing;

use crate::bus::{Bus, BusError, Entry};
use crate::chain::transaction::{Submissions, commitment_of};
use crate::chain::{Chain, ChainError, Deployment};
use crate::clock::now_ms;
use crate::journal::read_all;
use crate::roles::steward::QUEUE;

/// Blocks in one question for events: what public nodes answer.
const BLOCKS_AT_A_TIME: u64 = 10_000;

/// How much of the streams is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Everything that the broker keeps.
    All,
    /// So many of the newest messages of each stream.
    Newest(u64),
}

/// What need not be asked again: a transaction's content never changes.
#[derive(Debug, Default)]
pub struct Seen {
    commitments: BTreeMap<B256, Option<B256>>,
}

/// What was read.
pub struct Read {
    /// The books.
    pub books: Books,
    /// The alert of each receipt.
    pub alerts: BTreeMap<B32, B32>,
    /// The first copy of each receipt, and how many there are.
    pub copies: BTreeMap<B32, (Entry, u64)>,
}

/// Reads everything, in the order that [`Books`] asks for.
pub async fn read(bus: &Bus, chain: &Chain, deployment: &Deployment, depth: Depth, seen: &mut Seen) -> Result<Read> {
    let mut books = Books { now_ms: now_ms(), ..Books::default() };
    books.queue = bus.queue_progress(Stream::Receipts, QUEUE).await?;
    let (mut alerts, mut copies) = (BTreeMap::new(), BTreeMap::new());
    let (receipts, all_receipts) = newest(bus, Stream::Receipts, depth).await?;
    for entry in receipts {
        let Ok(receipt) = Receipt::decode(&entry.payload) else { continue };
        books.receipts.push(stored_receipt(&receipt, &entry));
        alerts.insert(receipt.receipt_id, receipt.alert_id);
        copies.entry(receipt.receipt_id).or_insert((entry, 0)).1 += 1;
    }
    books.open = open_submissions(bus, &books).await?;
    let (settlements, all_settlements) = newest(bus, Stream::Settlements, depth).await?;
    books.settlements = settlements.iter().filter_map(stored_settlement).collect();
    for entry in read_all(bus, Stream::Audits, 1).await? {
        books.roots.extend(AuditedBatch::decode(&entry.payload).ok().map(|batch| batch.root));
    }
    books.is_whole = all_receipts && all_settlements;
    books.head = chain.head().await?;
    let from = first_block(&books, deployment);
    books.triggers = triggers(chain, deployment, from, books.head, seen).await?;
    books.recorded_roots = recorded_roots(chain, deployment, from, books.head).await?;
    for entry in read_all(bus, Stream::Journal, 1).await? {
        let entry = JournalEntry::decode(&entry.payload).ok();
        books.journal.extend(entry.map(|entry| (entry.at_ms, entry.fact)));
    }
    Ok(Read { books, alerts, copies })
}

/// The newest messages of a stream, and whether these are all of them.
async fn newest(bus: &Bus, stream: Stream, depth: Depth) -> Result<(Vec<Entry>, bool), BusError> {
    let (_, last) = bus.stream_state(stream).await?;
    let from = match depth {
        Depth::All => 1,
        Depth::Newest(number) => last.saturating_sub(number).saturating_add(1),
    };
    Ok((read_all(bus, stream, from).await?, from <= 1))
}

fn stored_receipt(receipt: &Receipt, entry: &Entry) -> StoredReceipt {
    let Receipt { policy, mandate, commitment, .. } = *receipt;
    StoredReceipt {
        receipt: receipt.receipt_id,
        key: TriggerKey { policy, mandate, commitment },
        place: entry.sequence,
        stored_at_ms: entry.stored_at_ms,
        message: message_hash(&entry.payload),
    }
}

fn stored_settlement(entry: &Entry) -> Option<StoredSettlement> {
    let settlement = Settlement::decode(&entry.payload).ok()?;
    let landing = match settlement.status {
        SettlementStatus::Triggered => Some(Landing { tx: settlement.transaction, block: settlement.block }),
        SettlementStatus::Refused => None,
    };
    let message = message_hash(&entry.payload);
    Some(StoredSettlement { receipt: settlement.receipt_id, landing, stored_at_ms: entry.stored_at_ms, message })
}

/// Only those between what is done and what was given out matter.
async fn open_submissions(bus: &Bus, books: &Books) -> Result<BTreeSet<B32>, BusError> {
    let submissions = Submissions::open(bus).await?;
    let mut open = BTreeSet::new();
    for stored in books.receipts.iter().filter(|stored| stored.place > books.queue.done_to) {
        let submission = submissions.get(&stored.receipt).await?;
        if submission.is_some_and(|submission| submission.machine.end().is_none()) {
            open.insert(stored.receipt);
        }
    }
    Ok(open)
}

/// From the deployment on, or from the oldest settlement where only the newest part is read.
fn first_block(books: &Books, deployment: &Deployment) -> u64 {
    let oldest = books.settlements.iter().filter_map(|settlement| Some(settlement.landing?.block)).min();
    oldest.filter(|_| !books.is_whole).unwrap_or(deployment.block).max(deployment.block)
}

async fn triggers(
    chain: &Chain,
    deployment: &Deployment,
    from: u64,
    head: u64,
    seen: &mut Seen,
) -> Result<Vec<ChainTrigger>, ChainError> {
    let filter = Filter::new().address(deployment.care_coordinator).event_signature(CareTriggered::SIGNATURE_HASH);
    let mut triggers = Vec::new();
    for log in logs(chain, &filter, from, head).await? {
        let (Ok(event), Some(transaction), Some(block)) =
            (CareTriggered::decode_log(&log.inner), log.transaction_hash, log.block_number)
        else {
            continue;
        };
        let commitment = match seen.commitments.get(&transaction) {
            Some(commitment) => *commitment,
            None => commitment_of(&chain.provider, transaction).await?,
        };
        seen.commitments.insert(transaction, commitment);
        let key = commitment.map(|commitment| TriggerKey {
            policy: B32::new(event.policyId.0),
            mandate: B32::new(event.mandateId.0),
            commitment: B32::new(commitment.0),
        });
        let landing = Landing { tx: B32::new(transaction.0), block };
        triggers.push(ChainTrigger { trigger: B32::new(event.triggerId.0), key, landing });
    }
    Ok(triggers)
}

async fn recorded_roots(chain: &Chain, deployment: &Deployment, from: u64, head: u64) -> Result<Vec<B32>, ChainError> {
    let filter = Filter::new().address(deployment.audit_ledger).event_signature(AuditRecorded::SIGNATURE_HASH);
    let logs = logs(chain, &filter, from, head).await?;
    Ok(logs.iter().filter_map(|log| Some(B32::new(AuditRecorded::decode_log(&log.inner).ok()?.root.0))).collect())
}

async fn logs(chain: &Chain, filter: &Filter, from: u64, head: u64) -> Result<Vec<Log>, ChainError> {
    let mut logs = Vec::new();
    let mut first = from;
    while first <= head {
        let last = first.saturating_add(BLOCKS_AT_A_TIME - 1).min(head);
        let part = filter.clone().from_block(first).to_block(last);
        logs.extend(chain.provider.get_logs(&part).await.map_err(ChainError::rpc("reading the contracts' events"))?);
        first = last.saturating_add(1);
    }
    Ok(logs)
}
