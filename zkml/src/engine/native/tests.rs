//! Real proofs and their tampered twins; key files sound, damaged and of somebody else.

mod convolution;
mod device;
mod free;
mod hiding;
mod stock;

use std::{fs, sync::LazyLock};

use halo2_axiom::poly::{commitment::Params, kzg::commitment::ParamsKZG};
use hygeia_inference::NetworkError;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use super::*;
use crate::{
    contract::{calldata, calldata_bytes, verifier_solidity},
    fixtures::{SCHEMA, random_features, random_network},
    statement::{Commitment, StatementError, commit},
};

const CONFIG: EngineConfig = EngineConfig { threads: 2, goal: Goal::Latency, placement: crate::Placement::Cpu };
const K: u32 = 11;

/// Keys take a second, so tests that only read them share one engine.
static ENGINE: LazyLock<NativeEngine> = LazyLock::new(|| {
    let srs = Srs::development(K).unwrap();
    NativeEngine::new(&random_network(&[30, 5, 1], 1, (-8192, 8192)), SCHEMA, &srs, &CONFIG).unwrap()
});

fn window(seed: u64) -> (Vec<i32>, Salt) {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    (random_features(&ENGINE.network, &mut rng), Salt::random(&mut rng))
}

fn proved(seed: u64) -> Proof {
    let (features, salt) = window(seed);
    ENGINE.prove(&features, &salt).unwrap()
}

fn is_send_and_sync<T: Send + Sync>(_: &T) {}

#[test]
fn a_proof_says_what_the_reference_says() {
    let (features, salt) = window(1);
    let proof = ENGINE.prove(&features, &salt).unwrap();
    assert_eq!(proof.public.score, ENGINE.network.score(&features).unwrap());
    assert_eq!(proof.public.commitment, commit(SCHEMA, &features, &salt).unwrap());
    assert_eq!(proof.bytes.len(), ENGINE.verifying_key().proof_bytes());
    assert_eq!(verify(ENGINE.verifying_key(), &proof.bytes, &proof.public), Ok(()));
    is_send_and_sync(&*ENGINE);
}

#[test]
fn every_tampered_twin_is_rejected() {
    let proof = proved(2);
    let refused = |bytes: &[u8], public: &PublicInputs| verify(ENGINE.verifying_key(), bytes, public).unwrap_err();
    for at in (0..proof.bytes.len()).step_by(61) {
        let mut bytes = proof.bytes.clone();
        bytes[at] ^= 1;
        assert_eq!(refused(&bytes, &proof.public), VerifyError::Rejected, "byte {at}");
    }
    for score in [proof.public.score + 1, -proof.public.score, i64::MIN, i64::MAX] {
        let public = PublicInputs { score, ..proof.public };
        assert_eq!(refused(&proof.bytes, &public), VerifyError::Rejected, "score {score}");
    }
    let public = PublicInputs { commitment: proved(3).public.commitment, ..proof.public };
    assert_eq!(refused(&proof.bytes, &public), VerifyError::Rejected);
}

#[test]
fn a_proof_has_one_length() {
    let proof = proved(4);
    let expected = proof.bytes.len();
    let lengthened = [proof.bytes.as_slice(), &[0]].concat();
    for bytes in [&proof.bytes[..expected - 1], &[], lengthened.as_slice()] {
        let refused = verify(ENGINE.verifying_key(), bytes, &proof.public);
        assert_eq!(refused, Err(VerifyError::Length { expected, actual: bytes.len() }));
    }
}

/// The same field element has one encoding only.
#[test]
fn a_commitment_plus_the_modulus_is_no_commitment() {
    let alias = |bytes: [u8; 32]| {
        const MODULUS: &str = "30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001";
        let modulus = hex::decode(MODULUS).unwrap();
        let mut sum = [0; 32];
        let mut carry = 0;
        for index in (0..32).rev() {
            let digit = u16::from(bytes[index]) + u16::from(modulus[index]) + carry;
            sum[index] = digit.to_le_bytes()[0];
            carry = digit >> 8;
        }
        sum
    };
    let bytes = proved(5).public.commitment.to_bytes();
    assert_eq!(Commitment::from_bytes(alias(bytes)), Err(StatementError::NotCanonical));
    assert_eq!(Commitment::from_bytes(alias([0; 32])), Err(StatementError::NotCanonical));
    assert!(Commitment::from_bytes(bytes).is_ok());
}

