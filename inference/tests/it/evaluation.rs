//! The report on synthetic stays: everything is in it, its labels only judge, and labels that mean nothing teach nothing.

use std::path::Path;

use hygeia_inference::evaluate::{EvaluateError, Report, ThresholdSource, evaluate};
use hygeia_inference::metrics::{AlertBudget, EveryHour};
use hygeia_inference::train::{TrainConfig, train};
use hygeia_inference::{FeatureSchema, ModelPackage, ScoreName, Variable};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::training::{Scratch, config, csv, header};

/// Hours of every stay, so that labels can change places between stays.
const HOURS: usize = 24;
/// Hours a septic stay is labelled so.
const SEPTIC_HOURS: usize = 8;

/// What sepsis moves.
const ILL: [Variable; 3] = [Variable::HeartRate, Variable::Temperature, Variable::RespiratoryRate];

type Stay = Vec<Vec<String>>;

/// Stays of which every third is septic for eight hours, which begin at any hour and go on at the first when the stay
/// ends. Meanwhile the heart is quick, the breath fast and the patient hot. Everything is measured hourly and at every hour
/// as many are septic: only these three values tell, and the others are noise.
fn stays(count: usize, seed: u64) -> Vec<Stay> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let place = |column: &str| header().iter().position(|name| *name == column).expect("a column");
    let facts = ["Unit1", "Unit2", "HospAdmTime", "Age", "Gender", "SepsisLabel"].map(place);
    let stay = |index: usize, rng: &mut ChaCha8Rng| {
        let (start, age) = (rng.gen_range(0..HOURS), rng.gen_range(30..90));
        let row = |hour: usize, rng: &mut ChaCha8Rng| {
            let septic = index.is_multiple_of(3) && (hour + HOURS - start) % HOURS < SEPTIC_HOURS;
            let mut fields = vec![String::new(); header().len()];
            for variable in Variable::ALL.into_iter().filter(|&variable| variable != Variable::Bicarbonate) {
                let (low, high) = variable.plausible_milli();
                let fio2 = if variable == Variable::Fio2 { 100.0 } else { 1.0 };
                let ill = if septic && ILL.contains(&variable) { 0.12 } else { 0.0 };
                // The middle third of what is plausible, moved up by an eighth where the patient is ill.
                let value = f64::from(low) + f64::from(high - low) * (rng.gen_range(0.33..0.67) + ill);
                fields[place(variable.challenge_column())] = format!("{:.4}", value / 1000.0 / fio2);
            }
            let values = [
                (index % 2).to_string(),
                ((index + 1) % 2).to_string(),
                "-3".to_owned(),
                age.to_string(),
                (index / 2 % 2).to_string(),
                u8::from(septic).to_string(),
            ];
            facts.iter().zip(values).for_each(|(&place, value)| fields[place] = value);
            fields
        };
        (0..HOURS).map(|hour| row(hour, rng)).collect()
    };
    (0..count).map(|index| stay(index, &mut rng)).collect()
}

