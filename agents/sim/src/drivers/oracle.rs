//! Mirrors `agents/node/src/roles/oracle.rs`: `Oracle::follow` (read, observe, attest each window or dead-letter, then
//! the checkpoint), `observe`, `attest`, `sign` and `dead_letter`.
//!
//! Left out: consent and enrolment, which never change here; the bound on patients.

use std::collections::BTreeMap;

use hygeia_protocol::digest::keyed_digest;
use hygeia_protocol::message::{Address, AttestedWindow, ClinicalSummary, DeadLetter, Signature, V1};
use hygeia_protocol::observation::{Limits, Observation, PatientId, Rejection};
use hygeia_protocol::subject::{self, Partitioner, Stream};
use hygeia_protocol::time::Timestamp;
use hygeia_protocol::window::{PatientWindow, WindowConfig, WindowSnapshot};

use crate::broker::Entry;
use crate::call::Unanswered;
use crate::port::{Checkpoint, OrderedReader, Port};
use crate::ward;
use crate::world::CHECKPOINTS;

struct Oracle {
    port: Port,
    partitioner: Partitioner,
    patients: BTreeMap<PatientId, PatientWindow>,
}

pub(super) async fn run(port: Port) -> Result<(), Unanswered> {
    let mut oracle = Oracle { port, partitioner: ward::partitioner(), patients: BTreeMap::new() };
    oracle.follow().await
}

impl Oracle {
    async fn follow(&mut self) -> Result<(), Unanswered> {
        let mut checkpoint = Checkpoint::load(&self.port, CHECKPOINTS[0]).await?;
        let mut reader = OrderedReader::open(self.port.clone(), Stream::Observations, 1);
        loop {
            let Some(entry) = reader.next_within(checkpoint.moved()).await? else {
                checkpoint.flush().await?;
                continue;
            };
            let silent = checkpoint.covers(entry.sequence);
            match self.observe(&entry) {
                Ok((patient, snapshots)) if !silent => {
                    for snapshot in snapshots {
                        self.attest(&patient, &snapshot, entry.stored_at_ms).await?;
                    }
                }
                Err(rejection) if !silent => self.dead_letter(&entry, rejection).await?,
                Ok(_) | Err(_) => {}
            }
            if !silent {
                checkpoint.advance(entry.sequence).await?;
            }
        }
    }

    fn observe(&mut self, entry: &Entry) -> Result<(PatientId, Vec<WindowSnapshot>), Rejection> {
        let received = Timestamp::from_millis(entry.stored_at_ms);
        let observation = Observation::decode(&entry.payload, received, &Limits::default())?;
        let patient = observation.patient().clone();
        let new = || PatientWindow::new(WindowConfig::default());
        let snapshots = self.patients.entry(patient.clone()).or_insert_with(new).observe(&observation)?;
        Ok((patient, snapshots))
    }

    async fn attest(
        &self,
        patient: &PatientId,
        snapshot: &WindowSnapshot,
        observed_at_ms: u64,
    ) -> Result<(), Unanswered> {
        let subject = subject::window(self.partitioner.of(patient));
        let window = self.sign(patient, snapshot, observed_at_ms);
        self.port.publish(Stream::Windows, subject, &window).await
    }

    fn sign(&self, patient: &PatientId, snapshot: &WindowSnapshot, observed_at_ms: u64) -> AttestedWindow {
        let (mandate, end) = (ward::mandate(patient), snapshot.end.as_seconds());
        let features = ward::features(snapshot);
        let salt = ward::salt(&mandate, end);
        AttestedWindow {
            v: V1,
            window_id: AttestedWindow::id(&mandate, end, &ward::SCHEMA),
            mandate,
            end,
            schema: ward::SCHEMA,
            commitment: ward::commitment(&features, &salt),
            features,
            salt,
            oracle: Address::new([5; 20]),
            signature: Signature::new([6; 65]),
            clinical: ClinicalSummary::from(snapshot),
            observed_at_ms,
            emitted_at_ms: self.port.now_ms(),
        }
    }

    async fn dead_letter(&self, entry: &Entry, rejection: Rejection) -> Result<(), Unanswered> {
        let letter = DeadLetter {
            v: V1,
            reason: rejection.reason().to_owned(),
            digest: keyed_digest(&[8; 32], &entry.payload),
            stream_sequence: entry.sequence,
            received_at_ms: entry.stored_at_ms,
        };
        self.port.publish(Stream::DeadLetters, subject::dead_letter(rejection.reason()), &letter).await
    }
}
