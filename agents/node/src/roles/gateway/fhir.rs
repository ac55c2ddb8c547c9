//! An alert as a FHIR R4 `RiskAssessment` (<https://hl7.org/fhir/R4/riskassessment.html>), for the EHR. Pure.
//!
//! The patient appears as a logical reference that holds the mandate's id: the EHR of the hospital knows whose it is, the
//! resource does not say.

use std::fmt::Write as _;

use hygeia_protocol::message::{B32, Contribution};
use hygeia_protocol::time::Timestamp;
use serde::Serialize;

use super::board::{AlertView, ProofState, Status};
use crate::explain::{decimal, hours};

/// Namespaces of our identifiers. FHIR wants a URI; a UUID needs no domain that somebody has to keep.
const ALERT_SYSTEM: &str = "urn:uuid:6f0c3c1e-8c55-4a0e-9f0b-0d4f6b1d5a11";
const MANDATE_SYSTEM: &str = "urn:uuid:2b1f5b52-6b0d-4d0a-8e35-8d0e1d2c7a42";
const MODEL_SYSTEM: &str = "urn:uuid:b7e2d6a4-31f9-4c8b-a1d7-5e9c0f3b8d63";
const POLICY_SYSTEM: &str = "urn:uuid:d94a7c08-52e6-4f1b-b3c8-7a6d1e0f9b84";
const SNOMED_CT: &str = "http://snomed.info/sct";

/// What a model predicts, in words and, where there is one, with a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Sepsis: the shipped model.
    Sepsis,
    /// What the approved model of this hash was approved for.
    OfModel(B32),
}

