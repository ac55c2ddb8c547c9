//! The trait over a device's kernels.

use std::{sync::Arc, time::Duration};

use super::{
    device::Device,
    driver::{Driver, DriverConfig},
    hash,
    lanes::Lanes,
    msm::Bases,
    ntt::{Coset, Domain},
    polynomial::Scan,
    program::Program,
    runtime::{Runtime, Vector},
};
use crate::{Accelerator, Columns, Fr, G1, G1Affine, InferenceGate, KernelError, RowProgram};

/// The kernels of `cuda/src` on a device.
pub struct CudaAccelerator<D: Device = Driver> {
    runtime: Arc<Runtime<D>>,
    /// None inside a lane, which has no further ones.
    lanes: Option<Arc<Lanes<D>>>,
}

impl<D: Device> Clone for CudaAccelerator<D> {
    fn clone(&self) -> Self {
        Self { runtime: Arc::clone(&self.runtime), lanes: self.lanes.clone() }
    }
}

impl CudaAccelerator<Driver> {
    /// Opens a CUDA device. Without driver, compiler or device this is a typed error.
    pub fn open(config: &DriverConfig) -> Result<Self, KernelError> {
        Self::beside(Driver::open(config)?, InferenceGate::of(config.ordinal))
    }
}

impl<D: Device> CudaAccelerator<D> {
    /// Compiles the kernels for a device.
    pub fn over(device: D) -> Result<Self, KernelError> {
        Self::beside(device, InferenceGate::new(Duration::ZERO))
    }

    /// Likewise, on a device that scores too.
    pub fn beside(device: D, gate: Arc<InferenceGate>) -> Result<Self, KernelError> {
        Ok(Self { runtime: Runtime::new(device, gate)?, lanes: Some(Arc::new(Lanes::new())) })
    }

    /// The device.
    pub fn device(&self) -> &D {
        &self.runtime.device
    }
}

impl<D: Device> Accelerator for CudaAccelerator<D> {
    type Vector = Vector<D>;
    type Bases = Bases<D>;
    type Domain = Domain<D>;
    type Coset = Coset<D>;
    type Program = Program<D>;

    fn name(&self) -> &'static str {
        self.runtime.device.name()
    }

    fn in_flight<T>(&self, work: impl FnOnce(&Self) -> T) -> Result<T, KernelError> {
        let lane = match &self.lanes {
            Some(lanes) => lanes.open(&self.runtime)?,
            None => None,
        };
        let Some(lane) = lane else { return Ok(work(self)) };
        let result = work(&Self { runtime: lane.runtime(), lanes: None });
        lane.close()?;
        Ok(result)
    }

    fn upload(&self, values: Vec<Fr>) -> Result<Vector<D>, KernelError> {
        self.runtime.upload(&values)
    }

    fn download(&self, vector: &Vector<D>) -> Result<Vec<Fr>, KernelError> {
        self.runtime.download(vector)
    }

    fn copy(&self, vector: &Vector<D>) -> Result<Vector<D>, KernelError> {
        self.runtime.copy(vector)
    }

    fn bases(&self, points: &[G1Affine]) -> Result<Bases<D>, KernelError> {
        Bases::new(&self.runtime, points)
    }

    fn msm_many(&self, bases: &Bases<D>, scalars: &[&Vector<D>]) -> Result<Vec<G1>, KernelError> {
        bases.msm_many(&self.runtime, scalars)
    }

    fn msm(&self, scalars: &[Fr], bases: &[G1Affine]) -> Result<G1, KernelError> {
        self.runtime.msm(scalars, bases)
    }

    fn domain(&self, log_n: u32) -> Result<Domain<D>, KernelError> {
        Domain::new(&self.runtime, log_n)
    }

    fn forward(&self, domain: &Domain<D>, vectors: &mut [Vector<D>]) -> Result<(), KernelError> {
        check_lengths("transform", domain.size(), vectors)?;
        domain.forward(&self.runtime, vectors)
    }

    fn inverse(&self, domain: &Domain<D>, vectors: &mut [Vector<D>]) -> Result<(), KernelError> {
        check_lengths("transform", domain.size(), vectors)?;
        domain.inverse(&self.runtime, vectors)
    }

    fn coset(&self, domain: &Domain<D>, shift: Fr) -> Result<Coset<D>, KernelError> {
        Coset::new(&self.runtime, domain, shift)
    }

    fn coset_values(&self, coset: &Coset<D>, polynomials: &[&Vector<D>]) -> Result<Vec<Vector<D>>, KernelError> {
        if let Some(polynomial) = polynomials.iter().find(|polynomial| polynomial.len() > coset.size()) {
            KernelError::unless_length("coset values", coset.size(), polynomial.len())?;
        }
        coset.values(&self.runtime, polynomials)
    }

    fn coset_coefficients(&self, coset: &Coset<D>, values: &mut Vector<D>, factor: Fr) -> Result<(), KernelError> {
        check_lengths("transform", coset.size(), std::slice::from_ref(values))?;
        coset.coefficients(&self.runtime, values, factor)
    }

    fn prepare(&self, program: &RowProgram) -> Result<Program<D>, KernelError> {
        Program::new(&self.runtime, program)
    }

    fn run(
        &self,
        program: &Program<D>,
        columns: &Columns<'_, Vector<D>>,
        scalars: &[Fr],
    ) -> Result<Vector<D>, KernelError> {
        program.run(&self.runtime, columns, scalars)
    }

    fn combine(&self, terms: &[(Fr, &Vector<D>)], length: usize) -> Result<Vector<D>, KernelError> {
        self.runtime.combine(terms, length)
    }

    fn evaluate(&self, queries: &[(&Vector<D>, Fr)]) -> Result<Vec<Fr>, KernelError> {
        self.runtime.evaluate(queries)
    }

    fn subtract_low(&self, vector: &mut Vector<D>, low: &[Fr]) -> Result<(), KernelError> {
        if low.len() > vector.len() {
            KernelError::unless_length("subtract low", vector.len(), low.len())?;
        }
        self.runtime.subtract_low(vector, low)
    }

    fn divide(&self, polynomial: &mut Vector<D>, point: Fr) -> Result<(), KernelError> {
        self.runtime.divide(polynomial, point)
    }

    fn invert(&self, vector: &mut Vector<D>) -> Result<(), KernelError> {
        self.runtime.invert(vector)
    }

    fn running_sum(&self, vector: &mut Vector<D>) -> Result<(), KernelError> {
        self.runtime.scan_vector(Scan::SUM, vector)
    }

    fn running_product(&self, vector: &mut Vector<D>) -> Result<(), KernelError> {
        self.runtime.scan_vector(Scan::PRODUCT, vector)
    }

    fn poseidon(&self, messages: &[Vec<Fr>], tag: Fr) -> Result<Vec<Fr>, KernelError> {
        hash::poseidon(&self.runtime, messages, tag)
    }
}

fn check_lengths<D: Device>(
    operation: &'static str,
    expected: usize,
    vectors: &[Vector<D>],
) -> Result<(), KernelError> {
    vectors.iter().try_for_each(|vector| KernelError::unless_length(operation, expected, vector.len()))
}
