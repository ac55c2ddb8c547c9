//! What the targets attack: small keys with real proofs, and reference strings whose secret is known.

use std::{fs, path::PathBuf, sync::LazyLock};

use hygeia_inference::{Dense, IntegerNetwork};
use hygeia_zkml::{
    EngineConfig, Goal, NativeEngine, Proof, Salt, Srs,
    audit::{AuditBatch, AuditKeys, AuditPlan, AuditProof},
};
use tempfile::TempDir;

pub const CONFIG: EngineConfig =
    EngineConfig { threads: 2, goal: Goal::Latency, placement: hygeia_zkml::Placement::Cpu };
pub const SCHEMA: [u8; 32] = [7; 32];
/// Bytes in front of a sealed file's content.
pub const ENVELOPE_BYTES: usize = 50;

/// Keys of the alert circuit, two proofs, and the folder with its files.
pub struct Alert {
    pub network: IntegerNetwork,
    pub engine: NativeEngine,
    pub proofs: Vec<Proof>,
    pub srs: Srs,
    /// The proving key's content, as it stands in its file.
    pub proving_key: Vec<u8>,
    pub proving_path: PathBuf,
    pub directory: TempDir,
}

pub static ALERT: LazyLock<Alert> = LazyLock::new(|| {
    let network = network();
    let directory = tempfile::tempdir().expect("a folder for keys");
    let k = NativeEngine::plan(&network, CONFIG.goal).expect("a small network has a circuit").k;
    let srs = Srs::development(k).expect("the size is one of a circuit");
    let engine = NativeEngine::new(&network, SCHEMA, &srs, &CONFIG).expect("a small network has keys");
    let paths = engine.save(directory.path()).expect("keys can be written");
    let proving_key = fs::read(&paths.proving).expect("just written").split_off(ENVELOPE_BYTES);
    let prove = |features: [i32; 3]| engine.prove(&features, &Salt::new([3; 16])).expect("the window is honest");
    let proofs = vec![prove([1, 2, 3]), prove([-7, 5, 0])];
    Alert { network, engine, proofs, srs, proving_key, proving_path: paths.proving, directory }
});

/// Keys of the audit circuit and a proof over forty windows.
pub struct Audit {
    pub keys: AuditKeys,
    pub proof: AuditProof,
}

pub static AUDIT: LazyLock<Audit> = LazyLock::new(|| {
    let network = network();
    let plan = AuditPlan::for_windows(&network, 64).expect("a small network has a circuit");
    let srs = Srs::development(plan.k).expect("the size is one of a circuit");
    let keys = AuditKeys::generate(&network, SCHEMA, &plan, &srs, &CONFIG).expect("a small network has keys");
    let mut batch = AuditBatch::new();
    for window in 0..40 {
        batch.push(vec![window, -window, 1], Salt::new([3; 16]));
    }
    let proof = keys.prove(&batch).expect("the windows are honest");
    Audit { keys, proof }
});

/// The development string of 2^3 powers, which everybody knows, in all forms.
pub struct Strings {
    /// Content of the sealed form, for 2^2 and 2^3 powers.
    pub sealed: [Vec<u8>; 2],
    pub ptau: Vec<u8>,
    /// Digest of the string that all of them give at [`STRING_K`].
    pub digest: [u8; 32],
}

pub const STRING_K: u32 = 2;
/// A real file, of another secret.
pub const REAL_PTAU: &[u8] = include_bytes!("../../testdata/powers-of-tau-6.ptau");

pub static STRINGS: LazyLock<Strings> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a folder for a string");
    let sealed = [STRING_K, STRING_K + 1].map(|k| {
        let path = directory.path().join(k.to_string());
        Srs::development(k).and_then(|srs| srs.write(&path)).expect("a small string can be written");
        fs::read(path).expect("just written").split_off(ENVELOPE_BYTES)
    });
    let digest = Srs::development(STRING_K).expect("a small string").digest();
    Strings { ptau: ptau(&sealed[1]), sealed, digest }
});

/// A `.ptau` of 2^2 powers out of a sealed string's 2^3: the points needed are real, the others are not looked at.
fn ptau(sealed: &[u8]) -> Vec<u8> {
    let (powers, end) = (&sealed[5..5 + 7 * 64], &sealed[sealed.len() - 2 * 128..]);
    let header: Vec<u8> = REAL_PTAU[24..24 + 36].iter().copied().chain([2, 0, 0, 0, 2, 0, 0, 0]).collect();
    let second = [end, &[0; 2 * 128]].concat();
    let mut bytes = [b"ptau".as_slice(), &[1, 0, 0, 0, 4, 0, 0, 0]].concat();
    for (kind, content) in [(1_u32, header.as_slice()), (2, powers), (3, &second), (7, &[0; 24])] {
        bytes.extend(kind.to_le_bytes());
        bytes.extend((content.len() as u64).to_le_bytes());
        bytes.extend_from_slice(content);
    }
    bytes
}

fn network() -> IntegerNetwork {
    let hidden = Dense { weights: vec![vec![900, -700, 512], vec![-300, 1024, 77]], bias: vec![5_000, -3_000] };
    let score = Dense { weights: vec![vec![1_200, -800]], bias: vec![100] };
    IntegerNetwork::new(vec![hidden.into(), score.into()], vec![(-1_000, 1_000); 3]).expect("sums stay in their bounds")
}
