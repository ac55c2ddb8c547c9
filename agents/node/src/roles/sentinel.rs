//! Hops 4 and 5: from attested windows to scores, and from scores to alerts.
//!
//! Windows are scored in batches that wait a few milliseconds at most. Triage decides per mandate and policy; an alert
//! goes out as soon as it is decided, then the request for its proof, then the ledger's line.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use candle_core::Device;
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use hygeia_inference::package::ModelPackage;
use hygeia_inference::serve::ServingEngine;
use hygeia_protocol::message::{Alert, AttestedWindow, B32, Message, ProofMode, ProofRequest, ScoredWindow, V1};
use hygeia_protocol::subject::{self, Partition, Stream};
use hygeia_protocol::time::Timestamp;
use hygeia_protocol::triage::{Triage, TriageOutcome};
use hygeia_zkml::InferenceGate;

use super::{Site, patience};
use crate::alarm::triage_policy;
use crate::bus::{Checkpoint, Entry, OrderedReader};
use crate::chain::registry::{ActivePolicy, Registries};
use crate::cli::SentinelArgs;
use crate::cli::device::ScoringDevice;
use crate::clock::now_ms;
use crate::explain;
use crate::memory::{CaseMemory, Embedding};
use crate::models;
use crate::telemetry::Counter;

/// Windows scored at a time at most: past this the matrix product no longer gets cheaper per window.
const BATCH_MAX: usize = 64;
/// How long a window may wait for others to share its batch.
const BATCH_DEADLINE: Duration = Duration::from_millis(2);
/// Without a message for this long the checkpoint is written down.
const IDLE: Duration = Duration::from_millis(500);
/// Alerts per patient and minute.
const PATIENT_ALERTS_PER_MINUTE: NonZeroU32 = NonZeroU32::new(6).unwrap();
/// Alerts per ward and minute: more than a person can answer is noise.
const WARD_ALERTS_PER_MINUTE: NonZeroU32 = NonZeroU32::new(600).unwrap();

/// Runs the sentinel until the site stops.
pub async fn run(site: Site, args: SentinelArgs) -> Result<()> {
    let device = scoring_device(args.scoring_device)?;
    let model = models::load(site.connect.model.as_deref())?;
    let chain = site.chain(None).await?;
    let registries = Registries::watch(chain, site.deployment.clone(), site.stop.clone()).await?;
    let model_hash = model.hash();
    let approved = wait_for_approval(&site, &registries, model_hash).await?;
    tracing::info!(model = hex::encode(model_hash), policies = approved, "sentinel runs an approved model");
    let mut sentinel = Sentinel {
        engine: ServingEngine::new(model.network(), &device)?,
        gate: gate(args.scoring_device),
        memory: CaseMemory::open(args.qdrant.as_deref(), &hex::encode(model_hash))?,
        ward: args.ward,
        model_hash: B32::new(model_hash),
        schema_hash: B32::new(model.schema().hash()),
        model,
        registries,
        triage: HashMap::new(),
        last_end: HashMap::new(),
        patient_limit: RateLimiter::keyed(Quota::per_minute(PATIENT_ALERTS_PER_MINUTE)),
        ward_limit: RateLimiter::direct(Quota::per_minute(WARD_ALERTS_PER_MINUTE)),
        site,
    };
    sentinel.follow().await
}

/// Waits until a live policy names the model, for as long as the site's patience; then refuses it by its hash.
pub async fn wait_for_approval(site: &Site, registries: &Registries, model_hash: [u8; 32]) -> Result<usize> {
    let until = Instant::now() + patience(&site.connect);
    loop {
        let policies = registries.policies_of(model_hash).len();
        if policies > 0 {
            return Ok(policies);
        }
        if Instant::now() >= until {
            bail!(
                "model {} is refused: no active policy on chain {} approves it (policy registry {})",
                hex::encode(model_hash),
                site.deployment.chain_id,
                site.deployment.policy_registry,
            );
        }
        tokio::select! {
            () = site.stop.cancelled() => bail!("stopped while waiting for model {} to be approved", hex::encode(model_hash)),
            () = tokio::time::sleep(Duration::from_millis(250)) => {}
        }
    }
}

/// The device that windows are scored on. One that was asked for and is not there ends the role: an operator who pays for a
/// GPU wants to know.
fn scoring_device(device: ScoringDevice) -> Result<Device> {
    match device {
        ScoringDevice::Cpu => Ok(Device::Cpu),
        // In a stream of its own, which waits for no prover's.
        ScoringDevice::Cuda(ordinal) => Device::new_cuda_with_stream(ordinal).map_err(|error| {
            // candle adds a backtrace where those are switched on; what failed stands in the first line.
            let cause = error.to_string();
            let cause = cause.lines().next().unwrap_or_default();
            anyhow!(
                "CUDA device {ordinal} cannot score: it is not there, or this binary was not built by `cargo xtask cuda`: {cause}"
            )
        }),
    }
}

