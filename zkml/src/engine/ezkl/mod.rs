//! The EZKL engine: the same statement, proved by EZKL's official module in worker processes.
//!
//! EZKL is given the integer network in a form that its fixed-point arithmetic evaluates to the reference's score bit for
//! bit, so thresholds and receipts mean the same whichever engine proved. Nothing that EZKL says is taken at its word: the
//! commitment and the score of each proof are compared with those computed here, and the proof is verified from its bytes,
//! before it is released. This engine never passes on a text of EZKL's, and never uses a file before its hash.

mod bound;
mod config;
mod contract;
mod error;
mod lanes;
mod make;
mod package;
mod pool;
pub mod poseidon;
mod worker;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use halo2_axiom::halo2curves::{bn256::Fr, ff::PrimeField};
use hygeia_inference::IntegerNetwork;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub use bound::freedom_max;
pub use config::{EzklConfig, WORKER};
pub use contract::calldata;
pub use error::{EzklError, Fault, PackageError, ProofFault, WorkerError};
pub use lanes::commit;
pub use package::{FileEntry, Manifest};

use super::{Engine, Proof, ProveError, VerifyError, native::Srs};
use crate::{
    EZKL_PROOF_SYSTEM_ID,
    statement::{Commitment, CommitmentScheme, PublicInputs, Salt, field_to_i64},
};
use make::Bench;
use package::Package;
use pool::Pool;
use worker::Worker;

/// How far an honest proof's score may lie from the reference's: the export is exact.
const TOLERANCE: u64 = 0;

/// What a worker can prove with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// The processor.
    Cpu,
    /// A build with ICICLE that was told to use it, and has proved so. Whether it found a device EZKL does not say.
    Icicle,
}

/// One model's circuit and the workers that prove it. One engine serves many callers at a time.
pub struct EzklEngine {
    network: IntegerNetwork,
    package: Package,
    pool: Pool,
    config: EzklConfig,
    backend: Backend,
}

impl EzklEngine {
    /// Loads the circuit of a model, or makes it when there is none: a minute of processor time. A damaged one is an error,
    /// not a reason to make another.
    pub fn open(
        network: &IntegerNetwork,
        schema_hash: [u8; 32],
        srs: &Srs,
        directory: &Path,
        config: &EzklConfig,
    ) -> Result<Self, EzklError> {
        match Self::load(network, schema_hash, srs, directory, config) {
            Err(EzklError::Package(error)) if error.is_not_found() => {
                Self::compile(network, schema_hash, srs, directory, config)
            }
            result => result,
        }
    }

