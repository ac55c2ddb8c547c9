//! How large an audit circuit is: what one window takes, and how many windows fit.

use hygeia_inference::IntegerNetwork;
use serde::{Deserialize, Serialize};

use super::{
    circuit::window::Window,
    equations::{EQUATIONS_BEFORE_ELEMENTS, LIMB_BITS, UPPER_INPUT_BITS},
};
use crate::statement::{FEATURES_MAX, FEATURES_PER_ELEMENT};

/// Fewest windows that a proof holds. Below this the range tables would not fit beside the windows.
pub const SLOTS_MIN: usize = 64;
/// Most windows that a proof holds.
pub const SLOTS_MAX: usize = 4096;
/// Logarithm of the most rows a circuit may have: 4,096 windows of a network of some 120 nodes, in some 5 GB.
pub const K_MAX: u32 = 19;
/// Rows at the end of each column that hold its blinding: two queries of the busiest column and the three that halo2
/// adds at least, one for the opening, and the row that ends the permutation argument.
pub const UNUSABLE_ROWS: usize = 6;
/// Most neurons of all layers together; with the most windows there are, this fills [`K_MAX`].
const NEURONS_MAX: usize = 4096;

/// The shape of an audit circuit. It fixes columns, rotations and row numbers; weights are not part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditPlan {
    /// Logarithm of the number of rows.
    pub k: u32,
    /// Windows that fit, real ones and padding; leaves of the tree.
    pub slots: usize,
    /// Features of a window.
    pub inputs: usize,
    /// Neurons of all layers, the output included.
    pub neurons: usize,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditPlanError {
    /// No features or too many, no neurons or too many.
    #[error("audit plan: no circuit for {inputs} features and {neurons} neurons")]
    Shape {
        /// Features of a window.
        inputs: usize,
        /// Neurons of all layers.
        neurons: usize,
    },
    /// The number of windows is not between [`SLOTS_MIN`] and [`SLOTS_MAX`].
    #[error("audit plan: a proof holds {SLOTS_MIN} to {SLOTS_MAX} windows, not {0}")]
    Slots(usize),
    /// Each equation of a window takes one slot, and there are fewer slots than equations.
    #[error("audit plan: {slots} slots are too few for {equations} equations")]
    Equations {
        /// Slots of the plan.
        slots: usize,
        /// Equations of a window.
        equations: usize,
    },
    /// The windows do not fit the rows.
    #[error("audit plan: {slots} windows do not fit 2^{k} rows")]
    TooLarge {
        /// Slots of the plan.
        slots: usize,
        /// Logarithm of the rows tried last.
        k: u32,
    },
}

impl AuditPlan {
    /// The smallest plan that holds this many windows of a network; its slots are a power of two.
    pub fn for_windows(network: &IntegerNetwork, windows: usize) -> Result<Self, AuditPlanError> {
        let slots_needed = windows.max(SLOTS_MIN);
        if slots_needed > SLOTS_MAX {
            return Err(AuditPlanError::Slots(windows));
        }
        let mut plan = Self::of_shape(network);
        plan.slots = slots_needed.max(plan.equations()).next_power_of_two();
        (1..=K_MAX)
            .map(|k| Self { k, ..plan.clone() })
            .find_map(|plan| match plan.check() {
                Err(AuditPlanError::TooLarge { k, .. }) if k < K_MAX => None,
                result => Some(result.map(|()| plan)),
            })
            .expect("the last k gives a plan or an error")
    }

    /// The plan that fills `2^k` rows. Its slots are no power of two, so that no row is left over.
    pub fn filling(network: &IntegerNetwork, k: u32) -> Result<Self, AuditPlanError> {
        let mut plan = Self { k: k.min(K_MAX), ..Self::of_shape(network) };
        plan.check_shape()?;
        let period = Window::new(plan.inputs, plan.neurons).period;
        plan.slots = (plan.rows_usable().saturating_sub(1) / period).saturating_sub(1).min(SLOTS_MAX);
        plan.check()?;
        Ok(plan)
    }

    /// Whether this plan holds its windows. Called on every plan that comes out of a file.
    pub fn check(&self) -> Result<(), AuditPlanError> {
        self.check_shape()?;
        if !(SLOTS_MIN..=SLOTS_MAX).contains(&self.slots) {
            return Err(AuditPlanError::Slots(self.slots));
        }
        if self.slots < self.equations() {
            return Err(AuditPlanError::Equations { slots: self.slots, equations: self.equations() });
        }
        let window = Window::new(self.inputs, self.neurons);
        let is_large_enough = (1..=K_MAX).contains(&self.k)
            && (self.slots + 1) * window.period < self.rows_usable()
            && self.slots * window.table_rows(false) >= 1 << LIMB_BITS
            && self.slots * window.table_rows(true) >= 1 << UPPER_INPUT_BITS;
        if !is_large_enough {
            return Err(AuditPlanError::TooLarge { slots: self.slots, k: self.k });
        }
        Ok(())
    }

    /// Rows a witness may use.
    pub fn rows_usable(&self) -> usize {
        (1_usize << self.k).saturating_sub(UNUSABLE_ROWS)
    }

    /// Field elements that hold the packed features of one window.
    pub fn elements(&self) -> usize {
        self.inputs.div_ceil(FEATURES_PER_ELEMENT)
    }

    /// Linear equations of one window; see [`equations`](super::equations).
    pub fn equations(&self) -> usize {
        EQUATIONS_BEFORE_ELEMENTS + self.elements() + self.neurons
    }

    fn of_shape(network: &IntegerNetwork) -> Self {
        let dims = network.dims();
        Self { k: 0, slots: 0, inputs: dims[0], neurons: dims[1..].iter().sum() }
    }

    fn check_shape(&self) -> Result<(), AuditPlanError> {
        let is_valid = (1..=FEATURES_MAX).contains(&self.inputs) && (1..=NEURONS_MAX).contains(&self.neurons);
        if is_valid { Ok(()) } else { Err(AuditPlanError::Shape { inputs: self.inputs, neurons: self.neurons }) }
    }
}
