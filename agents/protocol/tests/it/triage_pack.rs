//! Triage to bytes and back.

use hygeia_protocol::pack::PackError;
use hygeia_protocol::time::Timestamp;
use hygeia_protocol::triage::{Triage, TriagePolicy};
use proptest::prelude::*;

const POLICY: TriagePolicy =
    TriagePolicy { threshold: -1_800, clear_below: -2_300, cool_down_s: 4 * 3_600, escalation_step: 512 };

/// Bytes of a mandate's two policies that stay in memory.
const PACKED_BYTES_MAX: usize = 64;

fn alerted() -> Triage {
    let mut triage = Triage::new(POLICY);
    triage.step(-700, Timestamp::from_seconds(1_767_225_600));
    triage.step(-2_000, Timestamp::from_seconds(1_767_229_200));
    triage
}

#[test]
fn a_triage_takes_half_of_what_it_may() {
    let packed = alerted().pack();
    assert!(packed.len() <= 32, "{} bytes", packed.len());
    assert_eq!(Triage::unpack(&packed), Ok(alerted()));
}

#[test]
fn the_longest_triage_fits() {
    let extreme = |extreme| TriagePolicy {
        threshold: extreme,
        clear_below: extreme,
        cool_down_s: u32::MAX,
        escalation_step: extreme,
    };
    for policy in [extreme(i64::MIN), extreme(i64::MAX)] {
        let mut triage = Triage::new(policy);
        triage.step(i64::MAX, Timestamp::MAX);
        let packed = triage.pack();
        assert!(packed.len() <= PACKED_BYTES_MAX, "{} bytes", packed.len());
        assert_eq!(Triage::unpack(&packed), Ok(triage));
    }
}

#[test]
fn malformed_bytes_are_refused() {
    let packed = alerted().pack().to_vec();
    for len in 0..packed.len() {
        assert_eq!(Triage::unpack(&packed[..len]), Err(PackError::Truncated), "{len}");
    }
    let with = |index: usize, byte: u8| {
        let mut bytes = packed.clone();
        bytes[index] = byte;
        Triage::unpack(&bytes)
    };
    assert_eq!(with(0, 2), Err(PackError::UnsupportedVersion));
    assert_eq!(with(1, 8), Err(PackError::OutOfRange), "a flag that is none");
    assert_eq!(with(packed.len() - 1, 6), Err(PackError::OutOfRange), "an outcome that is none");
    assert_eq!(Triage::unpack(&[packed.as_slice(), &[0]].concat()), Err(PackError::TrailingBytes));
    let negative_cool_down = [1, 0, 0, 0, 1, 0];
    assert_eq!(Triage::unpack(&negative_cool_down), Err(PackError::OutOfRange));
    let step_after_all_time = [1, 4, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0];
    assert_eq!(Triage::unpack(&step_after_all_time), Err(PackError::OutOfRange));
}

fn policy() -> impl Strategy<Value = TriagePolicy> {
    (-2_000..2_000_i64, -2_000..2_000_i64, any::<u32>(), -10..600_i64).prop_map(
        |(threshold, clear_below, cool_down_s, escalation_step)| TriagePolicy {
            threshold,
            clear_below,
            cool_down_s: cool_down_s % 100_000,
            escalation_step,
        },
    )
}

proptest! {
    #[test]
    fn a_triage_packed_between_any_two_scores_decides_the_same(
        policy in policy(), steps in prop::collection::vec((-3_000..3_000_i64, 0..200_u64), 1..60),
    ) {
        let mut triage = Triage::new(policy);
        let mut restored = Triage::unpack(&triage.pack()).unwrap();
        for (score, hours) in steps {
            let end = Timestamp::from_seconds(hours * 3_600);
            prop_assert_eq!(triage.step(score, end), restored.step(score, end));
            restored = Triage::unpack(&restored.pack()).unwrap();
            prop_assert_eq!(&restored, &triage);
        }
    }

    #[test]
    fn random_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 1..80)) {
        bytes[0] = 1;
        if let Ok(mut triage) = Triage::unpack(&bytes) {
            triage.step(0, Timestamp::MAX);
        }
    }
}
