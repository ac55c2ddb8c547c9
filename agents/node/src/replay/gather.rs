//! Collects a bundle from where the agents wrote it: the streams, the chain, and inside the hospital the observations.

use std::path::Path;
use std::time::Duration;

use alloy::primitives::B256;
use anyhow::{Context, Result, bail};
use hygeia_inference::package::ModelPackage;
use hygeia_policies::{ModelRegistry, PolicyRegistry};
use hygeia_protocol::message::{Address, Alert, AttestedWindow, B32, Message, ProofRequest, Receipt, ScoredWindow, V1};
use hygeia_protocol::observation::{Limits, Observation};
use hygeia_protocol::subject::{self, Partition, Partitioner, Stream};
use hygeia_protocol::time::Timestamp;
use hygeia_zkml::PROOF_SYSTEM_ID;
use hygeia_zkml::engine::native::VerifyingKeyFile;

use super::bundle::{Approved, Bundle, Judged, PackageFile, StoredObservation};
use crate::bus::{Bus, Entry, Lookup, OrderedReader};
use crate::chain::{Chain, Deployment, load_secret};
use crate::cli::ReplayArgs;
use crate::enrolment::Enrolments;
use crate::{keys, models};

/// How long broker and chain may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Silence after which a stream counts as read to its end.
const END_OF_STREAM: Duration = Duration::from_millis(500);
/// The ledger's word for an alert that a rate limit held back.
const HELD_BACK: &str = "suppressed_rate_limit";
/// Observations of one patient taken at most: a week of one every second.
const OBSERVATIONS_MAX: usize = 700_000;

/// Everything about the alert whose id begins with `alert`.
pub(super) async fn gather(alert: &str, args: &ReplayArgs) -> Result<Bundle> {
    let deployment = Deployment::load(&args.deployment)?;
    let bus = Bus::open(&args.access.settings(&args.nats), PATIENCE).await?;
    let (alert, partition) = find_alert(&bus, alert).await?;
    let lines = lines_of(&bus, &alert, partition).await?;
    let line = lines.iter().find(|line| line.window_id == alert.window_id).cloned();
    let window = find_window(&bus, &alert, line.as_ref()).await?;
    let receipts: Vec<Receipt> =
        all(&bus, Stream::Receipts, Vec::new(), |r: &Receipt| r.alert_id == alert.alert_id).await?;
    let receipt = receipts.into_iter().next();
    let approved = match &args.chain {
        Some(url) => Some(approved(url, &deployment, &alert.policy).await?),
        None => None,
    };
    let model = models::load(args.model.as_deref())?;
    Ok(Bundle {
        v: V1,
        history: history(lines, alert.end),
        package: package(&model, &alert),
        verifying_key: verifying_key(&model, receipt.as_ref(), args).await?,
        observations: observations(&bus, &window, args).await?,
        coordinator: Address::new(deployment.care_coordinator.into_array()),
        chain_id: deployment.chain_id,
        alert,
        window,
        line,
        receipt,
        approved,
    })
}

/// What the chain has approved, and the contract oracles sign for: put in the place of what a bundle says of them.
pub(super) async fn ask_chain(bundle: &mut Bundle, url: &str, deployment: &Path) -> Result<()> {
    let deployment = Deployment::load(deployment)?;
    bundle.approved = Some(approved(url, &deployment, &bundle.alert.policy).await?);
    bundle.coordinator = Address::new(deployment.care_coordinator.into_array());
    bundle.chain_id = deployment.chain_id;
    Ok(())
}

async fn find_alert(bus: &Bus, wanted: &str) -> Result<(Alert, Partition)> {
    let wanted = wanted.trim_start_matches("0x").to_lowercase();
    let mut found = Vec::new();
    read_all(bus, Stream::Alerts, Vec::new(), |entry| {
        if let Ok(alert) = Alert::decode(&entry.payload)
            && alert.alert_id.to_hex().starts_with(&wanted)
            && let Some(partition) = subject::partition_of(&entry.subject)
        {
            found.push((alert, partition));
        }
    })
    .await?;
    match found.len() {
        0 => bail!("no alert whose id begins with {wanted} is in the stream"),
        1 => Ok(found.remove(0)),
        number => bail!("{number} alerts begin with {wanted}: give more of the id"),
    }
}

/// The ledger's lines of the alert's mandate and model.
async fn lines_of(bus: &Bus, alert: &Alert, partition: Partition) -> Result<Vec<ScoredWindow>> {
    let of_alert = |line: &ScoredWindow| line.mandate == alert.mandate && line.model == alert.model;
    all(bus, Stream::Ledger, vec![subject::ledger(partition)], of_alert).await
}

/// The scores that triage had judged when the alert was raised.
fn history(mut lines: Vec<ScoredWindow>, end: u64) -> Vec<Judged> {
    lines.retain(|line| line.end <= end);
    lines.sort_by_key(|line| line.end);
    lines.dedup_by_key(|line| line.end);
    let judged =
        |line: &ScoredWindow| Judged { end: line.end, score: line.score, is_held_back: line.outcome == HELD_BACK };
    lines.iter().map(judged).collect()
}

