//! A chain and a steward that misbehave within their bounds: answers get lost, the steward is killed,
//! others use the account or have the effect first, and re-orgs are no deeper than the confirmations
//! waited for.

use hygeia_protocol::bytes::B32;
use hygeia_protocol::submission::{Action, Event, FailReason, Landing, SendFailure, Submission, SubmissionConfig};
use hygeia_protocol::time::Timestamp;
use proptest::prelude::*;

use crate::submission::{START, hash};

const CONFIG: SubmissionConfig = SubmissionConfig {
    confirmations: 2,
    resend_after_s: 30,
    retry_after_s: 1,
    answer_within_s: 15,
    fee_bump_percent: 13,
    fee_bump_percent_max: 300,
    give_up_after_s: 3_600,
};

/// Who sent a transaction of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    /// The submission under test.
    Ours,
    /// Another process with our account: takes a nonce, has no effect.
    OurAccount,
    /// Another account that has the same effect.
    Other,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Tx {
    sender: Sender,
    hash: B32,
    nonce: u64,
    success: bool,
}

/// What happens to the answer of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Carried out, the answer lost.
    Unheard {
        at: At,
    },
    /// Neither carried out nor answered.
    Undone {
        at: At,
    },
    /// A send carried out, answered with a transient failure.
    SentTransient,
    /// A send not carried out, answered with a transient failure.
    UnsentTransient,
    /// A send not carried out for its fee.
    Underpriced,
    /// The steward is killed before the action and starts again from its checkpoint.
    KilledBefore {
        at: At,
    },
    /// The steward is killed after the action and before it hears the answer.
    KilledAfter {
        at: At,
    },
}

/// Which actions a fault hits: a send comes only after a question was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    Any,
    Sends,
}

impl At {
    fn hits(self, action: Action) -> bool {
        self == At::Any || matches!(action, Action::Send { .. })
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    Mine { ours: Option<usize>, our_account: bool, other: bool },
    Reorg { depth: usize, keep: bool },
    Head,
    Tick { s: u64 },
    Refuse(bool),
}

pub(crate) struct World {
    /// Blocks, genesis first. There is deliberately no nullifier among our own transactions: two of
    /// them that land are two effects.
    chain: Vec<Vec<Tx>>,
    /// Transactions of ours that a node knows; replaced ones too, since another node may hold them.
    pub(crate) pool: Vec<Tx>,
    /// The contract refuses at the moment.
    pub(crate) refuses: bool,
    now: Timestamp,
    hashes: u64,
    pub(crate) submission: Submission,
    pub(crate) ended: Option<Action>,
}

impl World {
    pub(crate) fn new() -> World {
        World {
            chain: vec![Vec::new()],
            pool: Vec::new(),
            refuses: false,
            now: START,
            hashes: 0,
            submission: Submission::new(CONFIG, hash(0)),
            ended: None,
        }
    }

    fn head(&self) -> u64 {
        self.chain.len() as u64 - 1
    }

    fn new_hash(&mut self) -> B32 {
        self.hashes += 1;
        hash(self.hashes)
    }

    /// Transactions of our account in the first `blocks` blocks.
    fn nonce_at(&self, blocks: usize) -> u64 {
        let txs = self.chain.iter().take(blocks).flatten();
        txs.filter(|tx| tx.sender != Sender::Other).count() as u64
    }

    fn nonce(&self) -> u64 {
        self.nonce_at(self.chain.len())
    }

    fn final_nonce(&self) -> u64 {
        self.nonce_at(self.chain.len().saturating_sub(CONFIG.confirmations as usize))
    }

    fn find(&self, wanted: impl Fn(&Tx) -> bool) -> Option<(u64, Tx)> {
        let numbered = (0..).zip(&self.chain);
        let mut txs = numbered.flat_map(|(block, txs)| txs.iter().map(move |tx| (block, *tx)));
        txs.find(|(_, tx)| wanted(tx))
    }

    pub(crate) fn settled(&self) -> Option<Landing> {
        let effect = |tx: &Tx| tx.sender != Sender::OurAccount && tx.success;
        self.find(effect).map(|(block, tx)| Landing { tx: tx.hash, block })
    }

