//! The features that an oracle computes: those of the model that a mandate's policy names.
//!
//! A mandate names one policy and a policy one model, so a window is made once, of one schema. It is made whether or not the
//! policy is live at this moment: a suspension that is lifted finds the hours that lay in between. Of a package the schema
//! alone is kept.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use hygeia_inference::package::ModelPackage;
use hygeia_inference::schema::FeatureSchema;
use hygeia_protocol::bytes::B32;
use hygeia_protocol::registry::Model;
use tokio_util::sync::CancellationToken;

use super::host::{Host, RoleMetrics};
use super::store::ModelStore;
use crate::chain::registry::Registries;

/// How long a window waits for its schema. It holds its partition up, so this is short; a schema is made ready when its
/// model's approval is first seen, before anybody can consent to it.
const PATIENCE: Duration = Duration::from_secs(5);

/// A feature schema with its hash.
pub struct KnownSchema {
    /// The schema.
    pub schema: FeatureSchema,
    /// Its hash; every window names it.
    pub hash: [u8; 32],
}

/// Schemas by the mandates that windows are made under.
#[derive(Clone)]
pub struct Schemas {
    registries: Registries,
    host: Host<KnownSchema>,
}

impl Schemas {
    /// Follows the approved models until `stop`; returns once those that are live are at hand.
    pub async fn follow(
        registries: Registries,
        store: ModelStore,
        patience: Duration,
        metrics: RoleMetrics,
        stop: CancellationToken,
    ) -> Self {
        let read = |_: Model, package: Arc<ModelPackage>| async move {
            Ok(KnownSchema { hash: package.schema().hash(), schema: package.schema().clone() })
        };
        let host = Host::start(registries.clone(), store, read, metrics, stop);
        host.settled(patience).await;
        Self { registries, host }
    }

    /// The schema of windows under a mandate; else why there is none.
    pub async fn of(&self, mandate: &B32) -> Result<Arc<KnownSchema>, &'static str> {
        let view = self.registries.view();
        let policy = view.policy_of(mandate).ok_or("policy_unknown")?;
        let (model, approved) = (policy.model.id, policy.schema);
        let mut tables = self.host.changes();
        let found = tables.wait_for(|table| table.get(&model).is_some());
        let table = match tokio::time::timeout(PATIENCE, found).await {
            Ok(Ok(table)) => table.clone(),
            Ok(Err(_)) | Err(_) => return Err("schema_not_ready"),
        };
        let known = table.get(&model).ok_or("schema_not_ready")?;
        // What voters approved and what the package holds are compared before anything is signed.
        if &known.hash == approved.as_bytes() { Ok(known.clone()) } else { Err("schema_not_approved") }
    }
}
