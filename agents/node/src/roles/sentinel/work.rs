//! One partition of the sentinel: attested windows in; alerts, proof requests and the ledger's lines out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use hygeia_protocol::message::{AttestedWindow, Message};
use hygeia_protocol::registry::{Policy, View};
use hygeia_protocol::shadow::Opinion;
use hygeia_protocol::subject::Partition;
use hygeia_protocol::triage::TriageOutcome;
use tokio::sync::watch;

use super::Sentinel;
use super::alert::{AlertTerms, alert_message_id, ledger_id};
use super::mandates::Mandates;
use super::scoring::{ScoreError, Scored};
use super::verdict::{Known, Verdict};
use crate::bus::Entry;
use crate::clock::now_ms;
use crate::models::held::Held;
use crate::models::host::Table;
use crate::models::served::Served;
use crate::models::serving::{Answer, Assignment, Leave, Wait};
use crate::partition::bytes::{Reader, Writer};
use crate::partition::{Outbox, Work};
use crate::telemetry::trace::TraceContext;
use crate::telemetry::{Counter, Moment};

/// Layout of a partition's state.
const VERSION: u8 = 1;
/// How often windows that wait are looked at although nothing changed, so that none waits too long unnoticed.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The label of a window that waited and was given up for others.
const NO_ROOM: &str = "no_room_to_wait";

/// One partition of the sentinel.
pub struct SentinelWork {
    pub(super) sentinel: Arc<Sentinel>,
    pub(super) partition: Partition,
    pub(super) mandates: Mandates,
    /// Windows whose model or approval is still to come.
    held: Held,
    // What governance says and which models are ready; either may set held windows free.
    views: watch::Receiver<Arc<View>>,
    tables: watch::Receiver<Arc<Table<Served>>>,
}

/// A window that is to be scored.
pub(super) struct Arrived {
    pub sequence: u64,
    pub trace: Option<TraceContext>,
    pub arrived_at_ms: u64,
    pub window: AttestedWindow,
    pub policy: Policy,
    pub model: Arc<Served>,
}

impl SentinelWork {
    pub(super) fn new(sentinel: Arc<Sentinel>, partition: Partition) -> Self {
        let (views, tables) = (sentinel.serving.registries().changes(), sentinel.serving.host().changes());
        Self { sentinel, partition, mandates: Mandates::default(), held: Held::default(), views, tables }
    }

    /// Takes a window in if it is new and there is a model for it; keeps it where that model is still to come.
    fn admit(&mut self, entry: Entry, outbox: &Outbox) -> Option<Arrived> {
        let sequence = entry.sequence;
        let window = match AttestedWindow::decode(&entry.payload) {
            Ok(window) => window,
            Err(reason) => {
                tracing::warn!(sequence, %reason, "a message in the window stream is no window");
                return None;
            }
        };
        if !self.mandates.advance(&window.mandate, window.end) {
            return None;
        }
        let answer = match self.held.holds(&window.mandate) {
            true => Answer::Wait(Wait::NotReady),
            false => self.answer(&window, outbox),
        };
        match answer {
            Answer::Score(Assignment { policy, model }) => {
                let (trace, arrived_at_ms) = (entry.trace, now_ms());
                return Some(Arrived { sequence, trace, arrived_at_ms, window, policy, model });
            }
            Answer::Leave(leave) => self.note_left(leave.label()),
            Answer::Wait(_) => {
                if self.held.push(sequence, window, Instant::now()).is_some() {
                    self.note_left(NO_ROOM);
                }
            }
        }
        None
    }

    /// What is to be done with a window. One that people were called for, or that stands in the ledger, was scored before its
    /// policy was stopped: its score is part of what the mandate's triage knows, so it is made again, and what an earlier
    /// owner left undone is completed.
    fn answer(&self, window: &AttestedWindow, outbox: &Outbox) -> Answer {
        let serving = &self.sentinel.serving;
        let answer = serving.answer(&window.mandate, &window.schema);
        if !matches!(answer, Answer::Leave(Leave::NotLive)) {
            return answer;
        }
        let before = serving.scored_before(&window.mandate, &window.schema);
        let stands = |before: &Assignment| {
            let (policy, model) = (&before.policy.id, &before.model.hash);
            outbox.is_stored(&ledger_id(window, model)) || outbox.is_stored(&alert_message_id(window, policy, model))
        };
        before.filter(stands).map_or(answer, Answer::Score)
    }

    /// Scores windows together with whatever else waits to be scored.
    async fn score(&self, arrived: &[Arrived]) -> Vec<Result<Scored, ScoreError>> {
        let mut answers = Vec::with_capacity(arrived.len());
        for Arrived { window, model, .. } in arrived {
            answers.push(self.sentinel.scorer.ask(model.clone(), window.features.clone()).await);
        }
        let mut scores = Vec::with_capacity(answers.len());
        for answer in answers {
            scores.push(answer.await.unwrap_or(Err(ScoreError::Gone)));
        }
        scores
    }

