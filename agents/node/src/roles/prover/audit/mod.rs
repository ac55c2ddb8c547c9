//! Audit mode: every scored window is proved, in batches, beside the alerts and behind them.
//!
//! [`collect`] turns the ledger into orders of windows to prove together, [`work`] proves them one batch at a time. An
//! order is stored before it is worked on and taken off the queue after its receipts are stored, so a prover that ends
//! in the middle has the same batch proved again by whoever comes next.

pub mod collect;
mod job;
mod publish;
mod windows;
mod work;

pub(super) use self::job::detached;

use std::sync::Arc;

use anyhow::{Result, bail};
use hygeia_inference::package::ModelPackage;
use hygeia_protocol::audit::AuditRules;
use hygeia_protocol::bytes::B32;
use hygeia_zkml::audit::AuditPlan;
use tokio::sync::watch;

use super::memory;
use crate::cli::ProverArgs;
use crate::keys::{self, KeySettings};
use crate::roles::Site;

/// How many alerts are being proved. Audits begin only while there are none.
#[derive(Clone, Default)]
pub struct OpenAlerts {
    // Written by the alerts' loop, watched by the audits'.
    count: Arc<watch::Sender<usize>>,
}

/// An alert is being proved as long as this lives.
pub struct OpenAlert {
    count: Arc<watch::Sender<usize>>,
}

impl OpenAlerts {
    /// Notes that work on an alert begins.
    pub fn begin(&self) -> OpenAlert {
        self.count.send_modify(|count| *count += 1);
        OpenAlert { count: self.count.clone() }
    }

    /// Returns once no alert is being proved.
    async fn none(&self) {
        // The sender lives as long as this does, so there is no error to come.
        let _ = self.count.subscribe().wait_for(|&count| count == 0).await;
    }
}

impl Drop for OpenAlert {
    fn drop(&mut self) {
        self.count.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// What the audits of one model run with.
#[derive(Clone)]
pub struct Audits {
    site: Site,
    model: Arc<ModelPackage>,
    plan: AuditPlan,
    rules: AuditRules,
    settings: KeySettings,
}

impl Audits {
    /// Chooses the circuit. Refuses one that this machine could never hold.
    pub fn new(site: Site, model: Arc<ModelPackage>, args: &ProverArgs, settings: KeySettings) -> Result<Self> {
        let plan = keys::audit_plan(model.network(), args.audit_windows)?;
        let needed = memory::needed(&plan);
        if let Some(limit) = memory::look().map(|memory| memory.limit).filter(|&limit| limit < needed) {
            bail!(
                "an audit of {} windows takes some {} MB of memory, of which this process can never have more than {} MB; \
                 set --audit-windows lower, or leave audits to another prover with --no-audit",
                plan.slots,
                megabytes(needed),
                megabytes(limit),
            );
        }
        let rules = AuditRules { windows_max: plan.slots, wait_ms: args.audit_wait_s.saturating_mul(1_000) };
        Ok(Self { site, model, plan, rules, settings })
    }

    /// Collects and proves until the site stops.
    pub async fn run(self, alerts: OpenAlerts) -> Result<()> {
        tracing::info!(
            windows = self.plan.slots,
            rows_log2 = self.plan.k,
            memory_mb = megabytes(memory::needed(&self.plan)),
            "auditing every scored window"
        );
        let collecting = collect::run(&self.site, B32::new(self.model.hash()), self.rules);
        tokio::try_join!(collecting, work::run(&self, alerts))?;
        Ok(())
    }
}

fn megabytes(bytes: u64) -> u64 {
    bytes / 1_000_000
}
