//! The report as one page: no script, no network, plots as SVG beside the tables that hold the same numbers.

mod charts;
mod tables;

use super::plot::escape;
use super::text::explained;
use super::{Report, ScoreReport};
use crate::metrics::AlertBudget;
use crate::score::ScoreName;

const STYLE: &str = include_str!("style.css");
/// The budget that the summary compares scores at.
const SUMMARY_BUDGET: AlertBudget = AlertBudget::StaysAlertedPercent(10);
/// Sections in order: anchor, title.
const SECTIONS: [(&str, &str); 11] = [
    ("glance", "At a glance"),
    ("ranking", "How well scores rank"),
    ("budgets", "What a fixed number of alerts finds"),
    ("lead", "Lead time"),
    ("burden", "Alarm burden before and after triage"),
    ("calibration", "Calibration"),
    ("decision", "Decision curve"),
    ("groups", "Groups of patients"),
    ("range", "Outside the validated range"),
    ("data", "Data"),
    ("method", "Method"),
];

impl Report {
    /// The report as a page that needs nothing but itself.
    pub fn html(&self) -> String {
        let title = escape(&format!("Evaluation of {} on {}", self.model_name, self.data.name));
        let contents: String =
            SECTIONS.iter().map(|(id, name)| format!(r##"<li><a href="#{id}">{name}</a></li>"##)).collect();
        let sections: String = SECTIONS
            .iter()
            .map(|(id, name)| {
                format!(r#"<section aria-labelledby="{id}"><h2 id="{id}">{name}</h2>{}</section>"#, self.section(id))
            })
            .collect();
        format!(
            r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,"><title>{title}</title><style>{STYLE}</style></head>
<body><header><h1>{title}</h1>
<p class="soft">Package <code>{package}</code>. Research software, not a medical device.</p>
<nav aria-label="Contents"><ul>{contents}</ul></nav></header>
<main>{sections}<footer class="soft"><p>Every number on this page is also in <code>report.json</code> beside it.</p></footer></main></body></html>
"#,
            package = escape(&self.package),
        )
    }

    fn range_text(&self) -> String {
        let share = |share: f64| format!("{:.1} %", share * 100.0);
        let area = |area: Option<f64>| area.map_or("not defined".to_owned(), |area| format!("{area:.3}"));
        paragraph(&format!(
            "The package's guard marks windows unlike those the model was validated on. On this data it marks {} of the rows, \
             in {} of the stays; on the stays its limits were set on it marks about 0.5 to 1 % of the rows. AUROC of the model \
             on rows inside the range {}, outside {}.",
            share(self.range.rows_outside),
            share(self.range.stays_outside),
            area(self.range.auroc_inside),
            area(self.range.auroc_outside),
        ))
    }

    fn section(&self, id: &str) -> String {
        match id {
            "glance" => self.summary() + &self.tiles() + &tables::headline(self),
            "ranking" => pair(&[charts::roc(self), charts::precision_recall(self)]) + &tables::ahead(self),
            "budgets" => {
                paragraph(
                    "A ward can answer only so many calls. Thresholds were set on the training part's selection stays to \
                     keep each budget there; below is what they find and cost on this data.",
                ) + &pair(&[charts::budget_by_stay(self), charts::budget_by_day(self)])
                    + &tables::budgets(self)
                    + &tables::conventional(self)
            }
            "lead" => {
                paragraph(
                    "Hours from a stay's first alert to onset, which is six hours after the first positive label. Stays \
                     positive on their first row are left out. A first alert long before onset may have had another \
                     reason: an alert counts as timely from twelve hours before to three hours after onset.",
                ) + &charts::lead_time(self)
                    + &tables::lead_time(self)
            }
            "burden" => self.burden_text() + &tables::burden(self),
            "calibration" => {
                pair(&[charts::reliability(self), charts::reliability_of_baselines(self)]) + &tables::calibration(self)
            }
            "decision" => charts::decision(self),
            "groups" => {
                paragraph(
                    "One threshold for all patients. Groups of fewer than ten stays are not shown; gaps compare known \
                     groups with at least ten septic and ten other stays.",
                ) + &tables::groups(self)
                    + &tables::gaps(self)
            }
            "range" => self.range_text() + &tables::range(self),
            "data" => tables::data(self) + &tables::missing(self),
            _ => self.method_text(),
        }
    }

    /// One sentence a clinician can repeat.
    fn summary(&self) -> String {
        let at = |score: &ScoreReport| {
            let budget = score.budgets.iter().find(|budget| budget.point.budget == SUMMARY_BUDGET)?;
            budget.point.threshold?;
            Some((budget.point.sensitivity, budget.point.ppv, budget.point.stays_alerted))
        };
        let Some((sensitivity, ppv, alerted)) = at(&self.scores.model) else {
            return String::new();
        };
        let others = [ScoreName::Logistic, ScoreName::News2, ScoreName::Sirs, ScoreName::Clock].map(|name| {
            let found = match at(self.scores.get(name)) {
                Some((sensitivity, ppv, _)) => format!("{} ({} right)", percent(Some(sensitivity)), percent(ppv)),
                None => "cannot keep that budget".to_owned(),
            };
            format!("{} {found}", name.label())
        });
        format!(
            r#"<p class="lead">With the threshold for one alerted stay in ten, the model alerts {} of the stays, finds {} of the septic ones, and is right in {} of those it alerts. The same budget gives: {}.</p>"#,
            percent(Some(alerted)),
            percent(Some(sensitivity)),
            percent(ppv),
            others.join("; "),
        )
    }

    fn tiles(&self) -> String {
        let model = &self.scores.model;
        let figures = &model.figures;
        let spread = |low: f64, high: f64| format!("{low:.3} to {high:.3}");
        let burden = &model.burden_after_triage;
        let tiles = [
            (
                "AUROC, by row",
                format!("{:.3}", figures.auroc),
                spread(figures.auroc_interval.0, figures.auroc_interval.1),
            ),
            (
                "AUPRC, by row",
                format!("{:.3}", figures.auprc),
                spread(figures.auprc_interval.0, figures.auprc_interval.1),
            ),
            (
                "Official utility",
                format!("{:.3}", figures.utility),
                spread(figures.utility_interval.0, figures.utility_interval.1),
            ),
            (
                "Septic stays found",
                percent(burden.sensitivity_by_stay),
                format!("{} of the alerted stays are septic", percent(burden.ppv_by_stay)),
            ),
            (
                "Alerts per patient-day",
                format!("{:.2}", burden.alerts_per_patient_day),
                format!("after triage; {} of the stays alerted", percent(Some(burden.stays_alerted))),
            ),
        ];
        let tile = |(name, value, more): &(&str, String, String)| {
            format!("<div><dt>{name}</dt><dd>{value}<small>{more}</small></dd></div>")
        };
        let note = paragraph("At the card's threshold, chosen by utility on the selection stays:");
        format!(r#"{note}<dl class="tiles">{}</dl>"#, tiles.iter().map(tile).collect::<String>())
    }

    fn burden_text(&self) -> String {
        paragraph(&format!(
            "At the card's threshold. Before: every hour at or above the threshold alerts. After: {}. An \
             alert is true in a septic stay from twelve hours before onset on. Triage holds back repetitions and never a \
             stay's first alert, so the share of stays alerted is the same on both sides.",
            self.method.alarm
        ))
    }

    fn method_text(&self) -> String {
        let scores: String = ScoreName::ALL
            .iter()
            .map(|&name| format!("<li><strong>{}</strong>: {}.</li>", name.label(), explained(name)))
            .collect();
        format!(
            "<ul><li>Rows are hours. A row is positive from six hours before the onset of sepsis (Sepsis-3) on, as \
             labelled by the PhysioNet/CinC Challenge 2019. Labels of this data only judge: thresholds, baselines and \
             tables of probability come from the package, where they were fixed on training stays. Recalibration is the \
             one exception; it is fitted on four fifths of these stays and judged on the other fifth, in turn.</li>\
             <li>Intervals are the middle 95 % of {} resamples of stays with replacement (seed {}); differences are taken \
             within each resample.</li>\
             <li>Utility is the official one of the Challenge 2019 (Reyna et al. 2020): 0 for never alerting, 1 for the \
             best possible decisions.</li>\
             <li>AUPRC is average precision. Net benefit follows Vickers and Elkin (2006). Expected calibration error is \
             the mean distance between predicted and observed share over ten bins of equal size.</li>\
             <li>Alerts: {}.</li></ul><h3>Scores compared</h3><ul>{scores}</ul>",
            self.method.replicates,
            self.method.seed,
            escape(&self.method.alarm),
        )
    }
}

/// A share in per cent that does not break before its sign.
fn percent(share: Option<f64>) -> String {
    share.map_or("-".to_owned(), |share| format!("{:.1}\u{a0}%", share * 100.0))
}

fn paragraph(text: &str) -> String {
    format!("<p>{}</p>", escape(text))
}

fn pair(parts: &[String]) -> String {
    let cells: String = parts.iter().map(|part| format!("<div>{part}</div>")).collect();
    format!(r#"<div class="pair">{cells}</div>"#)
}
