//! Combinations, values, divisions, inverses and scans of vectors.

use halo2curves_axiom::ff::Field;

use super::{
    device::{Argument, Device, Shape},
    runtime::{BLOCK, Kernels, Runtime, Vector, launch, narrow},
};
use crate::{Fr, KernelError};

/// Coefficients that one thread evaluates, about: fewer are not worth the power of the point that each thread computes.
const EVALUATED_PER_THREAD: usize = 16;
/// Blocks of one evaluation, at most: one thread adds up what they find.
const EVALUATION_BLOCKS_MAX: usize = 64;
/// Elements for which one thread inverts one product: the inversion costs as much as some hundred of them.
const INVERTED_PER_THREAD: usize = 64;
/// Threads of a block that inverts or scans.
const SCAN_BLOCK: u32 = 128;
/// Threads of the one block that scans the chunks' totals, as the kernel declares.
const CARRY_THREADS: u32 = 1024;
/// Fewest elements of a chunk.
const CHUNK_MIN: usize = 8;

/// Which scan.
#[derive(Clone, Copy)]
pub(super) struct Scan {
    kernels: [&'static str; 3],
    factor: Fr,
    is_backwards: bool,
    is_inclusive: bool,
}

impl Scan {
    /// Sums of each element and all before it.
    pub const SUM: Self = Self::inclusive(["scan_sum_totals", "scan_sum_carries", "scan_sum_apply"]);
    /// Products of each element and all before it.
    pub const PRODUCT: Self = Self::inclusive(["scan_product_totals", "scan_product_carries", "scan_product_apply"]);
    /// Numbers of all elements before each.
    pub const COUNT: Self = Self {
        is_inclusive: false,
        ..Self::inclusive(["scan_count_totals", "scan_count_carries", "scan_count_apply"])
    };

    const fn inclusive(kernels: [&'static str; 3]) -> Self {
        Self { kernels, factor: Fr::ZERO, is_backwards: false, is_inclusive: true }
    }

    /// What a polynomial leaves after division by `X - point`.
    const fn quotient(point: Fr) -> Self {
        let kernels = ["scan_affine_totals", "scan_affine_carries", "scan_affine_apply"];
        Self { kernels, factor: point, is_backwards: true, is_inclusive: false }
    }
}

impl<D: Device> Runtime<D> {
    pub fn combine(&self, terms: &[(Fr, &Vector<D>)], length: usize) -> Result<Vector<D>, KernelError> {
        let out = self.vector(length)?;
        let vectors = || terms.iter().map(|(_, vector)| *vector);
        let (there, lengths) = (self.addresses(vectors())?, self.lengths(vectors())?);
        let factors: Vec<Fr> = terms.iter().map(|(factor, _)| *factor).collect();
        let factors = self.put(&factors)?;
        let arguments = [
            out.memory().into(),
            (&there).into(),
            (&lengths).into(),
            (&factors).into(),
            terms.len().into(),
            length.into(),
        ];
        self.launch(&self.kernels.vector, "vector_combine", Shape::cover(length, BLOCK, 1), &arguments)?;
        Ok(out)
    }

    pub fn evaluate(&self, queries: &[(&Vector<D>, Fr)]) -> Result<Vec<Fr>, KernelError> {
        if queries.is_empty() {
            return Ok(Vec::new());
        }
        let longest = queries.iter().map(|(polynomial, _)| polynomial.len()).max().unwrap_or(0);
        let blocks = longest.div_ceil(BLOCK as usize * EVALUATED_PER_THREAD).clamp(1, EVALUATION_BLOCKS_MAX);
        let threads = (blocks * BLOCK as usize) as u64;
        let polynomials = || queries.iter().map(|(polynomial, _)| *polynomial);
        let (there, lengths) = (self.addresses(polynomials())?, self.lengths(polynomials())?);
        let points: Vec<Fr> = queries.iter().map(|(_, point)| *point).collect();
        let steps: Vec<Fr> = points.iter().map(|point| point.pow_vartime([threads])).collect();
        let (points, steps) = (self.put(&points)?, self.put(&steps)?);
        let (partial, sums) = (self.vector(queries.len() * blocks)?, self.vector(queries.len())?);
        let arguments =
            [partial.memory().into(), (&there).into(), (&lengths).into(), (&points).into(), (&steps).into()];
        let shape = Shape { grid: (narrow(blocks), narrow(queries.len())), block: BLOCK, shared: 0 };
        self.launch(&self.kernels.vector, "evaluate_partial", shape, &arguments)?;
        let arguments = [sums.memory().into(), partial.memory().into(), blocks.into(), queries.len().into()];
        self.launch(&self.kernels.vector, "sum_rows", Shape::cover(queries.len(), 64, 1), &arguments)?;
        self.download(&sums)
    }

