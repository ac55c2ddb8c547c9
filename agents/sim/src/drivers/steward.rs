//! Mirrors `agents/node/src/roles/steward.rs` (`work`, `handle`, `settle`, `record`) and
//! `agents/node/src/chain/transaction` (`Triggers::settle`: the machine is stored before its actions are carried out;
//! `check`, `send`, `ask`; a receipt stays with the payer that first took it up; of two writers of a machine the second
//! leaves it to the first).
//!
//! Left out: the limit of transactions per minute, the question for the fee, the journal. Each steward is one payer. A
//! head is asked for each second where the product asks three times.

use std::collections::VecDeque;
use std::rc::Rc;

use hygeia_protocol::bytes::B32;
use hygeia_protocol::message::{Message, Receipt, Settlement, SettlementStatus, V1};
use hygeia_protocol::subject::{self, Stream};
use hygeia_protocol::submission::{Action, Event, FailReason, Landing, SendFailure, Submission, SubmissionConfig};
use hygeia_protocol::time::Timestamp;

use crate::broker::Subject;
use crate::call::{Call, Reply, Request, Unanswered};
use crate::chain::{CONFIRMATIONS, Refusal};
use crate::port::Port;
use crate::process::Process;
use crate::run::PlantedBug;
use crate::ward;

/// Time between two looks at the head.
const POLL_MS: u64 = 1_000;
/// Pause before a receipt is tried again that the chain could not be asked about; the product's.
const RETRY_PAUSE_MS: u64 = 2_000;

/// What became of a receipt.
enum Taken {
    /// The chain has answered one way or the other.
    Settled(Result<Landing, FailReason>),
    /// It is another payer's: the queue gives it again, in the end to that one.
    Elsewhere,
}

pub(super) async fn run(port: Port) -> Result<(), Unanswered> {
    loop {
        for job in port.jobs(Stream::Receipts, 1).await? {
            if let Ok(receipt) = Receipt::decode(&job.entry.payload) {
                let settling = settle(&port, &receipt);
                let Taken::Settled(outcome) = port.while_working(Stream::Receipts, &job, settling).await else {
                    continue;
                };
                let settlement = record(&port, &receipt, outcome);
                let subject = Subject::Named(subject::SETTLEMENT.into());
                port.publish(Stream::Settlements, subject, &settlement).await?;
            }
            port.ack(Stream::Receipts, &job).await?;
        }
    }
}

/// Tries until the chain has answered.
async fn settle(port: &Port, receipt: &Receipt) -> Taken {
    loop {
        match try_to_settle(port, receipt).await {
            Ok(taken) => return taken,
            Err(Unanswered) => port.sleep(RETRY_PAUSE_MS).await,
        }
    }
}

/// Follows a receipt until the chain has taken it for good, or refuses it.
async fn try_to_settle(port: &Port, receipt: &Receipt) -> Result<Taken, Unanswered> {
    let nullifier = ward::nullifier(&receipt.mandate, &receipt.policy, receipt.end);
    let call = Call {
        receipt: receipt.receipt_id,
        nullifier,
        mandate: receipt.mandate,
        model: receipt.model,
        end: receipt.end,
    };
    let Process::Steward(account) = port.process() else { unreachable!("stewards alone settle") };
    let trigger = Trigger { port, call, account };
    let key = format!("submission/{}", receipt.receipt_id.to_hex()).into();
    let Stored { mut revision, mut machine, account: of } = trigger.load(&key).await?;
    if of != account {
        return Ok(Taken::Elsewhere);
    }
    let mut events = VecDeque::from([Event::Requested]);
    loop {
        let event = match events.pop_front() {
            Some(event) => event,
            None => {
                port.sleep(POLL_MS).await;
                events.push_back(Event::Tick);
                Event::Head { number: trigger.number(Request::Head).await? }
            }
        };
        let actions = machine.step(event, Timestamp::from_millis(port.now_ms()));
        if !actions.is_empty() && !port.has_bug(PlantedBug::NullifierLost) {
            let bytes = serde_json::to_vec(&(account, &machine)).expect("the machine is JSON");
            let Some(written) = port.put(&key, bytes, Some(revision)).await? else { return Ok(Taken::Elsewhere) };
            revision = written;
        }
        for action in actions {
            match action {
                Action::Done { tx, block } => return Ok(Taken::Settled(Ok(Landing { tx, block }))),
                Action::Fail { reason } => return Ok(Taken::Settled(Err(reason))),
                action => events.push_back(trigger.carry_out(action).await?),
            }
        }
    }
}

/// A submission as it stands in the store.
struct Stored {
    revision: u64,
    account: u8,
    machine: Submission,
}

