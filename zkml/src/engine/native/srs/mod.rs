//! The structured reference string of the KZG commitments: made for development, or read from a ceremony's file.
//!
//! Whoever knows the secret behind it can prove anything. The development string below is made from a seed that is
//! written here, so everybody knows its secret: it is marked, the mark goes into every key made from it, and nothing
//! but a local chain ([`local_chain`]) may accept such a key. A string from a file is never used before its hash, where one
//! is expected, and its structure were checked.

mod error;
mod origin;
mod ptau;
mod raw;
mod source;

#[cfg(test)]
mod tests;

use std::{fmt, fs::File, io::Read, path::Path, sync::Arc};

use halo2_axiom::{
    SerdeFormat,
    halo2curves::{
        bn256::{Bn256, Fr, G1Affine, G2Affine},
        ff::Field,
        group::{Curve, prime::PrimeCurveAffine},
        pairing::Engine as _,
    },
    poly::{
        EvaluationDomain,
        commitment::{Blind, Params, ParamsProver},
        kzg::commitment::ParamsKZG,
    },
};
use hygeia_gpu_kernels::{Accelerator, CpuAccelerator, Transform};
use rand::{SeedableRng, rngs::OsRng};
use rand_chacha::ChaCha20Rng;
use sha2::{Digest, Sha256};

pub use error::SrsError;
pub use origin::{SrsForm, SrsOrigin, SrsProgress};

use super::{
    file::{FILE_BYTES_MAX, FileError, Magic, Sealed},
    keys::verifier_params,
};
use source::Source;

/// Largest string handled: two million powers.
pub const K_MAX: u32 = 21;
const MAGIC: &Magic = b"HYGEIASR";
const KIND: &str = "reference string";
const DEVELOPMENT_SEED: &[u8] = b"hygeia development reference string: its secret is public";

/// A structured reference string. Cheap to clone.
#[derive(Clone)]
pub struct Srs {
    params: Arc<ParamsKZG<Bn256>>,
    development: bool,
    origin: Option<SrsOrigin>,
}

/// What a file of any form holds, once it is cut to size.
struct Powers {
    /// Logarithm of the number of powers that the file could have given.
    available: u32,
    g: Vec<G1Affine>,
    /// Only where the file has it for this very size.
    lagrange: Option<Vec<G1Affine>>,
    g2: G2Affine,
    s_g2: G2Affine,
}

