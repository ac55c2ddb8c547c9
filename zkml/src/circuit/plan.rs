//! How many rows and columns a network needs, and the circuit that serves a goal best.
//!
//! A weight column costs gas and bytes of contract, a row costs proving time, and one can be traded for the other. The
//! number of rows is a power of two, so up to it they are free.

mod shape;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use shape::{LayerShape, Shape};

use super::{
    columns::{ADVICE_COLUMNS, CODE_COLUMNS},
    hash::{ROWS_AFTER, ROWS_PER_PERMUTATION, ROWS_PER_STEP},
};
use crate::statement::FEATURES_PER_ELEMENT;

/// Bits of one limb; all limbs share one table of `2^LIMB_BITS` rows. Equal to the network's shift, so that a
/// requantised value is a number's upper limbs.
pub const LIMB_BITS: u32 = 10;
/// Rows of the range table.
pub const TABLE_ROWS: usize = 1 << LIMB_BITS;
/// Limb cells of one node of the network.
pub const LIMBS: usize = 3;
/// Rows before the network: one of zeros, and the seam at which the running sums begin.
pub const ROWS_BEFORE: usize = 2;
/// Rows at the end of each column that hold its blinding: six queries of the busiest column, one for the opening, one
/// spare, and the row that ends halo2's own arguments.
pub const UNUSABLE_ROWS: usize = 9;
/// Logarithm of the most rows a circuit may have. Its proving key takes some 80 MB, its proofs some ten seconds.
pub const K_MAX: u32 = 16;
/// The hash gates keep four constants beside each other in the weight columns.
pub const LANES_MIN: usize = 4;
/// Most weight columns. Each costs some 7,400 gas; with this many a verification comes near 440,000, and a contract has
/// stayed below the limit of EIP-170.
pub const LANES_MAX: usize = 16;
/// Most different jumps: their code takes as many degrees of a gate that has one to give away beyond four.
const JUMPS_MAX: usize = 4;
/// Proving time that gas may cost: this many doublings of the rows.
const GAS_DOUBLINGS_MAX: u32 = 1;

/// What a plan is chosen for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// The fewest rows, and among those the fewest columns: the quickest proof.
    #[default]
    Latency,
    /// The fewest columns, for at most twice the rows: the cheapest verification on chain.
    Gas,
}

/// The shape of a circuit. It fixes columns, rotations and row numbers; weights are not part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Logarithm of the number of rows.
    pub k: u32,
    /// Weight columns: weights that one row takes into its running sum.
    pub lanes: usize,
    /// The network.
    pub shape: Shape,
}

/// How the weights of a convolution at one step follow from those of the step before: `r^power` times what stands
/// `rows_back` rows above, plus what the row adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump {
    /// From the row of the jump to the last row of the same channel's node one step before.
    pub rows_back: usize,
    /// Power of the node challenge, less those that the rows after the jump multiply by.
    pub power: usize,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Too few or too many layers, an empty or too wide one, or more than one output.
    #[error("plan: no circuit for a network of the shape {0:?}")]
    Shape(Vec<usize>),
    /// The network has more than four convolutions of different shapes.
    #[error("plan: {0} convolutions of different shapes, no more than {JUMPS_MAX} fit a circuit")]
    Convolutions(usize),
    /// What a convolution gives when its window reaches past the last step leaves the range of a sum, though no sum of
    /// the network does.
    #[error("plan: layer {0}: a sum over the end of the steps may leave the circuit's range")]
    Border(usize),
    /// The network does not fit [`K_MAX`] and [`LANES_MAX`], or a given plan is smaller than its network.
    #[error("plan: the network {dims:?} does not fit 2^{k} rows with {lanes} weight columns")]
    TooLarge {
        /// Nodes of each layer.
        dims: Vec<usize>,
        /// Logarithm of the rows tried last.
        k: u32,
        /// Weight columns tried last.
        lanes: usize,
    },
}

impl Plan {
    /// The plan that serves a goal best.
    pub fn choose(shape: &Shape, goal: Goal) -> Result<Self, PlanError> {
        let fits = |k, lanes| {
            let plan = Self { k, lanes, shape: shape.clone() };
            plan.check().map(|()| plan)
        };
        let mut last = None;
        for k in LIMB_BITS + 1..=K_MAX {
            for lanes in LANES_MIN..=LANES_MAX {
                match fits(k, lanes) {
                    Ok(plan) if goal == Goal::Latency => return Ok(plan),
                    Ok(plan) => {
                        let ks = k + 1..=(k + GAS_DOUBLINGS_MAX).min(K_MAX);
                        let narrower = (LANES_MIN..lanes).flat_map(|lanes| ks.clone().map(move |k| (k, lanes)));
                        return Ok(narrower.into_iter().find_map(|(k, lanes)| fits(k, lanes).ok()).unwrap_or(plan));
                    }
                    Err(error @ PlanError::TooLarge { .. }) => last = Some(error),
                    Err(error) => return Err(error),
                }
            }
        }
        Err(last.expect("the ranges above are not empty"))
    }

    /// Whether this plan holds its network. Called on every plan that comes out of a file.
    pub fn check(&self) -> Result<(), PlanError> {
        self.shape.check()?;
        let lanes_are_valid = (LANES_MIN..=LANES_MAX).contains(&self.lanes);
        if lanes_are_valid && self.jumps().len() > JUMPS_MAX {
            return Err(PlanError::Convolutions(self.jumps().len()));
        }
        let size_is_valid =
            (LIMB_BITS + 1..=K_MAX).contains(&self.k) && lanes_are_valid && self.rows_used() <= self.rows_usable();
        if !size_is_valid {
            return Err(PlanError::TooLarge { dims: self.shape.dims(), k: self.k, lanes: self.lanes });
        }
        Ok(())
    }

