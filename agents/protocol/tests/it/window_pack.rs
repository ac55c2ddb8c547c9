//! Windows to bytes and back.

use std::num::NonZeroU32;

use hygeia_protocol::code::{Code, READINGS};
use hygeia_protocol::observation::Observation;
use hygeia_protocol::pack::PackError;
use hygeia_protocol::time::Timestamp;
use hygeia_protocol::window::{PatientWindow, WindowConfig};
use proptest::prelude::*;

use crate::charts::{Monitor, Stay};
use crate::window::{DAY, observation};

const HALF_MINUTE: Monitor = Monitor { every_ms: 30_000, step_milli: None };

/// Thousandths of a unit, at instants that are not even whole seconds.
const UNROUNDED: Monitor = Monitor { every_ms: 29_993, step_milli: Some(1) };

/// What a machine that has seen nothing packs to after its configuration: clock, start, end emitted, observations,
/// devices, facts, variables.
const EMPTY: [u8; 7] = [0; 7];

fn unpack(bytes: &[u8]) -> Result<PatientWindow, PackError> {
    PatientWindow::unpack(bytes, WindowConfig::default())
}

/// The version and the default configuration.
fn header() -> Vec<u8> {
    let packed = PatientWindow::new(WindowConfig::default()).pack();
    let header = packed.strip_suffix(EMPTY.as_slice()).unwrap();
    header.to_vec()
}

/// Unpacks what follows the header.
fn unpack_body(body: &[u8]) -> Result<PatientWindow, PackError> {
    unpack(&[header().as_slice(), body].concat())
}

#[test]
fn a_chart_takes_less_than_a_kilobyte() {
    let charted = Stay::charted().window.pack().len();
    assert!(charted <= 700, "{charted} bytes for a chart by the hour");
    let monitored = Stay::monitored(HALF_MINUTE).window.pack().len();
    assert!(monitored <= 1_000, "{monitored} bytes for a value every half minute");
    let unrounded = Stay::monitored(UNROUNDED).window.pack().len();
    assert!(unrounded <= 1_300, "{unrounded} bytes where nothing is rounded");
}

#[test]
fn charts_come_back_equal_and_go_on_the_same() {
    for stay in [Stay::charted(), Stay::monitored(HALF_MINUTE), Stay::monitored(UNROUNDED)] {
        let mut window = stay.window;
        let mut restored = unpack(&window.pack()).unwrap();
        assert!(restored == window);
        for hours in [1, 2, 9, 60] {
            let later = DAY.plus_seconds((20 + hours) * 3_600 + 600);
            let emitted = window.tick(later);
            assert!(!emitted.is_empty() && emitted == restored.tick(later));
        }
        assert!(restored == window);
    }
}

#[test]
fn another_configuration_is_refused() {
    let made_with = WindowConfig::default();
    let packed = Stay::charted().window.pack();
    for other in [
        WindowConfig { tick_s: NonZeroU32::new(60).unwrap(), ..made_with },
        WindowConfig { lateness_s: 0, ..made_with },
        WindowConfig { backfill_s: 3_600, ..made_with },
        WindowConfig { trend_s: 3_600, ..made_with },
        WindowConfig { carry_forward_s: u32::MAX, ..made_with },
    ] {
        assert_eq!(PatientWindow::unpack(&packed, other).err(), Some(PackError::OtherConfig), "{other:?}");
    }
    assert!(PatientWindow::unpack(&packed, made_with).is_ok());
}

#[test]
fn bytes_that_end_early_or_late_are_refused() {
    let packed = Stay::charted().window.pack();
    for len in 0..packed.len() {
        let why = unpack(&packed[..len]).err();
        assert!(matches!(why, Some(PackError::Truncated | PackError::TooMany)), "{len}: {why:?}");
    }
    let mut longer = packed.to_vec();
    longer.push(0);
    assert_eq!(unpack(&longer).err(), Some(PackError::TrailingBytes));
    longer[0] = 2;
    assert_eq!(unpack(&longer).err(), Some(PackError::UnsupportedVersion));
}

