//! Poseidon: one thread for each message.

use super::{
    device::{Device, Shape},
    runtime::{Runtime, narrow},
};
use crate::{Fr, KernelError, poseidon};

/// Threads of a block, as the kernel declares.
const HASH_BLOCK: u32 = 128;

pub(super) fn poseidon<D: Device>(runtime: &Runtime<D>, messages: &[Vec<Fr>], tag: Fr) -> Result<Vec<Fr>, KernelError> {
    if messages.is_empty() {
        return Ok(Vec::new());
    }
    let ends = messages.iter().scan(0, |end, message| {
        *end += message.len();
        Some(narrow(*end))
    });
    let starts: Vec<u32> = std::iter::once(0).chain(ends).collect();
    let constants = poseidon::constants();
    let constants: Vec<Fr> = constants.round_compact.iter().chain(&constants.mds).flatten().copied().collect();
    let (elements, starts) = (runtime.put(&messages.concat())?, runtime.put(&starts)?);
    let (constants, digests) = (runtime.put(&constants)?, runtime.vector(messages.len())?);
    let arguments = [
        digests.memory().into(),
        (&elements).into(),
        (&starts).into(),
        (&constants).into(),
        tag.into(),
        messages.len().into(),
    ];
    let shape = Shape::cover(messages.len(), HASH_BLOCK, 1);
    runtime.launch(&runtime.kernels.poseidon, "poseidon_hash", shape, &arguments)?;
    runtime.download(&digests)
}
