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
};
use hygeia_gpu_kernels::{Accelerator, Columns, KernelError, Transform, cpu::powers};

use super::program::Program;
use crate::circuit::DEGREE;

/// Pieces of the quotient, and cosets that it is computed on.
pub const PIECES: usize = DEGREE - 1;

/// What the quotient of one circuit is computed with.
pub struct Quotient<A: Accelerator> {
    rows: usize,
    cosets: [Coset<A>; PIECES],
    gates: Program,
    program: A::Program,
    /// Turns numbers that are alike on each coset into coefficients: the inverse of the powers of `X^n`, by piece and
    /// coset.
    weights: [[Fr; PIECES]; PIECES],
}

/// A coset of the rows' group.
struct Coset<A: Accelerator> {
    place: A::Coset,
    /// `X^n - 1`, inverted.
    vanishing_inverse: Fr,
    /// Values of the fixed columns.
    fixed: Vec<A::Vector>,
}

impl<A: Accelerator> Quotient<A> {
    /// Compiles the gates and transforms the fixed columns, which are given by their coefficients.
    pub fn new(
        device: &A,
        domain: &A::Domain,
        cs: &ConstraintSystem<Fr>,
        fixed: &[A::Vector],
        k: u32,
    ) -> Result<Self, KernelError> {
        // With w of order 4 n, the shifts g, g w, g w^2, g w^3 begin four cosets that do not meet the rows.
        let fine = Transform::new(k + PIECES.ilog2())?.omega();
        let shifts = powers(fine, PIECES).into_iter().map(|power| power * Fr::MULTIPLICATIVE_GENERATOR);
        let rows = 1 << k;
        let cosets: Vec<Coset<A>> =
            shifts.map(|shift| Coset::new(device, domain, shift, fixed, rows)).collect::<Result<_, _>>()?;
        let cosets: [Coset<A>; PIECES] = cosets.try_into().ok().expect("one coset for each shift");
        let gates = Program::compile(cs.gates().iter().flat_map(|gate| gate.polynomials()));
        let program = device.prepare(gates.rows())?;
        Ok(Self { rows, weights: weights(rows as u64, fine), cosets, gates, program })
    }

    /// The pieces' coefficients. `advice` and `instance` are the columns' coefficients.
    pub fn pieces(
        &self,
        device: &A,
        advice: &[A::Vector],
        instance: &A::Vector,
        challenges: &[Fr],
        y: Fr,
    ) -> Result<[A::Vector; PIECES], KernelError> {
        let scalars = self.gates.scalars(challenges, y);
        let polynomials: Vec<&A::Vector> = advice.iter().chain([instance]).collect();
        let on_coset = |coset: &Coset<A>| self.on_coset(device, coset, &polynomials, &scalars);
        let values: Vec<A::Vector> = self.cosets.iter().map(on_coset).collect::<Result<_, _>>()?;
        let piece = |weights: &[Fr; PIECES]| {
            let terms: Vec<(Fr, &A::Vector)> = weights.iter().copied().zip(&values).collect();
            device.combine(&terms, self.rows)
        };
        let pieces: Vec<A::Vector> = self.weights.iter().map(piece).collect::<Result<_, _>>()?;
        Ok(pieces.try_into().ok().expect("one piece for each row of weights"))
    }

    /// The remainder of the quotient modulo the polynomial that vanishes on a coset. The instance column is the last of
    /// the polynomials.
    fn on_coset(
        &self,
        device: &A,
        coset: &Coset<A>,
        polynomials: &[&A::Vector],
        scalars: &[Fr],
    ) -> Result<A::Vector, KernelError> {
        let columns = device.coset_values(&coset.place, polynomials)?;
        let (instance, advice) = columns.split_last().expect("there is an instance column");
        let mut values = device.run(&self.program, &Columns { fixed: &coset.fixed, advice, instance }, scalars)?;
        device.coset_coefficients(&coset.place, &mut values, coset.vanishing_inverse)?;
        Ok(values)
    }
}

impl<A: Accelerator> Coset<A> {
    fn new(device: &A, domain: &A::Domain, shift: Fr, fixed: &[A::Vector], rows: usize) -> Result<Self, KernelError> {
        let place = device.coset(domain, shift)?;
        let vanishing = shift.pow_vartime([rows as u64]) - Fr::ONE;
        let vanishing_inverse = vanishing.invert().expect("a coset does not meet the rows");
        let fixed = device.coset_values(&place, &fixed.iter().collect::<Vec<_>>())?;
        Ok(Self { place, vanishing_inverse, fixed })
    }
}

/// On coset `j`, `X^n` is `c i^j` with `i` of order four, and the remainder's coefficients are `sum(piece_t (c i^j)^t)`.
fn weights(rows: u64, fine: Fr) -> [[Fr; PIECES]; PIECES] {
    let (first, root) = (Fr::MULTIPLICATIVE_GENERATOR.pow_vartime([rows]), fine.pow_vartime([rows]));
    let [first, root] = [first, root].map(|value| value.invert().expect("neither is zero"));
    let count = Fr::from(PIECES as u64).invert().expect("there are four pieces");
    std::array::from_fn(|piece| {
        let scale = first.pow_vartime([piece as u64]) * count;
        std::array::from_fn(|coset| root.pow_vartime([(piece * coset) as u64]) * scale)
    })
}
