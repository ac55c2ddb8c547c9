//! Model packages: on the command line to load, train, evaluate, certify and exchange with other tools; at run time by the
//! hash that governance approved.

mod exchange;
mod features;
mod fidelity;
pub mod held;
pub mod host;
pub mod schemas;
pub mod served;
pub mod serving;
pub mod store;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use hygeia_inference::evaluate::Report;
use hygeia_inference::package::ModelPackage;
use hygeia_inference::train::{Progress, TrainConfig};

use crate::alarm::Triaged;
use crate::chain::Chain;
use crate::chain::registry::Registries;
use crate::cli::{EvaluateArgs, ModelFamily, TrainArgs};
use crate::roles::{Site, patience};
use store::ModelStore;

pub use exchange::{export, import};
pub use features::features;
pub use fidelity::quantize;

/// Reports go here unless a directory is named.
const REPORTS: &str = "target/evaluation";

/// The package in `dir`, or the shipped one.
pub fn load(dir: Option<&Path>) -> Result<ModelPackage> {
    match dir {
        Some(dir) => ModelPackage::load(dir).with_context(|| format!("loading the model package in {}", dir.display())),
        None => Ok(ModelPackage::default_model().clone()),
    }
}

/// Follows the registries, and opens the store that approved models come from. A package that is named on the command line
/// must be approved before the site's patience is over: whoever names one wants that one.
pub async fn follow(site: &Site, chain: Chain) -> Result<(Registries, ModelStore)> {
    let connect = &site.connect;
    let given = connect.model.as_deref().map(|dir| load(Some(dir))).transpose()?;
    let confirmations = connect.governance_confirmations;
    let registries = Registries::watch(chain, site.deployment.clone(), confirmations, site.stop.clone()).await?;
    if let Some(given) = &given {
        wait_for_approval(site, &registries, given.hash()).await?;
    }
    let store = ModelStore::open(&site.bus, given, connect.model_cache.as_deref()).await?;
    Ok((registries, store))
}

/// Waits until a live policy names the model, for as long as the site's patience; then refuses it by its hash.
async fn wait_for_approval(site: &Site, registries: &Registries, model_hash: [u8; 32]) -> Result<()> {
    let hash = hex::encode(model_hash);
    let mut views = registries.changes();
    let approved = async {
        while registries.policies_of(model_hash).is_empty() {
            views.changed().await.with_context(|| format!("stopped while waiting for model {hash} to be approved"))?;
        }
        Ok(())
    };
    tokio::time::timeout(patience(&site.connect), approved).await.unwrap_or_else(|_| {
        bail!(
            "model {hash} is refused: no active policy on chain {} approves it (policy registry {})",
            site.deployment.chain_id,
            site.deployment.policy_registry,
        )
    })
}

/// `hygeia train`.
pub fn train(args: &TrainArgs) -> Result<()> {
    let started = Instant::now();
    let config = settings(args);
    eprintln!("reading {}", args.data.display());
    let package =
        hygeia_inference::train::train_with(&config, &Triaged::default(), &mut |progress| say(&progress, started))?;
    package.save(&args.out)?;
    eprintln!("wrote {} (content hash {})", args.out.display(), hex::encode(package.hash()));
    Ok(())
}

/// `hygeia evaluate`.
pub fn evaluate(args: &EvaluateArgs) -> Result<()> {
    let started = Instant::now();
    let package = load(args.model.as_deref())?;
    let hash = hex::encode(package.hash());
    eprintln!("scoring {} with model {hash}", args.data.display());
    let alarm = Triaged { cool_down_s: args.cool_down_h.saturating_mul(3600) };
    let report = hygeia_inference::evaluate::evaluate(&package, &args.data, &alarm)?;
    let out = args.out.clone().unwrap_or_else(|| report_directory(&args.data, &hash));
    write_report(&report, &out)?;
    eprintln!("wrote {}/report.html and report.json in {:.0} s", out.display(), started.elapsed().as_secs_f64());
    if let Some(directory) = &args.into_card {
        let name = args.data_name.clone().unwrap_or_else(|| report.data.name.clone());
        let noted = package.with_evaluation(report.card_evaluation(name))?;
        noted.save(directory)?;
        eprintln!("wrote {} (content hash {})", directory.display(), hex::encode(noted.hash()));
    }
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => print!("{}", report.text()),
    }
    Ok(())
}

/// `target/evaluation/DATA-MODEL`, with as much of the model's hash as tells models apart.
fn report_directory(data: &Path, hash: &str) -> PathBuf {
    let name = data.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.split('.').find(|part| !part.is_empty()).unwrap_or("data").to_owned();
    Path::new(REPORTS).join(format!("{stem}-{}", &hash[..8]))
}

fn write_report(report: &Report, out: &Path) -> Result<()> {
    std::fs::create_dir_all(out).with_context(|| format!("creating {}", out.display()))?;
    let json = serde_json::to_vec_pretty(report)?;
    for (name, bytes) in [("report.html", report.html().into_bytes()), ("report.json", json)] {
        let path = out.join(name);
        std::fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))?;
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