/// What holds provers of this process back on the device while windows are scored there.
fn gate(device: ScoringDevice) -> Option<Arc<InferenceGate>> {
    match device {
        ScoringDevice::Cpu => None,
        ScoringDevice::Cuda(ordinal) => Some(InferenceGate::of(ordinal)),
    }
}

struct Sentinel {
    site: Site,
    ward: String,
    model: ModelPackage,
    /// Content hash of the package; hashed once, asked for with every window.
    model_hash: B32,
    /// Hash of the model's feature schema, likewise.
    schema_hash: B32,
    engine: ServingEngine,
    gate: Option<Arc<InferenceGate>>,
    memory: CaseMemory,
    registries: Registries,
    triage: HashMap<(B32, B32), Triage>,
    /// End of the newest window of each mandate: an older or equal one is a repetition.
    last_end: HashMap<B32, u64>,
    patient_limit: DefaultKeyedRateLimiter<B32>,
    ward_limit: DefaultDirectRateLimiter,
}

/// A window with what is known of its way here.
struct Arrived {
    sequence: u64,
    partition: Partition,
    window: AttestedWindow,
}

/// What the model and its guard say of a window.
#[derive(Clone, Copy)]
struct Scored {
    score: i64,
    outside_validated_range: bool,
}

impl Sentinel {
    async fn follow(&mut self) -> Result<()> {
        let mut checkpoint = Checkpoint::load(&self.site.bus, "sentinel").await?;
        let mut reader = OrderedReader::open(&self.site.bus, Stream::Windows, Vec::new(), 1).await?;
        if checkpoint.stored() == 0 {
            self.site.metrics.ready();
        }
        let stop = self.site.stop.clone();
        loop {
            let first = tokio::select! {
                () = stop.cancelled() => break,
                entry = reader.next_within(IDLE) => entry?,
            };
            let Some(first) = first else {
                self.site.metrics.ready();
                checkpoint.flush().await?;
                continue;
            };
            let batch = collect_batch(&mut reader, first).await?;
            let last = batch.last().map_or(0, |entry| entry.sequence);
            self.handle(batch, &checkpoint).await?;
            if !checkpoint.covers(last) {
                self.site.metrics.ready();
                checkpoint.advance(last).await?;
            }
        }
        checkpoint.flush().await?;
        Ok(())
    }

    async fn handle(&mut self, batch: Vec<Entry>, checkpoint: &Checkpoint) -> Result<()> {
        let arrived: Vec<Arrived> = batch.into_iter().filter_map(|entry| self.admit(entry)).collect();
        let features: Vec<Vec<i32>> = arrived.iter().map(|a| a.window.features.clone()).collect();
        let scores = {
            let _first = self.gate.as_ref().map(InferenceGate::score);
            self.engine.score_batch(&features)?
        };
        let policies = self.registries.policies_of(self.model_hash.into_bytes());
        for (arrived, score) in arrived.into_iter().zip(scores) {
            let silent = checkpoint.covers(arrived.sequence);
            let evaluation = self.model.network().evaluate(&arrived.window.features)?;
            let familiarity = self.model.guard().judge(&arrived.window.features, &evaluation.activations);
            let scored = Scored { score, outside_validated_range: !familiarity.is_inside() };
            if !silent {
                self.site.metrics.count(Counter::WindowsScored, "");
                if scored.outside_validated_range {
                    self.site.metrics.count(Counter::WindowsOutsideRange, "");
                }
            }
            for policy in &policies {
                self.decide(&arrived, scored, policy, silent).await?;
            }
        }
        Ok(())
    }

    /// Takes a window in if it is new, made for this model's schema, and its mandate is live.
    fn admit(&mut self, entry: Entry) -> Option<Arrived> {
        let window = match AttestedWindow::decode(&entry.payload) {
            Ok(window) => window,
            Err(reason) => {
                tracing::warn!(sequence = entry.sequence, %reason, "a message in the window stream is no window");
                return None;
            }
        };
        let partition = subject::partition_of(&entry.subject)?;
        let fits = window.schema == self.schema_hash && window.features.len() == self.model.schema().len();
        if !fits {
            tracing::warn!(sequence = entry.sequence, "a window of another feature schema is left to another sentinel");
            return None;
        }
        let newest = self.last_end.entry(window.mandate).or_insert(0);
        if window.end <= *newest {
            return None;
        }
        *newest = window.end;
        Some(Arrived { sequence: entry.sequence, partition, window })
    }

