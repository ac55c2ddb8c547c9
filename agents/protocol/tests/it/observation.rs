//! Bytes to observation: what is accepted, and each way in which it is not.

use hygeia_protocol::code::Code;
use hygeia_protocol::observation::{DeviceId, Limits, Observation, PatientId, Rejection};
use hygeia_protocol::time::Timestamp;
use proptest::prelude::*;

const GOOD: &str = r#"{"v":1,"patient":"p-1","device":"monitor_7","seq":123,"code":{"system":"http://loinc.org","code":"8867-4"},"value":72.5,"unit":"/min","effective":"2026-01-01T00:00:00Z"}"#;

fn received() -> Timestamp {
    Timestamp::parse_rfc3339("2026-01-01T00:00:10Z").unwrap()
}

fn decode(bytes: &[u8]) -> Result<Observation, Rejection> {
    Observation::decode(bytes, received(), &Limits::default())
}

/// The good message with one piece of its text replaced.
fn with(piece: &str, by: &str) -> String {
    assert_eq!(GOOD.matches(piece).count(), 1, "{piece}");
    GOOD.replace(piece, by)
}

#[track_caller]
fn refused(piece: &str, by: &str, why: Rejection) {
    assert_eq!(decode(with(piece, by).as_bytes()), Err(why), "{by}");
}

#[track_caller]
fn accepted(piece: &str, by: &str) -> Observation {
    decode(with(piece, by).as_bytes()).unwrap_or_else(|why| panic!("{by}: {why}"))
}

#[test]
fn a_good_observation_is_read_and_written() {
    let read = decode(GOOD.as_bytes()).unwrap();
    assert_eq!(read.patient(), &PatientId::new("p-1").unwrap());
    assert_eq!(read.device(), &DeviceId::new("monitor_7").unwrap());
    assert_eq!(read.seq(), 123);
    assert_eq!(read.code(), Code::HeartRate);
    assert_eq!(read.value_milli(), 72_500);
    assert_eq!(read.effective().as_seconds(), 1_767_225_600);
    assert_eq!(String::from_utf8(read.encode()).unwrap(), GOOD);
}

