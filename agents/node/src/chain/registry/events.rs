//! The registries' logs in the words of the machine that follows them.

use alloy::primitives::{Address, B256, Bloom, BloomInput, Log, U256};
use alloy::sol_types::SolEvent as _;
use hygeia_policies::mandate_registry::MandateRegistry as Mandates;
use hygeia_policies::model_registry::ModelRegistry as Models;
use hygeia_policies::policy_registry::PolicyRegistry as Policies;
use hygeia_protocol::registry::{Event, Model, Terms};

use super::b32;
use crate::chain::Deployment;

/// The three contracts whose events are followed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Contracts {
    models: Address,
    policies: Address,
    mandates: Address,
}

impl From<&Deployment> for Contracts {
    fn from(deployment: &Deployment) -> Self {
        Self {
            models: deployment.model_registry,
            policies: deployment.policy_registry,
            mandates: deployment.mandate_registry,
        }
    }
}

impl Contracts {
    pub(super) fn addresses(&self) -> [Address; 3] {
        [self.models, self.policies, self.mandates]
    }

    /// Whether a block with this filter may hold a log of one of them. False is certain.
    pub(super) fn may_be_in(&self, bloom: &Bloom) -> bool {
        self.addresses().iter().any(|address| bloom.contains_input(BloomInput::Raw(address.as_slice())))
    }

    /// What a log tells, if it is of one of them and of concern.
    pub(super) fn event(&self, log: &Log) -> Option<Event> {
        let topic = *log.topics().first()?;
        match log.address {
            address if address == self.models => model_event(topic, log),
            address if address == self.policies => policy_event(topic, log),
            address if address == self.mandates => mandate_event(topic, log),
            _ => None,
        }
    }
}

fn model_event(topic: B256, log: &Log) -> Option<Event> {
    Some(match topic {
        Models::ModelRegistered::SIGNATURE_HASH => {
            let event = Models::ModelRegistered::decode_log(log).ok()?;
            let commitment = &event.commitment;
            Event::ModelRegistered(Model {
                id: b32(event.modelId.into()),
                package: b32(commitment.modelHash),
                circuit: b32(commitment.circuitHash),
                verifying_key: b32(commitment.vkHash),
                proof_system: commitment.proofSystemId.0,
            })
        }
        Models::ModelApproved::SIGNATURE_HASH => {
            let event = Models::ModelApproved::decode_log(log).ok()?;
            Event::ModelApproved { id: b32(event.modelId), schema: b32(event.binding.schemaHash) }
        }
        Models::ModelSuspended::SIGNATURE_HASH => {
            Event::Suspended(b32(Models::ModelSuspended::decode_log(log).ok()?.modelId))
        }
        Models::ModelReinstated::SIGNATURE_HASH => {
            Event::Reinstated(b32(Models::ModelReinstated::decode_log(log).ok()?.modelId))
        }
        Models::ModelDeprecated::SIGNATURE_HASH => {
            let id: U256 = Models::ModelDeprecated::decode_log(log).ok()?.modelId;
            Event::Ended(b32(id.into()))
        }
        _ => return None,
    })
}

fn policy_event(topic: B256, log: &Log) -> Option<Event> {
    Some(match topic {
        Policies::PolicyApproved::SIGNATURE_HASH => {
            let event = Policies::PolicyApproved::decode_log(log).ok()?;
            Event::PolicyApproved(Terms {
                id: b32(event.policyId),
                model: b32(event.modelId),
                threshold: i64::try_from(event.terms.threshold).ok(),
                cool_down_s: event.terms.coolDownSeconds,
            })
        }
        Policies::PolicySuspended::SIGNATURE_HASH => {
            Event::Suspended(b32(Policies::PolicySuspended::decode_log(log).ok()?.policyId))
        }
        Policies::PolicyReinstated::SIGNATURE_HASH => {
            Event::Reinstated(b32(Policies::PolicyReinstated::decode_log(log).ok()?.policyId))
        }
        Policies::PolicyRetired::SIGNATURE_HASH => {
            Event::Ended(b32(Policies::PolicyRetired::decode_log(log).ok()?.policyId))
        }
        _ => return None,
    })
}

fn mandate_event(topic: B256, log: &Log) -> Option<Event> {
    Some(match topic {
        Mandates::MandateGranted::SIGNATURE_HASH => {
            let event = Mandates::MandateGranted::decode_log(log).ok()?;
            Event::MandateGranted {
                id: b32(event.mandateId),
                policy: b32(event.policyId),
                oracle: event.oracle.into_array().into(),
                expires_s: event.expires,
            }
        }
        Mandates::MandateRevoked::SIGNATURE_HASH => {
            Event::MandateRevoked(b32(Mandates::MandateRevoked::decode_log(log).ok()?.mandateId))
        }
        _ => return None,
    })
}
