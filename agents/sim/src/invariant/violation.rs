//! What did not hold.

use hygeia_protocol::bytes::B32;

/// What did not hold. Each says it in the words of the document that asks for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// ADR 1.
    #[error(
        "an observation must never be lost: a snapshot of the oracle passed it, and a window that it closed does not stand"
    )]
    WindowLost,
    /// ADR 1.
    #[error(
        "a position moves after every effect of a message has been stored: {missing} of window {window} is missing"
    )]
    PositionFirst {
        /// What is not stored.
        missing: &'static str,
        /// Whose.
        window: B32,
    },
    /// ADR 1.
    #[error("an acknowledgement is given after the effect is stored: {stream} {sequence} was acknowledged before")]
    AckFirst {
        /// Of which stream.
        stream: &'static str,
        /// Which message.
        sequence: u64,
    },
    /// ADR 22.
    #[error("nothing of an owner is stored after the fence of a newer one: stream {stream}, partition {partition}")]
    StaleOwner {
        /// The stream.
        stream: &'static str,
        /// The partition.
        partition: u16,
    },
    /// Issue 8.
    #[error("each window stands exactly once, and those of a patient in order: {stream}, window end {end}")]
    NotOnceInOrder {
        /// Where.
        stream: &'static str,
        /// The window's end.
        end: u64,
    },
    /// Issue 8.
    #[error("the cool-down holds across restarts: an alert {after_s} s after the one before, and no escalation")]
    CoolDown {
        /// Time between the windows' ends.
        after_s: u64,
    },
    /// The triage machine.
    #[error("a role decides what the machine decides: {what}, window end {end}")]
    OtherDecision {
        /// What was decided otherwise.
        what: &'static str,
        /// The window's end.
        end: u64,
    },
    /// The triage machine.
    #[error("a role decides what the machine decides: {said} and not {expected}, window end {end}, model {model}")]
    OtherOutcome {
        /// What the ledger says.
        said: String,
        /// What the machine says.
        expected: &'static str,
        /// The window's end.
        end: u64,
        /// The model.
        model: B32,
    },
    /// Issue 8.
    #[error("an alert is held back by its limit alone: {what}, window end {end}")]
    HeldBack {
        /// What is wrong.
        what: &'static str,
        /// The window's end.
        end: u64,
    },
    /// Issue 8.
    #[error("only what governance approved runs: model {model} scores and is not live to who scores")]
    NotLive {
        /// The model.
        model: B32,
    },
    /// ADR 1.
    #[error("a window made again is the same window, bit for bit: window {window} has two commitments")]
    Equivocation {
        /// The window.
        window: B32,
    },
    /// ADR 16.
    #[error("a scored window stands under exactly one audit root: window {window} stands in two orders")]
    OrderedTwice {
        /// The window.
        window: B32,
    },
    /// Issue 8.
    #[error("every settled trigger has its proof and alert before it: {missing} of receipt {receipt} is missing")]
    Unfounded {
        /// What is not stored.
        missing: &'static str,
        /// The receipt.
        receipt: B32,
    },
    /// The submission machine.
    #[error(
        "every transaction of a trigger has the same nonce: receipt {receipt} can land under nonces {one} and {other}"
    )]
    TwoNonces {
        /// The receipt.
        receipt: B32,
        /// A nonce.
        one: u64,
        /// Another.
        other: u64,
    },
    /// ADR 1.
    #[error("the broker's word is not the truth about a settlement: receipt {receipt} is recorded as {recorded}")]
    Settlement {
        /// The receipt.
        receipt: B32,
        /// What the settlement says.
        recorded: &'static str,
    },
    /// ADR 24.
    #[error("no trigger is given up while the chain would take it: receipt {receipt}")]
    GivenUp {
        /// The receipt.
        receipt: B32,
    },
    /// The model of the chain.
    #[error("the real contracts answer as the model of the chain does: not for the trigger of receipt {receipt}")]
    ContractsDiffer {
        /// The receipt.
        receipt: B32,
    },
    /// ADR 1: what `sync_interval: always` is for.
    #[error("acknowledged messages of stream {stream} were lost on power failure")]
    BrokerForgot {
        /// The stream.
        stream: &'static str,
    },
    /// Issue 8: nothing lost.
    #[error("hours after the last fault {missing} is still missing")]
    NotAtRest {
        /// What.
        missing: &'static str,
    },
    /// A loop without an await, or a run that does not move on.
    #[error("the run does not come to an end")]
    Endless,
}