impl Srs {
    /// The insecure string for development and tests: the same for everyone, its secret known to everyone.
    pub fn development(k: u32) -> Result<Self, SrsError> {
        check_size(k)?;
        let params = ParamsKZG::setup(k, development_rng());
        Ok(Self { params: Arc::new(params), development: true, origin: None })
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

    /// Reads the first 2^`k_needed` powers of a string in any form: this project's own, snarkjs's `.ptau`, halo2's raw one.
    /// The content tells them apart.
    ///
    /// Hash, points and structure are checked. The file is read once and in blocks. A hash that is expected is compared
    /// before anything that was read is used; without one, [`Self::origin`] says what the file's is. A string whose secret
    /// is the development string's is marked as such, whatever form it came in.
    pub fn open(
        path: &Path,
        expected_sha256: Option<[u8; 32]>,
        k_needed: u32,
        progress: &mut dyn FnMut(SrsProgress),
    ) -> Result<Self, SrsError> {
        let named = |source| SrsError::File(FileError::Read { path: path.to_owned(), source });
        let mut file = File::open(path).map_err(named)?;
        let length = file.metadata().map_err(named)?.len();
        Self::from_reader(&mut file, length, expected_sha256, k_needed, progress).map_err(|error| match error {
            SrsError::Read(source) => named(source),
            other => other,
        })
    }

    /// [`Self::open`] of bytes that come from elsewhere; `length` is how many there are.
    pub fn from_reader(
        reader: &mut dyn Read,
        length: u64,
        expected_sha256: Option<[u8; 32]>,
        k_needed: u32,
        progress: &mut dyn FnMut(SrsProgress),
    ) -> Result<Self, SrsError> {
        check_size(k_needed)?;
        let mut source = Source::new(reader, length, progress);
        let content = Content::read(&mut source, k_needed);
        let sha256 = source.finish()?;
        // Another file than the one asked for is said to be just that, whatever else is wrong with it.
        if let Some(expected) = expected_sha256.filter(|expected| *expected != sha256) {
            return Err(SrsError::WrongHash { expected, actual: sha256 });
        }
        let (form, available, srs) = match content? {
            Content::Sealed(bytes) => {
                let sealed = Sealed::open(MAGIC, KIND, bytes)?;
                let (available, srs) = Self::decode(sealed.body(), Some(k_needed), progress)?;
                (SrsForm::Sealed, available, srs)
            }
            Content::Powers(form, powers) => (form, powers.available, Self::assemble(*powers, progress)?),
        };
        Ok(Self { origin: Some(SrsOrigin { form, sha256, k: available }), ..srs })
    }

    /// The file this string was read from by [`Self::open`].
    pub fn origin(&self) -> Option<&SrsOrigin> {
        self.origin.as_ref()
    }

    /// Reads a file that [`Self::write`] wrote, and checks hash, points and structure.
    pub fn read(path: &Path) -> Result<Self, SrsError> {
        let sealed = Sealed::read(MAGIC, KIND, path)?;
        Ok(Self::decode(sealed.body(), None, &mut |_| ())?.1)
    }

    /// Writes the string with its mark and its hash.
    pub fn write(&self, path: &Path) -> Result<(), SrsError> {
        Ok(self.sealed().write(path)?)
    }

    /// Hash of the string itself: the same whatever form it was read from, and the one in what [`Self::write`] writes.
    pub fn digest(&self) -> [u8; 32] {
        self.sealed().digest()
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
        Ok(Self { params: Arc::new(params), ..self.clone() })
    }

    /// Checks that the string begins with the usual generators and that its secret is not 1, and by random combinations
    /// that the points are `G, sG, s^2 G, ...` of the `s` in the second group and that the Lagrange form belongs to them. A
    /// wrong string passes with probability 2^-240.
    pub fn check_structure(&self) -> Result<(), SrsError> {
        check_powers(self.params.get_g(), self.params.g2(), self.params.s_g2())?;
        self.check_lagrange()
    }

    /// Commits to one polynomial in both forms.
    fn check_lagrange(&self) -> Result<(), SrsError> {
        let mut values = random_combination(1 << self.k());
        let committed = CpuAccelerator.msm(&values, self.params.get_g())?;
        Transform::new(self.k())?.forward(&mut values)?;
        let evaluations = EvaluationDomain::new(1, self.k()).lagrange_from_vec(values);
        let of_lagrange = self.params.commit_lagrange(&evaluations, Blind::default());
        if of_lagrange == committed { Ok(()) } else { Err(SrsError::Structure) }
    }

    pub(crate) fn params(&self) -> &ParamsKZG<Bn256> {
        &self.params
    }

    fn sealed(&self) -> Sealed {
        let mut body = vec![u8::from(self.development)];
        self.params.write_custom(&mut body, SerdeFormat::RawBytes).expect("writing to memory does not fail");
        Sealed::new(MAGIC, &body)
    }

    /// The string in an envelope, cut to size where one is asked for; and the logarithm of its own size.
    fn decode(
        body: &[u8],
        k_needed: Option<u32>,
        progress: &mut dyn FnMut(SrsProgress),
    ) -> Result<(u32, Self), SrsError> {
        let (&mark, mut points) = body.split_first().ok_or(SrsError::Decode("empty"))?;
        let length = points.len() as u64;
        let k = points.first_chunk().map(|k| u32::from_le_bytes(*k));
        let k = k.filter(|k| (1..=K_MAX).contains(k) && raw::encoded_bytes(*k) == length);
        let k = k.ok_or(SrsError::Decode("size and length disagree"))?;
        let development = match mark {
            0 => false,
            1 => true,
            _ => return Err(SrsError::Decode("unknown mark")),
        };
        let mut ignore = |_| ();
        let mut source = Source::new(&mut points, length, &mut ignore);
        source.skip(4)?;
        let srs = Self::assemble(raw::read(&mut source, k, k_needed.unwrap_or(k))?, progress)?;
        if development != srs.development {
            return Err(SrsError::Decode("the mark of the development string is wrong"));
        }
        Ok((k, srs))
    }

    /// The string of points that were read one by one, once they are found to be one.
    fn assemble(powers: Powers, progress: &mut dyn FnMut(SrsProgress)) -> Result<Self, SrsError> {
        let Powers { g, lagrange, g2, s_g2, .. } = powers;
        progress(SrsProgress::Checking);
        // First, for the Lagrange form takes a hundred times as long.
        check_powers(&g, g2, s_g2)?;
        if lagrange.is_none() {
            progress(SrsProgress::Lagrange);
        }
        let k = g.len().ilog2();
        let params = verifier_params(k, g[0], g2, s_g2).from_parts(k, g, lagrange, g2, s_g2);
        let development = has_development_secret(g2, s_g2);
        let srs = Self { params: Arc::new(params), development, origin: None };
        srs.check_lagrange()?;
        Ok(srs)
    }
}

/// What was read, before the hash is known to be right.
enum Content {
    Sealed(Vec<u8>),
    Powers(SrsForm, Box<Powers>),
}

impl Content {
    fn read(source: &mut Source<'_>, k_needed: u32) -> Result<Self, SrsError> {
        let first: [u8; 4] = source.array()?;
        if first == *ptau::MAGIC {
            return Ok(Self::Powers(SrsForm::Ptau, Box::new(ptau::read(source, k_needed)?)));
        }
        if MAGIC.starts_with(&first) {
            if source.length() > FILE_BYTES_MAX {
                return Err(SrsError::Length { expected: FILE_BYTES_MAX, actual: source.length() });
            }
            return Ok(Self::Sealed([first.as_slice(), &source.rest()?].concat()));
        }
        let powers = raw::read(source, u32::from_le_bytes(first), k_needed)?;
        Ok(Self::Powers(SrsForm::Raw, Box::new(powers)))
    }
}

impl fmt::Debug for Srs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Srs").field("k", &self.k()).field("development", &self.development).finish()
    }
}

