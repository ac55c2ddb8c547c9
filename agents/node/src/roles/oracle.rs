//! Hop 3: from observations to attested windows, inside the hospital's trust domain.
//!
//! Reads the observations strictly in order, keeps one window machine per patient, and signs what comes out of it.
//! After a restart it rebuilds the machines in silence up to its checkpoint; a window made again is the same window,
//! because its salt is derived and its order of observations is the stream's.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result};
use hygeia_inference::schema::FeatureSchema;
use hygeia_protocol::digest::keyed_digest;
use hygeia_protocol::message::{
    Address, AttestedWindow, B32, ClinicalSummary, DeadLetter, Message, Salt, Signature, V1,
};
use hygeia_protocol::observation::{Limits, Observation, PatientId, Rejection};
use hygeia_protocol::subject::{self, Partitioner, Stream};
use hygeia_protocol::time::Timestamp;
use hygeia_protocol::window::{PatientWindow, WindowConfig, WindowSnapshot};
use hygeia_zkml::CommitmentScheme;

use super::{Site, required};
use crate::bus::{Checkpoint, Entry, OrderedReader};
use crate::chain::registry::Registries;
use crate::chain::signing::OracleSigner;
use crate::chain::{load_secret, load_signer};
use crate::cli::OracleArgs;
use crate::clock::now_ms;
use crate::convert;
use crate::enrolment::{Enrolment, Enrolments};
use crate::models;
use crate::telemetry::schema::events::Attribute;
use crate::telemetry::trace::{Span, Value};
use crate::telemetry::{Counter, Histogram, Loop, Moment};

/// Without a message for this long the checkpoint is written down.
const IDLE: Duration = Duration::from_millis(500);
/// Patients kept in memory at a time: more than a hospital group's beds, and a bound on the role's memory.
const PATIENTS_MAX: usize = 100_000;

/// Runs the oracle until the site stops.
pub async fn run(site: Site, args: OracleArgs) -> Result<()> {
    let key_file = required(args.oracle_key_file, "--oracle-key-file", "the oracle signs every window it attests")?;
    let network_key = load_secret(&required(
        site.connect.network_key_file.clone(),
        "--network-key-file",
        "patients are spread over partitions by it",
    )?)?;
    let chain = site.chain(None).await?;
    let schema = models::load(site.connect.model.as_deref())?.schema().clone();
    let mut oracle = Oracle {
        signer: OracleSigner::new(load_signer(&key_file)?, &site.deployment),
        enrolments: Enrolments::open(&site.bus, network_key).await?,
        registries: Registries::watch(chain, site.deployment.clone(), site.stop.clone()).await?,
        schema_hash: schema.hash(),
        schema,
        partitioner: Partitioner::new(network_key, site.connect.partitions),
        dead_letter_key: keyed_digest(&network_key, b"hygeia/dead-letter-key/v1").into_bytes(),
        patients: HashMap::new(),
        limits: Limits::default(),
        site,
    };
    oracle.follow().await
}

struct Oracle {
    site: Site,
    signer: OracleSigner,
    enrolments: Enrolments,
    registries: Registries,
    schema: FeatureSchema,
    /// Hashed once: every window names it.
    schema_hash: [u8; 32],
    partitioner: Partitioner,
    /// A key of its own: a message made up to be refused must not draw out a digest that names something else.
    dead_letter_key: [u8; 32],
    patients: HashMap<PatientId, Patient>,
    limits: Limits,
}

struct Patient {
    window: PatientWindow,
    enrolment: Option<Enrolment>,
}

impl Oracle {
    async fn follow(&mut self) -> Result<()> {
        let mut checkpoint = Checkpoint::load(&self.site.bus, "oracle").await?;
        let mut reader = OrderedReader::open(&self.site.bus, Stream::Observations, Vec::new(), 1).await?;
        tracing::info!(oracle = %self.signer.address(), rebuild_to = checkpoint.stored(), "oracle follows the observations");
        if checkpoint.stored() == 0 {
            self.site.metrics.ready();
        }
        let stop = self.site.stop.clone();
        loop {
            self.site.metrics.watchdog().beat(Loop::Oracle);
            let entry = tokio::select! {
                () = stop.cancelled() => break,
                entry = reader.next_within(IDLE) => entry?,
            };
            let Some(entry) = entry else {
                self.site.metrics.ready();
                checkpoint.flush().await?;
                continue;
            };
            self.site.metrics.saw(Moment::Observation);
            let silent = checkpoint.covers(entry.sequence);
            match self.observe(&entry).await? {
                Ok((patient, snapshots)) if !silent => {
                    self.site.metrics.count(Counter::ObservationsAccepted, "");
                    for snapshot in snapshots {
                        self.attest(&patient, snapshot, &entry).await?;
                    }
                }
                Err(rejection) if !silent => self.dead_letter(&entry, &rejection).await?,
                Ok(_) | Err(_) => {}
            }
            if !silent {
                self.site.metrics.ready();
                checkpoint.advance(entry.sequence).await?;
            }
        }
        checkpoint.flush().await?;
        self.site.metrics.watchdog().ended(Loop::Oracle);
        Ok(())
    }

