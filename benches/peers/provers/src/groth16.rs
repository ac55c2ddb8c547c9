//! Groth16 by arkworks: proofs of three points, the cheapest to verify on a chain, under keys that need a ceremony for each
//! model. The keys here are drawn on this machine, by which proofs can be forged: for measurement alone.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use ark_bn254::{Bn254, Fr as Scalar};
use ark_ff::{BigInteger as _, PrimeField as _, UniformRand as _};
use ark_groth16::{Groth16, PreparedVerifyingKey, Proof, ProvingKey, prepare_verifying_key};
use ark_relations::gr1cs::{ConstraintSynthesizer, ConstraintSystemRef, SynthesisError};
use ark_relations::utils::{linear_combination::LinearCombination, matrix::Matrix, variable::Variable};
use ark_serialize::{CanonicalDeserialize as _, CanonicalSerialize as _};
use ark_snark::SNARK as _;
use halo2curves_axiom::bn256::Fr;
use halo2curves_axiom::ff::PrimeField as _;
use hygeia_inference::IntegerNetwork;
use hygeia_zkml::PublicInputs;
use rand::rngs::OsRng;
use serde_json::{Value, json};

use crate::protocol::{Peer, once};
use crate::r1cs::{Row, System};
use crate::solidity;
use crate::statement::Witness;

/// A key, and the constraints in arkworks' form.
pub struct ArkworksProver {
    key: ProvingKey<Bn254>,
    prepared: PreparedVerifyingKey<Bn254>,
    matrices: Vec<Matrix<Scalar>>,
    public: usize,
    key_bytes: u64,
    setup_cpu_s: f64,
}

impl ArkworksProver {
    /// Opens the key in a folder, or makes one. The verifier contract is written beside it.
    pub fn open(network: &IntegerNetwork, folder: &Path) -> Result<Self> {
        let system = Witness::example(network)?.recorded(network);
        let path = folder.join("groth16.key");
        let setup_cpu_s = once(&path, || {
            let (key, _) = Groth16::<Bn254>::circuit_specific_setup(Replay(&system), &mut OsRng)?;
            key.serialize_uncompressed(BufWriter::new(File::create(&path)?))?;
            solidity::write(&key.vk, &folder.join("verifier.sol"))
        })?;
        // The file is this program's own; checking that its points lie on the curve would take longer than making them.
        let key = ProvingKey::deserialize_uncompressed_unchecked(BufReader::new(File::open(&path)?))?;
        let matrix =
            |pick: fn(&crate::r1cs::Constraint) -> &Row| system.constraints.iter().map(pick).map(row).collect();
        Ok(Self {
            prepared: prepare_verifying_key(&key.vk),
            key,
            matrices: vec![matrix(|row| &row.a), matrix(|row| &row.b), matrix(|row| &row.c)],
            public: system.public,
            key_bytes: path.metadata()?.len(),
            setup_cpu_s,
        })
    }

    /// Proves whatever values it is given: what does not satisfy the constraints gives a proof that is refused.
    pub fn prove_values(&self, values: &[Fr]) -> Result<Proof<Bn254>> {
        let values: Vec<Scalar> = values.iter().map(scalar).collect();
        let (r, s) = (Scalar::rand(&mut OsRng), Scalar::rand(&mut OsRng));
        let constraints = self.matrices[0].len();
        let (matrices, inputs) = (&self.matrices, self.public + 1);
        let proof = Groth16::<Bn254>::create_proof_with_reduction_and_matrices(
            &self.key,
            r,
            s,
            matrices,
            inputs,
            constraints,
            &values,
        );
        Ok(proof?)
    }

    /// Whether a proof holds for these public values.
    pub fn holds(&self, public: &PublicInputs, proof: &Proof<Bn254>) -> Result<bool> {
        Ok(Groth16::<Bn254>::verify_proof(&self.prepared, proof, &public.instances().map(|value| scalar(&value)))?)
    }
}

impl Peer for ArkworksProver {
    fn about(&self) -> Value {
        json!({
            "prover": "groth16",
            "version": "ark-groth16 0.6.0",
            "licence": "MIT OR Apache-2.0",
            "is_zero_knowledge": true,
            "setup": "a ceremony for each model",
            "constraints": self.matrices[0].len(),
            "key_bytes": self.key_bytes,
            "setup_cpu_s": self.setup_cpu_s,
            "has_contract": true,
        })
    }

