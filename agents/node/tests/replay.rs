//! An alert computed anew from a bundle: the honest one comes out the same in every step, and each single thing tampered
//! with is found by the steps that are about it and by no other.

mod support;

use std::os::unix::fs::PermissionsExt as _;

use alloy::primitives;
use alloy::signers::local::PrivateKeySigner;
use hygeia_inference::package::ModelPackage;
use hygeia_node::chain::Deployment;
use hygeia_node::chain::signing::OracleSigner;
use hygeia_node::replay::{Approved, Bundle, Judged, PackageFile, Step, StoredObservation, Verdict, check, render};
use hygeia_node::{convert, explain, keys};
use hygeia_protocol::code::Code;
use hygeia_protocol::identity::{DeviceId, PatientId};
use hygeia_protocol::message::{
    Address, Alert, AttestedWindow, B32, ClinicalSummary, HexBytes, Receipt, Salt, ScoredWindow, Signature, V1,
};
use hygeia_protocol::observation::Observation;
use hygeia_protocol::time::Timestamp;
use hygeia_protocol::window::{PatientWindow, WindowConfig, WindowSnapshot};
use hygeia_zkml::engine::Engine as _;
use hygeia_zkml::statement;

/// End of the window, a whole hour.
const END_S: u64 = 1_700_002_800;
const HOUR_S: u64 = 3_600;
const SALT: [u8; 16] = [7; 16];
const MANDATE: B32 = B32::new([0xa1; 32]);
const POLICY: B32 = B32::new([0xb2; 32]);

#[tokio::test]
async fn an_honest_alert_is_reproduced_and_each_forgery_is_found_where_it_is() {
    let honest = honest().await;
    let findings = check(&honest);
    assert!(findings.iter().all(|finding| finding.verdict == Verdict::Same), "{findings:#?}");
    assert!(render(&findings).contains("reproduced, bit for bit"));
    for (what, forge, steps) in forgeries() {
        let mut bundle = honest.clone();
        forge(&mut bundle);
        let findings = check(&bundle);
        let differing: Vec<Step> = findings
            .iter()
            .filter(|finding| matches!(finding.verdict, Verdict::Differs(_)))
            .map(|finding| finding.step)
            .collect();
        assert_eq!(differing, steps, "{what}: {findings:#?}");
        assert!(render(&findings).contains("NOT REPRODUCED"), "{what}");
    }
    no_cool_down_begins_with_a_call_that_was_held_back(&honest);
    what_is_missing_is_said_and_not_passed(&honest);
    a_bundle_survives_its_file(&honest).await;
}

