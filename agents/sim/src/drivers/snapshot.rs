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
/// Attempts to write a manifest whose answer is lost.
const ATTEMPTS: u32 = 5;

/// What a snapshot stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// Of the owner that wrote it.
    pub(crate) epoch: u64,
    /// The newest input in it; the effects of all before are stored.
    pub(crate) sequence: u64,
    /// Newest places of the output streams then.
    pub(crate) outputs: Vec<u64>,
    /// Names its chunks.
    pub(crate) id: String,
    /// Hashes of the chunks.
    pub(crate) hashes: Vec<B32>,
}

impl Manifest {
    /// Of nothing.
    pub(crate) fn none(outputs: usize) -> Manifest {
        Manifest { epoch: 0, sequence: 0, outputs: vec![0; outputs], id: String::new(), hashes: Vec::new() }
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

/// The manifest's revision, and the snapshot where one stands that is whole.
pub(super) async fn load(
    port: &Port,
    role: Role,
    partition: Partition,
    epoch: u64,
) -> Result<(u64, Option<(Manifest, Vec<u8>)>), End> {
    let Some((revision, bytes)) = port.get(&Manifest::key(role, partition)).await? else { return Ok((0, None)) };
    let Ok(manifest) = serde_json::from_slice::<Manifest>(&bytes) else { return Ok((revision, None)) };
    if manifest.epoch > epoch {
        return Err(End::Fenced(manifest.epoch));
    }
    let mut packed = Vec::new();
    for (hash, number) in manifest.hashes.iter().zip(0..) {
        match port.get(&chunk(role, partition, &manifest.id, number)).await? {
            Some((_, bytes)) if digest(&bytes) == *hash => packed.extend_from_slice(&bytes),
            _ => return Ok((revision, None)),
        }
    }
    Ok((revision, Some((manifest, packed))))
}

/// Writes a snapshot; gives the manifest's revision.
pub(super) async fn write(
    port: &Port,
    role: Role,
    partition: Partition,
    mut manifest: Manifest,
    packed: &[u8],
    after: u64,
) -> Result<u64, End> {
    for (bytes, number) in packed.chunks(CHUNK_MAX).zip(0..) {
        manifest.hashes.push(digest(bytes));
        let key = chunk(role, partition, &manifest.id, number);
        for attempt in 1.. {
            match port.put(&key, bytes.to_vec(), None).await {
                Ok(_) => break,
                Err(Unanswered) if attempt >= ATTEMPTS => return Err(End::Unanswered),
                Err(Unanswered) => {}
            }
        }
    }
    let revision = write_manifest(port, role, partition, &manifest, after).await?;
    let prefix: Rc<str> = format!("snapshot.{}.{partition}.chunk.", role.name()).into();
    let but = format!("{prefix}{}.", manifest.id).into();
    port.tell(Request::Purge { prefix, but });
    Ok(revision)
}

async fn write_manifest(
    port: &Port,
    role: Role,
    partition: Partition,
    manifest: &Manifest,
    after: u64,
) -> Result<u64, End> {
    let key = Manifest::key(role, partition);
    let bytes = serde_json::to_vec(manifest).expect("a manifest is JSON");
    for _ in 0..ATTEMPTS {
        if let Ok(Some(revision)) = port.put(&key, bytes.clone(), Some(after)).await {
            return Ok(revision);
        }
        // Another came first, or the answer was lost.
        match port.get(&key).await {
            Ok(Some((revision, standing))) if *standing == *bytes => return Ok(revision),
            Ok(Some((revision, _))) if revision != after => return Err(End::Fenced(0)),
            Ok(_) | Err(Unanswered) => {}
        }
    }
    Err(End::Unanswered)
}

fn chunk(role: Role, partition: Partition, id: &str, number: u32) -> Rc<str> {
    format!("snapshot.{}.{partition}.chunk.{id}.{number}", role.name()).into()
}

fn digest(bytes: &[u8]) -> B32 {
    Digest::new("hygeia-sim/chunk").field(bytes).finish()
}
