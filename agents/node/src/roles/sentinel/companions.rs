//! What a sentinel keeps beside each model that it serves: the memory of similar cases and the watch over drift. What models
//! make of a window cannot be compared, so neither can their memories.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::{Context as _, Result};
use hygeia_inference::package::ModelPackage;
use hygeia_protocol::message::B32;

use crate::chain::registry::Registries;
use crate::drift::DriftWatch;
use crate::memory::{self, CaseMemory};
use crate::roles::Site;

/// What goes with one model.
pub struct Companion {
    /// Earlier cases, as the model sees them.
    pub memory: CaseMemory,
    /// How far its windows are from those it was validated on.
    pub drift: DriftWatch,
}

/// The companions of every model that was served since the start.
pub struct Companions {
    site: Site,
    registries: Registries,
    qdrant: Option<String>,
    // Written when a model is made ready, read with every window.
    by_model: RwLock<HashMap<B32, Arc<Companion>>>,
}

impl Companions {
    /// None yet.
    pub fn new(site: Site, registries: Registries, qdrant: Option<String>) -> Self {
        Self { site, registries, qdrant, by_model: RwLock::default() }
    }

    /// Opens what goes with a model, before it is served. A model that comes back finds what it left.
    pub async fn open(&self, model: &ModelPackage) -> Result<()> {
        let hash = B32::new(model.hash());
        if self.of(&hash).is_ok() {
            return Ok(());
        }
        let registries = self.registries.clone();
        let revoked = move || registries.view().mandates().revoked().collect();
        let memory = memory::open(&self.site, self.qdrant.as_deref(), model, revoked).await?;
        let companion = Companion { memory, drift: DriftWatch::of(model, self.site.metrics.clone()) };
        let mut by_model = self.by_model.write().unwrap_or_else(PoisonError::into_inner);
        by_model.entry(hash).or_insert(Arc::new(companion));
        Ok(())
    }

    /// What goes with a model that is served.
    pub fn of(&self, model: &B32) -> Result<Arc<Companion>> {
        let by_model = self.by_model.read().unwrap_or_else(PoisonError::into_inner);
        by_model.get(model).cloned().context("a model is served without its companion")
    }
}
