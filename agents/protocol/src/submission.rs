//! The submission machine: carries one trigger to the chain until it is final there or refused.
//!
//! It decides nonce, fee bump, retry and what to do after a re-org; the steward carries the actions out
//! and feeds back what happened. The rule that keeps one trigger from having two effects is about the
//! nonce: every transaction of a trigger has the same nonce, so at most one of them can land, until that
//! nonce is spent at a final block by something else. Only then may the trigger take another.
//!
//! What the machine asks of the steward:
//! - It stores the machine (it is serialisable) *before* it carries out the actions of a step. After a
//!   crash it loads the machine and feeds [`Event::Requested`]; the machine looks at the chain first and
//!   goes on from there, with the nonce that it had.
//! - It feeds what it reads from the chain in the order in which it read it, so that a receipt fed after
//!   a head was true at that head or later.

use serde::{Deserialize, Serialize};

use crate::bytes::B32;
use crate::time::Timestamp;

/// Transactions of one nonce whose receipts are asked for. One that was sent before these is still found by its effect;
/// from the first fee to the highest there are thirteen.
const SENT_MAX: usize = 16;
/// Doublings of the wait after a failure.
const BACK_OFF_DOUBLINGS_MAX: u32 = 6;
/// Doublings of the wait before a transaction is sent again.
const RESEND_DOUBLINGS_MAX: u32 = 3;

/// Bounds of a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmissionConfig {
    /// Blocks on top of a transaction's own until it is final; no re-org is deeper.
    pub confirmations: u64,
    /// How long a transaction may stay without a receipt before it is sent again with a higher fee; up to eight times as
    /// long after many attempts.
    pub resend_after_s: u32,
    /// First wait after a failure; doubles with each attempt, up to 64 times as long.
    pub retry_after_s: u32,
    /// How long to wait for an answer to an action before asking again.
    pub answer_within_s: u32,
    /// Rise of the fee from one transaction to the next, in percent. Nodes ask for 10 at least.
    pub fee_bump_percent: u32,
    /// The fee rises by this much at most over the first, in percent.
    pub fee_bump_percent_max: u32,
    /// How long to try before giving up. Nothing else ends a submission that the contract would still take, so this is
    /// longer than any policy takes an attestation: where the contract says that it is too old, that comes first.
    pub give_up_after_s: u32,
}

impl Default for SubmissionConfig {
    fn default() -> SubmissionConfig {
        SubmissionConfig {
            confirmations: 2,
            resend_after_s: 30,
            retry_after_s: 1,
            answer_within_s: 15,
            fee_bump_percent: 13,
            fee_bump_percent_max: 300,
            give_up_after_s: 14 * 86_400,
        }
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// Begin, or begin again after a restart.
    Requested,
    /// Answer to [`Action::CheckSettled`], all three read at the same head.
    Checked {
        /// The transaction that had the effect, if the chain has it, whoever sent it.
        settled: Option<Landing>,
        /// Transactions of our account at the newest final block, `confirmations` below the head: every
        /// lower nonce is spent for good.
        final_nonce: u64,
        /// The next nonce that no submission holds.
        next_nonce: u64,
    },
    /// A node took the transaction.
    Sent {
        /// Its hash.
        tx: B32,
        /// Its nonce.
        nonce: u64,
    },
    /// A node did not take the transaction.
    SendFailed {
        /// Why not.
        kind: SendFailure,
    },
    /// A transaction is in a block.
    Receipt {
        /// Its hash.
        tx: B32,
        /// The block.
        block: u64,
        /// False where it reverted.
        success: bool,
    },
    /// A transaction that was asked for is in no block, or no more.
    ReceiptMissing {
        /// Its hash.
        tx: B32,
    },
    /// The newest block.
    Head {
        /// Its number.
        number: u64,
    },
    /// Time has passed.
    Tick,
}

/// A transaction and the block that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Landing {
    /// Hash of the transaction.
    pub tx: B32,
    /// Number of the block.
    pub block: u64,
}

/// Why a node did not take a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SendFailure {
    /// No answer, or one that says nothing about the transaction. It may be on its way all the same.
    Transient,
    /// The fee is too low, on its own or to replace the earlier transaction.
    Underpriced,
    /// The nonce is spent.
    NonceTooLow,
    /// The contract would refuse it.
    Reverted {
        /// First four bytes of the contract's error, where the node tells them.
        selector: Option<[u8; 4]>,
    },
}

