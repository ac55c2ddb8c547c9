//! Auditing: what is to be proved together, the proof of a batch, and each window's receipt under it.

use serde::{Deserialize, Serialize};

use super::{B32, HexBytes, Message, V1};
use crate::digest::Digest;

/// Most windows of one order; as many as an audit circuit ever holds.
pub const AUDIT_WINDOWS_MAX: usize = 4096;

/// Says which scored windows are proved together. Once it is stored, its batch never changes: whoever proves it, and
/// however often, proves the same windows in the same order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditOrder {
    /// Version.
    pub v: V1,
    /// [`AuditOrder::id`] of the two fields that follow.
    pub batch_id: B32,
    /// The approved model that scored the windows.
    pub model: B32,
    /// The windows, in the order of their leaves.
    pub windows: Vec<WindowToAudit>,
    /// Place in the ledger up to which every window of the model stands in this order or an earlier one.
    pub ledger_to: u64,
}

/// A scored window that is to be proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowToAudit {
    /// The window.
    pub window_id: B32,
    /// Where it stands in the stream of attested windows.
    pub sequence: u64,
    /// The score that was served and must come out of the proof.
    pub score: i64,
}

/// The proof of a batch, with everything that a contract or a reader needs to check it. It names no window: the root
/// stands for them, and each has a [`WindowReceipt`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditedBatch {
    /// Version.
    pub v: V1,
    /// The order's batch.
    pub batch_id: B32,
    /// The approved model.
    pub model: B32,
    /// Hash of the audit circuit.
    pub circuit: B32,
    /// Hash of its verifying key.
    pub verifying_key: B32,
    /// Name of the proof system.
    pub proof_system: String,
    /// First public value: root of the tree over commitments and scores.
    pub root: B32,
    /// Second public value: how many windows are under the root.
    pub count: u32,
    /// Leaves of the tree, padding included: a property of the circuit.
    pub leaves: u32,
    /// The proof.
    pub proof: HexBytes,
    /// When the proof was there and had verified.
    pub proved_at_ms: u64,
    /// How long proving took.
    pub prove_ms: u64,
    /// Processor time that the prover took meanwhile; alerts that it proved at the same time are in it.
    pub cpu_ms: u64,
}

/// One window's place under the root of an audited batch: what a patient keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowReceipt {
    /// Version.
    pub v: V1,
    /// The window.
    pub window_id: B32,
    /// The batch that it was proved in.
    pub batch_id: B32,
    /// The path to the root.
    pub inclusion: Inclusion,
}

/// A leaf and its path, under the names that the receipt of the proof crate has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inclusion {
    /// Version of this form.
    pub version: u32,
    /// Which leaf it is.
    pub index: u32,
    /// Leaves of the tree.
    pub leaves: u32,
    /// Windows under the root.
    pub count: u32,
    /// The root.
    pub root: B32,
    /// The oracle's commitment.
    pub commitment: B32,
    /// The score.
    pub score: i64,
    /// Digests beside the path, leaf first.
    pub path: Vec<B32>,
}

impl AuditOrder {
    /// An order for these windows.
    #[must_use]
    pub fn new(model: B32, windows: Vec<WindowToAudit>, ledger_to: u64) -> AuditOrder {
        AuditOrder { v: V1, batch_id: AuditOrder::id(&model, &windows), model, windows, ledger_to }
    }

    /// The identity of a batch: its model and its windows with their scores, in order.
    #[must_use]
    pub fn id(model: &B32, windows: &[WindowToAudit]) -> B32 {
        let start = Digest::new("hygeia/audit-batch-id/v1").field(model.as_bytes());
        let add = |digest: Digest, window: &WindowToAudit| {
            digest.field(window.window_id.as_bytes()).integer(window.sequence).field(&window.score.to_be_bytes())
        };
        windows.iter().fold(start, add).finish()
    }

    /// Whether the order is one that a collector can have given: its identity is that of its windows, and there are some
    /// but not too many.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        (1..=AUDIT_WINDOWS_MAX).contains(&self.windows.len())
            && self.batch_id == AuditOrder::id(&self.model, &self.windows)
    }
}

impl Message for AuditOrder {
    const TYPE: &'static str = "hygeia/audit-order/v1";

    /// The most windows there may be take some 160 bytes each.
    const BYTES_MAX: usize = 1024 * 1024;

    fn identity(&self, digest: Digest) -> Digest {
        digest.field(self.batch_id.as_bytes())
    }
}

impl Message for AuditedBatch {
    const TYPE: &'static str = "hygeia/audited-batch/v1";

    /// It leaves out the proof, which differs each time that the same batch is proved.
    fn identity(&self, digest: Digest) -> Digest {
        digest.field(self.batch_id.as_bytes()).field(self.circuit.as_bytes())
    }
}

impl Message for WindowReceipt {
    const TYPE: &'static str = "hygeia/window-receipt/v1";

    /// A path of twelve digests takes a kilobyte.
    const BYTES_MAX: usize = 8 * 1024;

    fn identity(&self, digest: Digest) -> Digest {
        digest.field(self.window_id.as_bytes()).field(self.batch_id.as_bytes()).field(self.inclusion.root.as_bytes())
    }
}
