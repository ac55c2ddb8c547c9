//! The native engine: halo2-axiom with KZG on BN254, SHPLONK openings and the Keccak transcript of the EVM.

pub(crate) mod file;
pub(crate) mod keys;
pub(crate) mod srs;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

use halo2_axiom::{
    SerdeFormat,
    halo2curves::bn256::{Bn256, G1Affine},
    plonk::{ProvingKey, keygen_pk, keygen_vk, verify_proof},
    poly::kzg::{commitment::KZGCommitmentScheme, multiopen::VerifierSHPLONK, strategy::SingleStrategy},
    transcript::TranscriptReadBuffer,
};
use hygeia_gpu_kernels::Accelerator;
use hygeia_inference::IntegerNetwork;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use sha2::{Digest, Sha256};
use snark_verifier::system::halo2::transcript::evm::{ChallengeEvm, EvmTranscript};

pub use file::FileError;
pub use keys::{KeyError, VerifyingKeyFile};
pub use srs::{Srs, SrsError, SrsForm, SrsOrigin, SrsProgress, local_chain};

use super::{Engine, Proof, ProveError, VerifyError};
use crate::{
    PROOF_SYSTEM_ID,
    circuit::{
        AlertCircuit,
        layout::Layout,
        plan::{Goal, Plan, PlanError, Shape},
        witness::{self, AlertColumns, Witness, WitnessError},
    },
    prover::{Freedom, PlacedProver, Placement, Prover, ProverError, placed, stock},
    statement::{CommitmentScheme, PublicInputs, Salt},
};
use file::{Magic, Sealed};

const PROVING_KEY_MAGIC: &Magic = b"HYGEIAPK";
const PROVING_KEY_KIND: &str = "proving key";

/// How an engine runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EngineConfig {
    /// Threads of the engine's own pool; 0 takes one for each processor.
    pub threads: usize,
    /// What the circuit is chosen for. Keys of one goal are not those of another.
    pub goal: Goal,
    /// Where proofs are made.
    pub placement: Placement,
}

/// Why an engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// There is no circuit for the network.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The reference string was refused.
    #[error(transparent)]
    Srs(#[from] SrsError),
    /// A key was refused.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The prover could not be prepared.
    #[error(transparent)]
    Prover(#[from] ProverError),
    /// The proof system could not make keys.
    #[error("key generation: {0}")]
    Keygen(String),
    /// The thread pool could not be started.
    #[error("start {threads} proving threads")]
    Threads {
        /// Threads asked for.
        threads: usize,
        /// What the system said.
        source: rayon::ThreadPoolBuildError,
    },
}

/// Where the keys of one circuit and one reference string lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPaths {
    /// Verifying key, to be given to everyone.
    pub verifying: PathBuf,
    /// Proving key.
    pub proving: PathBuf,
}

/// Keys of one model in memory, and threads to prove with. One engine serves many callers at a time.
pub struct NativeEngine {
    network: IntegerNetwork,
    layout: Arc<Layout>,
    srs: Srs,
    prover: PlacedProver,
    verifying_key: VerifyingKeyFile,
    pool: rayon::ThreadPool,
}

impl NativeEngine {
    /// Lays the circuit of a model out and generates its keys.
    pub fn new(
        network: &IntegerNetwork,
        schema_hash: [u8; 32],
        srs: &Srs,
        config: &EngineConfig,
    ) -> Result<Self, EngineError> {
        let layout = Arc::new(Layout::new(network, schema_hash, config.goal)?);
        let srs = srs.trimmed(layout.plan.k)?;
        let pool = start_pool(config)?;
        let prover = pool.install(|| place(generate_key(&layout, &srs)?, &srs, config))?;
        let verifying_key = VerifyingKeyFile::new(
            prover.key().get_vk().clone(),
            &srs,
            &layout.plan,
            circuit_hash(network, schema_hash, &layout.plan),
            schema_hash,
        );
        Ok(Self { network: network.clone(), layout, srs, prover, verifying_key, pool })
    }

