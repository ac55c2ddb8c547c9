//! Observations to snapshots.

use std::num::NonZeroU32;

use expect_test::{Expect, expect};
use hygeia_protocol::code::{Code, Sex, Unit};
use hygeia_protocol::observation::{DeviceId, Observation, PatientId, Rejection};
use hygeia_protocol::time::Timestamp;
use hygeia_protocol::window::{
    CATCH_UP_TICKS_MAX, PatientWindow, Reading, TREND_TICKS_MAX, WindowConfig, WindowSnapshot,
};
use proptest::prelude::*;

const HOUR_S: u64 = 3_600;
const MINUTE_S: u64 = 60;

/// A midnight, so that hours read as such.
pub(crate) const DAY: Timestamp = Timestamp::from_seconds(1_767_225_600);

fn at(hour: u64, minute: u64) -> Timestamp {
    DAY.plus_seconds(hour * HOUR_S + minute * MINUTE_S)
}

pub(crate) fn observation(device: &str, seq: u64, code: Code, value_milli: i32, at: Timestamp) -> Observation {
    let (patient, device) = (PatientId::new("p").unwrap(), DeviceId::new(device).unwrap());
    Observation::new(patient, device, seq, code, value_milli, at).unwrap()
}

/// A machine whose observations come from one device, numbered as they come.
struct Bed {
    window: PatientWindow,
    seq: u64,
}

impl Bed {
    fn new(config: WindowConfig) -> Bed {
        Bed { window: PatientWindow::new(config), seq: 0 }
    }

    fn observe(&mut self, code: Code, value_milli: i32, at: Timestamp) -> Result<Vec<WindowSnapshot>, Rejection> {
        self.seq += 1;
        self.window.observe(&observation("d", self.seq, code, value_milli, at))
    }

    fn ends(&mut self, code: Code, value_milli: i32, at: Timestamp) -> Vec<u64> {
        ends(&self.observe(code, value_milli, at).unwrap())
    }
}

/// Hours since midnight.
fn ends(snapshots: &[WindowSnapshot]) -> Vec<u64> {
    snapshots.iter().map(|snapshot| snapshot.end.seconds_since(DAY) / HOUR_S).collect()
}

/// One line per reading: what `Debug` keeps to itself.
fn show(snapshots: &[WindowSnapshot]) -> String {
    let mut text = String::new();
    for snapshot in snapshots {
        let WindowSnapshot { end, hours_observed, age_years, sex, .. } = snapshot;
        text += &format!("{end} hours={hours_observed} age={age_years:?} sex={sex:?}\n");
        for (code, reading) in snapshot.readings() {
            let Reading { value_milli, age_s, delta_milli, min_milli, max_milli } = reading;
            let name = code.name();
            text += &format!("  {name} {value_milli} age={age_s}s delta={delta_milli} {min_milli}..{max_milli}\n");
        }
    }
    text
}

/// Feeds a series written as `hour:minute code value_milli` and shows every snapshot and refusal.
fn check(config: WindowConfig, series: &str, expected: Expect) {
    let mut bed = Bed::new(config);
    let mut text = String::new();
    for line in series.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (hour, minute) = fields[0].split_once(':').unwrap();
        let instant = at(hour.parse().unwrap(), minute.parse().unwrap());
        if fields[1] == "tick" {
            text += &show(&bed.window.tick(instant));
            continue;
        }
        let code = Code::ALL.into_iter().find(|code| code.name() == fields[1]).unwrap();
        match bed.observe(code, fields[2].parse().unwrap(), instant) {
            Ok(snapshots) => text += &show(&snapshots),
            Err(why) => text += &format!("{line}: {}\n", why.reason()),
        }
    }
    expected.assert_eq(&text);
}

