//! How often people are called: more than they can answer is noise. An escalation is counted and never held back.
//!
//! The counts are this process's own and begin anew with it: a restart may let a few alerts more through, never fewer.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use hygeia_protocol::message::B32;

use crate::cli::SentinelArgs;

/// Checks after which keys that are at rest are forgotten, so that memory follows who alerts now.
const CHECKS_UNTIL_FORGOTTEN: u32 = 4_096;

/// The limits of a sentinel.
pub struct AlertLimits {
    patient: DefaultKeyedRateLimiter<B32>,
    policy: DefaultKeyedRateLimiter<B32>,
    ward: DefaultDirectRateLimiter,
    checks: AtomicU32,
}

impl AlertLimits {
    /// The limits that the arguments give.
    pub fn new(args: &SentinelArgs) -> Self {
        Self::per_minute(args.alerts_per_patient, args.alerts_per_policy, args.alerts_per_ward)
    }

    fn per_minute(patient: NonZeroU32, policy: NonZeroU32, ward: NonZeroU32) -> Self {
        Self {
            patient: RateLimiter::keyed(Quota::per_minute(patient)),
            policy: RateLimiter::keyed(Quota::per_minute(policy)),
            ward: RateLimiter::direct(Quota::per_minute(ward)),
            checks: AtomicU32::new(0),
        }
    }

    /// Counts an alert; why it is too much, if it is: a label for metrics. One that is held back for its patient takes
    /// nothing from the ward.
    pub fn check(&self, mandate: &B32, policy: &B32) -> Result<(), &'static str> {
        if self.checks.fetch_add(1, Ordering::Relaxed) % CHECKS_UNTIL_FORGOTTEN == CHECKS_UNTIL_FORGOTTEN - 1 {
            self.patient.retain_recent();
            self.policy.retain_recent();
        }
        self.patient.check_key(mandate).map_err(|_| "suppressed_patient_limit")?;
        self.policy.check_key(policy).map_err(|_| "suppressed_policy_limit")?;
        self.ward.check().map_err(|_| "suppressed_ward_limit")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(patient: u32, policy: u32, ward: u32) -> AlertLimits {
        let number = |n| NonZeroU32::new(n).unwrap();
        AlertLimits::per_minute(number(patient), number(policy), number(ward))
    }

    fn id(n: u8) -> B32 {
        B32::new([n; 32])
    }

    #[test]
    fn each_limit_holds_back_what_is_above_it_and_nothing_else() {
        let of_patient = limits(1, 9, 9);
        assert_eq!(of_patient.check(&id(1), &id(7)), Ok(()));
        assert_eq!(of_patient.check(&id(1), &id(7)), Err("suppressed_patient_limit"));
        assert_eq!(of_patient.check(&id(2), &id(7)), Ok(()), "another patient");

        let of_policy = limits(9, 1, 9);
        assert_eq!(of_policy.check(&id(1), &id(7)), Ok(()));
        assert_eq!(of_policy.check(&id(2), &id(7)), Err("suppressed_policy_limit"));
        assert_eq!(of_policy.check(&id(2), &id(8)), Ok(()), "another policy");

        let of_ward = limits(9, 9, 2);
        assert_eq!(of_ward.check(&id(1), &id(7)), Ok(()));
        assert_eq!(of_ward.check(&id(2), &id(8)), Ok(()));
        assert_eq!(of_ward.check(&id(3), &id(9)), Err("suppressed_ward_limit"));
    }

    #[test]
    fn what_is_held_back_for_a_patient_takes_nothing_from_the_ward() {
        let limits = limits(1, 9, 2);
        assert_eq!(limits.check(&id(1), &id(7)), Ok(()));
        for _ in 0..5 {
            assert_eq!(limits.check(&id(1), &id(7)), Err("suppressed_patient_limit"));
        }
        assert_eq!(limits.check(&id(2), &id(7)), Ok(()));
    }
}
