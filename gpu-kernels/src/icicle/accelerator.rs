//! The trait over ICICLE, and over the processor where ICICLE has nothing to offer.

use std::{path::PathBuf, sync::Arc};

use halo2curves_axiom::{
    ff::Field,
    group::{Curve, Group},
};

use super::{
    abi::{AffinePoint, number},
    bases::Bases,
    domain::{Coset, DeviceId, Domain},
    library::{Direction, Library},
};
use crate::{Accelerator, Columns, CpuAccelerator, Fr, G1, G1Affine, KernelError, RowProgram};

/// Bits by which an inverse of two Montgomery forms' product falls behind.
const TWICE_MONTGOMERY_BITS: u64 = 512;

/// Where ICICLE is and what it runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IcicleConfig {
    /// Folder of `libicicle_device.so`, `libicicle_field_bn254.so` and `libicicle_curve_bn254.so`. Whoever can write there, or
    /// to the other folder, decides what runs in this process.
    pub library_folder: PathBuf,
    /// Folder of the device's backend; the processor's is part of the libraries.
    pub backend_folder: Option<PathBuf>,
    /// What runs it.
    pub device: IcicleDevice,
    /// Number of the device in the backend's order.
    pub ordinal: i32,
}

/// A kind of device that ICICLE has a backend for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IcicleDevice {
    /// The processor, by ICICLE's open backend.
    Cpu,
    /// A CUDA device, by its closed one. It asks a licence server, and it sees the witness.
    Cuda,
}

impl IcicleDevice {
    /// ICICLE's name for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cpu => "CPU",
            Self::Cuda => "CUDA",
        }
    }
}

/// ICICLE on a device, with vectors in the processor's memory.
#[derive(Clone)]
pub struct IcicleAccelerator {
    library: Arc<Library>,
    device: DeviceId,
}

impl IcicleAccelerator {
    /// Opens ICICLE's libraries and compares a few results with the processor's: another version could take its settings in
    /// another order. What is missing or differs is a typed error.
    pub fn open(config: &IcicleConfig) -> Result<Self, KernelError> {
        let opened = Self { library: Library::open(config)?, device: (config.device, config.ordinal) };
        opened.check()?;
        Ok(opened)
    }

    fn check(&self) -> Result<(), KernelError> {
        let values: Vec<Fr> = (0..8).map(|index| Fr::from(index) - Fr::from(3)).collect();
        let point = G1Affine::generator();
        let points: Vec<G1Affine> = (1..=8).map(|index| (point * Fr::from(index)).to_affine()).collect();
        let (here, there) = (results(&CpuAccelerator, &values, &points)?, results(self, &values, &points)?);
        let differing = here.iter().zip(&there).find(|((_, here), (_, there))| here != there);
        differing.map_or(Ok(()), |((operation, _), _)| Err(KernelError::Wrong { operation }))
    }
}

/// Numbers or points that an operation gives.
type Results = (Vec<Fr>, Vec<G1>);

/// What each operation that ICICLE computes gives on a device.
fn results<A: Accelerator<Vector = Vec<Fr>>>(
    device: &A,
    values: &Vec<Fr>,
    points: &[G1Affine],
) -> Result<Vec<(&'static str, Results)>, KernelError> {
    let (shift, vector) = (Fr::from(7), || vec![values.clone()]);
    let domain = device.domain(values.len().ilog2())?;
    let coset = device.coset(&domain, shift)?;
    let (mut forward, mut inverse, mut shifted, mut inverted) = (vector(), vector(), values.clone(), values.clone());
    device.forward(&domain, &mut forward)?;
    device.inverse(&domain, &mut inverse)?;
    device.coset_coefficients(&coset, &mut shifted, shift)?;
    device.invert(&mut inverted)?;
    let coset_values = device.coset_values(&coset, &[values])?;
    let combined = device.combine(&[(shift, values), (Fr::ONE, &inverted)], values.len())?;
    let table = device.bases(points)?;
    let numbers = |vector| (vector, Vec::new());
    Ok(vec![
        ("forward", numbers(forward.concat())),
        ("inverse", numbers(inverse.concat())),
        ("coset values", numbers(coset_values.concat())),
        ("coset coefficients", numbers(shifted)),
        ("invert", numbers(inverted)),
        ("combine", numbers(combined)),
        ("msm", (Vec::new(), vec![device.msm(values, points)?])),
        ("msm of fixed bases", (Vec::new(), device.msm_many(&table, &[values, values])?)),
    ])
}

impl Accelerator for IcicleAccelerator {
    type Vector = Vec<Fr>;
    type Bases = Bases;
    type Domain = Domain;
    type Coset = Coset;
    type Program = RowProgram;

    fn name(&self) -> &'static str {
        match self.device.0 {
            IcicleDevice::Cpu => "icicle-cpu",
            IcicleDevice::Cuda => "icicle-cuda",
        }
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

