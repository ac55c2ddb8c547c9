//! Hops 4 and 5: from attested windows to scores, and from scores to alerts.
//!
//! The partitions' tasks hand their windows to one scoring task, which takes what waits at a time. Triage decides per
//! mandate and policy; an alert goes out as soon as it is decided, then the request for its proof, then the ledger's line.

mod alert;
mod companions;
mod limits;
mod mandates;
mod scoring;
mod verdict;
mod work;

use std::sync::Arc;

use anyhow::{Result, anyhow};
use candle_core::Device;
use hygeia_inference::package::ModelPackage;
use hygeia_protocol::registry::Model;
use hygeia_protocol::subject::{self, Partition, Stream};
use hygeia_zkml::InferenceGate;

use super::{Site, patience};
use crate::chain::registry::Registries;
use crate::cli::SentinelArgs;
use crate::cli::device::ScoringDevice;
use crate::models;
use crate::models::host::Host;
use crate::models::served::Served;
use crate::models::serving::Serving;
use crate::models::store::ModelStore;
use crate::partition::{self, Role};
use crate::shadow::Shadow;
use crate::telemetry::Loop;
use companions::Companions;
use limits::AlertLimits;
use scoring::Scorer;

pub use work::SentinelWork;

/// Runs the sentinel until the site stops.
pub async fn run(site: Site, args: SentinelArgs) -> Result<()> {
    let device = scoring_device(args.scoring_device)?;
    let chain = site.chain(None).await?;
    let (registries, store) = models::follow(&site, chain).await?;
    let companions = Arc::new(Companions::new(site.clone(), registries.clone(), args.qdrant.clone()));
    let host = warm_models(&site, &registries, &store, companions.clone(), device);
    let models = host.first_ready(patience(&site.connect)).await?;
    tracing::info!(models, "sentinel runs what is approved");
    let shadow = match args.shadow() {
        Some(settings) => Some(Shadow::start(&site.bus, &store, &settings, site.metrics.clone()).await?),
        None => None,
    };
    let sentinel = Arc::new(Sentinel {
        companions,
        limits: AlertLimits::new(&args),
        ward: args.ward,
        scorer: Scorer::start(gate(args.scoring_device)),
        serving: Serving::new(registries, host),
        shadow,
        site: site.clone(),
    });
    let ended = partition::run(site.replica(), sentinel.clone()).await;
    // Nobody offers anything any more: the last comparison can be published.
    if let Some(shadow) = &sentinel.shadow {
        shadow.finish().await;
    }
    ended
}

/// Models on the device that scores, each made ready as soon as its approval is seen.
fn warm_models(
    site: &Site,
    registries: &Registries,
    store: &ModelStore,
    companions: Arc<Companions>,
    device: Device,
) -> Host<Served> {
    let warm_up = move |_: Model, package: Arc<ModelPackage>| {
        let (device, companions) = (device.clone(), companions.clone());
        async move {
            companions.open(&package).await?;
            Ok(tokio::task::spawn_blocking(move || Served::warm_up(package, &device)).await??)
        }
    };
    Host::start(registries.clone(), store.clone(), warm_up, site.metrics_of(Sentinel::NAME), site.stop.clone())
}

/// The device that windows are scored on. One that was asked for and is not there ends the role: an operator who pays for a
/// GPU wants to know.
fn scoring_device(device: ScoringDevice) -> Result<Device> {
    match device {
        ScoringDevice::Cpu => Ok(Device::Cpu),
        // In a stream of its own, which waits for no prover's.
        ScoringDevice::Cuda(ordinal) => Device::new_cuda_with_stream(ordinal).map_err(|error| {
            // candle adds a backtrace where those are switched on; what failed stands in the first line.
            let cause = error.to_string();
            let cause = cause.lines().next().unwrap_or_default();
            anyhow!(
                "CUDA device {ordinal} cannot score: it is not there, or this binary was not built by `cargo xtask cuda`: {cause}"
            )
        }),
    }
}

/// What holds provers of this process back on the device while windows are scored there.
fn gate(device: ScoringDevice) -> Option<Arc<InferenceGate>> {
    match device {
        ScoringDevice::Cpu => None,
        ScoringDevice::Cuda(ordinal) => Some(InferenceGate::of(ordinal)),
    }
}

/// What the partitions of one sentinel share.
pub struct Sentinel {
    site: Site,
    ward: String,
    serving: Serving,
    scorer: Scorer,
    companions: Arc<Companions>,
    shadow: Option<Shadow>,
    limits: AlertLimits,
}

/// The role, as its partitions' tasks see it.
impl Role for Sentinel {
    const NAME: &'static str = "sentinel";
    const LOOP: Loop = Loop::Sentinel;
    const INPUT: Stream = Stream::Windows;
    const OUTPUTS: &'static [Stream] = &[Stream::Alerts, Stream::ProofRequests, Stream::Ledger];
    type Work = SentinelWork;

    fn input(partition: Partition) -> String {
        subject::window(partition)
    }

    fn output(stream: Stream, partition: Partition) -> String {
        match stream {
            Stream::Alerts => subject::alert(partition),
            Stream::Ledger => subject::ledger(partition),
            other => other.filter().to_owned(),
        }
    }

    fn work(self: &Arc<Self>, partition: Partition) -> SentinelWork {
        SentinelWork::new(self.clone(), partition)
    }
}
