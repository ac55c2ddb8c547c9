//! The kernels on the CPU, in parallel over the current rayon pool.

mod buckets;
mod fixed_base;
mod transform;

pub use fixed_base::FixedBases;
pub use transform::Transform;

use halo2curves_axiom::{
    CurveAffine,
    ff::Field,
    fft::best_fft,
    group::{Group, prime::PrimeCurveAffine},
    msm::msm_best,
};
use rayon::prelude::*;

use crate::{Accelerator, Fr, G1, G1Affine, KernelError, LOG_N_MAX, poseidon};

/// The reference implementation of [`Accelerator`].
#[derive(Debug, Clone, Copy, Default)]
pub struct CpuAccelerator;

impl Accelerator for CpuAccelerator {
    fn name(&self) -> &str {
        "cpu"
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

    fn ntt(&self, values: &mut [Fr], omega: Fr, log_n: u32) -> Result<(), KernelError> {
        if log_n > LOG_N_MAX || values.len() != 1 << log_n {
            return Err(KernelError::TransformSize { values: values.len(), log_n });
        }
        if !is_primitive_root(omega, log_n) {
            return Err(KernelError::NotPrimitiveRoot { log_n });
        }
        if log_n > 0 {
            best_fft(values, omega, log_n);
        }
        Ok(())
    }

    fn poseidon(&self, messages: &[Vec<Fr>], tag: Fr) -> Result<Vec<Fr>, KernelError> {
        Ok(messages.par_iter().map(|message| poseidon::hash(tag, message)).collect())
    }
}

fn msm_nonempty<C: CurveAffine>(scalars: &[C::Scalar], bases: &[C]) -> C::Curve {
    if bases.is_empty() { C::Curve::identity() } else { msm_best(scalars, bases) }
}

/// Whether `omega` has order `2^log_n`: half the order must give -1 (order 1 is the element 1).
fn is_primitive_root(omega: Fr, log_n: u32) -> bool {
    match log_n.checked_sub(1) {
        None => omega == Fr::ONE,
        Some(halvings) => (0..halvings).fold(omega, |power, _| power.square()) == -Fr::ONE,
    }
}
