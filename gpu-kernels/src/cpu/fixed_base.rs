//! Multi-scalar multiplication over points that never change.
//!
//! The bucket method cuts scalars into windows and pays, for each window, a set of buckets to sum up and as many doublings
//! as it has bits. Multiples of the points by the powers of two at which windows begin, kept in a table, leave one set of
//! buckets and no doublings (Brickell, Gordon, McCurley and Wilson, 1992; with signed digits).

use halo2curves_axiom::{
    ff::PrimeField,
    group::{Curve, Group, prime::PrimeCurveAffine},
};
use rayon::prelude::*;

use super::{
    Arithmetic,
    buckets::{Buckets, CHUNK, Entry},
};
use crate::{Fr, G1, G1Affine, KernelError};

/// Bits of a scalar's absolute value, and one for the carry of signed digits.
const SCALAR_BITS: u32 = 254;
/// The order of the group, lowest limb first.
const ORDER: [u64; 4] = [0x43e1f593f0000001, 0x2833e84879b97091, 0xb85045b68181585d, 0x30644e72e131a029];
/// Fewest points for which a multiplication is worth cutting between threads.
const SPLIT_MIN: usize = 1 << 10;

/// Multiples of fixed points.
#[derive(Clone)]
pub struct FixedBases {
    count: usize,
    digit_bits: u32,
    arithmetic: Arithmetic,
    /// By window, then point.
    multiples: Vec<G1Affine>,
}

impl FixedBases {
    /// Computes the table, some 22 points for each base.
    pub fn new(bases: &[G1Affine]) -> Result<Self, KernelError> {
        Self::with_arithmetic(bases, Arithmetic::detect())
    }

    /// The same, for multiplications that compute in a certain way.
    pub fn with_arithmetic(bases: &[G1Affine], arithmetic: Arithmetic) -> Result<Self, KernelError> {
        if let Some(index) = bases.iter().position(|base| bool::from(base.is_identity())) {
            return Err(KernelError::IdentityBase { index });
        }
        let digit_bits = digit_bits(bases.len());
        let windows = SCALAR_BITS.div_ceil(digit_bits) as usize;
        let mut multiples = vec![G1Affine::identity(); windows * bases.len()];
        if !bases.is_empty() {
            // A column of the table at a time, so that columns can be computed beside each other.
            let parts = bases.len().div_ceil(rayon::current_num_threads()).max(1);
            let columns: Vec<Vec<G1Affine>> =
                bases.par_chunks(parts).map(|bases| multiples_of(bases, digit_bits, windows)).collect();
            for (part, column) in columns.iter().enumerate() {
                let width = column.len() / windows;
                for (window, row) in column.chunks_exact(width).enumerate() {
                    let start = window * bases.len() + part * parts;
                    multiples[start..start + width].copy_from_slice(row);
                }
            }
        }
        Ok(Self { count: bases.len(), digit_bits, arithmetic, multiples })
    }

    /// Number of bases.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Memory of the table.
    pub fn bytes(&self) -> usize {
        self.multiples.len() * size_of::<G1Affine>()
    }

    /// `sum(scalars[i] * bases[i])`. There may be fewer scalars than bases; missing ones are zero. Small scalars, and small
    /// negatives, cost less.
    pub fn msm(&self, scalars: &[Fr]) -> Result<G1, KernelError> {
        Ok(self.msm_many(&[scalars])?[0])
    }

    /// One sum for each column of scalars.
    pub fn msm_many(&self, columns: &[&[Fr]]) -> Result<Vec<G1>, KernelError> {
        if let Some(column) = columns.iter().find(|column| column.len() > self.count) {
            return Err(KernelError::LengthMismatch { scalars: column.len(), bases: self.count });
        }
        let threads = rayon::current_num_threads();
        let sum = |scalars: &[Fr]| -> G1 {
            if columns.len() >= threads || scalars.len() < SPLIT_MIN {
                return self.sum_part(scalars, 0);
            }
            let width = scalars.len().div_ceil(threads.div_ceil(columns.len())).max(1);
            let parts = scalars.par_chunks(width).enumerate();
            parts.map(|(part, scalars)| self.sum_part(scalars, part * width)).sum()
        };
        Ok(columns.par_iter().map(|scalars| sum(scalars)).collect())
    }

