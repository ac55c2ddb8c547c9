//! One case: what a store of cases is told of an alert, and by what name.
//!
//! A store never learns whose case it is. Alerts and mandates have keyed names in it: mandates are public on chain and an
//! alert's own id can be computed from one, so without the key either would lead from the store to a patient's mandate.

use std::fmt;

use hygeia_inference::network::{IntegerNetwork, NetworkError};
use hygeia_protocol::digest::keyed_digest;
use hygeia_protocol::message::{B32, Outcome, SimilarCase};

/// Scores are kept to a sixteenth of log-odds. The exact score of a triggered alert stands on chain beside its mandate and
/// would join the two as well as a name.
const SCORE_STEP: i64 = 64;

/// The network's last hidden layer, scaled to length one.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding(Vec<f32>);

impl Embedding {
    /// The embedding of a window's features.
    pub fn of(network: &IntegerNetwork, features: &[i32]) -> Result<Self, NetworkError> {
        let evaluation = network.evaluate(features)?;
        let hidden = evaluation.activations.iter().rev().nth(1).cloned().unwrap_or_default();
        let values: Vec<f64> = hidden.iter().map(|x| *x as f64).collect();
        Ok(Self::scaled(&values))
    }

    /// The direction of a vector. One without length stays as it is and is like nothing.
    pub fn scaled(values: &[f64]) -> Self {
        let norm = values.iter().map(|x| x.powi(2)).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
        Self(values.iter().map(|x| (x / norm) as f32).collect())
    }

    /// Its coordinates.
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// Cosine similarity in millionths; 0 when the dimensions differ.
    pub fn similarity_ppm(&self, other: &Self) -> u32 {
        if self.0.len() != other.0.len() {
            return 0;
        }
        ppm(self.0.iter().zip(&other.0).map(|(a, b)| a * b).sum())
    }
}

/// A cosine in millionths; what points away counts as 0.
pub(super) fn ppm(cosine: f32) -> u32 {
    (cosine.clamp(0.0, 1.0) * 1e6) as u32
}

/// The secret that the names in a store are made with; every sentinel of a care network has the same one. `Debug` does not
/// print it.
#[derive(Clone)]
pub struct CaseKey([u8; 32]);

/// The name of an alert in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CaseId([u8; 16]);

/// The name of a mandate in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MandateTag([u8; 16]);

impl CaseKey {
    /// A key of these bytes.
    pub const fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The name of an alert.
    pub fn case(&self, alert: &B32) -> CaseId {
        CaseId(self.name(b"hygeia/case/v1", alert))
    }

    /// The name of a mandate.
    pub fn mandate(&self, mandate: &B32) -> MandateTag {
        MandateTag(self.name(b"hygeia/case-mandate/v1", mandate))
    }

    fn name(&self, domain: &[u8], of: &B32) -> [u8; 16] {
        let tag = keyed_digest(&self.0, &[domain, of.as_bytes()].concat());
        let (name, _) = tag.as_bytes().split_first_chunk().expect("a digest has 32 bytes");
        *name
    }
}

impl fmt::Debug for CaseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaseKey").finish_non_exhaustive()
    }
}

/// In the form of a UUID, which vector stores take as a name.
impl fmt::Display for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e] = [&self.0[..4], &self.0[4..6], &self.0[6..8], &self.0[8..10], &self.0[10..]];
        let hex = [a, b, c, d, e].map(hex::encode);
        f.write_str(&hex.join("-"))
    }
}

impl fmt::Display for MandateTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// One earlier alert, as a store keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Its name.
    pub id: CaseId,
    /// Whose it is, in no one's words.
    pub mandate: MandateTag,
    /// Where it lies.
    pub embedding: Embedding,
    /// Its score, to a sixteenth of log-odds.
    pub score: i64,
    /// What became of it, where that is known.
    pub outcome: Option<Outcome>,
}

impl Case {
    /// The case of an alert that was just raised.
    pub fn new(key: &CaseKey, alert: &B32, mandate: &B32, embedding: Embedding, score: i64) -> Self {
        let score = score.div_euclid(SCORE_STEP) * SCORE_STEP;
        Self { id: key.case(alert), mandate: key.mandate(mandate), embedding, score, outcome: None }
    }
}

/// A case that a search found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundCase {
    /// How close it is, in millionths.
    pub similarity_ppm: u32,
    /// Its score.
    pub score: i64,
    /// What became of it, where that is known.
    pub outcome: Option<Outcome>,
}

impl From<FoundCase> for SimilarCase {
    fn from(found: FoundCase) -> Self {
        let outcome = found.outcome.map(|outcome| outcome.word().to_owned());
        Self { score: found.score, similarity_ppm: found.similarity_ppm, outcome }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_of_one_key_and_one_thing() {
        let (key, other) = (CaseKey::new([1; 32]), CaseKey::new([2; 32]));
        let id = B32::new([7; 32]);
        assert_eq!(key.case(&id), key.case(&id));
        assert_ne!(key.case(&id), other.case(&id), "another network's");
        assert_ne!(key.case(&id).0, key.mandate(&id).0, "an alert and a mandate of the same bytes");
        assert_ne!(key.mandate(&id), key.mandate(&B32::new([8; 32])));
        assert!(!format!("{key:?}").contains('1'), "a key is not printed");
    }

    #[test]
    fn a_name_is_a_uuid_and_holds_nothing_of_what_it_names() {
        let alert = B32::new([7; 32]);
        let name = CaseKey::new([1; 32]).case(&alert).to_string();
        let lengths: Vec<usize> = name.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert!(!name.contains(&alert.to_hex()[..8]));
    }

    #[test]
    fn a_score_is_kept_to_a_sixteenth() {
        let score = |score| {
            let id = B32::new([0; 32]);
            Case::new(&CaseKey::new([0; 32]), &id, &id, Embedding::scaled(&[1.0]), score).score
        };
        assert_eq!((score(0), score(63), score(64), score(-1)), (0, 0, 64, -64));
    }

    #[test]
    fn vectors_without_length_or_of_other_dimensions_are_like_nothing() {
        let along = Embedding::scaled(&[3.0, 4.0]);
        assert_eq!(along.similarity_ppm(&Embedding::scaled(&[6.0, 8.0])), 1_000_000);
        assert_eq!(along.similarity_ppm(&Embedding::scaled(&[-3.0, -4.0])), 0);
        assert_eq!(along.similarity_ppm(&Embedding::scaled(&[0.0, 0.0])), 0);
        assert_eq!(along.similarity_ppm(&Embedding::scaled(&[3.0])), 0);
    }
}