    /// [`Self::open`] with the insecure development string, both cached in one directory.
    pub fn open_development(
        network: &IntegerNetwork,
        schema_hash: [u8; 32],
        directory: &Path,
        config: &EzklConfig,
    ) -> Result<Self, EzklError> {
        let place = package::folder(directory, &circuit_hash(network, schema_hash)?, true);
        match Package::load(&place) {
            Ok(package) => {
                let srs = Srs::development_cached(package.manifest.logrows, directory)?;
                Self::checked(network, schema_hash, &srs, package, config)
            }
            Err(error) if error.is_not_found() => {
                let bench = Bench::new(network, schema_hash, directory, config)?;
                let settled = bench.settle()?;
                let logrows = settled.logrows().ok_or(PackageError::Manifest)?;
                bench.finish(settled, &Srs::development_cached(logrows, directory)?, &place)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Compiles the circuit of a model, makes its keys, tries them, and saves all of it. What stands there stays.
    pub fn compile(
        network: &IntegerNetwork,
        schema_hash: [u8; 32],
        srs: &Srs,
        directory: &Path,
        config: &EzklConfig,
    ) -> Result<Self, EzklError> {
        let place = package::folder(directory, &circuit_hash(network, schema_hash)?, srs.is_development());
        let bench = Bench::new(network, schema_hash, directory, config)?;
        let settled = bench.settle()?;
        bench.finish(settled, srs, &place)
    }

    /// Loads what [`Self::compile`] saved. Every file is compared with its hash, and what was compared is what is used.
    pub fn load(
        network: &IntegerNetwork,
        schema_hash: [u8; 32],
        srs: &Srs,
        directory: &Path,
        config: &EzklConfig,
    ) -> Result<Self, EzklError> {
        let place = package::folder(directory, &circuit_hash(network, schema_hash)?, srs.is_development());
        Self::load_from(network, schema_hash, srs, &place, config)
    }

    /// The folder that [`Self::compile`] writes to.
    pub fn folder(
        network: &IntegerNetwork,
        schema_hash: [u8; 32],
        directory: &Path,
        is_development: bool,
    ) -> Result<PathBuf, EzklError> {
        Ok(package::folder(directory, &circuit_hash(network, schema_hash)?, is_development))
    }

    /// What the circuit is of, and made with.
    pub fn manifest(&self) -> &Manifest {
        &self.package.manifest
    }

    /// Solidity source of the verifier contract, `Halo2Verifier`.
    pub fn contract(&self) -> &str {
        &self.package.contract
    }

    /// What workers prove with.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    fn load_from(
        network: &IntegerNetwork,
        schema_hash: [u8; 32],
        srs: &Srs,
        place: &Path,
        config: &EzklConfig,
    ) -> Result<Self, EzklError> {
        Self::checked(network, schema_hash, srs, Package::load(place)?, config)
    }

    /// The engine of a package, if that is this model's, of this reference string and this build of EZKL.
    fn checked(
        network: &IntegerNetwork,
        schema_hash: [u8; 32],
        srs: &Srs,
        package: Package,
        config: &EzklConfig,
    ) -> Result<Self, EzklError> {
        let manifest = &package.manifest;
        let srs = srs.trimmed(manifest.logrows)?;
        let agrees = [
            (manifest.circuit_hash() == circuit_hash(network, schema_hash)?, "model or schema"),
            (manifest.srs_digest == srs.digest(), "reference string"),
            (manifest.is_development == srs.is_development(), "kind of reference string"),
            (manifest.tolerance == TOLERANCE && manifest.freedom_max == freedom_max(network), "network"),
        ];
        match agrees.into_iter().find(|(agrees, _)| !agrees) {
            Some((_, what)) => Err(PackageError::Other(what).into()),
            None => Self::around(network, package, config),
        }
    }

    fn around(network: &IntegerNetwork, package: Package, config: &EzklConfig) -> Result<Self, EzklError> {
        let open = json!({ "do": "open", "files": package.paths(), "cpu_s": config.cpu_s(config.timeout) });
        let timeout = config.timeout;
        let prepare = move |worker: &mut Worker| worker.ask::<Value>(&open, timeout).map(|_| ());
        let pool = Pool::new(config, Box::new(prepare)).map_err(EzklError::Pool)?;
        let about = pool.with(|worker| Ok(worker.about().clone()))?;
        let manifest = &package.manifest;
        if about.ezkl != manifest.ezkl || hash_from_hex(&about.module_sha256)? != manifest.module_hash {
            return Err(PackageError::Other("build of EZKL").into());
        }
        let backend = if config.gpu && about.has_gpu { Backend::Icicle } else { Backend::Cpu };
        let engine = Self { network: network.clone(), package, pool, config: config.clone(), backend };
        if backend == Backend::Icicle && engine.trial().is_err() {
            let config = EzklConfig { gpu: false, ..engine.config };
            return Self::around(network, engine.package, &config);
        }
        Ok(engine)
    }

    /// Proves a made-up window within the bounds, under all checks.
    fn trial(&self) -> Result<Proof, ProveError> {
        let window: Vec<i32> = self.network.input_bounds().iter().map(|&(low, high)| low + (high - low) / 3).collect();
        self.proved(&window, &Salt::random(&mut OsRng), None)
    }

    /// A proof that has passed every check. Its length is compared where it is known.
    fn proved(&self, features: &[i32], salt: &Salt, proof_bytes: Option<usize>) -> Result<Proof, ProveError> {
        let lanes = lanes::lanes(features, salt)?;
        let public = PublicInputs { commitment: commit(features, salt)?, score: self.network.score(features)? };
        let request = Prove { r#do: "prove", lanes: &lanes, cpu_s: self.config.cpu_s(self.config.timeout) };
        let made: Made = self.pool.with(|worker| worker.ask(&request, self.config.timeout))?;
        let bytes = made.checked(&public)?;
        if proof_bytes.is_some_and(|expected| expected != bytes.len()) {
            return Err(ProofFault::Length.into());
        }
        self.verified(&public, &bytes).map_err(|error| match error {
            VerifyError::Worker(error) => error.into(),
            error => ProveError::SelfVerificationFailed(error),
        })?;
        Ok(Proof { bytes, public })
    }

    /// Verifies from nothing but what a contract would be given.
    fn verified(&self, public: &PublicInputs, proof: &[u8]) -> Result<(), VerifyError> {
        let request = json!({
            "do": "verify", "proof": hex::encode(proof), "instances": contract::instances(public),
            "cpu_s": self.config.cpu_s(self.config.timeout),
        });
        self.pool.with(|worker| worker.ask::<Value>(&request, self.config.timeout))?;
        Ok(())
    }
}

impl Engine for EzklEngine {
    fn name(&self) -> &'static str {
        "ezkl"
    }

    fn proof_system_id(&self) -> &'static str {
        EZKL_PROOF_SYSTEM_ID
    }

    fn circuit_hash(&self) -> [u8; 32] {
        self.package.manifest.circuit_hash()
    }

    fn verifying_key_hash(&self) -> [u8; 32] {
        self.package.manifest.verifying_key_hash()
    }

    fn proof_bytes(&self) -> usize {
        self.package.manifest.proof_bytes
    }

    fn is_development(&self) -> bool {
        self.package.manifest.is_development
    }

    fn commitment_scheme(&self) -> CommitmentScheme {
        CommitmentScheme::Ezkl
    }

    fn prove(&self, features: &[i32], salt: &Salt) -> Result<Proof, ProveError> {
        self.proved(features, salt, Some(self.package.manifest.proof_bytes))
    }

    fn verify(&self, public: &PublicInputs, proof: &[u8]) -> Result<(), VerifyError> {
        // EZKL reads what it needs and ignores the rest, so the length is compared first.
        let (expected, actual) = (self.package.manifest.proof_bytes, proof.len());
        if expected != actual {
            return Err(VerifyError::Length { expected, actual });
        }
        self.verified(public, proof)
    }
}

impl fmt::Debug for EzklEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EzklEngine")
            .field("circuit", &hex::encode(self.circuit_hash()))
            .field("logrows", &self.package.manifest.logrows)
            .field("backend", &self.backend)
            .field("development", &self.is_development())
            .finish_non_exhaustive()
    }
}

