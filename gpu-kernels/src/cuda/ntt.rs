//! Transforms: how one is cut into passes, and the tables it needs.

use std::sync::Arc;

use halo2curves_axiom::ff::PrimeField;

use super::{
    device::{Argument, Device, Memory, Shape},
    runtime::{BLOCK, Runtime, Vector},
};
use crate::{Fr, KernelError, LOG_N_MAX, cpu::powers};

/// Most stages of a pass: 2^10 elements are 32 kB of shared memory.
const STAGES_MAX: u32 = 10;
/// Groups that a block works on side by side, at most: memory is read in runs of 128 bytes.
const LOG_LANES_MAX: u32 = 2;
/// Elements of a block, at most: 64 kB of shared memory leave room for three blocks.
const LOG_TILE_MAX: u32 = 11;
/// Threads of a block, at most, as the kernel declares.
const THREADS_MAX: u32 = 512;

/// The powers of a root of unity, and of its inverse.
pub struct Domain<D: Device> {
    tables: Arc<Tables<D>>,
}

struct Tables<D: Device> {
    log_n: u32,
    forward: Vector<D>,
    inverse: Vector<D>,
    size_inverse: Fr,
}

/// A shifted domain.
pub struct Coset<D: Device> {
    tables: Arc<Tables<D>>,
    shift: Powers<D>,
    /// Powers of the inverse shift: those of low exponents there, those of high exponents here, since each use has a
    /// factor of its own.
    inverse_low: D::Memory,
    inverse_high: Vec<Fr>,
}

/// Powers of a number in two tables: a power is a product of one of each.
struct Powers<D: Device> {
    low: D::Memory,
    high: D::Memory,
}

/// What values are multiplied by on their way in or out.
#[derive(Clone, Copy)]
struct Scale {
    low: u64,
    high: u64,
}

impl Scale {
    const NONE: Self = Self { low: 0, high: 0 };
}

impl<D: Device> Domain<D> {
    pub(super) fn new(runtime: &Runtime<D>, log_n: u32) -> Result<Self, KernelError> {
        if log_n > LOG_N_MAX {
            return Err(KernelError::DomainSize { log_n });
        }
        let omega = (log_n..Fr::S).fold(Fr::ROOT_OF_UNITY, |root, _| root.square());
        let inverse = omega.invert().expect("a root of unity is not zero");
        let size_inverse = Fr::from(1_u64 << log_n).invert().expect("a power of two is not zero");
        let [forward, inverse] = [omega, inverse].map(|root| twiddles(runtime, root, log_n));
        Ok(Self { tables: Arc::new(Tables { log_n, forward: forward?, inverse: inverse?, size_inverse }) })
    }

    pub(super) fn forward(&self, runtime: &Runtime<D>, vectors: &mut [Vector<D>]) -> Result<(), KernelError> {
        let values = self.tables.transform(runtime, &self.tables.forward, vectors.iter(), Scale::NONE, Scale::NONE)?;
        replace(vectors, values);
        Ok(())
    }

    pub(super) fn inverse(&self, runtime: &Runtime<D>, vectors: &mut [Vector<D>]) -> Result<(), KernelError> {
        let factor = runtime.put(&[self.tables.size_inverse])?;
        let scale = Scale { low: 0, high: factor.address() };
        let values = self.tables.transform(runtime, &self.tables.inverse, vectors.iter(), Scale::NONE, scale)?;
        replace(vectors, values);
        Ok(())
    }
}

impl<D: Device> Coset<D> {
    pub(super) fn new(runtime: &Runtime<D>, domain: &Domain<D>, shift: Fr) -> Result<Self, KernelError> {
        let tables = Arc::clone(&domain.tables);
        let inverse = Option::<Fr>::from(shift.invert()).ok_or(KernelError::ZeroShift)?;
        let (inverse_low, inverse_high) = split_powers(inverse, tables.log_n);
        let shift = Powers::new(runtime, shift, tables.log_n)?;
        Ok(Self { shift, inverse_low: runtime.put(&inverse_low)?, inverse_high, tables })
    }

    pub(super) fn values(
        &self,
        runtime: &Runtime<D>,
        polynomials: &[&Vector<D>],
    ) -> Result<Vec<Vector<D>>, KernelError> {
        let load = Scale { low: self.shift.low.address(), high: self.shift.high.address() };
        self.tables.transform(runtime, &self.tables.forward, polynomials.iter().copied(), load, Scale::NONE)
    }

    pub(super) fn coefficients(
        &self,
        runtime: &Runtime<D>,
        values: &mut Vector<D>,
        factor: Fr,
    ) -> Result<(), KernelError> {
        let factor = factor * self.tables.size_inverse;
        let high: Vec<Fr> = self.inverse_high.iter().map(|power| power * factor).collect();
        let high = runtime.put(&high)?;
        let store = Scale { low: self.inverse_low.address(), high: high.address() };
        let coefficients =
            self.tables.transform(runtime, &self.tables.inverse, std::iter::once(&*values), Scale::NONE, store)?;
        replace(std::slice::from_mut(values), coefficients);
        Ok(())
    }

    /// Elements of the domain.
    pub(super) fn size(&self) -> usize {
        1 << self.tables.log_n
    }
}

