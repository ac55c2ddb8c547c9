//! Sentinel to prover, prover to steward, steward to everybody.

use serde::{Deserialize, Serialize};

use super::{Address, AttestedWindow, B32, HexBytes, Message, Signature, V1};
use crate::digest::Digest;

/// Asks for a proof that the model gives this score of the attested window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProofRequest {
    /// Version.
    pub v: V1,
    /// The alert that the proof is for.
    pub alert_id: B32,
    /// The window with features and salt.
    pub window: AttestedWindow,
    /// The approved care policy.
    pub policy: B32,
    /// The approved model.
    pub model: B32,
    /// The score that was served and must come out of the proof.
    pub score: i64,
    /// When the proof was asked for.
    pub requested_at_ms: u64,
    /// One window or a batch.
    pub mode: ProofMode,
}

/// How much one proof covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProofMode {
    /// One window, lowest latency.
    Alert,
}

/// A proof with everything that a contract or a reader needs to check it. It holds nothing of the patient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Version.
    pub v: V1,
    /// [`Receipt::id`] of alert and circuit.
    pub receipt_id: B32,
    /// The alert that the proof is for.
    pub alert_id: B32,
    /// The patient's mandate.
    pub mandate: B32,
    /// The approved care policy.
    pub policy: B32,
    /// The approved model.
    pub model: B32,
    /// Hash of the circuit.
    pub circuit: B32,
    /// Hash of the verifying key.
    pub verifying_key: B32,
    /// Name of the proof system.
    pub proof_system: String,
    /// First public value: the oracle's commitment.
    pub commitment: B32,
    /// Second public value: the score.
    pub score: i64,
    /// The proof.
    pub proof: HexBytes,
    /// End of the window, seconds since the epoch.
    pub end: u64,
    /// The oracle that attested the window.
    pub oracle: Address,
    /// Its signature.
    pub signature: Signature,
    /// When the proof was there and had verified.
    pub proved_at_ms: u64,
    /// How long proving took.
    pub prove_ms: u64,
}

/// What became of a receipt on chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settlement {
    /// Version.
    pub v: V1,
    /// The receipt.
    pub receipt_id: B32,
    /// The alert.
    pub alert_id: B32,
    /// The contract's id of the trigger; zero where it refused.
    pub trigger_id: B32,
    /// The transaction; zero where none was sent.
    pub transaction: B32,
    /// Its block.
    pub block: u64,
    /// Gas that it took.
    pub gas_used: u64,
    /// How it ended.
    pub status: SettlementStatus,
    /// Why the contract refused: the name of its error.
    pub reason: Option<String>,
    /// When it was final.
    pub settled_at_ms: u64,
}

/// How a submission ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettlementStatus {
    /// Care was triggered.
    Triggered,
    /// The contract refused, or the submission was given up.
    Refused,
}

impl Receipt {
    /// The identity of a receipt. It leaves out the proof: a prover that proves the same window again
    /// after a crash gets other bytes, and the broker must keep the first only.
    #[must_use]
    pub fn id(alert_id: &B32, circuit: &B32) -> B32 {
        Digest::new("hygeia/receipt-id/v1").field(alert_id.as_bytes()).field(circuit.as_bytes()).finish()
    }
}

impl Message for ProofRequest {
    const TYPE: &'static str = "hygeia/proof-request/v1";

    /// An attested window and a few hashes.
    const BYTES_MAX: usize = 80 * 1024;

    fn identity(&self, digest: Digest) -> Digest {
        let mode = match self.mode {
            ProofMode::Alert => 0,
        };
        digest.field(self.alert_id.as_bytes()).integer(mode)
    }
}

impl Message for Receipt {
    const TYPE: &'static str = "hygeia/receipt/v1";

    fn identity(&self, digest: Digest) -> Digest {
        digest.field(self.receipt_id.as_bytes())
    }
}

impl Message for Settlement {
    const TYPE: &'static str = "hygeia/settlement/v1";

    /// A receipt that was given up and then found triggered after all has two settlements.
    fn identity(&self, digest: Digest) -> Digest {
        let status = match self.status {
            SettlementStatus::Triggered => 0,
            SettlementStatus::Refused => 1,
        };
        digest.field(self.receipt_id.as_bytes()).field(self.transaction.as_bytes()).integer(status)
    }
}
