//! Real proofs and their tampered twins; receipts and key files sound, damaged and of somebody else.

use std::{fs, sync::LazyLock};

use hygeia_inference::{IntegerNetwork, NetworkError};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use super::*;
use crate::{
    engine::{
        VerifyError,
        native::{EngineConfig, KeyError, Srs, file::Sealed},
    },
    fixtures::{SCHEMA, random_features, random_network},
    statement::{Salt, StatementError, commit},
};

const CONFIG: EngineConfig = EngineConfig { threads: 2, goal: crate::Goal::Gas, placement: crate::Placement::Cpu };
const DIMS: [usize; 4] = [18, 5, 4, 1];
const K: u32 = 13;

static SRS: LazyLock<Srs> = LazyLock::new(|| Srs::development(K).unwrap());

/// Keys and a proof take some seconds, so tests that only read them share them.
static KEYS: LazyLock<AuditKeys> = LazyLock::new(|| keys_of(&network(1), SCHEMA));
static PROOF: LazyLock<AuditProof> = LazyLock::new(|| KEYS.prove(&batch(1, 50)).unwrap());

fn network(seed: u64) -> IntegerNetwork {
    random_network(&DIMS, seed, (-8192, 8192))
}

fn keys_of(network: &IntegerNetwork, schema: [u8; 32]) -> AuditKeys {
    let plan = AuditPlan::for_windows(network, 64).unwrap();
    assert_eq!(plan.k, K);
    AuditKeys::generate(network, schema, &plan, &SRS, &CONFIG).unwrap()
}

fn batch(seed: u64, windows: usize) -> AuditBatch {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let network = network(1);
    (0..windows).map(|_| AuditWindow::new(random_features(&network, &mut rng), Salt::random(&mut rng))).collect()
}

fn is_send_and_sync<T: Send + Sync>(_: &T) {}

#[test]
fn a_proof_says_what_the_reference_says_of_every_window() {
    let (batch, network) = (batch(1, 50), network(1));
    assert_eq!((PROOF.windows.len(), PROOF.public.count()), (50, 50));
    for (window, public) in batch.windows().iter().zip(&PROOF.windows) {
        assert_eq!(public.score, network.score(window.features()).unwrap());
        assert_eq!(public.commitment, commit(SCHEMA, window.features(), window.salt()).unwrap());
    }
    assert_eq!(AuditTree::new(&PROOF.windows, 64).public(), PROOF.public);
    assert_eq!(PROOF.bytes.len(), KEYS.verifying_key().proof_bytes());
    assert_eq!(verify(KEYS.verifying_key(), &PROOF.bytes, &PROOF.public), Ok(()));
    is_send_and_sync(&*KEYS);
}

/// What the columns hold and what synthesis writes is one.
#[test]
fn the_stock_prover_proves_the_same_batch() {
    let proof = KEYS.prove_by_stock(&batch(1, 50)).unwrap();
    assert_eq!((proof.public, proof.bytes.len()), (PROOF.public, PROOF.bytes.len()));
    assert_eq!(verify(KEYS.verifying_key(), &proof.bytes, &proof.public), Ok(()));
}

#[test]
fn every_tampered_twin_is_rejected() {
    let refused = |bytes: &[u8], public: &AuditPublic| verify(KEYS.verifying_key(), bytes, public).unwrap_err();
    for at in (0..PROOF.bytes.len()).step_by(67) {
        let mut bytes = PROOF.bytes.clone();
        bytes[at] ^= 1;
        assert_eq!(refused(&bytes, &PROOF.public), VerifyError::Rejected, "byte {at}");
    }
    for count in [0, 49, 51, u32::MAX] {
        let public = AuditPublic::new(PROOF.public.root(), count).unwrap();
        assert_eq!(refused(&PROOF.bytes, &public), VerifyError::Rejected, "count {count}");
    }
    let mut root = PROOF.public.root();
    root[31] ^= 1;
    assert_eq!(refused(&PROOF.bytes, &AuditPublic::new(root, 50).unwrap()), VerifyError::Rejected);
    // Root and count in each other's place.
    let mut root = [0; 32];
    root[31] = 50;
    assert_eq!(refused(&PROOF.bytes, &AuditPublic::new(root, 0).unwrap()), VerifyError::Rejected);
}

#[test]
fn a_proof_has_one_length() {
    let expected = PROOF.bytes.len();
    let lengthened = [PROOF.bytes.as_slice(), &[0]].concat();
    for bytes in [&PROOF.bytes[..expected - 1], &[], lengthened.as_slice()] {
        let refused = verify(KEYS.verifying_key(), bytes, &PROOF.public);
        assert_eq!(refused, Err(VerifyError::Length { expected, actual: bytes.len() }));
    }
}

