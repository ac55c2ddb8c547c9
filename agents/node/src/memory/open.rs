//! Puts a sentinel's memory together: its stores, the network's secret for names, and the keeper behind them.

use std::sync::Arc;

use anyhow::{Context, Result};
use hygeia_inference::package::ModelPackage;
use hygeia_protocol::message::B32;
use rand::RngCore as _;

use super::{CaseKey, CaseMemory, CaseStore, Keeper, KeeperParts, OwnCases, QdrantCases};
use crate::bus::{Bus, BusError};
use crate::roles::Site;

/// Where the secret lies that names are made with. Whoever may read it may read the windows themselves; the store of cases
/// may read neither.
const BUCKET: &str = "hygeia_cases";
const KEY: &str = "key";

/// The memory of one model's cases, kept until the site stops. `revoked` gives every mandate that was ever revoked.
pub async fn open(
    site: &Site,
    qdrant: Option<&str>,
    model: &ModelPackage,
    revoked: impl Fn() -> Vec<B32> + Send + Sync + 'static,
) -> Result<CaseMemory> {
    let hash = B32::new(model.hash());
    let shared: Option<Arc<dyn CaseStore>> = match qdrant {
        Some(url) => {
            let store = QdrantCases::at(url, &hash);
            Some(Arc::new(store.with_context(|| format!("{url} is not the address of a Qdrant server"))?))
        }
        None => None,
    };
    let own: Arc<OwnCases> = Arc::default();
    let parts = KeeperParts {
        bus: site.bus.clone(),
        key: network_key(&site.bus).await?,
        model: hash,
        network: model.network().clone(),
        own: own.clone(),
        shared: shared.clone(),
        metrics: site.metrics.clone(),
        stop: site.stop.clone(),
    };
    Keeper::start(parts, revoked);
    Ok(CaseMemory::new(own, shared, site.metrics.clone()))
}

/// The network's secret for names, drawn by the first sentinel that asks.
pub async fn network_key(bus: &Bus) -> Result<CaseKey, BusError> {
    let bucket = bus.bucket(BUCKET).await?;
    loop {
        let (known, revision) = bucket.record(KEY).await?;
        if let Some(key) = known.and_then(|bytes| <[u8; 32]>::try_from(bytes.as_ref()).ok()) {
            return Ok(CaseKey::new(key));
        }
        let mut fresh = [0; 32];
        rand::rngs::OsRng.fill_bytes(&mut fresh);
        // Where another sentinel was quicker, its key is the network's.
        bucket.put_if(KEY, fresh.to_vec(), revision).await?;
    }
}