    pub fn subtract_low(&self, vector: &mut Vector<D>, low: &[Fr]) -> Result<(), KernelError> {
        if low.is_empty() {
            return Ok(());
        }
        let there = self.put(low)?;
        let arguments = [vector.memory().into(), (&there).into(), low.len().into()];
        self.launch(&self.kernels.vector, "vector_subtract_low", Shape::cover(low.len(), BLOCK, 1), &arguments)
    }

    pub fn invert(&self, vector: &mut Vector<D>) -> Result<(), KernelError> {
        let inverses = self.vector(vector.len())?;
        let threads = vector.len().div_ceil(INVERTED_PER_THREAD);
        let arguments = [inverses.memory().into(), vector.memory().into(), vector.len().into()];
        self.launch(&self.kernels.vector, "vector_invert", Shape::cover(threads, SCAN_BLOCK, 1), &arguments)?;
        *vector = inverses;
        Ok(())
    }

    pub fn divide(&self, polynomial: &mut Vector<D>, point: Fr) -> Result<(), KernelError> {
        self.scan_vector(Scan::quotient(point), polynomial)
    }

    pub fn scan_vector(&self, scan: Scan, vector: &mut Vector<D>) -> Result<(), KernelError> {
        let length = vector.len();
        self.scan::<Fr>(scan, vector.memory_mut(), length)
    }

    /// Scans in place.
    pub fn scan<T: super::plain::Plain>(
        &self,
        scan: Scan,
        memory: &mut D::Memory,
        length: usize,
    ) -> Result<(), KernelError> {
        if length == 0 {
            return Ok(());
        }
        let totals = self.allocate::<T>(scan_chunks(length).1)?;
        self.give_way()?;
        scan.ask(&self.device, &self.kernels, memory, &totals, length)
    }
}

/// Elements of a chunk, and how many chunks there are: as many elements in a chunk as chunks for a thread of the block
/// that carries.
pub(super) fn scan_chunks(length: usize) -> (usize, usize) {
    let chunk = (length / CARRY_THREADS as usize).isqrt().next_power_of_two().max(CHUNK_MIN);
    (chunk, length.div_ceil(chunk))
}

impl Scan {
    /// Starts the scan, with room for a total of each chunk.
    pub fn ask<D: Device>(
        self,
        device: &D,
        kernels: &Kernels<D>,
        memory: &D::Memory,
        totals: &D::Memory,
        length: usize,
    ) -> Result<(), KernelError> {
        let (chunk, chunks) = scan_chunks(length);
        let [for_totals, for_carries, for_elements] = self.kernels;
        let factors: [Argument; 2] = [self.factor.into(), self.factor.pow_vartime([chunk as u64]).into()];
        let (memory, totals): (Argument, Argument) = (memory.into(), totals.into());
        let shape = Shape::cover(chunks, SCAN_BLOCK, 1);
        let backwards = u32::from(self.is_backwards).into();
        let [factor, chunk_factor] = factors;
        let arguments = [totals, memory, factor, chunk_factor, length.into(), chunk.into(), backwards];
        launch(device, &kernels.vector, for_totals, shape, &arguments)?;
        let one_block = Shape { grid: (1, 1), block: CARRY_THREADS, shared: 0 };
        let arguments = [totals, factor, chunk_factor, chunks.into()];
        launch(device, &kernels.vector, for_carries, one_block, &arguments)?;
        let inclusive = u32::from(self.is_inclusive).into();
        let arguments =
            [memory, memory, totals, factor, chunk_factor, length.into(), chunk.into(), backwards, inclusive];
        launch(device, &kernels.vector, for_elements, shape, &arguments)
    }
}
