//! From features and salt to the columns of the first phase.

use halo2_axiom::halo2curves::{bn256::Fr, ff::Field};
use hygeia_inference::{Evaluation, IntegerNetwork, NetworkError};
use rand::{CryptoRng, RngCore};

use super::{
    columns::{Challenges, FirstPhaseValues},
    hash,
    layout::{Layout, virtual_sums},
    node::Node,
    plan::LIMBS,
    range, second_phase,
};
use crate::prover::{Phase, PhasedWitness};
use crate::statement::{Commitment, PublicInputs, Salt, StatementError, feature_digit, field_to_i64, pack};

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

/// A witness on its layout, as the prover asks for it.
pub struct AlertColumns<'w> {
    /// Where everything stands.
    pub layout: &'w Layout,
    /// What stands there.
    pub witness: &'w Witness,
}

impl PhasedWitness for AlertColumns<'_> {
    const PHASES: &'static [Phase] = &[Phase { columns: 3, challenges: 3 }, Phase { columns: 4, challenges: 0 }];

    fn columns(&self, phase: usize, challenges: &[Fr]) -> Vec<Vec<Fr>> {
        match (phase, challenges) {
            (0, _) => {
                let FirstPhaseValues { limb, cell, mask, scratch: _ } = self.witness.first.clone();
                vec![limb, cell, mask]
            }
            (_, &[node, layer, range]) => {
                let second = second_phase(self.layout, self.witness, &Challenges { node, layer, range });
                vec![second.weight, second.place, second.sum, second.tally]
            }
            _ => unreachable!("three challenges follow the first phase"),
        }
    }
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

    let zero = || vec![Fr::ZERO; layout.plan.rows_used()];
    let mask = (0..layout.plan.rows_usable()).map(|_| Fr::random(&mut *rng)).collect();
    let mut first = FirstPhaseValues { limb: zero(), cell: zero(), mask, scratch: zero() };
    let limbs = fill_nodes(layout, network, features, &evaluation, &mut first);
    range::count(layout, &limbs, &mut first.cell);
    let digest = hash::fill(&layout.hash, &message, &mut first);

    let output = Node::read(&first.limb, &first.cell, layout.score_row());
    let score = field_to_i64(output.requantised()).expect("a score has at most 21 bits");
    assert_eq!(score, evaluation.score, "the circuit's score is the reference's");
    Ok(Witness { first, public: PublicInputs { commitment: Commitment::from_field(digest), score } })
}

/// Writes limbs and signs of all nodes, and returns the limbs by row.
fn fill_nodes(
    layout: &Layout,
    network: &IntegerNetwork,
    features: &[i32],
    evaluation: &Evaluation,
    first: &mut FirstPhaseValues,
) -> Vec<u64> {
    let mut column = vec![0; layout.plan.rows_used()];
    let mut put = |row: usize, node: &Node<u64>| {
        column[row + 1 - LIMBS..=row].copy_from_slice(&node.limbs());
        first.cell[row] = Fr::from(node.sign);
    };
    for (&row, &feature) in layout.nodes[0].iter().zip(features) {
        put(row, &Node::of_digit(feature_digit(feature).expect("packed before")));
    }
    let features: Vec<i64> = features.iter().copied().map(i64::from).collect();
    let inputs = std::iter::once(&features).chain(&evaluation.activations);
    let layers = network.layers().iter().zip(&evaluation.pre).zip(inputs).enumerate();
    for (index, ((layer, sums), inputs)) in layers {
        let beyond = virtual_sums(&layout.plan, index + 1, layer, inputs);
        for (&row, &t) in layout.nodes[index + 1].iter().zip(sums.iter().chain(&beyond)) {
            put(row, &Node::of_pre_activation(t));
        }
    }
    for (limb, &number) in first.limb.iter_mut().zip(&column) {
        *limb = Fr::from(number);
    }
    column
}
