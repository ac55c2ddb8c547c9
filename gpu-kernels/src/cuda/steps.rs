//! The kernels of a sum, one function for each step: what starts them and what a recording is made of.
//!
//! This module never allocates, and never asks the device for anything but kernels and zeros.

use halo2curves_axiom::bn256::Fq;

use super::{
    device::{Argument, Device, Memory, Shape},
    msm::Layout,
    polynomial::Scan,
    runtime::{BLOCK, Kernels, Runtime, launch, narrow},
};
use crate::KernelError;

/// Threads of a block that weighs buckets, as the kernels declare.
const POINT_BLOCK: u32 = 128;
/// Threads of a block that sums shares, as the kernels declare.
const SHARE_BLOCK: u32 = 64;
/// Points in a share, at least. A list must become shorter by it: two sums are left of a share.
pub(super) const SHARE_MIN: usize = 8;
/// Buckets that one thread weighs.
const WEIGHED_PER_THREAD: usize = 16;
/// Words of a sum in memory: X, Y, ZZ, ZZZ.
pub(super) const SUM_ELEMENTS: usize = 4;

/// Columns of scalars on the device: where they are, how long, how many, and the longest.
pub(super) struct Scalars<'m, M> {
    pub addresses: &'m M,
    pub lengths: &'m M,
    pub columns: usize,
    pub longest: usize,
}

/// Sums that still belong together, sorted by bucket: two of each thread.
pub(super) struct Parts<D: Device> {
    threads: usize,
    buckets: D::Memory,
    sums: D::Memory,
}

/// Starts kernels of a device, or records them.
pub(super) struct Steps<'d, D: Device> {
    pub device: &'d D,
    pub kernels: &'d Kernels<D>,
}

impl<D: Device> Parts<D> {
    /// Room for what is left after each launch, for a list that is cut for so many threads.
    pub fn cascade(runtime: &Runtime<D>, threads: usize) -> Result<Vec<Self>, KernelError> {
        let cut = |threads: &usize| (*threads > 1).then(|| (2 * threads).div_ceil(SHARE_MIN));
        let parts = |threads| {
            let (buckets, sums) =
                (runtime.allocate::<u32>(2 * threads)?, runtime.allocate::<Fq>(2 * threads * SUM_ELEMENTS)?);
            Ok(Self { threads, buckets, sums })
        };
        std::iter::successors(Some(threads), cut).map(parts).collect()
    }
}

impl<D: Device> Steps<'_, D> {
    /// Counts the points of each bucket. `places` are zeros, one more than there are buckets.
    pub fn count(
        &self,
        layout: Layout,
        scalars: &Scalars<'_, D::Memory>,
        places: &D::Memory,
    ) -> Result<(), KernelError> {
        let arguments = [places.into(), scalars.addresses.into(), scalars.lengths.into(), layout.argument()];
        self.launch("msm_count", Self::over(scalars), &arguments)
    }

    /// Turns counts into places: the last one says how many points there are.
    pub fn place(&self, places: &D::Memory, totals: &D::Memory, count: usize) -> Result<(), KernelError> {
        Scan::COUNT.ask(self.device, self.kernels, places, totals, count)
    }

    /// Puts the points behind each other, sorted by bucket.
    pub fn scatter(
        &self,
        layout: Layout,
        scalars: &Scalars<'_, D::Memory>,
        places: &D::Memory,
        entries: &D::Memory,
    ) -> Result<(), KernelError> {
        let (addresses, lengths) = (scalars.addresses.into(), scalars.lengths.into());
        let arguments = [entries.into(), places.into(), addresses, lengths, layout.argument()];
        self.launch("msm_scatter", Self::over(scalars), &arguments)
    }

    /// Adds the points to their buckets, in shares of so many. Each launch leaves a shorter list of sums that still
    /// belong together. The number of points stands at an address, and is at most `share` for each thread.
    pub fn fill(
        &self,
        buckets: &D::Memory,
        points: [&D::Memory; 2],
        count: Argument,
        share: usize,
        parts: &[Parts<D>],
    ) -> Result<(), KernelError> {
        let Some(first) = parts.first() else { return Ok(()) };
        let [entries, table] = points.map(Argument::from);
        let (left_buckets, left_sums) = ((&first.buckets).into(), (&first.sums).into());
        let arguments = [buckets.into(), left_buckets, left_sums, entries, table, count, share.into()];
        self.launch("msm_sum_points", Shape::cover(first.threads, SHARE_BLOCK, 1), &arguments)?;
        for (launches, pair) in (1_u32..).zip(parts.windows(2)) {
            let [list, left] = pair else { unreachable!("windows of two have two") };
            let arguments = [
                buckets.into(),
                (&left.buckets).into(),
                (&left.sums).into(),
                (&list.buckets).into(),
                (&list.sums).into(),
                count,
                share.into(),
                SHARE_MIN.into(),
                launches.into(),
            ];
            self.launch("msm_sum_parts", Shape::cover(left.threads, SHARE_BLOCK, 1), &arguments)?;
        }
        Ok(())
    }

    /// `sum(b * bucket[b])` for each set of so many buckets, by way of a sum for each block.
    pub fn weigh(
        &self,
        buckets: &D::Memory,
        count: usize,
        sets: usize,
        [weighed, totals]: [&D::Memory; 2],
    ) -> Result<(), KernelError> {
        let shape = Shape::cover(count.div_ceil(WEIGHED_PER_THREAD), POINT_BLOCK, sets);
        let (blocks, _) = shape.grid;
        let arguments = [weighed.into(), buckets.into(), count.into(), WEIGHED_PER_THREAD.into()];
        self.launch("msm_weigh", shape, &arguments)?;
        let shape = Shape { grid: (narrow(sets), 1), block: POINT_BLOCK, shared: 0 };
        self.launch("msm_total", shape, &[totals.into(), weighed.into(), blocks.into()])
    }

    fn over(scalars: &Scalars<'_, D::Memory>) -> Shape {
        Shape::cover(scalars.longest, BLOCK, scalars.columns)
    }

    fn launch(&self, kernel: &'static str, shape: Shape, arguments: &[Argument]) -> Result<(), KernelError> {
        launch(self.device, &self.kernels.msm, kernel, shape, arguments)
    }
}

/// Sums that the blocks of [`Steps::weigh`] leave for each set.
pub(super) fn weighed_blocks(buckets: usize) -> usize {
    buckets.div_ceil(WEIGHED_PER_THREAD * POINT_BLOCK as usize)
}

/// The address of a number in memory.
pub(super) fn place_of<M: Memory>(memory: &M, index: usize) -> Argument {
    Argument::Address(memory.address() + (index * size_of::<u32>()) as u64)
}
