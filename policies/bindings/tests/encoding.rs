//! The identifiers, public inputs and EIP-712 digests of `policies/test/vectors/encoding.json`, which the contracts' own
//! tests read too.

use std::num::NonZeroU32;

use alloy::primitives::{Address, B256, FixedBytes, I256, U256};
use hygeia_policies::typed_data::SolStruct;
use hygeia_policies::{ModelCommitment, PolicyTerms, ids, typed_data as typed};
use serde::Deserialize;
use serde::de::DeserializeOwned;

const VECTORS: &str = include_str!("../../test/vectors/encoding.json");

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vectors {
    proof_system: ProofSystem,
    model: Model,
    policies: Vec<Policy>,
    nullifiers: Vec<Nullifier>,
    scores: Vec<Score>,
    digests: Digests,
}

#[derive(Deserialize)]
struct ProofSystem {
    name: String,
    id: FixedBytes<4>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Model {
    model_hash: B256,
    circuit_hash: B256,
    vk_hash: B256,
    proof_system_id: FixedBytes<4>,
    uri: String,
    id: B256,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Policy {
    model_id: B256,
    threshold: String,
    care_code: B256,
    benefit: String,
    cool_down_seconds: u32,
    max_attestation_age_seconds: u32,
    fulfil_within_seconds: u32,
    starts_per_day_max: u32,
    open_max: u32,
    arbiter: Address,
    arbitration_seconds: u32,
    id: B256,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Nullifier {
    mandate_id: B256,
    policy_id: B256,
    window_end: String,
    cool_down_seconds: NonZeroU32,
    nullifier: B256,
}

#[derive(Deserialize)]
struct Score {
    score: String,
    input: B256,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Digests {
    chain_id: u64,
    mandate_registry: Address,
    coordinator: Address,
    mandate: Mandate,
    revocation: Revocation,
    attestation: Attestation,
    attendance: Attendance,
    attendance_code: AttendanceCode,
    credential_registry: Address,
    credential: Credential,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mandate {
    id: B256,
    key: Address,
    policy_id: B256,
    oracle: Address,
    operator: Address,
    provider_class: FixedBytes<4>,
    expires: String,
    digest: B256,
}

#[derive(Deserialize)]
struct Revocation {
    digest: B256,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attestation {
    window_end: String,
    schema: B256,
    commitment: B256,
    digest: B256,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attendance {
    trigger_id: B256,
    provider: Address,
    digest: B256,
}

#[derive(Deserialize)]
struct AttendanceCode {
    code: Address,
    digest: B256,
}

#[derive(Deserialize)]
struct Credential {
    provider: Address,
    issuer: Address,
    licence: B256,
    class: FixedBytes<4>,
    expires: String,
    digest: B256,
}

#[test]
fn identifiers() {
    let vectors = vectors();
    assert_eq!(ids::PROOF_SYSTEM, vectors.proof_system.name);
    assert_eq!(ids::proof_system_id(ids::PROOF_SYSTEM), vectors.proof_system.id);

    let model = vectors.model;
    let commitment = ModelCommitment {
        modelHash: model.model_hash,
        circuitHash: model.circuit_hash,
        vkHash: model.vk_hash,
        proofSystemId: model.proof_system_id,
        uri: model.uri,
    };
    assert_eq!(ids::model_id(&commitment), model.id);

    for policy in vectors.policies {
        let terms = PolicyTerms {
            modelId: policy.model_id,
            threshold: I256::from_dec_str(&policy.threshold).expect("a number"),
            careCode: policy.care_code,
            benefit: number(&policy.benefit),
            coolDownSeconds: policy.cool_down_seconds,
            maxAttestationAgeSeconds: policy.max_attestation_age_seconds,
            fulfilWithinSeconds: policy.fulfil_within_seconds,
            startsPerDayMax: policy.starts_per_day_max,
            openMax: policy.open_max,
            arbiter: policy.arbiter,
            arbitrationSeconds: policy.arbitration_seconds,
        };
        assert_eq!(ids::policy_id(&terms), policy.id);
    }
    for case in vectors.nullifiers {
        let window_end = number(&case.window_end);
        let nullifier = ids::nullifier(case.mandate_id, case.policy_id, window_end, case.cool_down_seconds);
        assert_eq!(nullifier, case.nullifier);
    }
}

#[test]
fn score_inputs() {
    for case in vectors().scores {
        assert_eq!(ids::score_input(number(&case.score)), U256::from_be_bytes(case.input.0));
    }
}

#[test]
fn mandate_digests() {
    let Digests { chain_id, mandate_registry, mandate, revocation, .. } = vectors().digests;
    let domain = typed::domain(chain_id, mandate_registry);
    let message = typed::Mandate {
        id: ids::mandate_id(mandate.key),
        key: mandate.key,
        policyId: mandate.policy_id,
        oracle: mandate.oracle,
        operator: mandate.operator,
        providerClass: mandate.provider_class,
        expires: number(&mandate.expires),
    };
    assert_eq!(message.id, mandate.id);
    assert_eq!(message.eip712_signing_hash(&domain), mandate.digest);
    let withdrawal = typed::Revocation { mandateId: mandate.id };
    assert_eq!(withdrawal.eip712_signing_hash(&domain), revocation.digest);
}

#[test]
fn coordinator_digests() {
    let Digests { chain_id, coordinator, mandate, attestation, attendance, attendance_code, .. } = vectors().digests;
    let domain = typed::domain(chain_id, coordinator);
    let window = typed::WindowAttestation {
        mandateId: mandate.id,
        windowEnd: number(&attestation.window_end),
        schema: attestation.schema,
        commitment: attestation.commitment,
    };
    assert_eq!(window.eip712_signing_hash(&domain), attestation.digest);
    let visit = typed::Attendance { triggerId: attendance.trigger_id, provider: attendance.provider };
    assert_eq!(visit.eip712_signing_hash(&domain), attendance.digest);
    let shown = typed::AttendanceCode { triggerId: attendance.trigger_id, code: attendance_code.code };
    assert_eq!(shown.eip712_signing_hash(&domain), attendance_code.digest);
    let another = typed::AttendanceCode { code: attendance.provider, ..shown };
    assert_ne!(another.eip712_signing_hash(&domain), attendance_code.digest);
}

#[test]
fn credential_digests() {
    let Digests { chain_id, credential_registry, coordinator, credential, .. } = vectors().digests;
    let message = typed::Credential {
        provider: credential.provider,
        issuer: credential.issuer,
        licence: credential.licence,
        class: credential.class,
        expires: number(&credential.expires),
    };
    let domain = typed::domain(chain_id, credential_registry);
    assert_eq!(message.eip712_signing_hash(&domain), credential.digest);
    let elsewhere = typed::domain(chain_id, coordinator);
    assert_ne!(message.eip712_signing_hash(&elsewhere), credential.digest);
    let longer = typed::Credential { expires: message.expires + 1, ..message };
    assert_ne!(longer.eip712_signing_hash(&domain), credential.digest);
}

fn vectors() -> Vectors {
    parsed(VECTORS)
}

fn parsed<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).expect("the vectors have the shape of this file's structs")
}

fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a number")
}
