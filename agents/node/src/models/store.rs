//! Where packages come from: named on the command line, shipped with the program, or published to the broker.
//!
//! A package is asked for by the content hash that governance approved, and nothing is parsed before the bytes have it. So
//! the broker, and whoever may write to it, need not be trusted: at worst a package is not to be had.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hygeia_inference::package::{ARCHIVE_BYTES_MAX, ArchiveError, ModelPackage};
use thiserror::Error;

use crate::bus::{Bus, BusError, Found, Objects};

/// Bucket of published packages; an object's name is its package's hash in hex.
const BUCKET: &str = "hygeia_models";

/// Why a package is not to be had.
#[derive(Debug, Error)]
pub enum StoreError {
    /// It is neither here nor published.
    #[error("model {} is not published; `hygeia gov publish-model` does it", hex::encode(hash))]
    NotPublished {
        /// Content hash of the package asked for.
        hash: [u8; 32],
    },
    /// What is published under its hash is not it.
    #[error("what is published as model {} is refused", hex::encode(hash))]
    Refused {
        /// Content hash of the package asked for.
        hash: [u8; 32],
        /// What is wrong with it.
        #[source]
        source: ArchiveError,
    },
    /// The broker failed.
    #[error(transparent)]
    Bus(#[from] BusError),
}

impl StoreError {
    /// Whether asking again later may help: somebody may publish, the broker may come back.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::NotPublished { .. } | Self::Bus(_))
    }
}

/// Packages by content hash.
#[derive(Clone)]
pub struct ModelStore {
    at_hand: Vec<Arc<ModelPackage>>,
    published: Objects,
    cache: Option<PathBuf>,
}

impl ModelStore {
    /// The packages of a network: `given` before the shipped one before those that are published, which are kept in the
    /// folder `cache` where there is one.
    pub async fn open(bus: &Bus, given: Option<ModelPackage>, cache: Option<&Path>) -> Result<Self, BusError> {
        let shipped = ModelPackage::default_model().clone();
        let at_hand = given.into_iter().chain([shipped]).map(Arc::new).collect();
        Ok(Self { at_hand, published: bus.objects(BUCKET).await?, cache: cache.map(Path::to_owned) })
    }

    /// The packages that need no fetching.
    pub fn at_hand(&self) -> impl Iterator<Item = &ModelPackage> {
        self.at_hand.iter().map(AsRef::as_ref)
    }

    /// The package with this content hash.
    pub async fn fetch(&self, hash: [u8; 32]) -> Result<Arc<ModelPackage>, StoreError> {
        if let Some(package) = self.at_hand.iter().find(|package| package.hash() == hash) {
            return Ok(package.clone());
        }
        if let Some(package) = self.cached(hash) {
            return Ok(Arc::new(package));
        }
        let refused = |source| StoreError::Refused { hash, source };
        let archive = match self.published.get(&hex::encode(hash), ARCHIVE_BYTES_MAX).await? {
            Found::Nothing => return Err(StoreError::NotPublished { hash }),
            Found::TooLarge { bytes } => return Err(refused(ArchiveError::TooLarge { bytes })),
            Found::Whole(archive) => archive,
        };
        let package = ModelPackage::from_archive(&archive, hash).map_err(refused)?;
        self.keep(hash, &archive);
        Ok(Arc::new(package))
    }

    /// Publishes a package under its hash; false when it was published before. What stands there and is something else is
    /// replaced.
    pub async fn publish(&self, package: &ModelPackage) -> Result<bool, StoreError> {
        let hash = package.hash();
        let name = hex::encode(hash);
        if let Found::Whole(archive) = self.published.get(&name, ARCHIVE_BYTES_MAX).await?
            && ModelPackage::from_archive(&archive, hash).is_ok()
        {
            return Ok(false);
        }
        self.published.put(&name, &package.to_archive()).await?;
        Ok(true)
    }

    fn cached(&self, hash: [u8; 32]) -> Option<ModelPackage> {
        let archive = std::fs::read(self.file(hash)?).ok()?;
        match ModelPackage::from_archive(&archive, hash) {
            Ok(package) => Some(package),
            Err(reason) => {
                tracing::warn!(model = hex::encode(hash), %reason, "the copy of a model is not it; it is fetched anew");
                None
            }
        }
    }

    /// A copy that cannot be kept costs a fetch at the next start, no more.
    fn keep(&self, hash: [u8; 32], archive: &[u8]) {
        let Some(file) = self.file(hash) else { return };
        let beside = file.with_extension("part");
        let folder = file.parent().map_or(Ok(()), std::fs::create_dir_all);
        let kept =
            folder.and_then(|()| std::fs::write(&beside, archive)).and_then(|()| std::fs::rename(&beside, &file));
        if let Err(reason) = kept {
            tracing::warn!(file = %file.display(), %reason, "a copy of a model could not be kept");
        }
    }

    fn file(&self, hash: [u8; 32]) -> Option<PathBuf> {
        Some(self.cache.as_ref()?.join(format!("{}.model", hex::encode(hash))))
    }
}
