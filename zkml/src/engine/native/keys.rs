//! The verifying key as a file of its own: all that anyone needs to check a proof offline.

use std::{
    fmt,
    io::Read,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use halo2_axiom::{
    SerdeCurveAffine, SerdeFormat,
    halo2curves::{
        bn256::{Bn256, Fr, G1Affine, G2Affine},
        ff::PrimeField,
    },
    plonk::{ConstraintSystem, VerifyingKey},
    poly::{commitment::ParamsProver, kzg::commitment::ParamsKZG},
};
use serde::{Deserialize, Serialize};

use super::{
    file::{FileError, Magic, Sealed},
    srs::{Srs, has_development_secret, in_subgroup},
};
use crate::{
    PROOF_SYSTEM_ID,
    circuit::{
        AlertCircuit, DEGREE, gate_degree,
        plan::{Plan, PlanError},
    },
};

const MAGIC: &Magic = b"HYGEIAVK";
const KIND: &str = "verifying key";
/// Longest description in front of a key; its shape takes a few hundred bytes.
const DESCRIPTION_BYTES_MAX: usize = 1 << 14;

/// Why a key was refused.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file could not be read or written, or is damaged.
    #[error("key file")]
    File(#[from] FileError),
    /// The content is not a key of this engine.
    #[error("key: cannot be decoded: {0}")]
    Decode(&'static str),
    /// The circuit it describes does not exist.
    #[error("key: the circuit it describes does not exist")]
    Plan(#[from] PlanError),
    /// It belongs to another circuit, schema or reference string than the one asked for.
    #[error("key: belongs to another {0}")]
    Other(&'static str),
    /// The environment variable MAX_DEGREE makes halo2-axiom build another circuit.
    #[error("key: the environment variable MAX_DEGREE changes the degree of the circuit; unset it")]
    DegreeChanged,
}

/// A verifying key with the part of the reference string that verification needs.
pub struct VerifyingKeyFile {
    sealed: Sealed,
    description: Description,
    params: ParamsKZG<Bn256>,
    key: VerifyingKey<G1Affine>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    proof_system: String,
    #[serde(with = "hex::serde")]
    circuit_hash: [u8; 32],
    #[serde(with = "hex::serde")]
    schema_hash: [u8; 32],
    /// First value of every transcript. halo2 derives it from its own debug text, so a build that prints otherwise must
    /// be noticed.
    #[serde(with = "hex::serde")]
    transcript: [u8; 32],
    development_srs: bool,
    plan: Plan,
}

impl VerifyingKeyFile {
    pub(super) fn new(
        key: VerifyingKey<G1Affine>,
        srs: &Srs,
        plan: &Plan,
        circuit_hash: [u8; 32],
        schema_hash: [u8; 32],
    ) -> Self {
        let description = Description {
            proof_system: PROOF_SYSTEM_ID.to_owned(),
            circuit_hash,
            schema_hash,
            transcript: key.transcript_repr().to_repr(),
            development_srs: srs.is_development(),
            plan: plan.clone(),
        };
        let params = verifier_params(plan.k, srs.params().get_g()[0], srs.params().g2(), srs.params().s_g2());
        let sealed = Sealed::new(MAGIC, &encode(&description, &params, &key));
        Self { sealed, description, params, key }
    }

    /// Reads and checks a key file.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        Self::from_sealed(Sealed::read(MAGIC, KIND, path)?)
    }

    /// Checks a key file that is in memory already.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, KeyError> {
        Self::from_sealed(Sealed::open(MAGIC, KIND, bytes)?)
    }

    /// Writes the file.
    pub fn save(&self, path: &Path) -> Result<(), KeyError> {
        Ok(self.sealed.write(path)?)
    }

    /// The file's bytes.
    pub fn bytes(&self) -> &[u8] {
        self.sealed.bytes()
    }

    /// Hash of the file: what registries and receipts name it by.
    pub fn hash(&self) -> [u8; 32] {
        self.sealed.digest()
    }

    /// Hash of the circuit this key verifies.
    pub fn circuit_hash(&self) -> [u8; 32] {
        self.description.circuit_hash
    }

    /// Hash of the feature schema bound into every commitment.
    pub fn schema_hash(&self) -> [u8; 32] {
        self.description.schema_hash
    }

    /// Whether the key was made from a reference string whose secret is public. Only a local chain may accept it.
    pub fn is_development(&self) -> bool {
        self.description.development_srs
    }

    /// Shape of the circuit.
    pub fn plan(&self) -> &Plan {
        &self.description.plan
    }

    /// Bytes of every proof for this key.
    pub fn proof_bytes(&self) -> usize {
        proof_bytes(self.key.cs())
    }

    /// The key as halo2 knows it.
    pub(crate) fn verifying_key(&self) -> &VerifyingKey<G1Affine> {
        &self.key
    }

    /// The part of the reference string that verification reads; it has no powers beyond the first.
    pub(crate) fn params(&self) -> &ParamsKZG<Bn256> {
        &self.params
    }

    fn from_sealed(sealed: Sealed) -> Result<Self, KeyError> {
        let (description, rest) = decode_description(sealed.body())?;
        if description.proof_system != PROOF_SYSTEM_ID {
            return Err(KeyError::Other("proof system"));
        }
        description.plan.check()?;
        let (params, key) = catch_unwind(AssertUnwindSafe(|| decode_key(rest, &description.plan)))
            .unwrap_or(Err(KeyError::Decode("the decoder panicked")))?;
        if key.transcript_repr().to_repr() != description.transcript {
            return Err(KeyError::Other("build of the proof system"));
        }
        if !description.development_srs && has_development_secret(params.g2(), params.s_g2()) {
            return Err(KeyError::Decode("made from the development string, without its mark"));
        }
        Ok(Self { sealed, description, params, key })
    }
}

impl fmt::Debug for VerifyingKeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKeyFile")
            .field("hash", &hex::encode(self.hash()))
            .field("circuit", &hex::encode(self.circuit_hash()))
            .field("plan", self.plan())
            .field("development", &self.is_development())
            .finish()
    }
}