/// The same root has one encoding only.
#[test]
fn a_root_plus_the_modulus_is_no_root() {
    const MODULUS: &str = "30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001";
    let modulus: [u8; 32] = hex::decode(MODULUS).unwrap().try_into().unwrap();
    let plus_modulus = |bytes: [u8; 32]| {
        let mut carry = 0;
        let mut sum = [0; 32];
        for index in (0..32).rev() {
            let digit = u16::from(bytes[index]) + u16::from(modulus[index]) + carry;
            sum[index] = digit.to_le_bytes()[0];
            carry = digit >> 8;
        }
        sum
    };
    assert_eq!(AuditPublic::new(plus_modulus(PROOF.public.root()), 50), None);
    assert_eq!(AuditPublic::new(modulus, 50), None);
    let text = PROOF.public.root().map(|byte| format!("{byte:02x}")).concat();
    let aliased = plus_modulus(PROOF.public.root()).map(|byte| format!("{byte:02x}")).concat();
    let receipt = AuditReceipt::of(&PROOF, 3).unwrap().to_json();
    assert!(matches!(AuditReceipt::from_json(&receipt.replace(&text, &aliased)), Err(ReceiptError::Decode(_))));
}

#[test]
fn a_proof_does_not_verify_under_another_model_schema_or_shape() {
    let wider = AuditPlan::filling(&network(1), K).unwrap();
    assert_ne!(wider, *KEYS.plan());
    let others = [
        keys_of(&network(2), SCHEMA),
        keys_of(&network(1), [8; 32]),
        AuditKeys::generate(&network(1), SCHEMA, &wider, &SRS, &CONFIG).unwrap(),
    ];
    for other in &others {
        assert_eq!(verify(other.verifying_key(), &PROOF.bytes, &PROOF.public), Err(VerifyError::Rejected));
        assert_ne!(other.verifying_key().circuit_hash(), KEYS.verifying_key().circuit_hash());
        assert_ne!(other.verifying_key().hash(), KEYS.verifying_key().hash());
    }
}

/// Commitments and evaluations are blinded: of two proofs of one batch no word is the same.
#[test]
fn two_proofs_of_one_batch_share_nothing_but_what_is_public() {
    let again = KEYS.prove(&batch(1, 50)).unwrap();
    assert_eq!(again.public, PROOF.public);
    let words = |proof: &AuditProof| proof.bytes.chunks(32).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let (first, second) = (words(&PROOF), words(&again));
    // The thirteenth and later columns of the key are public: their evaluations differ too, for the point does.
    assert!(first.iter().all(|word| !second.contains(word)));
}

#[test]
fn a_batch_that_does_not_fit_or_hold_is_refused_without_its_values() {
    assert_eq!(KEYS.prove(&AuditBatch::new()).unwrap_err(), AuditError::Empty);
    assert_eq!(KEYS.prove(&batch(2, 65)).unwrap_err(), AuditError::TooMany { windows: 65, slots: 64 });
    let with = |features: Vec<i32>| {
        let mut batch = batch(2, 3);
        assert_eq!(batch.push(features, Salt::new([0; 16])), 3);
        KEYS.prove(&batch).unwrap_err()
    };
    let window = |source: WitnessError| AuditError::Window { index: 3, source };
    let mut features = vec![0; 18];
    features[5] = 8193;
    assert_eq!(with(features.clone()), window(WitnessError::Network(NetworkError::InputOutOfBounds(5))));
    features[5] = 40_000;
    let refused = with(features);
    assert_eq!(refused, window(WitnessError::Statement(StatementError::FeatureOutOfRange(5))));
    assert!(!format!("{refused} {refused:?}").contains("40000"));
    let length = NetworkError::InputLength { expected: 18, actual: 17 };
    assert_eq!(with(vec![0; 17]), window(WitnessError::Network(length)));
    assert_eq!(format!("{:?}", batch(2, 3)), "AuditBatch { windows: 3 }");
}

#[test]
fn a_full_batch_and_a_single_window_are_proved() {
    for windows in [1, 64] {
        let proof = KEYS.prove(&batch(3, windows)).unwrap();
        assert_eq!(proof.public.count() as usize, windows);
        let receipt = AuditReceipt::of(&proof, windows - 1).unwrap();
        assert_eq!(receipt.verify(&proof.public, 64), Ok(()));
        assert_eq!(AuditReceipt::of(&proof, windows), None);
    }
}

