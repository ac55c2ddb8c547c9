//! Sums of points by bucket, in affine coordinates: an addition costs six multiplications when one inversion is shared by
//! all additions that do not wait for each other.

use halo2curves_axiom::group::prime::PrimeCurveAffine;

use super::{Arithmetic, addition::Adder, weighted};
use crate::{G1, G1Affine};

/// Points that are sorted and summed at a time: with the buckets they fit a core's second-level cache.
pub const CHUNK: usize = 1 << 13;

/// A point to be added to a bucket.
#[derive(Clone, Copy)]
pub struct Entry {
    /// The bucket.
    pub bucket: u32,
    /// The point's place in the table, and in the lowest bit whether it is to be negated.
    pub source: u32,
}

/// Buckets `1 ..= count`, and the points being added to them.
pub struct Buckets {
    count: usize,
    /// The buckets, then the points of a chunk.
    arena: Vec<G1Affine>,
    /// Where the points of each bucket begin within a chunk.
    starts: Vec<u32>,
    pairs: Vec<(u32, u32)>,
    adder: Adder,
    /// The last bucket that a point was added to.
    last_used: usize,
}

impl Buckets {
    /// Empty buckets.
    pub fn new(count: usize, arithmetic: Arithmetic) -> Self {
        let arena = vec![G1Affine::identity(); count + CHUNK];
        Self { count, arena, starts: Vec::new(), pairs: Vec::new(), adder: Adder::new(arithmetic), last_used: 1 }
    }

    /// Adds points of a table. The table may hold a point twice, and a point's negative, but not the identity.
    pub fn add(&mut self, entries: &[Entry], table: &[G1Affine]) {
        for chunk in entries.chunks(CHUNK) {
            self.sort(chunk, table);
            self.sum_runs();
        }
    }

    /// `sum(b * bucket[b])` over the buckets `1 ..= count`.
    pub fn weighted_sum(mut self) -> G1 {
        // Buckets behind the last one that was used are empty.
        let used = self.last_used.next_power_of_two();
        let sums = weighted::sum(&self.arena[..used], &mut self.adder);
        sums.weighted + sums.plain
    }

    /// Lays the points of a chunk behind the buckets, those of one bucket beside each other.
    fn sort(&mut self, chunk: &[Entry], table: &[G1Affine]) {
        self.starts.clear();
        self.starts.resize(self.count + 1, 0);
        for entry in chunk {
            self.starts[entry.bucket as usize] += 1;
        }
        let mut start = self.count as u32;
        for place in &mut self.starts {
            start += std::mem::replace(place, start);
        }
        for entry in chunk {
            let place = &mut self.starts[entry.bucket as usize];
            let point = table[(entry.source >> 1) as usize];
            self.arena[*place as usize] = if entry.source & 1 == 1 { -point } else { point };
            *place += 1;
        }
        // Each start has become the next one's: the end of its own run.
    }

    /// Sums the points of each bucket, halving their number each time, and then adds the sums to the buckets.
    fn sum_runs(&mut self) {
        let mut runs: Vec<(u32, u32)> = Vec::with_capacity(self.starts.len());
        let mut start = self.count as u32;
        for (bucket, &end) in self.starts.iter().enumerate() {
            if end > start {
                self.last_used = self.last_used.max(bucket);
                runs.push((bucket as u32, end - start));
            }
            start = end;
        }
        loop {
            self.pairs.clear();
            let mut start = self.count as u32;
            // Runs keep their places while they shrink, so a place is found by the ends that `sort` left.
            for (bucket, length) in &mut runs {
                let half = *length / 2;
                self.pairs.extend((0..half).map(|i| (start + i, start + *length - 1 - i)));
                *length -= half;
                start = self.starts[*bucket as usize];
            }
            if self.pairs.is_empty() {
                break;
            }
            self.adder.add_pairs(&mut self.arena, &self.pairs);
        }
        let mut start = self.count as u32;
        for (bucket, _) in &runs {
            self.pairs.push((bucket - 1, start));
            start = self.starts[*bucket as usize];
        }
        self.adder.add_pairs(&mut self.arena, &self.pairs);
    }
}