/// Whether halo2-axiom will build the circuit that is meant: its degree can be cut by the environment.
pub(crate) fn check_degree(cs: &ConstraintSystem<Fr>) -> Result<(), KeyError> {
    if cs.degree() == DEGREE && gate_degree(cs) <= DEGREE { Ok(()) } else { Err(KeyError::DegreeChanged) }
}

/// Bytes of a proof: a point is 64, a scalar 32.
///
/// Points: one for each advice column, the vanishing argument's random polynomial, the quotient's pieces, and two of the
/// opening. Scalars: one for each query of advice and fixed columns, one for the random polynomial. The circuit has no
/// permutation and no lookup, which would add to both.
fn proof_bytes(cs: &ConstraintSystem<Fr>) -> usize {
    assert!(cs.permutation().get_columns().is_empty() && cs.lookups().is_empty(), "the circuit has neither");
    let quotient_pieces = DEGREE - 1;
    let points = cs.num_advice_columns() + 1 + quotient_pieces + 2;
    let scalars = cs.advice_queries().len() + cs.fixed_queries().len() + 1;
    64 * points + 32 * scalars
}

/// Parameters that hold what verification reads of them: size, first power and the second group.
pub(crate) fn verifier_params(k: u32, g: G1Affine, g2: G2Affine, s_g2: G2Affine) -> ParamsKZG<Bn256> {
    // `from_parts` is a method, so some parameters must be there first: those of one row.
    let mut one_row = 0_u32.to_le_bytes().to_vec();
    for point in [g, g] {
        point.write(&mut one_row, SerdeFormat::RawBytes).expect("writing to memory does not fail");
    }
    for point in [g2, s_g2] {
        point.write(&mut one_row, SerdeFormat::RawBytes).expect("writing to memory does not fail");
    }
    let one_row = ParamsKZG::<Bn256>::read_custom(&mut one_row.as_slice(), SerdeFormat::RawBytes)
        .expect("four points just written");
    one_row.from_parts(k, vec![g], Some(Vec::new()), g2, s_g2)
}

fn encode(description: &Description, params: &ParamsKZG<Bn256>, key: &VerifyingKey<G1Affine>) -> Vec<u8> {
    let json = serde_json::to_vec(description).expect("a description has no map keys that could fail");
    let length = u32::try_from(json.len()).expect("a description is short");
    let mut body = length.to_be_bytes().to_vec();
    body.extend(json);
    let written = params.get_g()[0]
        .write(&mut body, SerdeFormat::Processed)
        .and_then(|()| params.g2().write(&mut body, SerdeFormat::Processed))
        .and_then(|()| params.s_g2().write(&mut body, SerdeFormat::Processed))
        .and_then(|()| key.write(&mut body, SerdeFormat::Processed));
    written.expect("writing to memory does not fail");
    body
}