    fn prove(&self, network: &IntegerNetwork, witness: &Witness) -> Result<Vec<u8>> {
        let proof = self.prove_values(&witness.computed(network).values)?;
        let words = solidity::words(&proof);
        Ok(words.concat())
    }

    fn verify(&self, public: &PublicInputs, proof: &[u8]) -> Result<()> {
        let proof = solidity::proof(proof).context("a proof of eight words")?;
        ensure!(self.holds(public, &proof)?, "the proof is refused");
        Ok(())
    }

    fn calldata(&self, public: &PublicInputs, proof: &[u8]) -> Option<Vec<u8>> {
        Some([public.words().concat().as_slice(), proof].concat())
    }
}

/// Says the constraints again, as arkworks asks for them.
struct Replay<'a>(&'a System);

impl ConstraintSynthesizer<Scalar> for Replay<'_> {
    fn generate_constraints(self, system: ConstraintSystemRef<Scalar>) -> Result<(), SynthesisError> {
        let Self(ours) = self;
        let (public, private) = ours.values[1..].split_at(ours.public);
        for value in public {
            let _ = system.new_input_variable(|| Ok(scalar(value)))?;
        }
        for value in private {
            let _ = system.new_witness_variable(|| Ok(scalar(value)))?;
        }
        let variable = |index: usize| match index.checked_sub(ours.public + 1) {
            Some(private) => Variable::witness(private),
            None if index == 0 => Variable::One,
            None => Variable::instance(index),
        };
        let sum = |terms: &Row| {
            LinearCombination(row(terms).into_iter().map(|(factor, index)| (factor, variable(index))).collect())
        };
        for constraint in &ours.constraints {
            system.enforce_r1cs_constraint(|| sum(&constraint.a), || sum(&constraint.b), || sum(&constraint.c))?;
        }
        Ok(())
    }
}

fn row(row: &Row) -> Vec<(Scalar, usize)> {
    row.iter().map(|(variable, factor)| (scalar(factor), *variable)).collect()
}

fn scalar(value: &Fr) -> Scalar {
    Scalar::from_le_bytes_mod_order(&value.to_repr())
}

/// The two coordinates of a point as a contract takes them; none is the point at infinity, which no key or proof holds.
pub fn coordinates<P: ark_ec::AffineRepr>(point: &P) -> [Vec<u8>; 2]
where
    P::BaseField: ark_ff::Field,
{
    use ark_ff::Field as _;
    let (x, y) = (point.x().unwrap_or_default(), point.y().unwrap_or_default());
    // An extension's coordinates stand in the reverse order in a contract.
    [x, y].map(|coordinate| {
        let elements: Vec<_> = coordinate.to_base_prime_field_elements().collect();
        elements.iter().rev().flat_map(|element| element.into_bigint().to_bytes_be()).collect()
    })
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha20Rng;

    use super::*;
    use crate::models::{MODELS, Model};

    #[test]
    fn a_proof_holds_and_a_forged_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let model = Model::named(MODELS[0]);
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        let peer = ArkworksProver::open(&model.network, folder.path()).unwrap();
        let again = ArkworksProver::open(&model.network, folder.path()).unwrap();
        let witness = Witness::new(&model.network, &model.window(&mut rng), rng.r#gen()).unwrap();
        let proof = peer.prove(&model.network, &witness).unwrap();
        again.verify(&witness.public, &proof).unwrap();
        assert_eq!(peer.calldata(&witness.public, &proof).unwrap().len(), 10 * 32);

        let other = PublicInputs { score: witness.public.score + 1, ..witness.public };
        peer.verify(&other, &proof).unwrap_err();
        let mut changed = proof.clone();
        changed[40] ^= 1;
        assert!(peer.verify(&witness.public, &changed).is_err());
        // A prover that claims another score has values that satisfy no constraint about it.
        let mut forged = witness.computed(&model.network).values;
        forged[2] += Fr::one();
        let forged = peer.prove_values(&forged).unwrap();
        assert!(!peer.holds(&other, &forged).unwrap() && !peer.holds(&witness.public, &forged).unwrap());
    }
}
