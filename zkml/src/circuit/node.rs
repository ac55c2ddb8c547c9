//! One node of the network: three limbs and a sign, and what they mean.
//!
//! ```text
//! row   limb: of a feature   limb: of a neuron    cell: of a neuron
//! -2    lower limb           low                                           limbs of T, or of -1 - T when T is
//! -1    upper limb           middle                                        negative, so that each T in [-2^30, 2^30)
//!  0    16 * upper limb      high                 1 when T >= 0, else 0    has one decomposition and floor division
//!                                                                          needs no remainder of its own
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
    codes::Selectors,
    columns::Columns,
    plan::{LIMB_BITS, LIMBS},
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

/// Sign and limbs of a node: numbers, field elements, or expressions of them.
#[derive(Clone)]
pub struct Node<T> {
    /// In the column `cell`, on the node's last row. A feature has none.
    pub sign: T,
    /// Two rows up.
    pub low: T,
    /// One row up.
    pub middle: T,
    /// On the node's last row.
    pub high: T,
}

impl<T: Number> Node<T> {
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

impl Node<Expression<Fr>> {
    /// The node that ends on the current row.
    pub fn query(cells: &mut VirtualCells<'_, Fr>, columns: &Columns) -> Self {
        let sign = cells.query_advice(columns.cell, Rotation::cur());
        let mut limb = |rows_up: i32| cells.query_advice(columns.limb, Rotation(-rows_up));
        Self { sign, low: limb(2), middle: limb(1), high: limb(0) }
    }
}

impl Node<Fr> {
    /// The node that ends on a row of the columns `limb` and `cell`.
    pub fn read(limb: &[Fr], cell: &[Fr], row: usize) -> Self {
        Self { sign: cell[row], low: limb[row - 2], middle: limb[row - 1], high: limb[row] }
    }
}

impl Node<u64> {
    /// Limbs of a packed feature.
    pub fn of_digit(digit: u64) -> Self {
        let middle = digit >> LIMB_BITS;
        Self { sign: 0, low: limb(digit, 0), middle, high: middle << (2 * LIMB_BITS - FEATURE_BITS) }
    }

    /// Sign and limbs of `T`.
    pub fn of_pre_activation(t: i64) -> Self {
        let (sign, magnitude) = if t >= 0 { (1, t.unsigned_abs()) } else { (0, t.unsigned_abs() - 1) };
        assert!(magnitude < 1 << (3 * LIMB_BITS), "a network is accepted only when its sums fit three limbs");
        Self { sign, low: limb(magnitude, 0), middle: limb(magnitude, 1), high: limb(magnitude, 2) }
    }

    /// The limbs in the order of the rows they fill.
    pub fn limbs(&self) -> [u64; LIMBS] {
        [self.low, self.middle, self.high]
    }
}

/// Gate of the nodes: what limbs and signs must be beyond limbs being below 2^10.
pub fn configure(meta: &mut ConstraintSystem<Fr>, columns: &Columns) {
    meta.create_gate("nodes", |cells| {
        let node = Node::query(cells, columns);
        let on = Selectors::query(cells, columns);
        let upper_limb_shifted = node.middle.clone() * power_of_two(2 * LIMB_BITS - FEATURE_BITS);
        vec![
            // The upper limb of a feature has 6 bits, because sixteen times it is a limb too. (At a seam all is 0.)
            on.feature_or_seam * (node.high.clone() - upper_limb_shifted),
            // The sign of a neuron is a bit.
            on.neuron * (node.sign.clone() * node.sign.clone() - node.sign),
        ]
    });
}

fn limb(number: u64, index: u32) -> u64 {
    (number >> (index * LIMB_BITS)) & ((1 << LIMB_BITS) - 1)
}

fn power_of_two(exponent: u32) -> Fr {
    Fr::from_u128(1 << exponent)
}