/// The window, from the place that the ledger names, or from the request for the alert's proof.
async fn find_window(bus: &Bus, alert: &Alert, line: Option<&ScoredWindow>) -> Result<AttestedWindow> {
    if let Some(line) = line
        && let Some(entry) = Lookup::open(bus, Stream::Windows).await?.at(line.window_sequence).await?
        && let Ok(window) = AttestedWindow::decode(&entry.payload)
        && window.window_id == alert.window_id
    {
        return Ok(window);
    }
    let of_alert = |request: &ProofRequest| request.alert_id == alert.alert_id;
    let requests = all(bus, Stream::ProofRequests, Vec::new(), of_alert).await?;
    let request = requests.into_iter().next();
    request
        .map(|request| request.window)
        .context("the alert's window is no longer in the streams: replay a bundle of it")
}

async fn approved(url: &str, deployment: &Deployment, policy: &B32) -> Result<Approved> {
    let chain = Chain::connect(url, &[], PATIENCE).await?;
    chain.expect(deployment)?;
    let policies = PolicyRegistry::new(deployment.policy_registry, &chain.provider);
    let terms =
        policies.policyOf(B256::from(policy.into_bytes())).call().await.context("the chain knows no such policy")?;
    let models = ModelRegistry::new(deployment.model_registry, &chain.provider);
    let model = models.modelOf(terms.modelId).call().await.context("the chain knows no such model")?._0;
    Ok(Approved {
        threshold: i64::try_from(terms.threshold).context("the policy's threshold is beyond every score")?,
        cool_down_s: terms.coolDownSeconds,
        package: B32::new(model.modelHash.0),
        circuit: B32::new(model.circuitHash.0),
        verifying_key: B32::new(model.vkHash.0),
    })
}

/// The package where it is the alert's; another is no use to anybody.
fn package(model: &ModelPackage, alert: &Alert) -> Vec<PackageFile> {
    match B32::new(model.hash()) == alert.model {
        true => PackageFile::all_of(model),
        false => Vec::new(),
    }
}

async fn verifying_key(model: &ModelPackage, receipt: Option<&Receipt>, args: &ReplayArgs) -> Result<Option<Vec<u8>>> {
    let Some(receipt) = receipt.filter(|receipt| receipt.proof_system == PROOF_SYSTEM_ID) else { return Ok(None) };
    if let Some(path) = &args.verifying_key {
        return Ok(Some(VerifyingKeyFile::load(path)?.bytes().to_vec()));
    }
    if B32::new(model.hash()) != receipt.model {
        return Ok(None);
    }
    eprintln!("no --verifying-key given: taking the model's development key from {}", args.keys_dir.display());
    let engine = keys::open_engine(model, &args.keys_dir, 0).await?;
    Ok(Some(engine.verifying_key().bytes().to_vec()))
}

/// The observations of the window's patient up to it. Who that is only the enrolment records say.
async fn observations(bus: &Bus, window: &AttestedWindow, args: &ReplayArgs) -> Result<Option<Vec<StoredObservation>>> {
    if !args.with_observations {
        return Ok(None);
    }
    let path = args.network_key_file.as_deref().context("--with-observations needs --network-key-file")?;
    let key = load_secret(path)?;
    let (enrolments, partitioner) = (Enrolments::open(bus, key).await?, Partitioner::new(key, args.partitions));
    let mut patients = std::collections::HashMap::new();
    let (mut stored, mut reader) = (Vec::new(), OrderedReader::open(bus, Stream::Observations, Vec::new(), 1).await?);
    while let Some(entry) = reader.next_within(END_OF_STREAM).await? {
        let received = Timestamp::from_millis(entry.stored_at_ms);
        let Ok(observation) = Observation::decode(&entry.payload, received, &Limits::default()) else { continue };
        let patient = observation.patient();
        if subject::observation(partitioner.of(patient)) != entry.subject {
            continue;
        }
        let is_ours = match patients.get(patient) {
            Some(is_ours) => *is_ours,
            None => {
                let found = enrolments.find(patient).await?;
                let is_ours = found.is_some_and(|enrolment| enrolment.mandate == window.mandate);
                patients.insert(patient.clone(), is_ours);
                is_ours
            }
        };
        if is_ours {
            anyhow::ensure!(
                stored.len() < OBSERVATIONS_MAX,
                "more than {OBSERVATIONS_MAX} observations of one patient"
            );
            stored.push(StoredObservation { stored_at_ms: entry.stored_at_ms, payload: entry.payload.to_vec() });
        }
    }
    Ok(Some(stored))
}

async fn all<T: Message>(
    bus: &Bus,
    stream: Stream,
    subjects: Vec<String>,
    wanted: impl Fn(&T) -> bool,
) -> Result<Vec<T>> {
    let mut found = Vec::new();
    read_all(bus, stream, subjects, |entry| found.extend(T::decode(&entry.payload).ok().filter(|m| wanted(m)))).await?;
    Ok(found)
}

async fn read_all(bus: &Bus, stream: Stream, subjects: Vec<String>, mut take: impl FnMut(&Entry)) -> Result<()> {
    let mut reader = OrderedReader::open(bus, stream, subjects, 1).await?;
    while let Some(entry) = reader.next_within(END_OF_STREAM).await? {
        take(&entry);
    }
    Ok(())
}
