//! The demo's audit: every inference of the run is proved in audit mode, each batch's proof is verified by a contract, and
//! each window is found under exactly one root.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use alloy::network::TransactionBuilder;
use alloy::primitives::{Address, B256, Bytes};
use alloy::providers::Provider;
use alloy::rpc::types::TransactionRequest;
use alloy::sol_types::SolCall;
use anyhow::{Context, Result, bail};
use hygeia_policies::AuditLedger;
use hygeia_policies::audit_ledger::AuditLedger::recordAuditCall;
use hygeia_protocol::bytes::{B32, HexBytes};
use hygeia_protocol::journal::{Fact, message_hash};
use hygeia_protocol::message::{AuditedBatch, Inclusion, Message, ScoredWindow, WindowReceipt};
use hygeia_protocol::subject::Stream;
use hygeia_zkml::audit::{AuditPublic, AuditReceipt};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::network::Network;
use super::observer::Observer;
use crate::bus::{Bus, Entry, OrderedReader};
use crate::chain::governance;
use crate::journal::{self, Journal};
use crate::roles::prover::audit::collect;
use crate::telemetry::Metrics;

/// Without another window proved for this long, the audit counts as stuck.
const PATIENCE: Duration = Duration::from_secs(180);
/// Time between two lines that say how far it is.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// Receipts of windows left as files.
const RECEIPTS_SAVED: usize = 8;

/// What came of the audit.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Audited {
    /// Windows under exactly one root, with the commitment and the score of the ledger.
    pub windows: u64,
    /// Proofs, each of a batch.
    pub batches: u64,
    /// Audits that the ledger recorded in a transaction and has, while it refused each tampered twin.
    pub verified_on_chain: u64,
    /// Median gas of such a transaction.
    pub gas: Option<u64>,
    /// Wall time of all proofs over all windows, in microseconds.
    pub wall_us_per_window: Option<u64>,
    /// Processor time of the prover while it proved them, alerts proved at the same time included, likewise.
    pub cpu_us_per_window: Option<u64>,
    /// Receipts of windows checked offline; none that did not hold is counted.
    pub receipts: u64,
    /// Receipts with another score, path or root, each of which was refused.
    pub twins_refused: u64,
}

/// Orders what is left, waits until everything scored is proved, and checks it.
pub async fn run(network: &mut Network, observer: &Observer, dir: &Path, stop: &CancellationToken) -> Result<Audited> {
    let model = B32::new(network.model_hash);
    wait(network, &model, observer, stop).await?;
    let batches: Vec<AuditedBatch> = read(&network.bus, Stream::Audits).await?;
    let receipts: Vec<WindowReceipt> = read(&network.bus, Stream::Audits).await?;
    let lines: Vec<ScoredWindow> = read(&network.bus, Stream::Ledger).await?;

    let mut audited = Audited { batches: batches.len() as u64, ..Audited::default() };
    let held = check_receipts(&batches, &receipts, &mut audited)?;
    audited.windows =
        lines.iter().filter(|line| held.get(&line.window_id).is_some_and(|at| at.is_of(line))).count() as u64;
    let proved: u64 = batches.iter().map(|batch| u64::from(batch.count)).sum();
    let per_window = |ms: u64| (ms * 1_000).checked_div(proved);
    audited.wall_us_per_window = per_window(batches.iter().map(|batch| batch.prove_ms).sum());
    audited.cpu_us_per_window = per_window(batches.iter().map(|batch| batch.cpu_ms).sum());
    verify_on_chain(network, &batches, &mut audited).await?;
    save(dir, &batches, &receipts)?;
    Ok(audited)
}

/// Leaves the batches and a few receipts as files, so that `hygeia verify` has something to check.
fn save(dir: &Path, batches: &[AuditedBatch], receipts: &[WindowReceipt]) -> Result<()> {
    let dir = dir.join("audits");
    std::fs::create_dir_all(&dir)?;
    let name = |id: &B32| id.to_hex().chars().take(16).collect::<String>();
    for batch in batches {
        std::fs::write(dir.join(format!("batch-{}.json", name(&batch.batch_id))), batch.encode())?;
    }
    for receipt in receipts.iter().take(RECEIPTS_SAVED) {
        let name = format!("window-{}-of-{}.json", name(&receipt.window_id), name(&receipt.batch_id));
        std::fs::write(dir.join(name), receipt.encode())?;
    }
    Ok(())
}

/// Waits for the last proof, asking for the windows that are left to be ordered.
async fn wait(network: &mut Network, model: &B32, observer: &Observer, stop: &CancellationToken) -> Result<()> {
    let mut last = (Instant::now(), 0);
    let mut said = Instant::now();
    collect::flush(&network.bus, model).await?;
    loop {
        let seen = observer.look();
        if seen.audited >= seen.scored {
            return Ok(());
        }
        if seen.audited != last.1 {
            last = (Instant::now(), seen.audited);
        }
        if last.0.elapsed() > PATIENCE {
            tracing::error!(proved = seen.audited, scored = seen.scored, "the audit does not go on");
            return Ok(());
        }
        if said.elapsed() > SAY_EVERY {
            said = Instant::now();
            eprintln!("  {} of {} inferences proved in audit mode", seen.audited, seen.scored);
            // A request is not stored: one that came while the prover was away is lost.
            collect::flush(&network.bus, model).await?;
        }
        if let Some(role) = network.ended_roles().first() {
            bail!("the {} ended; its own words are in {}", role.name(), network.log_of(*role).display());
        }
        tokio::select! {
            () = stop.cancelled() => bail!("stopped before every inference was proved"),
            () = tokio::time::sleep(Duration::from_millis(250)) => {}
        }
    }
}

