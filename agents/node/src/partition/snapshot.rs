//! A partition's state on the broker, so that whoever takes it over replays minutes and not days.
//!
//! The chunks are written first, under an id of their own, and the manifest that names them last, compared with the one
//! that stood before. So a snapshot is whole or not there. What a snapshot says is never trusted further than its hashes:
//! one that does not fit is put aside with a warning, and the state is made anew from the stream.

use std::collections::BTreeMap;

use bytes::Bytes;
use hygeia_protocol::bytes::B32;
use hygeia_protocol::digest::Digest;
use hygeia_protocol::subject::{Partition, Stream};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::bus::{Bucket, Bus, BusError};

/// Bucket that holds the snapshots.
const BUCKET: &str = "hygeia_snapshot";
/// Bytes in one record: half of what the broker takes by default.
const CHUNK_BYTES_MAX: usize = 512 * 1024;
/// Chunks of one snapshot; a manifest that names more is none of ours.
const CHUNKS_MAX: usize = 4_096;
/// Writes of a manifest before it is left to the next snapshot.
const MANIFEST_ATTEMPTS: u32 = 3;

/// A partition's state up to a place of its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The last input in the state.
    pub sequence: u64,
    /// For each output stream a place before everything that later inputs lead to.
    pub places: BTreeMap<Stream, u64>,
    /// The state, as the role writes it.
    pub state: Vec<u8>,
}

/// What was found on the broker.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// A snapshot that holds.
    Whole(Snapshot),
    /// One that does not. Inputs up to `silent_to` had all their effects stored when it was made.
    Damaged {
        /// The place, 0 where it is not known.
        silent_to: u64,
        /// What is wrong.
        reason: Damage,
    },
}

/// Why a snapshot is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Damage {
    /// The manifest is not readable, or another partition's.
    #[error("its manifest cannot be read")]
    Manifest,
    /// It is of a stream that is no more.
    #[error("its input stream was made anew since")]
    OtherStream,
    /// A chunk is missing.
    #[error("a part of it is missing")]
    Missing,
    /// A chunk is not what was written.
    #[error("a part of it has another hash")]
    Hash,
    /// The role does not understand the state.
    #[error("the state in it cannot be read")]
    State,
}

/// The snapshots of one partition of a role.
#[derive(Clone)]
pub struct Snapshots {
    bucket: Bucket,
    prefix: String,
    identity: Identity,
}

/// What a manifest must say to be this partition's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    role: String,
    partition: Partition,
    stream: String,
    /// When the input stream was made: its sequences mean nothing in another one of the same name.
    stream_created_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    v: u32,
    #[serde(flatten)]
    identity: Identity,
    epoch: u64,
    id: String,
    sequence: u64,
    places: BTreeMap<String, u64>,
    chunks: Vec<B32>,
}

impl Snapshots {
    /// The snapshots of a partition whose input is `input`.
    pub async fn open(bus: &Bus, role: &str, partition: Partition, input: Stream) -> Result<Self, BusError> {
        let identity = Identity {
            role: role.to_owned(),
            partition,
            stream: input.name().to_owned(),
            stream_created_ms: bus.stream_created_ms(input).await?,
        };
        Ok(Self { bucket: bus.bucket(BUCKET).await?, prefix: format!("{role}.{partition}"), identity })
    }

    /// The newest snapshot, for an owner of `epoch`; [`BusError::Fenced`] where a later owner has written it.
    pub async fn load(&self, epoch: u64) -> Result<Found, BusError> {
        let (value, _) = self.bucket.record(&self.manifest_key()).await?;
        let Some(bytes) = value else { return Ok(Found::Nothing) };
        let manifest = match self.manifest(&bytes) {
            Ok(manifest) => manifest,
            Err(reason) => return Ok(Found::Damaged { silent_to: 0, reason }),
        };
        if manifest.epoch > epoch {
            return Err(BusError::Fenced { stream: "snapshots", epoch: Some(manifest.epoch) });
        }
        let sequence = manifest.sequence;
        let places = manifest.places();
        Ok(match self.chunks(&manifest).await? {
            Ok(state) => Found::Whole(Snapshot { sequence, places, state }),
            Err(reason) => Found::Damaged { silent_to: sequence, reason },
        })
    }

