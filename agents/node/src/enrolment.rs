//! Who is enrolled: from a patient's pseudonym to the mandate and the key its salts come from.
//!
//! Lives in the hospital's trust domain; only the oracle and whoever enrols open it. A record's key is a keyed hash of the
//! pseudonym, because keys of a bucket are subjects and subjects carry no identity. Removing a record destroys the salt
//! key, and with it every link from the patient to a commitment.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hygeia_protocol::bytes::B32;
use hygeia_protocol::digest::keyed_digest;
use hygeia_protocol::identity::PatientId;
use rand::RngCore;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::bus::{Bucket, Bus, BusError, Watch};

const BUCKET: &str = "hygeia_enrolment";
/// Pause before the records are watched anew after a failure.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// What could not be done with an enrolment.
#[derive(Debug, Error)]
pub enum EnrolmentError {
    /// The broker failed.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// A stored record cannot be read.
    #[error("a stored enrolment record is malformed")]
    Malformed(#[source] serde_json::Error),
}

/// One patient's enrolment.
#[derive(Clone, Serialize, Deserialize)]
pub struct Enrolment {
    /// The consent the patient's windows are attested under.
    pub mandate: B32,
    /// Secret the salts are derived from.
    salt_key: B32,
}

impl Enrolment {
    /// The salt of the window that ends at `end_s`. The same window always has the same salt, so an oracle that
    /// restarts signs the same commitment again rather than a second one.
    pub fn salt(&self, end_s: u64) -> [u8; 16] {
        let tag =
            keyed_digest(self.salt_key.as_bytes(), &[b"hygeia/salt/v1".as_slice(), &end_s.to_be_bytes()].concat());
        let mut salt = [0; 16];
        salt.copy_from_slice(&tag.as_bytes()[..16]);
        salt
    }
}

/// The enrolments of a care network.
#[derive(Clone)]
pub struct Enrolments {
    bucket: Bucket,
    network_key: [u8; 32],
}

impl Enrolments {
    /// Opens the store with the network's secret key.
    pub async fn open(bus: &Bus, network_key: [u8; 32]) -> Result<Self, EnrolmentError> {
        Ok(Self { bucket: bus.bucket(BUCKET).await?, network_key })
    }

    /// Enrols `patient` under `mandate` with a fresh salt key.
    pub async fn enrol(&self, patient: &PatientId, mandate: B32) -> Result<(), EnrolmentError> {
        let mut salt_key = [0; 32];
        rand::rngs::OsRng.fill_bytes(&mut salt_key);
        let record = Enrolment { mandate, salt_key: B32::new(salt_key) };
        let bytes = serde_json::to_vec(&record).map_err(EnrolmentError::Malformed)?;
        Ok(self.bucket.put(&self.key(patient), bytes).await?)
    }

    /// The enrolment of `patient`, if any.
    pub async fn find(&self, patient: &PatientId) -> Result<Option<Enrolment>, EnrolmentError> {
        match self.bucket.get(&self.key(patient)).await? {
            Some(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(EnrolmentError::Malformed),
            None => Ok(None),
        }
    }

    /// Forgets `patient`: the salt key is destroyed.
    pub async fn forget(&self, patient: &PatientId) -> Result<(), EnrolmentError> {
        Ok(self.bucket.purge(&self.key(patient)).await?)
    }

    /// Which records are written or removed from now on, until `stop`. Whoever remembers a record asks before it relies on
    /// it.
    pub async fn changes(&self, stop: CancellationToken) -> Result<EnrolmentChanges, EnrolmentError> {
        let changes = EnrolmentChanges { network_key: self.network_key, changed: Arc::default() };
        let (bucket, changed) = (self.bucket.clone(), changes.changed.clone());
        // What stands so far nobody remembers yet.
        let mut watch = Some(standing(&bucket).await?.0);
        tokio::spawn(async move {
            stop.run_until_cancelled(async {
                loop {
                    if let Err(reason) = follow(&bucket, watch.take(), &changed).await {
                        tracing::warn!(%reason, "enrolments cannot be watched; trying again");
                    }
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            })
            .await;
        });
        Ok(changes)
    }

    fn key(&self, patient: &PatientId) -> String {
        key(&self.network_key, patient)
    }
}

fn key(network_key: &[u8; 32], patient: &PatientId) -> String {
    keyed_digest(network_key, &[b"hygeia/enrolment/v1", patient.expose().as_bytes()].concat()).to_hex()
}

/// Records that were written or removed and not looked at since.
#[derive(Clone)]
pub struct EnrolmentChanges {
    network_key: [u8; 32],
    // Keys, never patients. Written by the watch, emptied as patients are attested.
    changed: Arc<Mutex<HashSet<String>>>,
}

impl EnrolmentChanges {
    /// Whether the record of a patient changed since this was asked last.
    pub fn take(&self, patient: &PatientId) -> bool {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        !changed.is_empty() && changed.remove(&key(&self.network_key, patient))
    }

    /// Notes that a record is to be looked at again.
    pub fn put_back(&self, patient: &PatientId) {
        note(&self.changed, key(&self.network_key, patient));
    }
}

fn note(changed: &Mutex<HashSet<String>>, key: String) {
    changed.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
}

/// A watch that has shown all that stands, and the keys of that.
async fn standing(bucket: &Bucket) -> Result<(Watch, Vec<String>), BusError> {
    let is_empty = bucket.is_empty(">").await?;
    let mut watch = bucket.watch(&[">".to_owned()]).await?;
    let mut keys = Vec::new();
    if is_empty {
        return Ok((watch, keys));
    }
    loop {
        let record = watch.next().await?;
        keys.push(record.key);
        if record.before_current == 0 {
            return Ok((watch, keys));
        }
    }
}

/// Notes changes for as long as the watch holds. Opened anew, any record may have changed meanwhile.
async fn follow(bucket: &Bucket, watch: Option<Watch>, changed: &Mutex<HashSet<String>>) -> Result<(), BusError> {
    let mut watch = match watch {
        Some(watch) => watch,
        None => {
            let (watch, keys) = standing(bucket).await?;
            keys.into_iter().for_each(|key| note(changed, key));
            watch
        }
    };
    loop {
        note(changed, watch.next().await?.key);
    }
}
