//! The later hops: round trips, identities, and what is refused.

use std::fmt::Debug;

use hygeia_protocol::code::{Code, Sex, Unit};
use hygeia_protocol::message::{
    Address, Alert, AttestedWindow, AuditOrder, AuditedBatch, B32, ClinicalSummary, Contribution, DeadLetter, HexBytes,
    Inclusion, Message, MessageError, ProofMode, ProofRequest, Receipt, Salt, ScoredWindow, Settlement,
    SettlementStatus, Signature, SimilarCase, V1, WindowReceipt, WindowToAudit,
};
use hygeia_protocol::window::Reading;
use proptest::prelude::*;

fn b32(byte: u8) -> B32 {
    B32::new([byte; 32])
}

fn window() -> AttestedWindow {
    let reading = |value_milli| Reading {
        value_milli,
        age_s: 60,
        delta_milli: -1_500,
        min_milli: value_milli,
        max_milli: value_milli + 1_500,
    };
    AttestedWindow {
        v: V1,
        window_id: AttestedWindow::id(&b32(1), 1_767_225_600, &b32(2)),
        mandate: b32(1),
        end: 1_767_225_600,
        schema: b32(2),
        features: vec![-31_337, 0, 27_182],
        salt: Salt::new([0x5a; 16]),
        commitment: b32(3),
        oracle: Address::new([4; 20]),
        signature: Signature::new([5; 65]),
        clinical: ClinicalSummary {
            hours_observed: 6,
            age_years: Some(71),
            sex: Some(Sex::Female),
            unit: Some(Unit::Surgical),
            hours_before_icu: Some(31),
            readings: [(Code::HeartRate, reading(98_765)), (Code::Lactate, reading(4_321))].into(),
        },
        observed_at_ms: 1_767_225_600_100,
        emitted_at_ms: 1_767_225_600_200,
    }
}

fn scored() -> ScoredWindow {
    ScoredWindow {
        v: V1,
        window_id: b32(1),
        window_sequence: 9,
        mandate: b32(2),
        end: 1_767_225_600,
        model: b32(3),
        score: -2_048,
        commitment: b32(4),
        scored_at_ms: 1,
        engine: "candle-cpu".into(),
        outcome: "quiet".into(),
        outside_validated_range: false,
    }
}

fn audit_order() -> AuditOrder {
    let window = |byte| WindowToAudit { window_id: b32(byte), sequence: u64::from(byte), score: -2_048 };
    AuditOrder::new(b32(3), vec![window(1), window(2)], 17)
}

fn audited_batch() -> AuditedBatch {
    AuditedBatch {
        v: V1,
        batch_id: audit_order().batch_id,
        model: b32(3),
        circuit: b32(4),
        verifying_key: b32(5),
        proof_system: "halo2".into(),
        root: b32(6),
        count: 2,
        leaves: 64,
        proof: HexBytes::new(vec![7; 32]),
        proved_at_ms: 1,
        prove_ms: 8_000,
        cpu_ms: 12_000,
    }
}

fn window_receipt() -> WindowReceipt {
    let inclusion = Inclusion {
        version: 1,
        index: 1,
        leaves: 64,
        count: 2,
        root: b32(6),
        commitment: b32(4),
        score: -2_048,
        path: vec![b32(8); 6],
    };
    WindowReceipt { v: V1, window_id: b32(2), batch_id: audit_order().batch_id, inclusion }
}

fn alert() -> Alert {
    Alert {
        v: V1,
        alert_id: Alert::id(&b32(1), &b32(2), &b32(3)),
        window_id: b32(1),
        mandate: b32(4),
        ward: "icu-2".into(),
        policy: b32(2),
        model: b32(3),
        score: 1_500,
        threshold: 1_024,
        probability_ppm: Some(420_000),
        escalation: false,
        outside_validated_range: true,
        end: 1_767_225_600,
        observed_at_ms: 1,
        raised_at_ms: 2,
        contributions: vec![Contribution {
            name: "lactate".into(),
            points: 700,
            value_milli: Some(4_321),
            unit: "mmol/L".into(),
            age_s: Some(60),
        }],
        similar: vec![SimilarCase { score: 1_400, similarity_ppm: 990_000, outcome: None }],
    }
}

fn request() -> ProofRequest {
    ProofRequest {
        v: V1,
        alert_id: b32(1),
        window: window(),
        policy: b32(2),
        model: b32(3),
        score: 1_500,
        requested_at_ms: 3,
        mode: ProofMode::Alert,
    }
}

