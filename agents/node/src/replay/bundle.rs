//! Everything a replay needs, in one file. It holds what was measured of a patient and the salt of a commitment.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use hygeia_inference::package::{FILES, ModelPackage, PackageError, PackageFiles};
use hygeia_protocol::message::{Address, Alert, AttestedWindow, B32, Receipt, ScoredWindow, V1};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Largest bundle read: a package of the widest model, and a week of a patient's observations.
const BYTES_MAX: u64 = 256 << 20;
/// Who may read a bundle: its owner.
const MODE: u32 = 0o600;

/// One alert with everything it came from.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// Version.
    pub v: V1,
    /// The alert.
    pub alert: Alert,
    /// The window that was scored.
    pub window: AttestedWindow,
    /// The window's line in the ledger.
    pub line: Option<ScoredWindow>,
    /// The model's scores of the mandate's windows up to this one, oldest first, as the ledger has them.
    pub history: Vec<Judged>,
    /// The proof.
    pub receipt: Option<Receipt>,
    /// The contract that oracles sign for, and its chain.
    pub coordinator: Address,
    /// Its chain.
    pub chain_id: u64,
    /// What the chain has of policy and model.
    pub approved: Option<Approved>,
    /// The files of the model's package.
    pub package: Vec<PackageFile>,
    /// The verifying key's file.
    #[serde(with = "optional_hex")]
    pub verifying_key: Option<Vec<u8>>,
    /// The patient's observations up to the window, in the stream's order.
    pub observations: Option<Vec<StoredObservation>>,
}

/// One score that triage judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judged {
    /// End of the window, seconds since the epoch.
    pub end: u64,
    /// Its score.
    pub score: i64,
    /// Whether triage would have called, and a rate limit held the call back.
    pub is_held_back: bool,
}

/// What governance approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approved {
    /// Score from which the policy applies.
    pub threshold: i64,
    /// Least time between two triggers under one mandate.
    pub cool_down_s: u32,
    /// Content hash of the package of the policy's model.
    pub package: B32,
    /// Hash of the model's circuit.
    pub circuit: B32,
    /// Hash of its verifying key.
    pub verifying_key: B32,
}

/// One file of a model package.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageFile {
    /// Its name in the package.
    pub name: String,
    /// Its content.
    #[serde(with = "hex")]
    pub bytes: Vec<u8>,
}

/// An observation as the broker has it. `Debug` prints no content.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredObservation {
    /// When the broker stored it, in milliseconds since the epoch.
    pub stored_at_ms: u64,
    /// The bytes as they came.
    #[serde(with = "hex")]
    pub payload: Vec<u8>,
}

/// What could not be done with a bundle's file.
#[derive(Debug, Error)]
pub enum BundleError {
    /// It could not be read.
    #[error("reading {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// It could not be written.
    #[error("writing {}: a bundle never replaces a file", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// It is larger than any bundle.
    #[error("{} is larger than any bundle", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It is not a bundle. What it holds instead is not told.
    #[error("{} is no bundle of this version", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

impl Bundle {
    /// Reads a bundle.
    pub fn read(path: &Path) -> Result<Self, BundleError> {
        let read = |source| BundleError::Read { path: path.to_owned(), source };
        if std::fs::metadata(path).map_err(read)?.len() > BYTES_MAX {
            return Err(BundleError::TooLarge { path: path.to_owned() });
        }
        let bytes = std::fs::read(path).map_err(read)?;
        serde_json::from_slice(&bytes).map_err(|_| BundleError::Malformed { path: path.to_owned() })
    }

    /// Writes a bundle to a new file that its owner alone may read.
    pub fn write_new(&self, path: &Path) -> Result<(), BundleError> {
        let write = |source| BundleError::Write { path: path.to_owned(), source };
        let json = serde_json::to_vec(self).map_err(|source| write(source.into()))?;
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(MODE).open(path).map_err(write)?;
        file.write_all(&json).map_err(write)
    }

    /// The model's package, from its files.
    pub fn model(&self) -> Result<ModelPackage, PackageError> {
        let mut files = PackageFiles::default();
        for (bytes, name) in files.iter_mut().zip(FILES) {
            // A file that is missing is empty, which no file of a package may be.
            bytes
                .clone_from(self.package.iter().find(|file| file.name == name).map_or(&Vec::new(), |file| &file.bytes));
        }
        ModelPackage::from_files(files)
    }
}

impl PackageFile {
    /// The files of a package.
    pub fn all_of(model: &ModelPackage) -> Vec<Self> {
        let file = |(name, bytes): (&str, &Vec<u8>)| Self { name: name.to_owned(), bytes: bytes.clone() };
        FILES.into_iter().zip(model.files()).map(file).collect()
    }
}

impl std::fmt::Debug for StoredObservation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredObservation").field("stored_at_ms", &self.stored_at_ms).finish_non_exhaustive()
    }
}

/// Bytes that may be missing, in hex.
mod optional_hex {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
        match bytes {
            Some(bytes) => serializer.serialize_some(&hex::encode(bytes)),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| hex::decode(text).map_err(|_| D::Error::custom("not hex"))).transpose()
    }
}
