//! Hops 4 and 5: from attested windows to scores, and from scores to alerts.
//!
//! The partitions' tasks hand their windows to one scoring task, which takes what waits at a time. Triage decides per
//! mandate and policy; an alert goes out as soon as it is decided, then the request for its proof, then the ledger's line.

mod alert;
mod limits;
mod mandates;
mod scoring;
mod serving;
mod work;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use candle_core::Device;
use hygeia_protocol::subject::{self, Partition, Stream};

use super::{Site, patience};
use crate::chain::registry::Registries;
use crate::cli::SentinelArgs;
use crate::cli::device::ScoringDevice;
use crate::partition::{self, Role};
use crate::{memory, models};
use limits::AlertLimits;
use scoring::Scorer;
use serving::{Served, Serving};

pub use work::SentinelWork;

/// Runs the sentinel until the site stops.
pub async fn run(site: Site, args: SentinelArgs) -> Result<()> {
    let model = models::load(site.connect.model.as_deref())?;
    let chain = site.chain(None).await?;
    let registries = Registries::watch(chain, site.deployment.clone(), site.stop.clone()).await?;
    let model_hash = model.hash();
    let approved = wait_for_approval(&site, &registries, model_hash).await?;
    tracing::info!(model = hex::encode(model_hash), policies = approved, "sentinel runs an approved model");
    let revocations = registries.clone();
    let cases = memory::open(&site, args.qdrant.as_deref(), &model, move || revocations.revoked()).await?;
    let served = Served::new(model, &scoring_device(args.scoring_device)?, cases, &site.metrics)?;
    let sentinel = Sentinel {
        limits: AlertLimits::new(&args),
        ward: args.ward,
        scorer: Scorer::start(),
        serving: Serving::new(registries, served),
        site: site.clone(),
    };
    partition::run(site.replica(), Arc::new(sentinel)).await
}

/// Waits until a live policy names the model, for as long as the site's patience; then refuses it by its hash.
pub async fn wait_for_approval(site: &Site, registries: &Registries, model_hash: [u8; 32]) -> Result<usize> {
    let until = Instant::now() + patience(&site.connect);
    loop {
        let policies = registries.policies_of(model_hash).len();
        if policies > 0 {
            return Ok(policies);
        }
        if Instant::now() >= until {
            bail!(
                "model {} is refused: no active policy on chain {} approves it (policy registry {})",
                hex::encode(model_hash),
                site.deployment.chain_id,
                site.deployment.policy_registry,
            );
        }
        tokio::select! {
            () = site.stop.cancelled() => bail!("stopped while waiting for model {} to be approved", hex::encode(model_hash)),
            () = tokio::time::sleep(Duration::from_millis(250)) => {}
        }
    }
}

/// The device that windows are scored on. One that was asked for and is not there ends the role: an operator who pays for a
/// GPU wants to know.
fn scoring_device(device: ScoringDevice) -> Result<Device> {
    match device {
        ScoringDevice::Cpu => Ok(Device::Cpu),
        ScoringDevice::Cuda(ordinal) => Device::new_cuda(ordinal).with_context(|| {
            format!("CUDA device {ordinal} cannot score: it is not there, or this binary was not built by `cargo xtask cuda`")
        }),
    }
}

/// What the partitions of one sentinel share.
pub struct Sentinel {
    site: Site,
    ward: String,
    serving: Serving,
    scorer: Scorer,
    limits: AlertLimits,
}

/// The role, as its partitions' tasks see it.
impl Role for Sentinel {
    const NAME: &'static str = "sentinel";
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
