//! The EIP-712 messages that the contracts check. Sign `message.eip712_signing_hash(&domain(…))` ([`SolStruct`]) with the
//! 65-byte form `r || s || v`, where `v` is 27 or 28.

use alloy::primitives::Address;
pub use alloy::sol_types::{Eip712Domain, SolStruct};

alloy::sol! {
    /// An oracle's statement that a commitment opens to what a mandate's window held at its end. Checked by the
    /// coordinator, in the coordinator's domain.
    #[derive(Debug, PartialEq, Eq)]
    struct WindowAttestation {
        /// The patient's consent.
        bytes32 mandateId;
        /// End of the window in seconds since the epoch.
        uint64 windowEnd;
        /// Hash of the feature schema.
        bytes32 schema;
        /// Salted commitment to the features, a field element in big-endian order.
        bytes32 commitment;
    }

    /// A patient's consent. Checked by the mandate registry, in the registry's domain.
    #[derive(Debug, PartialEq, Eq)]
    struct Mandate {
        /// The mandate's identifier, see [`crate::ids::mandate_id`].
        bytes32 id;
        /// The address of the mandate's key.
        address key;
        /// The one care policy consented to.
        bytes32 policyId;
        /// The one oracle whose attestations may be used.
        address oracle;
        /// The one agent operator who may start care; zero where anyone may.
        address operator;
        /// The one class of providers who may give it; zero for any.
        bytes4 providerClass;
        /// First second at which the consent no longer holds.
        uint64 expires;
    }

    /// The withdrawal of a consent. Checked by the mandate registry, in the registry's domain.
    #[derive(Debug, PartialEq, Eq)]
    struct Revocation {
        /// The mandate's identifier.
        bytes32 mandateId;
    }

    /// A mandate key's statement that a provider attended to a trigger. Checked by the coordinator, in the coordinator's
    /// domain.
    #[derive(Debug, PartialEq, Eq)]
    struct Attendance {
        /// The trigger's identifier.
        bytes32 triggerId;
        /// The provider who is to be paid.
        address provider;
    }

    /// A mandate key's statement that whoever holds a code's key was given the care of a trigger. Checked by the
    /// coordinator, in the coordinator's domain; the code's own signature is over [`Attendance`].
    #[derive(Debug, PartialEq, Eq)]
    struct AttendanceCode {
        /// The trigger's identifier.
        bytes32 triggerId;
        /// The address of the code's key.
        address code;
    }

    /// An issuer's statement that a provider belongs to a class of practitioners. Checked by the credential registry, in
    /// the registry's domain.
    #[derive(Debug, PartialEq, Eq)]
    struct Credential {
        /// Who holds it.
        address provider;
        /// Who signs it.
        address issuer;
        /// Salted hash of the licence, used once.
        bytes32 licence;
        /// The class: the first four bytes of the hash of a terminology's code.
        bytes4 class;
        /// First second at which it no longer holds.
        uint64 expires;
    }
}

/// The domain of messages that the contract at `verifying_contract` checks.
pub fn domain(chain_id: u64, verifying_contract: Address) -> Eip712Domain {
    alloy::sol_types::eip712_domain! {
        name: "Hygeia",
        version: "1",
        chain_id: chain_id,
        verifying_contract: verifying_contract,
    }
}

impl From<&Mandate> for crate::mandate_registry::IMandateRegistry::Mandate {
    fn from(mandate: &Mandate) -> Self {
        Self {
            id: mandate.id,
            key: mandate.key,
            policyId: mandate.policyId,
            oracle: mandate.oracle,
            operator: mandate.operator,
            providerClass: mandate.providerClass,
            expires: mandate.expires,
        }
    }
}

impl From<&Credential> for crate::credential_registry::ICredentialRegistry::Credential {
    fn from(credential: &Credential) -> Self {
        Self {
            provider: credential.provider,
            issuer: credential.issuer,
            licence: credential.licence,
            class: credential.class,
            expires: credential.expires,
        }
    }
}
