//! Model packages on the command line: load, train, evaluate.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use hygeia_inference::evaluate::{Report, Row};
use hygeia_inference::package::ModelPackage;
use hygeia_inference::train::{Progress, TrainConfig};

use crate::cli::{EvaluateArgs, ModelFamily, TrainArgs};

/// The package in `dir`, or the shipped one.
pub fn load(dir: Option<&Path>) -> Result<ModelPackage> {
    match dir {
        Some(dir) => ModelPackage::load(dir).with_context(|| format!("loading the model package in {}", dir.display())),
        None => Ok(ModelPackage::default_model().clone()),
    }
}

/// `hygeia train`.
pub fn train(args: &TrainArgs) -> Result<()> {
    let started = Instant::now();
    let config = settings(args);
    eprintln!("reading {}", args.data.display());
    let package = hygeia_inference::train::train(&config, &mut |progress| say(&progress, started))?;
    package.save(&args.out)?;
    eprintln!("wrote {} (content hash {})", args.out.display(), hex::encode(package.hash()));
    Ok(())
}

/// `hygeia evaluate`.
pub fn evaluate(args: &EvaluateArgs) -> Result<()> {
    let package = load(args.model.as_deref())?;
    eprintln!("scoring {} with model {}", args.data.display(), hex::encode(package.hash()));
    let report = hygeia_inference::evaluate::evaluate(&package, &args.data)?;
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => print!("{}", table(&report)),
    }
    Ok(())
}

/// Settings of the shipped model, changed where the command line says so.
fn settings(args: &TrainArgs) -> TrainConfig {
    let mut config = match args.family {
        ModelFamily::Mlp => TrainConfig::new(&args.data),
        ModelFamily::Conv1d => TrainConfig::conv1d(&args.data),
    };
    (config.seed, config.epochs, config.checkpoints) = (args.seed, args.epochs, args.checkpoints.clone());
    if args.no_clock {
        config.schema = config.schema.without_clock();
        config.name.push_str("-no-clock");
    }
    if args.no_teacher {
        config.teacher = None;
    }
    config
}

fn say(progress: &Progress, started: Instant) {
    match progress {
        Progress::Teacher { fold, folds } => {
            let seconds = started.elapsed().as_secs_f64();
            eprintln!("teacher: part {fold} of {folds} judged by trees fitted to the others  {seconds:.0} s");
        }
        Progress::Resumed { epoch } => eprintln!("going on after epoch {epoch} of an earlier start"),
        Progress::Read { stays_fitted, stays_selection } => {
            eprintln!("{stays_fitted} stays to fit, {stays_selection} kept back for early stopping");
        }
        Progress::Epoch { epoch, epochs, loss, auroc, utility, best } => {
            let filled = 30 * epoch / epochs.max(&1);
            let bar = format!("[{}{}]", "#".repeat(filled), ".".repeat(30 - filled.min(30)));
            let mark = if *best { " best so far" } else { "" };
            let end = if std::io::stderr().is_terminal() && !best { "\r" } else { "\n" };
            eprint!(
                "{bar} epoch {epoch}/{epochs}  loss {loss:.4}  AUROC {auroc:.4}  utility {utility:.4}  {:.0} s{mark}{end}",
                started.elapsed().as_secs_f64()
            );
        }
    }
}

fn table(report: &Report) -> String {
    let data = &report.data;
    let mut text = format!(
        "{} stays ({} septic, {} of them from their first hour), {} rows ({} septic)\n\n{:<10}{:>8}{:>8}{:>9}{:>9}{:>8}{:>8}\n",
        data.stays,
        data.stays_septic,
        data.stays_septic_at_start,
        data.rows,
        data.rows_septic,
        "",
        "AUROC",
        "AUPRC",
        "utility",
        "alerted",
        "sens.",
        "PPV",
    );
    for (name, row) in [("model", &report.model), ("NEWS2", &report.news2), ("clock", &report.clock)] {
        text.push_str(&line(name, row));
    }
    text
}

fn line(name: &str, row: &Row) -> String {
    format!(
        "{name:<10}{:>8.3}{:>8.3}{:>9.3}{:>8.1}%{:>7.1}%{:>8}\n",
        row.auroc,
        row.auprc,
        row.utility,
        row.stays_alerted * 1e2,
        row.sensitivity_by_stay * 1e2,
        row.ppv_by_stay.map_or("-".to_owned(), |ppv| format!("{:.1}%", ppv * 1e2)),
    )
}
