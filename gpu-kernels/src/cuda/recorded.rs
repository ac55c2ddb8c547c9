//! Small sums over fixed bases, recorded once and repeated.
//!
//! A sum takes some fifteen kernels. On a few thousand points each runs for microseconds, less than it takes to start
//! it, so the whole sequence is recorded as one graph of the driver's. It must not depend on what the scalars are: room
//! and threads are for the most digits that there can be, and how many there are stays on the device. This module never
//! records a large sum, of which most would be waste when digits are few.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use halo2curves_axiom::bn256::Fq;

use super::{
    device::{Device, Memory},
    msm::Layout,
    plain::bytes,
    polynomial::scan_chunks,
    runtime::{Kernels, Runtime, Vector, narrow},
    steps::{Parts, SHARE_MIN, SUM_ELEMENTS, Scalars, Steps, place_of, weighed_blocks},
};
use crate::{G1, KernelError};

/// Digits of a recorded sum, at most: one column of 2^13 scalars. They take some ten megabytes.
const ENTRIES_MAX: usize = 1 << 18;
/// Recordings of a lane, at most: a proof commits to few different numbers of columns. The oldest makes room.
const RECORDINGS_MAX: usize = 6;

/// What a lane has recorded.
pub(super) struct Recorded<D: Device> {
    /// Whether the device refused to record; it is not asked again.
    is_refused: AtomicBool,
    sums: Mutex<VecDeque<(Key, SharedSum<D>)>>,
}

/// A sum that callers take turns with.
type SharedSum<D> = Arc<Mutex<Sum<D>>>;

/// Which sum: the bases, and the number of columns.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub bases: u64,
    pub columns: usize,
}

/// A sum with its memory, which one caller uses at a time.
struct Sum<D: Device> {
    // Before the memory that it uses.
    recording: D::Recording,
    arena: Arena<D>,
}

impl<D: Device> Default for Recorded<D> {
    fn default() -> Self {
        Self { is_refused: AtomicBool::new(false), sums: Mutex::default() }
    }
}

impl<D: Device> Recorded<D> {
    /// Keeps a recording. One over bases that are no more is never found, and goes with time.
    fn keep(&self, key: Key, sum: SharedSum<D>) {
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        if sums.len() == RECORDINGS_MAX {
            sums.pop_front();
        }
        sums.push_back((key, sum));
    }

    fn find(&self, key: Key) -> Option<SharedSum<D>> {
        let sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        sums.iter().find(|(of, _)| *of == key).map(|(_, sum)| Arc::clone(sum))
    }
}

impl<D: Device> Runtime<D> {
    /// The sums of short columns, by a recording. None where there is none and none can be made: for large sums, and on
    /// a device that does not record or has no room for it.
    pub fn recorded_sums(
        &self,
        key: Key,
        layout: Layout,
        count: usize,
        columns: &[&Vector<D>],
        table: &D::Memory,
    ) -> Result<Option<Vec<G1>>, KernelError> {
        let is_small = layout.entries(count) * columns.len() <= ENTRIES_MAX;
        if columns.is_empty() || count == 0 || !is_small || self.recorded.is_refused.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let sum = match self.recorded.find(key) {
            Some(sum) => sum,
            None => match self.record_sum(layout, count, columns.len(), table) {
                Ok(Some(sum)) => {
                    let sum = Arc::new(Mutex::new(sum));
                    self.recorded.keep(key, Arc::clone(&sum));
                    sum
                }
                Ok(None) => {
                    self.recorded.is_refused.store(true, Ordering::Relaxed);
                    return Ok(None);
                }
                Err(KernelError::Memory { .. }) => return Ok(None),
                Err(error) => return Err(error),
            },
        };
        let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
        let Sum { recording, arena } = &mut *sum;
        arena.give(self, columns)?;
        self.replay(recording)?;
        arena.take(self).map(Some)
    }

    fn record_sum(
        &self,
        layout: Layout,
        count: usize,
        columns: usize,
        table: &D::Memory,
    ) -> Result<Option<Sum<D>>, KernelError> {
        let mut arena = Arena::new(self, layout, count, columns)?;
        let recording = self.device.record(&mut |device| arena.ask(device, &self.kernels, table))?;
        Ok(recording.map(|recording| Sum { recording, arena }))
    }
}

/// Memory of a sum whose sequence of kernels does not depend on its scalars.
struct Arena<D: Device> {
    layout: Layout,
    columns: usize,
    /// Length of the longest column that there can be.
    longest: usize,
    addresses: D::Memory,
    lengths: D::Memory,
    places: D::Memory,
    chunk_totals: D::Memory,
    entries: D::Memory,
    buckets: D::Memory,
    parts: Vec<Parts<D>>,
    weighed: D::Memory,
    totals: D::Memory,
}

impl<D: Device> Arena<D> {
    /// Room for the most digits that columns of at most `longest` scalars can have, with a set of buckets for each.
    fn new(runtime: &Runtime<D>, layout: Layout, longest: usize, columns: usize) -> Result<Self, KernelError> {
        let (entries, places) = (columns * layout.entries(longest), columns * layout.buckets() + 1);
        Ok(Self {
            layout,
            columns,
            longest,
            addresses: runtime.allocate::<u64>(columns)?,
            lengths: runtime.allocate::<u32>(columns)?,
            places: runtime.allocate::<u32>(places)?,
            chunk_totals: runtime.allocate::<u32>(scan_chunks(places).1)?,
            entries: runtime.allocate::<[u32; 2]>(entries)?,
            buckets: runtime.allocate::<Fq>(columns * layout.buckets() * SUM_ELEMENTS)?,
            parts: Parts::cascade(runtime, entries.div_ceil(SHARE_MIN))?,
            weighed: runtime.allocate::<Fq>(columns * weighed_blocks(layout.buckets()) * SUM_ELEMENTS)?,
            totals: runtime.allocate::<Fq>(columns * SUM_ELEMENTS)?,
        })
    }

    /// All kernels of the sum, in order.
    fn ask(&mut self, device: &D, kernels: &Kernels<D>, table: &D::Memory) -> Result<(), KernelError> {
        device.clear(&mut self.places)?;
        device.clear(&mut self.buckets)?;
        let steps = Steps { device, kernels };
        let scalars = Scalars {
            addresses: &self.addresses,
            lengths: &self.lengths,
            columns: self.columns,
            longest: self.longest,
        };
        let places = self.columns * self.layout.buckets() + 1;
        steps.count(self.layout, &scalars, &self.places)?;
        steps.place(&self.places, &self.chunk_totals, places)?;
        steps.scatter(self.layout, &scalars, &self.places, &self.entries)?;
        let total = place_of(&self.places, places - 1);
        steps.fill(&self.buckets, [&self.entries, table], total, SHARE_MIN, &self.parts)?;
        steps.weigh(&self.buckets, self.layout.buckets(), self.columns, [&self.weighed, &self.totals])
    }

    /// Says which columns are to be summed next.
    fn give(&mut self, runtime: &Runtime<D>, columns: &[&Vector<D>]) -> Result<(), KernelError> {
        let addresses: Vec<u64> = columns.iter().map(|column| column.memory().address()).collect();
        let lengths: Vec<u32> = columns.iter().map(|column| narrow(column.len())).collect();
        runtime.device.write(&mut self.addresses, bytes(&addresses))?;
        runtime.device.write(&mut self.lengths, bytes(&lengths))
    }

    /// Waits for the sums.
    fn take(&self, runtime: &Runtime<D>) -> Result<Vec<G1>, KernelError> {
        runtime.points(&self.totals, self.columns)
    }
}
