//! The targets, one for each decoder.

use std::{fs, panic::AssertUnwindSafe, path::Path, sync::LazyLock};

use hygeia_zkml::{
    Commitment, NativeEngine, PublicInputs, Srs, VerifyError, VerifyingKeyFile,
    audit::{self, AuditPublic, AuditReceipt, AuditVerifyingKey},
    engine::Engine as _,
    verify,
};
use sha2::{Digest, Sha256};

use crate::{
    Target,
    patch::patched,
    subjects::{ALERT, AUDIT, CONFIG, ENVELOPE_BYTES, REAL_PTAU, SCHEMA, STRING_K, STRINGS},
};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// All of them.
pub const TARGETS: [Target; 10] = [
    Target { name: "alert_proof", seeds: alert_proofs, run: alert_proof, runs: 1_500, allocation_bytes_max: MIB },
    Target { name: "audit_proof", seeds: audit_proofs, run: audit_proof, runs: 1_500, allocation_bytes_max: MIB },
    Target { name: "alert_key", seeds: alert_keys, run: alert_key, runs: 1_500, allocation_bytes_max: MIB },
    Target { name: "audit_key", seeds: audit_keys, run: audit_key, runs: 1_500, allocation_bytes_max: MIB },
    Target { name: "key_file", seeds: key_files, run: key_file, runs: 4_000, allocation_bytes_max: MIB },
    // The file is read whole before its hash is known, into room that doubles.
    Target { name: "proving_key", seeds: proving_keys, run: proving_key, runs: 300, allocation_bytes_max: 8 * MIB },
    Target { name: "receipt", seeds: receipts, run: receipt, runs: 4_000, allocation_bytes_max: 64 * KIB },
    Target { name: "srs_sealed", seeds: sealed_strings, run: srs_sealed, runs: 2_000, allocation_bytes_max: MIB },
    Target { name: "srs_ptau", seeds: ptau_strings, run: srs_ptau, runs: 2_000, allocation_bytes_max: MIB },
    Target { name: "srs_raw", seeds: raw_strings, run: srs_raw, runs: 2_000, allocation_bytes_max: MIB },
];

/// Proofs that another run made and wrote for libFuzzer: they are honest too.
static KEPT_ALERT: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| kept("alert_proof"));
static KEPT_AUDIT: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| kept("audit_proof"));

fn kept(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let seeds = (0..).map(|index| fs::read(folder.join(format!("seed-{index}"))));
    seeds.map_while(Result::ok).collect()
}

/// Commitment, score and proof, one after the other.
fn alert_proofs() -> Vec<Vec<u8>> {
    let encode = |proof: &hygeia_zkml::Proof| {
        let PublicInputs { commitment, score } = proof.public;
        [commitment.to_bytes().as_slice(), &score.to_be_bytes(), &proof.bytes].concat()
    };
    ALERT.proofs.iter().map(encode).collect()
}

/// Only a proof that the prover made is accepted, and only with the public values it was made for.
fn alert_proof(bytes: &[u8]) -> bool {
    let Some((words, proof)) = bytes.split_at_checked(40) else { return false };
    let (commitment, score) = words.split_at(32);
    let Ok(commitment) = Commitment::from_bytes(commitment.try_into().expect("32 bytes")) else { return false };
    let public = PublicInputs { commitment, score: i64::from_be_bytes(score.try_into().expect("8 bytes")) };
    let answer = verify(ALERT.engine.verifying_key(), proof, &public);
    assert_ne!(answer, Err(VerifyError::Panicked));
    let is_honest = alert_proofs().iter().chain(&*KEPT_ALERT).any(|honest| honest == bytes);
    assert!(answer.is_err() || is_honest, "a forged proof was accepted");
    answer.is_ok()
}

/// Root, count and proof, one after the other.
fn audit_proofs() -> Vec<Vec<u8>> {
    let public = &AUDIT.proof.public;
    vec![[public.root().as_slice(), &public.count().to_be_bytes(), &AUDIT.proof.bytes].concat()]
}

