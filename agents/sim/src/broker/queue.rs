//! A durable consumer of one stream, shared by all workers.

use std::collections::{BTreeMap, BTreeSet};

use crate::process::Process;

/// Acknowledgements younger than this are forgotten in a crash: a consumer's state is written after the answer.
const ACK_LOSS_MS: u64 = 2_000;

#[derive(Debug, Default)]
pub(super) struct Queue {
    /// The newest place that was given out.
    given_to: u64,
    held: BTreeMap<u64, Held>,
    /// To be given again, and not before when.
    returned: BTreeMap<u64, u64>,
    deliveries: BTreeMap<u64, u64>,
    acked: BTreeSet<u64>,
    acked_at: Vec<(u64, u64)>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    by: Process,
    delivery: u64,
    /// The worker says every few seconds that it is alive.
    is_worked_on: bool,
}

impl Queue {
    /// Places that are given out, and how often each was.
    pub(super) fn fetch(&mut self, by: Process, max: usize, newest: u64, now_ms: u64) -> Vec<(u64, u64)> {
        let returned = self.returned.iter().filter(|(_, after_ms)| **after_ms <= now_ms);
        let mut due: Vec<u64> = returned.map(|(place, _)| *place).take(max).collect();
        while due.len() < max && self.given_to < newest {
            self.given_to += 1;
            if !self.acked.contains(&self.given_to) {
                due.push(self.given_to);
            }
        }
        due.into_iter().map(|place| (place, self.give(place, by))).collect()
    }

    pub(super) fn work_on(&mut self, sequence: u64, by: Process, is_worked_on: bool) {
        if let Some(held) = self.held.get_mut(&sequence).filter(|held| held.by == by) {
            held.is_worked_on = is_worked_on;
        }
    }

    pub(super) fn abandon(&mut self, by: Process) {
        self.held.values_mut().filter(|held| held.by == by).for_each(|held| held.is_worked_on = false);
    }

    pub(super) fn ack(&mut self, sequence: u64, now_ms: u64) {
        self.held.remove(&sequence);
        self.returned.remove(&sequence);
        self.acked.insert(sequence);
        self.acked_at.retain(|(at_ms, _)| at_ms + ACK_LOSS_MS > now_ms);
        self.acked_at.push((now_ms, sequence));
    }

    pub(super) fn give_back(&mut self, sequence: u64, after_ms: u64) -> bool {
        let was_held = self.held.remove(&sequence).is_some();
        if was_held {
            self.returned.insert(sequence, after_ms);
        }
        was_held
    }

    pub(super) fn is_overdue(&self, sequence: u64, delivery: u64, lives: impl Fn(Process) -> bool) -> Option<bool> {
        let held = self.held.get(&sequence).filter(|held| held.delivery == delivery)?;
        Some(!(held.is_worked_on && lives(held.by)))
    }

    pub(super) fn crash(&mut self, newest: u64, now_ms: u64) {
        for (at_ms, place) in std::mem::take(&mut self.acked_at) {
            if at_ms + ACK_LOSS_MS > now_ms {
                self.acked.remove(&place);
                self.returned.insert(place, now_ms);
            }
        }
        let held = std::mem::take(&mut self.held);
        self.returned.extend(held.into_keys().map(|place| (place, now_ms)));
        self.returned.retain(|&place, _| place <= newest);
        self.acked.retain(|&place| place <= newest);
        self.given_to = self.given_to.min(newest);
    }

    fn give(&mut self, place: u64, by: Process) -> u64 {
        self.returned.remove(&place);
        let delivery = self.deliveries.entry(place).or_insert(0);
        *delivery += 1;
        self.held.insert(place, Held { by, delivery: *delivery, is_worked_on: false });
        *delivery
    }
}
