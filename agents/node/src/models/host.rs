//! What the approved models are turned into, each made ready in the background before it is asked for.
//!
//! The host follows the registries. As soon as an approval is seen, before it counts, the package is fetched by its hash,
//! verified and warmed up; then it stands in the table beside those that are there already. A model whose policies are all
//! ended leaves the table; whoever works with it still holds it. Whether a model may be acted on is for the registries'
//! view to say, with every window: this module never decides that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use hygeia_inference::package::ModelPackage;
use hygeia_protocol::bytes::B32;
use hygeia_protocol::registry::{Model, View};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::store::{ModelStore, StoreError};
use crate::chain::registry::Registries;
use crate::telemetry::{Gauge, Metrics};

/// Models made ready at a time at most. A network has one or two; this bounds what a vote gone wrong could load.
pub const MODELS_MAX: usize = 16;
/// Pause before a model that could not be made ready is tried again; doubled up to [`RETRY_PAUSE_MAX`].
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(500);
/// Longest pause between two tries: somebody may be about to publish, and patients may have consented.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(8);

/// Models that are ready, by the identifier that they are approved under.
pub struct Table<T> {
    ready: BTreeMap<B32, Arc<T>>,
    /// Why others are not, and whether that may pass.
    failed: BTreeMap<B32, Failure>,
}

#[derive(Debug, Clone)]
struct Failure {
    reason: Arc<anyhow::Error>,
    may_pass: bool,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { ready: BTreeMap::new(), failed: BTreeMap::new() }
    }
}

impl<T> Clone for Table<T> {
    fn clone(&self) -> Self {
        Self { ready: self.ready.clone(), failed: self.failed.clone() }
    }
}

impl<T> Table<T> {
    /// What a model was turned into.
    pub fn get(&self, model: &B32) -> Option<&Arc<T>> {
        self.ready.get(model)
    }

    /// How many are ready.
    pub fn len(&self) -> usize {
        self.ready.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// Everything that is ready.
    pub fn iter(&self) -> impl Iterator<Item = (&B32, &Arc<T>)> {
        self.ready.iter()
    }
}

/// Where a host counts, and for which role.
#[derive(Clone)]
pub struct RoleMetrics {
    /// The process's counters.
    pub metrics: Metrics,
    /// The role's name.
    pub role: &'static str,
}

/// Keeps the table.
pub struct Host<T> {
    // Written when a model gets ready or goes, read with every window. Closed when the site stops.
    table: watch::Receiver<Arc<Table<T>>>,
    registries: Registries,
}

impl<T> Clone for Host<T> {
    fn clone(&self) -> Self {
        Self { table: self.table.clone(), registries: self.registries.clone() }
    }
}

impl<T: Send + Sync + 'static> Host<T> {
    /// Follows the registries until `stop`, turning each model that they approve into a `T` by `warm_up`. One at a time:
    /// making ready takes the processor from those that serve.
    pub fn start<F, Ready>(
        registries: Registries,
        store: ModelStore,
        warm_up: F,
        metrics: RoleMetrics,
        stop: CancellationToken,
    ) -> Self
    where
        F: Fn(Model, Arc<ModelPackage>) -> Ready + Send + Sync + 'static,
        Ready: Future<Output = Result<T>> + Send,
    {
        let (publish, table) = watch::channel(Arc::new(Table::default()));
        let host = Self { table, registries: registries.clone() };
        tokio::spawn(async move {
            let worker = Worker { store, warm_up, publish, metrics, retries: BTreeMap::new() };
            let mut views = registries.changes();
            stop.run_until_cancelled(worker.run(&mut views)).await;
        });
        host
    }

    /// The models that are ready now.
    pub fn table(&self) -> Arc<Table<T>> {
        self.table.borrow().clone()
    }

    /// Tells when the table changes.
    pub fn changes(&self) -> watch::Receiver<Arc<Table<T>>> {
        self.table.clone()
    }

    /// Waits until every model that a live policy names is ready or has failed, or the patience is over. Whoever cannot keep
    /// what comes for a model that is not ready begins after this.
    pub async fn settled(&self, patience: Duration) {
        let view = self.registries.view();
        let live: Vec<B32> = view.live_policies().map(|policy| policy.model.id).collect();
        let is_settled = |id: &B32, table: &Table<T>| table.ready.contains_key(id) || table.failed.contains_key(id);
        let mut tables = self.table.clone();
        let settled = tables.wait_for(|table| live.iter().all(|id| is_settled(id, table)));
        // What is not settled by then is as good as failed.
        let _ = tokio::time::timeout(patience, settled).await;
    }