#[test]
fn wrong_features_are_refused_without_their_values() {
    let (mut features, salt) = window(7);
    assert_eq!(
        ENGINE.prove(&features[1..], &salt).unwrap_err(),
        ProveError::Input(NetworkError::InputLength { expected: 30, actual: 29 })
    );
    features[3] = 8193;
    assert_eq!(ENGINE.prove(&features, &salt).unwrap_err(), ProveError::Input(NetworkError::InputOutOfBounds(3)));
    features[3] = 40_000;
    let refused = ENGINE.prove(&features, &salt).unwrap_err();
    assert_eq!(refused, ProveError::Statement(StatementError::FeatureOutOfRange(3)));
    assert!(!format!("{refused} {refused:?} {salt:?}").contains("40000"));
    assert!(matches!(ENGINE.prove(&[], &salt), Err(ProveError::Statement(StatementError::FeatureCount(0)))));
}

#[test]
fn a_proof_is_verified_offline_from_the_key_file_alone() {
    let proof = proved(8);
    let key = VerifyingKeyFile::from_bytes(ENGINE.verifying_key().bytes().to_vec()).unwrap();
    assert_eq!(verify(&key, &proof.bytes, &proof.public), Ok(()));
    assert_eq!(key.hash(), ENGINE.verifying_key_hash());
    assert_eq!(key.circuit_hash(), ENGINE.circuit_hash());
    assert_eq!(key.schema_hash(), SCHEMA);
    assert!(key.is_development());
    assert_eq!(verifier_solidity(&key).unwrap(), verifier_solidity(ENGINE.verifying_key()).unwrap());
}

#[test]
fn a_proof_does_not_verify_under_another_model_or_schema() {
    let proof = proved(9);
    let srs = Srs::development(K).unwrap();
    let other_model = NativeEngine::new(&random_network(&[30, 5, 1], 2, (-8192, 8192)), SCHEMA, &srs, &CONFIG).unwrap();
    let other_schema = NativeEngine::new(&ENGINE.network, [8; 32], &srs, &CONFIG).unwrap();
    for other in [&other_model, &other_schema] {
        assert_eq!(verify(other.verifying_key(), &proof.bytes, &proof.public), Err(VerifyError::Rejected));
        assert_ne!(other.circuit_hash(), ENGINE.circuit_hash());
        assert_ne!(other.verifying_key_hash(), ENGINE.verifying_key_hash());
    }
}

/// The same circuit over a string of another secret: another key, and no proof goes from one to the other.
#[test]
fn a_proof_does_not_verify_under_another_reference_string() {
    let mut raw = Vec::new();
    ParamsKZG::<Bn256>::setup(K, ChaCha20Rng::seed_from_u64(3)).write(&mut raw).unwrap();
    let srs = Srs::from_reader(&mut raw.as_slice(), raw.len() as u64, None, K, &mut |_| ()).unwrap();
    let other = NativeEngine::new(&ENGINE.network, SCHEMA, &srs, &CONFIG).unwrap();
    let (features, salt) = window(12);
    let proof = other.prove(&features, &salt).unwrap();
    assert_eq!(verify(other.verifying_key(), &proof.bytes, &proof.public), Ok(()));
    assert_eq!(verify(ENGINE.verifying_key(), &proof.bytes, &proof.public), Err(VerifyError::Rejected));
    let proof = proved(12);
    assert_eq!(verify(other.verifying_key(), &proof.bytes, &proof.public), Err(VerifyError::Rejected));
    assert_eq!(other.circuit_hash(), ENGINE.circuit_hash());
    assert_ne!(other.verifying_key_hash(), ENGINE.verifying_key_hash());
    assert!(!other.verifying_key().is_development());
    assert!(!verifier_solidity(other.verifying_key()).unwrap().contains("INSECURE"));
}

#[test]
fn a_damaged_verifying_key_is_refused() {
    let bytes = ENGINE.verifying_key().bytes();
    for at in (0..bytes.len()).step_by(37) {
        let mut damaged = bytes.to_vec();
        damaged[at] ^= 0x55;
        assert!(matches!(VerifyingKeyFile::from_bytes(damaged), Err(KeyError::File(_))), "byte {at}");
        assert!(matches!(VerifyingKeyFile::from_bytes(bytes[..at].to_vec()), Err(KeyError::File(_))), "cut at {at}");
    }
}

