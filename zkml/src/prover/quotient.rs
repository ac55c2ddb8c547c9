//! The quotient: all gates, combined by powers of a challenge, over `X^n - 1`.
//!
//! It has degree below `4 n`, so it is known from its values on four cosets of the rows' group. On each coset `X^n` is one
//! number, a rotation is a shift by rows, and all transforms have `n` values. From the four cosets the four pieces follow
//! coefficient by coefficient, by a transform of length four.

use halo2_axiom::{
    halo2curves::{
        bn256::Fr,
        ff::{Field, PrimeField},
    },
    plonk::ConstraintSystem,
    poly::{Coeff, Polynomial},
};
use hygeia_gpu_kernels::{KernelError, Transform};
use rayon::prelude::*;

use super::{
    polynomial::{PART_MIN, powers},
    program::{Columns, Program},
};
use crate::circuit::DEGREE;

/// Pieces of the quotient, and cosets that it is computed on.
pub const PIECES: usize = DEGREE - 1;

/// What the quotient of one circuit is computed with.
pub struct Quotient {
    transform: Transform,
    cosets: [Coset; PIECES],
    program: Program,
    /// Turns numbers that are alike on each coset into coefficients: the inverse of the powers of `X^n`, by piece and
    /// coset.
    weights: [[Fr; PIECES]; PIECES],
}

/// A coset of the rows' group.
struct Coset {
    /// Powers of its shift.
    powers: Vec<Fr>,
    /// Powers of the shift's inverse.
    inverse_powers: Vec<Fr>,
    /// `X^n - 1`, inverted.
    vanishing_inverse: Fr,
    /// Values of the fixed columns.
    fixed: Vec<Vec<Fr>>,
}

impl Quotient {
    /// Compiles the gates and transforms the fixed columns.
    pub fn new(cs: &ConstraintSystem<Fr>, fixed: &[Polynomial<Fr, Coeff>], k: u32) -> Result<Self, KernelError> {
        let transform = Transform::new(k)?;
        // With w of order 4 n, the shifts g, g w, g w^2, g w^3 begin four cosets that do not meet the rows.
        let fine = Transform::new(k + PIECES.ilog2())?.omega();
        let shifts = powers(fine, PIECES).into_iter().map(|power| power * Fr::MULTIPLICATIVE_GENERATOR);
        let cosets: Vec<Coset> = shifts.map(|shift| Coset::new(shift, fixed, &transform)).collect();
        let cosets: [Coset; PIECES] = cosets.try_into().ok().expect("one coset for each shift");
        let gates = cs.gates().iter().flat_map(|gate| gate.polynomials());
        Ok(Self { weights: weights(&transform, fine), cosets, program: Program::compile(gates), transform })
    }

    /// The transform of as many values as there are rows.
    pub fn transform(&self) -> &Transform {
        &self.transform
    }

    /// The pieces' coefficients. `advice` are the columns' coefficients.
    pub fn pieces(&self, advice: &[Vec<Fr>], instances: &[Fr], challenges: &[Fr], y: Fr) -> [Vec<Fr>; PIECES] {
        let mut public = instances.to_vec();
        public.resize(self.transform.size(), Fr::ZERO);
        self.transform.inverse(&mut public);
        let scalars = self.program.scalars(challenges, y);
        let values = self.cosets.each_ref().map(|coset| self.on_coset(coset, advice, &public, &scalars));
        std::array::from_fn(|piece| {
            let at = |index: usize| -> Fr {
                self.weights[piece].iter().zip(&values).map(|(weight, values)| weight * values[index]).sum()
            };
            (0..self.transform.size()).into_par_iter().with_min_len(PART_MIN).map(at).collect()
        })
    }

    /// The remainder of the quotient modulo the polynomial that vanishes on a coset.
    fn on_coset(&self, coset: &Coset, advice: &[Vec<Fr>], public: &[Fr], scalars: &[Fr]) -> Vec<Fr> {
        let mut columns: Vec<Vec<Fr>> = advice
            .par_iter()
            .map(Vec::as_slice)
            .chain([public])
            .map(|column| coset.values(column, &self.transform))
            .collect();
        let instance = columns.pop().expect("the instance column is the last one");
        let columns = Columns { fixed: &coset.fixed, advice: &columns, instance: &instance };
        let mut values = self.program.run(&columns, scalars);
        self.transform.inverse(&mut values);
        values.par_iter_mut().with_min_len(PART_MIN).zip(&coset.inverse_powers).for_each(|(value, power)| {
            *value *= power * coset.vanishing_inverse;
        });
        values
    }
}

impl Coset {
    fn new(shift: Fr, fixed: &[Polynomial<Fr, Coeff>], transform: &Transform) -> Self {
        let n = transform.size();
        let inverse = shift.invert().expect("a shift is not zero");
        let vanishing = shift.pow_vartime([n as u64]) - Fr::ONE;
        let mut coset = Self {
            powers: powers(shift, n),
            inverse_powers: powers(inverse, n),
            vanishing_inverse: vanishing.invert().expect("a coset does not meet the rows"),
            fixed: Vec::new(),
        };
        coset.fixed = fixed.par_iter().map(|column| coset.values(column, transform)).collect();
        coset
    }

    /// A polynomial's values on the coset.
    fn values(&self, coefficients: &[Fr], transform: &Transform) -> Vec<Fr> {
        let mut values: Vec<Fr> = coefficients.iter().zip(&self.powers).map(|(value, power)| value * power).collect();
        transform.forward(&mut values);
        values
    }
}

/// On coset `j`, `X^n` is `c i^j` with `i` of order four, and the remainder's coefficients are `sum(piece_t (c i^j)^t)`.
fn weights(transform: &Transform, fine: Fr) -> [[Fr; PIECES]; PIECES] {
    let n = transform.size() as u64;
    let (first, root) = (Fr::MULTIPLICATIVE_GENERATOR.pow_vartime([n]), fine.pow_vartime([n]));
    let [first, root] = [first, root].map(|value| value.invert().expect("neither is zero"));
    let count = Fr::from(PIECES as u64).invert().expect("there are four pieces");
    std::array::from_fn(|piece| {
        let scale = first.pow_vartime([piece as u64]) * count;
        std::array::from_fn(|coset| root.pow_vartime([(piece * coset) as u64]) * scale)
    })
}
