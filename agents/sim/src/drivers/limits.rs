//! Mirrors the sentinel's rate limits: so many alerts a minute for each patient, ward and policy, from the start of the
//! process on. They are not part of a snapshot: they begin anew with each process.

use std::collections::BTreeMap;

use hygeia_protocol::bytes::B32;

/// Alerts of a patient in a minute.
const PATIENT_PER_MINUTE: u64 = 2;
/// Alerts of a policy in a minute.
const POLICY_PER_MINUTE: u64 = 5;
/// Alerts of the ward in a minute; the product's limit is for a real ward.
const WARD_PER_MINUTE: u64 = 6;
/// A minute.
const MINUTE_MS: u64 = 60_000;

/// Buckets of each kind.
#[derive(Default)]
pub(super) struct Limits {
    patients: BTreeMap<B32, Bucket>,
    policies: BTreeMap<B32, Bucket>,
    ward: Bucket,
}

/// When a bucket that refills by one in each interval will be full again: the generic cell rate algorithm.
#[derive(Clone, Copy, Default)]
struct Bucket {
    full_at_ms: u64,
}

impl Limits {
    /// Whether one more alert is within every limit; it is counted by those that were asked.
    pub(super) fn admit(&mut self, mandate: &B32, policy: &B32, now_ms: u64) -> bool {
        self.patients.entry(*mandate).or_default().take(PATIENT_PER_MINUTE, now_ms)
            && self.policies.entry(*policy).or_default().take(POLICY_PER_MINUTE, now_ms)
            && self.ward.take(WARD_PER_MINUTE, now_ms)
    }
}

impl Bucket {
    fn take(&mut self, per_minute: u64, now_ms: u64) -> bool {
        let interval_ms = MINUTE_MS / per_minute;
        let full_at_ms = self.full_at_ms.max(now_ms) + interval_ms;
        let is_within = full_at_ms <= now_ms + MINUTE_MS;
        if is_within {
            self.full_at_ms = full_at_ms;
        }
        is_within
    }
}
