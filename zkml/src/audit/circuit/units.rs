//! One node of the network on a row: four limbs, and what they mean.
//!
//! ```text
//!        neuron                                       two features        a row of the tree
//! 0      bits 0 to 9 of T + 2^30, in [0, 2^10)        lower 10 bits       (unused)
//! 1      bits 10 to 19, in [0, 2^10)                  lower 10 bits       (unused)
//! 2      bits 20 to 29, in [0, 2^10)                  upper 6 bits        (unused)
//! 3      bit 30: 1 when T >= 0                        upper 6 bits        whether a digest counts, 0 or 1
//! ```

use halo2_axiom::{
    halo2curves::{
        bn256::Fr,
        ff::{Field, PrimeField},
    },
    plonk::{ConstraintSystem, Expression, VirtualCells},
    poly::Rotation,
};

use super::{codes::unit, columns::Columns};
use crate::{
    audit::equations::{LIMB_BITS, SUM_OFFSET},
    circuit::{codes::is, node::Number},
};

/// The four limbs of a row: field elements, or expressions of them.
#[derive(Clone)]
pub struct Limbs<T>(pub [T; 4]);

impl<T: Number> Limbs<T> {
    /// `T + 2^30` of a neuron.
    pub fn sum(&self) -> T {
        self.0[0].clone() + self.upper() * power_of_two(LIMB_BITS) + self.0[3].clone() * power_of_two(3 * LIMB_BITS)
    }

    /// `max(floor(T / 2^10), 0)`: the upper limbs when `T` is not negative, else 0. Degree 2.
    pub fn activation(&self) -> T {
        self.0[3].clone() * self.upper()
    }

    /// `floor(T / 2^10)`.
    pub fn score(&self) -> T {
        let negative = T::constant(Fr::ONE) - self.0[3].clone();
        self.upper() - negative * power_of_two(2 * LIMB_BITS)
    }

    /// Two features, each plus 2^15.
    pub fn digits(&self) -> [T; 2] {
        std::array::from_fn(|index| self.0[index].clone() + self.0[index + 2].clone() * power_of_two(LIMB_BITS))
    }

    fn upper(&self) -> T {
        self.0[1].clone() + self.0[2].clone() * power_of_two(LIMB_BITS)
    }
}

impl Limbs<Expression<Fr>> {
    /// The limbs of the current row.
    pub fn query(cells: &mut VirtualCells<'_, Fr>, columns: &Columns) -> Self {
        Self(columns.limbs.map(|column| cells.query_advice(column, Rotation::cur())))
    }
}

impl Limbs<u64> {
    /// Limbs of a neuron's `T`.
    pub fn of_sum(t: i64) -> Self {
        let shifted = u64::try_from(t + SUM_OFFSET).ok().filter(|shifted| shifted >> (3 * LIMB_BITS + 1) == 0);
        let shifted = shifted.expect("a network is accepted only when its sums fit three limbs and a sign");
        Self([0, 1, 2, 3].map(|index| (shifted >> (index * LIMB_BITS)) & ((1 << LIMB_BITS) - 1)))
    }

    /// Limbs of two digits.
    pub fn of_digits([first, second]: [u64; 2]) -> Self {
        let lower = (1 << LIMB_BITS) - 1;
        Self([first & lower, second & lower, first >> LIMB_BITS, second >> LIMB_BITS])
    }

    /// A row of the tree.
    pub fn of_flag(flag: bool) -> Self {
        Self([0, 0, 0, u64::from(flag)])
    }
}

/// Gate of the limbs: what they must be beyond being in their tables.
pub fn configure(meta: &mut ConstraintSystem<Fr>, columns: &Columns) {
    meta.create_gate("limbs", |cells| {
        let sign = cells.query_advice(columns.limbs[3], Rotation::cur());
        let unit = cells.query_fixed(columns.unit, Rotation::cur());
        // The sign of a neuron is a bit, and so is the flag of a digest.
        vec![is(&unit, unit::NEURON, unit::LAST) * (sign.clone() * sign.clone() - sign)]
    });
}

fn power_of_two(exponent: u32) -> Fr {
    Fr::from_u128(1 << exponent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::field_from_i64;

    #[test]
    fn limbs_of_every_sign_give_sum_activation_and_score() {
        for t in [0, 1, -1, 1023, 1024, -1024, -1025, 123_456_789, -987_654_321, (1 << 30) - 1, -(1 << 30)] {
            let limbs = Limbs(Limbs::of_sum(t).0.map(Fr::from));
            assert_eq!(limbs.sum(), field_from_i64(t + SUM_OFFSET));
            assert_eq!(limbs.activation(), field_from_i64((t >> 10).max(0)));
            assert_eq!(limbs.score(), field_from_i64(t >> 10));
        }
        let limbs = Limbs(Limbs::of_digits([0xffff, 0x8001]).0.map(Fr::from));
        assert_eq!(limbs.digits(), [0xffff, 0x8001].map(Fr::from));
    }
}
