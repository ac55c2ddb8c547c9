//! The statement's encoding, step by step as anyone would compute it without this crate.

use expect_test::expect;
use halo2_axiom::halo2curves::{
    bn256::Fr,
    ff::{Field, PrimeField},
};
use hygeia_gpu_kernels::poseidon;
use hygeia_zkml::{
    Commitment, CommitmentScheme, EZKL_PROOF_SYSTEM_ID, PROOF_SYSTEM_ID, PublicInputs, Salt, StatementError, commit,
    statement::{domain_tag, field_from_i64, field_to_i64, pack},
};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

const SCHEMA: [u8; 32] = [7; 32];

/// Reads big-endian bytes as a number modulo the field's, one byte at a time.
fn reduced(bytes: &[u8]) -> Fr {
    bytes.iter().fold(Fr::ZERO, |sum, &byte| sum * Fr::from(256) + Fr::from(u64::from(byte)))
}

#[test]
fn the_commitment_is_the_documented_one() {
    let features: Vec<i32> = (0..17).map(|index| index * 1000 - 8000).collect();
    let salt = [5; 16];
    let tag = Sha256::digest([b"hygeia/window/v1".as_slice(), &SCHEMA, &17_u32.to_be_bytes()].concat());
    assert_eq!(domain_tag(SCHEMA, 17), reduced(&tag));

    let digits: Vec<u8> =
        features.iter().flat_map(|&feature| u16::try_from(feature + 32768).unwrap().to_be_bytes()).collect();
    let elements = [reduced(&digits[..30]), reduced(&digits[30..])];
    assert_eq!(pack(&features).unwrap(), elements);

    let mut state = [reduced(&tag), elements[0], elements[1]];
    poseidon::permute(&mut state);
    state[1] += reduced(&salt);
    poseidon::permute(&mut state);
    let commitment = commit(SCHEMA, &features, &Salt::new(salt)).unwrap();
    assert_eq!(reduced(&commitment.to_bytes()), state[1]);
    expect!["0x1bf202a17c9b8b83f589ff47d26dbba148d79a0700adb0439a4560575f00cff2"].assert_eq(&commitment.to_string());
}

#[test]
fn each_proof_system_has_its_commitment() {
    let (features, salt) = ([1, -2, 3], Salt::new([9; 16]));
    let of = |id| CommitmentScheme::of_proof_system(id).map(|scheme| scheme.commit(SCHEMA, &features, &salt).unwrap());
    assert_eq!(of(PROOF_SYSTEM_ID), Some(commit(SCHEMA, &features, &salt).unwrap()));
    assert_eq!(of(EZKL_PROOF_SYSTEM_ID), Some(hygeia_zkml::engine::ezkl::commit(&features, &salt).unwrap()));
    assert_ne!(of(PROOF_SYSTEM_ID), of(EZKL_PROOF_SYSTEM_ID));
    assert_eq!(of("another"), None);
}

#[test]
fn everything_that_is_committed_changes_the_commitment() {
    let features = vec![1; 15];
    let base = commit(SCHEMA, &features, &Salt::new([0; 16])).unwrap();
    let mut others = vec![
        commit([8; 32], &features, &Salt::new([0; 16])).unwrap(),
        commit(SCHEMA, &features, &Salt::new([1; 16])).unwrap(),
        commit(SCHEMA, &features[1..], &Salt::new([0; 16])).unwrap(),
        commit(SCHEMA, &[features.clone(), vec![-32768]].concat(), &Salt::new([0; 16])).unwrap(),
    ];
    for index in 0..features.len() {
        let mut changed = features.clone();
        changed[index] = 0;
        others.push(commit(SCHEMA, &changed, &Salt::new([0; 16])).unwrap());
    }
    assert!(others.iter().all(|other| *other != base));
}

/// A window of few possible values, as vital signs are, cannot be found by trying them all: who does not know the salt
/// has one guess in 2^128 for each.
#[test]
fn a_dictionary_of_all_windows_does_not_open_a_commitment() {
    let secret = commit(SCHEMA, &[37], &Salt::new([9; 16])).unwrap();
    let guesses =
        |salt: [u8; 16]| (-256..256).map(move |feature| commit(SCHEMA, &[feature], &Salt::new(salt)).unwrap());
    for salt in [[0; 16], [0xff; 16], [8; 16]] {
        assert!(guesses(salt).all(|guess| guess != secret));
    }
    assert_eq!(guesses([9; 16]).filter(|guess| *guess == secret).count(), 1, "with the salt it is one of them");
    // Two windows of the same values cannot be told to be so.
    assert_ne!(commit(SCHEMA, &[37], &Salt::new([10; 16])).unwrap(), secret);
}

#[test]
fn what_is_no_window_is_refused() {
    let salt = Salt::new([0; 16]);
    let refused = |features: &[i32]| commit(SCHEMA, features, &salt).unwrap_err();
    assert_eq!(refused(&[]), StatementError::FeatureCount(0));
    assert_eq!(refused(&[0; 1025]), StatementError::FeatureCount(1025));
    for out in [-32769, 32768, i32::MIN, i32::MAX] {
        assert_eq!(refused(&[0, out]), StatementError::FeatureOutOfRange(1));
    }
    assert!(commit(SCHEMA, &[-32768, 32767], &salt).is_ok());
}

#[test]
fn a_negative_score_is_the_modulus_less_its_magnitude() {
    let commitment = Commitment::from_bytes([0; 32]).unwrap();
    let words = PublicInputs { commitment, score: -1 }.words();
    assert_eq!(hex::encode(words[1]), "30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000000");
    assert_eq!(PublicInputs { commitment, score: 258 }.words()[1][30..], [1, 2]);
    assert_eq!(field_to_i64(Fr::from(2).invert().unwrap()), None);
}

#[test]
fn a_salt_is_not_printed() {
    assert_eq!(format!("{:?}", Salt::new([0xab; 16])), "Salt(..)");
}

proptest! {
    #[test]
    fn scores_survive_the_field(score: i64) {
        prop_assert_eq!(field_to_i64(field_from_i64(score)), Some(score));
    }

    #[test]
    fn a_commitment_is_canonical(bytes: [u8; 32]) {
        let is_below_modulus = Option::<Fr>::from(Fr::from_repr({ let mut le = bytes; le.reverse(); le })).is_some();
        prop_assert_eq!(Commitment::from_bytes(bytes).is_ok(), is_below_modulus);
    }
}
