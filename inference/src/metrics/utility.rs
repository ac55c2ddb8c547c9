//! The official utility of the PhysioNet/CinC Challenge 2019 (Reyna et al. 2020).

use super::Outcomes;

/// Rows of one stay: labels in the order of the hours.
pub type Labels<'a> = &'a [bool];

/// Hours from onset of the utility's corners, and its heights. Onset is six hours after the first positive label.
const EARLY_H: i64 = -12;
const OPTIMAL_H: i64 = -6;
const LATE_H: i64 = 3;
const REWARD_MAX: f64 = 1.0;
const MISS_MIN: f64 = -2.0;
const FALSE_ALARM: f64 = -0.05;
/// Share of the best utility that a steady threshold's neighbours keep.
const STEADY_SHARE: f64 = 0.9;

/// What each row is worth if alerted and if not.
///
/// Normalised so that never alerting is 0 and the best possible decisions are 1.
#[derive(Clone, Debug)]
pub struct Utility {
    rows: Vec<RowUtility>,
    inaction: f64,
    best: f64,
}

#[derive(Clone, Copy, Debug)]
struct RowUtility {
    alert: f64,
    silence: f64,
}

impl Utility {
    /// Takes the labels of each stay in turn; scores are later given in the same order of rows.
    pub fn new<'a>(stays: impl IntoIterator<Item = Labels<'a>>) -> Self {
        let (mut rows, mut best) = (Vec::new(), 0.0);
        for labels in stays {
            for (row, best_of_row) in rows_of(labels) {
                best += best_of_row;
                rows.push(row);
            }
        }
        let inaction = rows.iter().map(|row| row.silence).sum();
        Self { rows, inaction, best }
    }

    /// Normalised utility of alerting on every row whose score is at or above the threshold. Nothing without sepsis.
    pub fn at(&self, scores: &[i64], threshold: i64) -> Option<f64> {
        assert_eq!(scores.len(), self.rows.len(), "one score for each row");
        let taken = |(row, &score): (&RowUtility, &i64)| {
            if score >= threshold { row.alert } else { row.silence }
        };
        self.normalise(self.rows.iter().zip(scores).map(taken).sum())
    }

    /// The threshold of greatest utility, and that utility. Nothing without sepsis.
    pub fn best_threshold(&self, scores: &[i64]) -> Option<(i64, f64)> {
        assert_eq!(scores.len(), self.rows.len(), "one score for each row");
        let order = order(scores, true);
        let (mut total, mut best) = (self.inaction, None);
        for (position, &row) in order.iter().enumerate() {
            total += self.rows[row].alert - self.rows[row].silence;
            let tie_ends = order.get(position + 1).is_none_or(|&next| scores[next] != scores[row]);
            if tie_ends && best.is_none_or(|(_, most)| total > most) {
                best = Some((scores[row], total));
            }
        }
        let (threshold, total) = best?;
        Some((threshold, self.normalise(total)?))
    }

    /// A threshold to use on other stays: the middle of the thresholds around the best one that keep [`STEADY_SHARE`] of
    /// its utility. The best one itself follows the chance of a few stays. Nothing without sepsis.
    pub fn steady_threshold(&self, scores: &[i64]) -> Option<i64> {
        assert_eq!(scores.len(), self.rows.len(), "one score for each row");
        let (best, _) = self.best_threshold(scores)?;
        let mut gains: Vec<(i64, f64)> = Vec::new();
        let mut gain = 0.0;
        for tie in order(scores, true).chunk_by(|&a, &b| scores[a] == scores[b]) {
            gain += tie.iter().map(|&row| self.rows[row].alert - self.rows[row].silence).sum::<f64>();
            gains.push((scores[tie[0]], gain));
        }
        let place = gains.iter().position(|&(threshold, _)| threshold == best)?;
        let enough = gains[place].1 * STEADY_SHARE;
        let good = |&&(_, gain): &&(i64, f64)| gain >= enough;
        let high = gains[..=place].iter().rev().take_while(good).last().map_or(best, |&(threshold, _)| threshold);
        let low = gains[place..].iter().take_while(good).last().map_or(best, |&(threshold, _)| threshold);
        Some(low + (high - low) / 2)
    }

    /// What alerting on a row is worth above staying silent, by rows.
    pub fn stakes(&self) -> impl Iterator<Item = f64> {
        self.rows.iter().map(|row| row.alert - row.silence)
    }

    fn normalise(&self, total: f64) -> Option<f64> {
        let range = self.best - self.inaction;
        (range > 0.0).then(|| (total - self.inaction) / range)
    }
}

/// What one stay adds to the three sums the normalised utility is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StayUtility {
    /// Utility of what the score decided.
    pub taken: f64,
    /// Utility of never alerting.
    pub inaction: f64,
    /// Utility of the best decisions.
    pub best: f64,
}

impl StayUtility {
    /// Normalised utility of stays, each counted as often as its weight says. Nothing without sepsis.
    pub fn normalised(stays: &[Self], weights: &[u32]) -> Option<f64> {
        assert_eq!(stays.len(), weights.len(), "one weight for each stay");
        let (mut gain, mut range) = (0.0, 0.0);
        for (stay, &weight) in stays.iter().zip(weights) {
            gain += f64::from(weight) * (stay.taken - stay.inaction);
            range += f64::from(weight) * (stay.best - stay.inaction);
        }
        (range > 0.0).then(|| gain / range)
    }
}

