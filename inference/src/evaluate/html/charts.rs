//! The plots of the report.

use super::super::plot::{Axis, Plot, Style, escape};
use super::super::text::number;
use super::super::{BudgetCurvePoint, Report};
use crate::metrics::{LeadBin, Reliability};
use crate::score::ScoreName;

/// A line that is no score: chance, or a perfect result.
const REFERENCE: Style = Style { colour: "#6b7884", dashes: "2 4", width: 1.5 };
/// The model after recalibration.
const RECALIBRATED: Style = Style { colour: "#00558c", dashes: "4 4", width: 1.5 };
/// Greatest share of stays, and number of alerts per patient-day, that the alert-budget curves show.
const STAYS_SHOWN: f64 = 0.5;
const ALERTS_PER_DAY_SHOWN: f64 = 1.0;
/// A curve of no more thresholds than this has its points marked: nothing between them can be had.
const FEW_POINTS: usize = 20;

/// Colour and dashes of a score, the same in every plot.
fn style(name: ScoreName) -> Style {
    match name {
        ScoreName::Model => Style { colour: "#00558c", dashes: "", width: 2.8 },
        ScoreName::News2 => Style { colour: "#b34700", dashes: "9 3", width: 1.8 },
        ScoreName::Sirs => Style { colour: "#9c3d78", dashes: "2 3", width: 1.8 },
        ScoreName::Clock => Style { colour: "#735900", dashes: "9 3 2 3", width: 1.8 },
        ScoreName::Logistic => Style { colour: "#00704f", dashes: "5 3", width: 1.8 },
    }
}

/// Receiver operating characteristic.
pub(super) fn roc(report: &Report) -> String {
    let mut plot = Plot::new(
        "plot-roc",
        "Receiver operating characteristic",
        areas(report, "AUROC", |score| score.figures.auroc),
        Axis::percent_axis("Negative rows alerted (1 - specificity)", 0.0, 1.0),
        Axis::percent_axis("Positive rows alerted (sensitivity)", 0.0, 1.0),
    );
    plot.line(REFERENCE, [[0.0, 0.0], [1.0, 1.0]]);
    plot.name("chance", REFERENCE);
    for (name, score) in report.scores.iter() {
        plot.line(style(name), score.curves.roc.iter().copied());
        plot.name(format!("{} {:.3}", name.label(), score.figures.auroc), style(name));
    }
    figure("ROC", &plot, "Further up and left is better. The legend gives the area under each curve.")
}

/// Precision against recall.
pub(super) fn precision_recall(report: &Report) -> String {
    let prevalence = report.data.rows_septic as f64 / report.data.rows.max(1) as f64;
    let top = report.scores.iter().flat_map(|(_, score)| &score.curves.precision_recall);
    // The first few alerts of a score may all be right by chance: they would flatten everything else.
    let top = top.filter(|point| point[0] >= 0.02).map(|point| point[1]).fold(prevalence, f64::max);
    let mut plot = Plot::new(
        "plot-pr",
        "Precision and recall",
        areas(report, "AUPRC", |score| score.figures.auprc),
        Axis::percent_axis("Positive rows alerted (recall)", 0.0, 1.0),
        Axis::percent_axis("Alerted rows that are positive (precision)", 0.0, rounded_up(top)),
    );
    plot.line(REFERENCE, [[0.0, prevalence], [1.0, prevalence]]);
    plot.name("chance", REFERENCE);
    for (name, score) in report.scores.iter() {
        plot.line(style(name), steps(&score.curves.precision_recall));
        plot.name(format!("{} {:.3}", name.label(), score.figures.auprc), style(name));
    }
    figure("Precision-recall", &plot, "Higher is better. The legend gives the average precision.")
}

/// Sensitivity against the share of stays alerted.
pub(super) fn budget_by_stay(report: &Report) -> String {
    let plot = budget(
        report,
        "plot-budget-stays",
        "Sensitivity by share of stays alerted",
        Axis::percent_axis("Stays alerted", 0.0, STAYS_SHOWN),
        |point| point.stays_alerted,
    );
    figure(
        "Alert budget by stays",
        &plot,
        "What share of the septic stays is found when this share of all stays is alerted.",
    )
}

/// Sensitivity against alerts per patient-day.
pub(super) fn budget_by_day(report: &Report) -> String {
    let plot = budget(
        report,
        "plot-budget-days",
        "Sensitivity by alerts per patient-day",
        Axis::number_axis("Alerts per patient-day, after triage", 0.0, ALERTS_PER_DAY_SHOWN),
        |point| point.alerts_per_patient_day,
    );
    figure(
        "Alert budget by day",
        &plot,
        "What share of the septic stays is found with this many calls a day and patient.",
    )
}

