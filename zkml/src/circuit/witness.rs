//! From features and salt to the columns of the first phase.

use halo2_axiom::halo2curves::{bn256::Fr, ff::Field};
use hygeia_inference::{Evaluation, IntegerNetwork, NetworkError};
use rand::{CryptoRng, RngCore};

use super::{columns::FirstPhaseValues, hash, layout::Layout, node::Limbs, range};
use crate::statement::{
    Commitment, FEATURE_BITS, FEATURES_PER_ELEMENT, PublicInputs, Salt, StatementError, feature_digit, field_to_i64,
    pack,
};

/// Why a window has no witness.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WitnessError {
    /// The features do not form a statement.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// The network refuses the features.
    #[error(transparent)]
    Network(#[from] NetworkError),
}

/// A witness and what it proves.
#[derive(Clone)]
pub struct Witness {
    /// Columns of the first phase.
    pub first: FirstPhaseValues,
    /// Commitment and score, read off the columns.
    pub public: PublicInputs,
}

/// Fills the first phase for one window. `rng` gives the masking column and must be cryptographically strong.
pub fn fill(
    layout: &Layout,
    network: &IntegerNetwork,
    features: &[i32],
    salt: &Salt,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<Witness, WitnessError> {
    let mut message = pack(features)?;
    message.push(salt.to_field());
    let evaluation = network.evaluate(features)?;

    let limbs = limb_column(layout, features, &evaluation);
    let limb: Vec<Fr> = limbs.iter().copied().map(Fr::from).collect();
    let mut cell = vec![Fr::ZERO; layout.plan.rows_used()];
    fill_elements(layout, &limb, &mut cell);
    let score = Limbs::read(&limb, layout.score_row()).requantised();
    cell[layout.score_row()] = score;
    let digest = hash::fill(&layout.hash, &message, &mut cell);
    let mask = (0..layout.plan.rows_usable()).map(|_| Fr::random(&mut *rng)).collect();

    let score = field_to_i64(score).expect("a score has at most 21 bits");
    assert_eq!(score, evaluation.score, "the circuit's score is the reference's");
    let public = PublicInputs { commitment: Commitment::from_field(digest), score };
    let count = range::counts(layout, &limbs);
    Ok(Witness { first: FirstPhaseValues { limb, cell, count, mask }, public })
}

/// Limbs of all nodes, by row.
fn limb_column(layout: &Layout, features: &[i32], evaluation: &Evaluation) -> Vec<u64> {
    let mut column = vec![0; layout.plan.rows_used()];
    let mut put = |row: usize, limbs: Limbs<u64>| column[row - 3..=row].copy_from_slice(&limbs.into_rows());
    for (&row, &feature) in layout.nodes[0].iter().zip(features) {
        put(row, Limbs::of_digit(feature_digit(feature).expect("packed before")));
    }
    for (rows, sums) in layout.nodes[1..].iter().zip(&evaluation.pre) {
        for (&row, &t) in rows.iter().zip(sums) {
            put(row, Limbs::of_pre_activation(t));
        }
    }
    column
}

/// Packs the features, one step per node.
fn fill_elements(layout: &Layout, limb: &[Fr], cell: &mut [Fr]) {
    for rows in layout.nodes[0].chunks(FEATURES_PER_ELEMENT) {
        let mut element = Fr::ZERO;
        for &row in rows {
            element = element * Fr::from(1 << FEATURE_BITS) + Limbs::read(limb, row).digit();
            cell[row] = element;
        }
    }
}