/// Utility of each stay when every row at or above the threshold is alerted.
pub fn utility_by_stay(scores: &[i64], outcomes: &Outcomes<'_>, threshold: i64) -> Vec<StayUtility> {
    let of = |stay: usize| {
        let mut sums = StayUtility::default();
        let scores = &scores[outcomes.stays()[stay].clone()];
        for ((row, best), &score) in rows_of(outcomes.of(stay)).zip(scores) {
            sums.taken += if score >= threshold { row.alert } else { row.silence };
            sums.inaction += row.silence;
            sums.best += best;
        }
        sums
    };
    (0..outcomes.len()).map(of).collect()
}

/// What each row of a stay is worth, and what the best decision on it gives.
fn rows_of(labels: Labels<'_>) -> impl Iterator<Item = (RowUtility, f64)> {
    let onset = labels.iter().position(|&label| label).map(|first| first as i64 - OPTIMAL_H);
    (0..labels.len() as i64).map(move |hour| {
        let row = onset.map_or(RowUtility { alert: FALSE_ALARM, silence: 0.0 }, |onset| septic_row(hour - onset));
        let alert_is_best = onset.is_some_and(|onset| (EARLY_H..=LATE_H).contains(&(hour - onset)));
        (row, if alert_is_best { row.alert } else { row.silence })
    })
}

/// Utility of a row of a septic stay, `hour` hours from onset.
fn septic_row(hour: i64) -> RowUtility {
    let at = hour as f64;
    let (early, optimal, late) = (EARLY_H as f64, OPTIMAL_H as f64, LATE_H as f64);
    if hour <= OPTIMAL_H {
        let rise = REWARD_MAX / (optimal - early);
        RowUtility { alert: (rise * (at - early)).max(FALSE_ALARM), silence: 0.0 }
    } else if hour <= LATE_H {
        let fall = REWARD_MAX / (late - optimal);
        let loss = MISS_MIN / (late - optimal);
        RowUtility { alert: fall * (late - at), silence: loss * (at - optimal) }
    } else {
        RowUtility { alert: 0.0, silence: 0.0 }
    }
}

fn order(scores: &[i64], descending: bool) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_unstable_by_key(|&row| (scores[row], row));
    if descending {
        order.reverse();
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utility_has_the_corners_of_the_definition() {
        let at = |hour| {
            let row = septic_row(hour);
            (row.alert, row.silence)
        };
        assert_eq!(at(-20), (-0.05, 0.0));
        assert_eq!(at(-12), (0.0, 0.0));
        assert_eq!(at(-9), (0.5, 0.0));
        assert_eq!(at(-6), (1.0, 0.0));
        assert_eq!(at(3), (0.0, -2.0));
        assert_eq!(at(4), (0.0, 0.0));
    }

    #[test]
    fn utility_is_0_for_silence_and_1_for_the_best() {
        // A stay of 20 hours whose first positive label is at hour 8, so onset at 14, best alerts at 2..=17.
        let septic: Vec<bool> = (0..20).map(|hour| hour >= 8).collect();
        let well = vec![false; 4];
        let utility = Utility::new([septic.as_slice(), well.as_slice()]);
        let mut scores: Vec<i64> = (0..20).map(|hour| i64::from((2..=17).contains(&hour))).collect();
        scores.extend([0; 4]);
        assert_eq!(utility.at(&scores, 2), Some(0.0));
        assert_eq!(utility.at(&scores, 1), Some(1.0));
        assert_eq!(utility.best_threshold(&scores), Some((1, 1.0)));
        // Alerting everywhere also pays for two early hours and four false alarms; the last two hours are free.
        let range = utility.best - utility.inaction;
        let all = utility.at(&scores, 0).unwrap();
        assert!((all - (1.0 - 6.0 * 0.05 / range)).abs() < 1e-12);
        assert!(Utility::new([well.as_slice()]).at(&[0; 4], 0).is_none());
    }

    #[test]
    fn stays_add_up_to_the_whole() {
        let labels: Vec<bool> = (0..60).map(|row| (8..20).contains(&row) || row >= 55).collect();
        let scores: Vec<i64> = (0..60).map(|row| row * 37 % 11).collect();
        let stays = [0..20, 20..40, 40..60];
        let outcomes = Outcomes::new(&labels, &stays);
        let whole = Utility::new(stays.iter().map(|rows| &labels[rows.clone()]));
        for threshold in [0, 3, 7, 11] {
            let by_stay = utility_by_stay(&scores, &outcomes, threshold);
            let sum = StayUtility::normalised(&by_stay, &[1; 3]).unwrap();
            assert!((sum - whole.at(&scores, threshold).unwrap()).abs() < 1e-12);
            assert_eq!(StayUtility::normalised(&by_stay, &[0, 9, 0]), None);
        }
    }

    #[test]
    fn a_steady_threshold_is_the_middle_of_the_good_ones() {
        // One septic stay of hourly scores: alerts from hour 2 to 17 pay, and the scores fall from 100 to 86 there.
        let septic: Vec<bool> = (0..20).map(|hour| hour >= 8).collect();
        let well = vec![false; 200];
        let utility = Utility::new([septic.as_slice(), well.as_slice()]);
        let mut scores: Vec<i64> = (0..20).map(|hour| if (2..=17).contains(&hour) { 100 } else { 0 }).collect();
        // Nine false alarms at 90 cost little, a hundred at 40 cost much.
        scores.extend((0..200).map(|row| {
            if row < 9 {
                90
            } else if row < 109 {
                40
            } else {
                -5
            }
        }));
        assert_eq!(utility.best_threshold(&scores).map(|(threshold, _)| threshold), Some(100));
        assert_eq!(utility.steady_threshold(&scores), Some(95));
        // Where nothing pays the best threshold is the one that alerts least.
        let high: Vec<i64> = (0..220).collect();
        assert!(utility.steady_threshold(&high).is_some());
        assert!(Utility::new([well.as_slice()]).steady_threshold(&[0; 200]).is_none());
    }
}