/// Whether a chain is one that lives on a developer's machine, by the ids that anvil and hardhat (31337) and ganache (1337)
/// give theirs. A key or string of which `is_development` is true may be used there and nowhere else.
pub const fn local_chain(chain_id: u64) -> bool {
    matches!(chain_id, 31_337 | 1_337)
}

fn check_size(k: u32) -> Result<(), SrsError> {
    if (1..=K_MAX).contains(&k) { Ok(()) } else { Err(SrsError::Size(k)) }
}

/// Whether points are `G, sG, s^2 G, ...` of the secret in the second group, by one random combination and two pairings.
fn check_powers(powers: &[G1Affine], g2: G2Affine, s_g2: G2Affine) -> Result<(), SrsError> {
    check_ends(powers, g2, s_g2)?;
    let all_but_one = powers.len() - 1;
    let combination = random_combination(all_but_one);
    let lower = CpuAccelerator.msm(&combination, &powers[..all_but_one])?.to_affine();
    let upper = CpuAccelerator.msm(&combination, &powers[1..])?.to_affine();
    let are_powers = Bn256::pairing(&lower, &s_g2) == Bn256::pairing(&upper, &g2);
    if are_powers { Ok(()) } else { Err(SrsError::Structure) }
}

fn random_combination(terms: usize) -> Vec<Fr> {
    (0..terms).map(|_| Fr::random(OsRng)).collect()
}

/// What can be seen without a pairing: the generators, and that the secret is neither 0 nor 1 nor outside the group.
fn check_ends(powers: &[G1Affine], g2: G2Affine, s_g2: G2Affine) -> Result<(), SrsError> {
    if powers[0] != G1Affine::generator() {
        return Err(SrsError::Generator("the first group"));
    }
    if g2 != G2Affine::generator() {
        return Err(SrsError::Generator("the second group"));
    }
    if bool::from(s_g2.is_identity()) {
        return Err(SrsError::Identity { group: "tauG2", index: 1 });
    }
    if !in_subgroup(&s_g2) {
        return Err(SrsError::Subgroup);
    }
    if s_g2 == g2 { Err(SrsError::NoContribution) } else { Ok(()) }
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
