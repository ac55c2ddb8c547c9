//! What was refused, without its content.

use serde::{Deserialize, Serialize};

use super::{B32, Message, V1};
use crate::digest::Digest;

/// Says that a message was refused and why. Whoever may read the stream finds the message again by its
/// sequence number; the dead letter itself holds nothing of it. What an audit could not prove is set aside
/// in the same way: a window, or a whole batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeadLetter {
    /// Version.
    pub v: V1,
    /// The label of the reason: [`crate::observation::Rejection::reason`], [`super::MessageError::reason`], or one that
    /// begins with `audit_`.
    pub reason: String,
    /// [`crate::digest::keyed_digest`] of the refused bytes; of an audit, the id of the window or the batch.
    pub digest: B32,
    /// Where the refused message stands in its stream.
    pub stream_sequence: u64,
    /// When it arrived.
    pub received_at_ms: u64,
}

impl Message for DeadLetter {
    const TYPE: &'static str = "hygeia/dead-letter/v1";

    /// A label, a digest and two numbers.
    const BYTES_MAX: usize = 1024;

    fn identity(&self, digest: Digest) -> Digest {
        digest.field(self.reason.as_bytes()).field(self.digest.as_bytes()).integer(self.stream_sequence)
    }
}
