//! Which models may score, and whether each did that had to.

use std::collections::BTreeMap;

use hygeia_protocol::bytes::B32;

use crate::governance::{Decision, Seen};
use crate::process::Process;
use crate::ward::MODELS;
use crate::world::BLOCK_MS;

/// How long a decision may take to reach everybody and to take effect: a silent chain, confirmations, warming up, a process
/// that was away.
const SLACK_MS: u64 = 45 * 60_000;

#[derive(Debug)]
pub(super) struct Governed {
    /// When it was decided, in the order of times.
    decisions: Vec<(u64, Decision)>,
    /// The newest answer that each process got about the registries and the one before, and when it got the newest.
    told: BTreeMap<Process, (u64, Seen, Seen)>,
    /// When each window was attested, and by which models it was scored, when first.
    windows: BTreeMap<B32, Scored>,
}

#[derive(Debug)]
struct Scored {
    attested_ms: u64,
    first_ms: Option<u64>,
    by: [bool; MODELS.len()],
}

impl Governed {
    pub(super) const fn new(decisions: Vec<(u64, Decision)>) -> Governed {
        Governed { decisions, told: BTreeMap::new(), windows: BTreeMap::new() }
    }

    pub(super) fn told(&mut self, by: Process, seen: &Seen, now_ms: u64) {
        let before = self.told.remove(&by).map(|(_, seen, _)| seen).unwrap_or_default();
        self.told.insert(by, (now_ms, seen.clone(), before));
    }

    /// Live by what the process was told last, or by what it was told before less than a block ago.
    pub(super) fn may_score(&self, by: Process, model: &B32, now_ms: u64) -> bool {
        let Some((at_ms, newest, before)) = self.told.get(&by) else { return false };
        newest.is_live(model) || (now_ms - at_ms < BLOCK_MS && before.is_live(model))
    }

    pub(super) fn attested(&mut self, window: B32, now_ms: u64) {
        self.windows.insert(window, Scored { attested_ms: now_ms, first_ms: None, by: [false; MODELS.len()] });
    }

    pub(super) fn scored(&mut self, window: &B32, model: &B32, now_ms: u64) {
        if let Some(scored) = self.windows.get_mut(window) {
            scored.first_ms.get_or_insert(now_ms);
            for (by, of) in scored.by.iter_mut().zip(MODELS) {
                *by |= of == *model;
            }
        }
    }

    pub(super) fn is_scored(&self, window: &B32) -> bool {
        self.windows.get(window).is_some_and(|scored| scored.first_ms.is_some())
    }

    /// Whether each window has a line of every model that was live all the time around it.
    pub(super) fn is_scored_by_all_live(&self) -> bool {
        self.windows.values().all(|scored| {
            let first_ms = scored.first_ms.unwrap_or(scored.attested_ms);
            let is_due = |model: &B32| self.is_live_from_to(model, scored.attested_ms, first_ms);
            MODELS.iter().zip(scored.by).all(|(model, by)| by || !is_due(model))
        })
    }

    fn is_live_from_to(&self, model: &B32, from_ms: u64, to_ms: u64) -> bool {
        let mut is_live = *model == MODELS[0];
        for (at_ms, decision) in &self.decisions {
            match decision {
                Decision::Approve(of) if of == model && at_ms + SLACK_MS <= from_ms => is_live = true,
                Decision::Suspend(of) if of == model && *at_ms <= to_ms + SLACK_MS => is_live = false,
                _ => {}
            }
        }
        is_live
    }
}