struct Trigger<'a> {
    port: &'a Port,
    call: Call,
    account: u8,
}

impl Trigger<'_> {
    async fn load(&self, key: &Rc<str>) -> Result<Stored, Unanswered> {
        let config = SubmissionConfig { confirmations: CONFIRMATIONS, ..SubmissionConfig::default() };
        let (revision, bytes) =
            self.port.get(key).await?.map_or((0, None), |(revision, bytes)| (revision, Some(bytes)));
        let known = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let (account, machine) = known.unwrap_or_else(|| (self.account, Submission::new(config, self.call.receipt)));
        Ok(Stored { revision, account, machine })
    }

    async fn carry_out(&self, action: Action) -> Result<Event, Unanswered> {
        match action {
            Action::CheckSettled => self.check().await,
            Action::Send { nonce, fee_bump_percent, .. } => self.send(nonce, fee_bump_percent).await,
            Action::AskReceipt { tx } => self.ask(tx).await,
            Action::Done { .. } | Action::Fail { .. } => Ok(Event::Tick),
        }
    }

    /// In the product's order: head, landing, nonce at the final block, nonce with what waits.
    async fn check(&self) -> Result<Event, Unanswered> {
        let head = self.number(Request::Head).await?;
        let Call { nullifier, receipt, .. } = self.call;
        let Reply::Landing(settled) = self.port.call(Request::Landing { nullifier, receipt }).await? else {
            unreachable!("a question for a landing is answered with one");
        };
        let block = Some(head.saturating_sub(CONFIRMATIONS));
        let final_nonce = self.number(Request::Nonce { account: self.account, block }).await?;
        let next_nonce = self.number(Request::Nonce { account: self.account, block: None }).await?;
        let settled = settled.filter(|_| !self.port.has_bug(PlantedBug::NullifierLost));
        Ok(Event::Checked { settled, final_nonce, next_nonce })
    }

    async fn send(&self, nonce: u64, fee_bump_percent: u32) -> Result<Event, Unanswered> {
        let failed = |kind| Ok(Event::SendFailed { kind });
        let call = self.call;
        match self.port.call(Request::Estimate { call }).await {
            Err(Unanswered) => return failed(SendFailure::Transient),
            Ok(Reply::Refuses(true)) => return failed(SendFailure::Reverted { selector: None }),
            Ok(_) => {}
        }
        let fee_percent = 100 + fee_bump_percent;
        match self.port.call(Request::Send { account: self.account, nonce, fee_percent, call }).await {
            Ok(Reply::Sent(Ok(tx))) => Ok(Event::Sent { tx: tx.hash, nonce }),
            Ok(Reply::Sent(Err(Refusal::NonceTooLow))) => failed(SendFailure::NonceTooLow),
            Ok(Reply::Sent(Err(Refusal::Underpriced))) => failed(SendFailure::Underpriced),
            _ => failed(SendFailure::Transient),
        }
    }

    async fn ask(&self, tx: B32) -> Result<Event, Unanswered> {
        let Reply::Mined(found) = self.port.call(Request::Mined { tx }).await? else {
            unreachable!("a question for a transaction is answered with one");
        };
        Ok(match found {
            Some((block, mined)) => Event::Receipt { tx, block, success: mined.success },
            None => Event::ReceiptMissing { tx },
        })
    }

    async fn number(&self, request: Request) -> Result<u64, Unanswered> {
        let Reply::Number(number) = self.port.call(request).await? else {
            unreachable!("a question for a number is answered with one");
        };
        Ok(number)
    }
}

fn record(port: &Port, receipt: &Receipt, outcome: Result<Landing, FailReason>) -> Settlement {
    let none = B32::new([0; 32]);
    let landing = outcome.unwrap_or(Landing { tx: none, block: 0 });
    let trigger_id = outcome.map_or(none, |_| ward::nullifier(&receipt.mandate, &receipt.policy, receipt.end));
    Settlement {
        v: V1,
        receipt_id: receipt.receipt_id,
        alert_id: receipt.alert_id,
        trigger_id,
        transaction: landing.tx,
        block: landing.block,
        gas_used: 0,
        status: if outcome.is_ok() { SettlementStatus::Triggered } else { SettlementStatus::Refused },
        reason: outcome.err().map(|reason| name_of(reason).to_owned()),
        settled_at_ms: port.now_ms(),
    }
}

const fn name_of(reason: FailReason) -> &'static str {
    match reason {
        FailReason::Reverted { .. } => "NullifierUsed",
        FailReason::GaveUp => "GaveUp",
    }
}