type Forgery = (&'static str, fn(&mut Bundle), Vec<Step>);

fn forgery(what: &'static str, forge: fn(&mut Bundle), steps: &[Step]) -> Forgery {
    (what, forge, steps.to_vec())
}

/// What is forged, and the steps that find it.
fn forgeries() -> Vec<Forgery> {
    use Step::*;
    vec![
        forgery("the alert's score", |b| b.alert.score += 1, &[Ledger, Score, Engines, Receipt]),
        forgery("the alert's policy", |b| b.alert.policy = B32::new([1; 32]), &[Identity, Receipt]),
        forgery(
            "the alert's model",
            |b| b.alert.model = B32::new([1; 32]),
            &[Identity, Ledger, Model, Decision, Receipt],
        ),
        forgery("the alert's threshold", |b| b.alert.threshold -= 1, &[Decision]),
        forgery("an escalation that was none", |b| b.alert.escalation = true, &[Decision]),
        forgery("the risk", |b| b.alert.probability_ppm = Some(1), &[Explanation]),
        forgery("a contribution", |b| b.alert.contributions[0].points += 1, &[Explanation]),
        forgery("the guard's mark", |b| b.alert.outside_validated_range ^= true, &[Ledger, Explanation]),
        forgery("the window's time", |b| b.window.end += HOUR_S, &[Identity, Ledger, Observations, Signature, Receipt]),
        forgery("the window's salt", |b| b.window.salt = Salt::new([8; 16]), &[Commitment]),
        forgery(
            "the commitment",
            |b| b.window.commitment = B32::new([1; 32]),
            &[Ledger, Commitment, Signature, Receipt],
        ),
        forgery("the oracle", |b| b.window.oracle = Address::new([1; 20]), &[Signature, Receipt]),
        forgery("the signature", |b| b.window.signature = signature([1; 65]), &[Signature, Receipt]),
        forgery("the signed contract", |b| b.coordinator = Address::new([1; 20]), &[Signature]),
        forgery("the signed chain", |b| b.chain_id += 1, &[Signature]),
        forgery("the ledger's score", |b| b.line.as_mut().unwrap().score += 1, &[Ledger]),
        forgery("an alert just before, so a cool-down", |b| b.history[0].score = b.alert.score, &[Decision]),
        forgery("the policy's threshold", |b| b.approved.as_mut().unwrap().threshold += 1, &[Decision]),
        forgery("the approved key", |b| b.approved.as_mut().unwrap().verifying_key = B32::new([1; 32]), &[Key]),
        forgery("the approved circuit", |b| b.approved.as_mut().unwrap().circuit = B32::new([1; 32]), &[Key]),
        forgery("the package, by one space", |b| b.package[2].bytes.push(b' '), &[Model]),
        forgery("a file that is none", |b| b.package[0].bytes.truncate(100), &[Model]),
        forgery("the receipt's alert", |b| b.receipt.as_mut().unwrap().alert_id = B32::new([1; 32]), &[Receipt]),
        forgery("the receipt's score", |b| b.receipt.as_mut().unwrap().score += 1, &[Receipt, Proof]),
        forgery("the proof", flip_proof, &[Proof]),
        forgery("the key's file", |b| b.verifying_key.as_mut().unwrap()[200] ^= 1, &[Proof]),
        forgery("a reading taken away", |b| drop(b.observations.as_mut().unwrap().remove(1)), &[Observations]),
        forgery("all readings taken away", |b| b.observations.as_mut().unwrap().clear(), &[Observations]),
    ]
}

fn signature(bytes: [u8; 65]) -> Signature {
    Signature::new(bytes)
}

fn flip_proof(bundle: &mut Bundle) {
    let receipt = bundle.receipt.as_mut().unwrap();
    let mut bytes = receipt.proof.as_slice().to_vec();
    bytes[40] ^= 1;
    receipt.proof = HexBytes::new(bytes);
}

fn no_cool_down_begins_with_a_call_that_was_held_back(honest: &Bundle) {
    let mut bundle = honest.clone();
    bundle.history[0] = Judged { score: bundle.alert.score, is_held_back: true, ..bundle.history[0] };
    let decision = check(&bundle).into_iter().find(|finding| finding.step == Step::Decision).unwrap();
    assert_eq!(decision.verdict, Verdict::Same);
}

fn what_is_missing_is_said_and_not_passed(honest: &Bundle) {
    let bare = Bundle {
        line: None,
        history: Vec::new(),
        receipt: None,
        approved: None,
        package: Vec::new(),
        verifying_key: None,
        observations: None,
        ..honest.clone()
    };
    let findings = check(&bare);
    let passed: Vec<Step> = findings.iter().filter(|f| f.verdict == Verdict::Same).map(|f| f.step).collect();
    assert_eq!(passed, [Step::Identity, Step::Commitment, Step::Signature], "{findings:#?}");
    assert!(render(&findings).contains("10 could not"), "{}", render(&findings));
}

async fn a_bundle_survives_its_file(honest: &Bundle) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alert.bundle");
    honest.write_new(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "its owner alone");
    honest.write_new(&path).expect_err("a bundle never replaces a file");
    assert!(hygeia(&path).await.0, "on another machine, with neither broker nor chain");

    let text = std::fs::read_to_string(&path).unwrap();
    let score = format!("\"score\":{},\"threshold\"", honest.alert.score);
    let forged = dir.path().join("forged.bundle");
    std::fs::write(&forged, text.replace(&score, "\"score\":9999,\"threshold\"")).unwrap();
    let (holds, printed) = hygeia(&forged).await;
    assert!(!holds && printed.contains("✗") && printed.contains("NOT REPRODUCED"), "{printed}");
    let cut = dir.path().join("cut.bundle");
    std::fs::write(&cut, &text[..text.len() / 2]).unwrap();
    let error = Bundle::read(&cut).unwrap_err().to_string();
    assert!(error.contains("no bundle") && !error.contains("score"), "{error}");
}

