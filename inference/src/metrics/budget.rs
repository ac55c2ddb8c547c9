//! Thresholds by alert budget: how low one may go before people are called more often than was agreed.

use serde::{Deserialize, Serialize};

use super::{Alarm, Outcomes, burden, stay_alarms};
use crate::score::Scale;

/// Numbers of rows above a threshold grow by this factor from one try to the next: fine enough not to step over a
/// range of thresholds that breaks the budget, coarse enough for some sixty tries.
const TRY_FACTOR: f64 = 1.2;

/// How often people may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertBudget {
    /// Share of the stays that may be alerted, in per cent.
    StaysAlertedPercent(u32),
    /// Alerts in a hundred patient-days.
    #[serde(rename = "alerts_per_100_patient_days")]
    AlertsPer100PatientDays(u32),
}

/// The budgets every card and report speaks of.
pub const BUDGETS: [AlertBudget; 8] = [
    AlertBudget::StaysAlertedPercent(5),
    AlertBudget::StaysAlertedPercent(10),
    AlertBudget::StaysAlertedPercent(20),
    AlertBudget::StaysAlertedPercent(30),
    AlertBudget::AlertsPer100PatientDays(5),
    AlertBudget::AlertsPer100PatientDays(10),
    AlertBudget::AlertsPer100PatientDays(20),
    AlertBudget::AlertsPer100PatientDays(50),
];

/// The threshold that keeps a budget, and what it finds and costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetPoint {
    /// The budget.
    pub budget: AlertBudget,
    /// Least score that alerts; absent where the score's greatest value already breaks the budget.
    pub threshold: Option<i64>,
    /// Share of the stays alerted.
    pub stays_alerted: f64,
    /// Alerts per patient-day.
    pub alerts_per_patient_day: f64,
    /// Share of the septic stays alerted.
    pub sensitivity: f64,
    /// Share of the alerted stays that are septic; absent when none is alerted.
    pub ppv: Option<f64>,
}

impl BudgetPoint {
    /// What a threshold finds and costs in these stays; without one nothing is alerted.
    pub fn at(
        budget: AlertBudget,
        threshold: Option<i64>,
        scores: &[i64],
        outcomes: &Outcomes<'_>,
        alarm: &dyn Alarm,
        scale: Scale,
    ) -> Self {
        let spent = threshold.map(|at| burden(&stay_alarms(scores, outcomes, alarm, scale, at), None));
        Self {
            budget,
            threshold,
            stays_alerted: spent.map_or(0.0, |spent| spent.stays_alerted),
            alerts_per_patient_day: spent.map_or(0.0, |spent| spent.alerts_per_patient_day),
            sensitivity: spent.and_then(|spent| spent.sensitivity_by_stay).unwrap_or(0.0),
            ppv: spent.and_then(|spent| spent.ppv_by_stay),
        }
    }
}

impl std::fmt::Display for AlertBudget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::StaysAlertedPercent(percent) => write!(f, "{percent} % of stays alerted"),
            Self::AlertsPer100PatientDays(alerts) => {
                write!(f, "{} alerts per patient-day", f64::from(*alerts) / 100.0)
            }
        }
    }
}

/// The lowest threshold, searched from the greatest score down, at which the alarm stays within the budget.
///
/// Nothing when even the greatest score of these stays calls too often, as with a score of few steps.
pub fn threshold_within(
    budget: AlertBudget,
    scores: &[i64],
    outcomes: &Outcomes<'_>,
    alarm: &dyn Alarm,
    scale: Scale,
) -> Option<i64> {
    let within = |threshold: i64| {
        let spent = burden(&stay_alarms(scores, outcomes, alarm, scale, threshold), None);
        match budget {
            AlertBudget::StaysAlertedPercent(percent) => spent.stays_alerted <= f64::from(percent) / 100.0,
            AlertBudget::AlertsPer100PatientDays(alerts) => spent.alerts_per_patient_day <= f64::from(alerts) / 100.0,
        }
    };
    let candidates = candidates(scores, outcomes, budget);
    let (mut inside, mut outside) = (None, candidates.len());
    // Calls of a state machine need not rise with every step down: walk from the top, then halve the last step.
    for place in tries(candidates.len()) {
        if !within(candidates[place]) {
            outside = place;
            break;
        }
        inside = Some(place);
    }
    let mut low = inside?;
    while outside - low > 1 {
        let middle = low + (outside - low) / 2;
        if within(candidates[middle]) { low = middle } else { outside = middle }
    }
    Some(candidates[low])
}