#[test]
fn each_malformed_field_is_refused_by_its_reason() {
    assert!(unpack_body(&EMPTY).is_ok());
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    let after = |start: &[u8], rest: &[u8]| unpack_body(&[start, rest].concat()).err();
    let cases: [(&str, &[u8], &[u8], PackError); 22] = [
        ("a clock after all time", &[], &huge, PackError::OutOfRange),
        ("a stay that begins before the epoch", &[0, 2], &[], PackError::OutOfRange),
        ("an end before the epoch", &[0, 0, 2], &[], PackError::OutOfRange),
        (
            "observations beyond counting",
            &[0, 0, 0],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            PackError::OutOfRange,
        ),
        ("devices by the billion", &[0, 0, 0, 0], &huge, PackError::TooMany),
        ("more devices than are remembered", &[0, 0, 0, 0, 65], &[0; 400], PackError::TooMany),
        ("a device of no name", &[0, 0, 0, 9, 1, 0], &[0; 8], PackError::BadDevice),
        ("a name that goes on for ever", &[0, 0, 0, 9, 1], &huge, PackError::TooMany),
        ("a name that is no identifier", &[0, 0, 0, 9, 1, 1, b'*'], &[0; 8], PackError::BadDevice),
        ("a name that is no text", &[0, 0, 0, 9, 1, 1, 0xff], &[0; 8], PackError::BadDevice),
        ("a device twice", &[0, 0, 0, 9, 2, 1, b'a', 0, 2, 0, 1, b'a', 0, 2, 0], &[0; 8], PackError::BadDevice),
        ("devices out of order", &[0, 0, 0, 9, 2, 1, b'b', 0, 2, 0, 1, b'a', 0, 2, 0], &[0; 8], PackError::BadDevice),
        ("a highest number not seen", &[0, 0, 0, 9, 1, 1, b'a', 0, 0, 0], &[0; 8], PackError::OutOfRange),
        ("a device heard before the first", &[0, 0, 0, 9, 1, 1, b'a', 0, 2, 10], &[0; 8], PackError::OutOfRange),
        ("a fact that is none", &[0, 0, 0, 0, 0, 16], &[0; 8], PackError::OutOfRange),
        ("flags that a fact has not", &[0, 0, 0, 0, 0, 1, 32], &[0; 8], PackError::OutOfRange),
        ("a fact before the epoch", &[0, 0, 0, 0, 0, 1, 0, 1, 0], &[0; 8], PackError::OutOfRange),
        ("a fact of no possible value", &[0, 0, 0, 0, 0, 1, 0, 0], &huge, PackError::OutOfRange),
        ("a variable of a later build", &[0, 0, 0, 0, 0, 0, 0x80, 0x80, 0x80, 8], &[0; 8], PackError::UnknownSlot),
        ("ticks by the billion", &[0, 0, 0, 0, 0, 0, 1], &huge, PackError::TooMany),
        ("more ticks than bytes", &[0, 0, 0, 0, 0, 0, 1, 6], &[0; 8], PackError::TooMany),
        ("a tick before the epoch", &[0, 0, 0, 0, 0, 0, 1, 2, 1 << 5, 0, 0], &[], PackError::OutOfRange),
    ];
    for (what, start, rest, why) in cases {
        assert_eq!(after(start, rest), Some(why), "{what}");
    }
}

#[test]
fn a_tick_that_no_samples_make_is_refused() {
    // The clock at two hours, one variable, one tick: the second hour.
    let tick = |tick: &[u8]| {
        let body: &[u8] = &[0x80, 0xba, 0xb7, 0x03, 0, 0, 0, 0, 0, 1, 2];
        unpack_body(&[body, tick].concat()).err()
    };
    const MINUTES: u8 = 2 << 3;
    const SPREAD: u8 = 1;
    assert_eq!(tick(&[MINUTES, 60, 4]), None);
    assert_eq!(tick(&[MINUTES, 61, 4]), Some(PackError::OutOfRange), "after the end");
    assert_eq!(tick(&[MINUTES, 0, 4]), Some(PackError::OutOfRange), "at the start");
    assert_eq!(tick(&[MINUTES | SPREAD, 20, 10, 4, 1, 2, 2]), None);
    assert_eq!(tick(&[MINUTES | SPREAD, 20, 41, 4, 1, 2, 2]), Some(PackError::OutOfRange), "the last before the first");
    assert_eq!(tick(&[MINUTES | SPREAD, 20, 10, 4, 1, 1, 2]), Some(PackError::OutOfRange), "lowest above the last");
    assert_eq!(tick(&[MINUTES | SPREAD, 20, 10, 4, 1, 2, 1]), Some(PackError::OutOfRange), "highest below the first");
    assert_eq!(tick(&[MINUTES | 1 << 5, 60, 4]), None, "the first hour");
    assert_eq!(tick(&[MINUTES | 3 << 5, 60, 4]), Some(PackError::OutOfRange), "before the epoch");
}

/// A moment of a stay: seconds and milliseconds forward, seconds back from there, what, its value, by whom, numbers
/// passed over.
type Moment = ((u64, u64, u64), (usize, i32), (usize, u64));

