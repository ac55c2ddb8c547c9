//! Shadow mode: a candidate model scores what the approved ones score, and what would have been different is published.
//!
//! The candidate has a thread of its own behind a bounded queue. A window is offered to it after its alert is out, and
//! dropped where the queue is full, which the report says. This module never alerts, never asks for a proof, never writes
//! to the ledger and never makes a sentinel wait.

mod compare;
pub mod report;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use candle_core::Device;
use futures::future::OptionFuture;
use hygeia_inference::metrics::AlertBudget;
use hygeia_inference::package::ModelPackage;
use hygeia_protocol::bytes::B32;
use hygeia_protocol::message::{AttestedWindow, Message as _};
use hygeia_protocol::registry::Policy;
use hygeia_protocol::shadow::{Opinion, ShadowReport};
use hygeia_protocol::subject::{self, Stream};
use hygeia_protocol::time::Timestamp;
use rand::RngCore as _;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::bus::Bus;
use crate::clock::now_ms;
use crate::models;
use crate::models::served::Served;
use crate::models::store::ModelStore;
use crate::telemetry::{Counter, Metrics};
use compare::{Comparing, Offered};

/// Windows that wait for the candidate at most: some seconds of a busy network's, in less than 2 MB.
const QUEUE_WINDOWS: usize = 4_096;
/// Reports that wait for the broker at most; one for each policy that is compared with.
const QUEUE_REPORTS: usize = 64;
/// The ward's alert budget that the candidate's threshold is taken for, unless one is given: that of the shipped policy.
const ALERT_BUDGET: AlertBudget = AlertBudget::StaysAlertedPercent(20);

/// What runs beside.
#[derive(Debug, Clone)]
pub struct ShadowSettings {
    /// Content hash of a published candidate, or the folder of its package.
    pub candidate: String,
    /// Score from which it would call; that of its card for the ward's budget when absent.
    pub threshold: Option<i64>,
    /// How often what was compared is published.
    pub every: Duration,
}

/// A candidate beside the approved models. Dropping it ends the comparison, and publishes what there is.
pub struct Shadow {
    // Gone once the comparison is ended, which ends the thread behind it.
    offers: Mutex<Option<SyncSender<Offered>>>,
    dropped: Arc<AtomicU64>,
    published: Mutex<Option<JoinHandle<()>>>,
    /// Hash of the candidate's schema: other windows are not offered.
    schema: B32,
    metrics: Metrics,
}

impl Shadow {
    /// Fetches the candidate, warms it up, and starts.
    pub async fn start(bus: &Bus, store: &ModelStore, settings: &ShadowSettings, metrics: Metrics) -> Result<Self> {
        let package = candidate(store, &settings.candidate).await?;
        let threshold = match settings.threshold {
            Some(threshold) => threshold,
            None => package
                .card()
                .operating_points
                .by_budget(ALERT_BUDGET)
                .context("the candidate's card has no threshold for the ward's budget; give --shadow-threshold")?,
        };
        let served = Served::warm_up(package, &Device::Cpu).context("warming up the candidate")?;
        let (offers, offered) = sync_channel(QUEUE_WINDOWS);
        let (reports, to_publish) = mpsc::channel(QUEUE_REPORTS);
        let dropped = Arc::new(AtomicU64::new(0));
        let mut by = [0; 32];
        rand::rngs::OsRng.fill_bytes(&mut by);
        tracing::info!(candidate = %served.hash, threshold, "a candidate scores beside the approved model");
        let schema = served.schema;
        let comparing = Comparing::new(served, threshold, B32::new(by), settings.every, now_ms);
        let (offered, lost) = (offered, dropped.clone());
        std::thread::Builder::new()
            .name("shadow".to_owned())
            .spawn(move || comparing.run(&offered, &lost, |report| drop(reports.blocking_send(report))))?;
        let published = Mutex::new(Some(tokio::spawn(publish(bus.clone(), to_publish))));
        let offers = Mutex::new(Some(offers));
        Ok(Self { offers, dropped, published, schema, metrics })
    }

    /// Offers a window with what the approved model said of it. Never waits.
    pub fn offer(&self, window: &AttestedWindow, policy: &Policy, approved: Opinion) {
        if window.schema != self.schema {
            return;
        }
        let offered = Offered {
            mandate: window.mandate,
            end: Timestamp::from_seconds(window.end),
            features: window.features.clone(),
            policy: *policy,
            approved,
        };
        let offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(offers) = offers.as_ref() else { return };
        if let Err(TrySendError::Full(_)) = offers.try_send(offered) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            self.metrics.count(Counter::ShadowDropped, "");
        }
    }

    /// Ends the comparison; returns once what there is has been published.
    pub async fn finish(&self) {
        drop(self.offers.lock().unwrap_or_else(PoisonError::into_inner).take());
        let published = self.published.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(reason)) = OptionFuture::from(published).await {
            tracing::warn!(%reason, "the last comparison was not published");
        }
    }
}

/// A candidate by its hash or its folder.
async fn candidate(store: &ModelStore, named: &str) -> Result<Arc<ModelPackage>> {
    let mut hash = [0; 32];
    match hex::decode_to_slice(named.trim_start_matches("0x"), &mut hash) {
        Ok(()) => Ok(store.fetch(hash).await?),
        Err(_) => Ok(Arc::new(models::load(Some(Path::new(named)))?)),
    }
}

/// Publishes reports until no more can come. One that the broker does not take is lost, and said to be.
async fn publish(bus: Bus, mut reports: mpsc::Receiver<ShadowReport>) {
    while let Some(report) = reports.recv().await {
        let (subject, id) = (subject::shadow(&report.candidate), report.message_id());
        let (windows, dropped) = (report.comparison.windows, report.comparison.dropped);
        match bus.publish(Stream::Shadow, subject, &id, report.encode()).await {
            Ok(_) => tracing::info!(candidate = %report.candidate, windows, dropped, "comparison published"),
            Err(reason) => tracing::warn!(%reason, windows, "a comparison was not published"),
        }
    }
}
