//! The real contracts for the simulation: the committed bytecode in an EVM, founded for a ward, behind
//! [`hygeia_sim::contracts::Contracts`]. Every trigger passes all that the contracts check: consent, the oracle's bond and
//! signature, the model's and the policy's approval, the caps, the nullifier, and a real proof by the generated verifier.
//!
//! A simulated window has stand-ins for features and score, so each trigger carries the committed proof, with its
//! commitment and score, and an attestation that is signed for this trigger. This crate never decides what the contracts
//! decide, and never opens a connection.

mod founding;
mod machine;
mod vectors;

use std::collections::{BTreeMap, VecDeque};

use alloy::primitives::{Address, B256, I256};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::{SolCall, SolStruct};
use hygeia_policies::care_coordinator::CareCoordinator::triggerCall;
use hygeia_policies::model_registry::ModelRegistry::{reinstateModelCall, suspendModelCall};
use hygeia_policies::typed_data::{Eip712Domain, WindowAttestation};
use hygeia_policies::{ModelCommitment, TriggerRequest};
use hygeia_protocol::bytes::B32;
use hygeia_sim::call::Call;
use hygeia_sim::chain::CONFIRMATIONS;
use hygeia_sim::contracts::{At, Contracts};
use hygeia_sim::governance::Decision;

use self::machine::{Machine, State};
use self::vectors::Vector;

/// The account that starts care: anyone may.
const STEWARD: Address = Address::repeat_byte(0x57);

/// Founds the contracts for a ward of so many patients.
#[must_use]
pub fn found(patients: u64) -> Box<dyn Contracts> {
    Box::new(founding::found(patients))
}

/// A chain with the contracts on it.
#[derive(Debug)]
struct Evm {
    machine: Machine,
    /// What was there before each of the newest blocks that changed something.
    before: VecDeque<(u64, State)>,
    addresses: Addresses,
    models: BTreeMap<B32, Model>,
    /// Mandates on the chain by those of the ward and the model.
    mandates: BTreeMap<(B32, B32), B256>,
    oracle: PrivateKeySigner,
    domain: Eip712Domain,
    vector: Vector,
}

#[derive(Clone, Copy, Debug)]
struct Addresses {
    owner: Address,
    guardian: Address,
    models: Address,
    coordinator: Address,
    verifier: Address,
}

#[derive(Debug)]
struct Model {
    commitment: ModelCommitment,
    id: B256,
    policy: B256,
}

impl Evm {
    fn request(&self, call: &Call) -> Vec<u8> {
        let (mandate, policy) = (self.mandates[&(call.mandate, call.model)], self.models[&call.model].policy);
        let attestation = WindowAttestation {
            mandateId: mandate,
            windowEnd: call.end,
            schema: vectors::SCHEMA,
            commitment: self.vector.commitment,
        };
        let digest = attestation.eip712_signing_hash(&self.domain);
        let signature = self.oracle.sign_hash_sync(&digest).expect("a key in memory signs");
        let request = TriggerRequest {
            policyId: policy,
            mandateId: mandate,
            windowEnd: call.end,
            commitment: self.vector.commitment,
            score: I256::try_from(self.vector.score).expect("a score is small"),
            oracle: self.oracle.address(),
            oracleSignature: signature.as_bytes().to_vec().into(),
            proof: self.vector.proof.clone(),
        };
        triggerCall { request }.abi_encode()
    }

    /// Keeps what there is before a block changes it.
    fn begin(&mut self, at: At) {
        if self.before.back().is_some_and(|(block, _)| *block == at.block) {
            return;
        }
        self.before.push_back((at.block, self.machine.state().clone()));
        while self.before.pop_front_if(|(block, _)| *block + CONFIRMATIONS < at.block).is_some() {}
    }
}

impl Contracts for Evm {
    fn decide(&mut self, what: Decision, at: At) {
        self.begin(at);
        let Addresses { owner, guardian, models, verifier, .. } = self.addresses;
        let is_done = match what {
            Decision::Suspend(model) => {
                let call = suspendModelCall { modelId: self.models[&model].id };
                self.machine.call(guardian, models, call.abi_encode(), at)
            }
            Decision::Approve(model) => {
                let Model { commitment, id, .. } = &self.models[&model];
                // A model that was suspended is reinstated; one that is not known yet is approved.
                let again = reinstateModelCall { modelId: *id }.abi_encode();
                let first = founding::approval(commitment, verifier, self.vector.proof.len());
                self.machine.call(owner, models, again, at) || self.machine.call(owner, models, first, at)
            }
        };
        assert!(is_done, "the owner approves and the guardian suspends: {what:?}");
    }

    fn refuses(&mut self, call: &Call, at: At) -> bool {
        let request = self.request(call);
        !self.machine.ask(STEWARD, self.addresses.coordinator, request, at)
    }

    fn trigger(&mut self, call: &Call, at: At) -> bool {
        self.begin(at);
        let request = self.request(call);
        self.machine.call(STEWARD, self.addresses.coordinator, request, at)
    }

    fn roll_back(&mut self, to_block: u64) {
        while let Some((_, state)) = self.before.pop_back_if(|(block, _)| *block > to_block) {
            self.machine.restore(state);
        }
    }
}