    /// Loads the keys of a model that [`Self::save`] wrote. Hashes are checked before anything is decoded.
    pub fn load(
        network: &IntegerNetwork,
        schema_hash: [u8; 32],
        srs: &Srs,
        directory: &Path,
        config: &EngineConfig,
    ) -> Result<Self, EngineError> {
        let layout = Arc::new(Layout::new(network, schema_hash, config.goal)?);
        let srs = srs.trimmed(layout.plan.k)?;
        let circuit = circuit_hash(network, schema_hash, &layout.plan);
        let paths = key_paths(directory, circuit, &srs);
        let verifying_key = VerifyingKeyFile::load(&paths.verifying)?;
        let sealed = Sealed::read(PROVING_KEY_MAGIC, PROVING_KEY_KIND, &paths.proving).map_err(KeyError::from)?;
        let proving_key = decode_proving_key(sealed.body(), &verifying_key, &layout.plan)?;
        // What the key says of itself must be what this model, schema and reference string would say.
        let expected = VerifyingKeyFile::new(proving_key.get_vk().clone(), &srs, &layout.plan, circuit, schema_hash);
        if expected.hash() != verifying_key.hash() {
            return Err(KeyError::Other("model, schema or reference string").into());
        }
        let pool = start_pool(config)?;
        let prover = pool.install(|| place(proving_key, &srs, config))?;
        Ok(Self { network: network.clone(), layout, srs, prover, verifying_key, pool })
    }

    /// Loads the keys, or generates and saves them when there are none. A damaged key is an error, not a reason to
    /// generate another.
    pub fn open(
        network: &IntegerNetwork,
        schema_hash: [u8; 32],
        srs: &Srs,
        directory: &Path,
        config: &EngineConfig,
    ) -> Result<Self, EngineError> {
        match Self::load(network, schema_hash, srs, directory, config) {
            Err(EngineError::Key(KeyError::File(error))) if error.is_not_found() => {
                let engine = Self::new(network, schema_hash, srs, config)?;
                engine.save(directory)?;
                Ok(engine)
            }
            result => result,
        }
    }

    /// [`Self::open`] with the insecure development string, both cached in one directory.
    pub fn open_development(
        network: &IntegerNetwork,
        schema_hash: [u8; 32],
        directory: &Path,
        config: &EngineConfig,
    ) -> Result<Self, EngineError> {
        let srs = Srs::development_cached(Self::plan(network, config.goal)?.k, directory)?;
        Self::open(network, schema_hash, &srs, directory, config)
    }

    /// The circuit that a network gets. It prints itself; its `k` is the size that the reference string must have.
    pub fn plan(network: &IntegerNetwork, goal: Goal) -> Result<Plan, PlanError> {
        Plan::choose(&Shape::of(network), goal)
    }

    /// Saves both keys under the hash of their circuit.
    pub fn save(&self, directory: &Path) -> Result<KeyPaths, EngineError> {
        let paths = key_paths(directory, self.verifying_key.circuit_hash(), &self.srs);
        let mut body = self.verifying_key.hash().to_vec();
        body.extend(self.prover.key().to_bytes(SerdeFormat::RawBytesUnchecked));
        Sealed::new(PROVING_KEY_MAGIC, &body).write(&paths.proving).map_err(KeyError::from)?;
        self.verifying_key.save(&paths.verifying)?;
        Ok(paths)
    }

    /// The verifying key with all that offline verification needs.
    pub fn verifying_key(&self) -> &VerifyingKeyFile {
        &self.verifying_key
    }