impl<D: Device> Domain<D> {
    /// Elements of the domain.
    pub(super) fn size(&self) -> usize {
        1 << self.tables.log_n
    }
}

impl<D: Device> Tables<D> {
    /// Transforms vectors side by side. What they lack in length counts as zero.
    fn transform<'v>(
        &self,
        runtime: &Runtime<D>,
        twiddles: &Vector<D>,
        vectors: impl ExactSizeIterator<Item = &'v Vector<D>> + Clone,
        load: Scale,
        store: Scale,
    ) -> Result<Vec<Vector<D>>, KernelError> {
        let batch = vectors.len();
        if batch == 0 {
            return Ok(Vec::new());
        }
        let outputs: Vec<Vector<D>> =
            vectors.clone().map(|_| runtime.vector(1 << self.log_n)).collect::<Result<_, _>>()?;
        let (inputs, lengths) = (runtime.addresses(vectors.clone())?, runtime.lengths(vectors)?);
        let there = runtime.addresses(&outputs)?;
        let passes = passes(self.log_n);
        let mut first = 0;
        for (index, &stages) in passes.iter().enumerate() {
            let is_last = index + 1 == passes.len();
            let log_lanes = log_lanes(self.log_n, first, stages);
            let [load, store] = [(load, index == 0), (store, is_last)]
                .map(|(scale, applies)| if applies { scale } else { Scale::NONE });
            let arguments = [
                (&there).into(),
                if index == 0 { (&inputs).into() } else { (&there).into() },
                (&lengths).into(),
                twiddles.memory().into(),
                self.log_n.into(),
                first.into(),
                stages.into(),
                log_lanes.into(),
                Argument::Address(load.low),
                Argument::Address(load.high),
                Argument::Address(store.low),
                Argument::Address(store.high),
                low_bits(self.log_n).into(),
            ];
            let tile = 1_u32 << (stages + log_lanes);
            let shape = Shape {
                grid: (1 << (self.log_n - stages - log_lanes), super::runtime::narrow(batch)),
                block: (tile / 2).clamp(1, THREADS_MAX),
                shared: tile * size_of::<Fr>() as u32,
            };
            runtime.launch(&runtime.kernels.ntt, "ntt_pass", shape, &arguments)?;
            first += stages;
        }
        Ok(outputs)
    }
}

impl<D: Device> Powers<D> {
    fn new(runtime: &Runtime<D>, base: Fr, log_n: u32) -> Result<Self, KernelError> {
        let (low, high) = split_powers(base, log_n);
        Ok(Self { low: runtime.put(&low)?, high: runtime.put(&high)? })
    }
}

/// Stages of each pass, as even as they can be.
fn passes(log_n: u32) -> Vec<u32> {
    let count = log_n.div_ceil(STAGES_MAX).max(1);
    (0..count).map(|pass| (log_n + pass) / count).collect()
}

/// Lanes of a block: in the first pass groups whose inputs are neighbours, later groups that are neighbours themselves.
fn log_lanes(log_n: u32, first: u32, stages: u32) -> u32 {
    let groups = if first == 0 { log_n - stages } else { first };
    LOG_LANES_MAX.min(LOG_TILE_MAX.saturating_sub(stages)).min(groups)
}

/// Bits of an exponent that the table of low powers covers.
fn low_bits(log_n: u32) -> u32 {
    log_n.div_ceil(2)
}

fn split_powers(base: Fr, log_n: u32) -> (Vec<Fr>, Vec<Fr>) {
    let low_bits = low_bits(log_n);
    let step = (0..low_bits).fold(base, |power, _| power.square());
    (powers(base, 1 << low_bits), powers(step, 1 << (log_n - low_bits)))
}

/// The powers of a root of order `2^log_n` below half its order.
fn twiddles<D: Device>(runtime: &Runtime<D>, root: Fr, log_n: u32) -> Result<Vector<D>, KernelError> {
    let length = (1_usize << log_n) / 2;
    let (parts, powers) = (Powers::new(runtime, root, log_n)?, runtime.vector(length)?);
    if length > 0 {
        let arguments =
            [powers.memory().into(), (&parts.low).into(), (&parts.high).into(), low_bits(log_n).into(), length.into()];
        let shape = Shape::cover(length, BLOCK, 1);
        runtime.launch(&runtime.kernels.vector, "vector_powers", shape, &arguments)?;
    }
    Ok(powers)
}

fn replace<D: Device>(vectors: &mut [Vector<D>], values: Vec<Vector<D>>) {
    vectors.iter_mut().zip(values).for_each(|(vector, values)| *vector = values);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_cover_every_size_and_fit_their_block() {
        for log_n in 0..=LOG_N_MAX {
            let passes = passes(log_n);
            assert_eq!(passes.iter().sum::<u32>(), log_n);
            let mut first = 0;
            for &stages in &passes {
                let lanes = log_lanes(log_n, first, stages);
                assert!(stages <= STAGES_MAX && stages + lanes <= LOG_TILE_MAX.min(log_n));
                // Lanes are neighbours: a later pass has at most as many as there are low bits.
                assert!(first == 0 || lanes <= first);
                first += stages;
            }
        }
    }
}
