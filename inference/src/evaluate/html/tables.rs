//! The tables of the report.

use super::super::plot::escape;
use super::super::text::number;
use super::super::{Report, ThresholdSource};
use super::charts::auroc_line;
use super::percent;
use crate::metrics::{Figures, Interval};
use crate::score::ScoreName;

/// Headline figures of every score, over all stays and without those positive on their first row.
pub(super) fn headline(report: &Report) -> String {
    let columns = ["AUROC", "AUPRC", "utility", "threshold", "stays alerted", "sensitivity by stay", "PPV by stay"];
    let rows = report.scores.iter().map(|(name, score)| {
        let burden = &score.burden_before_triage;
        let rest = [
            score.threshold.to_string(),
            percent(Some(burden.stays_alerted)),
            percent(burden.sensitivity_by_stay),
            percent(burden.ppv_by_stay),
        ];
        row(name, figures(&score.figures).into_iter().chain(rest))
    });
    let all = table("All stays. Below each figure its 95 % interval. Thresholds are the package's.", &columns, rows);
    let at_start = &report.scores.model.positive_at_start;
    let columns =
        ["AUROC", "AUPRC", "utility", "of the stays positive at once: alerted in the first hour", "alerted at all"];
    let rows = report.scores.iter().map(|(name, score)| {
        let start = &score.positive_at_start;
        let rest = [percent(start.alerted_in_first_hour), percent(start.alerted)];
        row(name, figures(&score.without_positive_at_start).into_iter().chain(rest))
    });
    let caption = format!(
        "The same figures without the {} of {} septic stays that are positive on their first row, for which nobody can be \
         warned ahead of time; and what each score does with those.",
        at_start.stays, report.data.stays_septic
    );
    all + &table(&caption, &columns, rows)
}

/// The model less each baseline.
pub(super) fn ahead(report: &Report) -> String {
    let rows = report.scores.iter().filter_map(|(name, score)| {
        let ahead = score.model_ahead_by.as_ref()?;
        let cells = [
            (ahead.auroc, ahead.auroc_interval),
            (ahead.auprc, ahead.auprc_interval),
            (ahead.utility, ahead.utility_interval),
        ];
        Some(row(
            name,
            cells.map(|(value, Interval(low, high))| format!("{value:+.3}<small>{low:+.3} to {high:+.3}</small>")),
        ))
    });
    table(
        "How far the model is ahead of each baseline, in pairs over the same resamples.",
        &["AUROC", "AUPRC", "utility"],
        rows,
    )
}

