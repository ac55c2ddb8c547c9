//! What a patient keeps of an audit: one window's leaf and its path to the published root.

use std::fmt;

use halo2_axiom::halo2curves::bn256::Fr;
use serde::{Deserialize, Serialize};

use super::{
    engine::AuditProof,
    plan::SLOTS_MAX,
    tree::{AuditPublic, hash_children, leaf, node_tag, steps},
};
use crate::statement::{Commitment, PublicInputs, field_from_be_bytes, field_to_be_bytes};

/// Version of the receipt's JSON form.
const VERSION: u32 = 1;
/// Longest receipt that is read: a path of 12 digests takes a fifth of it.
const BYTES_MAX: usize = 8192;

/// Commitment and score of one window, and why they are under a root. Its JSON form is what is handed out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawReceipt", into = "RawReceipt")]
pub struct AuditReceipt {
    index: usize,
    leaves: usize,
    window: PublicInputs,
    public: AuditPublic,
    path: Vec<Fr>,
}

/// Why a receipt was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// The bytes are no receipt.
    #[error("receipt: cannot be decoded: {0}")]
    Decode(&'static str),
    /// It speaks of another root, count or number of leaves than the ones it is checked against.
    #[error("receipt: belongs to another batch")]
    OtherBatch,
    /// Its leaf is not among the real windows.
    #[error("receipt: leaf {index} is not among the {count} windows of the batch")]
    Index {
        /// The leaf.
        index: usize,
        /// Real windows of the batch.
        count: u32,
    },
    /// The path is longer or shorter than from this leaf to the root.
    #[error("receipt: the path has {actual} steps, from this leaf it takes {expected}")]
    PathLength {
        /// Steps from this leaf to the root.
        expected: usize,
        /// Digests in the receipt.
        actual: usize,
    },
    /// The path does not lead to the root.
    #[error("receipt: the path does not lead to the root")]
    Root,
}

impl AuditReceipt {
    /// The receipt of one window of a proved batch; nothing where the batch has no such window.
    pub fn of(proof: &AuditProof, index: usize) -> Option<Self> {
        let window = *proof.windows.get(index)?;
        let path = proof.tree.siblings(index);
        Some(Self { index, leaves: proof.tree.leaves(), window, public: proof.public, path })
    }

    /// Whether this window is under a root. `public` comes from the chain, which has verified the proof; `leaves` from the
    /// model's verifying key.
    pub fn verify(&self, public: &AuditPublic, leaves: usize) -> Result<(), ReceiptError> {
        if self.public != *public || self.leaves != leaves {
            return Err(ReceiptError::OtherBatch);
        }
        let count = public.count();
        if self.index >= leaves || self.index >= count as usize {
            return Err(ReceiptError::Index { index: self.index, count });
        }
        let (expected, actual) = (steps(self.index, leaves).count(), self.path.len());
        if expected != actual {
            return Err(ReceiptError::PathLength { expected, actual });
        }
        let tag = node_tag(leaves);
        let climb = |digest, (step, &sibling): (super::tree::Step, &Fr)| {
            let children = if step.sibling_is_left { [sibling, digest] } else { [digest, sibling] };
            hash_children(tag, children)
        };
        let root = steps(self.index, leaves).zip(&self.path).fold(leaf(&self.window), climb);
        if field_to_be_bytes(root) == public.root() { Ok(()) } else { Err(ReceiptError::Root) }
    }

    /// Which leaf it is about.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The window's commitment and score.
    pub fn window(&self) -> &PublicInputs {
        &self.window
    }

    /// Root and count it claims to be under.
    pub fn public(&self) -> &AuditPublic {
        &self.public
    }

    /// The receipt as it is handed out.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a receipt has no map keys that could fail")
    }

    /// Reads a receipt that was handed out. What it says is not checked: see [`Self::verify`].
    pub fn from_json(text: &str) -> Result<Self, ReceiptError> {
        if text.len() > BYTES_MAX {
            return Err(ReceiptError::Decode("too long"));
        }
        // The parser's own message may quote what it read.
        let raw: RawReceipt = serde_json::from_str(text).map_err(|_| ReceiptError::Decode("malformed"))?;
        raw.try_into()
    }
}

/// The JSON form, not yet checked.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReceipt {
    version: u32,
    index: usize,
    leaves: usize,
    count: u32,
    root: String,
    commitment: String,
    score: i64,
    path: Vec<String>,
}

impl From<AuditReceipt> for RawReceipt {
    fn from(receipt: AuditReceipt) -> Self {
        let AuditReceipt { index, leaves, window, public, path } = receipt;
        Self {
            version: VERSION,
            index,
            leaves,
            count: public.count(),
            root: to_hex(&public.root()),
            commitment: to_hex(&window.commitment.to_bytes()),
            score: window.score,
            path: path.iter().map(|&digest| to_hex(&field_to_be_bytes(digest))).collect(),
        }
    }
}

impl TryFrom<RawReceipt> for AuditReceipt {
    type Error = ReceiptError;

    fn try_from(raw: RawReceipt) -> Result<Self, ReceiptError> {
        if raw.version != VERSION {
            return Err(ReceiptError::Decode("unknown version"));
        }
        if !(2..=SLOTS_MAX).contains(&raw.leaves) {
            return Err(ReceiptError::Decode("no tree has this number of leaves"));
        }
        let public = AuditPublic::new(from_hex(&raw.root)?, raw.count)
            .ok_or(ReceiptError::Decode("the root is not canonical"))?;
        let commitment = Commitment::from_bytes(from_hex(&raw.commitment)?)
            .map_err(|_| ReceiptError::Decode("the commitment is not canonical"))?;
        let digest = |text: &String| {
            field_from_be_bytes(from_hex(text)?).ok_or(ReceiptError::Decode("a digest is not canonical"))
        };
        let path = raw.path.iter().map(digest).collect::<Result<_, _>>()?;
        let window = PublicInputs { commitment, score: raw.score };
        Ok(Self { index: raw.index, leaves: raw.leaves, window, public, path })
    }
}

/// Shows neither commitment nor score.
impl fmt::Debug for AuditReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditReceipt").field("index", &self.index).field("public", &self.public).finish_non_exhaustive()
    }
}

fn to_hex(bytes: &[u8; 32]) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn from_hex(text: &str) -> Result<[u8; 32], ReceiptError> {
    let mut bytes = [0; 32];
    let digits = text.strip_prefix("0x").ok_or(ReceiptError::Decode("a number does not begin with 0x"))?;
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| ReceiptError::Decode("a number is not 32 bytes"))?;
    Ok(bytes)
}