/// What the steward is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Ask the chain whether the effect is there; answered by [`Event::Checked`].
    CheckSettled,
    /// Sign and send; answered by [`Event::Sent`] or [`Event::SendFailed`].
    Send {
        /// The nonce to use.
        nonce: u64,
        /// How much to raise the fee over the one first chosen, in percent.
        fee_bump_percent: u32,
        /// 1 for the first transaction.
        attempt: u32,
    },
    /// Ask for a receipt; answered by [`Event::Receipt`] or [`Event::ReceiptMissing`].
    AskReceipt {
        /// Hash of the transaction.
        tx: B32,
    },
    /// The effect is final; nothing follows.
    Done {
        /// The transaction that had it.
        tx: B32,
        /// Its block.
        block: u64,
    },
    /// There is no effect and there will be no further attempt; nothing follows.
    Fail {
        /// Why.
        reason: FailReason,
    },
}

/// Why a submission ended without an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
pub enum FailReason {
    /// The contract refuses the trigger.
    #[error("the contract refuses the trigger")]
    Reverted {
        /// First four bytes of its error, where they are known.
        selector: Option<[u8; 4]>,
    },
    /// The time allowed is over, and the chain, asked last, does not have the effect. A transaction that was sent may
    /// still land: the reconciler looks again.
    #[error("the time allowed is over, and the chain does not have the effect")]
    GaveUp,
}

/// One trigger's way to the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    config: SubmissionConfig,
    digest: B32,
    started: Option<Timestamp>,
    state: State,
    /// The newest block seen.
    head: u64,
    /// The one nonce of every transaction that can still land.
    nonce: Option<u64>,
    /// True where a transaction with this nonce may be known to a node.
    exposed: bool,
    /// Transactions of this nonce that a node took; the newest [`SENT_MAX`].
    sent: Vec<B32>,
    /// Transactions handed out. They shape the waits and end nothing.
    attempts: u32,
    fee_bump_percent: u32,
    /// True where the contract refused once while a transaction may still be on its way.
    refused: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    /// Nothing was asked yet.
    New,
    /// The chain was asked; `then` says what an effect that is not there leads to.
    Checking { since: Timestamp, then: Then },
    /// Waits before the next attempt.
    BackingOff { until: Timestamp },
    /// A transaction was handed out; whether a node took it is not known yet.
    Sending { since: Timestamp },
    /// A node took a transaction; it is in no block yet.
    Pending { since: Timestamp },
    /// The nonce is spent, and not by a transaction we know of; waits until that is final.
    NonceSpent { since: Timestamp },
    /// A transaction is in a block; waits until that is final.
    Landed { landing: Landing, success: bool, asked: Timestamp },
    /// The end.
    Done(Landing),
    /// The end.
    Failed(FailReason),
}

/// What to do when the chain does not have the effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Then {
    Send,
    AwaitNonce { since: Timestamp },
    Refuse { selector: Option<[u8; 4]> },
    GiveUp,
}

impl Submission {
    /// A submission that has done nothing yet; [`Event::Requested`] sets it off.
    #[must_use]
    pub const fn new(config: SubmissionConfig, digest: B32) -> Submission {
        Submission {
            config,
            digest,
            started: None,
            state: State::New,
            head: 0,
            nonce: None,
            exposed: false,
            sent: Vec::new(),
            attempts: 0,
            fee_bump_percent: 0,
            refused: false,
        }
    }

    /// What is submitted.
    #[must_use]
    pub const fn digest(&self) -> &B32 {
        &self.digest
    }

    /// The nonce that this submission holds.
    #[must_use]
    pub const fn nonce(&self) -> Option<u64> {
        self.nonce
    }

    /// True where a transaction with [`Submission::nonce`] may be known to a node. Where this is false at
    /// the end, the nonce was never used and must be given to the next submission: a gap blocks the account.
    #[must_use]
    pub const fn is_exposed(&self) -> bool {
        self.exposed
    }

    /// How it ended, if it did: [`Action::Done`] or [`Action::Fail`].
    #[must_use]
    pub const fn end(&self) -> Option<Action> {
        match self.state {
            State::Done(Landing { tx, block }) => Some(Action::Done { tx, block }),
            State::Failed(reason) => Some(Action::Fail { reason }),
            _ => None,
        }
    }

    /// Begins again with a submission that has ended: its effect was taken out of the chain, or was given up too soon. It
    /// keeps its nonce, because what was sent with it may land again; [`Event::Requested`] sets it off.
    #[must_use]
    pub fn reopened(self) -> Submission {
        let exposed = self.nonce.is_some();
        Submission { started: None, state: State::New, head: 0, attempts: 0, refused: false, exposed, ..self }
    }

