//! Who is enrolled: from a patient's pseudonym to the mandate and the key its salts come from.
//!
//! Lives in the hospital's trust domain; only the oracle and whoever enrols open it. A record's key is a keyed hash of the
//! pseudonym, because keys of a bucket are subjects and subjects carry no identity. Removing a record destroys the salt
//! key, and with it every link from the patient to a commitment.

use hygeia_protocol::bytes::B32;
use hygeia_protocol::digest::keyed_digest;
use hygeia_protocol::identity::PatientId;
use rand::RngCore;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::bus::{Bucket, Bus, BusError};

const BUCKET: &str = "hygeia_enrolment";

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

    fn key(&self, patient: &PatientId) -> String {
        keyed_digest(&self.network_key, &[b"hygeia/enrolment/v1", patient.expose().as_bytes()].concat()).to_hex()
    }
}
