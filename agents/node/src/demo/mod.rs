//! `hygeia demo`: the whole way of a datum on one machine, with real parts and real stays.

pub mod audits;
pub mod founding;
pub mod network;
pub mod observer;
pub mod processes;
pub mod replay;
pub mod stays;
pub mod summary;
pub mod view;

use std::path::Path;
use std::time::{Duration, Instant};

use alloy::primitives::B256;
use anyhow::{Context, Result, bail};
use hygeia_inference::package::ModelPackage;
use hygeia_policies::CareCoordinator;
use hygeia_protocol::bytes::B32;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cli::{DemoArgs, EngineKind, EzklArgs};
use network::{Network, ProvedBy, ROLES, Setup};
use observer::{Observed, Observer};
use processes::Tools;
use replay::Progress;
use summary::Summary;

/// After the replay, the longest silence before what is still open counts as stuck.
const SETTLE_PATIENCE: Duration = Duration::from_secs(90);
/// Time without anything new, and nothing open, after which the demo is over.
const QUIET: Duration = Duration::from_secs(2);
/// How often a role that ended by itself is started again before the demo gives up.
const RESTARTS_MAX: u32 = 3;
/// Windows of an audit, as the prover takes them when nobody says otherwise; the generated contract is for them.
const AUDIT_WINDOWS: usize = 256;
/// State of an open trigger in the coordinator's storage.
const TRIGGER_OPEN: u8 = 1;

/// Runs the demo; `Ok(true)` when at least one care trigger was proved, accepted on chain and read back.
pub async fn run(args: &DemoArgs, stop: CancellationToken) -> Result<bool> {
    let started = Instant::now();
    let tools = Tools::at(&args.tools)?;
    let temporary = tempfile::Builder::new().prefix("hygeia-demo-").tempdir()?;
    let dir = args.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&dir)?;

    step("reading real intensive-care stays (MIMIC-IV demo)");
    let stays = stays::read(&tools.stays(), args.stays, args.hours)?;
    if stays.is_empty() {
        bail!("{} holds no intensive-care stay", tools.stays().display());
    }
    let measurements: usize = stays.iter().map(|stay| stay.measurements.len()).sum();
    step(&format!("{} stays with {measurements} measurements of the wire format's variables", stays.len()));
    step(&stays::coverage(&stays, ModelPackage::default_model().schema()));

    let setup = Setup {
        tools: &tools,
        program: std::env::current_exe().context("finding this program's own file")?,
        dir: &dir,
        keys_dir: args.tools.join("keys"),
        qdrant: args.qdrant.clone(),
        threshold: None,
        cool_down_s: None,
        engine: proved_by(args),
        prover_arguments: Vec::new(),
        audit_windows: is_audited(args).then_some(AUDIT_WINDOWS),
        broker: None,
    };
    let mut say = step;
    let founding = Network::found(setup, &mut say);
    let mut network = tokio::select! {
        () = stop.cancelled() => bail!("stopped while the network was being founded"),
        network = founding => network?,
    };
    let outcome = show(args, &mut network, &stays, &dir, started, &stop).await;
    if args.keep && outcome.is_ok() && !stop.is_cancelled() {
        let gateway = network.start_gateway()?;
        print_how_to_look_around(&network, &dir, &args.tools.join("keys"), &gateway);
        stop.cancelled().await;
    }
    step("stopping everything");
    network.stop().await;
    outcome
}

async fn show(
    args: &DemoArgs,
    network: &mut Network,
    stays: &[stays::Stay],
    dir: &Path,
    started: Instant,
    stop: &CancellationToken,
) -> Result<bool> {
    step(&format!("approved by vote: model {} and policy {}", network.model_id, network.policy_id));
    let run = network.run_tag();
    for stay in stays {
        network.enrol(replay::pseudonym(stay, &run)?).await?;
    }
    network.mine_by_interval().await?;
    step(&format!("{} patients enrolled; starting oracle, sentinel, prover and steward", stays.len()));
    for role in ROLES {
        network.start_role(role)?;
    }
    step(&format!("ready after {:.1} s; replaying at {} times real time", started.elapsed().as_secs_f64(), args.speed));

    let observer = Observer::start(&network.bus, stop).await?;
    let (progress, watched) = watch::channel(Progress::default());
    let drawing = stop.child_token();
    let longest_s = stays.iter().map(stays::Stay::length_s).max().unwrap_or(0);
    let view = tokio::spawn(view::run(observer.clone(), watched, longest_s, drawing.clone()));

    let followed = follow(args, network, stays, &run, &observer, &progress, stop).await;
    drawing.cancel();
    view.await?;
    let done = followed?;

    let audited = if is_audited(args) {
        step("the replay is over; ordering an audit of every inference that is not proved yet");
        Some(audits::run(network, &observer, dir, stop).await?)
    } else {
        step("the replay is over; EZKL's commitments are not audited");
        None
    };
    let seen = observer.look();
    let accepted = read_back(network, &seen).await?;
    let summary = Summary::new(done, &seen, audited, &|id| accepted.contains(id));
    save_evidence(dir, &seen, &summary)?;
    if done.skipped > 0 {
        step(&format!(
            "{} measurements of the source are outside their plausible range and were not published",
            done.skipped
        ));
    }
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&summary)?),
        false => println!("\n{}", summary.render()),
    }
    Ok(summary.succeeded())
}

