//! The EZKL engine on the real EZKL: proofs and their tampered twins, workers that fail in every way, poisoned packages.

mod chain;
mod failures;
mod packages;
mod scores;
mod secrecy;

use std::path::PathBuf;
use std::sync::LazyLock;

use halo2_axiom::{
    halo2curves::bn256::Bn256,
    poly::{commitment::Params, kzg::commitment::ParamsKZG},
};
use hygeia_inference::{Conv1d, Dense, IntegerNetwork, Layer, NetworkError};
use hygeia_zkml::engine::ezkl::{Backend, EzklConfig, EzklEngine, WORKER, freedom_max};
use hygeia_zkml::statement::{CommitmentScheme, StatementError};
use hygeia_zkml::{Engine, Proof, ProveError, PublicInputs, Salt, Srs, VerifyError};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

const SCHEMA: [u8; 32] = [7; 32];
const REACH: i32 = 4096;

/// Circuits of all tests, made anew in each run. Nothing drops a static, so it is the next run that clears the folder.
static CACHE: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("ezkl");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    folder
});
static ENGINE: LazyLock<EzklEngine> = LazyLock::new(|| {
    EzklEngine::open_development(&network(1), SCHEMA, &CACHE, &config()).expect("EZKL compiles the network")
});

/// Workers of the environment that `cargo xtask setup` installs.
fn config() -> EzklConfig {
    EzklConfig { threads: 2, ..EzklConfig::new(tools().join("venv/bin/python")) }
}

fn tools() -> PathBuf {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.tools");
    let tools = std::env::var_os("HYGEIA_TOOLS_DIR").map_or_else(beside, PathBuf::from);
    assert!(tools.join("venv/bin/python").exists(), "`cargo xtask setup` installs the tools");
    tools
}

/// The engine of [`ENGINE`]'s package with another program in its workers.
fn engine_with(program: String) -> EzklEngine {
    engine(EzklConfig { program: program.into(), ..config() })
}

fn engine(config: EzklConfig) -> EzklEngine {
    LazyLock::force(&ENGINE);
    EzklEngine::open_development(&network(1), SCHEMA, &CACHE, &config).expect("the package was just made")
}

/// The worker's program, with these lines before it calls EZKL to prove.
fn before_proving(lines: &[&str]) -> String {
    const CALL: &str = "            call(\"prove\", ezkl.prove";
    let lines: String = lines.iter().map(|line| format!("            {line}\n")).collect();
    let program = WORKER.replace(CALL, &format!("{lines}{CALL}"));
    assert_ne!(program, WORKER, "the program proves with this call");
    program
}

struct Weights(ChaCha20Rng);

impl Weights {
    fn rows(&mut self, outputs: usize, inputs: usize) -> (Vec<Vec<i32>>, Vec<i64>) {
        let weight = |rng: &mut ChaCha20Rng| rng.gen_range(-700..=700);
        let weights = (0..outputs).map(|_| (0..inputs).map(|_| weight(&mut self.0)).collect()).collect();
        (weights, (0..outputs).map(|_| self.0.gen_range(-(1 << 20)..1 << 20)).collect())
    }

    fn dense(&mut self, inputs: usize, outputs: usize) -> Layer {
        let (weights, bias) = self.rows(outputs, inputs);
        Dense { weights, bias }.into()
    }

    fn conv(&mut self, channels: usize, kernel: usize, outputs: usize) -> Layer {
        let (weights, bias) = self.rows(outputs, kernel * channels);
        Conv1d { channels, kernel, weights, bias }.into()
    }
}

fn network(seed: u64) -> IntegerNetwork {
    let mut weights = Weights(ChaCha20Rng::seed_from_u64(seed));
    let layers = vec![weights.dense(6, 5), weights.dense(5, 4), weights.dense(4, 1)];
    IntegerNetwork::new(layers, vec![(-REACH, REACH); 6]).expect("weights are small")
}

/// Two convolutions, then two dense layers: every way that layers follow each other.
fn convolutional() -> IntegerNetwork {
    let mut weights = Weights(ChaCha20Rng::seed_from_u64(3));
    let layers = vec![weights.conv(2, 3, 3), weights.conv(3, 2, 2), weights.dense(6, 3), weights.dense(3, 1)];
    IntegerNetwork::new(layers, vec![(-REACH, REACH); 12]).expect("weights are small")
}

/// A convolution right before the last layer.
fn pooled() -> IntegerNetwork {
    let mut weights = Weights(ChaCha20Rng::seed_from_u64(4));
    let layers = vec![weights.conv(2, 2, 3), weights.dense(9, 1)];
    IntegerNetwork::new(layers, vec![(-REACH, REACH); 8]).expect("weights are small")
}

fn window_of(network: &IntegerNetwork, seed: u64) -> (Vec<i32>, Salt) {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let features = network.input_bounds().iter().map(|&(low, high)| rng.gen_range(low..=high)).collect();
    (features, Salt::random(&mut rng))
}

fn window(seed: u64) -> (Vec<i32>, Salt) {
    window_of(&network(1), seed)
}

fn proved(seed: u64) -> Proof {
    let (features, salt) = window(seed);
    ENGINE.prove(&features, &salt).expect("a window within the bounds")
}