#[test]
fn every_window_has_a_receipt() {
    let leaves = KEYS.verifying_key().leaves();
    for (index, window) in PROOF.windows.iter().enumerate() {
        let handed_out = AuditReceipt::of(&PROOF, index).unwrap().to_json();
        let receipt = AuditReceipt::from_json(&handed_out).unwrap();
        assert_eq!(receipt.verify(&PROOF.public, leaves), Ok(()));
        assert_eq!((receipt.index(), receipt.window()), (index, window));
    }
    assert_eq!(AuditReceipt::of(&PROOF, 50), None, "padding has none");
}

/// Each line of a receipt counts.
#[test]
fn a_tampered_receipt_is_refused() {
    let leaves = KEYS.verifying_key().leaves();
    let json: serde_json::Value = serde_json::from_str(&AuditReceipt::of(&PROOF, 20).unwrap().to_json()).unwrap();
    let other: serde_json::Value = serde_json::from_str(&AuditReceipt::of(&PROOF, 21).unwrap().to_json()).unwrap();
    let refused = |bend: &dyn Fn(&mut serde_json::Value)| {
        let mut bent = json.clone();
        bend(&mut bent);
        AuditReceipt::from_json(&bent.to_string()).and_then(|receipt| receipt.verify(&PROOF.public, leaves))
    };
    let score = json["score"].as_i64().unwrap();
    assert_eq!(refused(&|_| ()), Ok(()));
    // Score, commitment, and both of another window.
    assert_eq!(refused(&|receipt| receipt["score"] = (score + 1).into()), Err(ReceiptError::Root));
    assert_eq!(refused(&|receipt| receipt["commitment"] = other["commitment"].clone()), Err(ReceiptError::Root));
    assert_eq!(refused(&|receipt| receipt["path"] = other["path"].clone()), Err(ReceiptError::Root));
    // The path to another index, among the windows and beyond.
    for index in [0, 4, 19, 21, 49] {
        assert_eq!(refused(&|receipt| receipt["index"] = index.into()), Err(ReceiptError::Root), "index {index}");
    }
    for index in [50_usize, 63, 64, 20 + 64, usize::MAX] {
        let expected = Err(ReceiptError::Index { index, count: 50 });
        assert_eq!(refused(&|receipt| receipt["index"] = index.into()), expected);
    }
    // Two steps exchanged, one too few, one too many.
    let path = json["path"].as_array().unwrap().clone();
    let mut exchanged = path.clone();
    exchanged.swap(0, 1);
    assert_eq!(refused(&|receipt| receipt["path"] = exchanged.clone().into()), Err(ReceiptError::Root));
    for length in [0, path.len() - 1, path.len() + 1] {
        let bent: Vec<_> = path.iter().cycle().take(length).cloned().collect();
        let expected = Err(ReceiptError::PathLength { expected: 6, actual: length });
        assert_eq!(refused(&|receipt| receipt["path"] = bent.clone().into()), expected);
    }
    // Another batch, and this batch with another count or number of leaves.
    let other_root = AuditPublic::new([1; 32], 50).unwrap();
    let receipt = AuditReceipt::of(&PROOF, 20).unwrap();
    assert_eq!(receipt.verify(&other_root, leaves), Err(ReceiptError::OtherBatch));
    assert_eq!(receipt.verify(&PROOF.public, 128), Err(ReceiptError::OtherBatch));
    assert_eq!(refused(&|receipt| receipt["count"] = 64.into()), Err(ReceiptError::OtherBatch));
    assert_eq!(refused(&|receipt| receipt["leaves"] = 128.into()), Err(ReceiptError::OtherBatch));
}

/// A node of the tree is no leaf, whatever path is shown with it, and a tree of another shape has other nodes.
#[test]
fn leaves_and_nodes_have_tags_of_their_own() {
    use halo2_axiom::halo2curves::bn256::Fr;
    let [leaf, node, wider] = [tree::leaf_tag(), tree::node_tag(64), tree::node_tag(128)];
    let children = [Fr::from(1), Fr::from(2)];
    let digests = [leaf, node, wider].map(|tag| tree::hash_children(tag, children));
    assert!(digests[0] != digests[1] && digests[1] != digests[2] && digests[0] != digests[2]);
}

