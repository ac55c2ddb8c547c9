//! Multiplication of points that never change.

use std::{ffi::c_int, sync::Arc};

use halo2curves_axiom::{
    ff::Field,
    group::{Group, prime::PrimeCurveAffine},
};

use super::{
    abi::AffinePoint,
    library::{KeptPoints, Library},
};
use crate::{Fr, G1, G1Affine, KernelError};

/// Points kept for each base. More would save few additions: the sums of buckets, of which this leaves two or four sets,
/// already cost less than those.
const PRECOMPUTE_FACTOR: c_int = 8;
/// Bounds of a window's bits. Narrower ones leave threads without buckets; wider ones cost more to sum up than they save.
const WINDOW_BITS: (u32, u32) = (8, 16);
/// Most scalars, in bytes, that one call takes: what is copied beside the columns themselves, and once more on the device.
const BATCH_BYTES_MAX: usize = 64 << 20;

/// Points that stay on the device, with multiples of each.
pub struct Bases {
    /// None where there are no points.
    points: Option<KeptPoints>,
}

impl Bases {
    /// Has ICICLE compute multiples. None of the points may be the identity.
    pub(super) fn new(library: &Arc<Library>, points: &[G1Affine]) -> Result<Self, KernelError> {
        if let Some(index) = points.iter().position(|point| bool::from(point.is_identity())) {
            return Err(KernelError::IdentityBase { index });
        }
        if points.is_empty() {
            return Ok(Self { points: None });
        }
        let points: Vec<AffinePoint> = points.iter().map(AffinePoint::from).collect();
        let kept = library.keep(&points, PRECOMPUTE_FACTOR, window_bits(points.len()))?;
        Ok(Self { points: Some(kept) })
    }

    /// Number of points.
    pub fn len(&self) -> usize {
        self.points.as_ref().map_or(0, KeptPoints::count)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.points.is_none()
    }

    /// One sum for each column of scalars, which may be shorter than the points.
    pub(super) fn sums(&self, columns: &[&Vec<Fr>]) -> Result<Vec<G1>, KernelError> {
        if let Some(column) = columns.iter().find(|column| column.len() > self.len()) {
            return Err(KernelError::LengthMismatch { scalars: column.len(), bases: self.len() });
        }
        let Some(points) = &self.points else { return Ok(vec![G1::identity(); columns.len()]) };
        let batch = (BATCH_BYTES_MAX / (points.count() * size_of::<Fr>())).max(1);
        let mut sums = Vec::with_capacity(columns.len());
        for columns in columns.chunks(batch) {
            for sum in points.sums(&side_by_side(columns, points.count()))? {
                sums.push(sum.to_curve("msm")?);
            }
        }
        Ok(sums)
    }
}

/// Columns after each other, all as long as there are points: where multiples of the first ones lie is ICICLE's secret.
fn side_by_side(columns: &[&Vec<Fr>], length: usize) -> Vec<Fr> {
    let mut scalars = Vec::with_capacity(columns.len() * length);
    for (index, column) in columns.iter().enumerate() {
        scalars.extend_from_slice(column);
        scalars.resize((index + 1) * length, Fr::ZERO);
    }
    scalars
}

/// Bits of a window, said to ICICLE whenever it is asked: its own choice need not be the same for multiples and sums.
fn window_bits(points: usize) -> c_int {
    let (min, max) = WINDOW_BITS;
    let bits = points.next_power_of_two().ilog2().clamp(min, max);
    c_int::try_from(bits).expect("windows have few bits")
}