async fn hygeia(bundle: &std::path::Path) -> (bool, String) {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_hygeia"))
        .args(["replay", "--bundle"])
        .arg(bundle)
        .env_remove("HYGEIA_NATS")
        .output()
        .await
        .unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

async fn honest() -> Bundle {
    let model = ModelPackage::default_model();
    let (observations, snapshot) = measured();
    let features = model.schema().features(&convert::clinical_state(&snapshot));
    let engine = keys::open_engine(model, &support::keys_dir(), 0).await.unwrap();
    let proof = engine.prove(&features, &statement::Salt::new(SALT)).expect("an honest window is provable");
    let (commitment, score) = (proof.public.commitment.to_bytes(), proof.public.score);
    let deployment = deployment();
    let signer = OracleSigner::new(PrivateKeySigner::random(), &deployment);
    let schema = model.schema().hash();
    let (schema_hash, hash) = (B32::new(schema), B32::new(model.hash()));
    let window = AttestedWindow {
        v: V1,
        window_id: AttestedWindow::id(&MANDATE, END_S, &schema_hash),
        mandate: MANDATE,
        end: END_S,
        schema: schema_hash,
        salt: Salt::new(SALT),
        commitment: B32::new(commitment),
        oracle: Address::new(signer.address().into_array()),
        signature: Signature::new(signer.attest(MANDATE.into_bytes(), END_S, schema, commitment).unwrap()),
        clinical: ClinicalSummary::from(&snapshot),
        observed_at_ms: END_S * 1_000,
        emitted_at_ms: END_S * 1_000,
        features,
    };
    let alert = alert(model, &window, score);
    let receipt = receipt(&window, &alert, &engine, proof.bytes);
    Bundle {
        v: V1,
        line: Some(line(&window, &alert)),
        history: [(END_S - HOUR_S, score - 5_000), (END_S, score)]
            .map(|(end, score)| Judged { end, score, is_held_back: false })
            .to_vec(),
        coordinator: Address::new(deployment.care_coordinator.into_array()),
        chain_id: deployment.chain_id,
        approved: Some(Approved {
            threshold: alert.threshold,
            cool_down_s: 12 * 3_600,
            package: hash,
            circuit: receipt.circuit,
            verifying_key: receipt.verifying_key,
        }),
        package: PackageFile::all_of(model),
        verifying_key: Some(engine.verifying_key().bytes().to_vec()),
        observations: Some(observations),
        receipt: Some(receipt),
        window,
        alert,
    }
}

/// Two hours of a patient with a quick pulse and a fever, as the broker has them, and the window they give.
fn measured() -> (Vec<StoredObservation>, WindowSnapshot) {
    let mut window = PatientWindow::new(WindowConfig::default());
    let mut stored = Vec::new();
    let mut closed = Vec::new();
    for (seq, (code, value_milli, before_end_s)) in [
        (Code::HeartRate, 118_000, 5_000_i64),
        (Code::RespiratoryRate, 27_000, 4_000),
        (Code::HeartRate, 126_000, 900),
        (Code::HeartRate, 121_000, -600),
    ]
    .into_iter()
    .enumerate()
    {
        let at = Timestamp::from_seconds(END_S.checked_add_signed(-before_end_s).unwrap());
        let (patient, device) = (PatientId::new("somebody").unwrap(), DeviceId::new("monitor").unwrap());
        let observation = Observation::new(patient, device, seq as u64, code, value_milli, at).unwrap();
        closed.extend(window.observe(&observation).unwrap());
        stored.push(StoredObservation { stored_at_ms: at.as_millis(), payload: observation.encode() });
    }
    let snapshot = closed.into_iter().find(|snapshot| snapshot.end.as_seconds() == END_S).unwrap();
    (stored, snapshot)
}

fn alert(model: &ModelPackage, window: &AttestedWindow, score: i64) -> Alert {
    let evaluation = model.network().evaluate(&window.features).unwrap();
    let hash = B32::new(model.hash());
    Alert {
        v: V1,
        alert_id: Alert::id(&window.window_id, &POLICY, &hash),
        window_id: window.window_id,
        mandate: MANDATE,
        ward: "ward".to_owned(),
        policy: POLICY,
        model: hash,
        score,
        threshold: score - 10,
        probability_ppm: Some(model.calibration().probability_ppm(score)),
        escalation: false,
        outside_validated_range: !model.guard().judge(&window.features, &evaluation.activations).is_inside(),
        end: END_S,
        observed_at_ms: window.observed_at_ms,
        raised_at_ms: window.observed_at_ms,
        contributions: explain::contributions(model, &window.clinical, &window.features).unwrap(),
        similar: Vec::new(),
    }
}

fn line(window: &AttestedWindow, alert: &Alert) -> ScoredWindow {
    ScoredWindow {
        v: V1,
        window_id: window.window_id,
        window_sequence: 1,
        mandate: MANDATE,
        end: END_S,
        model: alert.model,
        score: alert.score,
        commitment: window.commitment,
        scored_at_ms: 0,
        engine: "integer-avx2".to_owned(),
        outcome: "alert".to_owned(),
        outside_validated_range: alert.outside_validated_range,
    }
}

fn receipt(
    window: &AttestedWindow,
    alert: &Alert,
    engine: &hygeia_zkml::engine::native::NativeEngine,
    proof: Vec<u8>,
) -> Receipt {
    let circuit = B32::new(engine.circuit_hash());
    Receipt {
        v: V1,
        receipt_id: Receipt::id(&alert.alert_id, &circuit),
        alert_id: alert.alert_id,
        mandate: MANDATE,
        policy: POLICY,
        model: alert.model,
        circuit,
        verifying_key: B32::new(engine.verifying_key_hash()),
        proof_system: engine.proof_system_id().to_owned(),
        commitment: window.commitment,
        score: alert.score,
        proof: HexBytes::new(proof),
        end: END_S,
        oracle: window.oracle,
        signature: window.signature,
        proved_at_ms: 0,
        prove_ms: 0,
    }
}

/// Contracts at addresses of nobody's.
fn deployment() -> Deployment {
    let at = primitives::Address::repeat_byte;
    Deployment {
        chain_id: 31_337,
        block: 0,
        token: at(1),
        governor: at(2),
        timelock: at(3),
        model_registry: at(4),
        inference_verifier: at(5),
        audit_ledger: at(6),
        policy_registry: at(7),
        oracle_registry: at(8),
        mandate_registry: at(9),
        credential_registry: at(10),
        care_pool: at(11),
        care_coordinator: at(12),
        benefit_token: at(13),
        agents: None,
    }
}
