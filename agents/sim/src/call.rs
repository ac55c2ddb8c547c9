//! What a role asks of the outside, and what it hears. Every call is an await: the places where a role can be killed.

use std::rc::Rc;

use hygeia_protocol::bytes::B32;
use hygeia_protocol::subject::Stream;
use hygeia_protocol::submission::Landing;

use crate::broker::{Change, Delivery, Entry, Filter, Publication, Stored, Subject};
use crate::chain::{Refusal, Tx};
use crate::governance::Seen;

/// A call.
#[derive(Clone, Debug)]
pub enum Request {
    /// Store a message.
    Publish(Publication),
    /// Messages from a place on; waits for one to come, unless `wait_ms` is 0.
    Read {
        /// Of which stream.
        stream: Stream,
        /// Which of them.
        filter: Filter,
        /// The first place.
        from: u64,
        /// How long to wait.
        wait_ms: u64,
    },
    /// The message at a place.
    At {
        /// Of which stream.
        stream: Stream,
        /// The place.
        sequence: u64,
    },
    /// The newest message on a subject.
    LastOf {
        /// Of which stream.
        stream: Stream,
        /// The subject.
        subject: Subject,
    },
    /// The value under a key.
    Get {
        /// The key.
        key: Rc<str>,
    },
    /// Write a value, or remove it.
    Write {
        /// The key.
        key: Rc<str>,
        /// The value.
        bytes: Option<Rc<[u8]>>,
        /// The revision that must stand, where that matters.
        after: Option<u64>,
        /// How long it is kept, where the broker is to remove it.
        ttl_ms: Option<u64>,
        /// A sign of life, which comes all the time: no fault is counted by it.
        is_routine: bool,
    },
    /// Forget keys by their beginning.
    Purge {
        /// The beginning.
        prefix: Rc<str>,
        /// But not those.
        but: Rc<str>,
    },
    /// What was written since a revision; waits for a write to come, unless `wait_ms` is 0.
    Watch {
        /// Beginning of the keys.
        prefix: Rc<str>,
        /// The revision.
        since: u64,
        /// How long to wait.
        wait_ms: u64,
    },
    /// Jobs; waits for one to come.
    Fetch {
        /// Of which stream.
        stream: Stream,
        /// How many at most.
        max: usize,
        /// How long to wait.
        wait_ms: u64,
    },
    /// A job is done.
    Ack {
        /// Of which stream.
        stream: Stream,
        /// Its place.
        sequence: u64,
    },
    /// The newest block.
    Head,
    /// What stands in the registries.
    Registries,
    /// Transactions of an account: up to a block, or with those that wait.
    Nonce {
        /// The account.
        account: u8,
        /// The block.
        block: Option<u64>,
    },
    /// The transaction that had the effect of a receipt.
    Landing {
        /// What it burned.
        nullifier: B32,
        /// The receipt.
        receipt: B32,
    },
    /// Whether the contract would refuse.
    Estimate {
        /// What is asked for.
        call: Call,
    },
    /// Send a transaction.
    Send {
        /// Whose.
        account: u8,
        /// Its nonce.
        nonce: u64,
        /// What it pays.
        fee_percent: u32,
        /// What it asks for.
        call: Call,
    },
    /// Whether a transaction is in a block.
    Mined {
        /// Its hash.
        tx: B32,
    },
    /// Make a proof; takes as long as this, in the process itself.
    Prove {
        /// How long.
        takes_ms: u64,
    },
    /// Wait.
    Sleep {
        /// How long.
        ms: u64,
    },
}

/// What a transaction asks the contract for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The receipt that it carries.
    pub receipt: B32,
    /// The nullifier that it burns.
    pub nullifier: B32,
    /// Whose care is asked for.
    pub mandate: B32,
    /// The model that the proof is of.
    pub model: B32,
    /// End of the window, in seconds.
    pub end: u64,
}

/// An answer.
#[derive(Clone, Debug)]
pub enum Reply {
    /// To [`Request::Publish`].
    Stored(Stored),
    /// To [`Request::Read`], [`Request::At`] and [`Request::LastOf`].
    Entries(Vec<Entry>),
    /// To [`Request::Get`].
    Value(Option<(u64, Rc<[u8]>)>),
    /// To [`Request::Write`]: the revision, or nothing where another write came first.
    Written(Option<u64>),
    /// To [`Request::Watch`].
    Changes(Vec<Change>),
    /// To [`Request::Fetch`].
    Jobs(Vec<Delivery>),
    /// To [`Request::Purge`], [`Request::Ack`], [`Request::Prove`] and [`Request::Sleep`].
    Done,
    /// To [`Request::Head`] and [`Request::Nonce`].
    Number(u64),
    /// To [`Request::Registries`].
    Registries(Seen),
    /// To [`Request::Landing`].
    Landing(Option<Landing>),
    /// To [`Request::Estimate`].
    Refuses(bool),
    /// To [`Request::Send`].
    Sent(Result<Tx, Refusal>),
    /// To [`Request::Mined`].
    Mined(Option<(u64, Tx)>),
}

/// No answer came in time. What was asked for may have happened all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer in time")]
pub struct Unanswered;

/// What a call hears.
pub type Answer = Result<Reply, Unanswered>;

/// Where a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The broker.
    Broker,
    /// A node of the chain.
    Chain,
    /// Nowhere: the process itself.
    Own,
}

impl Request {
    /// Where it goes.
    #[must_use]
    pub const fn target(&self) -> Target {
        match self {
            Request::Publish(_)
            | Request::Read { .. }
            | Request::At { .. }
            | Request::LastOf { .. }
            | Request::Get { .. }
            | Request::Write { .. }
            | Request::Purge { .. }
            | Request::Watch { .. }
            | Request::Fetch { .. }
            | Request::Ack { .. } => Target::Broker,
            Request::Head
            | Request::Registries
            | Request::Nonce { .. }
            | Request::Landing { .. }
            | Request::Estimate { .. }
            | Request::Send { .. }
            | Request::Mined { .. } => Target::Chain,
            Request::Prove { .. } | Request::Sleep { .. } => Target::Own,
        }
    }

    /// True where something is other than before once it arrived: the calls that faults are counted by.
    #[must_use]
    pub const fn has_effect(&self) -> bool {
        matches!(
            self,
            Request::Publish(_)
                | Request::Write { is_routine: false, .. }
                | Request::Purge { .. }
                | Request::Ack { .. }
                | Request::Send { .. }
                | Request::Prove { .. }
        )
    }

    /// How long it waits at the other side before an empty answer.
    #[must_use]
    pub const fn wait_ms(&self) -> u64 {
        match self {
            Request::Read { wait_ms, .. } | Request::Fetch { wait_ms, .. } | Request::Watch { wait_ms, .. } => *wait_ms,
            _ => 0,
        }
    }
}