    pub(crate) fn mine(&mut self, ours: Option<usize>, our_account: bool, other: bool) {
        let mut block = Vec::new();
        if other && self.settled().is_none() && !self.refuses {
            let hash = self.new_hash();
            block.push(Tx { sender: Sender::Other, hash, nonce: 0, success: true });
        }
        let nonce = self.nonce();
        let ready: Vec<_> = self.pool.iter().filter(|tx| tx.nonce == nonce).copied().collect();
        if let Some(choice) = ours
            && !ready.is_empty()
        {
            let tx = ready[choice % ready.len()];
            let others = self.find(|tx| tx.sender == Sender::Other).is_some() || !block.is_empty();
            block.push(Tx { success: !self.refuses && !others, ..tx });
        } else if our_account {
            let hash = self.new_hash();
            block.push(Tx { sender: Sender::OurAccount, hash, nonce, success: true });
        }
        self.chain.push(block);
    }

    fn reorg(&mut self, depth: usize, keep: bool) {
        let depth = depth.min(CONFIG.confirmations as usize).min(self.chain.len() - 1);
        let height = self.chain.len();
        for tx in self.chain.split_off(height - depth).into_iter().flatten() {
            let known = self.pool.iter().any(|known| known.hash == tx.hash);
            if keep && tx.sender == Sender::Ours && !known {
                self.pool.push(tx);
            }
        }
        if !keep {
            let nonce = self.nonce();
            self.pool.retain(|tx| tx.nonce < nonce);
        }
        // The branch that wins is longer.
        while self.chain.len() <= height {
            self.chain.push(Vec::new());
        }
    }

    fn assert_one_effect(&self) {
        let ours = |tx: &&Tx| tx.sender == Sender::Ours && tx.success;
        assert!(self.chain.iter().flatten().filter(ours).count() <= 1, "two effects");
    }

    /// Every nonce that a node ever saw is the one being sent or is spent at a final block.
    fn assert_single_nonce(&self, nonce: u64) {
        let open = |tx: &&Tx| tx.nonce >= self.final_nonce() && tx.nonce != nonce;
        let on_chain = self.chain.iter().flatten().filter(|tx| tx.sender == Sender::Ours);
        let two = self.pool.iter().chain(on_chain).find(open);
        assert!(two.is_none(), "{two:?} could land beside nonce {nonce}");
    }

    pub(crate) fn feed(&mut self, event: Event, fault: Fault) {
        let mut actions = self.step(event);
        let mut rounds = 0;
        while !actions.is_empty() {
            rounds += 1;
            assert!(rounds < 200, "a step that never comes to rest");
            let action = actions.remove(0);
            if matches!(fault, Fault::KilledBefore { at } if at.hits(action)) {
                return self.restart();
            }
            let answer = self.carry_out(action, fault);
            if matches!(fault, Fault::KilledAfter { at } if at.hits(action)) {
                return self.restart();
            }
            if let Some(answer) = answer {
                actions.extend(self.step(answer));
            }
        }
    }

    /// The next life is without faults, or a schedule of kills would never end.
    fn restart(&mut self) {
        if self.ended.is_none() {
            self.feed(Event::Requested, Fault::None);
        }
    }

    fn step(&mut self, event: Event) -> Vec<Action> {
        let actions = self.submission.step(event, self.now);
        let checkpoint = serde_json::to_vec(&self.submission).unwrap();
        self.submission = serde_json::from_slice(&checkpoint).unwrap();
        if let Some(end) = self.submission.end()
            && self.ended.is_none()
        {
            self.ended = Some(end);
            assert_eq!(actions, [end]);
            self.assert_end(end);
            if end == (Action::Fail { reason: FailReason::GaveUp }) {
                assert!(self.now >= START.plus_seconds(u64::from(CONFIG.give_up_after_s)), "given up before its time");
                assert!(self.settled().is_none(), "given up although the chain has the effect");
            }
        }
        actions
    }

    pub(crate) fn assert_end(&self, end: Action) {
        if let Action::Done { tx, block } = end {
            let landed = self.find(|known| known.hash == tx && known.success);
            assert_eq!(landed.map(|(block, _)| block), Some(block));
            assert!(block + CONFIG.confirmations <= self.head(), "done before it is final");
        }
    }

    /// True where a transaction of ours can still land.
    pub(crate) fn is_on_its_way(&self) -> bool {
        self.pool.iter().any(|tx| tx.nonce >= self.final_nonce())
    }

