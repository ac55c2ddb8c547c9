//! What a role asks of the outside, and what it hears. Every call is an await: the places where a role can be killed.

use hygeia_protocol::bytes::B32;
use hygeia_protocol::subject::Stream;
use hygeia_protocol::submission::Landing;

use crate::broker::{Delivery, Entry, Publication, Stored};
use crate::chain::{Refusal, Tx};

/// A call.
#[derive(Clone, Debug)]
pub enum Request {
    /// Store a message.
    Publish(Publication),
    /// Messages from a place on; waits for one to come.
    Read {
        /// Of which stream.
        stream: Stream,
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
        subject: String,
    },
    /// The value under a key.
    Get {
        /// The key.
        key: String,
    },
    /// Store a value.
    Put {
        /// The key.
        key: String,
        /// The value.
        value: Vec<u8>,
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
    /// Transactions of the account: up to a block, or with those that wait.
    Nonce {
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
        /// What would be burned.
        nullifier: B32,
    },
    /// Send a transaction.
    Send {
        /// Its nonce.
        nonce: u64,
        /// What it pays.
        fee_percent: u32,
        /// What it carries.
        receipt: B32,
        /// What it burns.
        nullifier: B32,
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

/// An answer.
#[derive(Clone, Debug)]
pub enum Reply {
    /// To [`Request::Publish`].
    Stored(Stored),
    /// To [`Request::Read`], [`Request::At`] and [`Request::LastOf`].
    Entries(Vec<Entry>),
    /// To [`Request::Get`].
    Value(Option<Vec<u8>>),
    /// To [`Request::Fetch`].
    Jobs(Vec<Delivery>),
    /// To [`Request::Put`], [`Request::Ack`], [`Request::Prove`] and [`Request::Sleep`].
    Done,
    /// To [`Request::Head`] and [`Request::Nonce`].
    Number(u64),
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
            | Request::Put { .. }
            | Request::Fetch { .. }
            | Request::Ack { .. } => Target::Broker,
            Request::Head
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
                | Request::Put { .. }
                | Request::Ack { .. }
                | Request::Send { .. }
                | Request::Prove { .. }
        )
    }

    /// How long it waits at the other side before an empty answer.
    #[must_use]
    pub const fn wait_ms(&self) -> u64 {
        match self {
            Request::Read { wait_ms, .. } | Request::Fetch { wait_ms, .. } => *wait_ms,
            _ => 0,
        }
    }
}
