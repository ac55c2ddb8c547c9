//! Which faults are in force.

use crate::process::Process;
use crate::schedule::{CallFault, Fault};

/// The faults that last, and those that wait for their call.
#[derive(Debug, Default)]
pub(super) struct Weather {
    cuts: Vec<(Process, u64, u64)>,
    silences: Vec<(u64, u64)>,
    congestions: Vec<(u64, u64)>,
    armed: Vec<Armed>,
    pub(super) broker_is_down: bool,
}

#[derive(Clone, Copy, Debug)]
struct Armed {
    process: Process,
    at_ms: u64,
    /// Calls with an effect that the process has made before the one that is hit.
    after: u64,
    what: CallFault,
}

impl Weather {
    pub(super) fn new(faults: &[Fault]) -> Weather {
        let mut weather = Weather::default();
        for fault in faults {
            match *fault {
                Fault::Cut { process, at_ms, for_ms } => weather.cuts.push((process, at_ms, at_ms + for_ms)),
                Fault::Silence { at_ms, for_ms } => weather.silences.push((at_ms, at_ms + for_ms)),
                Fault::Congestion { at_ms, for_ms } => weather.congestions.push((at_ms, at_ms + for_ms)),
                _ => {}
            }
        }
        weather
    }

    pub(super) fn arm(&mut self, process: Process, at_ms: u64, after: u64, what: CallFault) {
        self.armed.push(Armed { process, at_ms, after, what });
    }

    /// What happens to the call with an effect that is the `number`-th of the process.
    pub(super) fn hit(&mut self, process: Process, now_ms: u64, number: u64) -> Option<CallFault> {
        let is_hit = |armed: &Armed| armed.process == process && armed.at_ms <= now_ms && armed.after < number;
        let place = self.armed.iter().position(is_hit)?;
        Some(self.armed.remove(place).what)
    }

    pub(super) fn reaches_broker(&self, process: Process, now_ms: u64) -> bool {
        let is_cut = self.cuts.iter().any(|&(cut, from, to)| cut == process && (from..to).contains(&now_ms));
        !self.broker_is_down && !is_cut
    }

    pub(super) fn chain_answers(&self, now_ms: u64) -> bool {
        !during(&self.silences, now_ms)
    }

    pub(super) fn is_congested(&self, now_ms: u64) -> bool {
        during(&self.congestions, now_ms)
    }
}

fn during(spans: &[(u64, u64)], now_ms: u64) -> bool {
    spans.iter().any(|&(from, to)| (from..to).contains(&now_ms))
}
