//! The raw form of halo2: what `ParamsKZG::write` writes, with its coordinates in Montgomery form.
//!
//! ```text
//! k (u32)   2^k powers   2^k points of the Lagrange form   generator of the second group   its product with the secret
//! ```
//!
//! Nothing announces it, so its length must be exactly that.

use halo2_axiom::halo2curves::bn256::{G1Affine, G2Affine};

use super::{
    Powers, SrsError,
    source::{Source, point_bytes},
};

/// Largest string of the form: beyond it the scalar field has no domain.
const K_OF_FILE_MAX: u32 = 28;

/// Reads what follows the size, and of the points what is needed.
pub fn read(source: &mut Source<'_>, k: u32, k_needed: u32) -> Result<Powers, SrsError> {
    if !(1..=K_OF_FILE_MAX).contains(&k) {
        return Err(SrsError::UnknownForm);
    }
    let (expected, actual) = (encoded_bytes(k), source.length());
    if expected != actual {
        return Err(SrsError::Length { expected, actual });
    }
    if k < k_needed {
        return Err(SrsError::TooSmall { needed: k_needed, available: k });
    }
    let (all, wanted) = (1_u64 << k, 1_usize << k_needed);
    let point = point_bytes::<G1Affine>() as u64;
    let g = source.points("tauG1", wanted)?;
    // The Lagrange form of a longer string is not a part of this one's.
    let lagrange = if k == k_needed {
        Some(source.points("Lagrange", wanted)?)
    } else {
        source.skip((2 * all - wanted as u64) * point)?;
        None
    };
    let g2 = source.points::<G2Affine>("tauG2", 2)?;
    let (g2, s_g2) = (g2[0], g2[1]);
    Ok(Powers { available: k, g, lagrange, g2, s_g2 })
}

/// Bytes of a string in this form.
pub fn encoded_bytes(k: u32) -> u64 {
    let powers_and_lagrange = 2 * (1_u64 << k) * point_bytes::<G1Affine>() as u64;
    4 + powers_and_lagrange + 2 * point_bytes::<G2Affine>() as u64
}
