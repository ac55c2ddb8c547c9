//! What oracles and patients sign: EIP-712 messages in the domain of the contract that checks them.

use alloy::primitives::{Address, B256, FixedBytes, Signature};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use hygeia_policies::ids;
use hygeia_policies::typed_data::{self, Attendance, Eip712Domain, Mandate, Revocation, SolStruct, WindowAttestation};

use super::{ChainError, Deployment};

/// Signs attested windows.
pub struct OracleSigner {
    key: PrivateKeySigner,
    domain: Eip712Domain,
}

impl OracleSigner {
    /// A signer for the deployment's coordinator.
    pub fn new(key: PrivateKeySigner, deployment: &Deployment) -> Self {
        Self { key, domain: typed_data::domain(deployment.chain_id, deployment.care_coordinator) }
    }

    /// The oracle's address.
    pub fn address(&self) -> Address {
        self.key.address()
    }

    /// Signs that `commitment` is that of the mandate's window ending at `end_s`.
    pub fn attest(
        &self,
        mandate: [u8; 32],
        end_s: u64,
        schema: [u8; 32],
        commitment: [u8; 32],
    ) -> Result<[u8; 65], ChainError> {
        let statement = WindowAttestation {
            mandateId: B256::from(mandate),
            windowEnd: end_s,
            schema: B256::from(schema),
            commitment: B256::from(commitment),
        };
        sign(&self.key, &statement, &self.domain)
    }
}

/// What an oracle signs for.
#[derive(Debug, Clone, Copy)]
pub struct Attested {
    /// The mandate.
    pub mandate: [u8; 32],
    /// End of the window, seconds since the epoch.
    pub end_s: u64,
    /// Hash of the feature schema.
    pub schema: [u8; 32],
    /// The commitment.
    pub commitment: [u8; 32],
}

/// Who signed `what` for a coordinator; nobody where the signature is none.
pub fn attested_by(chain_id: u64, coordinator: Address, what: &Attested, signature: &[u8; 65]) -> Option<Address> {
    let statement = WindowAttestation {
        mandateId: B256::from(what.mandate),
        windowEnd: what.end_s,
        schema: B256::from(what.schema),
        commitment: B256::from(what.commitment),
    };
    let digest = statement.eip712_signing_hash(&typed_data::domain(chain_id, coordinator));
    Signature::from_raw_array(signature).ok()?.recover_address_from_prehash(&digest).ok()
}

/// A patient's consent with the key that gave it and can take it back.
pub struct MandateKey {
    key: PrivateKeySigner,
}

impl MandateKey {
    /// A fresh key: nothing links it to a person or to another mandate.
    pub fn fresh() -> Self {
        Self { key: PrivateKeySigner::random() }
    }

    /// The mandate's identifier.
    pub fn id(&self) -> B256 {
        ids::mandate_id(self.key.address())
    }

    /// The consent to one policy and one oracle until `expires`, signed for the mandate registry.
    pub fn grant(
        &self,
        policy: B256,
        oracle: Address,
        expires: u64,
        deployment: &Deployment,
    ) -> Result<(Mandate, [u8; 65]), ChainError> {
        let mandate = Mandate {
            id: self.id(),
            key: self.key.address(),
            policyId: policy,
            oracle,
            // Any operator and any class of providers: a patient's own page will ask.
            operator: Address::ZERO,
            providerClass: FixedBytes::ZERO,
            expires,
        };
        let domain = typed_data::domain(deployment.chain_id, deployment.mandate_registry);
        let signature = sign(&self.key, &mandate, &domain)?;
        Ok((mandate, signature))
    }

    /// The consent's withdrawal, signed for the mandate registry.
    pub fn revoke(&self, deployment: &Deployment) -> Result<[u8; 65], ChainError> {
        let domain = typed_data::domain(deployment.chain_id, deployment.mandate_registry);
        sign(&self.key, &Revocation { mandateId: self.id() }, &domain)
    }

    /// The statement that `provider` attended to a trigger, signed for the coordinator.
    pub fn attend(&self, trigger: B256, provider: Address, deployment: &Deployment) -> Result<[u8; 65], ChainError> {
        let domain = typed_data::domain(deployment.chain_id, deployment.care_coordinator);
        sign(&self.key, &Attendance { triggerId: trigger, provider }, &domain)
    }
}

fn sign(key: &PrivateKeySigner, message: &impl SolStruct, domain: &Eip712Domain) -> Result<[u8; 65], ChainError> {
    let signature = key
        .sign_hash_sync(&message.eip712_signing_hash(domain))
        .map_err(|source| ChainError::Call { operation: "signing a message", source: Box::new(source) })?;
    Ok(signature.as_bytes())
}
