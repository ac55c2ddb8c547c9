//! The kernels on the CPU, in parallel over the current rayon pool. Fixed bases, transforms and gates are computed eight
//! elements at a time where the processor can ([`Arithmetic`]); no result depends on whether it can.

mod addition;
mod arithmetic;
mod buckets;
mod fixed_base;
#[cfg(target_arch = "x86_64")]
mod ifma;
#[cfg(not(target_arch = "x86_64"))]
#[path = "ifma/absent.rs"]
mod ifma;
mod polynomial;
mod rows;
mod transform;
mod weighted;

pub use arithmetic::Arithmetic;
pub use fixed_base::FixedBases;
pub use polynomial::powers;
pub use rows::run as run_rows;
pub use transform::Transform;

use halo2curves_axiom::{
    CurveAffine,
    ff::{BatchInvert, Field},
    group::{Group, prime::PrimeCurveAffine},
    msm::msm_best,
};
use rayon::prelude::*;

use crate::{Accelerator, Columns, Fr, G1, G1Affine, KernelError, RowProgram, poseidon};

/// The reference implementation of [`Accelerator`]: vectors are vectors.
#[derive(Debug, Clone, Copy, Default)]
pub struct CpuAccelerator;

/// A shifted domain, with the powers of the shift and of its inverse.
pub struct Coset {
    transform: Transform,
    powers: Vec<Fr>,
    inverse_powers: Vec<Fr>,
}

impl Coset {
    /// The elements of the domain times `shift`.
    fn new(transform: &Transform, shift: Fr) -> Result<Self, KernelError> {
        let inverse = Option::<Fr>::from(shift.invert()).ok_or(KernelError::ZeroShift)?;
        let [powers, inverse_powers] = [shift, inverse].map(|base| powers(base, transform.size()));
        Ok(Self { transform: transform.clone(), powers, inverse_powers })
    }

    fn values(&self, polynomial: &[Fr]) -> Result<Vec<Fr>, KernelError> {
        let size = self.transform.size();
        if polynomial.len() > size {
            KernelError::unless_length("coset values", size, polynomial.len())?;
        }
        let mut values: Vec<Fr> = polynomial.iter().zip(&self.powers).map(|(value, power)| value * power).collect();
        values.resize(size, Fr::ZERO);
        self.transform.forward(&mut values)?;
        Ok(values)
    }
}

impl Accelerator for CpuAccelerator {
    type Vector = Vec<Fr>;
    type Bases = FixedBases;
    type Domain = Transform;
    type Coset = Coset;
    type Program = RowProgram;