fn moments() -> impl Strategy<Value = Vec<Moment>> {
    let forward_s = prop_oneof![4 => 0..90_u64, 4 => 0..4_000_u64, 1 => 0..200_000_u64];
    let ms = prop_oneof![2 => Just(0), 1 => 0..1_000_u64];
    let back_s = prop_oneof![4 => Just(0), 2 => 0..600_u64, 1 => 0..40_000_u64];
    let code = prop_oneof![3 => 0..3_usize, 1 => 0..Code::ALL.len()];
    let value = prop_oneof![(0..1_000_i32).prop_map(|thousandth| thousandth / 10 * 10), 0..=1_000_i32];
    let passed_over = prop_oneof![6 => Just(1), 2 => 1..9_u64, 1 => 0..u64::MAX / 128];
    prop::collection::vec(((forward_s, ms, back_s), (code, value), (0..3_usize, passed_over)), 1..100)
}

fn config() -> impl Strategy<Value = WindowConfig> {
    let tick_s = prop_oneof![Just(3_600), Just(60), 1..9_000_u32, Just(u32::MAX)];
    let any_s = || prop_oneof![4 => 0..40_000_u32, 1 => Just(u32::MAX)];
    (tick_s, any_s(), any_s(), any_s(), any_s()).prop_map(
        |(tick_s, lateness_s, backfill_s, trend_s, carry_forward_s)| {
            let tick_s = NonZeroU32::new(tick_s).unwrap();
            WindowConfig { tick_s, lateness_s, backfill_s, trend_s, carry_forward_s }
        },
    )
}

fn observations(start: Timestamp, moments: &[Moment]) -> Vec<Observation> {
    let mut newest = start;
    let mut seqs = [0_u64; 3];
    moments
        .iter()
        .map(|&((forward_s, ms, back_s), (code, thousandth), (device, passed_over))| {
            newest = Timestamp::from_millis(newest.plus_seconds(forward_s).as_millis() + ms);
            seqs[device] += passed_over;
            let code = Code::ALL[code];
            let spec = code.spec();
            let span = i64::from(spec.max_milli - spec.min_milli);
            let value = spec.min_milli + i32::try_from(span * i64::from(thousandth) / 1_000).unwrap();
            let value = if code.is_plausible(value) { value } else { spec.min_milli };
            observation(["a", "monitor-2", "z"][device], seqs[device], code, value, newest.minus_seconds(back_s))
        })
        .collect()
}

/// A start, with time ending soon after the last of them.
fn start() -> impl Strategy<Value = Timestamp> {
    let last = Timestamp::MAX.minus_seconds(100_000);
    prop_oneof![1 => Just(Timestamp::EPOCH), 4 => Just(DAY), 1 => Just(last)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_machine_packed_between_any_two_observations_goes_on_the_same(
        start in start(), moments in moments(), config in config(), ticks in prop::collection::vec(0..400_000_u64, 25),
    ) {
        let mut window = PatientWindow::new(config);
        let mut restored = PatientWindow::unpack(&window.pack(), config).unwrap();
        for (index, observation) in observations(start, &moments).iter().enumerate() {
            prop_assert!(window.observe(observation) == restored.observe(observation));
            if let Some(&seconds) = ticks.get(index / 4) {
                let now = start.plus_seconds(seconds);
                prop_assert!(window.tick(now) == restored.tick(now));
            }
            let packed = restored.pack();
            restored = PatientWindow::unpack(&packed, config).unwrap();
            prop_assert!(restored == window);
            prop_assert!(restored.pack() == packed);
        }
    }

    #[test]
    fn damaged_bytes_are_refused_or_make_a_machine_that_goes_on(
        moments in moments(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let config = WindowConfig::default();
        let mut window = PatientWindow::new(config);
        let observations = observations(DAY, &moments);
        for observation in &observations {
            let _ = window.observe(observation);
        }
        let mut packed = window.pack().to_vec();
        for (index, byte) in damage {
            let index = index.index(packed.len());
            packed[index] = byte;
        }
        let Ok(mut damaged) = PatientWindow::unpack(&packed, config) else { return Ok(()) };
        prop_assert!(PatientWindow::unpack(&damaged.pack(), config).unwrap() == damaged);
        for observation in &observations {
            let _ = damaged.observe(observation);
        }
        damaged.tick(Timestamp::MAX);
    }

    #[test]
    fn random_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(unpack(&body).is_err() || body.starts_with(&header()));
        if let Ok(mut window) = unpack_body(&body) {
            window.tick(Timestamp::MAX);
        }
    }
}

#[test]
fn the_mask_names_every_variable() {
    let mut window = PatientWindow::new(WindowConfig::default());
    for (seq, code) in (0..).zip(Code::ALL) {
        window.observe(&observation("d", seq, code, code.spec().max_milli, DAY)).unwrap();
    }
    let mut restored = unpack(&window.pack()).unwrap();
    let readings = restored.tick(DAY.plus_seconds(300)).remove(0).readings;
    assert_eq!(readings.iter().flatten().count(), READINGS);
}
