//! From a closed window to a signed one.

use anyhow::Result;
use hygeia_protocol::message::{Address, AttestedWindow, B32, ClinicalSummary, Message, Salt, Signature, V1};
use hygeia_protocol::window::WindowSnapshot;
use hygeia_zkml::CommitmentScheme;

use super::Oracle;
use crate::clock::now_ms;
use crate::convert;
use crate::enrolment::Enrolment;
use crate::models::schemas::KnownSchema;
use crate::partition::Outbox;

impl Oracle {
    /// Whether the enrolment's mandate lets this oracle attest.
    pub(super) fn may_attest(&self, enrolment: &Enrolment) -> bool {
        self.registries.may_attest(&enrolment.mandate, self.signer.address())
    }

    /// The signed window; nothing where it is stored already, and why not where nobody could prove it.
    pub(super) fn window(
        &self,
        enrolment: &Enrolment,
        schema: &KnownSchema,
        snapshot: &WindowSnapshot,
        observed_at_ms: u64,
        outbox: &Outbox,
    ) -> Result<Result<Option<AttestedWindow>, &'static str>> {
        let Some(scheme) = self.registries.commitment_scheme(&enrolment.mandate) else {
            return Ok(Err("proof_system_unknown"));
        };
        // Its identity comes first: a commitment and a signature cost a thousand times as much.
        let unsigned = self.unsigned(enrolment, schema, snapshot, observed_at_ms);
        if outbox.is_stored(&unsigned.message_id()) {
            return Ok(Ok(None));
        }
        Ok(Ok(Some(self.sign(unsigned, scheme)?)))
    }

    fn unsigned(
        &self,
        enrolment: &Enrolment,
        known: &KnownSchema,
        snapshot: &WindowSnapshot,
        observed_at_ms: u64,
    ) -> AttestedWindow {
        let end = snapshot.end.as_seconds();
        let schema = B32::new(known.hash);
        AttestedWindow {
            v: V1,
            window_id: AttestedWindow::id(&enrolment.mandate, end, &schema),
            mandate: enrolment.mandate,
            end,
            schema,
            features: known.schema.features(&convert::clinical_state(snapshot)),
            salt: Salt::new(enrolment.salt(end)),
            commitment: B32::new([0; 32]),
            oracle: Address::new(self.signer.address().into_array()),
            signature: Signature::new([0; 65]),
            clinical: ClinicalSummary::from(snapshot),
            observed_at_ms,
            emitted_at_ms: now_ms(),
        }
    }

    fn sign(&self, mut window: AttestedWindow, scheme: CommitmentScheme) -> Result<AttestedWindow> {
        let salt = hygeia_zkml::Salt::new(*window.salt.expose());
        let schema = window.schema.into_bytes();
        let commitment = scheme.commit(schema, &window.features, &salt)?.to_bytes();
        let mandate = window.mandate.into_bytes();
        let signature = self.signer.attest(mandate, window.end, schema, commitment)?;
        (window.commitment, window.signature) = (B32::new(commitment), Signature::new(signature));
        Ok(window)
    }
}
