//! Multi-scalar multiplication: points sorted by digit, equal shares of the sorted list summed, buckets weighed.
//!
//! Over fixed bases a table of multiples leaves one set of buckets for each column of scalars. Points that are used
//! once have a set for each window of digits, and the host doubles between them.

use halo2curves_axiom::{
    bn256::Fq,
    ff::Field,
    group::{Group, prime::PrimeCurveAffine},
};

use super::{
    device::{Argument, Device, Memory, Shape},
    polynomial::Scan,
    runtime::{BLOCK, Runtime, Vector, narrow},
};
use crate::{Fr, G1, G1Affine, KernelError};

/// Bits of a scalar's absolute value, and one for the carry of signed digits.
const SCALAR_BITS: u32 = 254;
/// Widest digits: 2^19 buckets of 128 bytes for each column.
const DIGIT_BITS_MAX: u32 = 20;
/// Digits of a batch of columns at a time: 2^27 take one gigabyte when sorted. More columns take turns.
const ENTRIES_MAX: usize = 1 << 27;
/// Columns at a time, however short: a grid's second axis ends at 2^16.
const COLUMNS_MAX: usize = 1 << 12;
/// Threads of a block that adds points, as the kernels declare.
const POINT_BLOCK: u32 = 128;
/// Threads of a block that sums shares, as the kernels declare.
const SHARE_BLOCK: u32 = 64;
/// Points in a thread's share, at most: more threads than a large device holds, and few sums left over.
const SHARE_MAX: usize = 64;
/// Points in a share, at least. A list must become shorter by it: two sums are left of a share.
const SHARE_MIN: usize = 8;
/// Threads that shares are cut for.
const SHARE_THREADS: usize = 1 << 16;
/// Buckets that one thread weighs.
const WEIGHED_PER_THREAD: usize = 16;
/// Words of a sum in memory: X, Y, ZZ, ZZZ.
const SUM_ELEMENTS: usize = 4;

/// Multiples of fixed points.
pub struct Bases<D: Device> {
    count: usize,
    digit_bits: u32,
    /// By window, then point.
    table: D::Memory,
}

/// Where digits go in buckets and table; the kernels' `Layout`.
#[derive(Clone, Copy)]
struct Layout {
    digit_bits: u32,
    windows: u32,
    column_stride: u32,
    window_stride: u32,
    table_stride: u32,
}

impl Layout {
    fn argument(self) -> Argument {
        Argument::Numbers([self.digit_bits, self.windows, self.column_stride, self.window_stride, self.table_stride])
    }

    /// Buckets of a set.
    fn buckets(self) -> usize {
        1 << (self.digit_bits - 1)
    }
}

/// Points with the bucket that each belongs to, sorted by it.
struct Sorted<D: Device> {
    entries: D::Memory,
    count: usize,
}

/// Sums that still belong together, sorted by bucket.
struct Parts<D: Device> {
    buckets: D::Memory,
    sums: D::Memory,
}

impl<D: Device> Bases<D> {
    pub(super) fn new(runtime: &Runtime<D>, points: &[G1Affine]) -> Result<Self, KernelError> {
        if let Some(index) = points.iter().position(|point| bool::from(point.is_identity())) {
            return Err(KernelError::IdentityBase { index });
        }
        let digit_bits = digit_bits(points.len());
        let windows = SCALAR_BITS.div_ceil(digit_bits);
        let bytes = size_of_val(points);
        let mut table = runtime.allocate::<G1Affine>(points.len() * windows as usize)?;
        if !points.is_empty() {
            runtime.device.write(&mut table, super::plain::bytes(points))?;
        }
        for window in 1..windows as usize {
            let [next, previous] =
                [window, window - 1].map(|window| Argument::Address(table.address() + (window * bytes) as u64));
            let arguments = [next, previous, points.len().into(), digit_bits.into()];
            let shape = Shape::cover(points.len(), POINT_BLOCK, 1);
            runtime.launch(&runtime.msm, "msm_multiples", shape, &arguments)?;
        }
        Ok(Self { count: points.len(), digit_bits, table })
    }

