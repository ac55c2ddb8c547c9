//! Multi-scalar multiplication: points sorted by digit, equal shares of the sorted list summed, buckets weighed.
//!
//! Over fixed bases a table of multiples leaves one set of buckets for each column of scalars. Points that are used
//! once have a set for each window of digits, and the host doubles between them.

use std::sync::atomic::{AtomicU64, Ordering};

use halo2curves_axiom::{
    bn256::Fq,
    ff::Field,
    group::{Group, prime::PrimeCurveAffine},
};

use super::{
    device::{Argument, Device, Memory, Shape},
    plain::bytes,
    polynomial::Scan,
    recorded::Key,
    runtime::{Runtime, Vector, narrow},
    steps::{Parts, SHARE_MIN, SUM_ELEMENTS, Scalars, Steps, place_of, weighed_blocks},
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
/// Points in a thread's share, at most: more threads than a large device holds, and few sums left over.
const SHARE_MAX: usize = 64;
/// Threads that shares are cut for.
const SHARE_THREADS: usize = 1 << 16;

/// Multiples of fixed points.
pub struct Bases<D: Device> {
    /// Tells bases apart, for as long as the program runs.
    id: u64,
    count: usize,
    digit_bits: u32,
    /// By window, then point.
    table: D::Memory,
}

/// Where digits go in buckets and table; the kernels' `Layout`.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    digit_bits: u32,
    windows: u32,
    column_stride: u32,
    window_stride: u32,
    table_stride: u32,
}

impl Layout {
    pub fn argument(self) -> Argument {
        Argument::Numbers([self.digit_bits, self.windows, self.column_stride, self.window_stride, self.table_stride])
    }

    /// Buckets of a set.
    pub fn buckets(self) -> usize {
        1 << (self.digit_bits - 1)
    }

    /// Digits of so many scalars, at most.
    pub fn entries(self, scalars: usize) -> usize {
        self.windows as usize * scalars
    }
}

impl<D: Device> Bases<D> {
    pub(super) fn new(runtime: &Runtime<D>, points: &[G1Affine]) -> Result<Self, KernelError> {
        if let Some(index) = points.iter().position(|point| bool::from(point.is_identity())) {
            return Err(KernelError::IdentityBase { index });
        }
        let digit_bits = digit_bits(points.len());
        let windows = SCALAR_BITS.div_ceil(digit_bits);
        let size = size_of_val(points);
        let mut table = runtime.allocate::<G1Affine>(points.len() * windows as usize)?;
        if !points.is_empty() {
            runtime.device.write(&mut table, bytes(points))?;
        }
        for window in 1..windows as usize {
            let [next, previous] =
                [window, window - 1].map(|window| Argument::Address(table.address() + (window * size) as u64));
            let arguments = [next, previous, points.len().into(), digit_bits.into()];
            let shape = Shape::cover(points.len(), POINT_BLOCK, 1);
            runtime.launch(&runtime.kernels.msm, "msm_multiples", shape, &arguments)?;
        }
        static BASES: AtomicU64 = AtomicU64::new(0);
        let id = BASES.fetch_add(1, Ordering::Relaxed);
        Ok(Self { id, count: points.len(), digit_bits, table })
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
        let key = Key { bases: self.id, columns: columns.len() };
        if let Some(sums) = runtime.recorded_sums(key, layout, self.count, columns, &self.table)? {
            return Ok(sums);
        }
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
        let vectors = || columns.iter().copied();
        let (addresses, lengths) = (self.addresses(vectors())?, self.lengths(vectors())?);
        let longest = columns.iter().map(|column| column.len()).max().unwrap_or(0);
        let scalars = Scalars { addresses: &addresses, lengths: &lengths, columns: columns.len(), longest };
        let buckets = self.zeros::<Fq>(sets * layout.buckets() * SUM_ELEMENTS)?;
        self.sort_and_fill(layout, &scalars, sets, &buckets, table)?;
        let weighed = self.allocate::<Fq>(sets * weighed_blocks(layout.buckets()) * SUM_ELEMENTS)?;
        let totals = self.allocate::<Fq>(sets * SUM_ELEMENTS)?;
        self.give_way()?;
        self.steps().weigh(&buckets, layout.buckets(), sets, [&weighed, &totals])?;
        self.points(&totals, sets)
    }

    /// How many points there are decides on the room for them, and on how they are shared out.
    fn sort_and_fill(
        &self,
        layout: Layout,
        scalars: &Scalars<'_, D::Memory>,
        sets: usize,
        buckets: &D::Memory,
        table: &D::Memory,
    ) -> Result<(), KernelError> {
        // One more than there are buckets: after the scan it says how many points there are.
        let count = sets * layout.buckets() + 1;
        let mut places = self.zeros::<u32>(count)?;
        self.give_way()?;
        self.steps().count(layout, scalars, &places)?;
        self.scan::<u32>(Scan::COUNT, &mut places, count)?;
        let mut total = [0_u32];
        self.get(&places, count - 1, &mut total)?;
        let points = total[0] as usize;
        if points == 0 {
            return Ok(());
        }
        let entries = self.allocate::<[u32; 2]>(points)?;
        self.give_way()?;
        self.steps().scatter(layout, scalars, &places, &entries)?;
        let share = (points / SHARE_THREADS).clamp(SHARE_MIN, SHARE_MAX);
        let parts = Parts::cascade(self, points.div_ceil(share))?;
        self.give_way()?;
        self.steps().fill(buckets, [&entries, table], place_of(&places, count - 1), share, &parts)
    }

    fn steps(&self) -> Steps<'_, D> {
        Steps { device: &self.device, kernels: &self.kernels }
    }

    /// The sums brought back.
    pub fn points(&self, totals: &D::Memory, sets: usize) -> Result<Vec<G1>, KernelError> {
        let mut elements = vec![Fq::ZERO; sets * SUM_ELEMENTS];
        self.get(totals, 0, &mut elements)?;
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