fn receipt() -> Receipt {
    Receipt {
        v: V1,
        receipt_id: Receipt::id(&b32(1), &b32(5)),
        alert_id: b32(1),
        mandate: b32(2),
        policy: b32(3),
        model: b32(4),
        circuit: b32(5),
        verifying_key: b32(6),
        proof_system: "halo2-kzg-bn254-shplonk-keccak-v1".into(),
        commitment: b32(7),
        score: i64::MIN,
        proof: HexBytes::new(vec![9; 2_400]),
        end: u64::MAX,
        oracle: Address::new([8; 20]),
        signature: Signature::new([9; 65]),
        proved_at_ms: 4,
        prove_ms: 250,
    }
}

fn settlement() -> Settlement {
    Settlement {
        v: V1,
        receipt_id: b32(1),
        alert_id: b32(2),
        trigger_id: b32(3),
        transaction: b32(4),
        block: 12,
        gas_used: 440_000,
        status: SettlementStatus::Triggered,
        reason: None,
        settled_at_ms: 5,
    }
}

fn dead_letter() -> DeadLetter {
    DeadLetter { v: V1, reason: "wrong_unit".into(), digest: b32(1), stream_sequence: 17, received_at_ms: 6 }
}

/// The good message is read back as it was; each way of spoiling it is refused with its own error.
fn check<M: Message + PartialEq + Debug>(message: &M) {
    let bytes = message.encode();
    assert_eq!(M::decode(&bytes).as_ref(), Ok(message));
    assert_eq!(message.message_id().len(), 64);
    let malformed = Err(MessageError::Malformed { message: M::TYPE });

    for length in 0..bytes.len() {
        assert_eq!(M::decode(&bytes[..length]), malformed, "{} cut at {length}", M::TYPE);
    }
    let text = String::from_utf8(bytes).unwrap();
    let version = |v: &str| M::decode(text.replacen("\"v\":1", &format!("\"v\":{v}"), 1).as_bytes());
    for found in [0, 2, u64::MAX] {
        let unsupported = Err(MessageError::UnsupportedVersion { message: M::TYPE, found });
        assert_eq!(version(&found.to_string()), unsupported);
    }
    assert_eq!(version("\"1\""), malformed);
    assert_eq!(version("1,\"v\":1"), malformed);
    assert_eq!(version("1,\"note\":\"x\""), malformed);

    let padded = format!("{text}{}", " ".repeat(M::BYTES_MAX - text.len()));
    assert_eq!(M::decode(padded.as_bytes()).as_ref(), Ok(message));
    for length in [M::BYTES_MAX + 1, 10_000_000] {
        let too_large = Err(MessageError::TooLarge { message: M::TYPE, bytes: length });
        assert_eq!(M::decode(&vec![b'['; length]), too_large);
    }

    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    for field in value.as_object().unwrap().keys() {
        let mut tampered = value.clone();
        tampered[field] = serde_json::json!({"unexpected": []});
        let bytes = serde_json::to_vec(&tampered).unwrap();
        assert_eq!(M::decode(&bytes), malformed, "{} with {field} of a wrong type", M::TYPE);
        tampered.as_object_mut().unwrap().remove(field);
        let absent = M::decode(&serde_json::to_vec(&tampered).unwrap());
        let optional = value[field].is_null() || field == "probability_ppm";
        assert!(absent == malformed || optional, "{} without {field}", M::TYPE);
    }
}

#[test]
fn every_message() {
    check(&window());
    check(&scored());
    check(&alert());
    check(&request());
    check(&receipt());
    check(&settlement());
    check(&dead_letter());
    check(&audit_order());
    check(&audited_batch());
    check(&window_receipt());
}

#[test]
fn bytes_of_a_wrong_length_are_malformed() {
    let text = String::from_utf8(receipt().encode()).unwrap();
    let oracle = format!("\"oracle\":\"0x{}\"", "08".repeat(20));
    assert!(text.contains(&oracle));
    for (digits, good) in [(20, true), (19, false), (21, false), (0, false), (32, false)] {
        let other = text.replace(&oracle, &format!("\"oracle\":\"0x{}\"", "08".repeat(digits)));
        assert_eq!(Receipt::decode(other.as_bytes()).is_ok(), good, "{digits}");
    }
}