    /// Where it proves, for logs and labels.
    pub fn device(&self) -> &'static str {
        self.prover.device()
    }

    /// Proves one window and verifies the proof before returning it. Blocks the calling thread until it is done, so an
    /// asynchronous caller gives it a blocking thread.
    pub fn prove(&self, features: &[i32], salt: &Salt) -> Result<Proof, ProveError> {
        self.prove_by(features, salt, |witness, rng| self.write_proof(&witness, rng))
    }

    /// [`Self::prove`] by halo2-axiom's own prover, which ours is measured against.
    pub fn prove_by_stock(&self, features: &[i32], salt: &Salt) -> Result<Proof, ProveError> {
        self.prove_by(features, salt, |witness, rng| self.write_stock_proof(witness, rng))
    }

    /// This engine's key, made ready on a device that is measured or tested.
    pub fn prover_on<A: Accelerator>(&self, device: A) -> Result<Prover<A>, ProverError> {
        self.prover.on(device, self.srs.params())
    }

    /// [`Self::prove`] by a prover of [`Self::prover_on`]. Nothing stands in for a device that fails: that is an error.
    pub fn prove_on<A: Accelerator>(
        &self,
        prover: &Prover<A>,
        features: &[i32],
        salt: &Salt,
    ) -> Result<Proof, ProveError> {
        self.prove_by(features, salt, |witness, rng| {
            let columns = AlertColumns { layout: &self.layout, witness: &witness };
            placed::write(prover, &columns, &witness.public.instances(), rng)
        })
    }

    fn prove_by(
        &self,
        features: &[i32],
        salt: &Salt,
        write: impl Fn(Witness, &mut ChaCha20Rng) -> Result<Vec<u8>, ProverError> + Sync,
    ) -> Result<Proof, ProveError> {
        let prove = || -> Result<Proof, ProveError> {
            let mut rng = ChaCha20Rng::from_entropy();
            let witness = witness::fill(&self.layout, &self.network, features, salt, &mut rng)?;
            let public = witness.public;
            let bytes = write(witness, &mut rng)?;
            verify(&self.verifying_key, &bytes, &public).map_err(ProveError::SelfVerificationFailed)?;
            Ok(Proof { bytes, public })
        };
        catch_unwind(AssertUnwindSafe(|| self.pool.install(prove))).unwrap_or(Err(ProveError::Panicked))
    }

    /// The proof of a witness, good or bad.
    fn write_proof(&self, witness: &Witness, freedom: &mut impl Freedom) -> Result<Vec<u8>, ProverError> {
        let columns = AlertColumns { layout: &self.layout, witness };
        self.prover.write(self.srs.params(), &columns, &witness.public.instances(), freedom)
    }

    fn write_stock_proof(&self, witness: Witness, rng: &mut ChaCha20Rng) -> Result<Vec<u8>, ProverError> {
        let instances = witness.public.instances();
        let circuit = AlertCircuit::with_witness(Arc::clone(&self.layout), witness);
        stock::prove(self.srs.params(), self.prover.key(), circuit, &instances, rng)
    }
}

impl Engine for NativeEngine {
    fn name(&self) -> &'static str {
        "native"
    }

    fn proof_system_id(&self) -> &'static str {
        PROOF_SYSTEM_ID
    }

    fn circuit_hash(&self) -> [u8; 32] {
        self.verifying_key.circuit_hash()
    }

    fn verifying_key_hash(&self) -> [u8; 32] {
        self.verifying_key.hash()
    }

    fn proof_bytes(&self) -> usize {
        self.verifying_key.proof_bytes()
    }

    fn is_development(&self) -> bool {
        self.verifying_key.is_development()
    }

    fn commitment_scheme(&self) -> CommitmentScheme {
        CommitmentScheme::Native
    }

    fn prove(&self, features: &[i32], salt: &Salt) -> Result<Proof, ProveError> {
        Self::prove(self, features, salt)
    }

    fn verify(&self, public: &PublicInputs, proof: &[u8]) -> Result<(), VerifyError> {
        verify(&self.verifying_key, proof, public)
    }
}

impl fmt::Debug for NativeEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NativeEngine").field("verifying_key", &self.verifying_key).finish_non_exhaustive()
    }
}

impl From<ProverError> for ProveError {
    fn from(error: ProverError) -> Self {
        Self::ProofSystem(error.to_string())
    }
}

impl From<WitnessError> for ProveError {
    fn from(error: WitnessError) -> Self {
        match error {
            WitnessError::Statement(error) => Self::Statement(error),
            WitnessError::Network(error) => Self::Input(error),
        }
    }
}

