//! The structured reference string of the KZG commitments.
//!
//! Whoever knows the secret behind it can prove anything. The development string below is made from a seed that is
//! written here, so everybody knows its secret: it is marked, the mark goes into every key made from it, and nothing
//! but a local chain may accept such a key.

use std::{fmt, path::Path, sync::Arc};

use halo2_axiom::{
    SerdeFormat,
    halo2curves::{
        bn256::{Bn256, Fr, G1Affine, G2Affine},
        ff::{Field, PrimeField},
        group::{Curve, prime::PrimeCurveAffine},
        pairing::Engine as _,
    },
    poly::{
        EvaluationDomain,
        commitment::{Blind, Params, ParamsProver},
        kzg::commitment::ParamsKZG,
    },
};
use hygeia_gpu_kernels::{Accelerator, CpuAccelerator, KernelError};
use rand::{SeedableRng, rngs::OsRng};
use rand_chacha::ChaCha20Rng;
use sha2::{Digest, Sha256};

use super::file::{FileError, Magic, Sealed};

/// Largest string handled: two million powers.
const K_MAX: u32 = 21;
const MAGIC: &Magic = b"HYGEIASR";
const DEVELOPMENT_SEED: &[u8] = b"hygeia development reference string: its secret is public";

/// A structured reference string. Cheap to clone.
#[derive(Clone)]
pub struct Srs {
    params: Arc<ParamsKZG<Bn256>>,
    development: bool,
}

