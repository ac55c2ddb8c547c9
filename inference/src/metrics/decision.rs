//! Decision curves (Vickers and Elkin 2006): what acting on a score is worth to somebody who would act from a given
//! risk on.

use super::Outcomes;

/// Net benefit, by row, of alerting where the probability reaches each risk: true alerts less false ones, a false one
/// costing the odds of the risk.
pub fn net_benefit(probabilities: &[f64], outcomes: &Outcomes<'_>, risks: &[f64]) -> Vec<f64> {
    let mut rows: Vec<(f64, bool)> = outcomes.rows().map(|row| (probabilities[row], outcomes.label(row))).collect();
    rows.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let mut positives = vec![0usize];
    positives.extend(rows.iter().scan(0, |sum, &(_, label)| {
        *sum += usize::from(label);
        Some(*sum)
    }));
    let at = |&risk: &f64| {
        let alerted = rows.partition_point(|&(probability, _)| probability >= risk);
        benefit(positives[alerted], alerted, rows.len(), risk)
    };
    risks.iter().map(at).collect()
}

/// Net benefit of alerting on every row.
pub fn net_benefit_of_all(outcomes: &Outcomes<'_>, risks: &[f64]) -> Vec<f64> {
    let (positives, rows) = (outcomes.rows_septic(), outcomes.rows_count());
    risks.iter().map(|&risk| benefit(positives, rows, rows, risk)).collect()
}

fn benefit(positives: usize, alerted: usize, rows: usize, risk: f64) -> f64 {
    let negatives = (alerted - positives) as f64;
    (positives as f64 - negatives * risk / (1.0 - risk)) / rows.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn benefit_is_true_alerts_less_false_ones_at_the_odds() {
        let labels = [true, false, true, false, false];
        let outcomes = Outcomes::new(&labels, std::slice::from_ref(&(0..5)));
        let probabilities = [0.9, 0.5, 0.5, 0.2, 0.0];
        // At 0.5: two of three alerts true, odds 1. At 0.2: two of four, odds 1/4. Above 0.9: nothing alerted.
        let found = net_benefit(&probabilities, &outcomes, &[0.5, 0.2, 0.95]);
        let expected = [(2.0 - 1.0) / 5.0, (2.0 - 2.0 * 0.25) / 5.0, 0.0];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
        let all = net_benefit_of_all(&outcomes, &[0.4, 0.5]);
        // At the prevalence, alerting everywhere is worth nothing.
        assert!(all[0].abs() < 1e-12 && (all[1] + 0.2).abs() < 1e-12, "{all:?}");
    }
}
