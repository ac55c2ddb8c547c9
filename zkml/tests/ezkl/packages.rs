//! Packages that are not what they were.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use hygeia_zkml::engine::ezkl::{EzklEngine, EzklError, PackageError};
use hygeia_zkml::{Engine, Srs};
use tempfile::TempDir;

use super::{CACHE, ENGINE, SCHEMA, config, network, window};

/// A package of one's own, to be damaged.
struct Copy {
    directory: TempDir,
    folder: PathBuf,
}

impl Copy {
    fn new() -> Self {
        LazyLock::force(&ENGINE);
        let from = EzklEngine::folder(&network(1), SCHEMA, &CACHE, true).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let folder = EzklEngine::folder(&network(1), SCHEMA, directory.path(), true).unwrap();
        fs::create_dir(&folder).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
        }
        Self { directory, folder }
    }

    fn open(&self) -> Result<EzklEngine, EzklError> {
        let srs = Srs::development_cached(ENGINE.manifest().logrows, &CACHE).unwrap();
        EzklEngine::load(&network(1), SCHEMA, &srs, self.directory.path(), &config())
    }

    fn refused(&self) -> PackageError {
        match self.open() {
            Err(EzklError::Package(error)) => error,
            other => panic!("{other:?}"),
        }
    }
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn one_changed_byte_of_any_file_is_refused() {
    let copy = Copy::new();
    let files: Vec<String> = ENGINE.manifest().files.keys().cloned().collect();
    assert_eq!(files.len(), 7, "{files:?}");
    for name in &files {
        let path = copy.folder.join(name);
        let bytes = fs::metadata(&path).unwrap().len() as usize;
        for at in [0, bytes / 2, bytes - 1] {
            flip(&path, at);
            assert!(matches!(copy.refused(), PackageError::Corrupted(found) if found == name), "{name}, byte {at}");
            flip(&path, at);
        }
    }
    copy.open().expect("each change was taken back");
}

#[test]
fn a_file_that_is_cut_off_or_gone_is_refused() {
    let copy = Copy::new();
    let path = copy.folder.join("proving.key");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert!(matches!(copy.refused(), PackageError::Corrupted("proving.key")));
    fs::remove_file(&path).unwrap();
    assert!(matches!(copy.refused(), PackageError::Read { .. }));
    // A damaged package is never a reason to make another in its place.
    let opened = EzklEngine::open_development(&network(1), SCHEMA, copy.directory.path(), &config());
    assert!(matches!(opened, Err(EzklError::Package(PackageError::Read { .. }))));
}

#[test]
fn a_manifest_of_something_else_is_refused() {
    let copy = Copy::new();
    let path = copy.folder.join("manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    let with = |from: &str, to: &str| {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "the manifest has {from}");
        fs::write(&path, changed).unwrap();
        copy.refused()
    };
    assert!(matches!(with("\"version\": 1", "\"version\": 2"), PackageError::Manifest));
    assert!(matches!(with("\"tolerance\": 0", "\"tolerance\": 9"), PackageError::Other("network")));
    assert!(matches!(
        with("\"is_development\": true", "\"is_development\": false"),
        PackageError::Other("kind of reference string")
    ));
    assert!(matches!(with("\"schema_hash\": \"07", "\"schema_hash\": \"08"), PackageError::Other("model or schema")));
    assert!(matches!(with("\"ezkl\": \"", "\"ezkl\": \"1"), PackageError::Other("build of EZKL")));
    assert!(matches!(with("{", "["), PackageError::Manifest));
}

/// What was checked is what is used, whatever becomes of the files afterwards.
#[test]
fn a_file_poisoned_after_loading_changes_nothing() {
    let copy = Copy::new();
    let engine = copy.open().unwrap();
    for name in ENGINE.manifest().files.keys() {
        fs::write(copy.folder.join(name), "poison").unwrap();
    }
    let (features, salt) = window(30);
    let proof = engine.prove(&features, &salt).unwrap();
    assert_eq!(ENGINE.verify(&proof.public, &proof.bytes), Ok(()));
}

/// The same model gives the same circuit and the same verifying key wherever it is compiled.
#[test]
fn a_package_can_be_made_again() {
    let directory = tempfile::tempdir().unwrap();
    let srs = Srs::development_cached(ENGINE.manifest().logrows, &CACHE).unwrap();
    let again = EzklEngine::compile(&network(1), SCHEMA, &srs, directory.path(), &config()).unwrap();
    assert_eq!(again.verifying_key_hash(), ENGINE.verifying_key_hash());
    assert_eq!(again.contract(), ENGINE.contract());
    let (features, salt) = window(31);
    let proof = again.prove(&features, &salt).unwrap();
    assert_eq!(ENGINE.verify(&proof.public, &proof.bytes), Ok(()));
}
