//! Mirrors `agents/node/src/roles/oracle/`: what one partition keeps, what an observation leads to, and how a window is
//! signed.
//!
//! Left out: consent and enrolment, which never change here; the bound on patients.

use std::collections::BTreeMap;

use hygeia_protocol::digest::{Digest, keyed_digest};
use hygeia_protocol::message::{Address, AttestedWindow, ClinicalSummary, DeadLetter, Message, Signature, V1};
use hygeia_protocol::observation::{Limits, Observation, PatientId, Rejection};
use hygeia_protocol::subject::{self, Partition, Stream};
use hygeia_protocol::time::Timestamp;
use hygeia_protocol::window::{PatientWindow, WindowConfig, WindowSnapshot};

use super::outbox::{Effect, Job};
use super::partition::State;
use super::snapshot::{Records, record};
use crate::broker::{Entry, Subject};
use crate::port::Port;
use crate::process::Role;
use crate::ward;

/// The patients of a partition.
pub(super) struct Oracle {
    port: Port,
    partition: Partition,
    /// Packed, as in the product: a machine is unpacked for an observation and packed again.
    patients: BTreeMap<PatientId, Box<[u8]>>,
}

impl Oracle {
    pub(super) const fn new(port: Port, partition: Partition) -> Oracle {
        Oracle { port, partition, patients: BTreeMap::new() }
    }

    fn observe(&mut self, entry: &Entry) -> Result<(PatientId, Vec<WindowSnapshot>), Rejection> {
        let received = Timestamp::from_millis(entry.stored_at_ms);
        let observation = Observation::decode(&entry.payload, received, &Limits::default())?;
        let patient = observation.patient().clone();
        let mut window = match self.patients.get(&patient) {
            Some(packed) => unpack(packed).expect("what was packed here can be unpacked"),
            None => PatientWindow::new(WindowConfig::default()),
        };
        let snapshots = window.observe(&observation);
        self.patients.insert(patient.clone(), window.pack());
        Ok((patient, snapshots?))
    }

    fn sign(&self, mandate: ward::B32, snapshot: &WindowSnapshot, observed_at_ms: u64) -> AttestedWindow {
        let end = snapshot.end.as_seconds();
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
}

impl State for Oracle {
    const ROLE: Role = Role::Oracle;
    const INPUT: Stream = Stream::Observations;
    const OUTPUTS: &'static [Stream] = &[Stream::Windows];

    fn restore(&mut self, bytes: &[u8]) -> Option<()> {
        let mut records = Records(bytes);
        let mut patients = BTreeMap::new();
        while let Some(name) = records.next() {
            let patient = PatientId::new(std::str::from_utf8(name).ok()?).ok()?;
            let packed = records.next().filter(|packed| unpack(packed).is_some())?;
            patients.insert(patient, packed.into());
        }
        self.patients = patients;
        Some(())
    }

    fn pack(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (patient, packed) in &self.patients {
            record(&mut bytes, patient.expose().as_bytes());
            record(&mut bytes, packed);
        }
        bytes
    }

    fn stored(&mut self, _: Stream, _: &Entry) {}

    fn handle(&mut self, entry: &Entry, is_stored: &dyn Fn(&str) -> bool) -> Option<Job> {
        let (patient, snapshots) = match self.observe(entry) {
            Ok(observed) => observed,
            Err(rejection) => return Some(dead_letter(entry, rejection)),
        };
        if snapshots.is_empty() {
            return None;
        }
        let mandate = ward::mandate(&patient);
        let mut effects = Vec::new();
        for snapshot in snapshots {
            let window = self.sign(mandate, &snapshot, entry.stored_at_ms);
            let id = window.message_id();
            if !is_stored(&id) {
                let (stream, subject) = (Stream::Windows, Subject::Of(self.partition));
                effects.push(Effect { stream, subject, id: id.into(), payload: window.encode().into() });
            }
        }
        (!effects.is_empty()).then_some(Job { key: mandate, effects })
    }
}

fn unpack(packed: &[u8]) -> Option<PatientWindow> {
    PatientWindow::unpack(packed, WindowConfig::default()).ok()
}

fn dead_letter(entry: &Entry, rejection: Rejection) -> Job {
    let letter = DeadLetter {
        v: V1,
        reason: rejection.reason().to_owned(),
        digest: keyed_digest(&[8; 32], &entry.payload),
        stream_sequence: entry.sequence,
        received_at_ms: entry.stored_at_ms,
    };
    let subject = Subject::Named(subject::dead_letter(rejection.reason()).into());
    let (id, payload) = (letter.message_id().into(), letter.encode().into());
    let key = Digest::new("hygeia-sim/dead").integer(entry.sequence).finish();
    Job { key, effects: vec![Effect { stream: Stream::DeadLetters, subject, id, payload }] }
}