/// The stays with each one's labels replaced by those of another.
fn with_labels_moved(stays: &[Stay], seed: u64) -> Vec<Stay> {
    let mut order: Vec<usize> = (0..stays.len()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let mut moved = stays.to_vec();
    for (stay, &from) in moved.iter_mut().zip(&order) {
        for (row, other) in stay.iter_mut().zip(&stays[from]) {
            *row.last_mut().expect("a label") = other.last().expect("a label").clone();
        }
    }
    moved
}

fn trained(data: &Path) -> ModelPackage {
    let schema = FeatureSchema::v2().without_clock();
    train(&TrainConfig { schema, epochs: 6, ..config(data) }, &mut |_| {}).expect("training")
}

fn judged(package: &ModelPackage, data: &Path) -> Report {
    evaluate(package, data, &EveryHour).expect("an evaluation")
}

#[test]
fn labels_moved_between_stays_teach_nothing() {
    let scratch = Scratch::new("shuffle");
    let training = stays(240, 1);
    let held_out = scratch.file("held-out.csv", &csv(&stays(240, 2)));
    let areas = |stays: &[Stay]| {
        let report = judged(&trained(&scratch.file("training.csv", &csv(stays))), &held_out);
        [report.scores.model.figures.auroc, report.scores.logistic.figures.auroc]
    };
    let right = areas(&training);
    assert!(right.iter().all(|&area| area > 0.85), "labels that mean something are learnt: {right:?}");
    let moved: Vec<[f64; 2]> = (0..6).map(|seed| areas(&with_labels_moved(&training, seed))).collect();
    for score in 0..2 {
        let mean = moved.iter().map(|areas| areas[score]).sum::<f64>() / moved.len() as f64;
        assert!((mean - 0.5).abs() < 0.1, "about a half, not {mean}: {moved:?}");
        assert!(moved.iter().all(|areas| areas[score] < right[score] - 0.15), "{moved:?} against {right:?}");
    }
}

#[test]
fn the_labels_of_the_evaluated_data_only_judge() {
    let scratch = Scratch::new("judge");
    let package = trained(&scratch.file("training.csv", &csv(&stays(150, 3))));
    let data = stays(90, 4);
    let before = judged(&package, &scratch.file("data.csv", &csv(&data)));
    let after = judged(&package, &scratch.file("data.csv", &csv(&with_labels_moved(&data, 5))));
    for name in ScoreName::ALL {
        let (a, b) = (before.scores.get(name), after.scores.get(name));
        let decided = |report: &hygeia_inference::evaluate::ScoreReport| {
            let budgets: Vec<_> =
                report.budgets.iter().map(|at| (at.point.threshold, at.point.stays_alerted)).collect();
            (report.threshold, budgets, report.burden_after_triage.alerts_per_patient_day)
        };
        assert_eq!(decided(a), decided(b), "{name:?}: the labels decided something");
        let predicted = |report: &hygeia_inference::evaluate::ScoreReport| -> Vec<f64> {
            report.calibration.as_shipped.bins.iter().map(|bin| bin.predicted).collect()
        };
        // Sums over rows of one stay after another keep their order: the means are equal to the last bit.
        assert_eq!(predicted(a), predicted(b), "{name:?}: a probability depends on the labels");
    }
    assert_ne!(before.scores.model.figures.auroc, after.scores.model.figures.auroc, "and judge they do");
}

#[test]
fn everything_asked_for_is_in_the_report() {
    let scratch = Scratch::new("report");
    let package = trained(&scratch.file("training.csv", &csv(&stays(150, 6))));
    let data = scratch.file("a <b> & \"c\".csv", &csv(&stays(120, 7)));
    let report = judged(&package, &data);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json, serde_json::to_value(judged(&package, &data)).unwrap(), "the same data gives the same report");
    for score in ["model", "news2", "sirs", "clock", "logistic"] {
        for figure in ["auroc", "auprc", "utility"] {
            let (value, interval) = (&json[score][figure], &json[score][format!("{figure}_interval")]);
            let [value, low, high] = [value, &interval[0], &interval[1]].map(|v| v.as_f64().unwrap());
            assert!(low <= value && value <= high, "{score}.{figure}: {low} {value} {high}");
            assert!(json[score]["without_positive_at_start"][figure].is_f64(), "{score}.{figure}");
        }
        assert_eq!(json[score]["budgets"].as_array().unwrap().len(), 8);
        assert!(json[score]["budgets"].as_array().unwrap().iter().all(|at| at["threshold_from"] == "card"));
        assert_eq!(json["decision_curve"][score].as_array().unwrap().len(), 50);
        assert_eq!(json[score]["model_ahead_by"].is_null(), score == "model");
    }
    let model = &json["model"];
    for part in ["burden_before_triage", "burden_after_triage", "lead_time", "positive_at_start"] {
        assert!(model[part].is_object(), "{part}");
    }
    assert!(model["calibration"]["as_shipped"]["fit"]["slope"].is_f64(), "{}", model["calibration"]);
    assert_eq!(json["news2"]["conventional"].as_array().unwrap().len(), 2);
    let at_start = report.data.stays_septic_at_start;
    assert!(at_start > 0 && report.scores.model.positive_at_start.stays == at_start);
    assert_eq!(report.scores.model.lead_time.stays, report.data.stays_septic - at_start);
    let groups: Vec<&str> = json["groups"].as_array().unwrap().iter().filter_map(|g| g["attribute"].as_str()).collect();
    assert!(["sex", "age", "unit"].iter().all(|attribute| groups.contains(attribute)), "{groups:?}");
    assert!(json["gaps"]["model"].as_array().is_some_and(|gaps| !gaps.is_empty()));
    let heart_rate = &json["missing"][0];
    assert_eq!((heart_rate["variable"].as_str(), heart_rate["rows_missing"].as_f64()), (Some("heart_rate"), Some(0.0)));
    assert_eq!(json["missing"][10]["stays_never"].as_f64(), Some(1.0), "bicarbonate was never recorded");
    page_stands_alone(&report.html());
    assert!(report.text().contains("Logistic regression") && report.text().contains("120 stays (40 septic"));
    let card = package.with_evaluation(report.card_evaluation("synthetic")).unwrap();
    assert!(card.card().render().contains("On synthetic: 120 stays, 40 septic"));
    assert_ne!(card.hash(), package.hash());
}