    /// Rows a witness may use.
    pub fn rows_usable(&self) -> usize {
        (1 << self.k) - UNUSABLE_ROWS
    }

    /// Rows this circuit uses: those before the network, the network, the hash.
    pub fn rows_used(&self) -> usize {
        self.hash_start() + self.permutations() * ROWS_PER_PERMUTATION + ROWS_PER_STEP + ROWS_AFTER
    }

    /// First row after the network; there the hash begins.
    pub fn hash_start(&self) -> usize {
        ROWS_BEFORE + self.network_rows() + self.padding_rows()
    }

    /// Rows of the network: of its nodes and of the biases.
    fn network_rows(&self) -> usize {
        let layers = 0..self.shape.layers.len();
        let of_layer = |layer| {
            let (real, virtual_nodes) = (self.shape.width(layer), self.shape.virtual_nodes(layer));
            real * self.node_rows(layer) + virtual_nodes * LIMBS + self.bias_rows(layer)
        };
        layers.map(of_layer).sum::<usize>() + LIMBS
    }

    /// Rows within the network that only carry the range table on, when a network is shorter than that.
    pub fn padding_rows(&self) -> usize {
        let nodes = |layer| self.shape.width(layer) + self.shape.virtual_nodes(layer);
        let last_rows_of_nodes: usize = (0..=self.shape.layers.len()).map(nodes).sum();
        (TABLE_ROWS + last_rows_of_nodes).saturating_sub(self.network_rows())
    }

    /// Rows of one node of a layer: its weights towards the next layer, and at least its limbs.
    pub fn node_rows(&self, layer: usize) -> usize {
        self.weight_rows(layer).max(LIMBS)
    }

    /// Rows that hold the weights of one node of a layer towards the next layer; none for the output.
    pub fn weight_rows(&self, layer: usize) -> usize {
        match self.shape.layers.get(layer) {
            Some(&(LayerShape::Dense { outputs } | LayerShape::Conv1d { outputs, .. })) => outputs.div_ceil(self.lanes),
            None => 0,
        }
    }

    /// Rows that hold the biases of the next layer. The output's only one stands among the output's own rows.
    pub fn bias_rows(&self, layer: usize) -> usize {
        let is_last = layer + 1 >= self.shape.layers.len();
        if is_last { 0 } else { self.shape.claims(layer + 1).div_ceil(self.lanes) }
    }

    /// How the weights of a layer's nodes follow from one step to the next, if the next layer is a convolution.
    pub fn jump(&self, layer: usize) -> Option<Jump> {
        match self.shape.layers.get(layer) {
            Some(&LayerShape::Conv1d { channels, outputs, .. }) => {
                let rows_after = self.weight_rows(layer) - 1;
                Some(Jump {
                    rows_back: channels * self.node_rows(layer) - rows_after,
                    power: outputs - rows_after * self.lanes,
                })
            }
            _ => None,
        }
    }

    /// The different jumps, in the order of their codes, which begin at 1.
    pub fn jumps(&self) -> Vec<Jump> {
        let mut jumps: Vec<Jump> = Vec::new();
        for jump in (0..self.shape.layers.len()).filter_map(|layer| self.jump(layer)) {
            if !jumps.contains(&jump) {
                jumps.push(jump);
            }
        }
        jumps
    }

    /// Field elements that hold the packed features.
    pub fn elements(&self) -> usize {
        self.shape.inputs.div_ceil(FEATURES_PER_ELEMENT)
    }

    /// Permutations of the hash over elements and salt, two to a permutation.
    pub fn permutations(&self) -> usize {
        (self.elements() + 1).div_ceil(hygeia_gpu_kernels::poseidon::RATE)
    }

    /// Fixed columns: weights, table, codes.
    pub fn fixed_columns(&self) -> usize {
        self.lanes + CODE_COLUMNS + usize::from(!self.jumps().is_empty())
    }

    /// Bytes of every proof, as far as the plan can tell; the key knows them for certain.
    pub fn proof_bytes(&self) -> usize {
        // Points: advice columns, the vanishing argument's polynomial, four pieces of the quotient, two of the opening.
        let points = ADVICE_COLUMNS + 1 + 4 + 2;
        // Scalars: three limbs, six cells, a mask, two each of the four running columns, one each of the fixed ones.
        let scalars = 3 + 6 + 1 + 8 + 1 + self.fixed_columns() + self.rotations_of_jumps();
        64 * points + 32 * scalars
    }

    fn rotations_of_jumps(&self) -> usize {
        let mut rows_back: Vec<usize> = self.jumps().iter().map(|jump| jump.rows_back).collect();
        rows_back.sort_unstable();
        rows_back.dedup();
        rows_back.len()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: Vec<String> = self.shape.dims().iter().map(usize::to_string).collect();
        write!(
            f,
            "network {}: k {}, {} of {} rows, {ADVICE_COLUMNS} advice and {} fixed columns ({} of weights), \
             proof of {} bytes",
            dims.join("-"),
            self.k,
            self.rows_used(),
            self.rows_usable(),
            self.fixed_columns(),
            self.lanes,
            self.proof_bytes(),
        )
    }
}
