//! Submissions under way, each stored with the payer that it stays with.
//!
//! A write follows the revision that was read. Of two stewards that work on the same receipt (one was taken for dead and
//! is not) the second to write is refused, and leaves the receipt to the other.

use hygeia_protocol::bytes::{Address, B32};
use hygeia_protocol::submission::Submission;
use serde::{Deserialize, Serialize};

use super::SettleError;
use crate::bus::{Bucket, Bus, BusError};

/// Bucket with the submissions.
const SUBMISSIONS_BUCKET: &str = "hygeia_submission";

/// The submissions of all stewards.
#[derive(Clone)]
pub struct Submissions {
    bucket: Bucket,
}

/// What is stored of one receipt.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    payer: Address,
    machine: Submission,
}

/// A submission as it was read, to be written back.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Who pays for it: all its transactions are of this account.
    pub payer: Address,
    /// The machine.
    pub machine: Submission,
    revision: u64,
}

impl Submissions {
    /// Opens the bucket, creating it when absent.
    pub async fn open(bus: &Bus) -> Result<Self, BusError> {
        Ok(Self { bucket: bus.bucket(SUBMISSIONS_BUCKET).await? })
    }

    /// What is stored of a receipt. Bytes that are no submission count as none: the chain is asked before anything is sent.
    pub async fn get(&self, receipt: &B32) -> Result<Option<Stored>, BusError> {
        Ok(self.read(receipt).await?.1)
    }

    /// What is stored of a receipt, or this machine with this payer where nothing is.
    pub async fn get_or(&self, receipt: &B32, payer: Address, fresh: Submission) -> Result<Stored, BusError> {
        let (revision, stored) = self.read(receipt).await?;
        Ok(stored.unwrap_or(Stored { payer, machine: fresh, revision }))
    }

    /// Writes a submission back.
    pub async fn put(&self, stored: &mut Stored) -> Result<(), SettleError> {
        let key = stored.machine.digest().to_hex();
        let record = Record { payer: stored.payer, machine: stored.machine.clone() };
        let bytes = serde_json::to_vec(&record).expect("a submission has string keys and no floats");
        stored.revision = self.bucket.put_if(&key, bytes, stored.revision).await?.ok_or(SettleError::Taken)?;
        Ok(())
    }

    /// Begins a submission again that has ended; false where it has not, or somebody else wrote meanwhile.
    pub async fn reopen(&self, receipt: &B32) -> Result<bool, SettleError> {
        let Some(stored) = self.get(receipt).await? else { return Ok(true) };
        if stored.machine.end().is_none() {
            return Ok(true);
        }
        let mut reopened = Stored { machine: stored.machine.reopened(), ..stored };
        match self.put(&mut reopened).await {
            Ok(()) => Ok(true),
            Err(SettleError::Taken) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn read(&self, receipt: &B32) -> Result<(u64, Option<Stored>), BusError> {
        let key = receipt.to_hex();
        let (value, revision) = self.bucket.record(&key).await?;
        let record = value.and_then(|bytes| match serde_json::from_slice::<Record>(&bytes) {
            Ok(record) => Some(record),
            Err(_) => {
                tracing::warn!(receipt = key, "a stored submission cannot be read; the chain is asked anew");
                None
            }
        });
        let stored = record.map(|Record { payer, machine }| Stored { payer, machine, revision });
        Ok((revision, stored))
    }
}
