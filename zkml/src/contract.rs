//! The verifier contract of one verifying key, and the calldata it takes.
//!
//! The generated contract reduces public values by the modulus and ignores bytes after the proof, so whoever calls it
//! must demand that each word is below the modulus and that the length is [`calldata_bytes`], and that there is code at
//! its address. It reverts on any proof that does not hold.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
};

use halo2_axiom::{
    halo2curves::bn256::{Bn256, Fq, Fr, G1Affine},
    plonk::VerifyingKey,
    poly::{commitment::ParamsProver, kzg::commitment::ParamsKZG},
};
use snark_verifier::{
    loader::evm::EvmLoader,
    pcs::kzg::{Bdfg21, KzgAs, KzgDecidingKey},
    system::halo2::{Config, compile, transcript::evm::EvmTranscript},
    verifier::{SnarkVerifier, plonk::PlonkVerifier},
};

use crate::{engine::native::VerifyingKeyFile, statement::PublicInputs};

/// Public values in front of a proof.
pub(crate) const PUBLIC_VALUES: usize = 2;
pub(crate) const WORD_BYTES: usize = 32;

/// Why no contract was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContractError {
    /// The generator refused the key.
    #[error("verifier contract: the generator refused the key")]
    Generator,
    /// The generator wrote another preamble than the one this crate knows how to complete.
    #[error("verifier contract: the generator's output has changed")]
    Preamble,
}

/// Solidity source of the contract `Halo2Verifier`.
///
/// Compile it with `viaIR` and the optimizer steps `u:`; the full optimizer silently yields a contract that always
/// reverts.
pub fn verifier_solidity(key: &VerifyingKeyFile) -> Result<String, ContractError> {
    let origin = Origin { circuit_hash: key.circuit_hash(), key_hash: key.hash(), development: key.is_development() };
    solidity(key.params(), key.verifying_key(), &origin)
}

/// What a generated contract says about where it comes from.
pub(crate) struct Origin {
    pub circuit_hash: [u8; 32],
    pub key_hash: [u8; 32],
    /// Whether the reference string's secret is public.
    pub development: bool,
}

/// The contract of any key with [`PUBLIC_VALUES`] public values.
pub(crate) fn solidity(
    params: &ParamsKZG<Bn256>,
    key: &VerifyingKey<G1Affine>,
    origin: &Origin,
) -> Result<String, ContractError> {
    let generate = || generate(params, key);
    let generated = catch_unwind(AssertUnwindSafe(generate)).ok().flatten().ok_or(ContractError::Generator)?;
    complete(&generated, origin).ok_or(ContractError::Preamble)
}

/// Commitment and score as big-endian words, then the proof.
pub fn calldata(public: &PublicInputs, proof: &[u8]) -> Vec<u8> {
    let mut bytes = public.words().concat();
    bytes.extend_from_slice(proof);
    bytes
}

/// Bytes of every calldata for this key.
pub fn calldata_bytes(key: &VerifyingKeyFile) -> usize {
    PUBLIC_VALUES * WORD_BYTES + key.proof_bytes()
}

fn generate(params: &ParamsKZG<Bn256>, verifying_key: &VerifyingKey<G1Affine>) -> Option<String> {
    type Verifier = PlonkVerifier<KzgAs<Bn256, Bdfg21>>;
    let protocol = compile(params, verifying_key, Config::kzg().with_num_instance(vec![PUBLIC_VALUES]));
    let deciding_key = KzgDecidingKey::<Bn256>::from((params.get_g()[0], params.g2(), params.s_g2()));
    let loader = EvmLoader::new::<Fq, Fr>();
    let protocol = protocol.loaded(&loader);
    let mut transcript = EvmTranscript::<G1Affine, Rc<EvmLoader>, _, _>::new(&loader);
    let instances = transcript.load_instances(vec![PUBLIC_VALUES]);
    let proof = Verifier::read_proof(&deciding_key, &protocol, &instances, &mut transcript).ok()?;
    Verifier::verify(&deciding_key, &protocol, &instances, &proof).ok()?;
    Some(loader.solidity_code())
}

/// Opens the generator's pinned compiler version and says where the file comes from.
fn complete(generated: &str, origin: &Origin) -> Option<String> {
    let body = generated.trim_start().strip_prefix("// SPDX-License-Identifier: MIT")?;
    let body = body.trim_start().strip_prefix("pragma solidity 0.8.19;")?;
    let mark = if origin.development { " Its reference string is INSECURE: for development only." } else { "" };
    let (circuit, verifying_key) = (hex::encode(origin.circuit_hash), hex::encode(origin.key_hash));
    Some(format!(
        "// SPDX-License-Identifier: MIT\n// Generated from circuit {circuit},\n// verifying key {verifying_key}.{mark}\n\
         pragma solidity ^0.8.19;\n{}\n",
        body.trim_end()
    ))
}
