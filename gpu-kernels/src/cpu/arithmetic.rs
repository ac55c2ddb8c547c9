//! How the kernels compute: the choice is a value, so that every way can be tested beside the others.

use super::ifma::Ifma;

/// A way of computing. All of them give the same numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arithmetic(Option<Ifma>);

impl Arithmetic {
    /// One element after the other, on any processor: the oracle of the other ways.
    pub const SCALAR: Self = Self(None);

    /// The quickest way that this processor has.
    pub fn detect() -> Self {
        Self(Ifma::detect())
    }

    /// Whether elements are computed eight at a time.
    pub fn is_vector(self) -> bool {
        self.0.is_some()
    }

    pub(super) fn lanes(self) -> Option<Ifma> {
        self.0
    }
}
