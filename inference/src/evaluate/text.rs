//! A report for the terminal.

use std::fmt::{Result, Write};

use super::{Report, ScoreReport};
use crate::metrics::Interval;
use crate::score::ScoreName;

impl Report {
    /// The report as text of at most 120 columns.
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.write_text(&mut out).expect("writing to a string does not fail");
        out
    }

    fn write_text(&self, out: &mut String) -> Result {
        let data = &self.data;
        writeln!(
            out,
            "{} stays ({} septic, {} of them from their first hour), {} rows ({} septic), {:.0} patient-days",
            data.stays, data.stays_septic, data.stays_septic_at_start, data.rows, data.rows_septic, data.patient_days
        )?;
        self.write_headline(out)?;
        self.write_at_start(out)?;
        self.write_budgets(out)?;
        self.write_burden(out)?;
        self.write_calibration(out)?;
        self.write_groups(out)?;
        self.write_range(out)?;
        writeln!(
            out,
            "\nIntervals: 95 %, {} resamples of stays. Alerts: {}.",
            self.method.replicates, self.method.alarm
        )
    }

    fn write_range(&self, out: &mut String) -> Result {
        let range = &self.range;
        let area = |area: Option<f64>| area.map_or("-".to_owned(), |area| format!("{area:.3}"));
        writeln!(
            out,
            "\nOutside the validated range: {} of the rows, {} of the stays. The model's AUROC inside {}, outside {}.",
            percent(Some(range.rows_outside)),
            percent(Some(range.stays_outside)),
            area(range.auroc_inside),
            area(range.auroc_outside)
        )?;
        writeln!(out, "Marked of inputs spoilt on purpose:")?;
        for spoilt in &range.spoilt {
            writeln!(out, "  {:<60}{:>8}", spoilt.how, percent(Some(spoilt.marked)))?;
        }
        Ok(())
    }

    fn write_headline(&self, out: &mut String) -> Result {
        writeln!(
            out,
            "\n{:<20}{:^22}{:^22}{:^24}{:>9}{:>8}{:>8}",
            "", "AUROC", "AUPRC", "utility", "alerted", "sens.", "PPV"
        )?;
        for (name, score) in self.scores.iter() {
            let (figures, burden) = (&score.figures, &score.burden_before_triage);
            writeln!(
                out,
                "{:<20}{:^22}{:^22}{:^24}{:>9}{:>8}{:>8}",
                name.label(),
                with_interval(figures.auroc, figures.auroc_interval),
                with_interval(figures.auprc, figures.auprc_interval),
                with_interval(figures.utility, figures.utility_interval),
                percent(Some(burden.stays_alerted)),
                percent(burden.sensitivity_by_stay),
                percent(burden.ppv_by_stay),
            )?;
        }
        Ok(())
    }

    fn write_at_start(&self, out: &mut String) -> Result {
        let at_start = self.scores.model.positive_at_start;
        writeln!(
            out,
            "\nWithout the {} stays positive on their first row (of those, the model alerts {} in the first hour, {} at all):",
            at_start.stays,
            percent(at_start.alerted_in_first_hour),
            percent(at_start.alerted)
        )?;
        for (name, score) in self.scores.iter() {
            let figures = &score.without_positive_at_start;
            writeln!(
                out,
                "{:<20}{:^22}{:^22}{:^24}",
                name.label(),
                with_interval(figures.auroc, figures.auroc_interval),
                with_interval(figures.auprc, figures.auprc_interval),
                with_interval(figures.utility, figures.utility_interval)
            )?;
        }
        Ok(())
    }

    fn write_budgets(&self, out: &mut String) -> Result {
        writeln!(out, "\nSensitivity / PPV by stay at alert budgets (thresholds from the card's selection stays):")?;
        write!(out, "{:<20}", "")?;
        for budget in &self.scores.model.budgets {
            write!(out, "{:>12}", short(&budget.point.budget.to_string()))?;
        }
        writeln!(out)?;
        for (name, score) in self.scores.iter() {
            write!(out, "{:<20}", name.label())?;
            for budget in &score.budgets {
                let cell = match budget.point.threshold {
                    Some(_) => format!("{:.0} / {}", budget.point.sensitivity * 100.0, whole(budget.point.ppv)),
                    None => "none".to_owned(),
                };
                write!(out, "{cell:>12}")?;
            }
            writeln!(out)?;
        }
        Ok(())
    }

    fn write_burden(&self, out: &mut String) -> Result {
        writeln!(out, "\nAlarm burden at the threshold, before and after triage, and lead time:")?;
        writeln!(
            out,
            "{:<20}{:>22}{:>20}{:>20}{:>16}{:>8}{:>8}",
            "", "alerts/patient-day", "PPV by alert", "false per true", "lead, median", ">= 6 h", "timely"
        )?;
        for (name, score) in self.scores.iter() {
            let (before, after) = (&score.burden_before_triage, &score.burden_after_triage);
            let arrow = |a: String, b: String| format!("{a} -> {b}");
            writeln!(
                out,
                "{:<20}{:>22}{:>20}{:>20}{:>16}{:>8}{:>8}",
                name.label(),
                arrow(format!("{:.2}", before.alerts_per_patient_day), format!("{:.2}", after.alerts_per_patient_day)),
                arrow(percent(before.ppv_by_alert), percent(after.ppv_by_alert)),
                arrow(number(before.false_per_true, 1), number(after.false_per_true, 1)),
                lead(score),
                percent(score.lead_time.at_least_6h),
                percent(score.lead_time.timely)
            )?;
        }
        Ok(())
    }

    fn write_calibration(&self, out: &mut String) -> Result {
        writeln!(out, "\nCalibration by row (recalibrated: logistic correction fitted on other stays of this data):")?;
        writeln!(
            out,
            "{:<20}{:>10}{:>10}{:>8}{:>11}{:>12}{:>16}{:>14}",
            "", "Brier", "ECE", "slope", "intercept", "in large", "recal. Brier", "recal. ECE"
        )?;
        for (name, score) in self.scores.iter() {
            let (shipped, corrected) = (&score.calibration.as_shipped, score.calibration.recalibrated.as_ref());
            writeln!(
                out,
                "{:<20}{:>10.5}{:>10.5}{:>8}{:>11}{:>12}{:>16}{:>14}",
                name.label(),
                shipped.brier,
                shipped.expected_calibration_error,
                number(shipped.fit.map(|fit| fit.slope), 2),
                number(shipped.fit.map(|fit| fit.intercept), 2),
                number(shipped.fit.map(|fit| fit.in_the_large), 2),
                number(corrected.map(|r| r.brier), 5),
                number(corrected.map(|r| r.expected_calibration_error), 5)
            )?;
        }
        Ok(())
    }

    fn write_groups(&self, out: &mut String) -> Result {
        writeln!(out, "\nThe model by group, at the same threshold:")?;
        writeln!(
            out,
            "{:<20}{:>8}{:>8}{:^24}{:>8}{:>8}{:>9}",
            "", "stays", "septic", "AUROC", "sens.", "PPV", "utility"
        )?;
        for group in &self.groups {
            let model = &group.scores.model;
            let auroc = model.figures.map_or("-".to_owned(), |f| with_interval(f.auroc, f.auroc_interval));
            writeln!(
                out,
                "{:<20}{:>8}{:>8}{auroc:^24}{:>8}{:>8}{:>9}",
                format!("{} {}", group.attribute, group.group),
                group.stays,
                group.stays_septic,
                percent(model.sensitivity_by_stay),
                percent(model.ppv_by_stay),
                number(model.figures.map(|figures| figures.utility), 3)
            )?;
        }
        for gap in self.gaps.model.iter().filter(|gap| gap.figure == "AUROC") {
            writeln!(out, "widest AUROC gap by {}: {:.3} ({} below {})", gap.attribute, gap.gap, gap.worst, gap.best)?;
        }
        Ok(())
    }
}

