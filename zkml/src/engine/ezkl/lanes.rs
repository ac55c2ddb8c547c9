//! What EZKL hashes of a window: its features, two constants, and the salt.
//!
//! Each lane is one input of the exported network and one element of the hash. The constants make biases out of weights
//! (`hygeia_inference::onnx::export_exact`); the salt's lanes have no weight at all. A circuit of EZKL's takes whatever
//! stands in a lane, so that the constants are what they must be is part of what a commitment says: whoever commits uses
//! this module, and signs.

use halo2_axiom::halo2curves::bn256::Fr;
use hygeia_inference::onnx::EXACT_LANES;
use zeroize::Zeroizing;

use super::poseidon;
use crate::statement::{Commitment, FEATURES_MAX, Salt, StatementError, feature_digit, field_from_i64};

/// Lanes of the salt.
pub const SALT_LANES: usize = SALT_BYTES.div_ceil(LANE_BYTES);
const SALT_BYTES: usize = 16;
/// Bytes of the salt in one lane: EZKL reads lanes as floats, which hold integers of 24 bits.
const LANE_BYTES: usize = 3;

/// The lanes of a window, in the order of the network's inputs. Erased when dropped.
pub fn lanes(features: &[i32], salt: &Salt) -> Result<Zeroizing<Vec<i32>>, StatementError> {
    if features.is_empty() || features.len() > FEATURES_MAX {
        return Err(StatementError::FeatureCount(features.len()));
    }
    if let Some(index) = features.iter().position(|&feature| feature_digit(feature).is_none()) {
        return Err(StatementError::FeatureOutOfRange(index));
    }
    let salt = salt
        .as_bytes()
        .chunks(LANE_BYTES)
        .map(|bytes| bytes.iter().fold(0, |lane, &byte| (lane << 8) | i32::from(byte)));
    Ok(Zeroizing::new(features.iter().copied().chain(EXACT_LANES).chain(salt).collect()))
}

/// The hash of a window's lanes, as EZKL publishes it.
pub fn commit(features: &[i32], salt: &Salt) -> Result<Commitment, StatementError> {
    let lanes = lanes(features, salt)?;
    let element = |&lane: &i32| -> Fr { field_from_i64(i64::from(lane)) };
    Ok(Commitment::from_field(poseidon::hash(lanes.iter().map(element))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The salt that lanes were made of.
    fn salt_of(lanes: &[i32]) -> [u8; 16] {
        let bytes = lanes[lanes.len() - SALT_LANES..].iter().flat_map(|lane| lane.to_be_bytes()[1..].to_vec());
        let mut bytes: Vec<u8> = bytes.collect();
        // The last lane holds one byte.
        bytes.drain(15..17);
        bytes.try_into().unwrap()
    }

    proptest! {
        #[test]
        fn no_bit_of_a_salt_is_lost(salt: [u8; 16], features in prop::collection::vec(-32768..32768, 1..9)) {
            let lanes = lanes(&features, &Salt::new(salt)).unwrap();
            prop_assert_eq!(salt_of(&lanes), salt);
            prop_assert_eq!(&lanes[..features.len()], features.as_slice());
            prop_assert_eq!(&lanes[features.len()..][..2], EXACT_LANES.as_slice());
            prop_assert!(lanes.iter().all(|&lane| f64::from(lane as f32) == f64::from(lane)), "a float holds each lane");
        }
    }

    #[test]
    fn everything_that_is_committed_changes_the_commitment() {
        let base = commit(&[1, 2, 3], &Salt::new([7; 16])).unwrap();
        let mut others = vec![commit(&[1, 2], &Salt::new([7; 16])), commit(&[1, 2, 3, 0], &Salt::new([7; 16]))];
        others.extend((0..3).map(|at| {
            commit(&std::array::from_fn::<i32, 3, _>(|i| if i == at { 9 } else { i as i32 + 1 }), &Salt::new([7; 16]))
        }));
        others.extend(
            (0..16).map(|at| commit(&[1, 2, 3], &Salt::new(std::array::from_fn(|i| if i == at { 6 } else { 7 })))),
        );
        assert!(others.into_iter().all(|other| other.unwrap() != base));
    }

    #[test]
    fn what_is_no_window_is_refused_without_its_value() {
        let refused = lanes(&[1, 40_000], &Salt::new([0; 16])).unwrap_err();
        assert_eq!(refused, StatementError::FeatureOutOfRange(1));
        assert!(!format!("{refused} {refused:?}").contains("40000"));
        assert_eq!(lanes(&[], &Salt::new([0; 16])).unwrap_err(), StatementError::FeatureCount(0));
        assert_eq!(
            commit(&[0; FEATURES_MAX + 1], &Salt::new([0; 16])).unwrap_err(),
            StatementError::FeatureCount(FEATURES_MAX + 1)
        );
    }
}
