//! Everything that is said of one score.

use super::{AtStart, BudgetCurvePoint, BudgetReport, CalibrationReport, Curves, Cutoff, ScoreReport, ThresholdSource};
use crate::metrics::{
    Alarm, AlertBudget, BUDGETS, BudgetPoint, EveryHour, Figures, Interval, Outcomes, REPLICATES, Ranking, Replicate,
    Resamples, SEED, StayAlarms, StayUtility, burden, interval, lead_time, recalibrated, reliability, stay_alarms,
    threshold_within, utility_by_stay,
};
use crate::package::OperatingPoints;
use crate::score::{ByScore, ScoreName};

/// Points of a curve closer than this in both directions are left out: the eye cannot tell them apart.
const CURVE_STEP: f64 = 0.004;
/// Curves are written with this many steps in one.
const CURVE_ROUND: f64 = 1e5;
/// Thresholds of the alert-budget curve.
const BUDGET_POINTS: usize = 60;

/// Figures of each replicate, in step between scores.
type Replicates = Vec<Option<Replicate>>;

/// Judges scores by the outcomes of all stays.
pub(super) struct Judge<'a> {
    pub outcomes: &'a Outcomes<'a>,
    pub points: &'a OperatingPoints,
    pub alarm: &'a dyn Alarm,
}

