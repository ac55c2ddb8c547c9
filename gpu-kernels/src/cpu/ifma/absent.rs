//! What stands for the vector arithmetic on processors that cannot have it: nothing of it can be called.

use crate::{Columns, Fr, G1Affine, RowProgram};

/// There is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ifma {}

impl Ifma {
    /// Never finds it.
    pub fn detect() -> Option<Self> {
        None
    }
}

/// Needs an [`Ifma`].
pub struct Chains(Ifma);

impl Chains {
    /// Needs an [`Ifma`].
    pub fn new(ifma: Ifma) -> Self {
        Self(ifma)
    }

    /// Cannot be called.
    pub fn add_pairs(&mut self, _: &mut [G1Affine], _: &[(u32, u32)]) {
        match self.0 {}
    }
}

/// Needs an [`Ifma`].
#[derive(Clone)]
pub struct Twiddles(Ifma);

impl Twiddles {
    /// Needs an [`Ifma`].
    pub fn new(ifma: Ifma, _: &[Vec<Fr>]) -> Self {
        Self(ifma)
    }

    /// Cannot be called.
    pub fn run(&self, _: &mut [Fr], _: Fr) {
        match self.0 {}
    }
}

/// Cannot be called.
pub fn run_rows(ifma: Ifma, _: &RowProgram, _: &Columns<'_, Vec<Fr>>, _: &[Fr]) -> Vec<Fr> {
    match ifma {}
}
