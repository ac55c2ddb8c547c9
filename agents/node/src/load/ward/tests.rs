//! The ward against the machines that its messages are made for.

use std::collections::{BTreeMap, BTreeSet};

use hygeia_protocol::observation::Limits;
use hygeia_protocol::window::{PatientWindow, WindowConfig};

use super::*;

const BEGIN: Timestamp = Timestamp::from_seconds(1_767_225_600);

fn config() -> WardConfig {
    WardConfig {
        patients: 120,
        seed: 11,
        tag: "t".to_owned(),
        chart_every_s: 60.0,
        begin: BEGIN,
        clocks: Clocks::Spread,
        faults: true,
    }
}

fn first_hours(config: WardConfig, hours: u64) -> Vec<Emission> {
    Ward::new(config).unwrap().take_while(|emission| emission.at_ms < hours * 3_600_000).collect()
}

/// What the oracle makes of a ward's messages: the verdict on each that reaches it.
fn verdicts(messages: &[Emission]) -> Vec<(Expected, Expected)> {
    let mut windows: BTreeMap<u32, PatientWindow> = BTreeMap::new();
    let mut stored = BTreeSet::new();
    let judge = |emission: &Emission| {
        if !stored.insert(Observation::message_id_of(&emission.message)) {
            return (emission.expected, Expected::Dropped);
        }
        let received = Timestamp::from_millis(BEGIN.as_millis() + emission.at_ms);
        let window = windows.entry(emission.patient).or_insert_with(|| PatientWindow::new(WindowConfig::default()));
        let taken = Observation::decode(&emission.message, received, &Limits::default())
            .and_then(|observation| window.observe(&observation));
        (emission.expected, taken.map_or_else(Expected::Refused, |_| Expected::Accepted))
    };
    messages.iter().map(judge).collect()
}

#[test]
fn a_seed_gives_its_messages_and_another_gives_others() {
    let messages = first_hours(config(), 1);
    assert_eq!(messages, first_hours(config(), 1));
    assert_ne!(messages, first_hours(WardConfig { seed: 12, ..config() }, 1));
}

#[test]
fn messages_come_in_the_order_of_their_time() {
    assert!(first_hours(config(), 2).is_sorted_by_key(|emission| emission.at_ms));
}

#[test]
fn every_message_becomes_what_it_was_expected_to() {
    for chart_every_s in [5.0, 60.0, 900.0] {
        let hours = if chart_every_s < 60.0 { 4 } else { 9 };
        let messages = first_hours(WardConfig { chart_every_s, ..config() }, hours);
        for (number, (expected, found)) in verdicts(&messages).into_iter().enumerate() {
            assert_eq!(expected, found, "message {number} of a ward charted every {chart_every_s} s");
        }
    }
}

#[test]
fn every_fault_occurs_and_faults_can_be_left_out() {
    let reasons = |faults| -> BTreeSet<&'static str> {
        let messages = first_hours(WardConfig { faults, ..config() }, 9);
        let name = |emission: &Emission| match emission.expected {
            Expected::Accepted => None,
            Expected::Dropped => Some("dropped"),
            Expected::Refused(reason) => Some(reason.reason()),
        };
        messages.iter().filter_map(name).collect()
    };
    let all = ["dropped", "duplicate", "implausible_value", "malformed", "replayed_sequence", "too_late"];
    assert_eq!(reasons(true), BTreeSet::from(all));
    assert_eq!(reasons(false), BTreeSet::new());
}

#[test]
fn a_ward_sends_as_much_as_it_is_asked_for() {
    for chart_every_s in [30.0, 240.0, 3_600.0] {
        let config = WardConfig { chart_every_s, ..config() };
        let asked = WardConfig::per_hour(config.patients, chart_every_s);
        let back = WardConfig::chart_every_s(config.patients, asked).unwrap();
        assert!((back - chart_every_s).abs() < 1e-6);
        let hours = 24;
        let facts = 4 * config.patients as usize;
        let sent = (first_hours(config, hours).len() - facts) as f64 / hours as f64;
        // What is asked for is the mean; in one day of a small ward the gaps of its devices weigh a few per cent.
        assert!((sent / asked - 1.0).abs() < 0.1, "{sent:.0} an hour of {asked:.0}");
    }
    assert_eq!(WardConfig::chart_every_s(100, 10.0), None, "laboratory results alone are more");
}

#[test]
fn windows_close_with_the_hour_where_clocks_are_right_and_else_at_all_times() {
    let closings = |clocks| -> BTreeSet<u64> {
        let messages = first_hours(WardConfig { clocks, faults: false, ..config() }, 3);
        let mut windows: BTreeMap<u32, PatientWindow> = BTreeMap::new();
        let closes = |emission: &&Emission| {
            let received = Timestamp::from_millis(BEGIN.as_millis() + emission.at_ms);
            let observation = Observation::decode(&emission.message, received, &Limits::default()).unwrap();
            let window = windows.entry(emission.patient).or_insert_with(|| PatientWindow::new(WindowConfig::default()));
            !window.observe(&observation).unwrap().is_empty()
        };
        messages.iter().filter(closes).map(|emission| emission.at_ms / 60_000 % 60).collect()
    };
    let right = closings(Clocks::Together);
    assert!(right.iter().all(|minute| (5..=7).contains(minute)), "{right:?}");
    assert!(closings(Clocks::Spread).len() > 50);
}
