//! From an order to the windows it names: each looked up where the oracle put it, and checked before it goes into a proof.

use futures::StreamExt;
use futures::stream;
use hygeia_inference::IntegerNetwork;
use hygeia_protocol::bytes::B32;
use hygeia_protocol::message::{AttestedWindow, AuditOrder, Message, WindowToAudit};
use hygeia_protocol::subject::{self, Partition};
use hygeia_zkml::audit::AuditWindow;
use hygeia_zkml::statement::{self, Salt};

use crate::bus::{BusError, Entry, Lookup};

/// Windows asked of the broker at a time.
const LOOKUPS_AT_A_TIME: usize = 32;

/// Why a window is left out of its batch. The others are proved without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LeftOut {
    /// The stream of attested windows does not hold it any more.
    #[error("the attested window is gone")]
    Missing,
    /// Another message stands in its place, or one that is no window.
    #[error("another message stands in the window's place")]
    OtherMessage,
    /// The window is of another feature schema.
    #[error("the window is of another feature schema")]
    OtherSchema,
    /// The window's commitment is not that of its features and salt.
    #[error("the window does not open its commitment")]
    WrongCommitment,
    /// The network gives another score than was served: an incident.
    #[error("the network gives another score than was served")]
    WrongScore,
}

impl LeftOut {
    /// The stable label, for dead letters and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Missing => "audit_window_missing",
            Self::OtherMessage => "audit_other_message",
            Self::OtherSchema => "audit_other_schema",
            Self::WrongCommitment => "audit_wrong_commitment",
            Self::WrongScore => "audit_wrong_score",
        }
    }
}

/// A window that can be proved.
pub struct Kept {
    /// Its id.
    pub window_id: B32,
    /// The partition that it travels in.
    pub partition: Partition,
    /// What goes into the proof.
    pub witness: AuditWindow,
}

/// What a window is checked against.
pub struct Statement {
    /// The model.
    pub network: IntegerNetwork,
    /// Hash of its feature schema.
    pub schema_hash: [u8; 32],
}

/// Looks up and checks each window of an order, in its order.
pub async fn of_order(
    order: &AuditOrder,
    statement: &Statement,
    windows: &Lookup,
) -> Result<Vec<Result<Kept, (WindowToAudit, LeftOut)>>, BusError> {
    let look_up = |wanted: WindowToAudit| async move {
        let entry = windows.at(wanted.sequence).await?;
        Ok(statement.check(&wanted, entry.as_ref()).map_err(|reason| (wanted, reason)))
    };
    let found = stream::iter(order.windows.iter().copied()).map(look_up).buffered(LOOKUPS_AT_A_TIME);
    found.collect::<Vec<_>>().await.into_iter().collect()
}

impl Statement {
    fn check(&self, wanted: &WindowToAudit, entry: Option<&Entry>) -> Result<Kept, LeftOut> {
        let entry = entry.ok_or(LeftOut::Missing)?;
        let window = AttestedWindow::decode(&entry.payload).map_err(|_| LeftOut::OtherMessage)?;
        let partition = subject::partition_of(&entry.subject).ok_or(LeftOut::OtherMessage)?;
        if window.window_id != wanted.window_id {
            return Err(LeftOut::OtherMessage);
        }
        if *window.schema.as_bytes() != self.schema_hash {
            return Err(LeftOut::OtherSchema);
        }
        let salt = Salt::new(*window.salt.expose());
        let commitment = statement::commit(self.schema_hash, &window.features, &salt);
        if !commitment.is_ok_and(|commitment| commitment.to_bytes() == *window.commitment.as_bytes()) {
            return Err(LeftOut::WrongCommitment);
        }
        // Features that are out of the network's bounds have no score.
        if self.network.score(&window.features) != Ok(wanted.score) {
            return Err(LeftOut::WrongScore);
        }
        Ok(Kept { window_id: wanted.window_id, partition, witness: AuditWindow::new(window.features, salt) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hygeia_inference::package::ModelPackage;
    use hygeia_inference::schema::ClinicalState;
    use hygeia_protocol::message::{Address, ClinicalSummary, Salt as WireSalt, Signature, V1};

    fn attested(model: &ModelPackage) -> AttestedWindow {
        let features = model.schema().features(&ClinicalState::default());
        let schema = model.schema().hash();
        let commitment = statement::commit(schema, &features, &Salt::new([3; 16])).unwrap();
        AttestedWindow {
            v: V1,
            window_id: B32::new([1; 32]),
            mandate: B32::new([2; 32]),
            end: 9,
            schema: B32::new(schema),
            features,
            salt: WireSalt::new([3; 16]),
            commitment: B32::new(commitment.to_bytes()),
            oracle: Address::new([4; 20]),
            signature: Signature::new([5; 65]),
            clinical: ClinicalSummary {
                hours_observed: 0,
                age_years: None,
                sex: None,
                unit: None,
                hours_before_icu: None,
                readings: Default::default(),
            },
            observed_at_ms: 0,
            emitted_at_ms: 0,
        }
    }

    #[test]
    fn each_tampered_window_is_left_out_for_its_own_reason() {
        let model = ModelPackage::default_model();
        let statement = Statement { network: model.network().clone(), schema_hash: model.schema().hash() };
        let honest = attested(model);
        let score = model.network().score(&honest.features).unwrap();
        let wanted = WindowToAudit { window_id: honest.window_id, sequence: 7, score };
        let checked = |wanted: &WindowToAudit, window: &AttestedWindow, subject: &str| {
            let (subject, payload) = (subject.to_owned(), window.encode().into());
            let entry = Entry { sequence: 7, stored_at_ms: 0, subject, headers: None, payload, trace: None };
            statement.check(wanted, Some(&entry)).map(|kept| (kept.window_id, kept.partition)).err()
        };
        let subject = "window.v1.3";
        assert_eq!(checked(&wanted, &honest, subject), None);
        assert_eq!(statement.check(&wanted, None).err(), Some(LeftOut::Missing));
        assert_eq!(checked(&wanted, &honest, "window.v1"), Some(LeftOut::OtherMessage));
        let other = WindowToAudit { window_id: B32::new([9; 32]), ..wanted };
        assert_eq!(checked(&other, &honest, subject), Some(LeftOut::OtherMessage));
        let other = WindowToAudit { score: score + 1, ..wanted };
        assert_eq!(checked(&other, &honest, subject), Some(LeftOut::WrongScore));

        let twin = AttestedWindow { schema: B32::new([8; 32]), ..honest.clone() };
        assert_eq!(checked(&wanted, &twin, subject), Some(LeftOut::OtherSchema));
        let twin = AttestedWindow { commitment: B32::new([0; 32]), ..honest.clone() };
        assert_eq!(checked(&wanted, &twin, subject), Some(LeftOut::WrongCommitment));
        let twin = AttestedWindow { salt: WireSalt::new([4; 16]), ..honest.clone() };
        assert_eq!(checked(&wanted, &twin, subject), Some(LeftOut::WrongCommitment));
        let mut twin = honest.clone();
        twin.features[0] += 1;
        assert_eq!(checked(&wanted, &twin, subject), Some(LeftOut::WrongCommitment));
        let twin = AttestedWindow { features: honest.features[1..].to_vec(), ..honest };
        assert_eq!(checked(&wanted, &twin, subject), Some(LeftOut::WrongCommitment));
    }
}