#[test]
fn a_series_by_hand() {
    check(
        WindowConfig { trend_s: 7_200, carry_forward_s: 10_800, ..WindowConfig::default() },
        "
        00:00 age              71900
        00:00 sex              0
        08:10 heart_rate       80000
        08:20 temperature      37200
        08:50 heart_rate       95000
        09:02 heart_rate       90000
        08:59 heart_rate       99000
        09:10 lactate          2100
        09:40 heart_rate       88000
        08:30 creatinine       1200
        10:00 heart_rate       86000
        10:05 spo2             97000
        11:00 temperature      38500
        11:04 heart_rate       120000
        12:06 heart_rate       118000
        07:00 creatinine       900
        ",
        expect![[r#"
            2026-01-01T09:00:00Z hours=0 age=Some(71) sex=Some(Female)
              heart_rate 99000 age=60s delta=19000 80000..99000
              temperature 37200 age=2400s delta=0 37200..37200
            2026-01-01T10:00:00Z hours=1 age=Some(71) sex=Some(Female)
              heart_rate 86000 age=0s delta=6000 80000..99000
              temperature 37200 age=6000s delta=0 37200..37200
              creatinine 1200 age=5400s delta=0 1200..1200
              lactate 2100 age=3000s delta=0 2100..2100
            2026-01-01T11:00:00Z hours=2 age=Some(71) sex=Some(Female)
              heart_rate 86000 age=3600s delta=-4000 86000..90000
              spo2 97000 age=3300s delta=0 97000..97000
              temperature 38500 age=0s delta=0 38500..38500
              creatinine 1200 age=9000s delta=0 1200..1200
              lactate 2100 age=6600s delta=0 2100..2100
            2026-01-01T12:00:00Z hours=3 age=Some(71) sex=Some(Female)
              heart_rate 120000 age=3360s delta=0 120000..120000
              spo2 97000 age=6900s delta=0 97000..97000
              temperature 38500 age=3600s delta=0 38500..38500
              lactate 2100 age=10200s delta=0 2100..2100
            07:00 creatinine       900: too_late
        "#]],
    );
}

#[test]
fn the_wall_clock_completes_windows_until_nothing_is_left_to_carry() {
    check(
        WindowConfig { carry_forward_s: 7_200, ..WindowConfig::default() },
        "
        07:00 tick
        08:10 heart_rate 80000
        09:04 tick
        09:05 tick
        09:05 tick
        10:30 tick
        08:59 heart_rate 81000
        11:30 tick
        20:00 tick
        20:10 heart_rate 82000
        21:05 tick
        ",
        expect![[r#"
            2026-01-01T09:00:00Z hours=0 age=None sex=None
              heart_rate 80000 age=3000s delta=0 80000..80000
            2026-01-01T10:00:00Z hours=1 age=None sex=None
              heart_rate 80000 age=6600s delta=0 80000..80000
            2026-01-01T21:00:00Z hours=12 age=None sex=None
              heart_rate 82000 age=3000s delta=0 82000..82000
        "#]],
    );
}

#[test]
fn of_two_values_of_one_instant_the_later_to_arrive_is_the_last() {
    check(
        WindowConfig::default(),
        "
        08:10 lactate 9900
        08:10 lactate 1900
        09:10 spo2    95000
        ",
        expect![[r#"
            2026-01-01T09:00:00Z hours=0 age=None sex=None
              lactate 1900 age=3000s delta=-8000 1900..9900
        "#]],
    );
}

#[test]
fn a_value_on_the_tick_belongs_to_the_window_that_ends_there() {
    let mut bed = Bed::new(WindowConfig::default());
    assert!(bed.ends(Code::HeartRate, 80_000, at(8, 0)).is_empty());
    let snapshots = bed.observe(Code::HeartRate, 90_000, at(8, 30)).unwrap();
    assert_eq!(ends(&snapshots), [8]);
    assert_eq!(snapshots[0].hours_observed, 0);
    assert!(show(&snapshots).contains("heart_rate 80000 age=0s"));
}

#[test]
fn windows_wait_for_the_lateness_and_not_longer() {
    let mut bed = Bed::new(WindowConfig::default());
    assert!(bed.ends(Code::HeartRate, 80_000, at(8, 30)).is_empty());
    assert!(bed.ends(Code::HeartRate, 80_000, at(9, 4)).is_empty());
    assert_eq!(bed.ends(Code::HeartRate, 80_000, at(9, 5)), [9]);
    assert_eq!(bed.ends(Code::HeartRate, 80_000, at(12, 5)), [10, 11, 12]);
}

#[test]
fn duplicates_and_replays_change_nothing() {
    let mut window = PatientWindow::new(WindowConfig::default());
    let first = observation("a", 100, Code::HeartRate, 80_000, at(8, 0));
    window.observe(&first).unwrap();
    window.observe(&observation("b", 100, Code::HeartRate, 80_000, at(8, 1))).unwrap();
    let before = window.clone();
    for (seq, why) in [(100, Rejection::Duplicate), (36, Rejection::ReplayedSequence)] {
        for value in [80_000, 99_000] {
            let again = observation("a", seq, Code::HeartRate, value, at(20, 0));
            assert_eq!(window.observe(&again), Err(why));
            let age = observation("a", seq, Code::Age, value, at(20, 0));
            assert_eq!(window.observe(&age), Err(why));
        }
    }
    assert!(window == before);
    assert_eq!(window.observe(&observation("a", 37, Code::HeartRate, 80_000, at(8, 1))), Ok(vec![]));
}

#[test]
fn what_is_too_late_is_refused_and_changes_nothing() {
    for backfill_s in [0, 3_600] {
        let mut bed = Bed::new(WindowConfig { backfill_s, ..WindowConfig::default() });
        bed.observe(Code::HeartRate, 80_000, at(8, 30)).unwrap();
        bed.observe(Code::HeartRate, 80_000, at(12, 5)).unwrap();
        let limit = at(12, 0).minus_seconds(u64::from(backfill_s));
        let before = bed.window.clone();
        assert_eq!(bed.observe(Code::Spo2, 95_000, limit), Err(Rejection::TooLate));
        assert!(bed.window == before);
        let just = Timestamp::from_millis(limit.as_millis() + 1);
        assert_eq!(bed.observe(Code::Spo2, 95_000, just), Ok(vec![]));
        // Age and sex are facts of the stay, not of a window.
        assert_eq!(bed.observe(Code::Age, 71_000, at(0, 0)), Ok(vec![]));
    }
}

#[test]
fn after_a_gap_the_newest_ticks_are_caught_up_with() {
    let config = WindowConfig { carry_forward_s: u32::MAX, ..WindowConfig::default() };
    let mut bed = Bed::new(config);
    bed.observe(Code::HeartRate, 80_000, at(0, 30)).unwrap();
    let emitted = bed.ends(Code::HeartRate, 80_000, at(1_000, 30));
    assert_eq!(emitted, (1_001 - CATCH_UP_TICKS_MAX..=1_000).collect::<Vec<_>>());
    assert_eq!(bed.ends(Code::HeartRate, 80_000, at(1_001, 30)), [1_001]);
}

#[test]
fn the_clock_of_the_stay_starts_with_the_earliest_value_in_order() {
    let mut bed = Bed::new(WindowConfig::default());
    bed.observe(Code::HeartRate, 80_000, at(8, 4)).unwrap();
    bed.observe(Code::HeartRate, 80_000, at(7, 58)).unwrap();
    let snapshots = bed.observe(Code::HeartRate, 80_000, at(9, 30)).unwrap();
    assert_eq!(ends(&snapshots), [8, 9]);
    bed.observe(Code::Lactate, 2_000, at(6, 0)).unwrap();
    let snapshots = bed.observe(Code::HeartRate, 80_000, at(10, 30)).unwrap();
    assert_eq!(snapshots[0].hours_observed, 2);
}

#[test]
fn a_spent_window_may_be_dropped() {
    let mut bed = Bed::new(WindowConfig::default());
    assert!(bed.window.is_spent(at(0, 0)));
    bed.observe(Code::HeartRate, 80_000, at(8, 0)).unwrap();
    assert!(!bed.window.is_spent(at(56, 0)));
    assert!(bed.window.is_spent(at(56, 1)));
}

#[test]
fn the_ends_of_time_are_survived() {
    for tick_s in [1, 7, 3_600, u32::MAX] {
        let config = WindowConfig {
            tick_s: NonZeroU32::new(tick_s).unwrap(),
            lateness_s: 0,
            backfill_s: u32::MAX,
            trend_s: u32::MAX,
            carry_forward_s: u32::MAX,
        };
        let mut bed = Bed::new(config);
        let mut last = None;
        for instant in [Timestamp::EPOCH, DAY, Timestamp::MAX, Timestamp::MAX, DAY, Timestamp::MAX] {
            for snapshot in bed.observe(Code::Spo2, 95_000, instant).unwrap_or_default() {
                assert!(last < Some(snapshot.end), "{tick_s}");
                last = Some(snapshot.end);
            }
            for snapshot in bed.window.tick(Timestamp::MAX) {
                assert!(last < Some(snapshot.end), "{tick_s}");
                last = Some(snapshot.end);
            }
        }
    }
}

#[test]
fn nothing_printed_holds_a_measurement() {
    let mut bed = Bed::new(WindowConfig::default());
    bed.observe(Code::HeartRate, 123_456, at(8, 30)).unwrap();
    let snapshots = bed.observe(Code::HeartRate, 98_765, at(9, 30)).unwrap();
    let printed = format!("{:?} {:?} {:?}", bed.window, snapshots, snapshots[0].readings);
    assert!(!printed.contains("123") && !printed.contains("987"), "{printed}");
}

/// What a random monitor and laboratory send: `(minutes forward, minutes back from there, code, value)`.
fn feed() -> impl Strategy<Value = Vec<(u64, u64, usize, i32)>> {
    let back = prop_oneof![4 => Just(0), 2 => 0..10_u64, 1 => 0..600_u64];
    let forward = prop_oneof![6 => 0..30_u64, 1 => 0..400_u64];
    prop::collection::vec((forward, back, 0..3_usize, 60_000..100_000_i32), 1..120)
}

fn config() -> impl Strategy<Value = WindowConfig> {
    (1..120_u32, 0..20_u32, 0..300_u32, 0..600_u32, 0..900_u32).prop_map(|(tick, lateness, backfill, trend, carry)| {
        WindowConfig {
            tick_s: NonZeroU32::new(tick * 60).unwrap(),
            lateness_s: lateness * 60,
            backfill_s: backfill * 60,
            trend_s: trend * 60,
            carry_forward_s: carry * 60,
        }
    })
}

fn observations(feed: &[(u64, u64, usize, i32)]) -> Vec<Observation> {
    let mut newest = DAY;
    let codes = [Code::Glucose, Code::Systolic, Code::Spo2];
    (0..)
        .zip(feed)
        .map(|(seq, &(forward, back, code, value))| {
            newest = newest.plus_seconds(forward * MINUTE_S);
            observation("d", seq, codes[code], value, newest.minus_seconds(back * MINUTE_S))
        })
        .collect()
}

/// The same reading from a plain list of what was accepted: the oracle of the machine.
fn reference(accepted: &[Observation], code: Code, end: Timestamp, config: &WindowConfig) -> Option<Reading> {
    let tick_s = u64::from(config.tick_s.get());
    let trend_s = u64::from(config.trend_s).div_ceil(tick_s).min(TREND_TICKS_MAX) * tick_s;
    let mut known: Vec<_> = accepted.iter().filter(|o| o.code() == code && o.effective() <= end).collect();
    known.sort_by_key(|o| o.effective());
    let last = known.last()?;
    if end.seconds_since(last.effective()) > u64::from(config.carry_forward_s) {
        return None;
    }
    let trend: Vec<_> =
        known.iter().filter(|o| o.effective() > end.minus_seconds(trend_s)).map(|o| o.value_milli()).collect();
    // Of the earliest instant the machine keeps the first to arrive, as the stable sort does.
    let earliest = trend.first().copied().unwrap_or(last.value_milli());
    Some(Reading {
        value_milli: last.value_milli(),
        age_s: u32::try_from(end.seconds_since(last.effective())).unwrap(),
        delta_milli: last.value_milli() - earliest,
        min_milli: trend.iter().copied().min().unwrap_or(last.value_milli()),
        max_milli: trend.iter().copied().max().unwrap_or(last.value_milli()),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn snapshots_are_exact_in_order_once_and_the_same_again(feed in feed(), config in config()) {
        let observations = observations(&feed);
        let mut window = PatientWindow::new(config);
        let mut restored = window.clone();
        let mut accepted = Vec::new();
        let mut last_end = None;
        for observation in &observations {
            // A checkpoint and a restart between any two observations change nothing.
            let checkpoint = serde_json::to_vec(&restored).unwrap();
            restored = serde_json::from_slice(&checkpoint).unwrap();
            let emitted = window.observe(observation);
            prop_assert!(restored.observe(observation) == emitted);
            if emitted.is_ok() {
                accepted.push(observation.clone());
            }
            for snapshot in emitted.unwrap_or_default() {
                prop_assert!(last_end < Some(snapshot.end));
                prop_assert_eq!(snapshot.end.as_seconds() % u64::from(config.tick_s.get()), 0);
                last_end = Some(snapshot.end);
                for slot in 0..snapshot.readings.len() {
                    let code = Code::from_slot(slot).unwrap();
                    let expected = reference(&accepted, code, snapshot.end, &config);
                    prop_assert!(snapshot.readings[slot] == expected, "{:?}", code);
                }
            }
            prop_assert_eq!(window.observe(observation).is_err(), true);
        }
        prop_assert!(window == restored);
        let newest = accepted.iter().map(|o| o.effective()).max().unwrap();
        if let Some(end) = last_end {
            prop_assert!(newest >= end.plus_seconds(u64::from(config.lateness_s)));
        }
    }

    #[test]
    fn wall_clock_ticks_never_repeat_an_end(feed in feed(), config in config(), ticks in prop::collection::vec(0..5_000_u64, 20)) {
        let mut window = PatientWindow::new(config);
        let mut last_end = None;
        let observations = observations(&feed);
        for (index, observation) in observations.iter().enumerate() {
            let mut emitted = window.observe(observation).unwrap_or_default();
            if let Some(&minutes) = ticks.get(index / 4) {
                emitted.extend(window.tick(DAY.plus_seconds(minutes * MINUTE_S)));
            }
            for snapshot in emitted {
                prop_assert!(last_end < Some(snapshot.end));
                last_end = Some(snapshot.end);
            }
        }
    }
}

#[test]
fn facts_of_the_stay_stand_in_every_later_window() {
    let mut bed = Bed::new(WindowConfig::default());
    for (code, value_milli) in [(Code::IcuUnit, 1_000), (Code::HoursBeforeIcu, 31_900), (Code::Sex, 1_000)] {
        assert_eq!(bed.observe(code, value_milli, at(0, 0)), Ok(vec![]));
    }
    bed.observe(Code::HeartRate, 80_000, at(0, 30)).unwrap();
    let windows = bed.observe(Code::HeartRate, 81_000, at(1, 30)).unwrap();
    let [window] = windows.as_slice() else { panic!("one window is complete") };
    let facts = (window.unit, window.hours_before_icu, window.sex, window.age_years);
    assert_eq!(facts, (Some(Unit::Surgical), Some(31), Some(Sex::Male), None));
}

#[test]
fn the_raw_window_has_each_value_as_it_stood() {
    let mut bed = Bed::new(WindowConfig::default());
    for (hour, minute, value_milli) in [(0, 30, 70_000), (2, 10, 71_000), (2, 50, 72_000), (9, 30, 73_000)] {
        bed.observe(Code::HeartRate, value_milli, at(hour, minute)).unwrap();
    }
    let windows = bed.observe(Code::HeartRate, 74_000, at(10, 30)).unwrap();
    let [window] = windows.as_slice() else { panic!("one window is complete") };
    assert_eq!(window.end, at(10, 0));
    // At 10:00 the value of 9:30; from 9:00 back to 3:00 that of 2:50.
    let expected = [73_000, 72_000, 72_000, 72_000, 72_000, 72_000, 72_000, 72_000].map(Some);
    assert_eq!(window.hourly[Code::HeartRate as usize], expected);
    assert_eq!(window.hourly[Code::Spo2 as usize], [None; 8]);
}

#[test]
fn the_raw_window_forgets_what_is_too_old_or_was_not_yet_measured() {
    let config = WindowConfig { carry_forward_s: 2 * 3_600, ..WindowConfig::default() };
    let mut bed = Bed::new(config);
    bed.observe(Code::Spo2, 95_000, at(3, 30)).unwrap();
    let windows = bed.observe(Code::HeartRate, 74_000, at(8, 30)).unwrap();
    let by_end =
        |hour| windows.iter().find(|window| window.end == at(hour, 0)).map(|window| window.hourly[Code::Spo2 as usize]);
    assert_eq!(by_end(4), Some([Some(95_000), None, None, None, None, None, None, None]));
    assert_eq!(by_end(5), Some([Some(95_000), Some(95_000), None, None, None, None, None, None]));
    assert_eq!(by_end(6), None, "nothing is left to carry");
}