fn audit_proof(bytes: &[u8]) -> bool {
    let Some((words, proof)) = bytes.split_at_checked(36) else { return false };
    let (root, count) = words.split_at(32);
    let count = u32::from_be_bytes(count.try_into().expect("4 bytes"));
    let Some(public) = AuditPublic::new(root.try_into().expect("32 bytes"), count) else { return false };
    let answer = audit::verify(AUDIT.keys.verifying_key(), proof, &public);
    assert_ne!(answer, Err(VerifyError::Panicked));
    let is_honest = audit_proofs().iter().chain(&*KEPT_AUDIT).any(|honest| honest == bytes);
    assert!(answer.is_err() || is_honest, "a forged proof was accepted");
    answer.is_ok()
}

/// What is in the envelope: a fresh hash goes around it, as a forger would do.
fn alert_keys() -> Vec<Vec<u8>> {
    vec![ALERT.engine.verifying_key().bytes()[ENVELOPE_BYTES..].to_vec()]
}

/// A forged key is another key, verifies nothing it should not, and is marked when its secret is public.
fn alert_key(body: &[u8]) -> bool {
    let Ok(key) = VerifyingKeyFile::from_bytes(sealed(b"HYGEIAVK", body)) else { return false };
    assert_eq!(key.bytes()[ENVELOPE_BYTES..], *body);
    let honest = &ALERT.proofs[0];
    if verify(&key, &honest.bytes, &honest.public).is_ok() {
        assert!(key.is_development(), "the development string without its mark");
    }
    let forged = PublicInputs { score: honest.public.score + 1, ..honest.public };
    assert!(verify(&key, &honest.bytes, &forged).is_err(), "a forged score was accepted");
    true
}

fn audit_keys() -> Vec<Vec<u8>> {
    vec![AUDIT.keys.verifying_key().bytes()[ENVELOPE_BYTES..].to_vec()]
}

fn audit_key(body: &[u8]) -> bool {
    let Ok(key) = AuditVerifyingKey::from_bytes(sealed(b"HYGEIAAV", body)) else { return false };
    assert_eq!(key.bytes()[ENVELOPE_BYTES..], *body);
    let honest = &AUDIT.proof;
    if audit::verify(&key, &honest.bytes, &honest.public).is_ok() {
        assert!(key.is_development(), "the development string without its mark");
    }
    let forged = AuditPublic::new(honest.public.root(), honest.public.count() + 1).expect("the root is canonical");
    assert!(audit::verify(&key, &honest.bytes, &forged).is_err(), "a forged count was accepted");
    true
}

/// Whole files, with their hashes.
fn key_files() -> Vec<Vec<u8>> {
    vec![ALERT.engine.verifying_key().bytes().to_vec(), AUDIT.keys.verifying_key().bytes().to_vec()]
}

/// A file with its hash is the honest one or none.
fn key_file(bytes: &[u8]) -> bool {
    let alert = VerifyingKeyFile::from_bytes(bytes.to_vec());
    assert!(alert.is_err() || bytes == ALERT.engine.verifying_key().bytes());
    let audit = AuditVerifyingKey::from_bytes(bytes.to_vec());
    assert!(audit.is_err() || bytes == AUDIT.keys.verifying_key().bytes());
    alert.is_ok() || audit.is_ok()
}

/// Lists of changes to a file of a megabyte: none, and one at each place where a size stands.
fn proving_keys() -> Vec<Vec<u8>> {
    let change = |place: u8| [0x83, place, 0, 0, 0, 0xff, 0xff, 0xff, 0xff].to_vec();
    std::iter::once(Vec::new()).chain((0..12).map(change)).collect()
}

/// Under a fresh hash, a key that loads is the one of this circuit.
fn proving_key(changes: &[u8]) -> bool {
    let body = patched(&ALERT.proving_key, &places_of_sizes(&ALERT.proving_key), changes);
    fs::write(&ALERT.proving_path, sealed(b"HYGEIAPK", &body)).expect("the folder is there");
    let load = || NativeEngine::load(&ALERT.network, SCHEMA, &ALERT.srs, ALERT.directory.path(), &CONFIG);
    let loaded = std::panic::catch_unwind(AssertUnwindSafe(load)).expect("loading a key does not panic");
    let Ok(engine) = loaded else { return false };
    assert_eq!(engine.verifying_key_hash(), ALERT.engine.verifying_key_hash());
    assert_eq!(body.len(), ALERT.proving_key.len());
    true
}

