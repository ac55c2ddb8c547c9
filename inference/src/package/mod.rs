//! A model as it is approved, shipped and loaded: eight files under one content hash.
//!
//! | file | content |
//! |---|---|
//! | `network.json` | the integer network, which alone decides scores |
//! | `schema.json` | the feature schema that makes its inputs |
//! | `calibration.json` | score to probability |
//! | `model.safetensors` | the float weights the integers were rounded from |
//! | `card.json`, `card.md` | what the model is for, what it was trained on, how well it does; the second is the first in prose |
//! | `baseline.json` | what the model is compared with: a logistic regression, and each baseline's score to probability |
//! | `guard.json` | which windows are like those the model was validated on |
//!
//! A package cannot be built from files that contradict each other.

mod archive;
mod baseline;
mod calibration;
mod card;
mod float;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use sha2::{Digest, Sha256};

pub use archive::{ARCHIVE_BYTES_MAX, ArchiveError};
pub use baseline::{BaselineCalibration, Baselines, Logistic, LogisticError};
pub use calibration::{Calibration, CalibrationError, CalibrationPoint};
pub use card::{
    CardEvaluation, CardGroup, ChangeControl, DataSource, Gap, ModelCard, OperatingPoint, OperatingPoints,
    TrainingRecord,
};
pub use float::{decode_float, encode_float, float_tensor_name};

use crate::guard::Guard;
use crate::network::IntegerNetwork;
use crate::quantise::FloatLayer;
use crate::schema::FeatureSchema;

/// The files of a package, in the order they are hashed.
pub const FILES: [&str; 8] = [
    "network.json",
    "schema.json",
    "calibration.json",
    "model.safetensors",
    "card.json",
    "card.md",
    "baseline.json",
    "guard.json",
];
/// Largest file accepted: a network of the widest layers the circuit could carry has a tenth of it.
const FILE_BYTES_MAX: usize = 16 << 20;

/// A model with everything that fixes its meaning, checked for consistency.
#[derive(Clone, Debug)]
pub struct ModelPackage {
    schema: FeatureSchema,
    network: IntegerNetwork,
    calibration: Calibration,
    baselines: Baselines,
    card: ModelCard,
    guard: Guard,
    files: PackageFiles,
}

/// The bytes of the files, in the order of [`FILES`].
pub type PackageFiles = [Vec<u8>; FILES.len()];

/// The parts a package is assembled from.
#[derive(Clone, Debug)]
pub struct PackageParts {
    /// Feature schema.
    pub schema: FeatureSchema,
    /// Integer network.
    pub network: IntegerNetwork,
    /// Score to probability.
    pub calibration: Calibration,
    /// What the model is compared with.
    pub baselines: Baselines,
    /// The float weights, as safetensors.
    pub float: Vec<u8>,
    /// Model card.
    pub card: ModelCard,
    /// Which windows are like those the model was validated on.
    pub guard: Guard,
}