    /// Writes a snapshot of an owner of `epoch`, and removes what it replaces. The bytes written.
    pub async fn write(&self, epoch: u64, snapshot: &Snapshot) -> Result<usize, BusError> {
        let id = format!("{epoch}-{}", snapshot.sequence);
        let mut chunks = Vec::new();
        for (number, chunk) in snapshot.state.chunks(CHUNK_BYTES_MAX).enumerate() {
            self.bucket.put(&self.chunk_key(&id, number), chunk.to_vec()).await?;
            chunks.push(hash(chunk));
        }
        let manifest = Manifest {
            v: 1,
            identity: self.identity.clone(),
            epoch,
            id,
            sequence: snapshot.sequence,
            places: snapshot.places.iter().map(|(stream, place)| (stream.name().to_owned(), *place)).collect(),
            chunks,
        };
        self.write_manifest(&manifest).await?;
        self.remove_others(&manifest.id).await?;
        Ok(snapshot.state.len())
    }

    async fn write_manifest(&self, manifest: &Manifest) -> Result<(), BusError> {
        let error = |source| self.error("write a manifest", source);
        let bytes = serde_json::to_vec(manifest).map_err(|source| error(Box::new(source)))?;
        for _ in 0..MANIFEST_ATTEMPTS {
            let (standing, revision) = self.bucket.record(&self.manifest_key()).await?;
            let standing = standing.and_then(|bytes| self.manifest(&bytes).ok());
            match standing {
                Some(other) if other.epoch > manifest.epoch => {
                    return Err(BusError::Fenced { stream: "snapshots", epoch: Some(other.epoch) });
                }
                // Written by an attempt whose answer was lost.
                Some(other) if other == *manifest => return Ok(()),
                _ => {}
            }
            if self.bucket.put_if(&self.manifest_key(), bytes.clone(), revision).await?.is_some() {
                return Ok(());
            }
        }
        Err(error("others write it all the time".into()))
    }

    /// Removes every chunk that the snapshot `id` does not name, such as those of a writer that was killed. They leave no
    /// mark of their removal behind, so that the bucket does not grow.
    async fn remove_others(&self, id: &str) -> Result<(), BusError> {
        let own = format!("{}.chunk.{id}.", self.prefix);
        let mut others: Vec<String> = Vec::new();
        for key in self.bucket.keys(&format!("{}.chunk.>", self.prefix)).await? {
            if let Some((of_snapshot, _)) = key.rsplit_once('.').filter(|_| !key.starts_with(&own)) {
                others.push(of_snapshot.to_owned());
            }
        }
        others.dedup();
        for of_snapshot in others {
            self.bucket.erase(&format!("{of_snapshot}.*")).await?;
        }
        Ok(())
    }

    fn manifest(&self, bytes: &[u8]) -> Result<Manifest, Damage> {
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(|_| Damage::Manifest)?;
        let Identity { role, partition, stream, stream_created_ms } = &manifest.identity;
        let own = &self.identity;
        let is_own = manifest.v == 1 && (role, partition, stream) == (&own.role, &own.partition, &own.stream);
        if !is_own || manifest.chunks.len() > CHUNKS_MAX {
            return Err(Damage::Manifest);
        }
        if *stream_created_ms == own.stream_created_ms { Ok(manifest) } else { Err(Damage::OtherStream) }
    }

    async fn chunks(&self, manifest: &Manifest) -> Result<Result<Vec<u8>, Damage>, BusError> {
        let mut state = Vec::new();
        for (number, expected) in manifest.chunks.iter().enumerate() {
            let chunk: Option<Bytes> = self.bucket.get(&self.chunk_key(&manifest.id, number)).await?;
            let Some(chunk) = chunk else { return Ok(Err(Damage::Missing)) };
            if hash(&chunk) != *expected {
                return Ok(Err(Damage::Hash));
            }
            state.extend_from_slice(&chunk);
        }
        Ok(Ok(state))
    }

    fn manifest_key(&self) -> String {
        format!("{}.manifest", self.prefix)
    }

    fn chunk_key(&self, id: &str, number: usize) -> String {
        format!("{}.chunk.{id}.{number}", self.prefix)
    }

    fn error(&self, operation: &'static str, source: Box<dyn std::error::Error + Send + Sync>) -> BusError {
        BusError::KeyValue { bucket: BUCKET.to_owned(), operation, source }
    }
}

impl Manifest {
    fn places(&self) -> BTreeMap<Stream, u64> {
        let place = |stream: Stream| Some((stream, *self.places.get(stream.name())?));
        Stream::ALL.into_iter().filter_map(place).collect()
    }
}

fn hash(chunk: &[u8]) -> B32 {
    Digest::new("hygeia/snapshot-chunk/v1").field(chunk).finish()
}
