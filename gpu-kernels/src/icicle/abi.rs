//! What crosses to ICICLE, laid out as its headers of version 4.0 lay it out (`device.h`, `msm.h`, `ntt.h`, `vec_ops.h`).
//!
//! Names are ours, order and types are the headers'. Flags default to what this crate needs: everything on the host, nothing in
//! Montgomery form, blocking calls.

use std::{
    ffi::{c_char, c_int, c_void},
    ptr,
};

use halo2curves_axiom::{
    CurveAffine,
    bn256::Fq,
    ff::{Field, PrimeField},
    group::{Group, prime::PrimeCurveAffine},
};

use crate::{Fr, G1, G1Affine, KernelError};

/// Bytes of a device's name, with the zero that ends it.
const NAME_BYTES: usize = 64;

/// A number below a modulus of BN254: 256 bits, least significant word first, not in Montgomery form.
pub type Number = [u64; 4];

/// `Device`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Device {
    /// Its kind, such as `CUDA`, ended by a zero.
    pub kind: [c_char; NAME_BYTES],
    /// Its number among those of its kind.
    pub ordinal: c_int,
}

impl Device {
    /// The device of a kind with a number. A kind that is too long is cut.
    pub fn new(kind: &str, ordinal: c_int) -> Self {
        let mut name = [0; NAME_BYTES];
        for (to, from) in name[..NAME_BYTES - 1].iter_mut().zip(kind.bytes()) {
            *to = c_char::from_ne_bytes([from]);
        }
        Self { kind: name, ordinal }
    }
}

/// `MSMConfig`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct MsmConfig {
    /// Where the work is queued; the device's default if null.
    pub stream: *mut c_void,
    /// Points kept for each base.
    pub precompute_factor: c_int,
    /// Bits of a window; chosen by ICICLE if zero.
    pub window_bits: c_int,
    /// Bits of a scalar; those of the field if zero.
    pub scalar_bits: c_int,
    /// Sums to compute.
    pub batch_size: c_int,
    /// Whether all sums are over the same points.
    pub are_points_shared_in_batch: bool,
    /// Whether scalars are in the device's memory.
    pub are_scalars_on_device: bool,
    /// Whether scalars are in Montgomery form.
    pub are_scalars_montgomery_form: bool,
    /// Whether points are in the device's memory.
    pub are_points_on_device: bool,
    /// Whether coordinates are in Montgomery form.
    pub are_points_montgomery_form: bool,
    /// Whether results go to the device's memory.
    pub are_results_on_device: bool,
    /// Whether the call returns before the work is done.
    pub is_async: bool,
    /// Settings of one backend.
    pub extension: *mut c_void,
}

impl Default for MsmConfig {
    fn default() -> Self {
        Self {
            stream: ptr::null_mut(),
            precompute_factor: 1,
            window_bits: 0,
            scalar_bits: 0,
            batch_size: 1,
            are_points_shared_in_batch: true,
            are_scalars_on_device: false,
            are_scalars_montgomery_form: false,
            are_points_on_device: false,
            are_points_montgomery_form: false,
            are_results_on_device: false,
            is_async: false,
            extension: ptr::null_mut(),
        }
    }
}

/// `NTTConfig` over the scalar field.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct NttConfig {
    /// Where the work is queued.
    pub stream: *mut c_void,
    /// What the domain is shifted by.
    pub coset_generator: Number,
    /// Vectors to transform.
    pub batch_size: c_int,
    /// Whether vectors are the columns of a matrix.
    pub columns_batch: bool,
    /// Order of input and output; both natural if zero.
    pub ordering: c_int,
    /// Whether the input is in the device's memory.
    pub are_inputs_on_device: bool,
    /// Whether the output goes to the device's memory.
    pub are_outputs_on_device: bool,
    /// Whether the call returns before the work is done.
    pub is_async: bool,
    /// Settings of one backend.
    pub extension: *mut c_void,
}

