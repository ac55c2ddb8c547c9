//! One node of the network: four limbs that end on its row, and what they mean.
//!
//! ```text
//! row   feature                   hidden neuron or output
//! -3    16 * upper limb           sign: 1 when T >= 0, else 0
//! -2    lower limb                low       ┐ limbs of T, or of -1 - T when T is negative,
//! -1    upper limb                middle    │ so that each T in [-2^30, 2^30) has one decomposition
//!  0    (unused)                  high      ┘ and floor division needs no remainder of its own
//! ```

use std::ops::{Add, Mul, Sub};

use halo2_axiom::{
    halo2curves::{
        bn256::Fr,
        ff::{Field, PrimeField},
    },
    plonk::{ConstraintSystem, Expression, VirtualCells},
    poly::Rotation,
};

use super::{
    codes::{feed, is, is_one_or_two, unit},
    columns::Columns,
    plan::{LIMB_BITS, Plan},
};
use crate::statement::{FEATURE_BITS, FEATURE_OFFSET};

/// What gates and witness have in common, so that both use one set of formulas.
pub trait Number:
    Clone + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Mul<Fr, Output = Self>
{
    /// A known number.
    fn constant(value: Fr) -> Self;
}

impl Number for Fr {
    fn constant(value: Fr) -> Self {
        value
    }
}

impl Number for Expression<Fr> {
    fn constant(value: Fr) -> Self {
        Expression::Constant(value)
    }
}

/// The four limbs of a node: field elements, or expressions of them.
#[derive(Clone)]
pub struct Limbs<T> {
    /// Three rows up.
    pub sign: T,
    /// Two rows up.
    pub low: T,
    /// One row up.
    pub middle: T,
    /// On the node's row.
    pub high: T,
}

impl<T: Number> Limbs<T> {
    /// A feature plus 2^15: the digit that is packed.
    pub fn digit(&self) -> T {
        self.low.clone() + self.middle.clone() * power_of_two(LIMB_BITS)
    }

    /// A feature.
    pub fn feature(&self) -> T {
        self.digit() - T::constant(Fr::from(u64::from(FEATURE_OFFSET.unsigned_abs())))
    }

    /// `T` of a neuron: `u` when the sign is 1, `-1 - u` when it is 0, `u` being the number of the three limbs.
    pub fn pre_activation(&self) -> T {
        let magnitude = self.low.clone() + self.upper() * power_of_two(LIMB_BITS);
        self.with_sign(magnitude)
    }

    /// `max(floor(T / 2^10), 0)`: the upper limbs when the sign is 1, else 0.
    pub fn rectified(&self) -> T {
        self.sign.clone() * self.upper()
    }

    /// `floor(T / 2^10)`: for a negative `T` it is `-1 - floor((-1 - T) / 2^10)`.
    pub fn requantised(&self) -> T {
        self.with_sign(self.upper())
    }

    fn upper(&self) -> T {
        self.middle.clone() + self.high.clone() * power_of_two(LIMB_BITS)
    }

    fn with_sign(&self, magnitude: T) -> T {
        let one = || T::constant(Fr::ONE);
        (self.sign.clone() * Fr::from(2) - one()) * magnitude + self.sign.clone() - one()
    }
}

impl Limbs<Expression<Fr>> {
    /// The limbs that end on the current row.
    pub fn query(cells: &mut VirtualCells<'_, Fr>, columns: &Columns) -> Self {
        let mut limb = |rows_up: i32| cells.query_advice(columns.limb, Rotation(-rows_up));
        Self { sign: limb(3), low: limb(2), middle: limb(1), high: limb(0) }
    }
}

impl Limbs<Fr> {
    /// The limbs that end on a row of the column `limb`.
    pub fn read(limb: &[Fr], row: usize) -> Self {
        Self { sign: limb[row - 3], low: limb[row - 2], middle: limb[row - 1], high: limb[row] }
    }
}

impl Limbs<u64> {
    /// Limbs of a packed feature.
    pub fn of_digit(digit: u64) -> Self {
        let middle = digit >> LIMB_BITS;
        Self { sign: middle << (2 * LIMB_BITS - FEATURE_BITS), low: limb(digit, 0), middle, high: 0 }
    }

    /// Sign and limbs of `T`.
    pub fn of_pre_activation(t: i64) -> Self {
        let (sign, magnitude) = if t >= 0 { (1, t.unsigned_abs()) } else { (0, t.unsigned_abs() - 1) };
        assert!(magnitude < 1 << (3 * LIMB_BITS), "a network is accepted only when its sums fit three limbs");
        Self { sign, low: limb(magnitude, 0), middle: limb(magnitude, 1), high: limb(magnitude, 2) }
    }

    /// In the order of the rows they fill.
    pub fn into_rows(self) -> [u64; 4] {
        [self.sign, self.low, self.middle, self.high]
    }
}

/// Gate of the nodes: what limbs must be beyond being below 2^10, and what they say about the column `cell`.
pub fn configure(meta: &mut ConstraintSystem<Fr>, columns: &Columns, plan: &Plan) {
    let rows_to_previous_feature = i32::try_from(plan.node_rows(0)).expect("a plan's widths are small");
    meta.create_gate("nodes", |cells| {
        let limbs = Limbs::query(cells, columns);
        let cell = cells.query_advice(columns.cell, Rotation::cur());
        let element_before = cells.query_advice(columns.cell, Rotation(-rows_to_previous_feature));
        let unit = cells.query_fixed(columns.unit, Rotation::cur());
        let feed = cells.query_fixed(columns.feed, Rotation::cur());
        let feature = is_one_or_two(&feed);
        let appended = is(&feed, feed::NEXT_FEATURE, feed::LAST);
        let neuron = is_one_or_two(&unit);
        let output = is(&unit, unit::OUTPUT, unit::LAST);
        let upper_limb_shifted = limbs.middle.clone() * power_of_two(2 * LIMB_BITS - FEATURE_BITS);
        vec![
            // The upper limb of a feature has 6 bits, because sixteen times it is a limb too.
            feature.clone() * (limbs.sign.clone() - upper_limb_shifted),
            // Features are packed one after the other; the first of an element has nothing before it.
            feature * (cell.clone() - limbs.digit()) - appended * element_before * power_of_two(FEATURE_BITS),
            // The sign of a neuron is a bit.
            neuron * (limbs.sign.clone() * limbs.sign.clone() - limbs.sign.clone()),
            // The score is the requantised output.
            output * (cell - limbs.requantised()),
        ]
    });
}

fn limb(number: u64, index: u32) -> u64 {
    (number >> (index * LIMB_BITS)) & ((1 << LIMB_BITS) - 1)
}

fn power_of_two(exponent: u32) -> Fr {
    Fr::from_u128(1 << exponent)
}
