//! The card in prose and tables.

use std::fmt::{Result, Write};

use super::{CardEvaluation, ModelCard};
use crate::metrics::{BudgetPoint, Figures, Interval};
use crate::score::{ByScore, ScoreName};

pub(super) fn render(card: &ModelCard) -> String {
    let mut text = String::new();
    write(card, &mut text).expect("writing to a string does not fail");
    text
}

fn write(card: &ModelCard, out: &mut String) -> Result {
    writeln!(out, "# {}\n\n{}\n", card.name, card.summary)?;
    writeln!(out, "## Intended use\n\n{}\n\n## Limits\n", card.intended_use)?;
    for limit in &card.limits {
        writeln!(out, "- {limit}")?;
    }
    let dims: Vec<String> = card.dims.iter().map(usize::to_string).collect();
    writeln!(out, "\n## Model\n")?;
    writeln!(out, "Integer network {} with ReLU, ten binary digits after the point.\n", dims.join("-"))?;
    writeln!(out, "- schema SHA-256: `{}`", card.schema_hash)?;
    writeln!(out, "- network SHA-256: `{}`", card.network_hash)?;
    write_training(card, out)?;
    write_figures(card, out)?;
    write_budgets(card, out)?;
    card.evaluations.iter().try_for_each(|evaluation| write_evaluation(evaluation, out))?;
    write_change_control(card, out)
}

fn write_training(card: &ModelCard, out: &mut String) -> Result {
    let (data, run) = (&card.data, &card.training);
    writeln!(out, "\n## Data\n\n{}. Licence: {}. Changes: {}\n", data.name, data.licence, data.changes)?;
    writeln!(out, "{}\n\n## Training\n", data.citation)?;
    writeln!(out, "{}\n", run.method)?;
    if let Some(hash) = &run.data_hash {
        writeln!(out, "- training file SHA-256: `{hash}`")?;
    }
    if run.epochs > 0 {
        writeln!(out, "- seed {}, {} epochs, weights of epoch {} kept", run.seed, run.epochs, run.epoch_best)?;
    }
    // Without epochs the weights were trained elsewhere.
    let (used, kept) = match run.epochs {
        0 => ("for scales, baselines and guard", "thresholds and calibration"),
        _ => ("fitted", "early stopping, thresholds and calibration"),
    };
    writeln!(
        out,
        "- {} stays {used}, {} kept for {kept}; {} septic, {} hourly rows in all",
        run.stays_fitted, run.stays_selection, run.stays_septic, run.rows
    )?;
    writeln!(
        out,
        "- integers against floats on the selection stays: at most {:.4} logits apart, {:.5} AUROC lost",
        run.quantisation_error_max, run.quantisation_auroc_loss
    )
}

fn write_figures(card: &ModelCard, out: &mut String) -> Result {
    writeln!(
        out,
        "\n## Figures\n\nBy hourly row, with 95 % intervals from resampling stays. Utility is the official one of the \
         Challenge 2019. Thresholds and baselines were fixed on the training stays.\n"
    )?;
    write_scores("On the selection stays, which flatter", &card.selection, out)?;
    for evaluation in &card.evaluations {
        write_scores(&format!("On {}", described(evaluation)), &evaluation.figures, out)?;
        let rest = format!(
            "The same without the {} stays that are positive on their first row",
            evaluation.stays_septic_at_start
        );
        write_scores(&rest, &evaluation.figures_without_positive_at_start, out)?;
    }
    Ok(())
}

fn described(evaluation: &CardEvaluation) -> String {
    let CardEvaluation { data, stays, stays_septic, rows, .. } = evaluation;
    format!("{data}: {stays} stays, {stays_septic} septic, {rows} rows")
}