/// Replays while keeping the roles alive, then waits until every alert has its proof and the chain's answer.
async fn follow(
    args: &DemoArgs,
    network: &mut Network,
    stays: &[stays::Stay],
    run: &str,
    observer: &Observer,
    progress: &watch::Sender<Progress>,
    stop: &CancellationToken,
) -> Result<Progress> {
    let (bus, partitioner) = (network.bus.clone(), network.partitioner.clone());
    let replaying = replay::replay(&bus, &partitioner, stays, run, args.speed, progress, stop);
    tokio::pin!(replaying);
    let mut done = None;
    let mut restarts = 0;
    let mut last_change = (Instant::now(), String::new());
    loop {
        tokio::select! {
            finished = &mut replaying, if done.is_none() => done = Some(finished?),
            () = tokio::time::sleep(Duration::from_millis(250)) => {}
            () = stop.cancelled() => bail!("stopped before the stays were replayed"),
        }
        for role in network.ended_roles() {
            restarts += 1;
            if restarts > RESTARTS_MAX {
                bail!("the {} keeps ending; its own words are in {}", role.name(), network.log_of(role).display());
            }
            tracing::warn!(role = role.name(), "a role ended and is started again");
            network.start_role(role)?;
        }
        let Some(done) = done else { continue };
        let seen = observer.look();
        let state = fingerprint(&seen);
        if state != last_change.1 {
            last_change = (Instant::now(), state);
        }
        let open = seen.alerts.len() - seen.settled();
        let quiet = last_change.0.elapsed();
        if (open == 0 && quiet > QUIET) || quiet > SETTLE_PATIENCE {
            return Ok(done);
        }
    }
}

fn fingerprint(seen: &Observed) -> String {
    format!("{} {} {} {} {}", seen.windows, seen.scored, seen.alerts.len(), seen.proofs(), seen.settled())
}

/// Asks the chain for every trigger that was reported as accepted.
async fn read_back(network: &Network, seen: &Observed) -> Result<Vec<B32>> {
    let coordinator = CareCoordinator::new(network.deployment.care_coordinator, &network.chain.provider);
    let mut held = Vec::new();
    for (_, settlement) in seen.triggers() {
        let id = B256::from(settlement.trigger_id.into_bytes());
        let care = coordinator.triggerOf(id).call().await?;
        if care.status == TRIGGER_OPEN {
            held.push(settlement.trigger_id);
        }
    }
    Ok(held)
}

/// Leaves the receipts as files, so that `hygeia verify` has something to check.
fn save_evidence(dir: &Path, seen: &Observed, summary: &Summary) -> Result<()> {
    use hygeia_protocol::message::Message as _;
    let receipts = dir.join("receipts");
    std::fs::create_dir_all(&receipts)?;
    for timeline in seen.alerts.values() {
        if let Some(receipt) = &timeline.receipt {
            let name: String = timeline.alert.alert_id.to_hex().chars().take(16).collect();
            std::fs::write(receipts.join(format!("{name}.json")), receipt.encode())?;
        }
    }
    std::fs::write(dir.join("summary.json"), serde_json::to_vec_pretty(summary)?)?;
    Ok(())
}

fn print_how_to_look_around(network: &Network, dir: &Path, keys_dir: &Path, gateway: &str) {
    let program = std::env::current_exe().map_or("hygeia".to_owned(), |path| path.display().to_string());
    let (nats, chain) = (network.nats.url(), network.anvil.url());
    let (dir, keys) = (dir.display(), keys_dir.display());
    eprintln!("\nEverything is left running. Look around:");
    eprintln!("  the ward's page: {gateway}/");
    eprintln!("  {program} explain ALERT --nats {nats}");
    eprintln!(
        "  {program} verify {dir}/receipts/ALERT.json --keys-dir {keys} --chain {chain} --deployment {dir}/deployment.json"
    );
    eprintln!("  {program} verify {dir}/audits/WINDOW.json --batch {dir}/audits/BATCH.json --keys-dir {keys}");
    eprintln!("  logs of the roles: {dir}/*.log");
    for role in ROLES {
        eprintln!("  {:<9} process {}", role.name(), network.role_id(role).map_or("-".to_owned(), |id| id.to_string()));
    }
    eprintln!("Ctrl-C stops everything.");
}

fn proved_by(args: &DemoArgs) -> ProvedBy {
    match args.engine {
        EngineKind::Native => ProvedBy::Native,
        EngineKind::Ezkl => ProvedBy::Ezkl { ezkl: EzklArgs::of_tools(&args.tools), policies: args.policies.clone() },
    }
}

/// Audits are this project's own proofs: they are of windows that are committed to in its own way.
fn is_audited(args: &DemoArgs) -> bool {
    args.engine == EngineKind::Native
}

fn step(text: &str) {
    eprintln!("> {text}");
}