    /// Waits until a model is ready that a live policy names; how many there are then. Fails when none can be, or when
    /// the patience is over and none is being made ready.
    pub async fn first_ready(&self, patience: Duration) -> Result<usize> {
        let until = Instant::now() + patience;
        let (mut views, mut tables) = (self.registries.changes(), self.table.clone());
        loop {
            let (view, table) = (views.borrow_and_update().clone(), tables.borrow_and_update().clone());
            let live: BTreeSet<B32> = view.live_policies().map(|policy| policy.model.id).collect();
            let ready = live.iter().filter(|id| table.ready.contains_key(id)).count();
            if ready > 0 {
                return Ok(ready);
            }
            let failures: Vec<&Failure> = live.iter().filter_map(|id| table.failed.get(id)).collect();
            let is_hopeless = !live.is_empty() && failures.len() == live.len() && failures.iter().all(|f| !f.may_pass);
            let last = failures.first().map(|failure| failure.reason.clone());
            // Making keys may take longer than anybody's patience with a broker; what is under way is waited for.
            let is_under_way = live.iter().any(|id| !table.failed.contains_key(id));
            let is_over = Instant::now() >= until;
            if is_hopeless || (is_over && !is_under_way) {
                return Err(nothing_ready(last));
            }
            tokio::select! {
                changed = views.changed() => changed.context("the site stops")?,
                changed = tables.changed() => changed.context("the site stops")?,
                () = tokio::time::sleep_until(until), if !is_over => {}
            }
        }
    }
}

fn nothing_ready(last: Option<Arc<anyhow::Error>>) -> anyhow::Error {
    match last {
        Some(reason) => anyhow!("{reason:#}").context("no approved model can be made ready"),
        None => anyhow!("no active policy approves a model"),
    }
}

struct Worker<T, F> {
    store: ModelStore,
    warm_up: F,
    publish: watch::Sender<Arc<Table<T>>>,
    metrics: RoleMetrics,
    retries: BTreeMap<B32, Retry>,
}

struct Retry {
    at: Instant,
    pause: Duration,
}

impl<T, F, Ready> Worker<T, F>
where
    F: Fn(Model, Arc<ModelPackage>) -> Ready,
    Ready: Future<Output = Result<T>>,
{
    async fn run(mut self, views: &mut watch::Receiver<Arc<View>>) {
        loop {
            let wanted = wanted(&views.borrow_and_update());
            self.let_go(&wanted);
            let now = Instant::now();
            let due = wanted.iter().find(|model| self.is_due(&model.id, now)).copied();
            if let Some(model) = due {
                self.make_ready(model).await;
                continue;
            }
            let next = self.retries.values().map(|retry| retry.at).min();
            tokio::select! {
                changed = views.changed() => if changed.is_err() { return },
                () = sleep_until(next) => {}
            }
        }
    }

    fn is_due(&self, id: &B32, now: Instant) -> bool {
        let is_ready = self.publish.borrow().ready.contains_key(id);
        !is_ready && self.retries.get(id).is_none_or(|retry| retry.at <= now)
    }

    async fn make_ready(&mut self, model: Model) {
        let id = model.id;
        match self.load(model).await {
            Ok(ready) => {
                self.retries.remove(&id);
                self.change(|table| {
                    table.failed.remove(&id);
                    table.ready.insert(id, Arc::new(ready));
                });
                tracing::info!(model = %id, package = %model.package, "an approved model is ready");
            }
            Err(reason) => {
                let pause = self.retries.get(&id).map_or(RETRY_PAUSE_MIN, |r| (r.pause * 2).min(RETRY_PAUSE_MAX));
                tracing::warn!(model = %id, reason = format!("{reason:#}"), retry_ms = pause.as_millis() as u64,
                    "an approved model is not ready");
                let may_pass = reason.downcast_ref::<StoreError>().is_some_and(StoreError::may_pass);
                self.retries.insert(id, Retry { at: Instant::now() + pause, pause });
                let failure = Failure { reason: Arc::new(reason), may_pass };
                self.change(|table| drop(table.failed.insert(id, failure)));
            }
        }
    }

    async fn load(&self, model: Model) -> Result<T> {
        let package = self.store.fetch(model.package.into_bytes()).await?;
        (self.warm_up)(model, package).await
    }

    /// Drops what no policy names any more.
    fn let_go(&mut self, wanted: &[Model]) {
        let is_kept = |id: &B32| wanted.iter().any(|model| model.id == *id);
        self.retries.retain(|id, _| is_kept(id));
        let table = self.publish.borrow().clone();
        if table.ready.keys().chain(table.failed.keys()).all(is_kept) {
            return;
        }
        self.change(|table| {
            table.ready.retain(|id, _| is_kept(id));
            table.failed.retain(|id, _| is_kept(id));
        });
    }

    fn change(&self, change: impl FnOnce(&mut Table<T>)) {
        let mut table = Table::clone(&self.publish.borrow());
        change(&mut table);
        self.metrics.metrics.set_to(Gauge::ModelsLive, self.metrics.role, table.len() as f64);
        self.publish.send_replace(Arc::new(table));
    }
}

/// The models of policies that are not ended: live ones first, then those whose approval does not count yet or that are
/// suspended, so that they are ready when they may be acted on.
fn wanted(view: &View) -> Vec<Model> {
    let mut wanted: Vec<Model> = Vec::new();
    let live = view.live_policies();
    let others = view.policies().filter(|policy| !policy.is_live && !policy.is_ended);
    for policy in live.chain(others) {
        if wanted.len() < MODELS_MAX && wanted.iter().all(|model| model.id != policy.model.id) {
            wanted.push(policy.model);
        }
    }
    wanted
}

async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