fn write_scores(title: &str, figures: &ByScore<Figures>, out: &mut String) -> Result {
    writeln!(out, "{title}:\n\n| score | AUROC | AUPRC | utility |\n|---|---|---|---|")?;
    for (name, of) in figures.iter() {
        writeln!(
            out,
            "| {} | {} | {} | {} |",
            explained(name),
            with_interval(of.auroc, of.auroc_interval),
            with_interval(of.auprc, of.auprc_interval),
            with_interval(of.utility, of.utility_interval)
        )?;
    }
    writeln!(out)
}

fn write_budgets(card: &ModelCard, out: &mut String) -> Result {
    let points = &card.operating_points;
    write!(
        out,
        "## Thresholds\n\nOf steady utility on the selection stays (the middle of those around the best that keep most of its utility):"
    )?;
    for (index, (name, point)) in points.iter().enumerate() {
        write!(out, "{} {} {}", if index > 0 { "," } else { "" }, name.label(), point.threshold)?;
    }
    writeln!(out, ".\n\nA policy takes its threshold by alert budget. Alerts are counted so: {}.\n", card.alarm)?;
    writeln!(out, "On the selection stays:\n")?;
    write_budget_points(&points.model.budgets, out)
}

fn write_budget_points(points: &[BudgetPoint], out: &mut String) -> Result {
    writeln!(
        out,
        "| budget | threshold | stays alerted | alerts per patient-day | sensitivity by stay | PPV by stay |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|")?;
    for point in points {
        let threshold = point.threshold.map_or("none keeps it".to_owned(), |threshold| threshold.to_string());
        writeln!(
            out,
            "| {} | {threshold} | {} | {:.3} | {} | {} |",
            point.budget,
            percent(Some(point.stays_alerted)),
            point.alerts_per_patient_day,
            percent(Some(point.sensitivity)),
            percent(point.ppv)
        )?;
    }
    writeln!(out)
}

fn write_evaluation(evaluation: &CardEvaluation, out: &mut String) -> Result {
    writeln!(out, "## {}\n\nThe model at the thresholds above:\n", evaluation.data)?;
    write_budget_points(&evaluation.budgets, out)?;
    writeln!(out, "By group, at the threshold of steady utility:\n")?;
    writeln!(out, "| group | stays | septic | AUROC | sensitivity | PPV | utility |\n|---|---|---|---|---|---|---|")?;
    for group in &evaluation.groups {
        let auroc = match (group.auroc, group.auroc_interval) {
            (Some(value), Some(interval)) => with_interval(value, interval),
            _ => "-".to_owned(),
        };
        writeln!(
            out,
            "| {} {} | {} | {} | {auroc} | {} | {} | {} |",
            group.attribute,
            group.group,
            group.stays,
            group.stays_septic,
            percent(group.sensitivity),
            percent(group.ppv),
            group.utility.map_or("-".to_owned(), |utility| format!("{utility:.3}"))
        )?;
    }
    writeln!(out)?;
    for gap in &evaluation.gaps {
        writeln!(
            out,
            "- widest gap in {} by {}: {:.3}, {} below {}",
            gap.figure, gap.attribute, gap.gap, gap.worst, gap.best
        )?;
    }
    writeln!(out)
}

fn write_change_control(card: &ModelCard, out: &mut String) -> Result {
    let change = &card.change_control;
    writeln!(out, "## Change control\n")?;
    writeln!(out, "- Description of the modification: {}", change.modification)?;
    writeln!(out, "- Modification protocol: {}", change.protocol)?;
    writeln!(out, "- Impact assessment: {}", change.impact)
}

fn explained(name: ScoreName) -> &'static str {
    match name {
        ScoreName::Model => "model",
        ScoreName::News2 => "NEWS2 without consciousness",
        ScoreName::Sirs => "SIRS",
        ScoreName::Clock => "hours since first observation alone",
        ScoreName::Logistic => "logistic regression on the same features",
    }
}

fn with_interval(value: f64, Interval(low, high): Interval) -> String {
    format!("{value:.3} ({low:.3} to {high:.3})")
}

fn percent(share: Option<f64>) -> String {
    share.map_or("-".to_owned(), |share| format!("{:.1} %", share * 100.0))
}