impl Judge<'_> {
    /// Every score. Nothing when the stays, or those that can be warned of, lack one of the two labels.
    pub fn all(&self, scores: &ByScore<Vec<i64>>, probabilities: &ByScore<Vec<f64>>) -> Option<ByScore<ScoreReport>> {
        let judged = ByScore::try_from_fn(|name| self.one(name, scores.get(name), probabilities.get(name)).ok_or(()));
        let judged = judged.ok()?;
        let (model, of_model) = &judged.model;
        Some(ByScore::from_fn(|name| {
            let (report, replicates) = judged.get(name);
            let ahead = difference(&model.figures, of_model, &report.figures, replicates);
            ScoreReport { model_ahead_by: (name != ScoreName::Model).then_some(ahead), ..report.clone() }
        }))
    }

    fn one(&self, name: ScoreName, scores: &[i64], probabilities: &[f64]) -> Option<(ScoreReport, Replicates)> {
        let threshold = self.points.get(name).threshold;
        let warnable = self.outcomes.without_positive_at_start();
        let (figures, replicates) = Figures::of(scores, self.outcomes, threshold, resamples(self.outcomes))?;
        let (without, _) = Figures::of(scores, &warnable, threshold, resamples(&warnable))?;
        let before = stay_alarms(scores, self.outcomes, &EveryHour, name.scale(), threshold);
        let after = self.alarms(name, scores, threshold);
        let corrected = recalibrated(probabilities, self.outcomes);
        let reliable = |probabilities: &[f64]| reliability(probabilities, self.outcomes, resamples(self.outcomes));
        let report = ScoreReport {
            figures,
            threshold,
            model_ahead_by: None,
            without_positive_at_start: without,
            positive_at_start: AtStart::of(&after),
            burden_before_triage: burden(&before, None),
            burden_after_triage: burden(&after, None),
            lead_time: lead_time(&after),
            budgets: BUDGETS.iter().map(|&budget| self.budget(name, scores, budget)).collect(),
            conventional: conventional(name).iter().map(|&cutoff| self.cutoff(name, scores, cutoff)).collect(),
            calibration: CalibrationReport {
                as_shipped: reliable(probabilities),
                recalibrated: corrected.as_deref().map(reliable),
            },
            curves: self.curves(name, scores),
        };
        Some((report, replicates))
    }

    fn alarms(&self, name: ScoreName, scores: &[i64], threshold: i64) -> Vec<StayAlarms> {
        stay_alarms(scores, self.outcomes, self.alarm, name.scale(), threshold)
    }

    fn budget(&self, name: ScoreName, scores: &[i64], budget: AlertBudget) -> BudgetReport {
        let of_card = self.points.get(name).budgets.iter().find(|point| point.budget == budget);
        let (threshold, threshold_from) = match of_card {
            Some(point) => (point.threshold, ThresholdSource::Card),
            None => {
                (threshold_within(budget, scores, self.outcomes, self.alarm, name.scale()), ThresholdSource::ThisData)
            }
        };
        let alarms = threshold.map(|threshold| self.alarms(name, scores, threshold));
        let spread = |figure: fn(&StaySums) -> Option<f64>| {
            let alarms = alarms.as_deref()?;
            interval(
                resamples(self.outcomes).each(|weights| figure(&StaySums::of(alarms, weights))).into_iter().flatten(),
            )
        };
        BudgetReport {
            point: BudgetPoint::at(budget, threshold, scores, self.outcomes, self.alarm, name.scale()),
            threshold_from,
            sensitivity_interval: spread(StaySums::sensitivity),
            ppv_interval: spread(StaySums::ppv),
            sensitivity_timely: alarms.as_deref().and_then(|alarms| burden(alarms, None).sensitivity_timely),
            lead_time_median_h: alarms.as_deref().and_then(|alarms| lead_time(alarms).median_h),
        }
    }

    fn cutoff(&self, name: ScoreName, scores: &[i64], threshold: i64) -> Cutoff {
        let utility = utility_by_stay(scores, self.outcomes, threshold);
        Cutoff {
            threshold,
            utility: StayUtility::normalised(&utility, &vec![1; utility.len()]),
            burden: burden(&stay_alarms(scores, self.outcomes, &EveryHour, name.scale(), threshold), None),
        }
    }

    fn curves(&self, name: ScoreName, scores: &[i64]) -> Curves {
        let counts = Ranking::new(scores, self.outcomes).counts();
        let (positives, negatives) = counts.last().copied().unwrap_or_default();
        let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
        let roc = counts.iter().map(|&(tp, fp)| [share(fp, negatives), share(tp, positives)]);
        let alerted = counts.iter().filter(|&&(tp, fp)| tp + fp > 0);
        let precision = alerted.map(|&(tp, fp)| [share(tp, positives), share(tp, tp + fp)]);
        Curves { roc: thin(roc), precision_recall: thin(precision), budget: self.budget_curve(name, scores) }
    }

    /// Thresholds from the greatest score of any stay down to that of the calmest, evenly over the stays.
    fn budget_curve(&self, name: ScoreName, scores: &[i64]) -> Vec<BudgetCurvePoint> {
        let greatest = |rows: &std::ops::Range<usize>| scores[rows.clone()].iter().copied().max();
        let mut maxima: Vec<i64> = self.outcomes.stays().iter().filter_map(greatest).collect();
        maxima.sort_unstable_by_key(|&score| std::cmp::Reverse(score));
        // Squared steps: finer where few are alerted, which is where a ward works.
        let place = |point: usize| (maxima.len() - 1) * point * point / (BUDGET_POINTS * BUDGET_POINTS);
        let mut thresholds: Vec<i64> = (0..=BUDGET_POINTS).map(|point| maxima[place(point)]).collect();
        thresholds.dedup();
        let point = |threshold: i64| {
            let spent = burden(&self.alarms(name, scores, threshold), None);
            BudgetCurvePoint {
                threshold,
                stays_alerted: round(spent.stays_alerted),
                alerts_per_patient_day: round(spent.alerts_per_patient_day),
                sensitivity: round(spent.sensitivity_by_stay.unwrap_or(0.0)),
                ppv: spent.ppv_by_stay.map(round),
            }
        };
        thresholds.into_iter().map(point).collect()
    }
}

impl AtStart {
    fn of(alarms: &[StayAlarms]) -> Self {
        let at_start = || alarms.iter().filter(|stay| stay.positive_at_start);
        let stays = at_start().count();
        let share = |count: usize| (stays > 0).then(|| count as f64 / stays as f64);
        Self {
            stays,
            alerted_in_first_hour: share(at_start().filter(|stay| stay.first == Some(0)).count()),
            alerted: share(at_start().filter(|stay| stay.first.is_some()).count()),
        }
    }
}

