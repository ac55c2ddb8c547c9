//! Mirrors `agents/node/src/roles/sentinel/`: what one partition keeps, what a window leads to for each live model
//! (alert, proof request, the ledger's line, in this order), and the rate limits.
//!
//! Left out: the guard, the memory of cases, several policies of one model, consent. A partition that is taken over goes by
//! what stands in the ledger: a model that scored a window scores it again in silence, whether or not it is live now.

use std::collections::BTreeMap;
use std::rc::Rc;

use hygeia_protocol::bytes::B32;
use hygeia_protocol::digest::Digest;
use hygeia_protocol::message::{Alert, AttestedWindow, Message, ProofMode, ProofRequest, ScoredWindow, V1};
use hygeia_protocol::subject::{self, Partition, Stream};
use hygeia_protocol::time::Timestamp;
use hygeia_protocol::triage::{Triage, TriageOutcome};

use super::Shared;
use super::outbox::{Effect, Job};
use super::partition::State;
use super::snapshot::{Records, record};
use crate::broker::{Entry, Subject};
use crate::port::Port;
use crate::process::Role;
use crate::run::PlantedBug;
use crate::ward::{self, MODELS, SCHEMA, TRIAGE};

/// What an alert that the limits hold back is called in the ledger.
pub(crate) const HELD_BACK: &str = "suppressed_rate_limit";

/// The mandates of a partition.
pub(super) struct Sentinel {
    port: Port,
    partition: Partition,
    shared: Rc<Shared>,
    /// By mandate and model.
    triage: BTreeMap<(B32, B32), Triage>,
    last_end: BTreeMap<B32, u64>,
    /// Ends of the newest windows that the owners before have raised alerts of or written into the ledger.
    judged: BTreeMap<B32, u64>,
}

impl Sentinel {
    pub(super) const fn new(port: Port, partition: Partition, shared: Rc<Shared>) -> Sentinel {
        Sentinel {
            port,
            partition,
            shared,
            triage: BTreeMap::new(),
            last_end: BTreeMap::new(),
            judged: BTreeMap::new(),
        }
    }

    /// Takes a window in if it is new and made for the schema.
    fn admit(&mut self, entry: &Entry) -> Option<AttestedWindow> {
        let window = AttestedWindow::decode(&entry.payload).ok()?;
        let newest = self.last_end.entry(window.mandate).or_insert(0);
        if window.schema != SCHEMA || window.end <= *newest {
            return None;
        }
        *newest = window.end;
        Some(window)
    }

    /// Steps triage; an alert that was or is held back is taken back from it.
    fn step(
        &mut self,
        window: &AttestedWindow,
        model: B32,
        score: i64,
        is_held_back: impl FnOnce(bool) -> bool,
    ) -> (TriageOutcome, bool) {
        let triage = self.triage.entry((window.mandate, model)).or_insert_with(|| Triage::new(TRIAGE));
        let before = triage.clone();
        let outcome = triage.step(score, Timestamp::from_seconds(window.end));
        let TriageOutcome::Alert { escalation } = outcome else { return (outcome, false) };
        let is_held_back = is_held_back(escalation);
        if is_held_back {
            triage.take_back(&before);
        }
        (outcome, is_held_back)
    }

    /// What a model makes of a window that has no line of it yet; `is_out` where its alert is out.
    fn decide(
        &mut self,
        (window, sequence): (&AttestedWindow, u64),
        model: B32,
        is_out: bool,
        effects: &mut Vec<Effect>,
    ) {
        if !is_out {
            self.port.scored(&model);
        }
        let score = ward::score(&model, &window.features);
        let (shared, run_ms) = (self.shared.clone(), self.port.run_ms());
        // What people were told before is not asked of the limits again; an escalation counts, and is never held back.
        let is_too_much = || !shared.limits.borrow_mut().admit(&window.mandate, &ward::policy(&model), run_ms);
        let (outcome, is_held_back) =
            self.step(window, model, score, |escalation| !is_out && is_too_much() && !escalation);
        let label = if is_held_back { HELD_BACK } else { outcome.label() };
        if let TriageOutcome::Alert { escalation } = outcome
            && !is_held_back
        {
            let alert = self.alert(window, model, score, escalation);
            if !is_out {
                effects.push(effect(Stream::Alerts, Subject::Of(self.partition), &alert));
            }
            let request = self.request(window, &alert);
            effects.push(effect(Stream::ProofRequests, Subject::Named(subject::PROVE_REQUEST.into()), &request));
        }
        let line = self.line(window, sequence, model, score, label);
        effects.push(effect(Stream::Ledger, Subject::Of(self.partition), &line));
    }