    async fn decide(&mut self, arrived: &Arrived, scored: Scored, policy: &ActivePolicy, silent: bool) -> Result<()> {
        let window = &arrived.window;
        if !self.registries.consents(&window.mandate, &policy.id) {
            return Ok(());
        }
        let triage = self
            .triage
            .entry((window.mandate, policy.id))
            .or_insert_with(|| Triage::new(triage_policy(policy.threshold, policy.cool_down_s)));
        let outcome = triage.step(scored.score, Timestamp::from_seconds(window.end));
        if silent {
            return Ok(());
        }
        let label = match outcome {
            TriageOutcome::Quiet | TriageOutcome::Cleared => outcome.label(),
            TriageOutcome::Suppressed { .. } => self.suppressed(outcome.label()),
            TriageOutcome::Alert { escalation } => {
                self.alert_within_limits(arrived, scored, policy, escalation).await?
            }
        };
        self.write_ledger(arrived, scored, label).await
    }

    async fn alert_within_limits(
        &mut self,
        arrived: &Arrived,
        scored: Scored,
        policy: &ActivePolicy,
        escalation: bool,
    ) -> Result<&'static str> {
        let within = self.patient_limit.check_key(&arrived.window.mandate).is_ok() && self.ward_limit.check().is_ok();
        if !within && !escalation {
            return Ok(self.suppressed("suppressed_rate_limit"));
        }
        self.alert(arrived, scored, policy, escalation).await?;
        Ok(TriageOutcome::Alert { escalation }.label())
    }

    fn suppressed(&self, reason: &'static str) -> &'static str {
        self.site.metrics.count(Counter::AlertsSuppressed, reason);
        reason
    }

    async fn alert(
        &mut self,
        arrived: &Arrived,
        scored: Scored,
        policy: &ActivePolicy,
        escalation: bool,
    ) -> Result<()> {
        let (window, score) = (&arrived.window, scored.score);
        let embedding = Embedding::of(self.model.network(), &window.features)?;
        let alert = Alert {
            v: V1,
            alert_id: Alert::id(&window.window_id, &policy.id, &self.model_hash),
            window_id: window.window_id,
            mandate: window.mandate,
            ward: self.ward.clone(),
            policy: policy.id,
            model: self.model_hash,
            score,
            threshold: policy.threshold,
            probability_ppm: Some(self.model.calibration().probability_ppm(score)),
            escalation,
            outside_validated_range: scored.outside_validated_range,
            end: window.end,
            observed_at_ms: window.observed_at_ms,
            raised_at_ms: now_ms(),
            contributions: explain::contributions(&self.model, &window.clinical, &window.features)?,
            similar: self.memory.nearest(&embedding).await,
        };
        self.site
            .bus
            .publish(Stream::Alerts, subject::alert(arrived.partition), &alert.message_id(), alert.encode())
            .await?;
        let kind = if escalation { "escalation" } else { "new" };
        self.site.metrics.count(Counter::AlertsRaised, kind);
        tracing::info!(alert = %alert.alert_id, kind, "alert raised");

        let request = ProofRequest {
            v: V1,
            alert_id: alert.alert_id,
            window: window.clone(),
            policy: policy.id,
            model: alert.model,
            score,
            requested_at_ms: now_ms(),
            mode: ProofMode::Alert,
        };
        self.site
            .bus
            .publish(Stream::ProofRequests, subject::PROVE_REQUEST.to_owned(), &request.message_id(), request.encode())
            .await?;
        self.memory.remember(&alert.alert_id, embedding, score);
        Ok(())
    }

    async fn write_ledger(&self, arrived: &Arrived, scored: Scored, outcome: &str) -> Result<()> {
        let window = &arrived.window;
        let line = ScoredWindow {
            v: V1,
            window_id: window.window_id,
            window_sequence: arrived.sequence,
            mandate: window.mandate,
            end: window.end,
            model: self.model_hash,
            score: scored.score,
            commitment: window.commitment,
            scored_at_ms: now_ms(),
            engine: self.engine.name(),
            outcome: outcome.to_owned(),
            outside_validated_range: scored.outside_validated_range,
        };
        self.site
            .bus
            .publish(Stream::Ledger, subject::ledger(arrived.partition), &line.message_id(), line.encode())
            .await?;
        Ok(())
    }
}

async fn collect_batch(reader: &mut OrderedReader, first: Entry) -> Result<Vec<Entry>> {
    let deadline = Instant::now() + BATCH_DEADLINE;
    let mut batch = vec![first];
    while batch.len() < BATCH_MAX {
        let left = deadline.saturating_duration_since(Instant::now());
        match reader.next_within(left).await? {
            Some(entry) => batch.push(entry),
            None => break,
        }
    }
    Ok(batch)
}
