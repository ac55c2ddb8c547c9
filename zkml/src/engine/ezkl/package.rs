//! A compiled circuit: a folder of EZKL's files, and a manifest with the hash of each of them.
//!
//! EZKL reads whatever it finds. So a file is copied into memory that nothing can change any more, and it is that copy which
//! is hashed, compared with the manifest and handed to every worker. A file that is not the manifest's is an error, never a
//! reason to make another. The manifest itself is trusted no further than its hash reaches: who needs to know whose circuit
//! it is compares [`Manifest::verifying_key_hash`] with the one that governance approved.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, Write},
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{EZKL_PROOF_SYSTEM_ID, error::PackageError};

/// Name of the manifest.
pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const MODEL: &str = "model.onnx";
pub(super) const SETTINGS: &str = "settings.json";
pub(super) const CIRCUIT: &str = "circuit.ezkl";
pub(super) const VERIFYING_KEY: &str = "verifying.key";
pub(super) const PROVING_KEY: &str = "proving.key";
pub(super) const SRS: &str = "kzg.srs";
pub(super) const CONTRACT: &str = "verifier.sol";
/// All files but the manifest.
pub(super) const FILES: [&str; 7] = [MODEL, SETTINGS, CIRCUIT, VERIFYING_KEY, PROVING_KEY, SRS, CONTRACT];
/// Files that workers read.
const WORKING: [&str; 5] = [SETTINGS, CIRCUIT, VERIFYING_KEY, PROVING_KEY, SRS];

/// Version of the folder's form.
pub(super) const VERSION: u32 = 1;
/// A manifest has some two kilobytes.
const MANIFEST_BYTES_MAX: u64 = 1 << 16;
/// Largest file that is read: a proving key of 2^17 rows has 1.3 GB.
const FILE_BYTES_MAX: u64 = 2 << 30;

/// What a compiled circuit is of, and made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub(super) version: u32,
    pub(super) proof_system: String,
    /// Version of EZKL.
    pub ezkl: String,
    /// SHA-256 of EZKL's compiled module, which tells builds of one version apart.
    #[serde(with = "hex::serde")]
    pub module_hash: [u8; 32],
    /// What the circuit was compiled with, as EZKL's settings have it.
    pub run_args: Value,
    /// Logarithm of the number of rows.
    pub logrows: u32,
    /// Rows in use.
    pub rows: u64,
    /// Bytes of every proof.
    pub proof_bytes: usize,
    /// Hash of the integer network.
    #[serde(with = "hex::serde")]
    pub network_hash: [u8; 32],
    /// Hash of the feature schema.
    #[serde(with = "hex::serde")]
    pub schema_hash: [u8; 32],
    /// Digest of the reference string.
    #[serde(with = "hex::serde")]
    pub srs_digest: [u8; 32],
    /// Whether the reference string's secret is public. Only a local chain may accept such a key.
    pub is_development: bool,
    /// How far an honest proof's score may lie from the reference's, in units of the score: not at all.
    pub tolerance: u64,
    /// How far a proof's score may lie from the reference's when whoever proved bent what EZKL's circuit lets bend.
    pub freedom_max: u64,
    /// Size and hash of each file.
    pub files: BTreeMap<String, FileEntry>,
}

/// Size and hash of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Bytes.
    pub bytes: u64,
    /// SHA-256.
    #[serde(with = "hex::serde")]
    pub sha256: [u8; 32],
}

impl Manifest {
    /// What is proved: EZKL's circuit of this network and schema, with the weights in it.
    pub fn circuit_hash(&self) -> [u8; 32] {
        circuit_hash(&self.network_hash, &self.schema_hash, &self.hash_of(MODEL))
    }

    /// What anyone needs to verify: key, settings and reference string.
    pub fn verifying_key_hash(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(b"hygeia/ezkl-verifying-key/v1");
        for part in [self.circuit_hash(), self.hash_of(VERIFYING_KEY), self.hash_of(SETTINGS), self.srs_digest] {
            hasher.update(part);
        }
        hasher.finalize().into()
    }

    fn hash_of(&self, name: &str) -> [u8; 32] {
        self.files.get(name).map_or([0; 32], |file| file.sha256)
    }

