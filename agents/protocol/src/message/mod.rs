//! What the agents say to each other after the observation: JSON with a version, bounded, strict.
//!
//! Each message has an identity (`message_id`, used as `Nats-Msg-Id`) made of what it is about and not
//! of its times, so that a role which repeats its work after a crash repeats the same identity and the
//! broker keeps one. Times are milliseconds since the epoch, window ends are seconds as on chain.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

mod alert;
mod audit;
mod dead_letter;
mod outcome;
mod proof;
mod window;

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use self::alert::{Alert, Contribution, SimilarCase};
pub use self::audit::{AUDIT_WINDOWS_MAX, AuditOrder, AuditedBatch, Inclusion, WindowReceipt, WindowToAudit};
pub use self::dead_letter::DeadLetter;
pub use self::outcome::{AlertOutcome, Outcome};
pub use self::proof::{ProofMode, ProofRequest, Receipt, Settlement, SettlementStatus};
pub use self::window::{AttestedWindow, ClinicalSummary, ScoredWindow};
pub use crate::bytes::{Address, B32, HexBytes, Salt, Signature};
use crate::digest::Digest;
use crate::wire;

/// A message of one of the hops after the observation.
pub trait Message: Serialize + DeserializeOwned {
    /// Name of the type: the domain of its identity.
    const TYPE: &'static str;

    /// Longest encoded message, in bytes.
    const BYTES_MAX: usize = 64 * 1024;

    /// Absorbs the fields that say what the message is about.
    #[must_use]
    fn identity(&self, digest: Digest) -> Digest;

    /// The message as JSON.
    fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("our messages have string keys and no floats")
    }

    /// Reads a message.
    ///
    /// # Errors
    /// [`MessageError`], which holds nothing of the content.
    fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        if bytes.len() > Self::BYTES_MAX {
            return Err(MessageError::TooLarge { message: Self::TYPE, bytes: bytes.len() });
        }
        let malformed = MessageError::Malformed { message: Self::TYPE };
        match wire::version(bytes) {
            None => return Err(malformed),
            Some(V1::NUMBER) => {}
            Some(found) => {
                return Err(MessageError::UnsupportedVersion { message: Self::TYPE, found });
            }
        }
        serde_json::from_slice(bytes).map_err(|_| malformed)
    }

    /// Hex SHA-256 over the type and the identity: the `Nats-Msg-Id`.
    fn message_id(&self) -> String {
        self.identity(Digest::new(Self::TYPE)).finish().to_hex()
    }
}

/// Why bytes are not a message of the expected type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// More bytes than the type allows; nothing of it was read.
    #[error("{message}: {bytes} bytes are more than the type allows")]
    TooLarge {
        /// Type of the message.
        message: &'static str,
        /// Its size.
        bytes: usize,
    },
    /// Not the JSON of the type.
    #[error("{message}: not a message of this type")]
    Malformed {
        /// Type of the message.
        message: &'static str,
    },
    /// Another version of the type.
    #[error("{message}: version {found} is not supported")]
    UnsupportedVersion {
        /// Type of the message.
        message: &'static str,
        /// The version found.
        found: u64,
    },
}

impl MessageError {
    /// The stable label: last part of the dead letter's subject and metric label.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            MessageError::TooLarge { .. } => "too_large",
            MessageError::Malformed { .. } => "malformed",
            MessageError::UnsupportedVersion { .. } => "unsupported_version",
        }
    }
}

/// The version field of every message: the number 1 and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct V1;

impl V1 {
    const NUMBER: u64 = 1;
}

impl Serialize for V1 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(V1::NUMBER)
    }
}

impl<'de> Deserialize<'de> for V1 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            V1::NUMBER => Ok(V1),
            _ => Err(D::Error::custom("another version")),
        }
    }
}