    fn alert(&self, window: &AttestedWindow, model: B32, score: i64, escalation: bool) -> Alert {
        let policy = ward::policy(&model);
        Alert {
            v: V1,
            alert_id: Alert::id(&window.window_id, &policy, &model),
            window_id: window.window_id,
            mandate: window.mandate,
            ward: "ward-1".to_owned(),
            policy,
            model,
            score,
            threshold: TRIAGE.threshold,
            probability_ppm: None,
            escalation,
            outside_validated_range: false,
            end: window.end,
            observed_at_ms: window.observed_at_ms,
            raised_at_ms: self.port.now_ms(),
            contributions: Vec::new(),
            similar: Vec::new(),
        }
    }

    fn request(&self, window: &AttestedWindow, alert: &Alert) -> ProofRequest {
        ProofRequest {
            v: V1,
            alert_id: alert.alert_id,
            window: window.clone(),
            policy: alert.policy,
            model: alert.model,
            score: alert.score,
            requested_at_ms: self.port.now_ms(),
            mode: ProofMode::Alert,
        }
    }

    fn line(&self, window: &AttestedWindow, sequence: u64, model: B32, score: i64, outcome: &str) -> ScoredWindow {
        ScoredWindow {
            v: V1,
            window_id: window.window_id,
            window_sequence: sequence,
            mandate: window.mandate,
            end: window.end,
            model,
            score,
            commitment: window.commitment,
            scored_at_ms: self.port.now_ms(),
            engine: "simulated".to_owned(),
            outcome: outcome.to_owned(),
            outside_validated_range: false,
        }
    }
}

impl State for Sentinel {
    const ROLE: Role = Role::Sentinel;
    const INPUT: Stream = Stream::Windows;
    const OUTPUTS: &'static [Stream] = &[Stream::Alerts, Stream::Ledger];

    fn restore(&mut self, bytes: &[u8]) -> Option<()> {
        let mut records = Records(bytes);
        while let Some(mandate) = records.next() {
            let mandate = B32::new(mandate.try_into().ok()?);
            self.last_end.insert(mandate, u64::from_le_bytes(records.next()?.try_into().ok()?));
            for model in MODELS {
                let packed = records.next()?;
                if !packed.is_empty() && !self.port.has_bug(PlantedBug::CoolDownReset) {
                    self.triage.insert((mandate, model), Triage::unpack(packed).ok()?);
                }
            }
        }
        Some(())
    }

    fn pack(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (mandate, end) in &self.last_end {
            record(&mut bytes, mandate.as_bytes());
            record(&mut bytes, &end.to_le_bytes());
            for model in MODELS {
                let triage = self.triage.get(&(*mandate, model));
                record(&mut bytes, &triage.map(Triage::pack).unwrap_or_default());
            }
        }
        bytes
    }

    fn stored(&mut self, stream: Stream, entry: &Entry) {
        let ends = match stream {
            Stream::Ledger => ScoredWindow::decode(&entry.payload).map(|line| (line.mandate, line.end)),
            _ => Alert::decode(&entry.payload).map(|alert| (alert.mandate, alert.end)),
        };
        if let Ok((mandate, end)) = ends {
            let newest = self.judged.entry(mandate).or_insert(0);
            *newest = end.max(*newest);
        }
    }

    fn is_ready(&self) -> bool {
        self.shared.host.is_serving()
    }

    fn handle(&mut self, entry: &Entry, is_stored: &dyn Fn(&str) -> bool) -> Option<Job> {
        let window = self.admit(entry)?;
        let live = self.shared.host.models()?;
        // Of an older window all that was to be stored is stored: a model without a line was not live then.
        let is_open = self.judged.get(&window.mandate).is_none_or(|&newest| newest <= window.end);
        let mut effects = Vec::new();
        for model in MODELS {
            let score = ward::score(&model, &window.features);
            let is_out = is_stored(&alert_message_id(&window, &model));
            if is_stored(&ward::line_id(&window.window_id, &model)) {
                // Decided before: who was called and who was not is read off what is stored.
                if !self.port.has_bug(PlantedBug::CoolDownReset) {
                    self.step(&window, model, score, |escalation| !is_out && !escalation);
                }
            } else if is_out || (is_open && live.contains(&model)) {
                // What people were told has its proof and its line, whatever became of the model since.
                self.decide((&window, entry.sequence), model, is_out, &mut effects);
            }
        }
        (!effects.is_empty()).then_some(Job { key: window.mandate, effects })
    }
}

fn alert_message_id(window: &AttestedWindow, model: &B32) -> String {
    let alert = Alert::id(&window.window_id, &ward::policy(model), model);
    Digest::new(Alert::TYPE).field(alert.as_bytes()).finish().to_hex()
}

fn effect<T: Message>(stream: Stream, subject: Subject, message: &T) -> Effect {
    Effect { stream, subject, id: message.message_id().into(), payload: message.encode().into() }
}