/// Scores that could be the threshold, falling: of a budget of stays only their greatest ones matter.
fn candidates(scores: &[i64], outcomes: &Outcomes<'_>, budget: AlertBudget) -> Vec<i64> {
    let mut candidates: Vec<i64> = match budget {
        AlertBudget::StaysAlertedPercent(_) => {
            outcomes.stays().iter().filter_map(|rows| scores[rows.clone()].iter().copied().max()).collect()
        }
        AlertBudget::AlertsPer100PatientDays(_) => outcomes.rows().map(|row| scores[row]).collect(),
    };
    candidates.sort_unstable_by_key(|&score| std::cmp::Reverse(score));
    candidates.dedup();
    candidates
}

/// Places to try among `len` candidates: each of the first, then ever fewer, and the last.
fn tries(len: usize) -> impl Iterator<Item = usize> {
    let next = move |&place: &usize| {
        let next = ((place as f64 * TRY_FACTOR) as usize).max(place + 1);
        (place + 1 < len).then(|| next.min(len - 1))
    };
    std::iter::successors((len > 0).then_some(0), next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::EveryHour;

    /// Ten stays of two hours; stay `n` scores `10 n` and `10 n + 1`.
    fn find(budget: AlertBudget, scores: &[i64]) -> Option<i64> {
        let labels = [false; 20];
        let stays: Vec<_> = (0..10).map(|stay| 2 * stay..2 * stay + 2).collect();
        threshold_within(budget, scores, &Outcomes::new(&labels, &stays), &EveryHour, Scale::Points)
    }

    #[test]
    fn the_lowest_threshold_within_the_budget_is_found() {
        let scores: Vec<i64> = (0..20).map(|row| row / 2 * 10 + row % 2).collect();
        assert_eq!(find(AlertBudget::StaysAlertedPercent(20), &scores), Some(81));
        assert_eq!(find(AlertBudget::StaysAlertedPercent(29), &scores), Some(81));
        assert_eq!(find(AlertBudget::StaysAlertedPercent(100), &scores), Some(1));
        assert_eq!(find(AlertBudget::StaysAlertedPercent(9), &scores), None);
        // Twenty hours are 5/6 of a day: three alerts are 3.6 a day.
        assert_eq!(find(AlertBudget::AlertsPer100PatientDays(360), &scores), Some(81));
        assert_eq!(find(AlertBudget::AlertsPer100PatientDays(359), &scores), Some(90));
    }

    #[test]
    fn a_score_of_few_steps_may_have_no_threshold() {
        assert_eq!(find(AlertBudget::StaysAlertedPercent(50), &[4; 20]), None);
        assert_eq!(find(AlertBudget::StaysAlertedPercent(100), &[4; 20]), Some(4));
    }

    #[test]
    fn tries_reach_both_ends_and_are_few() {
        let places: Vec<usize> = tries(100_000).collect();
        assert_eq!((places[0], places.last()), (0, Some(&99_999)));
        assert!(places.is_sorted() && places.len() < 80, "{}", places.len());
        assert_eq!(tries(1).collect::<Vec<_>>(), [0]);
        assert_eq!(tries(0).count(), 0);
    }

    #[test]
    fn a_budget_reads_as_a_person_says_it() {
        let text = BUDGETS.map(|budget| budget.to_string());
        assert_eq!((text[0].as_str(), text[4].as_str()), ("5 % of stays alerted", "0.05 alerts per patient-day"));
        let json = serde_json::to_string(&BUDGETS[7]).unwrap();
        assert_eq!(json, r#"{"alerts_per_100_patient_days":50}"#);
    }
}