/// No script, nothing from elsewhere, tags that close, and a file's name that stays text.
fn page_stands_alone(page: &str) {
    let rest = page.replace("http://www.w3.org/2000/svg", "");
    for foreign in ["<script", "http:", "https:", "//", "@import", "<img", "<b>", "\"c\"", "NaN", "inf "] {
        assert!(!rest.contains(foreign), "{foreign}");
    }
    assert!(rest.contains("a &lt;b&gt; &amp; &quot;c&quot;.csv"));
    for tag in ["svg", "table", "section", "figure", "tr", "td", "th", "title", "ul"] {
        let (opened, closed) = (
            rest.matches(&format!("<{tag}>")).count() + rest.matches(&format!("<{tag} ")).count(),
            rest.matches(&format!("</{tag}>")).count(),
        );
        assert_eq!(opened, closed, "{tag}");
    }
    assert_eq!(rest.matches(r#"<svg role="img""#).count(), 8, "eight plots");
    assert_eq!(rest.matches("<desc").count(), 8, "each with a description");
}

#[test]
fn a_budget_that_the_card_lacks_is_set_on_the_data_and_said_so() {
    let scratch = Scratch::new("budget");
    let data = scratch.file("data.csv", &csv(&stays(90, 8)));
    let mut parts = trained(&data).to_parts();
    parts.card.operating_points.model.budgets.clear();
    let report = judged(&ModelPackage::assemble(parts).unwrap(), &data);
    for at in &report.scores.model.budgets {
        assert_eq!(at.threshold_from, ThresholdSource::ThisData);
        if let AlertBudget::StaysAlertedPercent(percent) = at.point.budget {
            assert!(at.point.stays_alerted <= f64::from(percent) / 100.0, "{at:?}");
        }
    }
    assert!(report.scores.news2.budgets.iter().all(|at| at.threshold_from == ThresholdSource::Card));
    assert!(report.html().contains("set on this data"));
    assert!(!judged(&trained(&data), &data).html().contains("set on this data"));
}

#[test]
fn data_without_one_of_the_labels_is_refused() {
    let scratch = Scratch::new("one-class");
    let mut well = stays(20, 9);
    well.iter_mut().flatten().for_each(|row| *row.last_mut().unwrap() = "0".to_owned());
    let data = scratch.file("well.csv", &csv(&well));
    let found = evaluate(ModelPackage::default_model(), &data, &EveryHour);
    assert!(matches!(found, Err(EvaluateError::OneClass)), "{:?}", found.map(|report| report.data));
    let nowhere = evaluate(ModelPackage::default_model(), Path::new("/nowhere.csv"), &EveryHour);
    assert!(matches!(nowhere, Err(EvaluateError::Data(_))));
}

/// The shipped card's figures and the report's have one shape, so that readers of either find the same names.
#[test]
fn the_shipped_card_names_its_figures_as_the_report_does() {
    let card: Value = serde_json::to_value(ModelPackage::default_model().card()).unwrap();
    for score in ["model", "news2", "sirs", "clock", "logistic"] {
        assert!(card["selection"][score]["auroc_interval"][1].is_f64(), "{score}");
        assert!(card["operating_points"][score]["threshold"].is_i64(), "{score}");
    }
}