/// Damage under a fresh hash, as somebody who forges a key would do it: refused or another key, never a panic.
#[test]
fn a_forged_verifying_key_does_not_panic() {
    let body =
        Sealed::open(b"HYGEIAVK", "verifying key", ENGINE.verifying_key().bytes().to_vec()).unwrap().body().to_vec();
    for at in (0..body.len()).step_by(7) {
        for damaged in [[&body[..at], &[body[at] ^ 0xff], &body[at + 1..]].concat(), body[..at].to_vec()] {
            let sealed = Sealed::new(b"HYGEIAVK", &damaged);
            if let Ok(key) = VerifyingKeyFile::from_bytes(sealed.bytes().to_vec()) {
                assert_ne!(key.hash(), ENGINE.verifying_key_hash());
            }
        }
    }
}

/// Sizes under a fresh hash. halo2 would make room for 2^32 numbers and more, and the process would not survive it.
#[test]
fn a_forged_proving_key_is_refused_before_room_is_made_for_it() {
    let key = ENGINE.verifying_key();
    let sound = [&key.hash(), ENGINE.prover.key().to_bytes(SerdeFormat::RawBytesUnchecked).as_slice()].concat();
    let decode = |body: &[u8]| decode_proving_key(body, key, &ENGINE.layout.plan).map(drop);
    assert!(decode(&sound).is_ok());
    let named = 32 + ENGINE.prover.key().get_vk().to_bytes(SerdeFormat::RawBytesUnchecked).len();
    let polynomial = 4 + (32 << K);
    for at in [0, 32, 33, 37, 38, 42, named, named + polynomial, named + 3 * polynomial, named + 3 * polynomial + 4] {
        for number in [[0xff; 4], [0x10, 0, 0, 0], [0, 0, 0, 1]] {
            let mut forged = sound.clone();
            forged[at..at + 4].copy_from_slice(&number);
            assert!(matches!(decode(&forged), Err(KeyError::Other(_) | KeyError::Decode(_))), "byte {at}");
        }
    }
    for end in [0, 31, 32, named - 1, named, named + 3, named + 5, sound.len() - 1] {
        assert!(matches!(decode(&sound[..end]), Err(KeyError::Other(_) | KeyError::Decode(_))), "cut at {end}");
    }
    assert!(matches!(decode(&[sound.as_slice(), &[0]].concat()), Err(KeyError::Decode(_))));
}

/// Nobody can pass a development key off as a sound one by taking its mark away.
#[test]
fn a_development_key_without_its_mark_is_refused() {
    let body = ENGINE.verifying_key().bytes()[50..].to_vec();
    let json_length = u32::from_be_bytes(body[..4].try_into().unwrap()) as usize;
    let json = std::str::from_utf8(&body[4..4 + json_length]).unwrap();
    let unmarked = json.replace("\"development_srs\":true", "\"development_srs\":false");
    assert_ne!(json, unmarked);
    let length = u32::try_from(unmarked.len()).unwrap().to_be_bytes();
    let forged = [&length, unmarked.as_bytes(), &body[4 + json_length..]].concat();
    let sealed = Sealed::new(b"HYGEIAVK", &forged);
    assert!(matches!(VerifyingKeyFile::from_bytes(sealed.bytes().to_vec()), Err(KeyError::Decode(_))));
}

