//! The steps about what was committed to, signed and proved.

use hygeia_protocol::message::{B32, Receipt};
use hygeia_zkml::engine::native::{self, VerifyingKeyFile};
use hygeia_zkml::statement::{Commitment, PublicInputs, Salt};
use hygeia_zkml::{CommitmentScheme, PROOF_SYSTEM_ID};

use super::Verdict;
use super::bundle::Bundle;
use super::check::all_same;
use crate::chain::signing;

const NO_RECEIPT: &str = "there is no receipt (yet)";

pub(super) fn commitment(bundle: &Bundle) -> Verdict {
    let window = &bundle.window;
    let salt = Salt::new(*window.salt.expose());
    // Before a receipt is there nothing says which proof system the window was committed for: one of them must fit.
    let schemes = match &bundle.receipt {
        Some(receipt) => CommitmentScheme::of_proof_system(&receipt.proof_system).into_iter().collect(),
        None => vec![CommitmentScheme::Native, CommitmentScheme::Ezkl],
    };
    let fits = schemes.iter().any(|scheme| {
        scheme
            .commit(*window.schema.as_bytes(), &window.features, &salt)
            .is_ok_and(|commitment| commitment.to_bytes() == *window.commitment.as_bytes())
    });
    all_same(&[("the commitment", fits)])
}

pub(super) fn signature(bundle: &Bundle) -> Verdict {
    let window = &bundle.window;
    let signer = signing::attested_by(
        bundle.chain_id,
        bundle.coordinator.into_bytes().into(),
        &signing::Attested {
            mandate: window.mandate.into_bytes(),
            end_s: window.end,
            schema: window.schema.into_bytes(),
            commitment: window.commitment.into_bytes(),
        },
        window.signature.as_bytes(),
    );
    all_same(&[("the signer", signer.is_some_and(|signer| signer.into_array() == *window.oracle.as_bytes()))])
}

pub(super) fn receipt(bundle: &Bundle) -> Verdict {
    let Bundle { alert, window, .. } = bundle;
    let Some(receipt) = &bundle.receipt else { return Verdict::NotChecked(NO_RECEIPT.to_owned()) };
    all_same(&[
        ("its id", receipt.receipt_id == Receipt::id(&alert.alert_id, &receipt.circuit)),
        ("alert", receipt.alert_id == alert.alert_id),
        ("mandate", receipt.mandate == window.mandate),
        ("policy", receipt.policy == alert.policy),
        ("model", receipt.model == alert.model),
        ("commitment", receipt.commitment == window.commitment),
        ("score", receipt.score == alert.score),
        ("time", receipt.end == window.end),
        ("oracle", receipt.oracle == window.oracle),
        ("signature", receipt.signature == window.signature),
    ])
}

pub(super) fn key(bundle: &Bundle) -> Verdict {
    let Some(receipt) = &bundle.receipt else { return Verdict::NotChecked(NO_RECEIPT.to_owned()) };
    let Some(approved) = &bundle.approved else {
        return Verdict::NotChecked("what was approved is the chain's to say: name it with --chain".to_owned());
    };
    let file = opened(bundle, receipt);
    all_same(&[
        ("the receipt's key", receipt.verifying_key == approved.verifying_key),
        ("the receipt's circuit", receipt.circuit == approved.circuit),
        ("the key's schema", file.is_none_or(|key| B32::new(key.schema_hash()) == bundle.window.schema)),
    ])
}

pub(super) fn proof(bundle: &Bundle) -> Verdict {
    let Some(receipt) = &bundle.receipt else { return Verdict::NotChecked(NO_RECEIPT.to_owned()) };
    if receipt.proof_system != PROOF_SYSTEM_ID {
        let system = &receipt.proof_system;
        return Verdict::NotChecked(format!("a proof of {system} is checked by `hygeia verify`"));
    }
    if bundle.verifying_key.is_none() {
        return Verdict::NotChecked("the verifying key is not here".to_owned());
    }
    let Some(key) = opened(bundle, receipt) else {
        return Verdict::Differs("the file is no verifying key".to_owned());
    };
    let proved = Commitment::from_bytes(*receipt.commitment.as_bytes()).is_ok_and(|commitment| {
        native::verify(&key, receipt.proof.as_slice(), &PublicInputs { commitment, score: receipt.score }).is_ok()
    });
    all_same(&[
        ("the key's hash", B32::new(key.hash()) == receipt.verifying_key),
        ("the key's circuit", B32::new(key.circuit_hash()) == receipt.circuit),
        ("the proof", proved),
    ])
}

fn opened(bundle: &Bundle, receipt: &Receipt) -> Option<VerifyingKeyFile> {
    let bytes = bundle.verifying_key.clone().filter(|_| receipt.proof_system == PROOF_SYSTEM_ID)?;
    VerifyingKeyFile::from_bytes(bytes).ok()
}
