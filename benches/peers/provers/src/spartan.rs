//! Spartan by Microsoft, on the same constraints: no ceremony at all, and proofs too large for a chain. Of its two provers it
//! is the zero-knowledge one (`SpartanZkSNARK`), over BN254 with Hyrax commitments.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, anyhow, ensure};
use bellpepper_core::num::AllocatedNum;
use bellpepper_core::{ConstraintSystem, LinearCombination, SynthesisError, Variable};
use ff::PrimeField as _;
use halo2curves_axiom::bn256::Fr;
use hygeia_inference::IntegerNetwork;
use hygeia_zkml::PublicInputs;
use serde_json::{Value, json};
use spartan2::provider::Bn254Engine;
use spartan2::spartan_zk::{SpartanProverKey, SpartanVerifierKey, SpartanZkSNARK};
use spartan2::traits::Engine;
use spartan2::traits::circuit::SpartanCircuit;
use spartan2::traits::snark::R1CSSNARKTrait as _;

use crate::protocol::{Peer, once};
use crate::r1cs::{Constraint, Row, System};
use crate::statement::Witness;

type Scalar = <Bn254Engine as Engine>::Scalar;
type Snark = SpartanZkSNARK<Bn254Engine>;

/// Keys, and the constraints in bellpepper's form.
pub struct SpartanProver {
    prover: SpartanProverKey<Bn254Engine>,
    verifier: SpartanVerifierKey<Bn254Engine>,
    constraints: usize,
    key_bytes: u64,
    setup_cpu_s: f64,
}

impl SpartanProver {
    /// Opens the keys in a folder, or makes them: they follow from the constraints, and hold no secret.
    pub fn open(network: &IntegerNetwork, folder: &Path) -> Result<Self> {
        let system = Witness::example(network)?.recorded(network);
        let constraints = system.constraints.len();
        let path = folder.join("spartan.key");
        let setup_cpu_s = once(&path, || {
            let keys = Snark::setup(Replay::of(system)).map_err(|error| anyhow!("{error}"))?;
            Ok(bincode::serialize_into(BufWriter::new(File::create(&path)?), &keys)?)
        })?;
        let (prover, verifier) = bincode::deserialize_from(BufReader::new(File::open(&path)?))?;
        Ok(Self { prover, verifier, constraints, key_bytes: path.metadata()?.len(), setup_cpu_s })
    }

    /// Proves whatever values it is given; what does not satisfy the constraints is refused here or by the verifier.
    pub fn prove_values(&self, system: System) -> Result<Snark> {
        let circuit = Replay::of(system);
        let failed = |error: spartan2::errors::SpartanError| anyhow!("{error}");
        // Rows of small values are found by the commitment itself; the hash's are not small.
        let prepared = Snark::prep_prove(&self.prover, circuit.clone(), false).map_err(failed)?;
        Ok(Snark::prove(&self.prover, circuit, prepared, false).map_err(failed)?.0)
    }

    /// Refuses a proof that does not hold for these public values.
    pub fn check(&self, public: &PublicInputs, proof: &Snark) -> Result<()> {
        let proved = proof.verify(&self.verifier).map_err(|error| anyhow!("{error}"))?;
        ensure!(proved == public.instances().map(|value| scalar(&value)), "the proof is of other public values");
        Ok(())
    }
}

impl Peer for SpartanProver {
    fn about(&self) -> Value {
        json!({
            "prover": "spartan",
            "version": "spartan2 0.9.0",
            "licence": "MIT",
            "is_zero_knowledge": true,
            "setup": "none",
            "constraints": self.constraints,
            "key_bytes": self.key_bytes,
            "setup_cpu_s": self.setup_cpu_s,
            "has_contract": false,
        })
    }

    fn prove(&self, network: &IntegerNetwork, witness: &Witness) -> Result<Vec<u8>> {
        Ok(bincode::serialize(&self.prove_values(witness.computed(network))?)?)
    }

    fn verify(&self, public: &PublicInputs, proof: &[u8]) -> Result<()> {
        self.check(public, &bincode::deserialize(proof)?)
    }

    fn calldata(&self, _: &PublicInputs, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

/// Says the constraints again, as bellpepper asks for them. A prover asks for none.
#[derive(Clone)]
struct Replay {
    values: Arc<Vec<Scalar>>,
    constraints: Arc<Vec<Constraint>>,
    public: usize,
}

impl Replay {
    fn of(system: System) -> Self {
        let values = system.values.iter().map(scalar).collect();
        Self { values: Arc::new(values), constraints: Arc::new(system.constraints), public: system.public }
    }
}

impl SpartanCircuit<Bn254Engine> for Replay {
    fn public_values(&self) -> Result<Vec<Scalar>, SynthesisError> {
        Ok(self.values[1..=self.public].to_vec())
    }

    fn shared<CS: ConstraintSystem<Scalar>>(&self, _: &mut CS) -> Result<Vec<AllocatedNum<Scalar>>, SynthesisError> {
        Ok(Vec::new())
    }

    fn precommitted<CS: ConstraintSystem<Scalar>>(
        &self,
        system: &mut CS,
        _: &[AllocatedNum<Scalar>],
    ) -> Result<Vec<AllocatedNum<Scalar>>, SynthesisError> {
        let private = self.values[1 + self.public..].iter();
        private.map(|value| AllocatedNum::alloc(&mut *system, || Ok(*value))).collect()
    }

    fn num_challenges(&self) -> usize {
        0
    }

    fn synthesize<CS: ConstraintSystem<Scalar>>(
        &self,
        system: &mut CS,
        _: &[AllocatedNum<Scalar>],
        private: &[AllocatedNum<Scalar>],
        _: Option<&[Scalar]>,
    ) -> Result<(), SynthesisError> {
        let mut variables: Vec<Variable> = vec![CS::one()];
        for value in &self.values[1..=self.public] {
            variables.push(AllocatedNum::alloc_input(&mut *system, || Ok(*value))?.get_variable());
        }
        variables.extend(private.iter().map(AllocatedNum::get_variable));
        let sum = |row: &Row| {
            let terms = row.iter().map(|(variable, factor)| (scalar(factor), variables[*variable]));
            terms.fold(LinearCombination::zero(), |sum, term| sum + term)
        };
        for constraint in self.constraints.iter() {
            system.enforce(|| "", |_| sum(&constraint.a), |_| sum(&constraint.b), |_| sum(&constraint.c));
        }
        Ok(())
    }
}

fn scalar(value: &Fr) -> Scalar {
    let mut bytes = <Scalar as ff::PrimeField>::Repr::default();
    bytes.as_mut().copy_from_slice(&value.to_repr());
    Option::from(Scalar::from_repr(bytes)).expect("both fields have one modulus")
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
        let mut rng = ChaCha20Rng::seed_from_u64(4);
        let peer = SpartanProver::open(&model.network, folder.path()).unwrap();
        let witness = Witness::new(&model.network, &model.window(&mut rng), rng.r#gen()).unwrap();
        let proof = peer.prove(&model.network, &witness).unwrap();
        peer.verify(&witness.public, &proof).unwrap();

        let other = PublicInputs { score: witness.public.score + 1, ..witness.public };
        peer.verify(&other, &proof).unwrap_err();
        let mut forged = witness.computed(&model.network);
        forged.values[2] += Fr::one();
        let refused = peer.prove_values(forged).and_then(|proof| peer.check(&other, &proof));
        refused.unwrap_err();
    }
}
