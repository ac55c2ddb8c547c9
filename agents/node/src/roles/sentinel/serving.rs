//! Which model scores a window, and which policies judge the score. Asked anew for every window, so that what governance
//! changes holds from the next one on; who holds an answer keeps its model until it is done with it.

use std::sync::Arc;

use candle_core::Device;
use hygeia_inference::engine::EngineError;
use hygeia_inference::package::ModelPackage;
use hygeia_inference::serve::ServingEngine;
use hygeia_protocol::message::{AttestedWindow, B32};

use crate::chain::registry::{ActivePolicy, Registries};
use crate::drift::DriftWatch;
use crate::memory::CaseMemory;
use crate::telemetry::Metrics;

/// A model with its engine.
pub struct Served {
    /// The package.
    pub model: ModelPackage,
    /// Its content hash; hashed once, asked for with every window.
    pub hash: B32,
    /// Hash of its feature schema, likewise.
    pub schema: B32,
    /// What scores.
    pub engine: ServingEngine,
    /// What scores, by name, for the ledger.
    pub engine_name: String,
    /// Earlier cases, as this model sees them.
    pub memory: CaseMemory,
    /// How far its windows are from those it was validated on.
    pub drift: DriftWatch,
}

/// The models that are served.
pub struct Serving {
    registries: Registries,
    served: Arc<Served>,
}

impl Served {
    /// Puts a model on a device.
    pub fn new(
        model: ModelPackage,
        device: &Device,
        memory: CaseMemory,
        metrics: &Metrics,
    ) -> Result<Self, EngineError> {
        let engine = ServingEngine::new(model.network(), device)?;
        Ok(Self {
            hash: B32::new(model.hash()),
            schema: B32::new(model.schema().hash()),
            engine_name: engine.name(),
            drift: DriftWatch::of(&model, metrics.clone()),
            memory,
            engine,
            model,
        })
    }
}

impl Serving {
    /// Serves one model, under the policies that the registries have of it.
    pub fn new(registries: Registries, served: Served) -> Self {
        Self { registries, served: Arc::new(served) }
    }

    /// The model that scores this window; none where it was made for another schema.
    pub fn model_of(&self, window: &AttestedWindow) -> Option<Arc<Served>> {
        let served = &self.served;
        let fits = window.schema == served.schema && window.features.len() == served.model.schema().len();
        fits.then(|| served.clone())
    }

    /// The live policies that name this model and that the mandate consents to.
    pub fn policies(&self, mandate: &B32, served: &Served) -> Vec<ActivePolicy> {
        let mut policies = self.registries.policies_of(served.hash.into_bytes());
        policies.retain(|policy| self.registries.consents(mandate, &policy.id));
        policies
    }
}