/// Proves windows and compares each score with the reference, which must be the same to the last bit.
fn says_what_the_reference_says(engine: &EzklEngine, network: &IntegerNetwork, windows: &[(Vec<i32>, Salt)]) {
    for (features, salt) in windows {
        let proof = engine.prove(features, salt).expect("a window within the bounds");
        assert_eq!(proof.public.score, network.score(features).unwrap());
        let commitment = CommitmentScheme::Ezkl.commit(SCHEMA, features, salt).unwrap();
        assert_eq!(proof.public.commitment, commitment);
        assert_eq!(proof.bytes.len(), engine.manifest().proof_bytes);
        assert_eq!(engine.verify(&proof.public, &proof.bytes), Ok(()));
    }
}

#[test]
fn a_proof_says_what_the_reference_says() {
    let (_, salt) = window(1);
    let ends = [-REACH, REACH].map(|end| (vec![end; 6], salt.clone()));
    says_what_the_reference_says(&ENGINE, &network(1), &[vec![window(1)], ends.to_vec()].concat());
    assert_eq!(ENGINE.name(), "ezkl");
    assert_eq!(CommitmentScheme::of_proof_system(ENGINE.proof_system_id()), Some(CommitmentScheme::Ezkl));
    assert_eq!(ENGINE.backend(), Backend::Cpu, "the official wheel has no other");
    assert!(ENGINE.is_development());
    assert_eq!((ENGINE.manifest().tolerance, ENGINE.manifest().freedom_max), (0, freedom_max(&network(1))));
}

#[test]
fn convolutions_give_the_reference_score_too() {
    for network in [convolutional(), pooled()] {
        let engine = EzklEngine::open_development(&network, SCHEMA, &CACHE, &config()).unwrap();
        says_what_the_reference_says(&engine, &network, &[window_of(&network, 1)]);
    }
}

#[test]
fn every_tampered_twin_is_rejected() {
    let proof = proved(2);
    for at in (0..proof.bytes.len()).step_by(97) {
        let mut bytes = proof.bytes.clone();
        bytes[at] ^= 1;
        assert_eq!(ENGINE.verify(&proof.public, &bytes), Err(VerifyError::Rejected), "byte {at}");
    }
    for score in [proof.public.score + 1, -proof.public.score, i64::MIN, i64::MAX] {
        let public = PublicInputs { score, ..proof.public };
        assert_eq!(ENGINE.verify(&public, &proof.bytes), Err(VerifyError::Rejected), "score {score}");
    }
    let (features, salt) = window(3);
    let commitment = CommitmentScheme::Ezkl.commit(SCHEMA, &features, &salt).unwrap();
    let public = PublicInputs { commitment, ..proof.public };
    assert_eq!(ENGINE.verify(&public, &proof.bytes), Err(VerifyError::Rejected));
    assert_eq!(ENGINE.verify(&proof.public, &proof.bytes), Ok(()), "nothing but the change was wrong");
}

/// EZKL itself verifies a proof with bytes behind it.
#[test]
fn a_proof_has_one_length() {
    let proof = proved(4);
    let expected = proof.bytes.len();
    let lengthened = [proof.bytes.as_slice(), &[0]].concat();
    for bytes in [&proof.bytes[..expected - 1], &[], lengthened.as_slice()] {
        let refused = ENGINE.verify(&proof.public, bytes);
        assert_eq!(refused, Err(VerifyError::Length { expected, actual: bytes.len() }));
    }
}

#[test]
fn a_proof_does_not_verify_under_another_model() {
    let other = EzklEngine::open_development(&network(2), SCHEMA, &CACHE, &config()).unwrap();
    let proof = proved(5);
    assert_eq!(other.verify(&proof.public, &proof.bytes), Err(VerifyError::Rejected));
    assert_ne!(other.circuit_hash(), ENGINE.circuit_hash());
    assert_ne!(other.verifying_key_hash(), ENGINE.verifying_key_hash());
}

/// The same circuit over a string of another secret, as a ceremony gives one: another key, without the mark.
#[test]
fn a_proof_does_not_verify_under_another_reference_string() {
    let k = ENGINE.manifest().logrows;
    let mut raw = Vec::new();
    ParamsKZG::<Bn256>::setup(k, ChaCha20Rng::seed_from_u64(3)).write(&mut raw).unwrap();
    let srs = Srs::from_reader(&mut raw.as_slice(), raw.len() as u64, None, k, &mut |_| ()).unwrap();
    let other = EzklEngine::open(&network(1), SCHEMA, &srs, &CACHE, &config()).unwrap();
    assert!(!other.is_development());
    assert_eq!(other.circuit_hash(), ENGINE.circuit_hash());
    assert_ne!(other.verifying_key_hash(), ENGINE.verifying_key_hash());
    let proof = proved(7);
    assert_eq!(other.verify(&proof.public, &proof.bytes), Err(VerifyError::Rejected));
    let (features, salt) = window(8);
    let proof = other.prove(&features, &salt).unwrap();
    assert_eq!(other.verify(&proof.public, &proof.bytes), Ok(()));
    assert_eq!(ENGINE.verify(&proof.public, &proof.bytes), Err(VerifyError::Rejected));
}

#[test]
fn wrong_features_are_refused_without_their_values() {
    let (mut features, salt) = window(6);
    let refused = ENGINE.prove(&features[1..], &salt).unwrap_err();
    assert_eq!(refused, ProveError::Input(NetworkError::InputLength { expected: 6, actual: 5 }));
    features[3] = REACH + 1;
    assert_eq!(ENGINE.prove(&features, &salt).unwrap_err(), ProveError::Input(NetworkError::InputOutOfBounds(3)));
    features[3] = 40_000;
    let refused = ENGINE.prove(&features, &salt).unwrap_err();
    assert_eq!(refused, ProveError::Statement(StatementError::FeatureOutOfRange(3)));
    assert!(!format!("{refused} {refused:?}").contains("40000"));
}
