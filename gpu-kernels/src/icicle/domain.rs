//! Transforms. ICICLE keeps the roots of unity of one largest domain for each device and process.

use std::{
    collections::BTreeMap,
    sync::{PoisonError, RwLock},
};

use halo2curves_axiom::ff::{Field, PrimeField};

use super::{
    IcicleDevice,
    abi::{Number, number},
    library::{Direction, Library},
};
use crate::{Fr, KernelError, LOG_N_MAX};

/// For each device the logarithm of the domain that is prepared. Transforms hold it to read, whoever replaces roots of unity to
/// write: ICICLE would let a transform read what it drops.
static PREPARED: RwLock<BTreeMap<DeviceId, u32>> = RwLock::new(BTreeMap::new());

/// A device's kind and number.
pub(super) type DeviceId = (IcicleDevice, i32);

/// The powers of a root of unity: those that ICICLE keeps.
pub struct Domain {
    log_n: u32,
    device: DeviceId,
}

/// A shifted domain.
pub struct Coset {
    log_n: u32,
    device: DeviceId,
    shift: Number,
}

impl Domain {
    /// Has ICICLE prepare the domain, unless a larger one is.
    pub(super) fn new(library: &Library, device: DeviceId, log_n: u32) -> Result<Self, KernelError> {
        if log_n > LOG_N_MAX {
            return Err(KernelError::DomainSize { log_n });
        }
        let mut prepared = PREPARED.write().unwrap_or_else(PoisonError::into_inner);
        if prepared.get(&device).is_none_or(|&largest| largest < log_n) {
            if prepared.remove(&device).is_some() {
                library.release_domain()?;
            }
            let root = (log_n..Fr::S).fold(Fr::ROOT_OF_UNITY, |root, _| root.square());
            library.init_domain(&number(&root))?;
            prepared.insert(device, log_n);
        }
        Ok(Self { log_n, device })
    }

    /// From coefficients to values or back.
    pub(super) fn transform(
        &self,
        library: &Library,
        values: &mut [Fr],
        direction: Direction,
    ) -> Result<(), KernelError> {
        transform(library, self.device, self.log_n, values, direction, number(&Fr::one()))
    }

    /// The domain with every element multiplied by a number.
    pub(super) fn coset(&self, shift: Fr) -> Result<Coset, KernelError> {
        if bool::from(shift.is_zero()) {
            return Err(KernelError::ZeroShift);
        }
        Ok(Coset { log_n: self.log_n, device: self.device, shift: number(&shift) })
    }
}

impl Coset {
    /// A polynomial's values.
    pub(super) fn values(&self, library: &Library, polynomial: &[Fr]) -> Result<Vec<Fr>, KernelError> {
        let size = 1 << self.log_n;
        if polynomial.len() > size {
            KernelError::unless_length("coset values", size, polynomial.len())?;
        }
        let mut values = polynomial.to_vec();
        values.resize(size, Fr::ZERO);
        transform(library, self.device, self.log_n, &mut values, Direction::Forward, self.shift)?;
        Ok(values)
    }

    /// From values to coefficients.
    pub(super) fn coefficients(&self, library: &Library, values: &mut [Fr]) -> Result<(), KernelError> {
        transform(library, self.device, self.log_n, values, Direction::Inverse, self.shift)
    }
}

fn transform(
    library: &Library,
    device: DeviceId,
    log_n: u32,
    values: &mut [Fr],
    direction: Direction,
    shift: Number,
) -> Result<(), KernelError> {
    KernelError::unless_length("transform", 1 << log_n, values.len())?;
    // A constant is its own value everywhere.
    if log_n == 0 {
        return Ok(());
    }
    let prepared = PREPARED.read().unwrap_or_else(PoisonError::into_inner);
    // Gone only where preparing a larger one has failed.
    if prepared.get(&device).is_none_or(|&largest| largest < log_n) {
        return Err(KernelError::Device { operation: "find roots of unity", code: 0 });
    }
    library.transform(values, direction, shift)
}
