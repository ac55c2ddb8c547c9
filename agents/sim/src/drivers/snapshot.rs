//! Mirrors the snapshots of `agents/node/src/partition`: chunks under a name of their own, then the manifest with a check
//! of its revision, then the old chunks are purged.
//!
//! Chunks are smaller than the product's, so that there are several.

use std::rc::Rc;

use hygeia_protocol::bytes::B32;
use hygeia_protocol::digest::Digest;
use hygeia_protocol::subject::Partition;
use serde::{Deserialize, Serialize};

use super::partition::End;
use crate::call::{Request, Unanswered};
use crate::port::Port;
use crate::process::Role;

/// Bytes of a chunk.
const CHUNK_MAX: usize = 16 * 1024;
/// Writes of a manifest before it is left to the next snapshot; the product's.
const ATTEMPTS: u32 = 3;

/// What a snapshot stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// Of the owner that wrote it.
    pub(crate) epoch: u64,
    /// The newest input in it; the effects of all before are stored.
    pub(crate) sequence: u64,
    /// For each output stream a place before everything that later inputs lead to.
    pub(crate) places: Vec<u64>,
    /// Names its chunks.
    pub(crate) id: String,
    /// Hashes of the chunks.
    pub(crate) hashes: Vec<B32>,
}

impl Manifest {
    /// Of nothing.
    pub(crate) fn none(outputs: usize) -> Manifest {
        Manifest { epoch: 0, sequence: 0, places: vec![0; outputs], id: String::new(), hashes: Vec::new() }
    }

    /// The key of a partition's manifest.
    pub(crate) fn key(role: Role, partition: Partition) -> Rc<str> {
        format!("snapshot.{}.{partition}.manifest", role.name()).into()
    }

    /// The partition that a manifest's key names.
    pub(crate) fn partition(key: &str, role: Role) -> Option<Partition> {
        let rest = key.strip_prefix("snapshot.")?.strip_prefix(role.name())?.strip_prefix('.')?;
        rest.strip_suffix(".manifest")?.parse().ok().map(Partition)
    }
}

/// A partition's state up to a place of its input.
pub(super) struct Snapshot {
    pub(super) manifest: Manifest,
    pub(super) state: Vec<u8>,
}

/// The newest snapshot, where one stands that is whole.
pub(super) async fn load(
    port: &Port,
    role: Role,
    partition: Partition,
    epoch: u64,
) -> Result<Option<(Manifest, Vec<u8>)>, End> {
    let Some((_, bytes)) = port.get(&Manifest::key(role, partition)).await? else { return Ok(None) };
    let Ok(manifest) = serde_json::from_slice::<Manifest>(&bytes) else { return Ok(None) };
    if manifest.epoch > epoch {
        return Err(End::Fenced(manifest.epoch));
    }
    let mut packed = Vec::new();
    for (hash, number) in manifest.hashes.iter().zip(0..) {
        match port.get(&chunk(role, partition, &manifest.id, number)).await? {
            Some((_, bytes)) if digest(&bytes) == *hash => packed.extend_from_slice(&bytes),
            _ => return Ok(None),
        }
    }
    Ok(Some((manifest, packed)))
}

/// Writes a snapshot. One that cannot be written is left to the next; only a newer owner is a reason to end.
pub(super) async fn write(port: Port, role: Role, partition: Partition, snapshot: Snapshot) -> Result<(), End> {
    let Snapshot { mut manifest, state } = snapshot;
    for (bytes, number) in state.chunks(CHUNK_MAX).zip(0..) {
        manifest.hashes.push(digest(bytes));
        let key = chunk(role, partition, &manifest.id, number);
        if port.put(&key, bytes.to_vec(), None).await.is_err() {
            return Ok(());
        }
    }
    if write_manifest(&port, role, partition, &manifest).await? {
        let prefix: Rc<str> = format!("snapshot.{}.{partition}.chunk.", role.name()).into();
        let but = format!("{prefix}{}.", manifest.id).into();
        port.tell(Request::Purge { prefix, but });
    }
    Ok(())
}

/// Whether it stands.
async fn write_manifest(port: &Port, role: Role, partition: Partition, manifest: &Manifest) -> Result<bool, End> {
    let key = Manifest::key(role, partition);
    let bytes = serde_json::to_vec(manifest).expect("a manifest is JSON");
    for _ in 0..ATTEMPTS {
        let Ok(standing) = port.get(&key).await else { return Ok(false) };
        let (revision, standing) = standing.map_or((0, None), |(revision, bytes)| (revision, Some(bytes)));
        match standing.and_then(|bytes| serde_json::from_slice::<Manifest>(&bytes).ok()) {
            Some(other) if other.epoch > manifest.epoch => return Err(End::Fenced(other.epoch)),
            // Written by an attempt whose answer was lost.
            Some(other) if other == *manifest => return Ok(true),
            _ => {}
        }
        match port.put(&key, bytes.clone(), Some(revision)).await {
            Ok(Some(_)) => return Ok(true),
            Ok(None) => {}
            Err(Unanswered) => return Ok(false),
        }
    }
    Ok(false)
}

fn chunk(role: Role, partition: Partition, id: &str, number: u32) -> Rc<str> {
    format!("snapshot.{}.{partition}.chunk.{id}.{number}", role.name()).into()
}

fn digest(bytes: &[u8]) -> B32 {
    Digest::new("hygeia-sim/chunk").field(bytes).finish()
}

/// Adds a record to a state: its length, then its bytes.
pub(super) fn record(state: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("a record is small");
    state.extend(length.to_le_bytes());
    state.extend(bytes);
}

/// The records of a state, up to its end or to one that is cut short.
pub(super) struct Records<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk()?;
        let (bytes, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        self.0 = rest;
        Some(bytes)
    }
}