/// Where the key names its verifying key, its rows and columns, and the length of each polynomial.
fn places_of_sizes(key: &[u8]) -> Vec<usize> {
    let (version, rows, columns) = (32, 33, 38);
    let number = |at: usize| u32::from_le_bytes([key[at], key[at + 1], key[at + 2], key[at + 3]]) as usize;
    let first = columns + 4 + 64 * number(columns);
    let polynomial = 4 + (32 << number(rows));
    let after_marks = (0..=3).map(|index| first + index * polynomial);
    let values = (0..=number(columns)).map(|index| first + 3 * polynomial + 4 + index * polynomial);
    [0, version, rows, columns].into_iter().chain(after_marks).chain(values).chain([key.len() - 8]).collect()
}

/// As they are handed out: of the first, the last and some window between.
fn receipts() -> Vec<Vec<u8>> {
    let handed_out = |index| AuditReceipt::of(&AUDIT.proof, index).expect("the batch has forty windows").to_json();
    [0, 17, 39].map(|index| handed_out(index).into_bytes()).to_vec()
}

/// A receipt that holds says what was proved of that window; one that is read can be handed on.
fn receipt(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(receipt) = AuditReceipt::from_json(text) else { return false };
    assert!(AuditReceipt::from_json(&receipt.to_json()).as_ref() == Ok(&receipt), "a receipt changes when handed on");
    let holds = receipt.verify(&AUDIT.proof.public, AUDIT.keys.verifying_key().leaves()).is_ok();
    let is_honest = AUDIT.proof.windows.get(receipt.index()) == Some(receipt.window());
    assert!(!holds || is_honest, "a forged receipt was accepted");
    holds
}

fn sealed_strings() -> Vec<Vec<u8>> {
    STRINGS.sealed.to_vec()
}

fn srs_sealed(body: &[u8]) -> bool {
    development_string(&sealed(b"HYGEIASR", body))
}

fn raw_strings() -> Vec<Vec<u8>> {
    STRINGS.sealed.iter().map(|sealed| sealed[1..].to_vec()).collect()
}

fn srs_raw(bytes: &[u8]) -> bool {
    development_string(bytes)
}

fn ptau_strings() -> Vec<Vec<u8>> {
    vec![STRINGS.ptau.clone(), REAL_PTAU.to_vec()]
}

static REAL: LazyLock<[u8; 32]> = LazyLock::new(|| opened(REAL_PTAU).expect("the real file is sound").digest());

/// Beside the development string there is a real one, which is another.
fn srs_ptau(bytes: &[u8]) -> bool {
    let Some(srs) = opened(bytes) else { return false };
    assert!([STRINGS.digest, *REAL].contains(&srs.digest()), "another string was accepted");
    assert_eq!(srs.is_development(), srs.digest() == STRINGS.digest);
    true
}

/// Bytes that give any string give the honest one, with its mark.
fn development_string(bytes: &[u8]) -> bool {
    let Some(srs) = opened(bytes) else { return false };
    assert_eq!(srs.digest(), STRINGS.digest, "another string was accepted");
    assert!(srs.is_development());
    true
}

fn opened(mut bytes: &[u8]) -> Option<Srs> {
    let length = bytes.len() as u64;
    Srs::from_reader(&mut bytes, length, None, STRING_K, &mut |_| ()).ok()
}

/// An envelope with a fresh hash: kind, version, length, SHA-256 over these and the content, content.
fn sealed(magic: &[u8; 8], body: &[u8]) -> Vec<u8> {
    let prefix = [magic.as_slice(), &1_u16.to_be_bytes(), &(body.len() as u64).to_be_bytes()].concat();
    let digest = Sha256::new().chain_update(&prefix).chain_update(body).finalize();
    [prefix.as_slice(), &digest, body].concat()
}