/// Verifies a proof with nothing but the verifying key.
pub fn verify(key: &VerifyingKeyFile, proof: &[u8], public: &PublicInputs) -> Result<(), VerifyError> {
    // halo2 reads what it needs and ignores the rest, so the length is compared first.
    let (expected, actual) = (key.proof_bytes(), proof.len());
    if expected != actual {
        return Err(VerifyError::Length { expected, actual });
    }
    let instances = public.instances();
    let verify = || {
        let mut transcript: EvmTranscript<G1Affine, _, _, _> = TranscriptReadBuffer::<_, G1Affine, _>::init(proof);
        verify_proof::<
            KZGCommitmentScheme<Bn256>,
            VerifierSHPLONK<'_, Bn256>,
            ChallengeEvm<G1Affine>,
            _,
            SingleStrategy<'_, Bn256>,
        >(
            key.params(), key.verifying_key(), SingleStrategy::new(key.params()), &[&[&instances]], &mut transcript
        )
    };
    match catch_unwind(AssertUnwindSafe(verify)) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(VerifyError::Rejected),
        Err(_) => Err(VerifyError::Panicked),
    }
}

/// Names a circuit: schema, network and shape. A key adds the reference string to it.
fn circuit_hash(network: &IntegerNetwork, schema_hash: [u8; 32], plan: &Plan) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(b"hygeia/circuit/v2");
    hasher.update(PROOF_SYSTEM_ID.as_bytes());
    hasher.update(schema_hash);
    hasher.update(network.hash());
    hasher.update(plan.k.to_be_bytes());
    hasher.update((plan.lanes as u64).to_be_bytes());
    hasher.finalize().into()
}

fn key_paths(directory: &Path, circuit_hash: [u8; 32], srs: &Srs) -> KeyPaths {
    let origin = if srs.is_development() { "-development-insecure" } else { "" };
    let name = format!("{}{origin}", hex::encode(circuit_hash));
    KeyPaths { verifying: directory.join(format!("{name}.vk")), proving: directory.join(format!("{name}.pk")) }
}

pub(crate) fn start_pool(config: &EngineConfig) -> Result<rayon::ThreadPool, EngineError> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(config.threads)
        .thread_name(|index| format!("prover-{index}"))
        .build()
        .map_err(|source| EngineError::Threads { threads: config.threads, source })
}

/// Makes a proving key ready where the configuration wants it.
pub(crate) fn place(key: ProvingKey<G1Affine>, srs: &Srs, config: &EngineConfig) -> Result<PlacedProver, EngineError> {
    Ok(PlacedProver::new(&config.placement, key, srs.params())?)
}

fn generate_key(layout: &Arc<Layout>, srs: &Srs) -> Result<ProvingKey<G1Affine>, EngineError> {
    let circuit = AlertCircuit::without_witness(Arc::clone(layout));
    let failed = |error: halo2_axiom::plonk::Error| EngineError::Keygen(error.to_string());
    let generate = || {
        let verifying_key = keygen_vk(srs.params(), &circuit).map_err(failed)?;
        keys::check_degree(verifying_key.cs())?;
        keygen_pk(srs.params(), verifying_key, &circuit).map_err(failed)
    };
    catch_unwind(AssertUnwindSafe(generate)).unwrap_or(Err(EngineError::Keygen("it panicked".to_owned())))
}

fn decode_proving_key(
    body: &[u8],
    verifying_key: &VerifyingKeyFile,
    plan: &Plan,
) -> Result<ProvingKey<G1Affine>, KeyError> {
    let (hash, key) = body.split_first_chunk::<32>().ok_or(KeyError::Decode("no verifying key named"))?;
    if *hash != verifying_key.hash() {
        return Err(KeyError::Other("verifying key"));
    }
    keys::check_proving_key(key, verifying_key.verifying_key())?;
    let decode = || ProvingKey::from_bytes::<AlertCircuit>(key, SerdeFormat::RawBytesUnchecked, plan.clone());
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(Ok(key)) => Ok(key),
        Ok(Err(_)) => Err(KeyError::Decode("the proving key is malformed")),
        Err(_) => Err(KeyError::Decode("the decoder panicked")),
    }
}