    pub(super) fn msm_many(&self, runtime: &Runtime<D>, columns: &[&Vector<D>]) -> Result<Vec<G1>, KernelError> {
        if let Some(column) = columns.iter().find(|column| column.len() > self.count) {
            return Err(KernelError::LengthMismatch { scalars: column.len(), bases: self.count });
        }
        let windows = SCALAR_BITS.div_ceil(self.digit_bits);
        let layout = Layout {
            digit_bits: self.digit_bits,
            windows,
            column_stride: 1 << (self.digit_bits - 1),
            window_stride: 0,
            table_stride: narrow(self.count),
        };
        let at_a_time = (ENTRIES_MAX / (windows as usize * self.count.max(1))).clamp(1, COLUMNS_MAX);
        let sums =
            columns.chunks(at_a_time).map(|columns| runtime.sum_sets(layout, columns, columns.len(), &self.table));
        Ok(sums.collect::<Result<Vec<_>, _>>()?.concat())
    }
}

impl<D: Device> Runtime<D> {
    /// The sum over points that are used once.
    pub fn msm(&self, scalars: &[Fr], points: &[G1Affine]) -> Result<G1, KernelError> {
        if scalars.len() != points.len() {
            return Err(KernelError::LengthMismatch { scalars: scalars.len(), bases: points.len() });
        }
        let digit_bits = digit_bits(points.len());
        let windows = SCALAR_BITS.div_ceil(digit_bits);
        let set = 1 << (digit_bits - 1);
        let layout = Layout { digit_bits, windows, column_stride: set * windows, window_stride: set, table_stride: 0 };
        let (table, column) = (self.put(points)?, self.upload(scalars)?);
        let sums = self.sum_sets(layout, &[&column], windows as usize, &table)?;
        let doubled = |sum: G1| (0..digit_bits).fold(sum, |sum, _| sum.double());
        Ok(sums.into_iter().rev().fold(G1::identity(), |total, sum| doubled(total) + sum))
    }

    /// The weighted sum of each set of buckets.
    fn sum_sets(
        &self,
        layout: Layout,
        columns: &[&Vector<D>],
        sets: usize,
        table: &D::Memory,
    ) -> Result<Vec<G1>, KernelError> {
        if columns.iter().all(|column| column.is_empty()) {
            return Ok(vec![G1::identity(); sets]);
        }
        let sorted = self.sort(layout, columns, sets)?;
        let buckets = self.zeros::<Fq>(sets * layout.buckets() * SUM_ELEMENTS)?;
        self.fill(&buckets, &sorted, table)?;
        drop(sorted);
        self.weigh(&buckets, layout.buckets(), sets)
    }

    /// Counts the points of each bucket, and puts them behind each other.
    fn sort(&self, layout: Layout, columns: &[&Vector<D>], sets: usize) -> Result<Sorted<D>, KernelError> {
        let vectors = || columns.iter().copied();
        let (there, lengths) = (self.addresses(vectors())?, self.lengths(vectors())?);
        let longest = columns.iter().map(|column| column.len()).max().unwrap_or(0);
        let shape = Shape::cover(longest, BLOCK, columns.len());
        // One more than there are buckets: after the scan it says how many points there are.
        let count = sets * layout.buckets() + 1;
        let mut places = self.zeros::<u32>(count)?;
        let arguments = [(&places).into(), (&there).into(), (&lengths).into(), layout.argument()];
        self.launch(&self.msm, "msm_count", shape, &arguments)?;
        self.scan::<u32>(Scan::COUNT, &mut places, count)?;
        let mut total = [0_u32];
        self.get(&places, count - 1, &mut total)?;
        let count = total[0] as usize;
        let entries = self.allocate::<[u32; 2]>(count)?;
        let arguments = [(&entries).into(), (&places).into(), (&there).into(), (&lengths).into(), layout.argument()];
        self.launch(&self.msm, "msm_scatter", shape, &arguments)?;
        Ok(Sorted { entries, count })
    }

