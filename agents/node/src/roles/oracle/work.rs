//! One partition of the oracle: observations in, attested windows and dead letters out.

use std::sync::Arc;

use anyhow::Result;
use hygeia_protocol::digest::keyed_digest;
use hygeia_protocol::identity::PatientId;
use hygeia_protocol::message::{AttestedWindow, DeadLetter, Message, V1};
use hygeia_protocol::observation::{Observation, Rejection};
use hygeia_protocol::subject::{self, Partition, Stream};
use hygeia_protocol::time::Timestamp;
use hygeia_protocol::window::WindowSnapshot;

use super::Oracle;
use super::patients::Patients;
use crate::bus::Entry;
use crate::clock::now_ms;
use crate::enrolment::Enrolment;
use crate::partition::{Effect, Lane, Outbox, Payload, Work};
use crate::telemetry::schema::events::Attribute;
use crate::telemetry::trace::{Span, Value};
use crate::telemetry::{Counter, Histogram, Moment};

/// One partition of the oracle.
pub struct OracleWork {
    oracle: Arc<Oracle>,
    partition: Partition,
    patients: Patients,
}

impl OracleWork {
    pub(super) fn new(oracle: Arc<Oracle>, partition: Partition) -> Self {
        Self { oracle, partition, patients: Patients::default() }
    }

    /// Takes one message in; what it closed. Whether it was taken.
    async fn observe(&mut self, entry: &Entry, outbox: &mut Outbox) -> Result<bool> {
        let received = Timestamp::from_millis(entry.stored_at_ms);
        let observation = match Observation::decode(&entry.payload, received, &self.oracle.limits) {
            Ok(observation) => observation,
            Err(rejection) => {
                self.dead_letter(entry, &rejection, outbox);
                return Ok(false);
            }
        };
        let patient = observation.patient();
        match self.patients.window(patient, observation.effective())?.observe(&observation) {
            Ok(snapshots) => {
                for snapshot in snapshots {
                    self.attest(entry, patient, snapshot, outbox).await?;
                }
                Ok(true)
            }
            Err(rejection) => {
                self.dead_letter(entry, &rejection, outbox);
                Ok(false)
            }
        }
    }

    /// Signs a window under the patient's mandate; withholds it where there is no live consent.
    async fn attest(
        &mut self,
        entry: &Entry,
        patient: &PatientId,
        snapshot: WindowSnapshot,
        outbox: &mut Outbox,
    ) -> Result<()> {
        if outbox.is_silent() {
            return Ok(());
        }
        let window = match self.consented(patient).await? {
            Ok(enrolment) => match self.oracle.schemas.of(&enrolment.mandate) {
                Ok(schema) => self.oracle.window(&enrolment, &schema, &snapshot, entry.stored_at_ms, outbox)?,
                Err(why) => Err(why),
            },
            Err(why) => Err(why),
        };
        match window {
            Ok(Some(window)) => self.publish(entry, patient, &window, outbox),
            // Stored already.
            Ok(None) => {}
            Err(why) => self.oracle.site.metrics.count(Counter::WindowsWithheld, why),
        }
        Ok(())
    }

    fn publish(&self, entry: &Entry, patient: &PatientId, window: &AttestedWindow, outbox: &mut Outbox) {
        let (input, trace) = (entry.sequence, entry.trace);
        let metrics = self.oracle.site.metrics.clone();
        let stored_at_ms = window.observed_at_ms;
        let mut span = Span::of_window(trace, stored_at_ms);
        span.tell(Attribute::Partition, Value::Number(self.partition.0.into()));
        let context = span.context();
        let effect = Effect {
            lane: Lane::of(patient),
            stream: Stream::Windows,
            subject: subject::window(self.partition),
            message_id: window.message_id(),
            payload: Payload::Ready(window.encode()),
            noted: Some(Box::new(move || {
                metrics.count(Counter::WindowsAttested, "");
                metrics.saw(Moment::Window);
                metrics.took_since_ms(Histogram::WindowLatency, stored_at_ms, now_ms());
                span.end();
            })),
            trace: Some(context),
        };
        outbox.push(input, effect);
    }

    /// The patient's enrolment under a mandate that lets this oracle attest; else why there is none.
    async fn consented(&mut self, patient: &PatientId) -> Result<Result<Enrolment, &'static str>> {
        let may_attest = |enrolment: &Enrolment| self.oracle.may_attest(enrolment);
        let known = self.patients.enrolment(patient).filter(may_attest);
        let has_changed = self.oracle.changes.take(patient);
        if let (Some(known), false) = (&known, has_changed) {
            return Ok(Ok(known.clone()));
        }
        // Enrolled since, enrolled anew under another mandate, or forgotten: the record decides.
        let found = self.oracle.enrolments.find(patient).await?;
        if let (Some(known), Some(found)) = (known, &found)
            && !(self.oracle.may_attest(found) && self.oracle.schemas.of(&found.mandate).is_ok())
        {
            // The new consent is in a block that was not seen here yet, or its features are not known. The old one holds.
            self.oracle.changes.put_back(patient);
            return Ok(Ok(known));
        }
        self.patients.enrol(patient, found.clone());
        Ok(match found {
            None => Err("not_enrolled"),
            Some(enrolment) if self.oracle.may_attest(&enrolment) => Ok(enrolment),
            Some(_) => Err("mandate_not_live"),
        })
    }

    fn dead_letter(&self, entry: &Entry, rejection: &Rejection, outbox: &mut Outbox) {
        let reason = rejection.reason();
        let letter = DeadLetter {
            v: V1,
            reason: reason.to_owned(),
            digest: keyed_digest(&self.oracle.dead_letter_key, &entry.payload),
            stream_sequence: entry.sequence,
            received_at_ms: entry.stored_at_ms,
        };
        let metrics = self.oracle.site.metrics.clone();
        let sequence = entry.sequence;
        let effect = Effect {
            lane: Lane::of(sequence),
            stream: Stream::DeadLetters,
            subject: subject::dead_letter(reason),
            message_id: letter.message_id(),
            payload: Payload::Ready(letter.encode()),
            noted: Some(Box::new(move || {
                metrics.count(Counter::ObservationsDeadLettered, reason);
                tracing::debug!(reason, sequence, "observation dead-lettered");
            })),
            trace: entry.trace,
        };
        outbox.push(sequence, effect);
    }
}

impl Work for OracleWork {
    /// An observation costs microseconds; one that closes windows costs their signatures, and is rare.
    const BATCH_MAX: usize = 64;

    fn restore(&mut self, state: &[u8]) -> bool {
        Patients::read(state).map(|patients| self.patients = patients).is_some()
    }

    fn snapshot(&mut self) -> Vec<u8> {
        self.patients.write()
    }

    async fn handle(&mut self, inputs: Vec<Entry>, outbox: &mut Outbox) -> Result<()> {
        let mut taken = 0;
        for entry in &inputs {
            taken += u64::from(self.observe(entry, outbox).await?);
        }
        self.patients.close();
        if !outbox.is_silent() {
            self.oracle.site.metrics.add(Counter::ObservationsAccepted, "", taken);
            self.oracle.site.metrics.saw(Moment::Observation);
        }
        Ok(())
    }
}