#[test]
fn keys_are_saved_loaded_and_checked() {
    let directory = tempfile::tempdir().unwrap();
    let network = &ENGINE.network;
    let open = || NativeEngine::open_development(network, SCHEMA, directory.path(), &CONFIG);
    let made = open().unwrap();
    let loaded = open().unwrap();
    assert_eq!(made.verifying_key_hash(), loaded.verifying_key_hash());
    assert_eq!(loaded.verifying_key_hash(), ENGINE.verifying_key_hash());
    let (features, salt) = window(10);
    let proof = loaded.prove(&features, &salt).unwrap();
    assert_eq!(made.verify(&proof.public, &proof.bytes), Ok(()));

    let srs = Srs::development_cached(K, directory.path()).unwrap();
    let paths = key_paths(directory.path(), made.circuit_hash(), &srs);
    let other = random_network(&[30, 5, 1], 2, (-8192, 8192));
    assert!(is_missing(NativeEngine::load(&other, SCHEMA, &srs, directory.path(), &CONFIG)));

    // Another model's files under this model's name.
    let other = NativeEngine::new(&other, SCHEMA, &srs, &CONFIG).unwrap();
    let other_paths = other.save(directory.path()).unwrap();
    let proving = fs::read(&paths.proving).unwrap();
    fs::copy(&other_paths.proving, &paths.proving).unwrap();
    assert!(matches!(open(), Err(EngineError::Key(KeyError::Other(_)))));
    fs::copy(&other_paths.verifying, &paths.verifying).unwrap();
    assert!(matches!(open(), Err(EngineError::Key(KeyError::Other(_)))));
    made.save(directory.path()).unwrap();
    assert_eq!(fs::read(&paths.proving).unwrap(), proving);

    // Damaged and truncated files are refused, and not silently made anew.
    for file in [&paths.proving, &paths.verifying, &directory.path().join("srs-development-insecure-k11.bin")] {
        let sound = fs::read(file).unwrap();
        let mut damaged = sound.clone();
        damaged[sound.len() / 2] ^= 0x55;
        for bytes in [damaged.as_slice(), &sound[..sound.len() / 2], &sound[..20], &[]] {
            fs::write(file, bytes).unwrap();
            assert!(open().is_err_and(|error| !is_missing::<()>(Err(error))), "{}", file.display());
        }
        fs::write(file, &sound).unwrap();
    }
    assert!(open().is_ok());
}

#[test]
fn the_development_string_is_marked_reproducible_and_checked() {
    let srs = Srs::development(6).unwrap();
    assert!(srs.is_development());
    assert!(srs.check_structure().is_ok());
    let directory = tempfile::tempdir().unwrap();
    let paths = ["a", "b"].map(|name| directory.path().join(name));
    srs.write(&paths[0]).unwrap();
    Srs::development(6).unwrap().write(&paths[1]).unwrap();
    assert_eq!(fs::read(&paths[0]).unwrap(), fs::read(&paths[1]).unwrap());
    assert!(Srs::read(&paths[0]).unwrap().is_development());
    assert_eq!(srs.trimmed(5).unwrap().k(), 5);
    assert!(srs.trimmed(5).unwrap().check_structure().is_ok());
    assert!(matches!(srs.trimmed(7), Err(SrsError::TooSmall { needed: 7, available: 6 })));

    // Two points exchanged, in either form, under a fresh hash.
    let body = Sealed::read(b"HYGEIASR", "reference string", &paths[0]).unwrap().body().to_vec();
    for first in [1 + 4 + 64, 1 + 4 + 64 * 64] {
        let mut exchanged = body.clone();
        let (left, right) = exchanged[first..first + 128].split_at_mut(64);
        left.swap_with_slice(right);
        Sealed::new(b"HYGEIASR", &exchanged).write(&paths[1]).unwrap();
        assert!(matches!(Srs::read(&paths[1]), Err(SrsError::Structure)));
    }
    let unmarked = [&[0], &body[1..]].concat();
    Sealed::new(b"HYGEIASR", &unmarked).write(&paths[1]).unwrap();
    assert!(matches!(Srs::read(&paths[1]), Err(SrsError::Decode(_))));
    for length in [0, 1, 4, 5, 100, body.len() - 1] {
        Sealed::new(b"HYGEIASR", &body[..length]).write(&paths[1]).unwrap();
        assert!(matches!(Srs::read(&paths[1]), Err(SrsError::Decode(_))), "{length} bytes");
    }
}

#[test]
fn the_contract_is_generated_and_named() {
    let key = ENGINE.verifying_key();
    let solidity = verifier_solidity(key).unwrap();
    assert!(solidity.contains("contract Halo2Verifier"));
    assert!(solidity.contains(&hex::encode(key.hash())));
    assert!(solidity.contains("INSECURE"));
    let proof = proved(11);
    let calldata = calldata(&proof.public, &proof.bytes);
    assert_eq!(calldata.len(), calldata_bytes(key));
    assert_eq!(calldata[..32], proof.public.commitment.to_bytes());
    assert_eq!(calldata[64..], proof.bytes);
}

fn is_missing<T>(result: Result<T, EngineError>) -> bool {
    matches!(result, Err(EngineError::Key(KeyError::File(error))) if error.is_not_found())
}
