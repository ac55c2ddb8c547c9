//! What one partition remembers of its mandates: the newest window of each, and its triage under each policy.

use std::collections::HashMap;

use hygeia_protocol::message::B32;
use hygeia_protocol::triage::{Triage, TriagePolicy};

use crate::partition::bytes::{Reader, Writer};

/// Layout of the state.
const VERSION: u8 = 1;
/// Policies of one mandate that a snapshot may hold; consent is to one, or a few.
const POLICIES_MAX: u64 = 64;

/// The mandates of one partition.
#[derive(Default)]
pub struct Mandates(HashMap<B32, Mandate>);

#[derive(Default)]
struct Mandate {
    /// End of the newest window: an older or equal one is a repetition.
    last_end: u64,
    triage: Box<[(B32, Triage)]>,
}

impl Mandates {
    /// Notes a window that ends at `end`; false where one of that time or a later one was noted already.
    pub fn advance(&mut self, mandate: &B32, end: u64) -> bool {
        let known = self.0.entry(*mandate).or_default();
        let is_newer = end > known.last_end;
        known.last_end = known.last_end.max(end);
        is_newer
    }

    /// The triage of a mandate under a policy.
    pub fn triage(&mut self, mandate: &B32, policy: &B32, rules: TriagePolicy) -> &mut Triage {
        let known = self.0.entry(*mandate).or_default();
        let at = match known.triage.iter().position(|(id, _)| id == policy) {
            Some(at) => at,
            None => {
                // Exactly one more: most mandates have one for ever.
                let grown = std::mem::take(&mut known.triage).into_iter().chain([(*policy, Triage::new(rules))]);
                known.triage = grown.collect();
                known.triage.len() - 1
            }
        };
        &mut known.triage[at].1
    }

    /// The state, for a snapshot.
    pub fn write(&self) -> Vec<u8> {
        let mut writer = Writer::new(VERSION);
        for (id, mandate) in &self.0 {
            writer.bytes(id.as_bytes());
            writer.number(mandate.last_end);
            writer.number(mandate.triage.len() as u64);
            for (policy, triage) in &mandate.triage {
                writer.bytes(policy.as_bytes());
                writer.bytes(&triage.pack());
            }
        }
        writer.finish()
    }

    /// The mandates in a snapshot; nothing where it is not one of this layout.
    pub fn read(state: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(state, VERSION)?;
        let mut mandates = HashMap::new();
        while !reader.is_at_end() {
            let id = B32::new(reader.array()?);
            let last_end = reader.number()?;
            let policies = reader.number().filter(|count| *count <= POLICIES_MAX)?;
            let mut one = || Some((B32::new(reader.array()?), Triage::unpack(reader.bytes()?).ok()?));
            let triage = (0..policies).map(|_| one()).collect::<Option<_>>()?;
            mandates.insert(id, Mandate { last_end, triage });
        }
        Some(Self(mandates))
    }
}

#[cfg(test)]
mod tests {
    use hygeia_protocol::time::Timestamp;
    use hygeia_protocol::triage::TriageOutcome;

    use super::*;
    use crate::alarm::triage_policy;

    fn id(n: u8) -> B32 {
        B32::new([n; 32])
    }

    fn known() -> Mandates {
        let mut mandates = Mandates::default();
        assert!(mandates.advance(&id(1), 3_600));
        for policy in [7, 8] {
            let outcome = mandates
                .triage(&id(1), &id(policy), triage_policy(100, 7_200))
                .step(500, Timestamp::from_seconds(3_600));
            assert_eq!(outcome, TriageOutcome::Alert { escalation: false });
        }
        mandates.advance(&id(2), 9);
        mandates
    }

    #[test]
    fn a_window_is_noted_once_and_in_order() {
        let mut mandates = known();
        assert!(!mandates.advance(&id(1), 3_600), "again");
        assert!(!mandates.advance(&id(1), 3_599), "an older one");
        assert!(mandates.advance(&id(1), 3_601));
        assert!(mandates.advance(&id(3), 1), "another mandate");
    }

    #[test]
    fn cool_downs_go_on_after_a_snapshot() {
        let mut restored = Mandates::read(&known().write()).unwrap();
        assert!(!restored.advance(&id(2), 9) && restored.advance(&id(2), 10));
        let later = Timestamp::from_seconds(7_200);
        for policy in [7, 8] {
            let outcome = restored.triage(&id(1), &id(policy), triage_policy(100, 7_200)).step(500, later);
            assert!(matches!(outcome, TriageOutcome::Suppressed { .. }), "{outcome:?}");
        }
        let other = restored.triage(&id(1), &id(9), triage_policy(100, 7_200)).step(500, later);
        assert!(matches!(other, TriageOutcome::Alert { .. }), "a policy of its own");
    }

    #[test]
    fn a_snapshot_that_is_not_one_is_refused() {
        let state = known().write();
        assert!(Mandates::read(&state).is_some());
        assert!(Mandates::read(&[]).is_none());
        let other = [&[VERSION + 1], &state[1..]].concat();
        assert!(Mandates::read(&other).is_none(), "another version");
        let whole = (2..state.len()).filter(|len| Mandates::read(&state[..*len]).is_some()).count();
        assert_eq!(whole, 1, "cut anywhere but between its two mandates");
    }
}