#[test]
fn text_that_is_no_receipt_is_refused() {
    let good = AuditReceipt::of(&PROOF, 7).unwrap().to_json();
    for (from, to) in [
        ("\"version\": 1", "\"version\": 2"),
        ("\"leaves\": 64", "\"leaves\": 1"),
        ("\"leaves\": 64", "\"leaves\": 8192"),
        ("\"index\": 7", "\"index\": -7"),
        ("\"count\": 50", "\"count\": 50, \"more\": 1"),
        ("0x", ""),
        ("0x", "0x00"),
        ("\"path\"", "\"way\""),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        assert!(matches!(AuditReceipt::from_json(&bad), Err(ReceiptError::Decode(_))), "{to}");
    }
    let too_long = good.replace('}', &format!("{}}}", " ".repeat(10_000)));
    assert_eq!(AuditReceipt::from_json(&too_long), Err(ReceiptError::Decode("too long")));
    for end in (0..good.len()).step_by(13) {
        assert!(AuditReceipt::from_json(&good[..end]).is_err());
    }
    let receipt = AuditReceipt::from_json(&good).unwrap();
    let score = receipt.window().score.to_string();
    assert!(!format!("{receipt:?}").contains(&score) && !format!("{receipt:?}").contains("commitment"));
}

#[test]
fn a_proof_is_verified_offline_from_the_key_file_alone() {
    let key = AuditVerifyingKey::from_bytes(KEYS.verifying_key().bytes().to_vec()).unwrap();
    assert_eq!(verify(&key, &PROOF.bytes, &PROOF.public), Ok(()));
    assert_eq!((key.hash(), key.circuit_hash()), (KEYS.verifying_key().hash(), KEYS.verifying_key().circuit_hash()));
    assert_eq!((key.schema_hash(), key.leaves(), key.plan()), (SCHEMA, 64, KEYS.plan()));
    assert!(key.is_development());
    assert_eq!(verifier_solidity(&key).unwrap(), verifier_solidity(KEYS.verifying_key()).unwrap());
}

#[test]
fn the_contract_is_generated_and_named() {
    let key = KEYS.verifying_key();
    let solidity = verifier_solidity(key).unwrap();
    assert!(solidity.contains("contract Halo2Verifier"));
    assert!(solidity.contains(&hex::encode(key.hash())) && solidity.contains("INSECURE"));
    let calldata = calldata(&PROOF.public, &PROOF.bytes);
    assert_eq!(calldata.len(), calldata_bytes(key));
    assert_eq!((&calldata[..32], calldata[63]), (&PROOF.public.root()[..], 50));
    assert_eq!(calldata[64..], PROOF.bytes);
}

#[test]
fn a_damaged_verifying_key_is_refused() {
    let bytes = KEYS.verifying_key().bytes();
    for at in (0..bytes.len()).step_by(37) {
        let mut damaged = bytes.to_vec();
        damaged[at] ^= 0x55;
        assert!(is_file_error(AuditVerifyingKey::from_bytes(damaged)), "byte {at}");
        assert!(is_file_error(AuditVerifyingKey::from_bytes(bytes[..at].to_vec())), "cut at {at}");
    }
}

/// Damage under a fresh hash, as somebody who forges a key would do it: refused or another key, never a panic.
#[test]
fn a_forged_verifying_key_does_not_panic() {
    let key = KEYS.verifying_key();
    let body = Sealed::open(b"HYGEIAAV", "audit verifying key", key.bytes().to_vec()).unwrap().body().to_vec();
    for at in (0..body.len()).step_by(11) {
        for damaged in [[&body[..at], &[body[at] ^ 0xff], &body[at + 1..]].concat(), body[..at].to_vec()] {
            let sealed = Sealed::new(b"HYGEIAAV", &damaged);
            if let Ok(forged) = AuditVerifyingKey::from_bytes(sealed.bytes().to_vec()) {
                assert_ne!(forged.hash(), key.hash());
            }
        }
    }
    // Nobody can pass a development key off as a sound one by taking its mark away, or a plan off as another.
    let text = String::from_utf8_lossy(&body).into_owned();
    for (from, to) in [("\"development_srs\":true", "\"development_srs\":false"), ("\"slots\":64", "\"slots\":65")] {
        let json_length = u32::from_be_bytes(body[..4].try_into().unwrap()) as usize;
        let json = std::str::from_utf8(&body[4..4 + json_length]).unwrap();
        assert!(text.contains(from));
        let unmarked = json.replace(from, to);
        let length = u32::try_from(unmarked.len()).unwrap().to_be_bytes();
        let forged = [&length, unmarked.as_bytes(), &body[4 + json_length..]].concat();
        let forged = AuditVerifyingKey::from_bytes(Sealed::new(b"HYGEIAAV", &forged).bytes().to_vec());
        match forged {
            Err(_) => {}
            // A key for more slots than its tree has is another key, which no registry has approved.
            Ok(forged) => assert!(from.contains("slots") && forged.hash() != key.hash()),
        }
    }
}