#[test]
fn equal_writings_are_equal_observations() {
    let read = decode(GOOD.as_bytes()).unwrap();
    for (piece, by) in [
        ("72.5", "72.50"),
        ("72.5", "7.25e1"),
        ("72.5", "72.4999999"),
        ("2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00"),
        (r#""p-1""#, r#""\u0070-1""#),
        (r#"{"v":1,"#, "{ \"v\" : 1 ,\n"),
    ] {
        assert!(accepted(piece, by) == read, "{by}");
    }
}

#[test]
fn every_code_is_accepted_in_its_unit_and_in_no_other() {
    for code in Code::ALL {
        let at = received();
        let (patient, device) = (PatientId::new("p").unwrap(), DeviceId::new("d").unwrap());
        let value = code.spec().max_milli;
        let observation = Observation::new(patient, device, 0, code, value, at).unwrap();
        let text = String::from_utf8(observation.encode()).unwrap();
        assert!(decode(text.as_bytes()).unwrap() == observation, "{code:?}");
        let unit = format!(r#""unit":"{}""#, code.ucum());
        for other in [r#""unit":"""#, r#""unit":"[degF]""#, r#""unit":"kPa""#] {
            let tampered = text.replace(&unit, other);
            assert_eq!(decode(tampered.as_bytes()), Err(Rejection::WrongUnit), "{code:?}");
        }
    }
}

#[test]
fn unknown_codes_are_refused() {
    for code in ["8867-5", "", "147842", "heart_rate", "2708-6"] {
        refused("8867-4", code, Rejection::UnknownCode);
    }
    for system in ["", "http://snomed.info/sct", "https://loinc.org", "urn:oid:2.16.840.1.113883.6.1"] {
        refused("http://loinc.org", system, Rejection::UnknownCode);
    }
}

#[test]
fn wrong_units_are_refused() {
    for unit in ["", "bpm", "/MIN", "/min ", "{beats}/min", "Cel"] {
        refused("/min", unit, Rejection::WrongUnit);
    }
}

#[test]
fn impossible_values_are_refused() {
    for value in [
        "-100",
        "-100.0",
        "8388607",
        "8388607.0",
        "32767",
        "0",
        "-0.0",
        "9.9994",
        "300.001",
        "301",
        "1e9",
        "1e300",
        "-1e300",
        "18446744073709551615",
        "-9223372036854775808",
        "123456789012345678901234567890",
        "null",
        r#""NaN""#,
        r#""Infinity""#,
        r#""-Infinity""#,
    ] {
        refused("72.5", value, Rejection::ImplausibleValue);
    }
    for value in ["10", "10.0", "9.9995", "300", "300.0004"] {
        accepted("72.5", value);
    }
}

#[test]
fn values_that_are_not_json_numbers_are_malformed() {
    for value in [
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        r#""72.5""#,
        r#""""#,
        "true",
        "[]",
        "[72.5]",
        "{}",
        "072.5",
        "72,5",
        "+72.5",
        ".5",
        "72.",
        "0x48",
        "",
    ] {
        refused("72.5", value, Rejection::Malformed);
    }
}

#[test]
fn sentinels_are_refused_for_every_code() {
    for code in Code::ALL {
        for value in ["-100", "32767", "8388607"] {
            let text = with("http://loinc.org", code.system())
                .replace("8867-4", code.code())
                .replace("/min", code.ucum())
                .replace("72.5", value);
            assert_eq!(decode(text.as_bytes()), Err(Rejection::ImplausibleValue), "{code:?}");
        }
    }
}

#[test]
fn future_and_ancient_times_are_refused() {
    let time = "2026-01-01T00:00:00Z";
    accepted(time, "2026-01-01T00:05:10Z");
    refused(time, "2026-01-01T00:05:10.001Z", Rejection::FutureTime);
    refused(time, "2026-01-02T00:00:00Z", Rejection::FutureTime);
    refused(time, "9999-12-30T00:00:00Z", Rejection::FutureTime);
    accepted(time, "2024-12-31T00:00:10Z");
    refused(time, "2024-12-31T00:00:09Z", Rejection::TooLate);
    refused(time, "1970-01-01T00:00:00Z", Rejection::TooLate);
    refused(time, "1969-07-20T20:17:00Z", Rejection::TooLate);
    for text in ["", "now", "2026-01-01", "2026-01-01T00:00:00", "20260101T000000Z", "1767225600"] {
        refused(time, text, Rejection::Malformed);
    }
}

#[test]
fn bad_identifiers_are_refused() {
    let long = "x".repeat(65);
    for id in ["", " ", "p 1", "p.1", "p>", "*", "é", r"\u0000", r"\n", long.as_str()] {
        refused("p-1", id, Rejection::BadIdentifier);
        refused("monitor_7", id, Rejection::BadIdentifier);
    }
    accepted("p-1", &"x".repeat(64));
    for id in ["null", "7", "[]", "{}"] {
        refused(r#""p-1""#, id, Rejection::Malformed);
    }
}

#[test]
fn other_versions_are_refused_whatever_else_they_hold() {
    for version in ["0", "2", "18446744073709551615"] {
        refused(r#""v":1"#, &format!(r#""v":{version}"#), Rejection::UnsupportedVersion);
    }
    assert_eq!(decode(br#"{"v":2,"subject":"else"}"#), Err(Rejection::UnsupportedVersion));
    for version in ["-1", "1.0", "\"1\"", "null", "18446744073709551616"] {
        refused(r#""v":1"#, &format!(r#""v":{version}"#), Rejection::Malformed);
    }
}

#[test]
fn the_form_is_strict() {
    for (piece, by) in [
        (r#""v":1,"#, ""),
        (r#""v":1,"#, r#""v":1,"v":1,"#),
        (r#""v":1,"#, r#""v":1,"note":"x","#),
        (r#""seq":123,"#, ""),
        (r#""seq":123,"#, r#""seq":123,"seq":124,"#),
        (r#""seq":123"#, r#""seq":-1"#),
        (r#""seq":123"#, r#""seq":1.5"#),
        (r#""seq":123"#, r#""seq":"123""#),
        (r#""seq":123"#, r#""seq":18446744073709551616"#),
        (r#""value":72.5,"#, ""),
        (r#""code":"8867-4""#, r#""code":"8867-4","display":"Heart rate""#),
        (r#""system":"http://loinc.org","#, ""),
        (r#""unit":"/min","#, ""),
        (r#"{"v":1"#, r#"[{"v":1"#),
        ("00Z\"}", "00Z\"} "),
    ] {
        let text = with(piece, by);
        let verdict = decode(text.as_bytes());
        assert!(verdict == Err(Rejection::Malformed) || by.ends_with(' '), "{by}");
    }
    for text in ["", " ", "null", "1", "\"\"", "[]", "{}", "\u{feff}{}"] {
        assert_eq!(decode(text.as_bytes()), Err(Rejection::Malformed));
    }
    let trailing = format!("{GOOD}{GOOD}");
    assert_eq!(decode(trailing.as_bytes()), Err(Rejection::Malformed));
    let mut not_utf8 = GOOD.as_bytes().to_vec();
    not_utf8[20] = 0xff;
    assert_eq!(decode(&not_utf8), Err(Rejection::Malformed));
}

#[test]
fn a_message_cut_at_any_byte_is_malformed() {
    for length in 0..GOOD.len() {
        assert_eq!(decode(&GOOD.as_bytes()[..length]), Err(Rejection::Malformed), "{length}");
    }
}

#[test]
fn a_message_over_the_limit_is_refused_unread() {
    let padded = |length: usize| format!("{GOOD}{}", " ".repeat(length - GOOD.len()));
    assert!(decode(padded(64 * 1024).as_bytes()).is_ok());
    assert_eq!(decode(padded(64 * 1024 + 1).as_bytes()), Err(Rejection::TooLarge));
    assert_eq!(decode(&vec![b'['; 10_000_000]), Err(Rejection::TooLarge));
    let lax = Limits { bytes_max: usize::MAX, ..Limits::default() };
    let deep = vec![b'['; 10_000_000];
    assert_eq!(Observation::decode(&deep, received(), &lax), Err(Rejection::Malformed));
    let nested = format!(r#"{{"v":1,"x":{}"#, "[".repeat(10_000));
    assert_eq!(decode(nested.as_bytes()), Err(Rejection::Malformed));
}

#[test]
fn nothing_printed_holds_the_content() {
    let observation = decode(GOOD.as_bytes()).unwrap();
    assert_eq!(format!("{observation:?}"), "Observation { code: HeartRate, .. }");
    for why in Rejection::ALL {
        let printed = format!("{why} {why:?} {}", why.reason());
        assert!(!printed.contains("p-1") && !printed.contains("72"), "{printed}");
    }
}

#[test]
fn reasons_are_distinct_subject_tokens() {
    let mut reasons: Vec<_> = Rejection::ALL.into_iter().map(Rejection::reason).collect();
    reasons.sort_unstable();
    reasons.dedup();
    assert_eq!(reasons.len(), Rejection::ALL.len());
    let token = |reason: &&str| reason.bytes().all(|c| c.is_ascii_lowercase() || c == b'_');
    assert!(reasons.iter().all(token));
}

#[test]
fn the_message_id_follows_the_content() {
    let id = |text: String| decode(text.as_bytes()).unwrap().message_id();
    let good = id(GOOD.into());
    assert_eq!(good.len(), 64);
    assert_eq!(id(with("72.5", "72.50")), good);
    for (piece, by) in [("72.5", "72.6"), ("123", "124"), ("p-1", "p-2"), ("00:00:00Z", "00:00:01Z")] {
        assert_ne!(id(with(piece, by)), good, "{by}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn round_trip(
        patient in "[A-Za-z0-9_-]{1,64}",
        device in "[A-Za-z0-9_-]{1,64}",
        seq: u64,
        slot in 0..26_usize,
        share in 0.0..1.0,
        age_ms in 0..86_400_000_u64,
    ) {
        let code = Code::ALL[slot];
        let spec = code.spec();
        let step = if code == Code::Sex { 1000 } else { 1 };
        let width = f64::from((spec.max_milli - spec.min_milli) / step + 1);
        let value = spec.min_milli + (share * width) as i32 * step;
        let at = Timestamp::from_millis(received().as_millis() - age_ms);
        let (patient, device) = (PatientId::new(&patient).unwrap(), DeviceId::new(&device).unwrap());
        let observation = Observation::new(patient, device, seq, code, value, at).unwrap();
        let read = decode(&observation.encode()).unwrap();
        prop_assert!(read == observation);
        prop_assert_eq!(read.message_id(), observation.message_id());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        let _ = decode(&bytes);
    }

    #[test]
    fn a_damaged_message_never_panics(index: prop::sample::Index, byte: u8, more: Vec<u8>) {
        let mut bytes = GOOD.as_bytes().to_vec();
        let at = index.index(bytes.len());
        bytes[at] = byte;
        let _ = decode(&bytes);
        bytes.splice(at..at, more);
        let _ = decode(&bytes);
    }
}
