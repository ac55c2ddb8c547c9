//! Which model scores a window now, if any: what governance says at this moment, over what is ready.
//!
//! A mandate consents to one policy, and a policy names one model, so a window has at most one of each. The answer is made
//! anew for every window, from the newest view: a model that was suspended a moment ago scores nothing more, and one that
//! was approved scores from the next window on. Whoever holds an answer keeps its model alive until it is done with it.

use std::sync::Arc;

use hygeia_protocol::bytes::B32;
use hygeia_protocol::registry::{Policy, View};

use super::host::{Host, Table};
use super::served::Served;
use crate::chain::registry::Registries;

/// The models that a sentinel serves.
#[derive(Clone)]
pub struct Serving {
    registries: Registries,
    host: Host<Served>,
}

/// What is to be done with a window.
#[derive(Clone)]
#[expect(clippy::large_enum_variant, reason = "nearly every answer is the large one, and none is kept")]
pub enum Answer {
    /// Score it.
    Score(Assignment),
    /// Keep it, and ask again when view or table have changed.
    Wait(Wait),
    /// Leave it.
    Leave(Leave),
}

/// By what a window is scored and judged.
#[derive(Clone)]
pub struct Assignment {
    /// The policy that judges the score.
    pub policy: Policy,
    /// The model that gives it.
    pub model: Arc<Served>,
}

/// Why a window can neither be scored nor left yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// The mandate is in no block that was seen: the oracle may have seen a later one.
    Unknown,
    /// The policy's approval does not count yet.
    Unconfirmed,
    /// The policy is live, and its model not ready.
    NotReady,
}

impl Wait {
    /// The label of a metric.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unknown => "mandate_unknown",
            Self::Unconfirmed => "unconfirmed",
            Self::NotReady => "model_not_ready",
        }
    }
}

/// Why a window is left unscored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// No live mandate.
    NoConsent,
    /// Policy or model is suspended or ended, or was never approved.
    NotLive,
    /// The window is of another schema than the model's.
    OtherSchema,
}

impl Leave {
    /// The label of a metric.
    pub fn label(self) -> &'static str {
        match self {
            Self::NoConsent => "no_consent",
            Self::NotLive => "not_live",
            Self::OtherSchema => "other_schema",
        }
    }
}

impl Serving {
    /// Serves what `host` makes ready, as far as `registries` allow.
    pub fn new(registries: Registries, host: Host<Served>) -> Self {
        Self { registries, host }
    }

    /// What is to be done with a window of this schema under this mandate.
    pub fn answer(&self, mandate: &B32, schema: &B32) -> Answer {
        answer(&self.registries.view(), &self.host.table(), mandate, schema)
    }

    /// By what a window under this mandate is scored where it was scored before, whatever governance says by now: to make
    /// state anew from what is in the ledger.
    pub fn scored_before(&self, mandate: &B32, schema: &B32) -> Option<Assignment> {
        let (view, table) = (self.registries.view(), self.host.table());
        let policy = *view.policy_of(mandate)?;
        let model = table.get(&policy.model.id).filter(|model| model.schema == *schema)?.clone();
        Some(Assignment { policy, model })
    }

    /// The models that are made ready.
    pub fn host(&self) -> &Host<Served> {
        &self.host
    }

    /// What governance approves.
    pub fn registries(&self) -> &Registries {
        &self.registries
    }
}

fn answer(view: &View, table: &Table<Served>, mandate: &B32, schema: &B32) -> Answer {
    if view.mandates().get(mandate).is_none() {
        return Answer::Wait(Wait::Unknown);
    }
    if view.live_mandate(mandate).is_none() {
        return Answer::Leave(Leave::NoConsent);
    }
    let policy = match view.policy_of(mandate) {
        Some(policy) if policy.schema != *schema => return Answer::Leave(Leave::OtherSchema),
        Some(policy) if policy.is_pending => return Answer::Wait(Wait::Unconfirmed),
        Some(policy) if policy.is_live => policy,
        _ => return Answer::Leave(Leave::NotLive),
    };
    match table.get(&policy.model.id) {
        // The registry's word on the schema is the voters'; the package's own is what scores.
        Some(model) if model.schema != *schema => Answer::Leave(Leave::OtherSchema),
        Some(model) => Answer::Score(Assignment { policy: *policy, model: model.clone() }),
        None => Answer::Wait(Wait::NotReady),
    }
}