    /// Takes in what happened and says what to do. A submission that has ended answers
    /// [`Event::Requested`] with its end again and everything else with nothing.
    pub fn step(&mut self, event: Event, now: Timestamp) -> Vec<Action> {
        if let Some(end) = self.end() {
            return if event == Event::Requested { vec![end] } else { Vec::new() };
        }
        match event {
            Event::Requested => self.requested(now),
            Event::Checked { settled: Some(landing), .. } if self.is_checking() => self.landed(landing, true, now),
            Event::Checked { settled: None, final_nonce, next_nonce } => self.unsettled(final_nonce, next_nonce, now),
            Event::Sent { tx, nonce } => self.sent(tx, nonce, now),
            Event::SendFailed { kind } => self.send_failed(kind, now),
            Event::Receipt { tx, block, success } => self.receipt(Landing { tx, block }, success, now),
            Event::ReceiptMissing { tx } => self.receipt_missing(tx, now),
            Event::Head { number } => self.new_head(number, now),
            Event::Tick => self.time_passed(now),
            Event::Checked { .. } => Vec::new(),
        }
    }

    fn requested(&mut self, now: Timestamp) -> Vec<Action> {
        self.started.get_or_insert(now);
        // The crash may have come between sending and hearing of it.
        self.exposed |= matches!(self.state, State::Sending { .. });
        self.check(Then::Send, now)
    }

    fn is_checking(&self) -> bool {
        matches!(self.state, State::Checking { .. })
    }

    fn check(&mut self, then: Then, now: Timestamp) -> Vec<Action> {
        self.state = State::Checking { since: now, then };
        vec![Action::CheckSettled]
    }

    /// The chain does not have the effect.
    fn unsettled(&mut self, final_nonce: u64, next_nonce: u64, now: Timestamp) -> Vec<Action> {
        let State::Checking { then, .. } = self.state else {
            return Vec::new();
        };
        match then {
            Then::Send => match self.nonce {
                Some(nonce) if final_nonce <= nonce => self.send(nonce, now),
                held => self.take_nonce(held, next_nonce, now, now),
            },
            Then::AwaitNonce { since } => match self.nonce {
                Some(nonce) if self.exposed && final_nonce <= nonce => self.await_nonce(since),
                held => self.take_nonce(held, next_nonce, since, now),
            },
            Then::Refuse { .. } if self.exposed && !self.refused => {
                // What is on its way may still land, and tells more than a refusal of the next one.
                self.refused = true;
                self.state = State::Pending { since: now };
                self.ask_receipts()
            }
            Then::Refuse { selector } => self.fail(FailReason::Reverted { selector }),
            Then::GiveUp => self.fail(FailReason::GaveUp),
        }
    }

    /// Takes the next nonce: the one held, if any, can carry nothing of ours any more.
    fn take_nonce(&mut self, held: Option<u64>, next_nonce: u64, since: Timestamp, now: Timestamp) -> Vec<Action> {
        if held.is_some_and(|held| next_nonce <= held) {
            // The two numbers contradict each other; the node that gave them may be behind.
            return self.await_nonce(since);
        }
        self.nonce = Some(next_nonce);
        self.exposed = false;
        self.sent.clear();
        self.fee_bump_percent = 0;
        self.refused = false;
        self.send(next_nonce, now)
    }

    fn await_nonce(&mut self, since: Timestamp) -> Vec<Action> {
        self.state = State::NonceSpent { since };
        self.ask_receipts()
    }

    fn send(&mut self, nonce: u64, now: Timestamp) -> Vec<Action> {
        self.attempts = self.attempts.saturating_add(1);
        self.state = State::Sending { since: now };
        let (attempt, fee_bump_percent) = (self.attempts, self.fee_bump_percent);
        vec![Action::Send { nonce, fee_bump_percent, attempt }]
    }

    fn sent(&mut self, tx: B32, nonce: u64, now: Timestamp) -> Vec<Action> {
        if self.nonce != Some(nonce) {
            return Vec::new();
        }
        self.exposed = true;
        if !self.sent.contains(&tx) {
            if self.sent.len() >= SENT_MAX {
                self.sent.remove(0);
            }
            self.sent.push(tx);
        }
        if matches!(self.state, State::Sending { .. }) {
            self.state = State::Pending { since: now };
        }
        Vec::new()
    }

    fn send_failed(&mut self, kind: SendFailure, now: Timestamp) -> Vec<Action> {
        let (State::Sending { .. }, Some(nonce)) = (self.state, self.nonce) else {
            return Vec::new();
        };
        match kind {
            SendFailure::Transient => {
                self.exposed = true;
                self.back_off(now)
            }
            SendFailure::Underpriced => {
                let before = self.fee_bump_percent;
                self.raise_fee();
                // At its highest fee it waits: the market or the block that takes the earlier transaction.
                if self.fee_bump_percent > before { self.send(nonce, now) } else { self.back_off(now) }
            }
            SendFailure::NonceTooLow => self.check(Then::AwaitNonce { since: now }, now),
            SendFailure::Reverted { selector } => self.check(Then::Refuse { selector }, now),
        }
    }

