//! From windows to the columns of the first phase.

use halo2_axiom::halo2curves::{bn256::Fr, ff::Field};
use hygeia_inference::{Evaluation, IntegerNetwork, NetworkError};
use rand::{CryptoRng, RngCore};
use rayon::prelude::*;

use super::{
    columns::{Challenges, FirstPhaseRow, SecondPhaseRow},
    layout::Layout,
    permutation,
    range::multiplicities,
    second_phase,
    units::Limbs,
    window::{Feed, Unit},
};
use crate::{
    audit::{AuditPublic, AuditTree, AuditWindow},
    prover::{Phase, PhasedWitness},
    statement::{Commitment, PublicInputs, Salt, StatementError, feature_digit, field_from_i64, pack},
};

/// Why a window has no witness.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WitnessError {
    /// The features do not form a statement.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// The network refuses the features.
    #[error(transparent)]
    Network(NetworkError),
}

/// A witness and what it proves.
#[derive(Clone)]
pub struct Witness {
    /// Rows of the first phase; those of all slots.
    pub rows: Vec<FirstPhaseRow>,
    /// Column of the first phase: random values for every row.
    pub mask: Vec<Fr>,
    /// Real windows, in the order of their leaves.
    pub windows: Vec<PublicInputs>,
    /// The tree over them.
    pub tree: AuditTree,
}

impl Witness {
    /// What is proved.
    pub fn public(&self) -> AuditPublic {
        self.tree.public()
    }
}

/// A witness on its layout, as the prover asks for it.
pub struct AuditColumns<'w> {
    /// Where everything stands.
    pub layout: &'w Layout,
    /// What stands there.
    pub witness: &'w Witness,
}

impl PhasedWitness for AuditColumns<'_> {
    const PHASES: &'static [Phase] = &[Phase { columns: 13, challenges: 4 }, Phase { columns: 6, challenges: 0 }];

    fn columns(&self, phase: usize, challenges: &[Fr]) -> Vec<Vec<Fr>> {
        match (phase, challenges) {
            (0, _) => {
                let cells = |row: &FirstPhaseRow| -> [Fr; 12] {
                    let all = [&row.state[..], &row.power, &row.extra, &row.limbs].concat();
                    all.try_into().expect("three, three, two and four")
                };
                let mut columns = transposed(&self.witness.rows, cells);
                columns.push(self.witness.mask.clone());
                columns
            }
            (_, &[equation, window, range, table]) => {
                let challenges = Challenges { equation, window, range, table };
                let rows = second_phase(self.layout, self.witness, &challenges);
                transposed(&rows, |&SecondPhaseRow { sums, factors, fraction, balance }| {
                    [sums[0], sums[1], factors[0], factors[1], fraction, balance]
                })
            }
            _ => unreachable!("four challenges follow the first phase"),
        }
    }
}

/// Columns of rows.
fn transposed<R: Sync, const N: usize>(rows: &[R], cells: impl Fn(&R) -> [Fr; N] + Sync) -> Vec<Vec<Fr>> {
    (0..N).into_par_iter().map(|column| rows.iter().map(|row| cells(row)[column]).collect()).collect()
}

