//! What the prover says and the verifier asks.

use halo2_axiom::{
    halo2curves::bn256::{Fr, G1Affine},
    transcript::{EncodedChallenge, Transcript as _, TranscriptWrite},
};
use snark_verifier::{
    loader::native::NativeLoader,
    system::halo2::transcript::evm::{ChallengeEvm, EvmTranscript},
};

use super::ProverError;

/// A transcript that becomes a proof.
pub trait Transcript {
    /// Takes in a number that the verifier knows.
    fn absorb(&mut self, scalar: Fr) -> Result<(), ProverError>;

    /// Writes a point.
    fn write_point(&mut self, point: G1Affine) -> Result<(), ProverError>;

    /// Writes a number.
    fn write_scalar(&mut self, scalar: Fr) -> Result<(), ProverError>;

    /// Draws a challenge.
    fn challenge(&mut self) -> Fr;
}

/// The Keccak transcript that the verifier contract reads.
impl Transcript for EvmTranscript<G1Affine, NativeLoader, Vec<u8>, Vec<u8>> {
    fn absorb(&mut self, scalar: Fr) -> Result<(), ProverError> {
        self.common_scalar(scalar).map_err(|_| ProverError::Transcript)
    }

    fn write_point(&mut self, point: G1Affine) -> Result<(), ProverError> {
        TranscriptWrite::<_, ChallengeEvm<G1Affine>>::write_point(self, point).map_err(|_| ProverError::Transcript)
    }

    fn write_scalar(&mut self, scalar: Fr) -> Result<(), ProverError> {
        TranscriptWrite::<_, ChallengeEvm<G1Affine>>::write_scalar(self, scalar).map_err(|_| ProverError::Transcript)
    }

    fn challenge(&mut self) -> Fr {
        let challenge: ChallengeEvm<G1Affine> = self.squeeze_challenge();
        challenge.get_scalar()
    }
}
