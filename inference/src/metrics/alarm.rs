//! What people get of a score: calls, how many of them are true, and how long before onset the first one comes.

use serde::Serialize;

use super::{Outcomes, quantile};
use crate::score::Scale;

/// An alert is true in a septic stay from this many hours before onset on: the utility's window opens there.
const TRUE_FROM_H: i64 = -12;
/// An alert is timely from then until this many hours after onset, where the utility's window closes.
const TIMELY_UNTIL_H: i64 = 3;
/// Bins of the lead-time histogram, in hours before onset.
const HISTOGRAM_FROM_H: i64 = -6;
const HISTOGRAM_TO_H: i64 = 48;
const HISTOGRAM_STEP_H: i64 = 3;

/// Decides in which hours of a stay a score calls somebody.
pub trait Alarm: Sync {
    /// What it does, in a few words for a report.
    fn description(&self) -> String;

    /// The hours, rising, in which somebody is called when a stay has these hourly scores.
    fn calls(&self, scores: &[i64], scale: Scale, threshold: i64) -> Vec<usize>;
}

/// No state machine: every hour at or above the threshold calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct EveryHour;

impl Alarm for EveryHour {
    fn description(&self) -> String {
        "every hour at or above the threshold alerts".to_owned()
    }

    fn calls(&self, scores: &[i64], _: Scale, threshold: i64) -> Vec<usize> {
        scores.iter().enumerate().filter(|&(_, &score)| score >= threshold).map(|(hour, _)| hour).collect()
    }
}

/// The calls of one stay, judged by what happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StayAlarms {
    /// Hours observed.
    pub hours: u32,
    /// Hour of onset, if the stay is septic.
    pub onset: Option<i64>,
    /// Whether the stay is positive on its first row, so that nobody could have been warned.
    pub positive_at_start: bool,
    /// Calls.
    pub calls: u32,
    /// Calls in a septic stay from twelve hours before onset on.
    pub calls_true: u32,
    /// Hour of the first call.
    pub first: Option<i64>,
    /// Whether a call came between twelve hours before and three hours after onset.
    pub timely: bool,
}

/// What a score costs and finds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Burden {
    /// Alerts per 24 hours of observation.
    pub alerts_per_patient_day: f64,
    /// Share of the stays with an alert.
    pub stays_alerted: f64,
    /// Share of the septic stays with an alert at any time.
    pub sensitivity_by_stay: Option<f64>,
    /// Share of the septic stays with an alert between twelve hours before and three hours after onset.
    pub sensitivity_timely: Option<f64>,
    /// Share of the alerted stays that are septic.
    pub ppv_by_stay: Option<f64>,
    /// Share of the alerts that are true: raised in a septic stay from twelve hours before onset on.
    pub ppv_by_alert: Option<f64>,
    /// False alerts for each true one.
    pub false_per_true: Option<f64>,
}

/// How long before onset the first alert comes, over septic stays that are not positive on their first row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LeadTime {
    /// Those stays.
    pub stays: usize,
    /// Those of them with an alert.
    pub alerted: usize,
    /// Median hours from first alert to onset, over the alerted; negative when after onset.
    pub median_h: Option<f64>,
    /// First and third quartile of the same.
    pub quartiles_h: Option<[f64; 2]>,
    /// Share of the stays alerted at least three hours before onset.
    pub at_least_3h: Option<f64>,
    /// At least six hours.
    pub at_least_6h: Option<f64>,
    /// At least twelve hours.
    pub at_least_12h: Option<f64>,
    /// Share of the stays with an alert between twelve hours before and three hours after onset.
    pub timely: Option<f64>,
    /// Alerted stays by hours from first alert to onset.
    pub histogram: Vec<LeadBin>,
}

/// One bin of the histogram: `from_h` inclusive, `to_h` exclusive; an open end is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LeadBin {
    /// Least hours before onset.
    pub from_h: Option<i64>,
    /// Hours before onset that the bin ends below.
    pub to_h: Option<i64>,
    /// Stays.
    pub stays: usize,
}