    fn name(&self) -> &'static str {
        "cpu"
    }

    fn upload(&self, values: Vec<Fr>) -> Result<Vec<Fr>, KernelError> {
        Ok(values)
    }

    fn download(&self, vector: &Vec<Fr>) -> Result<Vec<Fr>, KernelError> {
        Ok(vector.clone())
    }

    fn copy(&self, vector: &Vec<Fr>) -> Result<Vec<Fr>, KernelError> {
        Ok(vector.clone())
    }

    fn bases(&self, points: &[G1Affine]) -> Result<FixedBases, KernelError> {
        FixedBases::new(points)
    }

    fn msm_many(&self, bases: &FixedBases, scalars: &[&Vec<Fr>]) -> Result<Vec<G1>, KernelError> {
        let columns: Vec<&[Fr]> = scalars.iter().map(|column| column.as_slice()).collect();
        bases.msm_many(&columns)
    }

    fn msm(&self, scalars: &[Fr], bases: &[G1Affine]) -> Result<G1, KernelError> {
        if scalars.len() != bases.len() {
            return Err(KernelError::LengthMismatch { scalars: scalars.len(), bases: bases.len() });
        }
        // The bucket method below adds affine points and has no representation for the identity.
        if bases.iter().any(|base| bool::from(base.is_identity())) {
            let (scalars, bases): (Vec<Fr>, Vec<G1Affine>) =
                scalars.iter().zip(bases).filter(|(_, base)| !bool::from(base.is_identity())).unzip();
            return Ok(msm_nonempty(&scalars, &bases));
        }
        Ok(msm_nonempty(scalars, bases))
    }

    fn domain(&self, log_n: u32) -> Result<Transform, KernelError> {
        Transform::new(log_n)
    }

    fn forward(&self, domain: &Transform, vectors: &mut [Vec<Fr>]) -> Result<(), KernelError> {
        vectors.par_iter_mut().try_for_each(|vector| domain.forward(vector))
    }

    fn inverse(&self, domain: &Transform, vectors: &mut [Vec<Fr>]) -> Result<(), KernelError> {
        vectors.par_iter_mut().try_for_each(|vector| domain.inverse(vector))
    }

    fn coset(&self, domain: &Transform, shift: Fr) -> Result<Coset, KernelError> {
        Coset::new(domain, shift)
    }

    fn coset_values(&self, coset: &Coset, polynomials: &[&Vec<Fr>]) -> Result<Vec<Vec<Fr>>, KernelError> {
        polynomials.par_iter().map(|polynomial| coset.values(polynomial)).collect()
    }

    fn coset_coefficients(&self, coset: &Coset, values: &mut Vec<Fr>, factor: Fr) -> Result<(), KernelError> {
        coset.transform.inverse_times(values, factor)?;
        polynomial::scale(values, &coset.inverse_powers);
        Ok(())
    }

    fn prepare(&self, program: &RowProgram) -> Result<RowProgram, KernelError> {
        Ok(program.clone())
    }

    fn run(
        &self,
        program: &RowProgram,
        columns: &Columns<'_, Vec<Fr>>,
        scalars: &[Fr],
    ) -> Result<Vec<Fr>, KernelError> {
        KernelError::unless_length("run: scalars", program.scalars, scalars.len())?;
        let rows = columns.instance.len();
        columns
            .fixed
            .iter()
            .chain(columns.advice)
            .try_for_each(|column| KernelError::unless_length("run: a column", rows, column.len()))?;
        Ok(rows::run(program, columns, scalars, Arithmetic::detect()))
    }

    fn combine(&self, terms: &[(Fr, &Vec<Fr>)], length: usize) -> Result<Vec<Fr>, KernelError> {
        Ok(polynomial::combine(terms, length))
    }

    fn evaluate(&self, queries: &[(&Vec<Fr>, Fr)]) -> Result<Vec<Fr>, KernelError> {
        Ok(polynomial::evaluate(queries))
    }

    fn subtract_low(&self, vector: &mut Vec<Fr>, low: &[Fr]) -> Result<(), KernelError> {
        if low.len() > vector.len() {
            KernelError::unless_length("subtract low", vector.len(), low.len())?;
        }
        vector.iter_mut().zip(low).for_each(|(element, low)| *element -= low);
        Ok(())
    }

    fn divide(&self, polynomial: &mut Vec<Fr>, point: Fr) -> Result<(), KernelError> {
        polynomial::divide(polynomial, point);
        Ok(())
    }

    fn invert(&self, vector: &mut Vec<Fr>) -> Result<(), KernelError> {
        vector.iter_mut().batch_invert();
        Ok(())
    }

    fn running_sum(&self, vector: &mut Vec<Fr>) -> Result<(), KernelError> {
        polynomial::running(vector, |before, element| before + element);
        Ok(())
    }

    fn running_product(&self, vector: &mut Vec<Fr>) -> Result<(), KernelError> {
        polynomial::running(vector, |before, element| before * element);
        Ok(())
    }

    fn poseidon(&self, messages: &[Vec<Fr>], tag: Fr) -> Result<Vec<Fr>, KernelError> {
        Ok(messages.par_iter().map(|message| poseidon::hash(tag, message)).collect())
    }
}

fn msm_nonempty<C: CurveAffine>(scalars: &[C::Scalar], bases: &[C]) -> C::Curve {
    if bases.is_empty() { C::Curve::identity() } else { msm_best(scalars, bases) }
}