fn decode_description(body: &[u8]) -> Result<(Description, &[u8]), KeyError> {
    let (length, rest) = body.split_first_chunk().ok_or(KeyError::Decode("no description"))?;
    let length = u32::from_be_bytes(*length) as usize;
    if length > DESCRIPTION_BYTES_MAX {
        return Err(KeyError::Decode("the description is too long"));
    }
    let (json, rest) = rest.split_at_checked(length).ok_or(KeyError::Decode("the description is cut off"))?;
    let description = serde_json::from_slice(json).map_err(|_| KeyError::Decode("the description is malformed"))?;
    Ok((description, rest))
}

fn decode_key(mut bytes: &[u8], plan: &Plan) -> Result<(ParamsKZG<Bn256>, VerifyingKey<G1Affine>), KeyError> {
    let reader: &mut &[u8] = &mut bytes;
    let g = read_point::<G1Affine>(reader)?;
    let g2 = read_point::<G2Affine>(reader)?;
    let s_g2 = read_point::<G2Affine>(reader)?;
    if !in_subgroup(&g2) || !in_subgroup(&s_g2) {
        return Err(KeyError::Decode("a point is outside its group"));
    }
    check_size(reader, plan.k)?;
    let key = VerifyingKey::read::<_, AlertCircuit>(reader, SerdeFormat::Processed, plan.clone())
        .map_err(|_| KeyError::Decode("the verifying key is malformed"))?;
    check_degree(key.cs())?;
    if !reader.is_empty()
        || key.get_domain().k() != plan.k
        || key.fixed_commitments().len() != key.cs().num_fixed_columns()
    {
        return Err(KeyError::Decode("the verifying key does not fit its description"));
    }
    Ok((verifier_params(plan.k, g, g2, s_g2), key))
}

/// Whether a verifying key in halo2's form is for so many rows. halo2 makes room for as many as the key says, up to some
/// hundred million.
pub(crate) fn check_size(key: &[u8], k: u32) -> Result<(), KeyError> {
    let is_of_size = key.get(1..5) == Some(&k.to_le_bytes());
    if is_of_size { Ok(()) } else { Err(KeyError::Decode("the verifying key is of another size")) }
}

/// Whether a proving key in halo2's form holds the numbers that it must: those of its verifying key, and of as many
/// polynomials of as many coefficients as that has. halo2 makes room for as many as the file says, up to 128 GiB, and a
/// program that asks for that much does not survive.
pub(crate) fn check_proving_key(mut bytes: &[u8], key: &VerifyingKey<G1Affine>) -> Result<(), KeyError> {
    let rest: &mut &[u8] = &mut bytes;
    let verifying_key = key.to_bytes(SerdeFormat::RawBytesUnchecked);
    *rest = rest.strip_prefix(verifying_key.as_slice()).ok_or(KeyError::Other("verifying key"))?;
    let coefficients = 1_u32 << key.get_domain().k();
    let fixed = key.fixed_commitments().len();
    // Three columns that mark rows, the fixed columns in two forms, and those of the permutation argument, which is none.
    (0..3).try_for_each(|_| skip_polynomial(rest, coefficients))?;
    for columns in [fixed, fixed, 0, 0] {
        skip_number(rest, u32::try_from(columns).expect("a circuit has some dozen columns"))?;
        (0..columns).try_for_each(|_| skip_polynomial(rest, coefficients))?;
    }
    if rest.is_empty() { Ok(()) } else { Err(KeyError::Decode("bytes follow the proving key")) }
}

fn skip_polynomial(rest: &mut &[u8], coefficients: u32) -> Result<(), KeyError> {
    skip_number(rest, coefficients)?;
    let bytes = coefficients as usize * size_of::<Fr>();
    *rest = rest.get(bytes..).ok_or(KeyError::Decode("the proving key is cut off"))?;
    Ok(())
}

fn skip_number(rest: &mut &[u8], expected: u32) -> Result<(), KeyError> {
    *rest = rest.strip_prefix(&expected.to_be_bytes()).ok_or(KeyError::Decode("a size in the proving key is wrong"))?;
    Ok(())
}

pub(crate) fn read_point<C: SerdeCurveAffine>(reader: &mut impl Read) -> Result<C, KeyError> {
    let point = C::read(reader, SerdeFormat::Processed).map_err(|_| KeyError::Decode("a point is not on its curve"))?;
    if bool::from(point.is_identity()) { Err(KeyError::Decode("a point is the identity")) } else { Ok(point) }
}