/// Runs an alarm over every stay.
pub fn stay_alarms(
    scores: &[i64],
    outcomes: &Outcomes<'_>,
    alarm: &dyn Alarm,
    scale: Scale,
    threshold: i64,
) -> Vec<StayAlarms> {
    let of = |stay: usize| {
        let onset = outcomes.onset(stay).map(|hour| hour as i64);
        let calls = alarm.calls(&scores[outcomes.stays()[stay].clone()], scale, threshold);
        let from_onset = |&hour: &usize| onset.map(|onset| hour as i64 - onset);
        let is_true = |&&hour: &&usize| from_onset(&hour).is_some_and(|at| at >= TRUE_FROM_H);
        let is_timely = |hour: &usize| from_onset(hour).is_some_and(|at| (TRUE_FROM_H..=TIMELY_UNTIL_H).contains(&at));
        StayAlarms {
            hours: outcomes.of(stay).len() as u32,
            onset,
            positive_at_start: outcomes.of(stay).first() == Some(&true),
            calls: calls.len() as u32,
            calls_true: calls.iter().filter(is_true).count() as u32,
            first: calls.first().map(|&hour| hour as i64),
            timely: calls.iter().any(is_timely),
        }
    };
    (0..outcomes.len()).map(of).collect()
}

/// Adds up the alarms of stays, each counted as often as its weight says; without weights each once.
pub fn burden(stays: &[StayAlarms], weights: Option<&[u32]>) -> Burden {
    let mut sum = Sums::default();
    for (index, stay) in stays.iter().enumerate() {
        let weight = weights.map_or(1, |weights| u64::from(weights[index]));
        let (alerted, septic) = (stay.first.is_some(), stay.onset.is_some());
        sum.stays += weight;
        sum.hours += weight * u64::from(stay.hours);
        sum.calls += weight * u64::from(stay.calls);
        sum.calls_true += weight * u64::from(stay.calls_true);
        sum.alerted += weight * u64::from(alerted);
        sum.septic += weight * u64::from(septic);
        sum.septic_alerted += weight * u64::from(septic && alerted);
        sum.septic_timely += weight * u64::from(stay.timely);
    }
    Burden {
        alerts_per_patient_day: share(24 * sum.calls, sum.hours).unwrap_or(0.0),
        stays_alerted: share(sum.alerted, sum.stays).unwrap_or(0.0),
        sensitivity_by_stay: share(sum.septic_alerted, sum.septic),
        sensitivity_timely: share(sum.septic_timely, sum.septic),
        ppv_by_stay: share(sum.septic_alerted, sum.alerted),
        ppv_by_alert: share(sum.calls_true, sum.calls),
        false_per_true: share(sum.calls - sum.calls_true, sum.calls_true),
    }
}

/// Lead times of the first alerts.
pub fn lead_time(stays: &[StayAlarms]) -> LeadTime {
    let warnable = || stays.iter().filter(|stay| stay.onset.is_some() && !stay.positive_at_start);
    let mut leads: Vec<i64> = warnable().filter_map(|stay| Some(stay.onset? - stay.first?)).collect();
    leads.sort_unstable();
    let count = warnable().count();
    let at_least = |hours: i64| share(leads.iter().filter(|&&lead| lead >= hours).count() as u64, count as u64);
    let floats: Vec<f64> = leads.iter().map(|&lead| lead as f64).collect();
    LeadTime {
        stays: count,
        alerted: leads.len(),
        median_h: quantile(&floats, 0.5),
        quartiles_h: quantile(&floats, 0.25).zip(quantile(&floats, 0.75)).map(|(low, high)| [low, high]),
        at_least_3h: at_least(3),
        at_least_6h: at_least(6),
        at_least_12h: at_least(12),
        timely: share(warnable().filter(|stay| stay.timely).count() as u64, count as u64),
        histogram: histogram(&leads),
    }
}