    fn carry_out(&mut self, action: Action, fault: Fault) -> Option<Event> {
        if matches!(fault, Fault::Undone { at } if at.hits(action)) {
            return None;
        }
        let answer = match action {
            Action::CheckSettled => Event::Checked {
                settled: self.settled(),
                final_nonce: self.final_nonce(),
                next_nonce: self.nonce().max(self.submission.nonce().map_or(0, |held| held + 1)),
            },
            Action::AskReceipt { tx } => match self.find(|known| known.hash == tx) {
                Some((block, Tx { success, .. })) => Event::Receipt { tx, block, success },
                None => Event::ReceiptMissing { tx },
            },
            Action::Send { nonce, .. } => self.send(nonce, fault),
            Action::Done { .. } | Action::Fail { .. } => return None,
        };
        let unheard = matches!(fault, Fault::Unheard { at } if at.hits(action));
        (!unheard).then_some(answer)
    }

    fn send(&mut self, nonce: u64, fault: Fault) -> Event {
        self.assert_single_nonce(nonce);
        let failed = |kind| Event::SendFailed { kind };
        if fault == Fault::UnsentTransient {
            return failed(SendFailure::Transient);
        }
        if nonce < self.nonce() {
            return failed(SendFailure::NonceTooLow);
        }
        if self.refuses || self.find(|tx| tx.sender == Sender::Other).is_some() {
            return failed(SendFailure::Reverted { selector: None });
        }
        if fault == Fault::Underpriced {
            return failed(SendFailure::Underpriced);
        }
        let tx = Tx { sender: Sender::Ours, hash: self.new_hash(), nonce, success: false };
        self.pool.push(tx);
        if fault == Fault::SentTransient {
            return failed(SendFailure::Transient);
        }
        Event::Sent { tx: tx.hash, nonce }
    }

    pub(crate) fn apply(&mut self, op: Op, fault: Fault) {
        match op {
            Op::Mine { ours, our_account, other } => self.mine(ours, our_account, other),
            Op::Reorg { depth, keep } => self.reorg(depth, keep),
            Op::Head => self.feed(Event::Head { number: self.head() }, fault),
            Op::Tick { s } => {
                self.now = self.now.plus_seconds(s);
                self.feed(Event::Tick, fault);
            }
            Op::Refuse(refuses) => self.refuses = refuses,
        }
        self.assert_one_effect();
    }

    /// A block every twelve seconds with what is ready, every answer heard; whoever left a gap in the
    /// account's nonces fills it. Until the submission ends or the blocks are over.
    pub(crate) fn run_fairly(&mut self, blocks: u32) {
        for _ in 0..blocks {
            if self.ended.is_some() {
                return;
            }
            let nonce = self.nonce();
            let gap = self.pool.iter().any(|tx| tx.nonce > nonce);
            let mine = Op::Mine { ours: Some(0), our_account: gap, other: false };
            for op in [mine, Op::Head, Op::Tick { s: 12 }] {
                self.apply(op, Fault::None);
            }
        }
    }
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (any::<Option<usize>>(), prop::bool::weighted(0.2), prop::bool::weighted(0.03))
            .prop_map(|(ours, our_account, other)| Op::Mine { ours, our_account, other }),
        1 => (1..4_usize, any::<bool>()).prop_map(|(depth, keep)| Op::Reorg { depth, keep }),
        4 => Just(Op::Head),
        4 => (0..40_u64).prop_map(|s| Op::Tick { s }),
        1 => prop::bool::weighted(0.2).prop_map(Op::Refuse),
    ]
}

pub(crate) fn fault() -> impl Strategy<Value = Fault> {
    let at = || prop_oneof![Just(At::Any), Just(At::Sends)];
    prop_oneof![
        8 => Just(Fault::None),
        1 => at().prop_map(|at| Fault::Unheard { at }),
        1 => at().prop_map(|at| Fault::Undone { at }),
        1 => Just(Fault::SentTransient),
        1 => Just(Fault::UnsentTransient),
        1 => Just(Fault::Underpriced),
        1 => at().prop_map(|at| Fault::KilledBefore { at }),
        1 => at().prop_map(|at| Fault::KilledAfter { at }),
    ]
}
