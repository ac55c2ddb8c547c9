//! What became of an alert: one of four words, said by the chain or by a person.

use serde::{Deserialize, Serialize};

use super::{B32, Message, V1};
use crate::digest::Digest;

/// What became of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The chain accepted the proof and reserved the benefit of care.
    CareTriggered,
    /// The chain refused the proof.
    ChainRefused,
    /// A clinician found that the patient needed care.
    Confirmed,
    /// A clinician found that the patient did not.
    Dismissed,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Outcome; 4] =
        [Outcome::CareTriggered, Outcome::ChainRefused, Outcome::Confirmed, Outcome::Dismissed];

    /// The stable word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Outcome::CareTriggered => "care_triggered",
            Outcome::ChainRefused => "chain_refused",
            Outcome::Confirmed => "confirmed",
            Outcome::Dismissed => "dismissed",
        }
    }

    /// The outcome of a word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Outcome> {
        Outcome::ALL.into_iter().find(|outcome| outcome.word() == word)
    }

    /// Whether a person said it.
    #[must_use]
    pub const fn is_of_person(self) -> bool {
        matches!(self, Outcome::Confirmed | Outcome::Dismissed)
    }

    /// Whether this takes the place of what was known: a later word does, but the chain's never that of a person.
    #[must_use]
    pub fn replaces(self, known: Option<Outcome>) -> bool {
        known.is_none_or(|known| self != known && (self.is_of_person() || !known.is_of_person()))
    }
}

/// What a clinician says became of an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertOutcome {
    /// Version.
    pub v: V1,
    /// The alert.
    pub alert_id: B32,
    /// What became of it.
    pub outcome: Outcome,
    /// When it was said.
    pub said_at_ms: u64,
}

impl Message for AlertOutcome {
    const TYPE: &'static str = "hygeia/alert-outcome/v1";

    /// With its time: a person may say one thing, then another, then the first again.
    fn identity(&self, digest: Digest) -> Digest {
        digest.field(self.alert_id.as_bytes()).field(self.outcome.word().as_bytes()).integer(self.said_at_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_back_and_no_other() {
        for outcome in Outcome::ALL {
            assert_eq!(Outcome::of_word(outcome.word()), Some(outcome));
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.word(), "one word on the wire and in a store");
        }
        assert_eq!(Outcome::of_word("Confirmed"), None);
        assert_eq!(Outcome::of_word(""), None);
    }

    #[test]
    fn the_chain_never_takes_a_persons_word_back() {
        use Outcome::{CareTriggered, ChainRefused, Confirmed, Dismissed};
        for (word, known, replaces) in [
            (ChainRefused, None, true),
            (CareTriggered, Some(ChainRefused), true),
            (Confirmed, Some(CareTriggered), true),
            (Dismissed, Some(Confirmed), true),
            (CareTriggered, Some(Dismissed), false),
            (Confirmed, Some(Confirmed), false),
        ] {
            assert_eq!(word.replaces(known), replaces, "{word:?} after {known:?}");
        }
    }
}
