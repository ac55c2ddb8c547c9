//! The verifying key of an audit circuit as a file of its own: all that anyone needs to check a proof offline.

use std::{
    fmt,
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
    circuit::AuditCircuit,
    plan::{AuditPlan, AuditPlanError},
};
use crate::{
    PROOF_SYSTEM_ID,
    circuit::DEGREE,
    engine::native::{
        KeyError, Srs,
        file::{Magic, Sealed},
        keys::{check_degree, check_size, read_point, verifier_params},
        srs::{has_development_secret, in_subgroup},
    },
};

const MAGIC: &Magic = b"HYGEIAAV";
const KIND: &str = "audit verifying key";
/// Longest description in front of a key; its shape takes a few hundred bytes.
const DESCRIPTION_BYTES_MAX: usize = 1 << 14;

/// Why an audit key was refused.
#[derive(Debug, thiserror::Error)]
pub enum AuditKeyError {
    /// The file or what it holds was refused.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The circuit it describes does not exist.
    #[error("audit key: the circuit it describes does not exist")]
    Plan(#[from] AuditPlanError),
}

/// A verifying key with the part of the reference string that verification needs.
pub struct AuditVerifyingKey {
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
    /// First value of every transcript; see the alert circuit's key.
    #[serde(with = "hex::serde")]
    transcript: [u8; 32],
    development_srs: bool,
    plan: AuditPlan,
}

impl AuditVerifyingKey {
    pub(super) fn new(
        key: VerifyingKey<G1Affine>,
        srs: &Srs,
        plan: &AuditPlan,
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
    pub fn load(path: &Path) -> Result<Self, AuditKeyError> {
        Self::from_sealed(Sealed::read(MAGIC, KIND, path).map_err(KeyError::from)?)
    }

    /// Checks a key file that is in memory already.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, AuditKeyError> {
        Self::from_sealed(Sealed::open(MAGIC, KIND, bytes).map_err(KeyError::from)?)
    }

    /// Writes the file.
    pub fn save(&self, path: &Path) -> Result<(), AuditKeyError> {
        Ok(self.sealed.write(path).map_err(KeyError::from)?)
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
    pub fn plan(&self) -> &AuditPlan {
        &self.description.plan
    }

    /// Leaves of every tree under this key, padding included.
    pub fn leaves(&self) -> usize {
        self.description.plan.slots
    }

    /// Bytes of every proof for this key.
    pub fn proof_bytes(&self) -> usize {
        proof_bytes(self.key.cs())
    }

    pub(crate) fn verifying_key(&self) -> &VerifyingKey<G1Affine> {
        &self.key
    }

    pub(crate) fn params(&self) -> &ParamsKZG<Bn256> {
        &self.params
    }

    fn from_sealed(sealed: Sealed) -> Result<Self, AuditKeyError> {
        let (description, rest) = decode_description(sealed.body())?;
        if description.proof_system != PROOF_SYSTEM_ID {
            return Err(KeyError::Other("proof system").into());
        }
        description.plan.check()?;
        let (params, key) = catch_unwind(AssertUnwindSafe(|| decode_key(rest, &description.plan)))
            .unwrap_or(Err(KeyError::Decode("the decoder panicked")))?;
        if key.transcript_repr().to_repr() != description.transcript {
            return Err(KeyError::Other("build of the proof system").into());
        }
        if !description.development_srs && has_development_secret(params.g2(), params.s_g2()) {
            return Err(KeyError::Decode("made from the development string, without its mark").into());
        }
        Ok(Self { sealed, description, params, key })
    }
}

impl fmt::Debug for AuditVerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditVerifyingKey")
            .field("hash", &hex::encode(self.hash()))
            .field("circuit", &hex::encode(self.circuit_hash()))
            .field("plan", self.plan())
            .field("development", &self.is_development())
            .finish()
    }
}

/// Bytes of a proof: a point is 64, a scalar 32.
///
/// Points: one for each advice column, the vanishing argument's random polynomial, the quotient's pieces, and two of the
/// opening. Scalars: one for each query of advice and fixed columns, and one for the random polynomial. There is no
/// permutation.
fn proof_bytes(cs: &ConstraintSystem<Fr>) -> usize {
    let quotient_pieces = DEGREE - 1;
    let points = cs.num_advice_columns() + 1 + quotient_pieces + 2;
    let scalars = cs.advice_queries().len() + cs.fixed_queries().len() + 1;
    64 * points + 32 * scalars
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

fn decode_key(mut bytes: &[u8], plan: &AuditPlan) -> Result<(ParamsKZG<Bn256>, VerifyingKey<G1Affine>), KeyError> {
    let reader: &mut &[u8] = &mut bytes;
    let g = read_point::<G1Affine>(reader)?;
    let g2 = read_point::<G2Affine>(reader)?;
    let s_g2 = read_point::<G2Affine>(reader)?;
    if !in_subgroup(&g2) || !in_subgroup(&s_g2) {
        return Err(KeyError::Decode("a point is outside its group"));
    }
    check_size(reader, plan.k)?;
    let key = VerifyingKey::read::<_, AuditCircuit>(reader, SerdeFormat::Processed, plan.clone())
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