/// `20 %` or `0.1/day`.
fn short(budget: &str) -> String {
    budget.replace(" of stays alerted", "").replace(" alerts per patient-day", "/day")
}

fn lead(score: &ScoreReport) -> String {
    let lead = &score.lead_time;
    match (lead.median_h, lead.quartiles_h) {
        (Some(median), Some([low, high])) => format!("{median:.0} h ({low:.0}-{high:.0})"),
        _ => "-".to_owned(),
    }
}

pub(super) fn with_interval(value: f64, Interval(low, high): Interval) -> String {
    format!("{value:.3} [{low:.3}, {high:.3}]")
}

pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or("-".to_owned(), |share| format!("{:.1}%", share * 100.0))
}

pub(super) fn number(value: Option<f64>, decimals: usize) -> String {
    let text = value.map_or("-".to_owned(), |value| format!("{value:.decimals$}"));
    let is_zero = text.starts_with('-') && text.len() > 1 && text.chars().all(|c| "-0.".contains(c));
    if is_zero { text.trim_start_matches('-').to_owned() } else { text }
}

fn whole(share: Option<f64>) -> String {
    share.map_or("-".to_owned(), |share| format!("{:.0}%", share * 100.0))
}

/// The full name of a score, as a reader who meets it first needs it.
pub(super) fn explained(name: ScoreName) -> &'static str {
    match name {
        ScoreName::Model => "the model",
        ScoreName::News2 => "NEWS2 without consciousness (0 to 17 points)",
        ScoreName::Sirs => "SIRS criteria met (0 to 4)",
        ScoreName::Clock => "hours since the first observation, and nothing else",
        ScoreName::Logistic => "logistic regression on the model's features, fitted on the same stays",
    }
}
