//! Additions of pairs of affine points that do not wait for each other.

use halo2curves_axiom::{bn256::Fq, ff::Field, group::prime::PrimeCurveAffine};

use super::{Arithmetic, ifma::Chains};
use crate::G1Affine;

/// Adds many pairs of points with few inversions.
pub enum Adder {
    /// One after the other.
    Scalar(Inverter),
    /// In lanes.
    Lanes(Chains),
}

impl Adder {
    /// An adder that computes in a certain way.
    pub fn new(arithmetic: Arithmetic) -> Self {
        arithmetic.lanes().map_or_else(|| Self::Scalar(Inverter::default()), |ifma| Self::Lanes(Chains::new(ifma)))
    }

    /// Adds the second point of each pair to the first. No place may be in two pairs.
    pub fn add_pairs(&mut self, arena: &mut [G1Affine], pairs: &[(u32, u32)]) {
        match self {
            Self::Scalar(inverter) => inverter.add_pairs(arena, pairs),
            Self::Lanes(chains) => chains.add_pairs(arena, pairs),
        }
    }
}

/// Adds with one inversion.
#[derive(Default)]
pub struct Inverter {
    /// What each addition divides by, and the product of all before it.
    denominators: Vec<(Fq, Fq)>,
}

impl Inverter {
    fn add_pairs(&mut self, arena: &mut [G1Affine], pairs: &[(u32, u32)]) {
        self.denominators.clear();
        let mut product = Fq::ONE;
        for &(left, right) in pairs {
            let denominator = denominator(&arena[left as usize], &arena[right as usize]);
            self.denominators.push((denominator, product));
            product *= denominator;
        }
        let mut inverse = product.invert().expect("no denominator is zero");
        for (&(left, right), &(denominator, before)) in pairs.iter().zip(&self.denominators).rev() {
            let sum = add(&arena[left as usize], &arena[right as usize], inverse * before);
            inverse *= denominator;
            arena[left as usize] = sum;
        }
    }
}

/// What the slope of the line through two points divides by; one where there is no such line.
fn denominator(left: &G1Affine, right: &G1Affine) -> Fq {
    let difference = right.x - left.x;
    if is_identity(left) || is_identity(right) {
        Fq::ONE
    } else if difference != Fq::ZERO {
        difference
    } else if left.y == right.y {
        // No point of this curve has order two, so y is not zero.
        left.y.double()
    } else {
        Fq::ONE
    }
}

/// The sum, given the inverse of [`denominator`].
fn add(left: &G1Affine, right: &G1Affine, inverse: Fq) -> G1Affine {
    if is_identity(left) {
        return *right;
    }
    if is_identity(right) {
        return *left;
    }
    let slope = if left.x != right.x {
        (right.y - left.y) * inverse
    } else if left.y == right.y {
        let square = left.x.square();
        (square.double() + square) * inverse
    } else {
        return G1Affine::identity();
    };
    let x = slope.square() - left.x - right.x;
    G1Affine { x, y: slope * (left.x - x) - left.y }
}

/// The identity is written as (0, 0), which is no point of the curve.
fn is_identity(point: &G1Affine) -> bool {
    point.x == Fq::ZERO && point.y == Fq::ZERO
}
