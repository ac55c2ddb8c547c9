//! Transforms in lanes.
//!
//! An element's place has a lane in its three highest bits during all stages but the last three, so that lanes never meet
//! and have the same twiddle factor. For the last stages blocks of eight by eight are turned over.
//!
//! A stage adds less than 2 p to the bound of what it works on, and there are at most 28: nothing is reduced on the way.

use super::{
    Ifma,
    field::{ALL, Lanes, split},
    memory::{load, load_slice, store_slice, transpose, words},
};
use crate::Fr;

/// Vectors below this many fit a core's second-level cache and are transformed stage by stage.
const LOG_BLOCK: u32 = 10;

/// The twiddle factors of a domain of at least 64 elements, times 2^260.
#[derive(Clone)]
pub struct Twiddles {
    ifma: Ifma,
    /// Those of the stages in which all lanes have the same.
    same: Vec<Vec<[u64; 5]>>,
    /// Those of the last three stages for each block: one vector, then two, then four.
    last: Vec<[Lanes<Fr>; 7]>,
}

impl Twiddles {
    /// From the factors of each stage.
    pub fn new(ifma: Ifma, stages: &[Vec<Fr>]) -> Self {
        let (same, last) = stages.split_at(stages.len() - 3);
        let same = same.iter().map(|stage| stage.iter().map(scaled).collect()).collect();
        // SAFETY: an `Ifma` exists only where the processor has the instructions.
        let last = unsafe { last_stages(last) };
        Self { ifma, same, last }
    }

    /// From coefficients to values, each times `factor`, in natural order both.
    pub fn run(&self, values: &mut [Fr], factor: Fr) {
        let Self { ifma: Ifma(()), same, last } = self;
        // SAFETY: an `Ifma` exists only where the processor has the instructions.
        unsafe { run(values, same, last, &scaled(&factor)) }
    }
}

/// From an element times 2^256, as memory has it, to one times 2^260.
fn scaled(element: &Fr) -> [u64; 5] {
    split(words(&(element * Fr::from(16))))
}

#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn last_stages(stages: &[Vec<Fr>]) -> Vec<[Lanes<Fr>; 7]> {
    let eighth = stages[0].len();
    let mut blocks = Vec::with_capacity(eighth / 8);
    for start in (0..eighth).step_by(8) {
        let mut factors = [Lanes::small(0); 7];
        for (factor, (stage, part)) in factors.iter_mut().zip([(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (2, 3)])
        {
            let (elements, _) = stages[stage][part * eighth + start..].as_chunks();
            // By 16 times 2^260.
            *factor = load_slice(&elements[0]).times(Lanes::splat(&scaled(&Fr::from(16)))).canonical();
        }
        blocks.push(factors);
    }
    blocks
}

#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn run(values: &mut [Fr], same: &[Vec<[u64; 5]>], last: &[[Lanes<Fr>; 7]], factor: &[u64; 5]) {
    let mut lanes = load_reversed(values);
    butterflies(&mut lanes, same);
    let eighth = values.len() / 8;
    let factor = Lanes::splat(factor);
    let (blocks, _) = lanes.as_chunks();
    for (index, (block, twiddles)) in blocks.iter().zip(last).enumerate() {
        let mut block = turn(block);
        last_butterflies(&mut block, twiddles);
        for (part, lanes) in block.into_iter().enumerate() {
            let (places, _) = values[part * eighth + 8 * index..].as_chunks_mut();
            store_slice(&mut places[0], lanes.times_loose(factor).canonical());
        }
    }
}

/// Values in bit-reversed order: eight neighbours, reversed among each other, are those that the lanes of a vector hold.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn load_reversed(values: &[Fr]) -> Vec<Lanes<Fr>> {
    let (blocks, _) = values.as_chunks::<8>();
    let mut lanes = Vec::with_capacity(blocks.len());
    for index in 0..blocks.len() {
        let [a, b, c, d, e, f, g, h] = &blocks[index.reverse_bits() >> (blocks.len().leading_zeros() + 1)];
        lanes.push(load([a, e, c, g, b, f, d, h]));
    }
    lanes
}

/// Decimation in time: halves first as long as they do not fit the cache.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn butterflies(lanes: &mut [Lanes<Fr>], stages: &[Vec<[u64; 5]>]) {
    if stages.len() as u32 <= LOG_BLOCK {
        for stage in stages {
            butterfly(lanes, stage);
        }
    } else if let Some((last, stages)) = stages.split_last() {
        let (left, right) = lanes.split_at_mut(last.len());
        butterflies(left, stages);
        butterflies(right, stages);
        butterfly(lanes, last);
    }
}

#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn butterfly(lanes: &mut [Lanes<Fr>], twiddles: &[[u64; 5]]) {
    for block in lanes.chunks_exact_mut(2 * twiddles.len()) {
        let (left, right) = block.split_at_mut(twiddles.len());
        for ((left, right), twiddle) in left.iter_mut().zip(right).zip(twiddles) {
            (*left, *right) = cross(*left, *right, Lanes::splat(twiddle));
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn cross(left: Lanes<Fr>, right: Lanes<Fr>, twiddle: Lanes<Fr>) -> (Lanes<Fr>, Lanes<Fr>) {
    // Below 1.7 p: what is multiplied is below 57 p.
    let turned = right.times_loose(twiddle);
    (left.plus(turned).tight(), left.minus(turned).plus_primes(ALL, 2).tight())
}

/// Eight vectors of eight lanes, turned over.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn turn(block: &[Lanes<Fr>; 8]) -> [Lanes<Fr>; 8] {
    let mut turned = *block;
    for limb in 0..5 {
        let [a, b, c, d, e, f, g, h] = block;
        let columns = transpose([
            a.limbs[limb],
            b.limbs[limb],
            c.limbs[limb],
            d.limbs[limb],
            e.limbs[limb],
            f.limbs[limb],
            g.limbs[limb],
            h.limbs[limb],
        ]);
        for (turned, column) in turned.iter_mut().zip(columns) {
            turned.limbs[limb] = column;
        }
    }
    turned
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn last_butterflies(block: &mut [Lanes<Fr>; 8], twiddles: &[Lanes<Fr>; 7]) {
    for (half, twiddles) in [(1, &twiddles[..1]), (2, &twiddles[1..3]), (4, &twiddles[3..])] {
        for part in block.chunks_exact_mut(2 * half) {
            let (left, right) = part.split_at_mut(half);
            for ((left, right), twiddle) in left.iter_mut().zip(right).zip(twiddles) {
                (*left, *right) = cross(*left, *right, *twiddle);
            }
        }
    }
}
