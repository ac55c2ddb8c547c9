//! Objects of many megabytes on the broker, under a name each.
//!
//! The broker keeps a digest of its own and checks it as an object is read; what an object is worth is for its reader to say.
//! Nothing is read past the size that the reader allows.

use async_nats::jetstream::object_store::{self, GetErrorKind, InfoErrorKind};
use async_nats::jetstream::stream::StorageType;
use tokio::io::AsyncReadExt as _;

use super::{Bus, BusError};

/// A bucket of objects.
#[derive(Clone)]
pub struct Objects {
    bucket: String,
    store: object_store::ObjectStore,
}

/// An object as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// There is none of this name.
    Nothing,
    /// It is larger than the reader allows, and was not read.
    TooLarge {
        /// Its size as the broker gives it.
        bytes: usize,
    },
    /// Its content.
    Whole(Vec<u8>),
}

impl Bus {
    /// Opens a bucket of objects, creating it when absent.
    pub async fn objects(&self, name: &str) -> Result<Objects, BusError> {
        let bucket = self.names.bucket(name);
        // Asked for first: creating fails where another role has just done it.
        if let Ok(store) = self.jetstream.get_object_store(&bucket).await {
            return Ok(Objects { bucket, store });
        }
        let config = object_store::Config {
            bucket: bucket.clone(),
            storage: StorageType::File,
            num_replicas: usize::from(self.replicas.get()),
            ..Default::default()
        };
        match self.jetstream.create_object_store(config).await {
            Ok(store) => Ok(Objects { bucket, store }),
            Err(first) => match self.jetstream.get_object_store(&bucket).await {
                Ok(store) => Ok(Objects { bucket, store }),
                Err(_) => Err(BusError::Objects { bucket, operation: "open", source: Box::new(first) }),
            },
        }
    }
}

impl Objects {
    /// Stores an object; one of the same name is replaced.
    pub async fn put(&self, name: &str, mut content: &[u8]) -> Result<(), BusError> {
        let stored = self.store.put(name, &mut content).await;
        stored.map(drop).map_err(|source| self.error("put", Box::new(source)))
    }

    /// Whether there is an object of this name, without reading it.
    pub async fn has(&self, name: &str) -> Result<bool, BusError> {
        match self.store.info(name).await {
            Ok(info) => Ok(!info.deleted),
            Err(error) if error.kind() == InfoErrorKind::NotFound => Ok(false),
            Err(source) => Err(self.error("look up", Box::new(source))),
        }
    }

    /// Reads an object of at most `bytes_max` bytes.
    pub async fn get(&self, name: &str, bytes_max: usize) -> Result<Found, BusError> {
        let mut object = match self.store.get(name).await {
            Ok(object) => object,
            Err(error) if error.kind() == GetErrorKind::NotFound => return Ok(Found::Nothing),
            Err(source) => return Err(self.error("get", Box::new(source))),
        };
        let size = object.info().size;
        if size > bytes_max {
            return Ok(Found::TooLarge { bytes: size });
        }
        let mut content = Vec::with_capacity(size);
        // What the broker says of the size is not taken for it.
        let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        let read = (&mut object).take(limit).read_to_end(&mut content).await;
        read.map_err(|source| self.error("read", Box::new(source)))?;
        if content.len() > bytes_max {
            return Ok(Found::TooLarge { bytes: content.len() });
        }
        Ok(Found::Whole(content))
    }

    fn error(&self, operation: &'static str, source: Box<dyn std::error::Error + Send + Sync>) -> BusError {
        BusError::Objects { bucket: self.bucket.clone(), operation, source }
    }
}
