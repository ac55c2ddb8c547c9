//! The engine's prover with every source of randomness in the test's hands.

use halo2_axiom::{
    halo2curves::{bn256::Fr, ff::Field},
    transcript::TranscriptWriterBuffer,
};

use super::*;
use crate::{
    circuit::witness::Witness,
    prover::{Freedom, Transcript},
};

/// Index of the masking column among the advice columns.
pub const MASK: usize = 2;

/// Where the numbers come from that a prover is free to choose.
pub struct Choices<'t> {
    /// Fills the last rows of every advice column but the mask.
    pub blinding: ChaCha20Rng,
    /// Fills the masking column.
    pub mask: ChaCha20Rng,
    /// Coefficients of the vanishing argument's polynomial.
    pub vanishing: &'t dyn Fn(usize) -> Vec<Fr>,
    /// Challenges in the place of the transcript's, so that what depends on what shows. Such a proof does not verify.
    pub challenges: Option<ChaCha20Rng>,
}

impl Freedom for Choices<'_> {
    fn blind(&mut self, column: usize, rows: &mut [Fr]) {
        let rng = if column == MASK { &mut self.mask } else { &mut self.blinding };
        rows.fill_with(|| Fr::random(&mut *rng));
    }

    fn vanishing(&mut self, coefficients: &mut [Fr]) {
        coefficients.copy_from_slice(&(self.vanishing)(coefficients.len()));
    }
}

/// The proof that a witness holds. Its masking column is drawn anew.
pub fn prove(engine: &NativeEngine, witness: &Witness, mut choices: Choices<'_>) -> Vec<u8> {
    let mut witness = witness.clone();
    witness.first.mask.fill_with(|| Fr::random(&mut choices.mask));
    let mut transcript = Replaced { written: Written::init(Vec::new()), challenges: choices.challenges.take() };
    let columns = AlertColumns { layout: &engine.layout, witness: &witness };
    engine
        .prover
        .processor(engine.srs.params())
        .unwrap()
        .prove(&columns, &witness.public.instances(), &mut choices, &mut transcript)
        .unwrap();
    transcript.written.finalize()
}

type Written = EvmTranscript<G1Affine, snark_verifier::loader::native::NativeLoader, Vec<u8>, Vec<u8>>;

/// A transcript whose challenges may be replaced.
struct Replaced {
    written: Written,
    challenges: Option<ChaCha20Rng>,
}

impl Transcript for Replaced {
    fn absorb(&mut self, scalar: Fr) -> Result<(), ProverError> {
        Transcript::absorb(&mut self.written, scalar)
    }

    fn write_point(&mut self, point: G1Affine) -> Result<(), ProverError> {
        Transcript::write_point(&mut self.written, point)
    }

    fn write_scalar(&mut self, scalar: Fr) -> Result<(), ProverError> {
        Transcript::write_scalar(&mut self.written, scalar)
    }

    fn challenge(&mut self) -> Fr {
        let squeezed = Transcript::challenge(&mut self.written);
        self.challenges.as_mut().map_or(squeezed, Fr::random)
    }
}
