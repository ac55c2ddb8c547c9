//! The arithmetic of the kernels in eight lanes, for processors that multiply 52-bit integers in vectors (AVX-512 IFMA).
//!
//! It is taken only where [`Ifma::detect`] finds it; the scalar arithmetic beside it is its oracle.

mod field;
mod memory;
mod points;
mod rows;
#[cfg(test)]
mod tests;
mod transform;

pub use points::Chains;
pub use rows::run as run_rows;
pub use transform::Twiddles;

/// Shows that this processor has the instructions: whoever holds one may call what needs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ifma(());

impl Ifma {
    /// Asks the processor.
    pub fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512ifma");
        found.then_some(Self(()))
    }
}