/// Fills the first phase for the windows of a batch, which must not be more than there are slots. `rng` gives masking
/// column and the salts of padding and must be cryptographically strong.
///
/// An error names the window by its place in the batch.
pub fn fill(
    layout: &Layout,
    network: &IntegerNetwork,
    windows: &[AuditWindow],
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<Witness, (usize, WitnessError)> {
    let slots = layout.plan.slots;
    let padding: Vec<AuditWindow> = (windows.len()..slots).map(|_| padding(network, rng)).collect();
    let all: Vec<&AuditWindow> = windows.iter().chain(&padding).collect();
    let mut rows = vec![FirstPhaseRow::ZERO; slots * layout.window.period];
    let filled: Vec<_> = rows
        .par_chunks_mut(layout.window.period)
        .zip(all)
        .enumerate()
        .map(|(slot, (rows, window))| {
            fill_window(layout, network, window, slot < windows.len(), rows).map_err(|error| (slot, error))
        })
        .collect::<Result<_, _>>()?;
    let leaf =
        |(slot, &(digest, _)): (usize, &(Fr, PublicInputs))| if slot < windows.len() { digest } else { Fr::ZERO };
    let tree = AuditTree::of_leaves(filled.iter().enumerate().map(leaf).collect(), windows.len());
    rows.par_chunks_mut(layout.window.period)
        .enumerate()
        .for_each(|(slot, rows)| fill_node(layout, tree.children(slot.checked_sub(1)), rows));
    fill_multiplicities(layout, &mut rows);
    let mask = (0..layout.plan.rows_usable()).map(|_| Fr::random(&mut *rng)).collect();
    let windows = filled.into_iter().take(windows.len()).map(|(_, public)| public).collect();
    Ok(Witness { rows, mask, windows, tree })
}

/// Writes the multiplicities of both tables beside them, given the limbs of all rows.
pub fn fill_multiplicities(layout: &Layout, rows: &mut [FirstPhaseRow]) {
    let limbs = layout.fixed.iter().zip(rows.iter()).map(|(fixed, row)| (fixed.unit, row.limbs));
    let counts = multiplicities(layout, limbs);
    for (table, counts) in layout.tables.iter().zip(counts) {
        for (&row, times) in table.iter().zip(counts) {
            rows[row].extra[1] = Fr::from(times);
        }
    }
}

/// The node of the tree that a slot holds, above these children.
pub fn fill_node(layout: &Layout, children: [Fr; 2], rows: &mut [FirstPhaseRow]) {
    let window = &layout.window;
    rows[window.children].extra = children;
    let range = window.permutation(window.permutations.len() - 1);
    let begin = permutation::begin(layout.tags.node, children);
    let end = permutation::fill(&window.rows, rows, range, begin);
    permutation::end(&mut rows[window.node], end);
}

/// The leaf of a slot, and its digest.
pub fn fill_leaf(layout: &Layout, commitment: Fr, score: Fr, is_real: bool, rows: &mut [FirstPhaseRow]) -> Fr {
    let window = &layout.window;
    let range = window.permutation(window.permutations.len() - 2);
    let begin = permutation::begin(layout.tags.leaf, [commitment, score]);
    let end = permutation::fill(&window.rows, rows, range, begin);
    permutation::end(&mut rows[window.leaf], end);
    rows[window.leaf].limbs = Limbs::of_flag(is_real).0.map(Fr::from);
    end[1]
}

/// The commitment of a slot: elements, then salt.
pub fn fill_commitment(layout: &Layout, message: &[Fr], rows: &mut [FirstPhaseRow]) -> Fr {
    let window = &layout.window;
    let mut state = [layout.tags.window, Fr::ZERO, Fr::ZERO];
    for (index, (pair, &row)) in message.chunks(2).zip(&window.absorptions).enumerate() {
        let pair = [pair[0], pair.get(1).copied().unwrap_or(Fr::ZERO)];
        rows[row].extra[0] = pair[0];
        if window.rows[row].feed != Feed::Salt {
            rows[row].extra[1] = pair[1];
        }
        let begin = permutation::absorb(&state, pair);
        state = permutation::fill(&window.rows, rows, window.permutation(index), begin);
    }
    state[1]
}

/// Limbs of a row's node.
pub fn unit_limbs(unit: Unit, digits: &[u64], sums: &[i64]) -> Limbs<u64> {
    match unit {
        Unit::Inputs(first) => Limbs::of_digits([digits[first], digits.get(first + 1).copied().unwrap_or(0)]),
        Unit::Neuron(Some(neuron)) => Limbs::of_sum(sums[neuron]),
        Unit::Neuron(None) => Limbs([0; 4]),
    }
}

/// Everything of a slot but its node. Returns the leaf's digest, padding or not, and what the window makes public.
fn fill_window(
    layout: &Layout,
    network: &IntegerNetwork,
    window: &AuditWindow,
    is_real: bool,
    rows: &mut [FirstPhaseRow],
) -> Result<(Fr, PublicInputs), WitnessError> {
    let (features, salt) = (window.features(), window.salt());
    let mut message = pack(features)?;
    message.push(salt.to_field());
    let evaluation = network.evaluate(features).map_err(WitnessError::Network)?;
    fill_units(layout, features, &evaluation, rows);
    let commitment = fill_commitment(layout, &message, rows);
    let score = field_from_i64(evaluation.score);
    let score_row = *layout.window.neurons.last().expect("a network has an output");
    assert_eq!(Limbs(rows[score_row].limbs).score(), score, "the circuit's score is the reference's");
    let digest = fill_leaf(layout, commitment, score, is_real, rows);
    Ok((digest, PublicInputs { commitment: Commitment::from_field(commitment), score: evaluation.score }))
}

fn fill_units(layout: &Layout, features: &[i32], evaluation: &Evaluation, rows: &mut [FirstPhaseRow]) {
    let digit = |&feature: &i32| feature_digit(feature).expect("packed before");
    let digits: Vec<u64> = features.iter().map(digit).collect();
    let sums = evaluation.pre.concat();
    for (layout, row) in layout.window.rows.iter().zip(rows) {
        row.limbs = unit_limbs(layout.unit, &digits, &sums).0.map(Fr::from);
    }
}

/// A window that stands where there is none: within the network's bounds, and nobody's.
fn padding(network: &IntegerNetwork, rng: &mut (impl RngCore + CryptoRng)) -> AuditWindow {
    let nearest_to_zero = |&(low, high): &(i32, i32)| 0.clamp(low, high);
    AuditWindow::new(network.input_bounds().iter().map(nearest_to_zero).collect(), Salt::random(rng))
}