    fn read(folder: &Path) -> Result<Self, PackageError> {
        let path = folder.join(MANIFEST);
        let error = |source| PackageError::Read { path: path.clone(), source };
        let mut text = Vec::new();
        File::open(&path).and_then(|file| file.take(MANIFEST_BYTES_MAX).read_to_end(&mut text)).map_err(error)?;
        let manifest: Self = serde_json::from_slice(&text).map_err(|_| PackageError::Manifest)?;
        let is_whole =
            FILES.iter().all(|&name| manifest.files.contains_key(name)) && manifest.files.len() == FILES.len();
        if manifest.version != VERSION || manifest.proof_system != EZKL_PROOF_SYSTEM_ID || !is_whole {
            return Err(PackageError::Manifest);
        }
        Ok(manifest)
    }

    /// Takes the files of a folder into the manifest and writes it beside them.
    pub(super) fn write(mut self, folder: &Path) -> Result<Self, PackageError> {
        for name in FILES {
            let sealed = Sealed::read(&folder.join(name))?;
            self.files.insert(name.to_owned(), sealed.entry);
        }
        let path = folder.join(MANIFEST);
        let mut text = serde_json::to_vec_pretty(&self).map_err(|_| PackageError::Manifest)?;
        text.push(b'\n');
        write(&path, &text)?;
        Ok(self)
    }
}

/// Names a circuit: schema, network and the file that EZKL compiled.
pub(super) fn circuit_hash(network_hash: &[u8; 32], schema_hash: &[u8; 32], model_hash: &[u8; 32]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(b"hygeia/ezkl-circuit/v1");
    hasher.update(EZKL_PROOF_SYSTEM_ID.as_bytes());
    for part in [schema_hash, network_hash, model_hash] {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// A package whose every file has been checked, and can no longer change.
pub(super) struct Package {
    pub manifest: Manifest,
    files: BTreeMap<&'static str, Sealed>,
    /// The verifier contract.
    pub contract: String,
}

impl Package {
    /// Reads a folder and compares every file with the manifest.
    pub fn load(folder: &Path) -> Result<Self, PackageError> {
        let manifest = Manifest::read(folder)?;
        let mut files = BTreeMap::new();
        let mut contract = String::new();
        for name in FILES {
            let mut sealed = Sealed::read(&folder.join(name))?;
            if manifest.files.get(name) != Some(&sealed.entry) {
                return Err(PackageError::Corrupted(name));
            }
            if name == CONTRACT {
                sealed.file.read_to_string(&mut contract).map_err(|_| PackageError::Corrupted(name))?;
            }
            if WORKING.contains(&name) {
                files.insert(name, sealed);
            }
        }
        Ok(Self { manifest, files, contract })
    }

    /// Where a worker finds each file: below this process, which holds them.
    pub fn paths(&self) -> BTreeMap<&'static str, String> {
        let path = |sealed: &Sealed| format!("/proc/{}/fd/{}", std::process::id(), sealed.file.as_raw_fd());
        self.files.iter().map(|(&name, sealed)| (name, path(sealed))).collect()
    }
}

/// A copy of a file that nothing can change.
struct Sealed {
    file: File,
    entry: FileEntry,
}

impl Sealed {
    fn read(path: &Path) -> Result<Self, PackageError> {
        let error = |source| PackageError::Read { path: path.to_owned(), source };
        let source = File::open(path).map_err(error)?;
        copy(source.take(FILE_BYTES_MAX)).map_err(error)
    }
}

/// Copies into memory, seals, and hashes what was sealed.
fn copy(mut source: impl Read) -> io::Result<Sealed> {
    let memory: OwnedFd = memfd_create("hygeia-ezkl", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(memory);
    io::copy(&mut source, &mut file)?;
    fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK)?;
    file.rewind()?;
    let mut hasher = Sha256::new();
    let bytes = io::copy(&mut file, &mut hasher)?;
    file.rewind()?;
    Ok(Sealed { file, entry: FileEntry { bytes, sha256: hasher.finalize().into() } })
}

/// The folder of a circuit over one reference string.
pub(super) fn folder(directory: &Path, circuit_hash: &[u8; 32], is_development: bool) -> PathBuf {
    let origin = if is_development { "-development-insecure" } else { "" };
    directory.join(format!("ezkl-{}{origin}", hex::encode(circuit_hash)))
}

/// Writes a file to the disk.
pub(super) fn write(path: &Path, content: &[u8]) -> Result<(), PackageError> {
    let error = |source| PackageError::Write { path: path.to_owned(), source };
    File::create(path).and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all())).map_err(error)
}
