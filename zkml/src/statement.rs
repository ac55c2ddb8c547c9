//! What a proof says: "I know features and a salt behind this commitment, and the model gives them this score".
//!
//! The commitment is a Poseidon hash of features packed fifteen to a field element and a 128-bit salt, under a tag
//! that binds version, feature schema and number of features. Vitals have so few values that an unsalted hash would be
//! a dictionary entry; destroying the salt erases the link between commitment and patient for good.

use std::fmt;

use halo2_axiom::halo2curves::{
    bn256::Fr,
    ff::{Field, FromUniformBytes, PrimeField},
};
use hygeia_gpu_kernels::poseidon;
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

/// Bits of one feature: it lies in `[-2^15, 2^15)`.
pub const FEATURE_BITS: u32 = 16;
/// Added to a feature before it is packed, so that what is packed is not negative.
pub const FEATURE_OFFSET: i32 = 1 << (FEATURE_BITS - 1);
/// Features in one field element: 240 bits, below the 254 of the modulus.
pub const FEATURES_PER_ELEMENT: usize = 15;
/// Most features of one window: what the widest layer of a network takes.
pub const FEATURES_MAX: usize = 1024;

const DOMAIN: &[u8] = b"hygeia/window/v1";

/// Why a value is no part of a statement. The value itself is never told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// No features, or more than [`FEATURES_MAX`].
    #[error("a window has 1 to {FEATURES_MAX} features, not {0}")]
    FeatureCount(usize),
    /// The feature at this index does not fit into 16 bits.
    #[error("feature {0} is outside [-32768, 32768)")]
    FeatureOutOfRange(usize),
    /// Bytes that should be a field element are the modulus or above.
    #[error("not a canonical field element")]
    NotCanonical,
}

/// 128 random bits that make a commitment hiding. Erased from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Salt([u8; 16]);

impl Salt {
    /// Takes a salt that was drawn elsewhere.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Draws a fresh salt.
    pub fn random(rng: &mut (impl rand::RngCore + rand::CryptoRng)) -> Self {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// The bytes, for the message that carries a window to the prover.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    pub(crate) fn to_field(&self) -> Fr {
        Fr::from_u128(u128::from_be_bytes(self.0))
    }
}

impl Drop for Salt {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(..)")
    }
}

/// A commitment to a window's features: a canonical field element, big-endian.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Commitment([u8; 32]);

impl Commitment {
    /// Accepts the big-endian bytes of a field element below the modulus.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, StatementError> {
        field_from_be_bytes(bytes).map(|_| Self(bytes)).ok_or(StatementError::NotCanonical)
    }

    /// Big-endian bytes.
    pub const fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    pub(crate) fn from_field(element: Fr) -> Self {
        Self(field_to_be_bytes(element))
    }

    pub(crate) fn to_field(self) -> Fr {
        field_from_be_bytes(self.0).expect("a commitment is canonical by construction")
    }
}

impl TryFrom<[u8; 32]> for Commitment {
    type Error = StatementError;

    fn try_from(bytes: [u8; 32]) -> Result<Self, StatementError> {
        Self::from_bytes(bytes)
    }
}

impl fmt::Display for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl fmt::Debug for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Commitment({self})")
    }
}

/// What the world sees of a proved window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicInputs {
    /// Commitment to features and salt.
    pub commitment: Commitment,
    /// The model's fixed-point score.
    pub score: i64,
}

impl PublicInputs {
    /// The circuit's public values, in order. A negative score is the modulus less its magnitude.
    pub fn instances(&self) -> [Fr; 2] {
        [self.commitment.to_field(), field_from_i64(self.score)]
    }

    /// The same as big-endian words, as a contract takes them.
    pub fn words(&self) -> [[u8; 32]; 2] {
        self.instances().map(field_to_be_bytes)
    }
}

/// How a window is committed to. Each proof system hashes in its own way, so whoever commits must know which one will prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CommitmentScheme {
    /// [`commit`]: tagged, packed, for this project's own proofs.
    Native,
    /// EZKL's hash of its inputs: features, two constants and the salt, one element each. The schema enters it only through
    /// the verifying key of the model that the commitment is proved with.
    Ezkl,
}

