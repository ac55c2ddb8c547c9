//! Ranking measures. Rows are sorted once; any weighting of the stays is then judged in one pass.

use super::Outcomes;

/// Bits of an entry below the stay: the row's label, and whether it is the last of its score.
const LABEL: u32 = 1;
const LAST_OF_TIE: u32 = 2;
const STAY_SHIFT: u32 = 2;

/// The rows of some stays from the greatest score to the least.
#[derive(Clone, Debug)]
pub struct Ranking {
    /// Stay, label and end of a tie, packed: one pass over them is what a replicate costs.
    entries: Vec<u32>,
    stays: usize,
}

/// How well a score ranks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    /// Area under the receiver operating characteristic; ties count half.
    pub auroc: f64,
    /// Area under the precision-recall curve: average precision, with no interpolation.
    pub auprc: f64,
}

impl Ranking {
    /// Sorts the rows of these stays by a score that is given for every row of the table.
    pub fn new(scores: &[i64], outcomes: &Outcomes<'_>) -> Self {
        assert!(outcomes.len() < 1 << (u32::BITS - STAY_SHIFT), "a stay's number fits an entry");
        let mut rows: Vec<(i64, u32)> = Vec::with_capacity(outcomes.rows_count());
        for (stay, range) in outcomes.stays().iter().enumerate() {
            let entry = |row| (scores[row], (stay as u32) << STAY_SHIFT | u32::from(outcomes.label(row)));
            rows.extend(range.clone().map(entry));
        }
        rows.sort_unstable_by_key(|&(score, entry)| (std::cmp::Reverse(score), entry));
        let next = rows.iter().skip(1).map(|&(score, _)| Some(score)).chain([None]);
        let marked = rows.iter().zip(next).map(
            |(&(score, entry), next)| {
                if next == Some(score) { entry } else { entry | LAST_OF_TIE }
            },
        );
        Self { entries: marked.collect(), stays: outcomes.len() }
    }

    /// Judges the ranking with each stay counted as often as its weight says. Nothing when one class is empty.
    pub fn judge(&self, weights: &[u32]) -> Option<Ranked> {
        assert_eq!(weights.len(), self.stays, "one weight for each stay");
        let (mut positives, mut negatives) = (0u64, 0u64);
        let (mut tie_positives, mut tie_negatives) = (0u64, 0u64);
        let (mut wins, mut precision) = (0.0f64, 0.0f64);
        for &entry in &self.entries {
            let weight = u64::from(weights[(entry >> STAY_SHIFT) as usize]);
            let positive = weight * u64::from(entry & LABEL);
            tie_positives += positive;
            tie_negatives += weight - positive;
            if entry & LAST_OF_TIE != 0 {
                wins += tie_negatives as f64 * (positives as f64 + tie_positives as f64 / 2.0);
                positives += tie_positives;
                negatives += tie_negatives;
                if tie_positives > 0 {
                    precision += tie_positives as f64 * positives as f64 / (positives + negatives) as f64;
                }
                (tie_positives, tie_negatives) = (0, 0);
            }
        }
        (positives > 0 && negatives > 0).then(|| Ranked {
            auroc: wins / (positives as f64 * negatives as f64),
            auprc: precision / positives as f64,
        })
    }

    /// Positive and negative rows at or above each score in turn, from the greatest on, beginning with none.
    pub fn counts(&self) -> Vec<(u64, u64)> {
        let (mut positives, mut negatives) = (0, 0);
        let mut counts = vec![(0, 0)];
        for &entry in &self.entries {
            positives += u64::from(entry & LABEL);
            negatives += u64::from(entry & LABEL == 0);
            if entry & LAST_OF_TIE != 0 {
                counts.push((positives, negatives));
            }
        }
        counts
    }
}

/// Area under the receiver operating characteristic; ties count half. Nothing when one of the classes is empty.
pub fn auroc(scores: &[i64], labels: &[bool]) -> Option<f64> {
    Some(whole(scores, labels)?.auroc)
}

/// Average precision: precision at each threshold, weighted by the recall it adds. Nothing when a class is empty.
pub fn auprc(scores: &[i64], labels: &[bool]) -> Option<f64> {
    Some(whole(scores, labels)?.auprc)
}

fn whole(scores: &[i64], labels: &[bool]) -> Option<Ranked> {
    assert_eq!(scores.len(), labels.len(), "one label for each score");
    Ranking::new(scores, &Outcomes::new(labels, std::slice::from_ref(&(0..labels.len())))).judge(&[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auroc_counts_pairs_and_half_of_ties() {
        // Pairs of positive {3, 2} and negative {1, 2}: 3>1, 3>2, 2>1, 2=2.
        assert_eq!(auroc(&[3, 2, 1, 2], &[true, true, false, false]), Some(3.5 / 4.0));
        assert_eq!(auroc(&[1, 2], &[true, true]), None);
        assert_eq!(auroc(&[1, 2], &[false, false]), None);
    }

    #[test]
    fn auprc_is_average_precision() {
        // Recall rises by 1/2 at precision 1 and by 1/2 at precision 2/3.
        let expected = 0.5 + 0.5 * 2.0 / 3.0;
        let value = auprc(&[4, 3, 2, 1], &[true, false, true, false]).unwrap();
        assert!((value - expected).abs() < 1e-12);
        assert_eq!(auprc(&[1], &[false]), None);
    }

    #[test]
    fn a_weight_counts_a_stay_as_often_as_it_says() {
        let labels = [false, true, false, true, false, true];
        let scores = [1, 5, 2, 2, 5, 3];
        let stays = [0..2, 2..4, 4..6];
        let ranking = Ranking::new(&scores, &Outcomes::new(&labels, &stays));
        // Stay 0 twice, stay 1 not at all, stay 2 thrice.
        let copies = [0, 1, 0, 1, 4, 5, 4, 5, 4, 5];
        let copied_scores = copies.map(|row| scores[row]);
        let copied_labels = copies.map(|row| labels[row]);
        let judged = ranking.judge(&[2, 0, 3]).unwrap();
        assert_eq!(Some(judged.auroc), auroc(&copied_scores, &copied_labels));
        assert!((judged.auprc - auprc(&copied_scores, &copied_labels).unwrap()).abs() < 1e-15);
        assert_eq!(ranking.judge(&[0, 0, 0]), None);
    }

    #[test]
    fn counts_rise_from_none_to_all() {
        let ranking = Ranking::new(&[3, 1, 3, 0], &Outcomes::new(&[true, false, false, true], &[0..2, 2..4]));
        assert_eq!(ranking.counts(), [(0, 0), (1, 1), (1, 2), (2, 2)]);
    }
}