impl NttConfig {
    /// A transform on a shifted domain; by one for the domain itself.
    pub fn shifted(shift: Number) -> Self {
        Self {
            stream: ptr::null_mut(),
            coset_generator: shift,
            batch_size: 1,
            columns_batch: false,
            ordering: 0,
            are_inputs_on_device: false,
            are_outputs_on_device: false,
            is_async: false,
            extension: ptr::null_mut(),
        }
    }
}

/// `NTTInitDomainConfig`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct DomainConfig {
    /// Where the work is queued.
    pub stream: *mut c_void,
    /// Whether the call returns before the work is done.
    pub is_async: bool,
    /// Settings of one backend.
    pub extension: *mut c_void,
}

impl Default for DomainConfig {
    fn default() -> Self {
        Self { stream: ptr::null_mut(), is_async: false, extension: ptr::null_mut() }
    }
}

/// `VecOpsConfig`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct VectorConfig {
    /// Where the work is queued.
    pub stream: *mut c_void,
    /// Whether the first operand is in the device's memory.
    pub is_left_on_device: bool,
    /// Whether the second is.
    pub is_right_on_device: bool,
    /// Whether the result goes there.
    pub is_result_on_device: bool,
    /// Whether the call returns before the work is done.
    pub is_async: bool,
    /// Operations of this sort.
    pub batch_size: c_int,
    /// Whether vectors are the columns of a matrix.
    pub columns_batch: bool,
    /// Settings of one backend.
    pub extension: *mut c_void,
}

impl Default for VectorConfig {
    fn default() -> Self {
        Self {
            stream: ptr::null_mut(),
            is_left_on_device: false,
            is_right_on_device: false,
            is_result_on_device: false,
            is_async: false,
            batch_size: 1,
            columns_batch: false,
            extension: ptr::null_mut(),
        }
    }
}

/// `Affine`: the identity has both coordinates zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct AffinePoint {
    /// First coordinate.
    pub x: Number,
    /// Second coordinate.
    pub y: Number,
}

impl From<&G1Affine> for AffinePoint {
    fn from(point: &G1Affine) -> Self {
        Self { x: number(&point.x), y: number(&point.y) }
    }
}

/// `Projective`, homogeneous: the point `(x / z, y / z)`, and the identity where `z` is zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ProjectivePoint {
    /// First coordinate.
    pub x: Number,
    /// Second coordinate.
    pub y: Number,
    /// What both are divided by.
    pub z: Number,
}

impl ProjectivePoint {
    /// The point, unless this is none of the curve.
    pub fn to_curve(&self, operation: &'static str) -> Result<G1, KernelError> {
        let wrong = KernelError::Wrong { operation };
        let [x, y, z] = [self.x, self.y, self.z].map(coordinate);
        let (Some(x), Some(y), Some(z)) = (x, y, z) else { return Err(wrong) };
        let Some(inverse) = Option::<Fq>::from(z.invert()) else {
            // The curve's only point at infinity. Memory that was never written to is none.
            let is_identity = bool::from(x.is_zero() & !y.is_zero());
            return if is_identity { Ok(G1::identity()) } else { Err(wrong) };
        };
        let point = Option::<G1Affine>::from(G1Affine::from_xy(x * inverse, y * inverse));
        point.map(|point| point.to_curve()).ok_or(wrong)
    }
}

/// A field element as ICICLE's number.
pub fn number<F: PrimeField<Repr = [u8; 32]>>(element: &F) -> Number {
    let bytes = element.to_repr();
    std::array::from_fn(|word| u64::from_le_bytes(std::array::from_fn(|byte| bytes[8 * word + byte])))
}

/// The coordinate that a number is, if it is below the modulus.
fn coordinate(number: Number) -> Option<Fq> {
    let bytes: [u8; 32] = std::array::from_fn(|byte| number[byte / 8].to_le_bytes()[byte % 8]);
    Fq::from_repr(bytes).into()
}

/// Field elements lie in memory as their number times 2^256, which every linear operation of ICICLE keeps.
const _: () = assert!(size_of::<Fr>() == size_of::<Number>() && align_of::<Fr>() == align_of::<Number>());
