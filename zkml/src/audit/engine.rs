//! Keys of one model's audit circuit, and proofs made and verified with them.

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

use super::{
    batch::AuditBatch,
    circuit::{
        AuditCircuit,
        layout::Layout,
        witness::{self, AuditColumns, Witness, WitnessError},
    },
    keys::{AuditKeyError, AuditVerifyingKey},
    plan::{AuditPlan, AuditPlanError},
    tree::{AuditPublic, AuditTree},
};
use crate::{
    PROOF_SYSTEM_ID,
    contract::{ContractError, Origin, PUBLIC_VALUES, WORD_BYTES, solidity},
    engine::{
        VerifyError,
        native::{
            EngineConfig, EngineError, KeyError, KeyPaths, Srs, SrsError,
            file::{Magic, Sealed},
            keys::{check_degree, check_proving_key},
            place, start_pool,
        },
    },
    prover::{PlacedProver, Prover, ProverError, placed, stock},
    statement::PublicInputs,
};

const PROVING_KEY_MAGIC: &Magic = b"HYGEIAAP";
const PROVING_KEY_KIND: &str = "audit proving key";

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum AuditKeysError {
    /// There is no circuit for the network.
    #[error(transparent)]
    Plan(#[from] AuditPlanError),
    /// The reference string was refused.
    #[error(transparent)]
    Srs(#[from] SrsError),
    /// A key was refused.
    #[error(transparent)]
    Key(#[from] AuditKeyError),
    /// Keys could not be generated, or threads not started.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Why no proof came out.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// The batch has no window.
    #[error("audit: the batch is empty")]
    Empty,
    /// The batch has more windows than a proof of these keys holds.
    #[error("audit: {windows} windows do not fit {slots} slots")]
    TooMany {
        /// Windows of the batch.
        windows: usize,
        /// Slots of the circuit.
        slots: usize,
    },
    /// A window has no witness.
    #[error("audit: window {index} of the batch")]
    Window {
        /// Its place in the batch.
        index: usize,
        /// What is wrong with it.
        source: WitnessError,
    },
    /// The proof system refused the witness.
    #[error("audit: the proof system failed: {0}")]
    ProofSystem(String),
    /// The prover panicked. Its message is not passed on, for it might carry a witness.
    #[error("audit: the prover panicked")]
    Panicked,
    /// The proof did not verify. An incident: either the prover or the circuit is broken.
    #[error("audit: the new proof failed its own verification")]
    SelfVerificationFailed(#[source] VerifyError),
}

/// A proof that has been verified, what it proves, and what receipts are made from.
#[derive(Clone, PartialEq, Eq)]
pub struct AuditProof {
    /// The proof as the verifier contract takes it.
    pub bytes: Vec<u8>,
    /// Root and count.
    pub public: AuditPublic,
    /// Commitment and score of each window, in the order of the leaves. For whoever keeps receipts, not for the public.
    pub windows: Vec<PublicInputs>,
    /// The tree over them.
    pub tree: AuditTree,
}

/// Keys of one model in memory, and threads to prove with. One of these serves many callers at a time.
pub struct AuditKeys {
    network: IntegerNetwork,
    layout: Arc<Layout>,
    srs: Srs,
    prover: PlacedProver,
    verifying_key: AuditVerifyingKey,
    pool: rayon::ThreadPool,
}

impl AuditKeys {
    /// Lays the circuit of a model out and generates its keys.
    pub fn generate(
        network: &IntegerNetwork,
        schema_hash: [u8; 32],
        plan: &AuditPlan,
        srs: &Srs,
        config: &EngineConfig,
    ) -> Result<Self, AuditKeysError> {
        let layout = Arc::new(Layout::new(plan.clone(), network, schema_hash)?);
        let srs = srs.trimmed(plan.k)?;
        let pool = start_pool(config)?;
        let prover = pool.install(|| place(generate_key(&layout, &srs)?, &srs, config))?;
        let circuit_hash = circuit_hash(network, schema_hash, plan);
        let verifying_key =
            AuditVerifyingKey::new(prover.key().get_vk().clone(), &srs, plan, circuit_hash, schema_hash);
        Ok(Self { network: network.clone(), layout, srs, prover, verifying_key, pool })
    }

    /// Loads the keys of a model that [`Self::save`] wrote. Hashes are checked before anything is decoded.
    pub fn load(
        network: &IntegerNetwork,
        schema_hash: [u8; 32],
        plan: &AuditPlan,
        srs: &Srs,
        directory: &Path,
        config: &EngineConfig,
    ) -> Result<Self, AuditKeysError> {
        let layout = Arc::new(Layout::new(plan.clone(), network, schema_hash)?);
        let srs = srs.trimmed(plan.k)?;
        let circuit = circuit_hash(network, schema_hash, plan);
        let paths = key_paths(directory, circuit, &srs);
        let verifying_key = AuditVerifyingKey::load(&paths.verifying)?;
        let sealed = Sealed::read(PROVING_KEY_MAGIC, PROVING_KEY_KIND, &paths.proving)
            .map_err(|error| AuditKeyError::from(KeyError::from(error)))?;
        let proving_key = decode_proving_key(sealed.body(), &verifying_key, plan).map_err(AuditKeyError::from)?;
        // What the key says of itself must be what this model, schema and reference string would say.
        let expected = AuditVerifyingKey::new(proving_key.get_vk().clone(), &srs, plan, circuit, schema_hash);
        if expected.hash() != verifying_key.hash() {
            return Err(AuditKeyError::from(KeyError::Other("model, schema or reference string")).into());
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
        plan: &AuditPlan,
        srs: &Srs,
        directory: &Path,
        config: &EngineConfig,
    ) -> Result<Self, AuditKeysError> {
        match Self::load(network, schema_hash, plan, srs, directory, config) {
            Err(AuditKeysError::Key(AuditKeyError::Key(KeyError::File(error)))) if error.is_not_found() => {
                let keys = Self::generate(network, schema_hash, plan, srs, config)?;
                keys.save(directory)?;
                Ok(keys)
            }
            result => result,
        }
    }

    /// [`Self::open`] with the insecure development string, both cached in one directory.
    pub fn open_development(
        network: &IntegerNetwork,
        schema_hash: [u8; 32],
        plan: &AuditPlan,
        directory: &Path,
        config: &EngineConfig,
    ) -> Result<Self, AuditKeysError> {
        let srs = Srs::development_cached(plan.k, directory)?;
        Self::open(network, schema_hash, plan, &srs, directory, config)
    }

    /// Saves both keys under the hash of their circuit.
    pub fn save(&self, directory: &Path) -> Result<KeyPaths, AuditKeysError> {
        let paths = key_paths(directory, self.verifying_key.circuit_hash(), &self.srs);
        let mut body = self.verifying_key.hash().to_vec();
        body.extend(self.prover.key().to_bytes(SerdeFormat::RawBytesUnchecked));
        Sealed::new(PROVING_KEY_MAGIC, &body)
            .write(&paths.proving)
            .map_err(|error| AuditKeyError::from(KeyError::from(error)))?;
        self.verifying_key.save(&paths.verifying)?;
        Ok(paths)
    }

    /// The verifying key with all that offline verification needs.
    pub fn verifying_key(&self) -> &AuditVerifyingKey {
        &self.verifying_key
    }

    /// Shape of the circuit.
    pub fn plan(&self) -> &AuditPlan {
        &self.layout.plan
    }

    /// Proves a batch and verifies the proof before returning it. Blocks the calling thread until it is done, so an
    /// asynchronous caller gives it a blocking thread.
    pub fn prove(&self, batch: &AuditBatch) -> Result<AuditProof, AuditError> {
        self.prove_by(batch, |witness, rng| self.write_proof(witness, rng))
    }

    /// [`Self::prove`] by halo2-axiom's own prover, which ours is measured against.
    pub fn prove_by_stock(&self, batch: &AuditBatch) -> Result<AuditProof, AuditError> {
        self.prove_by(batch, |witness, rng| self.write_stock_proof(witness, rng))
    }

    /// This key, made ready on a device that is measured or tested.
    pub fn prover_on<A: Accelerator>(&self, device: A) -> Result<Prover<A>, ProverError> {
        self.prover.on(device, self.srs.params())
    }

    /// [`Self::prove`] by a prover of [`Self::prover_on`]. Nothing stands in for a device that fails: that is an error.
    pub fn prove_on<A: Accelerator>(&self, prover: &Prover<A>, batch: &AuditBatch) -> Result<AuditProof, AuditError> {
        self.prove_by(batch, |witness, rng| {
            let columns = AuditColumns { layout: &self.layout, witness };
            placed::write(prover, &columns, &witness.public().instances(), rng)
        })
    }

    fn prove_by(
        &self,
        batch: &AuditBatch,
        write: impl Fn(&Arc<Witness>, &mut ChaCha20Rng) -> Result<Vec<u8>, ProverError> + Sync,
    ) -> Result<AuditProof, AuditError> {
        let slots = self.layout.plan.slots;
        match batch.len() {
            0 => return Err(AuditError::Empty),
            windows if windows > slots => return Err(AuditError::TooMany { windows, slots }),
            _ => {}
        }
        let prove = || {
            let mut rng = ChaCha20Rng::from_entropy();
            let witness = witness::fill(&self.layout, &self.network, batch.windows(), &mut rng)
                .map_err(|(index, source)| AuditError::Window { index, source })?;
            let (public, witness) = (witness.public(), Arc::new(witness));
            let bytes = write(&witness, &mut rng)?;
            let (windows, tree) = (witness.windows.clone(), witness.tree.clone());
            verify(&self.verifying_key, &bytes, &public).map_err(AuditError::SelfVerificationFailed)?;
            Ok(AuditProof { bytes, public, windows, tree })
        };
        catch_unwind(AssertUnwindSafe(|| self.pool.install(prove))).unwrap_or(Err(AuditError::Panicked))
    }

    fn write_proof(&self, witness: &Witness, rng: &mut ChaCha20Rng) -> Result<Vec<u8>, ProverError> {
        let columns = AuditColumns { layout: &self.layout, witness };
        self.prover.write(self.srs.params(), &columns, &witness.public().instances(), rng)
    }

    fn write_stock_proof(&self, witness: &Arc<Witness>, rng: &mut ChaCha20Rng) -> Result<Vec<u8>, ProverError> {
        let circuit = AuditCircuit::with_witness(Arc::clone(&self.layout), Arc::clone(witness));
        stock::prove(self.srs.params(), self.prover.key(), circuit, &witness.public().instances(), rng)
    }
}

impl From<ProverError> for AuditError {
    fn from(error: ProverError) -> Self {
        Self::ProofSystem(error.to_string())
    }
}

impl fmt::Debug for AuditKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditKeys").field("verifying_key", &self.verifying_key).finish_non_exhaustive()
    }
}

/// Shows what the chain will see, and no window.
impl fmt::Debug for AuditProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditProof").field("bytes", &self.bytes.len()).field("public", &self.public).finish()
    }
}

/// Verifies a proof with nothing but the verifying key.
pub fn verify(key: &AuditVerifyingKey, proof: &[u8], public: &AuditPublic) -> Result<(), VerifyError> {
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

/// Solidity source of the contract that verifies proofs of this key; see [`contract`](crate::contract) for what its
/// caller must demand.
pub fn verifier_solidity(key: &AuditVerifyingKey) -> Result<String, ContractError> {
    let origin = Origin { circuit_hash: key.circuit_hash(), key_hash: key.hash(), development: key.is_development() };
    solidity(key.params(), key.verifying_key(), &origin)
}

/// Root and count as big-endian words, then the proof.
pub fn calldata(public: &AuditPublic, proof: &[u8]) -> Vec<u8> {
    let mut bytes = public.words().concat();
    bytes.extend_from_slice(proof);
    bytes
}

/// Bytes of every calldata for this key.
pub fn calldata_bytes(key: &AuditVerifyingKey) -> usize {
    PUBLIC_VALUES * WORD_BYTES + key.proof_bytes()
}

/// Names a circuit: schema, network and shape. A key adds the reference string to it.
fn circuit_hash(network: &IntegerNetwork, schema_hash: [u8; 32], plan: &AuditPlan) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(b"hygeia/audit-circuit/v1");
    hasher.update(PROOF_SYSTEM_ID.as_bytes());
    hasher.update(schema_hash);
    hasher.update(network.hash());
    hasher.update(plan.k.to_be_bytes());
    hasher.update((plan.slots as u64).to_be_bytes());
    hasher.finalize().into()
}

fn key_paths(directory: &Path, circuit_hash: [u8; 32], srs: &Srs) -> KeyPaths {
    let origin = if srs.is_development() { "-development-insecure" } else { "" };
    let path = |ending: &str| -> PathBuf { directory.join(format!("{}{origin}.{ending}", hex::encode(circuit_hash))) };
    KeyPaths { verifying: path("audit.vk"), proving: path("audit.pk") }
}

fn generate_key(layout: &Arc<Layout>, srs: &Srs) -> Result<ProvingKey<G1Affine>, EngineError> {
    let circuit = AuditCircuit::without_witness(Arc::clone(layout));
    let failed = |error: halo2_axiom::plonk::Error| EngineError::Keygen(error.to_string());
    let generate = || {
        let verifying_key = keygen_vk(srs.params(), &circuit).map_err(failed)?;
        check_degree(verifying_key.cs())?;
        keygen_pk(srs.params(), verifying_key, &circuit).map_err(failed)
    };
    catch_unwind(AssertUnwindSafe(generate)).unwrap_or(Err(EngineError::Keygen("it panicked".to_owned())))
}

fn decode_proving_key(
    body: &[u8],
    verifying_key: &AuditVerifyingKey,
    plan: &AuditPlan,
) -> Result<ProvingKey<G1Affine>, KeyError> {
    let (hash, key) = body.split_first_chunk::<32>().ok_or(KeyError::Decode("no verifying key named"))?;
    if *hash != verifying_key.hash() {
        return Err(KeyError::Other("verifying key"));
    }
    check_proving_key(key, verifying_key.verifying_key())?;
    let decode = || ProvingKey::from_bytes::<AuditCircuit>(key, SerdeFormat::RawBytesUnchecked, plan.clone());
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(Ok(key)) => Ok(key),
        Ok(Err(_)) => Err(KeyError::Decode("the proving key is malformed")),
        Err(_) => Err(KeyError::Decode("the decoder panicked")),
    }
}