impl CommitmentScheme {
    /// The scheme of a proof system, by the identifier that registries know.
    pub fn of_proof_system(id: &str) -> Option<Self> {
        match id {
            crate::PROOF_SYSTEM_ID => Some(Self::Native),
            crate::EZKL_PROOF_SYSTEM_ID => Some(Self::Ezkl),
            _ => None,
        }
    }

    /// Commits to a window's features.
    pub fn commit(self, schema_hash: [u8; 32], features: &[i32], salt: &Salt) -> Result<Commitment, StatementError> {
        match self {
            Self::Native => commit(schema_hash, features, salt),
            Self::Ezkl => crate::engine::ezkl::commit(features, salt),
        }
    }
}

/// Commits to a window's features.
///
/// `Poseidon(tag, elements, salt)`, where `tag` is [`domain_tag`] and `elements` is [`pack`].
pub fn commit(schema_hash: [u8; 32], features: &[i32], salt: &Salt) -> Result<Commitment, StatementError> {
    let mut message = pack(features)?;
    message.push(salt.to_field());
    let digest = poseidon::hash(domain_tag(schema_hash, features.len()), &message);
    Ok(Commitment::from_field(digest))
}

/// The capacity tag: SHA-256 of `"hygeia/window/v1" || schema hash || number of features (u32, big-endian)`, read as a
/// big-endian number and reduced by the modulus.
pub fn domain_tag(schema_hash: [u8; 32], features: usize) -> Fr {
    let count = u32::try_from(features).unwrap_or(u32::MAX);
    let digest =
        Sha256::new().chain_update(DOMAIN).chain_update(schema_hash).chain_update(count.to_be_bytes()).finalize();
    let mut wide = [0; 64];
    for (to, from) in wide.iter_mut().zip(digest.iter().rev()) {
        *to = *from;
    }
    Fr::from_uniform_bytes(&wide)
}

/// Packs features: each plus 2^15 is one digit to base 2^16, fifteen digits to an element, the first most significant.
pub fn pack(features: &[i32]) -> Result<Vec<Fr>, StatementError> {
    if features.is_empty() || features.len() > FEATURES_MAX {
        return Err(StatementError::FeatureCount(features.len()));
    }
    let digits = features
        .iter()
        .enumerate()
        .map(|(index, &feature)| feature_digit(feature).ok_or(StatementError::FeatureOutOfRange(index)))
        .collect::<Result<Vec<u64>, _>>()?;
    let base = Fr::from(1 << FEATURE_BITS);
    let element = |digits: &[u64]| digits.iter().fold(Fr::ZERO, |sum, &digit| sum * base + Fr::from(digit));
    Ok(digits.chunks(FEATURES_PER_ELEMENT).map(element).collect())
}

/// A feature as the digit that is packed, or nothing when it does not fit.
pub(crate) fn feature_digit(feature: i32) -> Option<u64> {
    u16::try_from(feature.checked_add(FEATURE_OFFSET)?).ok().map(u64::from)
}

/// The field element of a signed number: a negative one is the modulus less its magnitude.
pub fn field_from_i64(value: i64) -> Fr {
    let magnitude = Fr::from(value.unsigned_abs());
    if value < 0 { -magnitude } else { magnitude }
}

/// The signed number of a field element: one above half the modulus is negative. Nothing when it needs over 64 bits.
pub fn field_to_i64(element: Fr) -> Option<i64> {
    let small = |element: Fr| {
        let bytes = element.to_repr();
        let (low, high) = bytes.split_at(8);
        high.iter().all(|&byte| byte == 0).then(|| u64::from_le_bytes(low.try_into().expect("eight bytes")))
    };
    match (small(element), small(-element)) {
        (Some(magnitude), _) => i64::try_from(magnitude).ok(),
        (None, Some(magnitude)) => 0_i64.checked_sub_unsigned(magnitude),
        (None, None) => None,
    }
}

/// Big-endian bytes of a field element.
pub(crate) fn field_to_be_bytes(element: Fr) -> [u8; 32] {
    let mut bytes = element.to_repr();
    bytes.reverse();
    bytes
}

pub(crate) fn field_from_be_bytes(mut bytes: [u8; 32]) -> Option<Fr> {
    bytes.reverse();
    Fr::from_repr_vartime(bytes)
}