/// A FHIR R4 RiskAssessment with the elements we use.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RiskAssessment {
    resource_type: &'static str,
    id: String,
    identifier: Vec<Identifier>,
    status: &'static str,
    method: CodeableConcept,
    subject: Reference,
    occurrence_date_time: String,
    performer: Reference,
    prediction: Vec<Prediction>,
    note: Vec<Annotation>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Identifier {
    system: &'static str,
    value: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct CodeableConcept {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    coding: Vec<Coding>,
    text: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Coding {
    system: &'static str,
    code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    display: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Reference {
    r#type: &'static str,
    identifier: Identifier,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Prediction {
    outcome: CodeableConcept,
    /// A percentage: R4 says so, and its constraint ras-2 allows up to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    probability_decimal: Option<f64>,
    rationale: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Annotation {
    time: String,
    text: String,
}

/// A FHIR R4 OperationOutcome: how a FHIR endpoint says no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationOutcome {
    resource_type: &'static str,
    issue: [Issue; 1],
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Issue {
    severity: &'static str,
    code: &'static str,
    diagnostics: &'static str,
}

impl RiskAssessment {
    /// The alert as a resource; `now_ms` is the time of the statement about its proof.
    pub fn of(view: &AlertView<'_>, outcome: &Outcome, now_ms: u64) -> Self {
        let alert = view.alert;
        let model = || Identifier { system: MODEL_SYSTEM, value: alert.model.to_string() };
        let raised = date_time(alert.raised_at_ms);
        Self {
            resource_type: "RiskAssessment",
            // A resource id has at most 64 characters: the hex digits without their prefix are exactly that.
            id: alert.alert_id.to_hex(),
            identifier: vec![Identifier { system: ALERT_SYSTEM, value: alert.alert_id.to_string() }],
            status: "final",
            method: CodeableConcept {
                coding: vec![
                    Coding { system: MODEL_SYSTEM, code: alert.model.to_string(), display: None },
                    Coding { system: POLICY_SYSTEM, code: alert.policy.to_string(), display: None },
                ],
                text: "Integer neural network approved by the care network's governance".to_owned(),
            },
            subject: Reference {
                r#type: "Patient",
                identifier: Identifier { system: MANDATE_SYSTEM, value: alert.mandate.to_string() },
            },
            occurrence_date_time: raised.clone(),
            performer: Reference { r#type: "Device", identifier: model() },
            prediction: vec![Prediction {
                outcome: outcome.concept(),
                probability_decimal: alert.probability_ppm.map(|ppm| f64::from(ppm) / 1e4),
                rationale: format!(
                    "Score {} against the care policy's threshold {} (log-odds), on the window that ended at {}",
                    thousandths(alert.score),
                    thousandths(alert.threshold),
                    Timestamp::from_seconds(alert.end),
                ),
            }],
            note: vec![
                Annotation { time: raised, text: basis(&alert.contributions) },
                Annotation { time: date_time(now_ms), text: standing(view) },
            ],
        }
    }
}

impl Outcome {
    fn concept(&self) -> CodeableConcept {
        match self {
            Self::Sepsis => CodeableConcept {
                coding: vec![Coding { system: SNOMED_CT, code: "91302008".to_owned(), display: Some("Sepsis") }],
                text: "Sepsis".to_owned(),
            },
            Self::OfModel(model) => CodeableConcept {
                coding: Vec::new(),
                text: format!("The outcome that model {model} was approved to predict"),
            },
        }
    }
}

impl OperationOutcome {
    /// No such alert, or none that is still kept.
    pub fn not_found() -> Self {
        let issue = Issue { severity: "error", code: "not-found", diagnostics: "No alert of this id is kept" };
        Self { resource_type: "OperationOutcome", issue: [issue] }
    }
}

/// What moved the score, as a Markdown list: an item cannot run into the next, whatever its unit contains.
fn basis(contributions: &[Contribution]) -> String {
    let mut text = "What moved the score, strongest first, in log-odds:\n".to_owned();
    for c in contributions {
        let _ = write!(text, "\n- {}: {}", plain(&c.name), thousandths(c.points));
        let _ = match (c.value_milli, c.age_s) {
            (Some(value), Some(age)) => {
                write!(text, " ({} {}, {} old)", decimal(value), plain(&c.unit), hours(age))
            }
            (Some(value), None) => write!(text, " ({} {})", decimal(value), plain(&c.unit)),
            (None, _) if c.unit.is_empty() => Ok(()),
            (None, _) => write!(text, " (not measured)"),
        };
    }
    text
}

/// Whether the score is proved, what the chain did and whether the model was checked on such windows, so that nobody
/// takes a score for more than it is.
fn standing(view: &AlertView<'_>) -> String {
    let proof = match view.proof_state {
        ProofState::Proved => "The score is proved.",
        ProofState::Pending => "The score is not proved yet.",
        ProofState::Late => "NOT PROVED: the proof is late.",
        ProofState::Failed => "NOT PROVED: the proof failed.",
    };
    let chain = match view.status {
        Status::Triggered => " Care was triggered on chain.".to_owned(),
        Status::Refused => format!(" The chain refused: {}.", plain(view.reason.unwrap_or("no reason given"))),
        Status::Proved | Status::Unproved => " Nothing is on chain yet.".to_owned(),
    };
    let range = if view.alert.outside_validated_range {
        " OUTSIDE VALIDATED RANGE: no window like this one was among those the model was checked on."
    } else {
        ""
    };
    format!("{proof}{chain}{range}")
}

/// Names and units come from messages: only what they may be made of gets into Markdown that an EHR renders.
fn plain(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || " %/*[]-.,:()".contains(c);
    text.chars().map(|c| if allowed(c) { c } else { ' ' }).collect()
}

/// A score in units of the logit; 1024 is one.
fn thousandths(score: i64) -> String {
    format!("{:+.3}", score as f64 / 1024.0)
}

/// Thousandths of a unit without trailing zeros.
fn date_time(ms: u64) -> String {
    Timestamp::from_millis(ms).to_string()
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::super::board::Board;
    use super::super::board::tests::{alert, id, receipt, settlement};
    use super::*;

    fn resource(board: &Board, outcome: &Outcome) -> String {
        let now_ms = alert(1).raised_at_ms + 2_000;
        let assessment = RiskAssessment::of(&board.view(&id(1), now_ms).unwrap(), outcome, now_ms);
        serde_json::to_string_pretty(&assessment).unwrap()
    }

    fn board() -> Board {
        let mut board = Board::default();
        board.alert(alert(1));
        board
    }

    fn check_standing(board: &Board, after_ms: u64, expected: Expect) {
        expected.assert_eq(&standing(&board.view(&id(1), alert(1).raised_at_ms + after_ms).unwrap()));
    }

    #[test]
    fn the_whole_resource() {
        expect![[r#"
            {
              "resourceType": "RiskAssessment",
              "id": "0000000000000000000000000000000000000000000000000000000000000001",
              "identifier": [
                {
                  "system": "urn:uuid:6f0c3c1e-8c55-4a0e-9f0b-0d4f6b1d5a11",
                  "value": "0x0000000000000000000000000000000000000000000000000000000000000001"
                }
              ],
              "status": "final",
              "method": {
                "coding": [
                  {
                    "system": "urn:uuid:b7e2d6a4-31f9-4c8b-a1d7-5e9c0f3b8d63",
                    "code": "0x0000000000000000000000000000000000000000000000000000000000000004"
                  },
                  {
                    "system": "urn:uuid:d94a7c08-52e6-4f1b-b3c8-7a6d1e0f9b84",
                    "code": "0x0000000000000000000000000000000000000000000000000000000000000003"
                  }
                ],
                "text": "Integer neural network approved by the care network's governance"
              },
              "subject": {
                "type": "Patient",
                "identifier": {
                  "system": "urn:uuid:2b1f5b52-6b0d-4d0a-8e35-8d0e1d2c7a42",
                  "value": "0x0000000000000000000000000000000000000000000000000000000000000002"
                }
              },
              "occurrenceDateTime": "2026-01-01T00:05:00.02Z",
              "performer": {
                "type": "Device",
                "identifier": {
                  "system": "urn:uuid:b7e2d6a4-31f9-4c8b-a1d7-5e9c0f3b8d63",
                  "value": "0x0000000000000000000000000000000000000000000000000000000000000004"
                }
              },
              "prediction": [
                {
                  "outcome": {
                    "coding": [
                      {
                        "system": "http://snomed.info/sct",
                        "code": "91302008",
                        "display": "Sepsis"
                      }
                    ],
                    "text": "Sepsis"
                  },
                  "probabilityDecimal": 12.3456,
                  "rationale": "Score +1.465 against the care policy's threshold +1.000 (log-odds), on the window that ended at 2026-01-01T00:00:00Z"
                }
              ],
              "note": [
                {
                  "time": "2026-01-01T00:05:00.02Z",
                  "text": "What moved the score, strongest first, in log-odds:\n\n- heart rate: +0.402 (118 /min, 5 min old)\n- lactate: -0.094 (not measured)\n- clock: +0.062"
                },
                {
                  "time": "2026-01-01T00:05:02.02Z",
                  "text": "The score is not proved yet. Nothing is on chain yet."
                }
              ]
            }"#]].assert_eq(&resource(&board(), &Outcome::Sepsis));
    }

    #[test]
    fn without_a_calibration_there_is_no_probability_and_an_unknown_model_has_no_code() {
        let mut board = Board::default();
        board.alert(hygeia_protocol::message::Alert { probability_ppm: None, ..alert(1) });
        let json: serde_json::Value = serde_json::from_str(&resource(&board, &Outcome::OfModel(id(4)))).unwrap();
        let prediction = &json["prediction"][0];
        assert_eq!(prediction.get("probabilityDecimal"), None);
        assert_eq!(prediction["outcome"].get("coding"), None);
    }

    #[test]
    fn probabilities_are_percentages() {
        for (ppm, percent) in [(0, "0.0"), (1, "0.0001"), (123_456, "12.3456"), (1_000_000, "100.0")] {
            let mut board = Board::default();
            board.alert(hygeia_protocol::message::Alert { probability_ppm: Some(ppm), ..alert(1) });
            let json: serde_json::Value = serde_json::from_str(&resource(&board, &Outcome::Sepsis)).unwrap();
            assert_eq!(json["prediction"][0]["probabilityDecimal"].to_string(), percent);
        }
    }

    #[test]
    fn the_resource_says_whether_the_score_is_proved() {
        let mut board = board();
        check_standing(&board, 0, expect!["The score is not proved yet. Nothing is on chain yet."]);
        check_standing(&board, 60_001, expect!["NOT PROVED: the proof is late. Nothing is on chain yet."]);
        board.receipt(&receipt(1));
        check_standing(&board, 0, expect!["The score is proved. Nothing is on chain yet."]);
        board.settlement(settlement(1, Some("ProofRejected")));
        check_standing(&board, 0, expect!["NOT PROVED: the proof failed. The chain refused: ProofRejected."]);
        board.settlement(settlement(1, None));
        check_standing(&board, 0, expect!["The score is proved. Care was triggered on chain."]);
    }

    #[test]
    fn nothing_from_a_message_becomes_markup() {
        assert_eq!(plain("heart_rate"), "heart rate");
        assert_eq!(plain("10*3/uL"), "10*3/uL");
        assert_eq!(plain("<img src=x onerror=\"a\">\n# b"), " img src x onerror  a     b");
    }
}