/// Alerted and septic stays of one replicate.
struct StaySums {
    septic: u64,
    alerted: u64,
    both: u64,
}

impl StaySums {
    fn of(alarms: &[StayAlarms], weights: &[u32]) -> Self {
        let mut sums = Self { septic: 0, alerted: 0, both: 0 };
        for (stay, &weight) in alarms.iter().zip(weights) {
            let (septic, alerted) = (u64::from(stay.onset.is_some()), u64::from(stay.first.is_some()));
            sums.septic += u64::from(weight) * septic;
            sums.alerted += u64::from(weight) * alerted;
            sums.both += u64::from(weight) * septic * alerted;
        }
        sums
    }

    fn sensitivity(&self) -> Option<f64> {
        (self.septic > 0).then(|| self.both as f64 / self.septic as f64)
    }

    fn ppv(&self) -> Option<f64> {
        (self.alerted > 0).then(|| self.both as f64 / self.alerted as f64)
    }
}

/// Cut-offs in general use: NEWS2 from 5 (urgent) and 7 (emergency), SIRS from 2.
fn conventional(name: ScoreName) -> &'static [i64] {
    match name {
        ScoreName::News2 => &[5, 7],
        ScoreName::Sirs => &[2],
        ScoreName::Model | ScoreName::Clock | ScoreName::Logistic => &[],
    }
}

pub(super) fn resamples(outcomes: &Outcomes<'_>) -> Resamples {
    Resamples::new(outcomes.len(), REPLICATES, SEED)
}

/// Figures of one score less those of another, with intervals over replicates in pairs.
fn difference(a: &Figures, a_each: &[Option<Replicate>], b: &Figures, b_each: &[Option<Replicate>]) -> Figures {
    let of = |figure: fn(&Replicate) -> f64| {
        let pairs = a_each.iter().zip(b_each).filter_map(|(a, b)| Some(figure(a.as_ref()?) - figure(b.as_ref()?)));
        interval(pairs).unwrap_or(Interval(0.0, 0.0))
    };
    Figures {
        auroc: a.auroc - b.auroc,
        auroc_interval: of(|r| r.auroc),
        auprc: a.auprc - b.auprc,
        auprc_interval: of(|r| r.auprc),
        utility: a.utility - b.utility,
        utility_interval: of(|r| r.utility),
    }
}

/// Points that differ visibly from the one before, and both ends.
fn thin(points: impl IntoIterator<Item = [f64; 2]>) -> Vec<[f64; 2]> {
    let mut kept: Vec<[f64; 2]> = Vec::new();
    let mut last = None;
    for point in points {
        let near = |kept: &[f64; 2]| kept.iter().zip(point).all(|(a, b)| (a - b).abs() < CURVE_STEP);
        if !kept.last().is_some_and(near) {
            kept.push(point);
            last = None;
        } else {
            last = Some(point);
        }
    }
    kept.extend(last);
    kept.into_iter().map(|point| point.map(round)).collect()
}

fn round(value: f64) -> f64 {
    (value * CURVE_ROUND).round() / CURVE_ROUND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thinned_curve_keeps_its_ends_and_its_shape() {
        let points: Vec<[f64; 2]> = (0..=10_000).map(|n| [f64::from(n) / 1e4, (f64::from(n) / 1e4).sqrt()]).collect();
        let thinned = thin(points.iter().copied());
        assert_eq!((thinned[0], thinned[thinned.len() - 1]), ([0.0, 0.0], [1.0, 1.0]));
        assert!(thinned.len() < 500, "{}", thinned.len());
        assert!(thinned.windows(2).all(|pair| pair[1][0] - pair[0][0] < 0.01 && pair[1][1] - pair[0][1] < 0.02));
        assert_eq!(thin([[0.5, 0.5]]), [[0.5, 0.5]]);
    }
}