    /// Adds the points to their buckets. Each launch leaves a shorter list of sums that still belong together.
    fn fill(&self, buckets: &D::Memory, sorted: &Sorted<D>, table: &D::Memory) -> Result<(), KernelError> {
        if sorted.count == 0 {
            return Ok(());
        }
        let share = (sorted.count / SHARE_THREADS).clamp(SHARE_MIN, SHARE_MAX);
        let mut threads = sorted.count.div_ceil(share);
        let mut parts = self.parts(threads)?;
        let arguments = [
            buckets.into(),
            (&parts.buckets).into(),
            (&parts.sums).into(),
            (&sorted.entries).into(),
            table.into(),
            sorted.count.into(),
            share.into(),
        ];
        self.launch(&self.msm, "msm_sum_points", Shape::cover(threads, SHARE_BLOCK, 1), &arguments)?;
        // A single thread has no neighbours, and leaves nothing.
        while threads > 1 {
            let count = 2 * threads;
            threads = count.div_ceil(SHARE_MIN);
            let next = self.parts(threads)?;
            let arguments = [
                buckets.into(),
                (&next.buckets).into(),
                (&next.sums).into(),
                (&parts.buckets).into(),
                (&parts.sums).into(),
                count.into(),
                SHARE_MIN.into(),
            ];
            self.launch(&self.msm, "msm_sum_parts", Shape::cover(threads, SHARE_BLOCK, 1), &arguments)?;
            parts = next;
        }
        Ok(())
    }

    /// Room for what threads leave: two sums each.
    fn parts(&self, threads: usize) -> Result<Parts<D>, KernelError> {
        let count = 2 * threads;
        Ok(Parts { buckets: self.allocate::<u32>(count)?, sums: self.allocate::<Fq>(count * SUM_ELEMENTS)? })
    }

    /// `sum(b * bucket[b])` for each set.
    fn weigh(&self, buckets: &D::Memory, count: usize, sets: usize) -> Result<Vec<G1>, KernelError> {
        let shape = Shape::cover(count.div_ceil(WEIGHED_PER_THREAD), POINT_BLOCK, sets);
        let (blocks, _) = shape.grid;
        let weighed = self.allocate::<Fq>(sets * blocks as usize * SUM_ELEMENTS)?;
        let arguments = [(&weighed).into(), buckets.into(), count.into(), WEIGHED_PER_THREAD.into()];
        self.launch(&self.msm, "msm_weigh", shape, &arguments)?;
        let totals = self.allocate::<Fq>(sets * SUM_ELEMENTS)?;
        let shape = Shape { grid: (narrow(sets), 1), block: POINT_BLOCK, shared: 0 };
        let arguments = [(&totals).into(), (&weighed).into(), blocks.into()];
        self.launch(&self.msm, "msm_total", shape, &arguments)?;
        let mut elements = vec![Fq::ZERO; sets * SUM_ELEMENTS];
        self.get(&totals, 0, &mut elements)?;
        Ok(elements.chunks_exact(SUM_ELEMENTS).map(point).collect())
    }
}

/// The point with x = X / ZZ and y = Y / ZZZ.
fn point(sum: &[Fq]) -> G1 {
    let inverses = Option::<Fq>::from(sum[2].invert()).zip(Option::<Fq>::from(sum[3].invert()));
    inverses.map_or(G1::identity(), |(zz, zzz)| G1Affine { x: sum[0] * zz, y: sum[1] * zzz }.to_curve())
}

/// Bits of a digit: what costs least for random scalars, in multiplications of the base field. A point costs ten for
/// each window. A bucket costs two additions of fourteen and its part in a multiplication, some fifty; few threads
/// share that work, so it is counted as more.
fn digit_bits(points: usize) -> u32 {
    let cost = |bits: u32| 10 * points * SCALAR_BITS.div_ceil(bits) as usize + 80 * (1 << (bits - 1));
    (4..=DIGIT_BITS_MAX).min_by_key(|&bits| cost(bits)).expect("the range is not empty")
}