    /// The sum over some scalars, the first of which belongs to the base `first`.
    fn sum_part(&self, scalars: &[Fr], first: usize) -> G1 {
        let digits: Vec<Digits> = scalars.iter().map(Digits::new).collect();
        let used = digits.iter().map(|digits| digits.windows(self.digit_bits)).max().unwrap_or(0);
        let mut buckets = Buckets::new(1 << (self.digit_bits - 1), self.arithmetic);
        let mut carries = vec![0_u32; digits.len()];
        let mut entries = Vec::with_capacity(digits.len().max(CHUNK));
        for window in 0..used {
            // Windows of few points go together: what an addition costs falls with the number of them.
            if entries.len() + digits.len() > CHUNK {
                buckets.add(&entries, &self.multiples);
                entries.clear();
            }
            for (index, (digits, carry)) in digits.iter().zip(&mut carries).enumerate() {
                let (digit, is_negative) = digits.take(window, self.digit_bits, carry);
                if digit > 0 {
                    let place = window as usize * self.count + first + index;
                    let source = u32::try_from(place << 1).expect("tables have below 2^31 points");
                    entries.push(Entry { bucket: digit, source: source | u32::from(is_negative) });
                }
            }
        }
        buckets.add(&entries, &self.multiples);
        buckets.weighted_sum()
    }
}

/// A scalar's absolute value, the one of `s` and `r - s` that is smaller, and its sign.
struct Digits {
    limbs: [u64; 4],
    is_negative: bool,
}

impl Digits {
    fn new(scalar: &Fr) -> Self {
        let positive = limbs(scalar);
        let negative = difference(ORDER, positive);
        let is_negative = negative.iter().rev().lt(positive.iter().rev());
        Self { limbs: if is_negative { negative } else { positive }, is_negative }
    }

    /// Windows that can hold a digit, the last carry included.
    fn windows(&self, digit_bits: u32) -> u32 {
        let top = self.limbs.iter().rposition(|&limb| limb > 0);
        let bits = top.map_or(0, |limb| 64 * (limb as u32 + 1) - self.limbs[limb].leading_zeros());
        if bits == 0 { 0 } else { (bits + 1).div_ceil(digit_bits) }
    }

    /// The digit of a window, between `-2^(bits - 1)` and `2^(bits - 1)`, as its absolute value and whether the point is
    /// to be subtracted. Windows are taken in order, with one carry between them.
    fn take(&self, window: u32, digit_bits: u32, carry: &mut u32) -> (u32, bool) {
        let (bit, mask) = (window * digit_bits, (1_u64 << digit_bits) - 1);
        let (limb, shift) = ((bit / 64) as usize, bit % 64);
        let low = self.limbs.get(limb).map_or(0, |value| value >> shift);
        let high = if shift == 0 { 0 } else { self.limbs.get(limb + 1).map_or(0, |value| value << (64 - shift)) };
        let digit = ((low | high) & mask) as u32 + *carry;
        *carry = u32::from(digit > 1 << (digit_bits - 1));
        if *carry == 1 { ((1 << digit_bits) - digit, !self.is_negative) } else { (digit, self.is_negative) }
    }
}

fn limbs(scalar: &Fr) -> [u64; 4] {
    let bytes = scalar.to_repr();
    std::array::from_fn(|limb| u64::from_le_bytes(bytes[8 * limb..8 * limb + 8].try_into().expect("eight bytes")))
}

/// The larger number minus the smaller one.
fn difference(larger: [u64; 4], smaller: [u64; 4]) -> [u64; 4] {
    let mut borrow = false;
    std::array::from_fn(|limb| {
        let (difference, first) = larger[limb].overflowing_sub(smaller[limb]);
        let (difference, second) = difference.overflowing_sub(u64::from(borrow));
        borrow = first | second;
        difference
    })
}

/// For some bases, their multiples by window.
fn multiples_of(bases: &[G1Affine], digit_bits: u32, windows: usize) -> Vec<G1Affine> {
    let mut multiples = vec![G1Affine::identity(); windows * bases.len()];
    multiples[..bases.len()].copy_from_slice(bases);
    for window in 1..windows {
        let (before, rest) = multiples[(window - 1) * bases.len()..].split_at_mut(bases.len());
        let doubled: Vec<G1> =
            before.iter().map(|point| (0..digit_bits).fold(point.to_curve(), |point, _| point.double())).collect();
        G1::batch_normalize(&doubled, &mut rest[..bases.len()]);
    }
    multiples
}

/// Bits of a digit: what costs least for random scalars, in multiplications of the base field. A point costs six for each
/// window, a bucket two such additions and a little more.
fn digit_bits(bases: usize) -> u32 {
    let cost = |bits: u32| 6 * bases * SCALAR_BITS.div_ceil(bits) as usize + 13 * (1 << (bits - 1));
    (4..=15).min_by_key(|&bits| cost(bits)).expect("the range is not empty")
}
