//! Which faults are in force.
//!
//! A fault of the chain waits for something of ours to happen to: a submission takes a minute of an hour, and a re-org of
//! blocks that hold nothing tells nothing.

use crate::chain::Chain;
use crate::process::Process;
use crate::schedule::{CallFault, Fault};

/// The faults that last, and those that wait for their call.
#[derive(Debug, Default)]
pub(super) struct Weather {
    cuts: Vec<(Process, u64, u64)>,
    silent_to_ms: u64,
    congested_to_ms: u64,
    armed: Vec<Armed>,
    of_chain: Vec<Fault>,
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
                Fault::Reorg { .. } | Fault::Silence { .. } | Fault::Congestion { .. } | Fault::Forget { .. } => {
                    weather.of_chain.push(*fault);
                }
                Fault::Call { .. }
                | Fault::Kill { .. }
                | Fault::Stop { .. }
                | Fault::Pause { .. }
                | Fault::Clock { .. }
                | Fault::Rot { .. }
                | Fault::BrokerDown { .. } => {}
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

    pub(super) const fn chain_answers(&self, now_ms: u64) -> bool {
        now_ms >= self.silent_to_ms
    }

    pub(super) const fn is_congested(&self, now_ms: u64) -> bool {
        now_ms < self.congested_to_ms
    }

    /// A transaction of ours is being sent: what was to begin with one begins.
    pub(super) fn on_send(&mut self, now_ms: u64) {
        let (silent_to_ms, congested_to_ms) = (&mut self.silent_to_ms, &mut self.congested_to_ms);
        self.of_chain.retain(|fault| {
            match *fault {
                Fault::Silence { at_ms, for_ms } if at_ms <= now_ms => *silent_to_ms = now_ms + for_ms,
                Fault::Congestion { at_ms, for_ms } if at_ms <= now_ms => *congested_to_ms = now_ms + for_ms,
                _ => return true,
            }
            false
        });
    }

    /// What happens to the chain before its next block.
    pub(super) fn on_block(&mut self, now_ms: u64, chain: &Chain) -> Option<Fault> {
        let is_due = |fault: &Fault| match *fault {
            Fault::Reorg { at_ms, depth, .. } => {
                at_ms <= now_ms && (chain.holds_at(depth) || chain.is_decided_at(depth))
            }
            Fault::Forget { at_ms } => at_ms <= now_ms && chain.has_waiting(),
            _ => false,
        };
        let place = self.of_chain.iter().position(is_due)?;
        Some(self.of_chain.remove(place))
    }
}