#[test]
fn nothing_printed_holds_features_salt_or_readings() {
    let printed = [
        format!("{:?}", window()),
        format!("{:#?}", request()),
        format!("{:?}", window().clinical),
        format!("{:?}", alert().contributions),
        format!("{:?}", MessageError::Malformed { message: AttestedWindow::TYPE }),
    ];
    for secret in ["31337", "27182", "5a5a5a", "98765", "100265", "4321", "Female", "readings: "] {
        for text in &printed {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    assert_eq!(printed[2], "ClinicalSummary(2 readings)");
}

#[test]
fn an_identity_is_what_the_message_is_about() {
    let later = AttestedWindow { salt: Salt::new([1; 16]), commitment: b32(99), emitted_at_ms: 9, ..window() };
    assert_eq!(later.message_id(), window().message_id());
    assert_eq!(
        Receipt { proof: HexBytes::new(vec![1]), proved_at_ms: 9, ..receipt() }.message_id(),
        receipt().message_id()
    );
    assert_eq!(Alert { raised_at_ms: 9, ..alert() }.message_id(), alert().message_id());
    assert_eq!(DeadLetter { received_at_ms: 9, ..dead_letter() }.message_id(), dead_letter().message_id());

    assert_ne!(
        ScoredWindow { model: b32(9), ..scored() }.message_id(),
        scored().message_id(),
        "another model scores anew"
    );
    assert_ne!(DeadLetter { stream_sequence: 18, ..dead_letter() }.message_id(), dead_letter().message_id());
    assert_ne!(
        Settlement { status: SettlementStatus::Refused, ..settlement() }.message_id(),
        settlement().message_id()
    );
    let ids = [
        AttestedWindow::id(&b32(1), 1, &b32(2)),
        AttestedWindow::id(&b32(2), 1, &b32(1)),
        AttestedWindow::id(&b32(1), 2, &b32(2)),
        Alert::id(&b32(1), &b32(1), &b32(2)),
        Alert::id(&b32(1), &b32(2), &b32(1)),
        Receipt::id(&b32(1), &b32(2)),
    ];
    let distinct: std::collections::BTreeSet<_> = ids.into_iter().collect();
    assert_eq!(distinct.len(), ids.len());
}

#[test]
fn two_types_never_share_an_identity() {
    let ids = [
        window().message_id(),
        scored().message_id(),
        alert().message_id(),
        request().message_id(),
        receipt().message_id(),
        settlement().message_id(),
        dead_letter().message_id(),
        audit_order().message_id(),
        audited_batch().message_id(),
        window_receipt().message_id(),
    ];
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len());
}

#[test]
fn a_summary_keeps_every_reading_in_its_slot() {
    let summary = window().clinical;
    let slots = summary.slots();
    assert_eq!(slots.iter().flatten().count(), 2);
    assert!(slots[Code::Lactate.slot().unwrap()] == summary.readings.get(&Code::Lactate).copied());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn windows_round_trip(
        features in prop::collection::vec(any::<i32>(), 0..64),
        salt: [u8; 16],
        end: u64,
        values in prop::collection::btree_map(0..24_usize, any::<[i32; 4]>(), 0..24),
        age_years: Option<u8>,
    ) {
        let reading = |[value_milli, delta_milli, min_milli, max_milli]: [i32; 4]| Reading {
            value_milli, age_s: value_milli.unsigned_abs(), delta_milli, min_milli, max_milli,
        };
        let readings = values.into_iter()
            .map(|(slot, values)| (Code::from_slot(slot).unwrap(), reading(values)))
            .collect();
        let clinical = ClinicalSummary { age_years, readings, ..window().clinical };
        let message = AttestedWindow { features, salt: Salt::new(salt), end, clinical, ..window() };
        prop_assert_eq!(AttestedWindow::decode(&message.encode()), Ok(message.clone()));
        let request = ProofRequest { window: message, ..request() };
        prop_assert_eq!(ProofRequest::decode(&request.encode()), Ok(request));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        let _ = AttestedWindow::decode(&bytes);
        let _ = Alert::decode(&bytes);
        let _ = Receipt::decode(&bytes);
    }

    #[test]
    fn a_damaged_message_never_panics(index: prop::sample::Index, byte: u8) {
        let mut bytes = request().encode();
        let at = index.index(bytes.len());
        bytes[at] = byte;
        let _ = ProofRequest::decode(&bytes);
    }
}
