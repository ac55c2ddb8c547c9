//! The three headline figures of a score, with their intervals.

use serde::{Deserialize, Serialize};

use super::{Interval, Outcomes, Ranking, Resamples, StayUtility, interval, utility_by_stay};

/// How well a score does, by rows, each figure with its 95 % interval by resampling stays.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    /// Area under the receiver operating characteristic.
    pub auroc: f64,
    /// Its interval.
    pub auroc_interval: Interval,
    /// Area under the precision-recall curve (average precision).
    pub auprc: f64,
    /// Its interval.
    pub auprc_interval: Interval,
    /// Normalised utility of the Challenge 2019 at the operating point.
    pub utility: f64,
    /// Its interval.
    pub utility_interval: Interval,
}

/// The figures of one replicate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Replicate {
    /// Area under the receiver operating characteristic.
    pub auroc: f64,
    /// Average precision.
    pub auprc: f64,
    /// Normalised utility.
    pub utility: f64,
}

impl Figures {
    /// Figures of a score at a threshold, and those of each replicate for comparisons in pairs.
    ///
    /// Nothing when these stays lack one of the two labels. A replicate that drew only one label is left out of the
    /// intervals; its place in the list is kept, so that replicates of two scores stay in step.
    pub fn of(
        scores: &[i64],
        outcomes: &Outcomes<'_>,
        threshold: i64,
        resamples: Resamples,
    ) -> Option<(Self, Vec<Option<Replicate>>)> {
        let ranking = Ranking::new(scores, outcomes);
        let utility = utility_by_stay(scores, outcomes, threshold);
        let judge = |weights: &[u32]| {
            let ranked = ranking.judge(weights)?;
            let utility = StayUtility::normalised(&utility, weights)?;
            Some(Replicate { auroc: ranked.auroc, auprc: ranked.auprc, utility })
        };
        let whole = judge(&vec![1; outcomes.len()])?;
        let replicates = resamples.each(judge);
        let of = |figure: fn(&Replicate) -> f64| {
            interval(replicates.iter().flatten().map(figure)).unwrap_or(Interval(figure(&whole), figure(&whole)))
        };
        let figures = Self {
            auroc: whole.auroc,
            auroc_interval: of(|r| r.auroc),
            auprc: whole.auprc,
            auprc_interval: of(|r| r.auprc),
            utility: whole.utility,
            utility_interval: of(|r| r.utility),
        };
        Some((figures, replicates))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_hold_the_figures_and_need_both_labels() {
        // Forty stays of twelve hours, every fourth septic from its fifth hour; scores follow the label with noise.
        let label = |row: usize| (row / 12).is_multiple_of(4) && row % 12 >= 5;
        let labels: Vec<bool> = (0..480).map(label).collect();
        let scores: Vec<i64> = (0..480).map(|row| (row * 7919 % 13) as i64 + if label(row) { 6 } else { 0 }).collect();
        let stays: Vec<_> = (0..40).map(|stay| stay * 12..stay * 12 + 12).collect();
        let outcomes = Outcomes::new(&labels, &stays);
        let resamples = Resamples::new(outcomes.len(), 100, 3);
        let (figures, replicates) = Figures::of(&scores, &outcomes, 12, resamples).unwrap();
        let holds = |value: f64, Interval(low, high): Interval| low < value && value < high && high - low < 0.5;
        assert!(holds(figures.auroc, figures.auroc_interval), "{figures:?}");
        assert!(holds(figures.auprc, figures.auprc_interval), "{figures:?}");
        assert!(holds(figures.utility, figures.utility_interval), "{figures:?}");
        assert_eq!(replicates.len(), 100);
        let well = outcomes.keep(|stay| stay % 4 != 0);
        assert!(Figures::of(&scores, &well, 12, Resamples::new(well.len(), 10, 3)).is_none());
    }
}