fn budget(report: &Report, id: &'static str, title: &str, x: Axis, of: fn(&BudgetCurvePoint) -> f64) -> Plot {
    let y = Axis::percent_axis("Septic stays alerted (sensitivity)", 0.0, 1.0);
    let mut plot = Plot::new(id, title, "The table below gives the same at fixed budgets.", x, y);
    for (name, score) in report.scores.iter() {
        let points = score.curves.budget.iter().map(|point| [of(point), point.sensitivity]);
        plot.line(style(name), std::iter::once([0.0, 0.0]).chain(points.clone()));
        if points.len() <= FEW_POINTS {
            points.for_each(|point| plot.dot(style(name), point, None));
        }
        plot.name(name.label(), style(name));
    }
    plot
}

/// Stays by hours from first alert to onset.
pub(super) fn lead_time(report: &Report) -> String {
    let lead = &report.scores.model.lead_time;
    let (first, last) = match (lead.histogram.first(), lead.histogram.last()) {
        (Some(LeadBin { to_h: Some(first), .. }), Some(LeadBin { from_h: Some(last), .. })) => (*first, *last),
        _ => return String::new(),
    };
    let width = lead.histogram.get(1).and_then(|bin| Some(bin.to_h? - bin.from_h?)).unwrap_or(1);
    let most = lead.histogram.iter().map(|bin| bin.stays).max().unwrap_or(0);
    let description = format!(
        "Of {} septic stays not positive on their first row {} are alerted; median {} hours before onset.",
        lead.stays,
        lead.alerted,
        number(lead.median_h, 0)
    );
    let mut plot = Plot::new(
        "plot-lead",
        "Hours from first alert to onset",
        description,
        Axis::number_axis(
            "Hours from first alert to onset (below 0: after onset)",
            (first - width) as f64,
            (last + 2 * width) as f64,
        ),
        Axis::number_axis("Septic stays", 0.0, rounded_up(most.max(1) as f64 * 1.1)),
    );
    let bar = style(ScoreName::Model);
    for bin in &lead.histogram {
        let (from, to) = (bin.from_h.unwrap_or(first - width), bin.to_h.unwrap_or(last + width));
        let says = match (bin.from_h, bin.to_h) {
            (None, Some(to)) => format!("less than {to} h: {} stays", bin.stays),
            (Some(from), None) => format!("{from} h and more: {} stays", bin.stays),
            _ => format!("{from} to {to} h: {} stays", bin.stays),
        };
        plot.bar(bar, from as f64, to as f64, bin.stays as f64, &says);
        if bin.stays > 0 && (bin.from_h.is_none() || bin.to_h.is_none()) {
            let label = if bin.to_h.is_none() { "more" } else { "later" };
            plot.text([(from + to) as f64 / 2.0, bin.stays as f64 + rounded_up(most as f64) * 0.02], label);
        }
    }
    plot.line(Style { dashes: "", ..REFERENCE }, [[0.0, 0.0], [0.0, rounded_up(most.max(1) as f64 * 1.1)]]);
    figure(
        "Lead time of the model",
        &plot,
        "At the card's threshold. The grey line is onset; bars to its right are alerts ahead of it, and the \
         bars at both ends take everything beyond.",
    )
}

/// Predicted against observed share.
pub(super) fn reliability(report: &Report) -> String {
    let calibration = &report.scores.model.calibration;
    let bins = |reliability: &Reliability| -> Vec<[f64; 2]> {
        reliability.bins.iter().map(|bin| [bin.predicted, bin.observed]).collect()
    };
    let reaches = |reliability: &Reliability| {
        let ends = reliability
            .bins
            .iter()
            .flat_map(|bin| [bin.predicted, bin.observed, bin.observed_interval.map_or(0.0, |interval| interval.1)]);
        ends.fold(0.0, f64::max)
    };
    let top = rounded_up(reaches(&calibration.as_shipped).max(1e-3));
    let mut plot = Plot::new(
        "plot-reliability",
        "Reliability curve of the model",
        format!(
            "Ten bins of equal size. Expected calibration error {:.4}.",
            calibration.as_shipped.expected_calibration_error
        ),
        Axis::percent_axis("Predicted probability", 0.0, top),
        Axis::percent_axis("Share of positive rows", 0.0, top),
    );
    plot.line(REFERENCE, [[0.0, 0.0], [top, top]]);
    plot.name("perfect", REFERENCE);
    let model = style(ScoreName::Model);
    plot.line(Style { width: 1.8, ..model }, bins(&calibration.as_shipped));
    for bin in &calibration.as_shipped.bins {
        plot.dot(model, [bin.predicted, bin.observed], bin.observed_interval.map(|interval| [interval.0, interval.1]));
    }
    plot.name("as shipped", model);
    if let Some(corrected) = &calibration.recalibrated {
        plot.line(RECALIBRATED, bins(corrected));
        plot.name("recalibrated", RECALIBRATED);
    }
    figure(
        "Reliability",
        &plot,
        "On the dotted line, of a hundred rows said to be at 3 % three are positive. Bars are 95 % intervals.",
    )
}