/// Where a window was found: its leaf, and how many roots it is under.
struct Held {
    commitment: B32,
    score: i64,
    roots: u32,
}

impl Held {
    fn is_of(&self, line: &ScoredWindow) -> bool {
        self.roots == 1 && self.commitment == line.commitment && self.score == line.score
    }
}

/// Checks each receipt as a patient would, against the root of its batch; and that its tampered twins are refused.
fn check_receipts(
    batches: &[AuditedBatch],
    receipts: &[WindowReceipt],
    audited: &mut Audited,
) -> Result<BTreeMap<B32, Held>> {
    let batches: BTreeMap<B32, &AuditedBatch> = batches.iter().map(|batch| (batch.batch_id, batch)).collect();
    let mut held: BTreeMap<B32, Held> = BTreeMap::new();
    for receipt in receipts {
        let Some(batch) = batches.get(&receipt.batch_id) else { continue };
        if !holds(&receipt.inclusion, batch) {
            bail!("the receipt of a window does not hold under its root");
        }
        for twin in twins(&receipt.inclusion) {
            if holds(&twin, batch) {
                bail!("a tampered receipt was accepted");
            }
            audited.twins_refused += 1;
        }
        audited.receipts += 1;
        let Inclusion { commitment, score, .. } = receipt.inclusion;
        held.entry(receipt.window_id).or_insert(Held { commitment, score, roots: 0 }).roots += 1;
    }
    Ok(held)
}

fn holds(inclusion: &Inclusion, batch: &AuditedBatch) -> bool {
    let public = AuditPublic::new(*batch.root.as_bytes(), batch.count);
    let receipt = serde_json::to_string(inclusion).ok().and_then(|text| AuditReceipt::from_json(&text).ok());
    match (receipt, public) {
        (Some(receipt), Some(public)) => receipt.verify(&public, batch.leaves as usize).is_ok(),
        _ => false,
    }
}

/// Another score, a neighbour's place, and a path that was touched.
fn twins(inclusion: &Inclusion) -> [Inclusion; 3] {
    let mut path = inclusion.path.clone();
    path.reverse();
    [
        Inclusion { score: inclusion.score + 1, ..inclusion.clone() },
        Inclusion { index: inclusion.index ^ 1, ..inclusion.clone() },
        Inclusion { path, ..inclusion.clone() },
    ]
}

/// Has the ledger record each audit in a transaction, for which the generated contract verifies its proof, and asks it
/// about tampered twins.
async fn verify_on_chain(network: &Network, batches: &[AuditedBatch], audited: &mut Audited) -> Result<()> {
    let sender = network.accounts.deployer.address();
    let journal = Journal::open(&network.bus, journal::AUDITOR, Metrics::default()).await?;
    let mut gas = Vec::new();
    for batch in batches {
        // Before the audit itself is recorded, so that none is refused for standing there already.
        let mut is_refused = true;
        for twin in tampered(batch) {
            is_refused &= !accepts(network, sender, record(network, &twin)).await;
        }
        let data = record(network, batch);
        let ledger = network.deployment.audit_ledger;
        let mined = governance::send(&network.chain, sender, data, ledger, "recording an audit on chain").await?;
        gas.push(mined.gas_used);
        let (transaction, message) = (B32::new(mined.transaction_hash.0), message_hash(&batch.encode()));
        let (batch_id, root) = (batch.batch_id, batch.root);
        journal.note(Fact::AuditRecorded { batch: batch_id, root, transaction, message }).await?;
        let held = AuditLedger::new(ledger, &network.chain.provider)
            .auditOf(network.model_id, B256::from(*batch.root.as_bytes()))
            .call()
            .await
            .context("reading an audit back")?;
        audited.verified_on_chain += u64::from(is_refused && held.count == batch.count);
    }
    gas.sort_unstable();
    audited.gas = gas.get(gas.len() / 2).copied();
    Ok(())
}

/// The call that has the ledger record an audit of the approved model.
fn record(network: &Network, batch: &AuditedBatch) -> Bytes {
    let call = recordAuditCall {
        modelId: network.model_id,
        leaves: batch.leaves,
        root: B256::from(*batch.root.as_bytes()),
        count: batch.count,
        proof: batch.proof.as_slice().to_vec().into(),
    };
    call.abi_encode().into()
}

async fn accepts(network: &Network, from: Address, data: Bytes) -> bool {
    let request =
        TransactionRequest::default().with_from(from).with_to(network.deployment.audit_ledger).with_input(data);
    network.chain.provider.call(request).await.is_ok()
}

/// Another root, another count, and a proof with a byte changed.
fn tampered(batch: &AuditedBatch) -> [AuditedBatch; 3] {
    let mut root = *batch.root.as_bytes();
    root[31] ^= 1;
    let mut proof = batch.proof.as_slice().to_vec();
    proof[36] ^= 1;
    [
        AuditedBatch { root: B32::new(root), ..batch.clone() },
        AuditedBatch { count: batch.count - 1, ..batch.clone() },
        AuditedBatch { proof: HexBytes::new(proof), ..batch.clone() },
    ]
}

/// All messages of one type in a stream that holds several.
async fn read<T: Message>(bus: &Bus, stream: Stream) -> Result<Vec<T>> {
    let (_, last) = bus.stream_state(stream).await?;
    let mut messages = Vec::new();
    if last == 0 {
        return Ok(messages);
    }
    let mut reader = OrderedReader::open(bus, stream, Vec::new(), 1).await?;
    loop {
        let Entry { sequence, payload, .. } = reader.next().await?;
        messages.extend(T::decode(&payload));
        if sequence >= last {
            return Ok(messages);
        }
    }
}
