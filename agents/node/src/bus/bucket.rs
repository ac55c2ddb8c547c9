//! Key-value buckets: small records with a revision each, which a write can compare with.

use std::time::Duration;

use async_nats::jetstream::{kv, stream};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};

use super::{Bus, BusError};

/// A key-value bucket of the broker.
#[derive(Clone)]
pub struct Bucket {
    name: String,
    store: kv::Store,
}

/// What stands under a key.
#[derive(Debug, Clone)]
pub struct Record {
    /// The key.
    pub key: String,
    /// The value; nothing where it was removed.
    pub value: Option<Bytes>,
    /// Its revision in the bucket.
    pub revision: u64,
    /// Records of the history that are still to come; 0 for what is written after the watch began.
    pub before_current: u64,
}

/// The records of a bucket, then every change.
pub struct Watch {
    bucket: String,
    entries: kv::Watch,
}

impl Bus {
    /// Opens a key-value bucket, creating it when absent.
    pub async fn bucket(&self, name: &str) -> Result<Bucket, BusError> {
        self.open_bucket(name, Duration::ZERO).await
    }

    /// Opens a bucket that forgets what was not written again for `max_age`, creating it when absent.
    pub async fn forgetful_bucket(&self, name: &str, max_age: Duration) -> Result<Bucket, BusError> {
        self.open_bucket(name, max_age).await
    }

    async fn open_bucket(&self, name: &str, max_age: Duration) -> Result<Bucket, BusError> {
        let name = self.names.bucket(name);
        let config = kv::Config {
            bucket: name.clone(),
            history: 1,
            storage: stream::StorageType::File,
            max_age,
            num_replicas: usize::from(self.replicas.get()),
            ..Default::default()
        };
        // Two roles starting together may both find the bucket absent: the second creation is then an update.
        let store =
            match self.jetstream.create_or_update_key_value(config.clone()).await {
                Ok(store) => store,
                Err(first) => self.jetstream.create_or_update_key_value(config).await.map_err(|_| {
                    BusError::KeyValue { bucket: name.clone(), operation: "open", source: Box::new(first) }
                })?,
            };
        Ok(Bucket { name, store })
    }
}

impl Bucket {
    /// The value under `key`, if any.
    pub async fn get(&self, key: &str) -> Result<Option<Bytes>, BusError> {
        self.store.get(key).await.map_err(|source| self.error("get", source))
    }

    /// The value under `key` with its revision. Revision 0 where nothing ever stood; a removed value has one.
    pub async fn record(&self, key: &str) -> Result<(Option<Bytes>, u64), BusError> {
        let entry = self.store.entry(key).await.map_err(|source| self.error("get", source))?;
        Ok(match entry {
            Some(entry) if entry.operation == kv::Operation::Put => (Some(entry.value), entry.revision),
            Some(entry) => (None, entry.revision),
            None => (None, 0),
        })
    }

    /// Stores `value` under `key`; returns once the broker has it.
    pub async fn put(&self, key: &str, value: Vec<u8>) -> Result<(), BusError> {
        self.store.put(key, value.into()).await.map(|_| ()).map_err(|source| self.error("put", source))
    }

    /// Stores `value` under `key` if `revision` (0 for none) still stands there; its own revision then. Tried once: after an
    /// error the caller looks what stands there.
    pub async fn put_if(&self, key: &str, value: Vec<u8>, revision: u64) -> Result<Option<u64>, BusError> {
        match self.store.update(key, value.into(), revision).await {
            Ok(revision) => Ok(Some(revision)),
            Err(error) if error.kind() == kv::UpdateErrorKind::WrongLastRevision => Ok(None),
            Err(source) => Err(self.error("put if unchanged", source)),
        }
    }

    /// Removes `key`; what it held may remain on disk for a while.
    pub async fn delete(&self, key: &str) -> Result<(), BusError> {
        self.store.delete(key).await.map_err(|source| self.error("delete", source))
    }

    /// Removes `key` and its history: what it held cannot be read again.
    pub async fn purge(&self, key: &str) -> Result<(), BusError> {
        self.store.purge(key).await.map_err(|source| self.error("purge", source))
    }

    /// Removes every record whose key matches the filter, and any mark that they stood there.
    pub async fn erase(&self, filter: &str) -> Result<(), BusError> {
        let subject = format!("{}{filter}", self.store.prefix);
        let erased = self.store.stream.purge().filter(subject).await;
        erased.map(|_| ()).map_err(|source| self.error("erase", source))
    }

    /// Every record whose key matches one of the filters (as subjects do), then every change.
    pub async fn watch(&self, filters: &[String]) -> Result<Watch, BusError> {
        let entries =
            self.store.watch_many_with_history(filters).await.map_err(|source| self.error("watch", source))?;
        Ok(Watch { bucket: self.name.clone(), entries })
    }

    /// The keys that match the filter, those among them whose value was removed and that leave a mark.
    pub async fn keys(&self, filter: &str) -> Result<Vec<String>, BusError> {
        let subject = format!("{}{filter}", self.store.prefix);
        let error = |source| self.error("list keys", source);
        let subjects = self.store.stream.info_with_subjects(subject).await.map_err(error)?;
        let keys =
            subjects.map_ok(|(subject, _count)| subject.strip_prefix(&self.store.prefix).unwrap_or("").to_owned());
        keys.try_collect().await.map_err(error)
    }

    /// Whether no key that matches the filter was ever written, as far as the bucket remembers.
    pub async fn is_empty(&self, filter: &str) -> Result<bool, BusError> {
        let subject = format!("{}{filter}", self.store.prefix);
        match self.store.stream.get_last_raw_message_by_subject(&subject).await {
            Ok(_) => Ok(false),
            Err(error) if error.kind() == stream::LastRawMessageErrorKind::NoMessageFound => Ok(true),
            Err(source) => Err(self.error("look for a record", source)),
        }
    }

    fn error(&self, operation: &'static str, source: impl std::error::Error + Send + Sync + 'static) -> BusError {
        BusError::KeyValue { bucket: self.name.clone(), operation, source: Box::new(source) }
    }
}

impl Watch {
    /// The next record; waits for a change once all that stand were shown.
    pub async fn next(&mut self) -> Result<Record, BusError> {
        let error = |source| BusError::KeyValue { bucket: self.bucket.clone(), operation: "watch", source };
        let entry = match self.entries.next().await {
            Some(Ok(entry)) => entry,
            Some(Err(source)) => return Err(error(Box::new(source))),
            None => return Err(error("the broker closed the consumer".into())),
        };
        let value = (entry.operation == kv::Operation::Put).then_some(entry.value);
        Ok(Record { key: entry.key, value, revision: entry.revision, before_current: entry.delta })
    }
}
