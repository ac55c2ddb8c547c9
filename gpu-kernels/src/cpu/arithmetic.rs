//! How the kernels compute: the choice is a value, so that every way can be tested beside the others.

use std::sync::atomic::{AtomicBool, Ordering};

use super::ifma::Ifma;

/// Whether this process takes its processor for one without wide instructions.
static IS_PLAIN: AtomicBool = AtomicBool::new(false);

/// A way of computing. All of them give the same numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arithmetic(Option<Ifma>);

impl Arithmetic {
    /// One element after the other, on any processor: the oracle of the other ways.
    pub const SCALAR: Self = Self(None);

    /// The quickest way that this processor has.
    pub fn detect() -> Self {
        if IS_PLAIN.load(Ordering::Relaxed) { Self::SCALAR } else { Self(Ifma::detect()) }
    }

    /// From now on nothing better than [`Self::SCALAR`] is detected in this process: for measuring what a processor
    /// without the wide instructions would do. Tables that were made before stay as they are.
    pub fn detect_none() {
        IS_PLAIN.store(true, Ordering::Relaxed);
    }

    /// Whether elements are computed eight at a time.
    pub fn is_vector(self) -> bool {
        self.0.is_some()
    }

    pub(super) fn lanes(self) -> Option<Ifma> {
        self.0
    }
}
