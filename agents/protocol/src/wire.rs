//! The version of a JSON message, read before anything else in it.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use serde::Deserialize;

/// The number in field `v`; `None` where the bytes are not a JSON object with one such field.
///
/// A later version may have other fields, so the strict reading comes after this one.
pub(crate) fn version(bytes: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Probe {
        v: u64,
    }
    serde_json::from_slice::<Probe>(bytes).ok().map(|probe| probe.v)
}