    fn bases(&self, points: &[G1Affine]) -> Result<Bases, KernelError> {
        Bases::new(&self.library, points)
    }

    fn msm_many(&self, bases: &Bases, scalars: &[&Vec<Fr>]) -> Result<Vec<G1>, KernelError> {
        bases.sums(scalars)
    }

    fn msm(&self, scalars: &[Fr], bases: &[G1Affine]) -> Result<G1, KernelError> {
        if scalars.len() != bases.len() {
            return Err(KernelError::LengthMismatch { scalars: scalars.len(), bases: bases.len() });
        }
        if scalars.is_empty() {
            return Ok(G1::identity());
        }
        let points: Vec<AffinePoint> = bases.iter().map(AffinePoint::from).collect();
        self.library.sum(scalars, &points)?.to_curve("msm")
    }

    fn domain(&self, log_n: u32) -> Result<Domain, KernelError> {
        Domain::new(&self.library, self.device, log_n)
    }

    fn forward(&self, domain: &Domain, vectors: &mut [Vec<Fr>]) -> Result<(), KernelError> {
        vectors.iter_mut().try_for_each(|vector| domain.transform(&self.library, vector, Direction::Forward))
    }

    fn inverse(&self, domain: &Domain, vectors: &mut [Vec<Fr>]) -> Result<(), KernelError> {
        vectors.iter_mut().try_for_each(|vector| domain.transform(&self.library, vector, Direction::Inverse))
    }

    fn coset(&self, domain: &Domain, shift: Fr) -> Result<Coset, KernelError> {
        domain.coset(shift)
    }

    fn coset_values(&self, coset: &Coset, polynomials: &[&Vec<Fr>]) -> Result<Vec<Vec<Fr>>, KernelError> {
        polynomials.iter().map(|polynomial| coset.values(&self.library, polynomial)).collect()
    }

    fn coset_coefficients(&self, coset: &Coset, values: &mut Vec<Fr>, factor: Fr) -> Result<(), KernelError> {
        coset.coefficients(&self.library, values)?;
        *values = self.library.scaled(number(&factor), values)?;
        Ok(())
    }

    fn prepare(&self, program: &RowProgram) -> Result<RowProgram, KernelError> {
        CpuAccelerator.prepare(program)
    }

    /// On the processor: ICICLE's programs see one row, and a rotation would take a shifted copy of its column.
    fn run(
        &self,
        program: &RowProgram,
        columns: &Columns<'_, Vec<Fr>>,
        scalars: &[Fr],
    ) -> Result<Vec<Fr>, KernelError> {
        CpuAccelerator.run(program, columns, scalars)
    }

    fn combine(&self, terms: &[(Fr, &Vec<Fr>)], length: usize) -> Result<Vec<Fr>, KernelError> {
        let mut sum = vec![Fr::ZERO; length];
        for (factor, vector) in terms {
            let used = &vector[..vector.len().min(length)];
            let scaled = self.library.scaled(number(factor), used)?;
            self.library.accumulate(&mut sum[..used.len()], &scaled)?;
        }
        Ok(sum)
    }

    /// On the processor: ICICLE's function is made for many points of one polynomial, here there are many polynomials at few.
    fn evaluate(&self, queries: &[(&Vec<Fr>, Fr)]) -> Result<Vec<Fr>, KernelError> {
        CpuAccelerator.evaluate(queries)
    }

    fn subtract_low(&self, vector: &mut Vec<Fr>, low: &[Fr]) -> Result<(), KernelError> {
        CpuAccelerator.subtract_low(vector, low)
    }

    /// On the processor: ICICLE divides by polynomials of any degree, one coefficient after the other.
    fn divide(&self, polynomial: &mut Vec<Fr>, point: Fr) -> Result<(), KernelError> {
        CpuAccelerator.divide(polynomial, point)
    }

    fn invert(&self, vector: &mut Vec<Fr>) -> Result<(), KernelError> {
        let back = Fr::from(2).pow_vartime([TWICE_MONTGOMERY_BITS]);
        *vector = self.library.scaled(number(&back), &self.library.inverses(vector)?)?;
        Ok(())
    }

    /// On the processor: ICICLE sums up to one number only.
    fn running_sum(&self, vector: &mut Vec<Fr>) -> Result<(), KernelError> {
        CpuAccelerator.running_sum(vector)
    }

    /// On the processor, as sums.
    fn running_product(&self, vector: &mut Vec<Fr>) -> Result<(), KernelError> {
        CpuAccelerator.running_product(vector)
    }

    /// On the processor: whether ICICLE's Poseidon could be set up to be ours has not been examined.
    fn poseidon(&self, messages: &[Vec<Fr>], tag: Fr) -> Result<Vec<Fr>, KernelError> {
        CpuAccelerator.poseidon(messages, tag)
    }
}
