//! How many rows and columns a network needs, and the smallest circuit that has them.

use serde::{Deserialize, Serialize};

use super::hash::{ROWS_AFTER, ROWS_PER_PERMUTATION};
use crate::statement::{FEATURES_MAX, FEATURES_PER_ELEMENT};

/// Bits of one limb; all limbs share one table of `2^LIMB_BITS` rows. Equal to the network's shift, so that a
/// requantised value is a number's upper limbs.
pub const LIMB_BITS: u32 = 10;
/// Rows of the range table.
pub const TABLE_ROWS: usize = 1 << LIMB_BITS;
/// Limb cells that one node of the network takes.
pub const NODE_ROWS_MIN: usize = 4;
/// Rows at the end of each column that hold its blinding: ten queries of the busiest column, one for the opening, one
/// spare, and the row that ends the permutation argument.
pub const UNUSABLE_ROWS: usize = 13;
/// Logarithm of the most rows a circuit may have. Its proving key takes some 80 MB, its proofs some ten seconds.
pub const K_MAX: u32 = 16;
/// The hash gates keep four constants beside each other in the weight columns.
pub const LANES_MIN: usize = 4;
/// Beyond this many weight columns a verifier contract outgrows the limit of EIP-170.
pub const LANES_MAX: usize = 16;
/// Most layers that a plan takes, the input included.
const LAYERS_MAX: usize = 9;

/// The shape of a circuit. It fixes columns, rotations and row numbers; weights are not part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Logarithm of the number of rows.
    pub k: u32,
    /// Weight columns: weights that one row takes into its running sum.
    pub lanes: usize,
    /// Nodes of each layer, inputs first; the last is 1.
    pub dims: Vec<usize>,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Too few or too many layers, an empty or too wide one, or more than one output.
    #[error("plan: no circuit for a network of the shape {0:?}")]
    Shape(Vec<usize>),
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
    /// The plan with the fewest rows, and among those the fewest columns: each column costs gas, rows cost time.
    pub fn smallest(dims: &[usize]) -> Result<Self, PlanError> {
        let smallest_k = LIMB_BITS + 1;
        let plans = (smallest_k..=K_MAX)
            .flat_map(|k| (LANES_MIN..=LANES_MAX).map(move |lanes| Self { k, lanes, dims: dims.to_vec() }));
        let mut last = None;
        for plan in plans {
            match plan.check() {
                Ok(()) => return Ok(plan),
                Err(error @ PlanError::Shape(_)) => return Err(error),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("the ranges above are not empty"))
    }

    /// Whether this plan holds its network. Called on every plan that comes out of a file.
    pub fn check(&self) -> Result<(), PlanError> {
        let shape_is_valid = (2..=LAYERS_MAX).contains(&self.dims.len())
            && self.dims.iter().all(|&width| (1..=FEATURES_MAX).contains(&width))
            && self.dims.last() == Some(&1);
        if !shape_is_valid {
            return Err(PlanError::Shape(self.dims.clone()));
        }
        let size_is_valid = (LIMB_BITS + 1..=K_MAX).contains(&self.k)
            && (LANES_MIN..=LANES_MAX).contains(&self.lanes)
            && self.rows_used() <= self.rows_usable();
        if !size_is_valid {
            return Err(PlanError::TooLarge { dims: self.dims.clone(), k: self.k, lanes: self.lanes });
        }
        Ok(())
    }

    /// Rows a witness may use.
    pub fn rows_usable(&self) -> usize {
        (1 << self.k) - UNUSABLE_ROWS
    }

    /// Rows this circuit uses: the opening row, the linear rows, the hash.
    pub fn rows_used(&self) -> usize {
        self.hash_start() + self.permutations() * ROWS_PER_PERMUTATION + ROWS_AFTER
    }

    /// First row after the linear rows; there the hash begins and the sums of the linear rows are closed.
    pub fn hash_start(&self) -> usize {
        1 + self.linear_rows()
    }

    /// Rows of the network, or of the range table that lies beside them if that is longer.
    pub fn linear_rows(&self) -> usize {
        let layers = 0..self.dims.len();
        let rows: usize = layers.map(|layer| self.dims[layer] * self.node_rows(layer) + self.weight_rows(layer)).sum();
        rows.max(TABLE_ROWS)
    }

    /// Rows that hold the weights of one node of a layer towards the next layer; none for the output.
    pub fn weight_rows(&self, layer: usize) -> usize {
        self.dims.get(layer + 1).map_or(0, |outputs| outputs.div_ceil(self.lanes))
    }

    /// Rows of one node of a layer: its weights, and at least its limbs.
    pub fn node_rows(&self, layer: usize) -> usize {
        self.weight_rows(layer).max(NODE_ROWS_MIN)
    }

    /// Field elements that hold the packed features.
    pub fn elements(&self) -> usize {
        self.dims[0].div_ceil(FEATURES_PER_ELEMENT)
    }

    /// Permutations of the hash over elements and salt, two to a permutation.
    pub fn permutations(&self) -> usize {
        (self.elements() + 1).div_ceil(hygeia_gpu_kernels::poseidon::RATE)
    }
}