    async fn score_and_decide(&mut self, arrived: Vec<Arrived>, outbox: &mut Outbox) -> Result<()> {
        let scores = self.score(&arrived).await;
        for (arrived, scored) in arrived.into_iter().zip(scores) {
            match scored {
                Ok(scored) => {
                    if !outbox.is_silent() {
                        self.note_scored(&arrived, scored)?;
                    }
                    self.decide(arrived, scored, outbox)?;
                }
                Err(ScoreError::Gone) => anyhow::bail!(ScoreError::Gone),
                // An oracle of this schema signs no such window; nobody can score or prove it.
                Err(reason) => {
                    tracing::warn!(window = %arrived.window.window_id, reason = %reason, "a window has no score");
                }
            }
        }
        Ok(())
    }

    /// Judges a score under the policy that the mandate consents to.
    fn decide(&mut self, arrived: Arrived, scored: Scored, outbox: &mut Outbox) -> Result<()> {
        // The line is the last that follows from a window: where it is stored, all is, and only state is rebuilt.
        let is_done = outbox.is_stored(&ledger_id(&arrived.window, &arrived.model.hash));
        let called = outbox.has_id(&alert_message_id(&arrived.window, &arrived.policy.id, &arrived.model.hash));
        let verdict = self.judge(&arrived, scored, Known { called, is_done });
        if is_done {
            return Ok(());
        }
        let arrived = Arc::new(arrived);
        if let Verdict::Triage(TriageOutcome::Alert { escalation }) = verdict {
            self.alert(&arrived, scored, AlertTerms { policy: &arrived.policy, escalation }, outbox)?;
        }
        self.write_ledger(&arrived, scored, verdict.label(), outbox);
        if let Some(shadow) = &self.sentinel.shadow {
            let approved = Opinion { score: scored.score, is_outside: scored.outside_validated_range };
            shadow.offer(&arrived.window, &arrived.policy, approved);
        }
        Ok(())
    }

    fn note_scored(&self, arrived: &Arrived, scored: Scored) -> Result<()> {
        let companion = self.sentinel.companions.of(&arrived.model.hash)?;
        companion.drift.observe(&arrived.window.features, scored.score);
        let metrics = &self.sentinel.site.metrics;
        metrics.count(Counter::WindowsScored, "");
        metrics.saw(Moment::Window);
        if scored.outside_validated_range {
            metrics.count(Counter::WindowsOutsideRange, "");
        }
        Ok(())
    }

    fn note_left(&self, why: &'static str) {
        self.sentinel.site.metrics.count(Counter::WindowsLeft, why);
    }

    fn write_held(&self, writer: &mut Writer) {
        writer.number(self.held.len() as u64);
        for held in self.held.iter() {
            writer.number(held.sequence);
            writer.bytes(&held.window.encode());
        }
    }

    fn read(state: &[u8]) -> Option<(Mandates, Held)> {
        let mut reader = Reader::new(state, VERSION)?;
        let mandates = Mandates::read(reader.bytes()?)?;
        let mut held = Held::default();
        for _ in 0..reader.number()? {
            let (sequence, window) = (reader.number()?, AttestedWindow::decode(reader.bytes()?).ok()?);
            held.push(sequence, window, Instant::now());
        }
        reader.is_at_end().then_some((mandates, held))
    }
}

impl Work for SentinelWork {
    /// As many as are scored in one pass.
    const BATCH_MAX: usize = 64;

    fn restore(&mut self, state: &[u8]) -> bool {
        let Some((mandates, held)) = Self::read(state) else { return false };
        (self.mandates, self.held) = (mandates, held);
        // What is held is looked at as soon as the partition is current.
        self.views.mark_changed();
        true
    }

    fn snapshot(&mut self) -> Vec<u8> {
        let mut writer = Writer::new(VERSION);
        writer.bytes(&self.mandates.write());
        self.write_held(&mut writer);
        writer.finish()
    }

    async fn handle(&mut self, inputs: Vec<Entry>, outbox: &mut Outbox) -> Result<()> {
        let mut arrived = Vec::with_capacity(inputs.len());
        for entry in inputs {
            arrived.extend(self.admit(entry, outbox));
        }
        self.score_and_decide(arrived, outbox).await
    }

    fn has_put_by(&self) -> bool {
        !self.held.is_empty()
    }

    async fn woken(&mut self) {
        if self.held.is_empty() {
            return std::future::pending().await;
        }
        let (views, tables) = (&mut self.views, &mut self.tables);
        tokio::select! {
            Ok(()) = views.changed() => {}
            Ok(()) = tables.changed() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }

    async fn resume(&mut self, outbox: &mut Outbox) -> Result<()> {
        let mut held = std::mem::take(&mut self.held);
        let released = held.release(Instant::now(), Self::BATCH_MAX, |window| self.answer(window, outbox));
        self.held = held;
        for why in released.left {
            self.note_left(why.label());
        }
        let assigned = released.ready.into_iter();
        let arrived = assigned.map(|(held, Assignment { policy, model })| Arrived {
            sequence: held.sequence,
            // A window that waited begins its part of the trace anew: its own header was not kept.
            trace: None,
            arrived_at_ms: now_ms(),
            window: held.window,
            policy,
            model,
        });
        self.score_and_decide(arrived.collect(), outbox).await
    }
}
