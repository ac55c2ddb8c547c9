//! Mirrors `agents/node/src/roles/sentinel.rs`: `Sentinel::follow` (a batch, its decisions, then the checkpoint),
//! `admit`, `decide`, `alert` (alert, then proof request) and `write_ledger`, in that order.
//!
//! Left out: rate limits, the guard, the memory of cases, more than one policy, consent. The product's code swaps no
//! model while it runs, so there is no swap here.

use std::collections::BTreeMap;

use hygeia_protocol::bytes::B32;
use hygeia_protocol::message::{Alert, AttestedWindow, Message, ProofMode, ProofRequest, ScoredWindow, V1};
use hygeia_protocol::subject::{self, Partition, Stream};
use hygeia_protocol::time::Timestamp;
use hygeia_protocol::triage::{Triage, TriageOutcome};

use crate::broker::Entry;
use crate::call::Unanswered;
use crate::port::{Checkpoint, OrderedReader, Port};
use crate::run::PlantedBug;
use crate::ward::{self, MODEL, POLICY, SCHEMA, TRIAGE};
use crate::world::CHECKPOINTS;

/// Windows scored at a time at most; the product's.
const BATCH_MAX: usize = 64;

struct Sentinel {
    port: Port,
    triage: BTreeMap<B32, Triage>,
    last_end: BTreeMap<B32, u64>,
}

struct Arrived {
    sequence: u64,
    partition: Partition,
    window: AttestedWindow,
    score: i64,
}

pub(super) async fn run(port: Port) -> Result<(), Unanswered> {
    Sentinel { port, triage: BTreeMap::new(), last_end: BTreeMap::new() }.follow().await
}

impl Sentinel {
    async fn follow(&mut self) -> Result<(), Unanswered> {
        let mut checkpoint = Checkpoint::load(&self.port, CHECKPOINTS[1]).await?;
        let mut reader = OrderedReader::open(self.port.clone(), Stream::Windows, 1);
        loop {
            let Some(first) = reader.next_within(checkpoint.moved()).await? else {
                checkpoint.flush().await?;
                continue;
            };
            let mut batch = vec![first];
            while batch.len() < BATCH_MAX
                && let Some(entry) = reader.take_at_hand()
            {
                batch.push(entry);
            }
            let last = batch.last().map_or(0, |entry| entry.sequence);
            if self.port.has_bug(PlantedBug::CheckpointBeforePublish) && !checkpoint.covers(last) {
                checkpoint.advance(last).await?;
                checkpoint.flush().await?;
                self.handle(batch, &|_| false).await?;
                continue;
            }
            let stored = |sequence| checkpoint.covers(sequence);
            self.handle(batch, &stored).await?;
            if !checkpoint.covers(last) {
                checkpoint.advance(last).await?;
            }
        }
    }

    async fn handle(&mut self, batch: Vec<Entry>, covers: &dyn Fn(u64) -> bool) -> Result<(), Unanswered> {
        let arrived: Vec<Arrived> = batch.into_iter().filter_map(|entry| self.admit(&entry)).collect();
        for arrived in arrived {
            let silent = covers(arrived.sequence);
            self.decide(&arrived, silent).await?;
        }
        Ok(())
    }

    fn admit(&mut self, entry: &Entry) -> Option<Arrived> {
        let window = AttestedWindow::decode(&entry.payload).ok()?;
        let partition = subject::partition_of(&entry.subject)?;
        let newest = self.last_end.entry(window.mandate).or_insert(0);
        if window.schema != SCHEMA || window.end <= *newest {
            return None;
        }
        *newest = window.end;
        let score = ward::score(&window.features);
        Some(Arrived { sequence: entry.sequence, partition, window, score })
    }

    async fn decide(&mut self, arrived: &Arrived, silent: bool) -> Result<(), Unanswered> {
        if silent && self.port.has_bug(PlantedBug::CoolDownReset) {
            return Ok(());
        }
        let window = &arrived.window;
        let triage = self.triage.entry(window.mandate).or_insert_with(|| Triage::new(TRIAGE));
        let outcome = triage.step(arrived.score, Timestamp::from_seconds(window.end));
        if silent {
            return Ok(());
        }
        if let TriageOutcome::Alert { escalation } = outcome {
            self.alert(arrived, escalation).await?;
        }
        self.write_ledger(arrived, outcome.label()).await
    }

    async fn alert(&self, arrived: &Arrived, escalation: bool) -> Result<(), Unanswered> {
        let window = &arrived.window;
        let alert = Alert {
            v: V1,
            alert_id: Alert::id(&window.window_id, &POLICY, &MODEL),
            window_id: window.window_id,
            mandate: window.mandate,
            ward: "ward-1".to_owned(),
            policy: POLICY,
            model: MODEL,
            score: arrived.score,
            threshold: TRIAGE.threshold,
            probability_ppm: None,
            escalation,
            outside_validated_range: false,
            end: window.end,
            observed_at_ms: window.observed_at_ms,
            raised_at_ms: self.port.now_ms(),
            contributions: Vec::new(),
            similar: Vec::new(),
        };
        self.port.publish(Stream::Alerts, subject::alert(arrived.partition), &alert).await?;
        let request = ProofRequest {
            v: V1,
            alert_id: alert.alert_id,
            window: window.clone(),
            policy: POLICY,
            model: MODEL,
            score: arrived.score,
            requested_at_ms: self.port.now_ms(),
            mode: ProofMode::Alert,
        };
        self.port.publish(Stream::ProofRequests, subject::PROVE_REQUEST.to_owned(), &request).await
    }

    async fn write_ledger(&self, arrived: &Arrived, outcome: &str) -> Result<(), Unanswered> {
        let window = &arrived.window;
        let line = ScoredWindow {
            v: V1,
            window_id: window.window_id,
            window_sequence: arrived.sequence,
            mandate: window.mandate,
            end: window.end,
            model: MODEL,
            score: arrived.score,
            commitment: window.commitment,
            scored_at_ms: self.port.now_ms(),
            engine: "simulated".to_owned(),
            outcome: outcome.to_owned(),
            outside_validated_range: false,
        };
        self.port.publish(Stream::Ledger, subject::ledger(arrived.partition), &line).await
    }
}