/// Sensitivity and positive predictive value at each budget.
pub(super) fn budgets(report: &Report) -> String {
    let columns = [
        "threshold",
        "stays alerted",
        "alerts per patient-day",
        "sensitivity by stay",
        "timely sensitivity",
        "PPV by stay",
        "median lead time",
    ];
    let mut body = String::new();
    for (index, of_model) in report.scores.model.budgets.iter().enumerate() {
        let budget = of_model.point.budget;
        body += &format!(r#"<tr class="part"><th scope="rowgroup" colspan="8">Budget: {budget}</th></tr>"#);
        for (name, score) in report.scores.iter() {
            let Some(at) = score.budgets.get(index) else { continue };
            let threshold = match (at.point.threshold, at.threshold_from) {
                (Some(threshold), ThresholdSource::Card) => threshold.to_string(),
                (Some(threshold), ThresholdSource::ThisData) => format!("{threshold}<small>set on this data</small>"),
                (None, _) => "none".to_owned(),
            };
            let alerted = at.point.threshold.is_some();
            let shown = |text: String| if alerted { text } else { "-".to_owned() };
            body += &row(
                name,
                [
                    threshold,
                    shown(percent(Some(at.point.stays_alerted))),
                    shown(format!("{:.3}", at.point.alerts_per_patient_day)),
                    shown(share(Some(at.point.sensitivity), at.sensitivity_interval)),
                    shown(percent(at.sensitivity_timely)),
                    shown(share(at.point.ppv, at.ppv_interval)),
                    shown(at.lead_time_median_h.map_or("-".to_owned(), |hours| format!("{hours:.0} h"))),
                ],
            );
        }
    }
    table(
        "After triage, at thresholds that kept the budget on the training part's selection stays; \"none\" where even a score's greatest value alerts more often.",
        &columns,
        [body],
    )
}

/// NEWS2 and SIRS at the cut-offs wards use.
pub(super) fn conventional(report: &Report) -> String {
    let columns =
        ["cut-off", "stays alerted", "alerts per patient-day", "sensitivity by stay", "PPV by stay", "utility"];
    let rows = report.scores.iter().flat_map(|(name, score)| {
        score.conventional.iter().map(move |cutoff| {
            row(
                name,
                [
                    format!("{} or more", cutoff.threshold),
                    percent(Some(cutoff.burden.stays_alerted)),
                    format!("{:.2}", cutoff.burden.alerts_per_patient_day),
                    percent(cutoff.burden.sensitivity_by_stay),
                    percent(cutoff.burden.ppv_by_stay),
                    number(cutoff.utility, 3),
                ],
            )
        })
    });
    table("Baselines at cut-offs in general use, every hour at or above them counted.", &columns, rows)
}

/// Lead times of every score.
pub(super) fn lead_time(report: &Report) -> String {
    let columns = ["alerted", "median", "quartiles", "3 h and more", "6 h and more", "12 h and more", "timely"];
    let rows = report.scores.iter().map(|(name, score)| {
        let lead = &score.lead_time;
        let hours = |hours: Option<f64>| hours.map_or("-".to_owned(), |hours| format!("{hours:.0} h"));
        row(
            name,
            [
                lead.alerted.to_string(),
                hours(lead.median_h),
                lead.quartiles_h.map_or("-".to_owned(), |[low, high]| format!("{low:.0} to {high:.0} h")),
                percent(lead.at_least_3h),
                percent(lead.at_least_6h),
                percent(lead.at_least_12h),
                percent(lead.timely),
            ],
        )
    });
    let caption = format!(
        "At the card's threshold, of {} septic stays not positive on their first row. Shares are of all of \
         them, median and quartiles of those alerted.",
        report.scores.model.lead_time.stays
    );
    table(&caption, &columns, rows)
}

/// Alerts before and after triage.
pub(super) fn burden(report: &Report) -> String {
    let columns = [
        "alerts per patient-day",
        "stays alerted",
        "sensitivity by stay",
        "timely sensitivity",
        "PPV by stay",
        "PPV by alert",
        "false alerts per true one",
    ];
    let mut body = String::new();
    for (name, score) in report.scores.iter() {
        body += &format!(r#"<tr class="part"><th scope="rowgroup" colspan="8">{}</th></tr>"#, name.label());
        for (when, burden) in [("before", &score.burden_before_triage), ("after", &score.burden_after_triage)] {
            let cells = [
                format!("{:.2}", burden.alerts_per_patient_day),
                percent(Some(burden.stays_alerted)),
                percent(burden.sensitivity_by_stay),
                percent(burden.sensitivity_timely),
                percent(burden.ppv_by_stay),
                percent(burden.ppv_by_alert),
                number(burden.false_per_true, 1),
            ];
            body += &named_row("", when, cells);
        }
    }
    table("Every score at its own threshold of the card.", &columns, [body])
}

/// Calibration of every score.
pub(super) fn calibration(report: &Report) -> String {
    let columns = ["Brier", "ECE", "slope", "intercept", "in the large", "recalibrated: Brier", "ECE"];
    let rows = report.scores.iter().map(|(name, score)| {
        let (shipped, corrected) = (&score.calibration.as_shipped, score.calibration.recalibrated.as_ref());
        row(
            name,
            [
                format!("{:.5}", shipped.brier),
                format!("{:.5}", shipped.expected_calibration_error),
                number(shipped.fit.map(|fit| fit.slope), 2),
                number(shipped.fit.map(|fit| fit.intercept), 2),
                number(shipped.fit.map(|fit| fit.in_the_large), 2),
                number(corrected.map(|reliability| reliability.brier), 5),
                number(corrected.map(|reliability| reliability.expected_calibration_error), 5),
            ],
        )
    });
    let caption = format!(
        "Probabilities of each score's own table against labels, by row. Giving every row the share of positive rows has \
         a Brier score of {:.5}. A slope below 1 means probabilities too extreme; in the large, above 0 means too low. \
         Recalibrated: by a logistic fit on other stays of this data.",
        report.scores.model.calibration.as_shipped.brier_of_prevalence
    );
    table(&caption, &columns, rows)
}

/// The model in each group, beside the baselines' areas.
pub(super) fn groups(report: &Report) -> String {
    let columns = [
        "stays",
        "septic",
        "AUROC",
        "0.5 to 1",
        "sensitivity by stay",
        "PPV by stay",
        "utility",
        "AUROC of NEWS2",
        "AUROC of logistic",
    ];
    let rows = report.groups.iter().map(|group| {
        let model = &group.scores.model;
        let line = model.figures.map_or(String::new(), |f| auroc_line(f.auroc, f.auroc_interval.0, f.auroc_interval.1));
        let auroc = |name: ScoreName| number(group.scores.get(name).figures.map(|figures| figures.auroc), 3);
        named_row(
            "",
            &format!("{}: {}", group.attribute, group.group),
            [
                group.stays.to_string(),
                group.stays_septic.to_string(),
                model.figures.map_or("-".to_owned(), |f| estimate(f.auroc, f.auroc_interval)),
                line,
                percent(model.sensitivity_by_stay),
                percent(model.ppv_by_stay),
                model.figures.map_or("-".to_owned(), |f| estimate(f.utility, f.utility_interval)),
                auroc(ScoreName::News2),
                auroc(ScoreName::Logistic),
            ],
        )
    });
    table("The model at the card's threshold.", &columns, rows)
}

/// The widest differences of the model.
pub(super) fn gaps(report: &Report) -> String {
    let rows = report.gaps.model.iter().map(|gap| {
        let cells = [format!("{:.3}", gap.gap), escape(&gap.worst), escape(&gap.best)];
        named_row("", &format!("{} by {}", gap.figure, gap.attribute), cells)
    });
    table(
        "Widest gap of each figure between groups. PPV and utility also follow how common sepsis is in a group.",
        &["gap", "least in", "greatest in"],
        rows,
    )
}

/// Size and kind of the data.
pub(super) fn data(report: &Report) -> String {
    let data = &report.data;
    let facts = [
        (
            "Stays",
            format!(
                "{} ({} septic, {} of them positive on their first row)",
                data.stays, data.stays_septic, data.stays_septic_at_start
            ),
        ),
        ("Hourly rows", format!("{} ({} positive)", data.rows, data.rows_septic)),
        ("Patient-days", format!("{:.0}; median stay {} h", data.patient_days, data.hours_median)),
        (
            "Known of the patients",
            format!(
                "age {}, sex {}, kind of unit {}",
                percent(Some(data.age_known)),
                percent(Some(data.sex_known)),
                percent(Some(data.unit_known))
            ),
        ),
    ];
    let items: String = facts.iter().map(|(name, value)| format!("<li>{name}: {value}</li>")).collect();
    format!("<ul>{items}</ul>")
}

/// How often each variable is not recorded.
pub(super) fn missing(report: &Report) -> String {
    let rows = report.missing.iter().map(|missing| {
        let cells = [percent(Some(missing.rows_missing)), percent(Some(missing.stays_never))];
        named_row("", &missing.variable.replace('_', " "), cells)
    });
    table(
        "Missing values, before the last one is carried forward.",
        &["rows without a value of their own", "stays never recorded in"],
        rows,
    )
}

/// What the guard marks of inputs that were spoilt on purpose.
pub(super) fn range(report: &Report) -> String {
    let rows = report.range.spoilt.iter().map(|spoilt| named_row("", spoilt.how, [percent(Some(spoilt.marked))]));
    table("Inputs spoilt on purpose, and how many of them the guard marks.", &["marked"], rows)
}

fn figures(figures: &Figures) -> [String; 3] {
    [
        estimate(figures.auroc, figures.auroc_interval),
        estimate(figures.auprc, figures.auprc_interval),
        estimate(figures.utility, figures.utility_interval),
    ]
}

fn estimate(value: f64, Interval(low, high): Interval) -> String {
    format!("{value:.3}<small>{low:.3} to {high:.3}</small>")
}

fn share(value: Option<f64>, interval: Option<Interval>) -> String {
    let spread = interval.map_or(String::new(), |Interval(low, high)| {
        format!("<small>{:.1} to {:.1}</small>", low * 100.0, high * 100.0)
    });
    percent(value) + &spread
}

fn row(name: ScoreName, cells: impl IntoIterator<Item = String>) -> String {
    named_row(if name == ScoreName::Model { "model" } else { "" }, name.label(), cells)
}

/// A table's row. Cells are HTML; the name is text.
fn named_row(class: &str, name: &str, cells: impl IntoIterator<Item = String>) -> String {
    let cells: String = cells.into_iter().map(|cell| format!("<td>{cell}</td>")).collect();
    let class = if class.is_empty() { String::new() } else { format!(r#" class="{class}""#) };
    format!(r#"<tr{class}><th scope="row">{}</th>{cells}</tr>"#, escape(name))
}

fn table(caption: &str, columns: &[&str], rows: impl IntoIterator<Item = String>) -> String {
    let body: String = rows.into_iter().collect();
    let head: String = columns.iter().map(|column| format!(r#"<th scope="col">{column}</th>"#)).collect();
    format!(
        r#"<figure class="table"><figcaption>{}</figcaption><div class="scroll" role="region" aria-label="Table" tabindex="0"><table><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table></div></figure>"#,
        escape(caption)
    )
}