#[derive(Default)]
struct Sums {
    stays: u64,
    hours: u64,
    calls: u64,
    calls_true: u64,
    alerted: u64,
    septic: u64,
    septic_alerted: u64,
    septic_timely: u64,
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Bins of equal width, and one open bin at either end.
fn histogram(leads: &[i64]) -> Vec<LeadBin> {
    let edges: Vec<i64> = (HISTOGRAM_FROM_H..=HISTOGRAM_TO_H).step_by(HISTOGRAM_STEP_H as usize).collect();
    let lows = std::iter::once(None).chain(edges.iter().copied().map(Some));
    let highs = edges.iter().copied().map(Some).chain([None]);
    let bin = |(from_h, to_h): (Option<i64>, Option<i64>)| {
        let within = |lead: &&i64| from_h.is_none_or(|from| **lead >= from) && to_h.is_none_or(|to| **lead < to);
        LeadBin { from_h, to_h, stays: leads.iter().filter(within).count() }
    };
    lows.zip(highs).map(bin).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four stays of 30 hours: septic from hour 20 (onset 26), well, septic at once, septic from hour 20.
    fn outcomes() -> (Vec<bool>, [std::ops::Range<usize>; 4]) {
        let label = |row: usize| match row / 30 {
            0 | 3 => row % 30 >= 20,
            2 => true,
            _ => false,
        };
        ((0..120).map(label).collect(), [0..30, 30..60, 60..90, 90..120])
    }

    /// Scores that reach 1 in these rows.
    fn scores(rows: &[usize]) -> Vec<i64> {
        (0..120).map(|row| i64::from(rows.contains(&row))).collect()
    }

    fn judged(rows: &[usize]) -> Vec<StayAlarms> {
        let (labels, stays) = outcomes();
        stay_alarms(&scores(rows), &Outcomes::new(&labels, &stays), &EveryHour, Scale::Points, 1)
    }

    #[test]
    fn alerts_are_true_from_twelve_hours_before_onset_on() {
        // Stay 0: hour 13 is early, 14 and 29 true. Stay 1: two false alerts. Stay 2: one true. Stay 3: none.
        let burden = burden(&judged(&[13, 14, 29, 31, 40, 60]), None);
        assert_eq!(burden.alerts_per_patient_day, 6.0 / 5.0);
        assert_eq!(burden.stays_alerted, 0.75);
        assert_eq!((burden.sensitivity_by_stay, burden.sensitivity_timely), (Some(2.0 / 3.0), Some(2.0 / 3.0)));
        assert_eq!((burden.ppv_by_stay, burden.ppv_by_alert), (Some(2.0 / 3.0), Some(0.5)));
        assert_eq!(burden.false_per_true, Some(1.0));
    }

    #[test]
    fn an_alert_long_before_onset_is_not_timely() {
        let early = burden(&judged(&[13]), None);
        assert_eq!((early.sensitivity_by_stay, early.sensitivity_timely), (Some(1.0 / 3.0), Some(0.0)));
        assert_eq!((early.ppv_by_stay, early.ppv_by_alert, early.false_per_true), (Some(1.0), Some(0.0), None));
        let none = burden(&judged(&[]), None);
        assert_eq!((none.stays_alerted, none.ppv_by_stay, none.ppv_by_alert), (0.0, None, None));
    }

    #[test]
    fn weights_count_stays() {
        let stays = judged(&[13, 31, 60]);
        let weighted = burden(&stays, Some(&[0, 3, 1, 0]));
        assert_eq!((weighted.stays_alerted, weighted.ppv_by_stay), (1.0, Some(0.25)));
        assert_eq!(burden(&stays, Some(&[1; 4])), burden(&stays, None));
    }

    #[test]
    fn lead_time_leaves_out_stays_positive_on_their_first_row() {
        let lead = lead_time(&judged(&[20, 60, 110]));
        assert_eq!((lead.stays, lead.alerted), (2, 2));
        // Onset at 26: alerts at hours 20 of both stays, six hours ahead.
        assert_eq!((lead.median_h, lead.quartiles_h), (Some(6.0), Some([6.0, 6.0])));
        assert_eq!((lead.at_least_3h, lead.at_least_6h, lead.at_least_12h), (Some(1.0), Some(1.0), Some(0.0)));
        assert_eq!(lead.histogram.iter().map(|bin| bin.stays).sum::<usize>(), 2);
        let bin = lead.histogram.iter().find(|bin| bin.from_h == Some(6)).unwrap();
        assert_eq!((bin.to_h, bin.stays), (Some(9), 2));
        let late = lead_time(&judged(&[28]));
        assert_eq!((late.alerted, late.median_h, late.at_least_3h), (1, Some(-2.0), Some(0.0)));
    }
}