/// Why a package was refused.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// A file could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A file or the directory could not be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A file is larger than any package's.
    #[error("{file} is larger than {FILE_BYTES_MAX} bytes")]
    TooLarge {
        /// The file.
        file: &'static str,
    },
    /// A JSON file does not parse, or what it says was refused.
    #[error("{file} is not valid")]
    Json {
        /// The file.
        file: &'static str,
        /// The cause, which for a refused network names layer and neuron.
        source: serde_json::Error,
    },
    /// The card in prose is not the card.
    #[error("card.md is not what card.json renders to")]
    CardText,
    /// The float weights are not valid safetensors.
    #[error("model.safetensors is not valid")]
    Float(#[from] safetensors::SafeTensorError),
    /// The float weights lack a tensor, or it has another shape or type than the integer network's.
    #[error("model.safetensors: tensor {0:?} is missing or does not fit the network")]
    FloatTensor(String),
    /// The float weights hold other tensors than two for each layer of the network.
    #[error("model.safetensors holds {0} tensors, not two for each layer")]
    FloatCount(usize),
    /// The network was accepted for other input bounds than the schema's.
    #[error("the network's input bounds are not the schema's")]
    InputBounds,
    /// The logistic regression reads another number of features than the schema has.
    #[error("baseline.json was written for another schema")]
    BaselineWidth,
    /// The guard is of other dimensions than the network.
    #[error("guard.json is not of the network's dimensions")]
    GuardShape,
    /// The card speaks of another schema or network.
    #[error("card.json was written for another {0}")]
    CardMismatch(&'static str),
}

static DEFAULT_MODEL: LazyLock<ModelPackage> = LazyLock::new(|| {
    let files: PackageFiles = [
        include_bytes!("../../models/sepsis-v2/network.json").to_vec(),
        include_bytes!("../../models/sepsis-v2/schema.json").to_vec(),
        include_bytes!("../../models/sepsis-v2/calibration.json").to_vec(),
        include_bytes!("../../models/sepsis-v2/model.safetensors").to_vec(),
        include_bytes!("../../models/sepsis-v2/card.json").to_vec(),
        include_bytes!("../../models/sepsis-v2/card.md").to_vec(),
        include_bytes!("../../models/sepsis-v2/baseline.json").to_vec(),
        include_bytes!("../../models/sepsis-v2/guard.json").to_vec(),
    ];
    ModelPackage::from_files(files).expect("the embedded package was checked when it was committed")
});

impl ModelPackage {
    /// The model this crate ships.
    pub fn default_model() -> &'static Self {
        &DEFAULT_MODEL
    }

    /// Puts a package together and checks it as if it had been loaded.
    pub fn assemble(parts: PackageParts) -> Result<Self, PackageError> {
        let PackageParts { schema, network, calibration, baselines, float, card, guard } = parts;
        Self::from_files([
            line(serde_json::to_vec(&network), FILES[0])?,
            line(serde_json::to_vec_pretty(&schema), FILES[1])?,
            line(serde_json::to_vec_pretty(&calibration), FILES[2])?,
            float,
            line(serde_json::to_vec_pretty(&card), FILES[4])?,
            card.render().into_bytes(),
            line(serde_json::to_vec_pretty(&baselines), FILES[6])?,
            line(serde_json::to_vec(&guard), FILES[7])?,
        ])
    }

    /// Reads a package from a directory.
    pub fn load(directory: &Path) -> Result<Self, PackageError> {
        let mut files = PackageFiles::default();
        for (bytes, name) in files.iter_mut().zip(FILES) {
            let path = directory.join(name);
            let size = std::fs::metadata(&path).map_err(|source| PackageError::Read { path: path.clone(), source })?;
            if size.len() > FILE_BYTES_MAX as u64 {
                return Err(PackageError::TooLarge { file: name });
            }
            *bytes = std::fs::read(&path).map_err(|source| PackageError::Read { path, source })?;
        }
        Self::from_files(files)
    }

    /// Decodes and checks the files of a package, given in the order of [`FILES`].
    pub fn from_files(files: PackageFiles) -> Result<Self, PackageError> {
        if let Some(index) = files.iter().position(|bytes| bytes.len() > FILE_BYTES_MAX) {
            return Err(PackageError::TooLarge { file: FILES[index] });
        }
        let network: IntegerNetwork = parse(FILES[0], &files[0])?;
        let schema: FeatureSchema = parse(FILES[1], &files[1])?;
        let calibration: Calibration = parse(FILES[2], &files[2])?;
        let card: ModelCard = parse(FILES[4], &files[4])?;
        let baselines: Baselines = parse(FILES[6], &files[6])?;
        let guard: Guard = parse(FILES[7], &files[7])?;
        if network.input_bounds() != schema.bounds() {
            return Err(PackageError::InputBounds);
        }
        if baselines.logistic.width() != schema.len() {
            return Err(PackageError::BaselineWidth);
        }
        if card.schema_hash != hex::encode(schema.hash()) {
            return Err(PackageError::CardMismatch("schema"));
        }
        if card.network_hash != hex::encode(network.hash()) {
            return Err(PackageError::CardMismatch("network"));
        }
        if card.render().as_bytes() != files[5] {
            return Err(PackageError::CardText);
        }
        float::check_float(&files[3], &network)?;
        if !guard.fits(&network.dims()) {
            return Err(PackageError::GuardShape);
        }
        Ok(Self { schema, network, calibration, baselines, card, guard, files })
    }

    /// Writes the files into a directory, which is created if need be.
    pub fn save(&self, directory: &Path) -> Result<(), PackageError> {
        let write =
            |path: PathBuf, result: std::io::Result<()>| result.map_err(|source| PackageError::Write { path, source });
        write(directory.to_owned(), std::fs::create_dir_all(directory))?;
        for (name, bytes) in FILES.iter().zip(&self.files) {
            let path = directory.join(name);
            let result = std::fs::write(&path, bytes);
            write(path, result)?;
        }
        Ok(())
    }

    /// The content hash that governance approves: SHA-256 of the [archive](Self::to_archive).
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.to_archive()).into()
    }

    /// The package as one string of bytes: a domain, then name and content of each file, each after its length.
    pub fn to_archive(&self) -> Vec<u8> {
        archive::write(&self.files)
    }

    /// Reads an archive whose hash is `expected`. Nothing of another one is parsed.
    pub fn from_archive(archive: &[u8], expected: [u8; 32]) -> Result<Self, ArchiveError> {
        archive::read(archive, expected)
    }

    /// The same model with an evaluation added to its card. This gives another content hash.
    pub fn with_evaluation(&self, evaluation: CardEvaluation) -> Result<Self, PackageError> {
        let mut parts = self.to_parts();
        parts.card.evaluations.push(evaluation);
        Self::assemble(parts)
    }

    /// The parts, to assemble a changed package from.
    pub fn to_parts(&self) -> PackageParts {
        PackageParts {
            schema: self.schema.clone(),
            network: self.network.clone(),
            calibration: self.calibration.clone(),
            baselines: self.baselines.clone(),
            float: self.files[3].clone(),
            card: self.card.clone(),
            guard: self.guard.clone(),
        }
    }

    /// Feature schema.
    pub fn schema(&self) -> &FeatureSchema {
        &self.schema
    }

    /// Integer network.
    pub fn network(&self) -> &IntegerNetwork {
        &self.network
    }

    /// Score to probability.
    pub fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// What the model is compared with.
    pub fn baselines(&self) -> &Baselines {
        &self.baselines
    }

    /// The float layers the integers were rounded from.
    pub fn float_layers(&self) -> Result<Vec<FloatLayer>, PackageError> {
        decode_float(&self.files[3])
    }

    /// Model card.
    pub fn card(&self) -> &ModelCard {
        &self.card
    }

    /// Which windows are like those the model was validated on.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// The bytes of the files, in the order of [`FILES`].
    pub fn files(&self) -> &PackageFiles {
        &self.files
    }
}

fn parse<T: serde::de::DeserializeOwned>(file: &'static str, bytes: &[u8]) -> Result<T, PackageError> {
    serde_json::from_slice(bytes).map_err(|source| PackageError::Json { file, source })
}

/// A JSON file ends with a newline.
fn line(json: serde_json::Result<Vec<u8>>, file: &'static str) -> Result<Vec<u8>, PackageError> {
    let mut bytes = json.map_err(|source| PackageError::Json { file, source })?;
    bytes.push(b'\n');
    Ok(bytes)
}