#[test]
fn keys_are_saved_loaded_and_checked() {
    let directory = tempfile::tempdir().unwrap();
    let (network, plan) = (network(1), KEYS.plan().clone());
    let open = || AuditKeys::open_development(&network, SCHEMA, &plan, directory.path(), &CONFIG);
    let made = open().unwrap();
    let loaded = open().unwrap();
    assert_eq!(made.verifying_key().hash(), loaded.verifying_key().hash());
    assert_eq!(loaded.verifying_key().hash(), KEYS.verifying_key().hash());
    assert_eq!(verify(loaded.verifying_key(), &PROOF.bytes, &PROOF.public), Ok(()));
    let proof = loaded.prove(&batch(4, 5)).unwrap();
    assert_eq!(verify(made.verifying_key(), &proof.bytes, &proof.public), Ok(()));

    // Another model's files under this model's name.
    let paths = made.save(directory.path()).unwrap();
    let other = keys_of(&self::network(2), SCHEMA);
    let other_paths = other.save(directory.path()).unwrap();
    fs::copy(&other_paths.proving, &paths.proving).unwrap();
    assert!(matches!(open(), Err(AuditKeysError::Key(AuditKeyError::Key(KeyError::Other(_))))));
    fs::copy(&other_paths.verifying, &paths.verifying).unwrap();
    assert!(matches!(open(), Err(AuditKeysError::Key(AuditKeyError::Key(KeyError::Other(_))))));
    made.save(directory.path()).unwrap();

    // Damaged and truncated files are refused, and not silently made anew.
    for file in [&paths.proving, &paths.verifying] {
        let sound = fs::read(file).unwrap();
        let mut damaged = sound.clone();
        damaged[sound.len() / 2] ^= 0x55;
        for bytes in [damaged.as_slice(), &sound[..sound.len() / 2], &sound[..20], &[]] {
            fs::write(file, bytes).unwrap();
            let Err(AuditKeysError::Key(AuditKeyError::Key(KeyError::File(error)))) = open() else {
                panic!("{} is damaged and was opened", file.display());
            };
            assert!(!error.is_not_found());
        }
        fs::write(file, &sound).unwrap();
    }
    assert!(open().is_ok());
}

#[test]
fn impossible_plans_are_refused() {
    let shape = AuditPlan { k: 13, slots: 64, inputs: 18, neurons: 10 };
    assert_eq!(shape.check(), Ok(()));
    assert_eq!(AuditPlan::for_windows(&network(1), 64).unwrap(), shape);
    let bend = |bend: &dyn Fn(&mut AuditPlan)| {
        let mut plan = shape.clone();
        bend(&mut plan);
        plan.check().unwrap_err()
    };
    assert_eq!(bend(&|plan| plan.inputs = 0), AuditPlanError::Shape { inputs: 0, neurons: 10 });
    assert_eq!(bend(&|plan| plan.inputs = 1025), AuditPlanError::Shape { inputs: 1025, neurons: 10 });
    assert_eq!(bend(&|plan| plan.neurons = 0), AuditPlanError::Shape { inputs: 18, neurons: 0 });
    assert_eq!(bend(&|plan| plan.neurons = 9999), AuditPlanError::Shape { inputs: 18, neurons: 9999 });
    assert_eq!(bend(&|plan| plan.slots = 63), AuditPlanError::Slots(63));
    assert_eq!(bend(&|plan| plan.slots = 4097), AuditPlanError::Slots(4097));
    assert_eq!(bend(&|plan| plan.neurons = 60), AuditPlanError::Equations { slots: 64, equations: 65 });
    assert_eq!(bend(&|plan| plan.k = 12), AuditPlanError::TooLarge { slots: 64, k: 12 });
    assert_eq!(bend(&|plan| plan.k = 63), AuditPlanError::TooLarge { slots: 64, k: 63 });
    assert_eq!(AuditPlan::for_windows(&network(1), 4097), Err(AuditPlanError::Slots(4097)));

    // The benchmark network: its windows take 126 rows, and 128 slots are the fewest for its equations.
    let network = random_network(&[48, 64, 32, 1], 1, (-8192, 8192));
    let size = |windows| AuditPlan::for_windows(&network, windows).map(|plan| (plan.k, plan.slots));
    assert_eq!([64, 128, 256, 1024, 4096].map(size), [(14, 128), (14, 128), (15, 256), (17, 1024), (19, 4096)].map(Ok));
}

fn is_file_error<T>(result: Result<T, AuditKeyError>) -> bool {
    matches!(result, Err(AuditKeyError::Key(KeyError::File(_))))
}