/// Why a reference string was refused.
#[derive(Debug, thiserror::Error)]
pub enum SrsError {
    /// The file could not be read or written, or is damaged.
    #[error("reference string file")]
    File(#[from] FileError),
    /// The content is no reference string.
    #[error("reference string: cannot be decoded: {0}")]
    Decode(&'static str),
    /// The points are not the successive powers of one secret.
    #[error("reference string: the points are not powers of one secret")]
    Structure,
    /// It has fewer rows than the circuit.
    #[error("reference string: has 2^{available} rows, 2^{needed} are needed")]
    TooSmall {
        /// Rows needed, as a power of two.
        needed: u32,
        /// Rows there are.
        available: u32,
    },
    /// A kernel of the check failed.
    #[error("reference string: a kernel of the check failed")]
    Kernel(#[from] KernelError),
}

impl Srs {
    /// The insecure string for development and tests: the same for everyone, its secret known to everyone.
    pub fn development(k: u32) -> Result<Self, SrsError> {
        if k > K_MAX {
            return Err(SrsError::TooSmall { needed: k, available: K_MAX });
        }
        let params = ParamsKZG::setup(k, development_rng());
        Ok(Self { params: Arc::new(params), development: true })
    }

    /// The development string from a file in this directory, which is written when it is not there yet.
    pub fn development_cached(k: u32, directory: &Path) -> Result<Self, SrsError> {
        let path = directory.join(format!("srs-development-insecure-k{k}.bin"));
        match Self::read(&path) {
            Ok(srs) if srs.k() == k && srs.development => Ok(srs),
            Ok(_) => Err(SrsError::Decode("another string stands in the place of the development string")),
            Err(SrsError::File(error)) if error.is_not_found() => {
                let srs = Self::development(k)?;
                srs.write(&path)?;
                Ok(srs)
            }
            Err(error) => Err(error),
        }
    }

    /// Reads a file that [`Self::write`] wrote, and checks hash, points and structure.
    pub fn read(path: &Path) -> Result<Self, SrsError> {
        let sealed = Sealed::read(MAGIC, "reference string", path)?;
        let srs = Self::decode(sealed.body())?;
        srs.check_structure()?;
        Ok(srs)
    }

    /// Writes the string with its mark and its hash.
    pub fn write(&self, path: &Path) -> Result<(), SrsError> {
        let mut body = vec![u8::from(self.development)];
        self.params.write_custom(&mut body, SerdeFormat::RawBytes).expect("writing to memory does not fail");
        Ok(Sealed::new(MAGIC, &body).write(path)?)
    }

    /// Whether the secret of this string is public.
    pub fn is_development(&self) -> bool {
        self.development
    }

    /// Logarithm of the number of powers.
    pub fn k(&self) -> u32 {
        self.params.k()
    }

    /// The same string, cut to a circuit's size.
    pub fn trimmed(&self, k: u32) -> Result<Self, SrsError> {
        if k > self.k() {
            return Err(SrsError::TooSmall { needed: k, available: self.k() });
        }
        if k == self.k() {
            return Ok(self.clone());
        }
        let mut params = ParamsKZG::clone(&self.params);
        params.downsize(k);
        Ok(Self { params: Arc::new(params), development: self.development })
    }

    /// Checks by random combinations that the points are `G, sG, s^2 G, ...` of the `s` in the second group, and that the
    /// Lagrange form belongs to them. A wrong string passes with probability 2^-240.
    pub fn check_structure(&self) -> Result<(), SrsError> {
        let powers = self.params.get_g();
        let (g2, s_g2) = (self.params.g2(), self.params.s_g2());
        if bool::from(powers[0].is_identity() | g2.is_identity() | s_g2.is_identity()) || !in_subgroup(&s_g2) {
            return Err(SrsError::Structure);
        }
        let combination: Vec<Fr> = (0..powers.len()).map(|_| Fr::random(OsRng)).collect();
        let all_but_one = powers.len() - 1;
        let kernels = CpuAccelerator;
        let lower = kernels.msm(&combination[..all_but_one], &powers[..all_but_one])?.to_affine();
        let upper = kernels.msm(&combination[..all_but_one], &powers[1..])?.to_affine();
        if Bn256::pairing(&lower, &s_g2) != Bn256::pairing(&upper, &g2) {
            return Err(SrsError::Structure);
        }
        let committed = kernels.msm(&combination, powers)?;
        let mut evaluations = combination;
        kernels.ntt(&mut evaluations, root_of_unity(self.k()), self.k())?;
        let evaluations = EvaluationDomain::new(1, self.k()).lagrange_from_vec(evaluations);
        if self.params.commit_lagrange(&evaluations, Blind::default()) != committed {
            return Err(SrsError::Structure);
        }
        Ok(())
    }

    pub(crate) fn params(&self) -> &ParamsKZG<Bn256> {
        &self.params
    }

    fn decode(body: &[u8]) -> Result<Self, SrsError> {
        let (&mark, points) = body.split_first().ok_or(SrsError::Decode("empty"))?;
        let k = points.first_chunk().map(|k| u32::from_le_bytes(*k)).ok_or(SrsError::Decode("no size"))?;
        if k == 0 || k > K_MAX || points.len() != encoded_bytes(k) {
            return Err(SrsError::Decode("size and length disagree"));
        }
        let development = match mark {
            0 => false,
            1 => true,
            _ => return Err(SrsError::Decode("unknown mark")),
        };
        let params = ParamsKZG::read_custom(&mut &points[..], SerdeFormat::RawBytes)
            .map_err(|_| SrsError::Decode("a point is not on its curve"))?;
        if !development && has_development_secret(params.g2(), params.s_g2()) {
            return Err(SrsError::Decode("the development string without its mark"));
        }
        Ok(Self { params: Arc::new(params), development })
    }
}

impl fmt::Debug for Srs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Srs").field("k", &self.k()).field("development", &self.development).finish()
    }
}

/// Whether a point of the second curve lies in the group of the pairing, which is smaller than the curve.
pub(crate) fn in_subgroup(point: &G2Affine) -> bool {
    use halo2_axiom::halo2curves::group::cofactor::CofactorGroup;
    bool::from(point.to_curve().is_torsion_free())
}

/// Whether the secret is the one of the development string, whatever a mark says.
pub(crate) fn has_development_secret(g2: G2Affine, s_g2: G2Affine) -> bool {
    let secret = Fr::random(development_rng());
    (g2 * secret).to_affine() == s_g2
}

/// The generator whose first number is the secret of the development string.
fn development_rng() -> ChaCha20Rng {
    ChaCha20Rng::from_seed(Sha256::digest(DEVELOPMENT_SEED).into())
}

/// Bytes of the raw form: size, powers, Lagrange form, two points of the second group.
fn encoded_bytes(k: u32) -> usize {
    let point = size_of::<G1Affine>();
    4 + 2 * (1 << k) * point + 2 * size_of::<G2Affine>()
}

fn root_of_unity(k: u32) -> Fr {
    (k..Fr::S).fold(Fr::ROOT_OF_UNITY, |root, _| root.square())
}