/// What a worker is asked for. No other form of the lanes is made on the way, for none would be erased.
#[derive(Serialize)]
struct Prove<'a> {
    r#do: &'static str,
    lanes: &'a [i32],
    cpu_s: u64,
}

/// What a worker says it made.
#[derive(Deserialize)]
struct Made {
    proof: String,
    instances: Vec<String>,
}

impl Made {
    /// The proof's bytes, if it is about what it must be about.
    fn checked(&self, expected: &PublicInputs) -> Result<Vec<u8>, ProofFault> {
        let [commitment, score] = self.instances.as_slice() else { return Err(WorkerError::Answer.into()) };
        if Commitment::from_field(element(commitment)?) != expected.commitment {
            return Err(ProofFault::Commitment);
        }
        let score = field_to_i64(element(score)?).ok_or(ProofFault::Score)?;
        if score.abs_diff(expected.score) > TOLERANCE {
            return Err(ProofFault::Score);
        }
        Ok(hex::decode(&self.proof).map_err(|_| WorkerError::Answer)?)
    }
}

/// A field element as EZKL writes it.
fn element(text: &str) -> Result<Fr, WorkerError> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| WorkerError::Answer)?;
    Fr::from_repr_vartime(bytes).ok_or(WorkerError::Answer)
}

fn hash_from_hex(text: &str) -> Result<[u8; 32], WorkerError> {
    let mut hash = [0; 32];
    hex::decode_to_slice(text, &mut hash).map_err(|_| WorkerError::Answer)?;
    Ok(hash)
}

fn circuit_hash(network: &IntegerNetwork, schema_hash: [u8; 32]) -> Result<[u8; 32], EzklError> {
    let model = Sha256::digest(make::model(network)?).into();
    Ok(package::circuit_hash(&network.hash(), &schema_hash, &model))
}