/// The same for the scores a ward has without a model.
pub(super) fn reliability_of_baselines(report: &Report) -> String {
    let points = |name: ScoreName| -> Vec<[f64; 2]> {
        let bins = &report.scores.get(name).calibration.as_shipped.bins;
        bins.iter().map(|bin| [bin.predicted, bin.observed]).collect()
    };
    let baselines = || ScoreName::ALL.into_iter().filter(|&name| name != ScoreName::Model);
    let top = baselines().flat_map(points).flatten().fold(1e-3, f64::max);
    let mut plot = Plot::new(
        "plot-reliability-baselines",
        "Reliability curves of the baselines",
        "Bins of equal size, of each baseline's own table of probabilities.",
        Axis::percent_axis("Predicted probability", 0.0, rounded_up(top)),
        Axis::percent_axis("Share of positive rows", 0.0, rounded_up(top)),
    );
    plot.line(REFERENCE, [[0.0, 0.0], [1.0, 1.0]]);
    plot.name("perfect", REFERENCE);
    for name in baselines() {
        plot.line(style(name), points(name));
        points(name).into_iter().for_each(|point| plot.dot(style(name), point, None));
        plot.name(name.label(), style(name));
    }
    figure(
        "Reliability of the baselines",
        &plot,
        "Each reads its score through a table made on the same selection stays as the model's.",
    )
}

/// Net benefit by risk.
pub(super) fn decision(report: &Report) -> String {
    let curve = &report.decision_curve;
    let most = curve.scores.iter().flat_map(|(_, values)| values.iter().copied()).fold(0.0, f64::max);
    let top = rounded_up(most.max(1e-6) * 1.05);
    let mut plot = Plot::new(
        "plot-decision",
        "Decision curve",
        "Net benefit by row against the risk from which one would act.",
        Axis::percent_axis("Risk from which one would act", 0.0, curve.risks.last().copied().unwrap_or(1.0)),
        Axis::number_axis("Net benefit per 1,000 rows", -top * 200.0, top * 1000.0),
    );
    let points = |values: &[f64]| -> Vec<[f64; 2]> {
        curve.risks.iter().zip(values).map(|(&risk, &benefit)| [risk, benefit * 1000.0]).collect()
    };
    let always = Style { dashes: "1 3", width: 2.0, ..REFERENCE };
    plot.line(Style { dashes: "", ..REFERENCE }, [[0.0, 0.0], [1.0, 0.0]]);
    plot.name("alert never", Style { dashes: "", ..REFERENCE });
    plot.line(always, points(&curve.alert_always));
    plot.name("alert always", always);
    for (name, values) in curve.scores.iter() {
        plot.line(style(name), points(values));
        plot.name(name.label(), style(name));
    }
    figure(
        "Net benefit",
        &plot,
        "Somebody who would act from a risk of 2 % on counts a false alert at 2/98 of a true one. A score is of use where \
         its curve lies above both alerting never and alerting always.",
    )
}

/// Value and interval on a line from 0.5 to 1: small enough for a table's cell.
pub(super) fn auroc_line(value: f64, low: f64, high: f64) -> String {
    let at = |value: f64| ((value.clamp(0.5, 1.0) - 0.5) * 240.0).round();
    format!(
        r##"<svg aria-hidden="true" width="124" height="14" viewBox="-2 0 124 14"><path d="M0 7H120M0 4V10M60 4V10M120 4V10" stroke="#d5dce3"/><path d="M{} 7H{}" stroke="#00558c" stroke-width="2"/><circle cx="{}" cy="7" r="3.5" fill="#00558c"/></svg>"##,
        at(low),
        at(high),
        at(value)
    )
}

/// Precision holds back to the recall before: what average precision adds up, with no line between points.
fn steps(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let before = std::iter::once(0.0).chain(points.iter().map(|point| point[0]));
    before.zip(points).flat_map(|(before, &[recall, precision])| [[before, precision], [recall, precision]]).collect()
}

fn figure(title: &str, plot: &Plot, caption: &str) -> String {
    format!("<figure><h3>{title}</h3>{}<figcaption>{}</figcaption></figure>", plot.svg(), escape(caption))
}

/// What a reader who does not see the curves needs of them.
fn areas(report: &Report, figure: &str, of: fn(&super::super::ScoreReport) -> f64) -> String {
    let areas: Vec<String> =
        report.scores.iter().map(|(name, score)| format!("{} {:.3}", name.label(), of(score))).collect();
    format!("{figure}: {}.", areas.join(", "))
}

/// A round number at or above a value.
fn rounded_up(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let steps = [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    steps.into_iter().map(|step| step * power).find(|&step| step >= value * 0.9999).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_axes_are_round() {
        for (value, end) in [(0.13, 0.15), (0.2, 0.2), (61.0, 80.0), (0.0007, 0.0008), (1.0, 1.0)] {
            assert!((rounded_up(value) - end).abs() < 1e-9, "{value}: {}", rounded_up(value));
        }
    }
}