    fn receipt(&mut self, landing: Landing, success: bool, now: Timestamp) -> Vec<Action> {
        let followed = match self.state {
            State::Landed { landing: known, .. } if known.tx == landing.tx => true,
            // An effect that is followed is not given up for another transaction's failure.
            State::Landed { success: true, .. } if !success => false,
            _ => self.sent.contains(&landing.tx),
        };
        if followed { self.landed(landing, success, now) } else { Vec::new() }
    }

    fn landed(&mut self, landing: Landing, success: bool, now: Timestamp) -> Vec<Action> {
        self.state = State::Landed { landing, success, asked: now };
        if self.head < landing.block.saturating_add(self.config.confirmations) {
            return Vec::new();
        }
        if success {
            self.state = State::Done(landing);
            return self.end().into_iter().collect();
        }
        // Our transaction reverted for good and took the nonce with it. Somebody else's may be the reason.
        self.exposed = false;
        self.sent.clear();
        self.check(Then::Refuse { selector: None }, now)
    }

    fn receipt_missing(&mut self, tx: B32, now: Timestamp) -> Vec<Action> {
        match self.state {
            // A re-org took it out of its block.
            State::Landed { landing, .. } if landing.tx == tx => self.check(Then::Send, now),
            _ => Vec::new(),
        }
    }

    fn new_head(&mut self, number: u64, now: Timestamp) -> Vec<Action> {
        self.head = number;
        match self.state {
            State::Pending { .. } => self.ask_receipts(),
            State::NonceSpent { since } => self.check(Then::AwaitNonce { since }, now),
            State::Landed { landing, success, .. } => self.ask_landing(landing, success, now),
            _ => Vec::new(),
        }
    }

    fn time_passed(&mut self, now: Timestamp) -> Vec<Action> {
        let over = |since: Timestamp, s: u32| now >= since.plus_seconds(u64::from(s));
        let answer_within_s = self.config.answer_within_s;
        let late = self.started.is_some_and(|at| over(at, self.config.give_up_after_s));
        match self.state {
            State::Landed { landing, success, asked } if over(asked, answer_within_s) => {
                self.ask_landing(landing, success, now)
            }
            State::Landed { .. } => Vec::new(),
            // Without the chain's answer nothing is given up.
            State::Checking { since, then: Then::GiveUp } if over(since, answer_within_s) => {
                self.check(Then::GiveUp, now)
            }
            State::Checking { then: Then::GiveUp, .. } => Vec::new(),
            _ if late => {
                self.exposed |= matches!(self.state, State::Sending { .. });
                self.check(Then::GiveUp, now)
            }
            State::Checking { since, then } if over(since, answer_within_s) => self.check(then, now),
            State::BackingOff { until } if now >= until => self.check(Then::Send, now),
            State::Sending { since } if over(since, answer_within_s) => {
                self.exposed = true;
                self.check(Then::Send, now)
            }
            State::Pending { since } if over(since, self.resend_after_s()) => {
                self.raise_fee();
                self.check(Then::Send, now)
            }
            // A re-org may have freed the nonce again: sending once more shows it.
            State::NonceSpent { since } if over(since, self.config.resend_after_s) => self.check(Then::Send, now),
            _ => Vec::new(),
        }
    }

    fn ask_landing(&mut self, landing: Landing, success: bool, now: Timestamp) -> Vec<Action> {
        self.state = State::Landed { landing, success, asked: now };
        vec![Action::AskReceipt { tx: landing.tx }]
    }

    fn ask_receipts(&self) -> Vec<Action> {
        self.sent.iter().map(|&tx| Action::AskReceipt { tx }).collect()
    }

    fn fail(&mut self, reason: FailReason) -> Vec<Action> {
        self.state = State::Failed(reason);
        self.end().into_iter().collect()
    }

    fn back_off(&mut self, now: Timestamp) -> Vec<Action> {
        let doublings = self.attempts.saturating_sub(1).min(BACK_OFF_DOUBLINGS_MAX);
        let pause_s = u64::from(self.config.retry_after_s) << doublings;
        self.state = State::BackingOff { until: now.plus_seconds(pause_s) };
        Vec::new()
    }

    /// A transaction that many like it did not help is looked after less often.
    fn resend_after_s(&self) -> u32 {
        let doublings = self.attempts.saturating_sub(1).min(RESEND_DOUBLINGS_MAX);
        self.config.resend_after_s.saturating_mul(1 << doublings)
    }

    /// Compounds, since a node compares with the transaction to be replaced and not with the first one.
    fn raise_fee(&mut self) {
        let step = u64::from(self.config.fee_bump_percent);
        let rise = (100 + u64::from(self.fee_bump_percent)).saturating_mul(step).div_ceil(100);
        let raised = u64::from(self.fee_bump_percent).saturating_add(rise);
        let cap = self.config.fee_bump_percent_max;
        self.fee_bump_percent = u32::try_from(raised).map_or(cap, |raised| raised.min(cap));
    }
}
