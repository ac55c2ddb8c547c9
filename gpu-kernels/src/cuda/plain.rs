//! Host memory as the bytes that a device keeps: this crate's only casts between the two.
//!
//! Field elements are four words of 64 bits in Montgomery form on both sides, so nothing is converted.

use std::mem::{offset_of, size_of};

use halo2curves_axiom::bn256::Fq;

use crate::{Fr, G1Affine};

/// Types without padding, for which any bytes that a device writes are a value.
///
/// # Safety
/// An implementation must have no padding, and every pattern of bits must be memory-safe to read as it.
pub(super) unsafe trait Plain: Copy {}

// SAFETY: a word of 32 bits has no padding, and every pattern is a value.
unsafe impl Plain for u32 {}
// SAFETY: as above, for 64 bits.
unsafe impl Plain for u64 {}
// SAFETY: two words of 32 bits and nothing between them.
unsafe impl Plain for [u32; 2] {}
// SAFETY: `Fr` has one field, four words of 64 bits (the assertion below holds it to that size). A pattern that is not
// reduced would be a wrong number, but no invalid value.
unsafe impl Plain for Fr {}
// SAFETY: as for `Fr`.
unsafe impl Plain for Fq {}
// SAFETY: two `Fq` and nothing between them, as asserted below.
unsafe impl Plain for G1Affine {}

const _: () = {
    assert!(size_of::<Fr>() == 32 && size_of::<Fq>() == 32 && size_of::<G1Affine>() == 64);
    // The kernels read x before y.
    assert!(offset_of!(G1Affine, x) == 0 && offset_of!(G1Affine, y) == 32);
};

/// The bytes of a slice.
pub(super) fn bytes<T: Plain>(values: &[T]) -> &[u8] {
    // SAFETY: the slice is valid for its size in bytes, bytes need no alignment, and `Plain` types have no padding.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

/// The bytes of a slice, to be written.
pub(super) fn bytes_mut<T: Plain>(values: &mut [T]) -> &mut [u8] {
    // SAFETY: as for `bytes`; whatever is written is a value, since `Plain` types take any bits.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size_of_val(values)) }
}