    /// Takes one message into its patient's window; the windows that it closed.
    async fn observe(&mut self, entry: &Entry) -> Result<Result<(PatientId, Vec<WindowSnapshot>), Rejection>> {
        let received = Timestamp::from_millis(entry.stored_at_ms);
        let observation = match Observation::decode(&entry.payload, received, &self.limits) {
            Ok(observation) => observation,
            Err(rejection) => return Ok(Err(rejection)),
        };
        let patient = observation.patient().clone();
        if !self.patients.contains_key(&patient) {
            self.make_room(observation.effective())?;
            let enrolment = self.enrolments.find(&patient).await?;
            let window = PatientWindow::new(WindowConfig::default());
            self.patients.insert(patient.clone(), Patient { window, enrolment });
        }
        let state = self.patients.get_mut(&patient).context("the patient was just inserted")?;
        Ok(state.window.observe(&observation).map(|snapshots| (patient, snapshots)))
    }

    /// Forgets patients whose windows hold nothing any more, when there is no room for another.
    fn make_room(&mut self, now: Timestamp) -> Result<()> {
        if self.patients.len() >= PATIENTS_MAX {
            self.patients.retain(|_, state| !state.window.is_spent(now));
        }
        anyhow::ensure!(
            self.patients.len() < PATIENTS_MAX,
            "more than {PATIENTS_MAX} patients on one oracle: spread the partitions over more replicas"
        );
        Ok(())
    }

    /// Signs a window under the patient's mandate and publishes it; withholds it where there is no live consent.
    async fn attest(&mut self, patient: &PatientId, snapshot: WindowSnapshot, last: &Entry) -> Result<()> {
        let partition = self.partitioner.of(patient);
        let enrolment = match self.consented(patient).await? {
            Ok(enrolment) => enrolment,
            Err(why) => {
                self.site.metrics.count(Counter::WindowsWithheld, why);
                return Ok(());
            }
        };
        let Some(scheme) = self.registries.commitment_scheme(&enrolment.mandate) else {
            self.site.metrics.count(Counter::WindowsWithheld, "proof_system_unknown");
            return Ok(());
        };
        let mut span = Span::of_window(last.trace, last.stored_at_ms);
        span.tell(Attribute::Partition, Value::Number(partition.0.into()));
        let window = self.sign(&enrolment, scheme, &snapshot, last.stored_at_ms)?;
        let (subject, id) = (subject::window(partition), window.message_id());
        span.around(self.site.bus.publish(Stream::Windows, subject, &id, window.encode())).await?;
        span.end();
        self.site.metrics.count(Counter::WindowsAttested, "");
        self.site.metrics.saw(Moment::Window);
        self.site.metrics.took_since_ms(Histogram::WindowLatency, last.stored_at_ms, now_ms());
        Ok(())
    }

    /// The patient's enrolment under a mandate that lets this oracle attest; else why there is none.
    async fn consented(&mut self, patient: &PatientId) -> Result<Result<Enrolment, &'static str>> {
        let known = self.patients.get(patient).and_then(|state| state.enrolment.clone());
        if let Some(enrolment) = known
            && self.registries.may_attest(&enrolment.mandate, self.signer.address())
        {
            return Ok(Ok(enrolment));
        }
        // Enrolled since, enrolled anew under another mandate, or forgotten: the record decides.
        let found = self.enrolments.find(patient).await?;
        if let Some(state) = self.patients.get_mut(patient) {
            state.enrolment.clone_from(&found);
        }
        Ok(match found {
            None => Err("not_enrolled"),
            Some(enrolment) if self.registries.may_attest(&enrolment.mandate, self.signer.address()) => Ok(enrolment),
            Some(_) => Err("mandate_not_live"),
        })
    }

    fn sign(
        &self,
        enrolment: &Enrolment,
        scheme: CommitmentScheme,
        snapshot: &WindowSnapshot,
        observed_at_ms: u64,
    ) -> Result<AttestedWindow> {
        let end_s = snapshot.end.as_seconds();
        let schema = self.schema_hash;
        let features = self.schema.features(&convert::clinical_state(snapshot));
        let salt = enrolment.salt(end_s);
        let commitment = scheme.commit(schema, &features, &hygeia_zkml::Salt::new(salt))?;
        let signature = self.signer.attest(enrolment.mandate.into_bytes(), end_s, schema, commitment.to_bytes())?;
        Ok(AttestedWindow {
            v: V1,
            window_id: AttestedWindow::id(&enrolment.mandate, end_s, &B32::new(schema)),
            mandate: enrolment.mandate,
            end: end_s,
            schema: B32::new(schema),
            features,
            salt: Salt::new(salt),
            commitment: B32::new(commitment.to_bytes()),
            oracle: Address::new(self.signer.address().into_array()),
            signature: Signature::new(signature),
            clinical: ClinicalSummary::from(snapshot),
            observed_at_ms,
            emitted_at_ms: now_ms(),
        })
    }

    async fn dead_letter(&self, entry: &Entry, rejection: &Rejection) -> Result<()> {
        let reason = rejection.reason();
        let letter = DeadLetter {
            v: V1,
            reason: reason.to_owned(),
            digest: keyed_digest(&self.dead_letter_key, &entry.payload),
            stream_sequence: entry.sequence,
            received_at_ms: entry.stored_at_ms,
        };
        self.site
            .bus
            .publish(Stream::DeadLetters, subject::dead_letter(reason), &letter.message_id(), letter.encode())
            .await?;
        self.site.metrics.count(Counter::ObservationsDeadLettered, reason);
        tracing::debug!(reason, sequence = entry.sequence, "observation dead-lettered");
        Ok(())
    }
}
