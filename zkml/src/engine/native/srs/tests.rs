//! One string in three forms; each thing that can be wrong with a file is refused by its own error.

mod files;
mod refused;

use super::*;

/// A file that snarkjs made: see `zkml/testdata/README.md`.
const REAL: &[u8] = include_bytes!("../../../../testdata/powers-of-tau-6.ptau");
const REAL_SHA256: &str = "b0d5cf8d9c6ac796ee160441f0621b71f5b804098a4ab434b163144cb7d1e36c";

fn open(bytes: &[u8], k: u32) -> Result<Srs, SrsError> {
    Srs::from_reader(&mut &*bytes, bytes.len() as u64, None, k, &mut |_| ())
}

#[test]
fn a_real_file_is_read_at_every_size() {
    let whole = open(REAL, 6).unwrap();
    let origin = whole.origin().unwrap();
    assert_eq!((origin.form, origin.k, hex::encode(origin.sha256).as_str()), (SrsForm::Ptau, 6, REAL_SHA256));
    assert!(!whole.is_development());
    for k in 1..=6 {
        let srs = open(REAL, k).unwrap();
        assert_eq!((srs.k(), srs.origin()), (k, Some(origin)));
        assert_eq!(srs.digest(), whole.trimmed(k).unwrap().digest());
    }
    assert!(matches!(open(REAL, 7), Err(SrsError::TooSmall { needed: 7, available: 6 })));
}

#[test]
fn a_file_is_opened_by_path_and_by_the_hash_it_should_have() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.ptau");
    std::fs::write(&path, REAL).unwrap();
    let hash: [u8; 32] = hex::decode(REAL_SHA256).unwrap().try_into().unwrap();
    let mut told = Vec::new();
    let srs = Srs::open(&path, Some(hash), 4, &mut |progress| told.push(progress)).unwrap();
    assert_eq!(srs.origin().unwrap().sha256, hash);
    let of = REAL.len() as u64;
    assert!(told.contains(&SrsProgress::Reading { bytes: of, of }));
    assert_eq!(told[told.len() - 2..], [SrsProgress::Checking, SrsProgress::Lagrange]);

    // The first use of a ceremony's file leaves this project's own form behind, which is the same for everyone.
    let [one, other] = ["one", "other"].map(|name| directory.path().join(name));
    srs.write(&one).unwrap();
    open(REAL, 4).unwrap().write(&other).unwrap();
    assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(&other).unwrap());
    let own = Srs::open(&one, None, 4, &mut |_| ()).unwrap();
    assert_eq!((own.digest(), own.origin().unwrap().form), (srs.digest(), SrsForm::Sealed));
    assert_eq!(Srs::read(&one).unwrap().digest(), srs.digest());

    let missing = Srs::open(&directory.path().join("gone"), None, 4, &mut |_| ());
    assert!(matches!(missing, Err(SrsError::File(error)) if error.is_not_found()));
}

#[test]
fn one_string_is_the_same_in_every_form() {
    let files = files::Files::of_secret(Fr::from(7), 4);
    for k in [1, 3, 4] {
        let [ptau, raw, sealed] = [&files.ptau, &files.raw, &files.sealed].map(|file| open(file, k).unwrap());
        assert_eq!(ptau.digest(), raw.digest());
        assert_eq!(ptau.digest(), sealed.digest());
        assert_eq!([&ptau, &raw, &sealed].map(|srs| srs.is_development()), [false; 3]);
        let forms = [&ptau, &raw, &sealed].map(|srs| srs.origin().unwrap().form);
        assert_eq!(forms, [SrsForm::Ptau, SrsForm::Raw, SrsForm::Sealed]);
    }
}

/// Sections come in any order after the header, and those of a file prepared for Groth16 are passed over.
#[test]
fn other_sections_are_passed_over() {
    let files = files::Files::of_secret(Fr::from(7), 3);
    let [header, g1, g2, more] = files.sections.clone().try_into().unwrap();
    let expected = open(&files.ptau, 3).unwrap().digest();
    let prepared = (12, vec![7; 1000]);
    for sections in [
        vec![header.clone(), g1.clone(), g2.clone()],
        vec![header.clone(), g2.clone(), g1.clone()],
        vec![prepared.clone(), header, more, g2, (99, Vec::new()), g1, prepared],
    ] {
        assert_eq!(open(&files::ptau(&sections), 3).unwrap().digest(), expected);
    }
}

#[test]
fn the_development_secret_is_recognised_in_every_form() {
    let secret = Fr::random(development_rng());
    let files = files::Files::of_secret(secret, 3);
    assert_eq!(open(&files.ptau, 3).unwrap().digest(), Srs::development(3).unwrap().digest());
    for file in [&files.ptau, &files.raw] {
        for k in [2, 3] {
            assert!(open(file, k).unwrap().is_development());
        }
    }
    // This project's own form says so itself, and must.
    assert!(matches!(open(&files.sealed, 3), Err(SrsError::Decode(_))));
    let marked = files::sealed(1, &files.raw);
    assert!(open(&marked, 3).unwrap().is_development());
    let other = files::Files::of_secret(Fr::from(7), 3);
    assert!(matches!(open(&files::sealed(1, &other.raw), 3), Err(SrsError::Decode(_))));
}

#[test]
fn only_local_chains_are_local() {
    assert!(local_chain(31_337) && local_chain(1_337));
    for chain in [0, 1, 5, 10, 137, 8_453, 42_161, 11_155_111, 31_336, 31_338, u64::MAX] {
        assert!(!local_chain(chain), "{chain}");
    }
}
