//! The features that an oracle computes: those of the model that a mandate's policy names.
//!
//! A mandate names one policy and a policy one model, so a window is made once, of one schema. It is made whether or not the
//! policy is live at this moment: a suspension that is lifted finds the hours that lay in between. A schema is told by its
//! hash, so a second model over the same features needs no package here. This module never waits for one.

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
    at_hand: Vec<Arc<KnownSchema>>,
}

impl KnownSchema {
    fn of(package: &ModelPackage) -> Self {
        Self { hash: package.schema().hash(), schema: package.schema().clone() }
    }
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
        let at_hand = store.at_hand().map(|package| Arc::new(KnownSchema::of(package))).collect();
        let read = |_: Model, package: Arc<ModelPackage>| async move { Result::Ok(KnownSchema::of(&package)) };
        let host = Host::start(registries.clone(), store, read, metrics, stop);
        host.settled(patience).await;
        Self { registries, host, at_hand }
    }

    /// The schema of windows under a mandate; else why there is none.
    pub fn of(&self, mandate: &B32) -> Result<Arc<KnownSchema>, &'static str> {
        let view = self.registries.view();
        let approved = view.policy_of(mandate).ok_or("policy_unknown")?.schema;
        let table = self.host.table();
        let known = self.at_hand.iter().chain(table.iter().map(|(_, known)| known));
        // What voters approved is what is signed for, whichever package it came in.
        known.into_iter().find(|known| &known.hash == approved.as_bytes()).cloned().ok_or("schema_not_ready")
    }
}
