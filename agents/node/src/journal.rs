//! Writes and walks the journal of everything that leads to money.
//!
//! The broker takes an entry only where it follows the last one of its chain, so a chain cannot fork however many
//! processes write it; a writer that comes second reads what came first and follows that. Beside the stream each chain has
//! an anchor: how far it has come, so that an end that was cut off is missed. The journal never holds anything of a
//! patient.

use std::collections::BTreeMap;
use std::time::Duration;

use hygeia_protocol::journal::{BrokenLink, ChainEnd, ChainWalk, Fact, JournalEntry};
use hygeia_protocol::message::Message;
use hygeia_protocol::subject::{self, Stream};
use thiserror::Error;
use tokio::sync::Mutex;

use crate::bus::{Bucket, Bus, BusError, Entry, Lookup, OrderedReader};
use crate::clock::now_ms;
use crate::telemetry::{Counter, Metrics};

/// Chain of the provers.
pub const PROVER: &str = "prover";
/// Chain of the stewards.
pub const STEWARD: &str = "steward";
/// Chain of whoever records audits on chain.
pub const AUDITOR: &str = "auditor";

/// Bucket with the chains' anchors.
const ANCHOR_BUCKET: &str = "hygeia_journal";
/// Attempts at one entry. Each that fails because another writer came first means that the other's stands, so this many
/// in a row mean that the broker does not answer.
const APPEND_ATTEMPTS: u32 = 16;
/// Pause after the broker gave no answer.
const RETRY_PAUSE: Duration = Duration::from_millis(250);
/// A stream is read to its end when nothing came for this long: what was deleted at its end never comes.
const QUIET: Duration = Duration::from_secs(2);

/// What the journal could not do.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The broker did not answer.
    #[error("the journal cannot be read or written")]
    Bus(#[from] BusError),
    /// No attempt stored the entry.
    #[error("an entry of the journal was not stored in {APPEND_ATTEMPTS} attempts")]
    NotStored,
}

/// The writer of one chain. Several may write the same chain at a time.
pub struct Journal {
    bus: Bus,
    chain: &'static str,
    lookup: Lookup,
    anchors: Bucket,
    metrics: Metrics,
    // Where the chain ended when this writer last looked; held while an entry is appended, so that entries of one
    // process follow each other without asking the broker. Nothing where it is to be asked.
    tail: Mutex<Option<Tail>>,
}

#[derive(Debug, Clone, Copy)]
struct Tail {
    place: u64,
    end: ChainEnd,
}

impl Journal {
    /// A writer that goes on where the chain ends.
    pub async fn open(bus: &Bus, chain: &'static str, metrics: Metrics) -> Result<Self, JournalError> {
        Ok(Self {
            bus: bus.clone(),
            chain,
            lookup: Lookup::open(bus, Stream::Journal).await?,
            anchors: bus.bucket(ANCHOR_BUCKET).await?,
            metrics,
            tail: Mutex::new(None),
        })
    }

    /// Writes an entry down; returns once the broker has it.
    pub async fn note(&self, fact: Fact) -> Result<(), JournalError> {
        let mut tail = self.tail.lock().await;
        let mut tried: Option<ChainEnd> = None;
        for _ in 0..APPEND_ATTEMPTS {
            let last = match *tail {
                Some(known) => known,
                None => self.read_tail().await?,
            };
            // An attempt whose answer was lost may stand.
            if tried == Some(last.end) {
                *tail = Some(last);
                return self.stored(last.end, &fact).await;
            }
            let entry = last.end.next(fact.clone(), now_ms());
            tried = Some(entry.end());
            *tail = match self.append(&entry, last.place).await {
                Ok(Some(place)) => {
                    *tail = Some(Tail { place, end: entry.end() });
                    return self.stored(entry.end(), &fact).await;
                }
                Ok(None) => None,
                Err(reason) => {
                    tracing::warn!(chain = self.chain, %reason, "an entry of the journal is tried again");
                    tokio::time::sleep(RETRY_PAUSE).await;
                    None
                }
            };
        }
        Err(JournalError::NotStored)
    }

    async fn append(&self, entry: &JournalEntry, last: u64) -> Result<Option<u64>, BusError> {
        let subject = subject::journal(self.chain);
        self.bus.append(Stream::Journal, subject, &entry.message_id(), entry.encode(), last).await
    }

    /// The anchor is read first: whoever writes moves it after the entry, so it is never ahead of a chain that is whole.
    async fn read_tail(&self) -> Result<Tail, JournalError> {
        let anchor = anchor(&self.anchors, self.chain).await?.unwrap_or(ChainEnd::START);
        let last = self.lookup.last_of(&subject::journal(self.chain)).await?;
        let place = last.as_ref().map_or(0, |last| last.sequence);
        let end = match last.map(|last| (JournalEntry::decode(&last.payload), last.payload)) {
            None => ChainEnd::START,
            Some((Ok(entry), _)) => entry.end(),
            Some((Err(reason), bytes)) => {
                self.metrics.count(Counter::JournalBreaks, "unreadable");
                tracing::error!(chain = self.chain, place, %reason, "the journal is broken; it goes on behind the break");
                return Ok(Tail { place, end: ChainEnd::after_unreadable(&bytes) });
            }
        };
        if anchor.entries > end.entries {
            self.metrics.count(Counter::JournalBreaks, "cut_off");
            tracing::error!(chain = self.chain, place, "the journal was cut off; it goes on behind the break");
            return Ok(Tail { place, end: ChainEnd::after_cut(anchor) });
        }
        Ok(Tail { place, end })
    }

    async fn stored(&self, end: ChainEnd, fact: &Fact) -> Result<(), JournalError> {
        self.metrics.count(Counter::JournalEntries, fact.kind());
        // Behind the entry, never before it: an anchor that is missing or behind says less, one ahead would say too much.
        let anchor = serde_json::to_vec(&end).unwrap_or_default();
        Ok(self.anchors.put(self.chain, anchor).await?)
    }
}

/// One chain, walked from its first entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walked {
    /// The chain's name.
    pub chain: String,
    /// How many messages it has.
    pub messages: u64,
    /// Where it ends, or the first place where it does not hold.
    pub outcome: Result<ChainEnd, BrokenLink>,
}

/// Walks every chain, and those that only an anchor knows of.
pub async fn verify(bus: &Bus) -> Result<Vec<Walked>, JournalError> {
    let anchors = bus.bucket(ANCHOR_BUCKET).await?;
    let mut chains: BTreeMap<String, Vec<Entry>> =
        [PROVER, STEWARD, AUDITOR].map(|chain| (chain.to_owned(), Vec::new())).into();
    for entry in read_all(bus, Stream::Journal, 1).await? {
        let chain = entry.subject.rsplit('.').next().unwrap_or_default().to_owned();
        chains.entry(chain).or_default().push(entry);
    }
    let mut walked = Vec::new();
    for (chain, entries) in chains {
        let anchor = anchor(&anchors, &chain).await?;
        let messages = u64::try_from(entries.len()).unwrap_or(u64::MAX);
        walked.push(Walked { chain, messages, outcome: walk(&entries, anchor) });
    }
    Ok(walked)
}

async fn anchor(anchors: &Bucket, chain: &str) -> Result<Option<ChainEnd>, BusError> {
    Ok(anchors.get(chain).await?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

fn walk(entries: &[Entry], anchor: Option<ChainEnd>) -> Result<ChainEnd, BrokenLink> {
    let mut walk = ChainWalk::new(anchor);
    for entry in entries {
        walk.step(&entry.payload)?;
    }
    walk.finish()
}

/// Everything that a stream holds from a place on.
pub async fn read_all(bus: &Bus, stream: Stream, from: u64) -> Result<Vec<Entry>, BusError> {
    let (messages, last) = bus.stream_state(stream).await?;
    let mut entries = Vec::new();
    if messages == 0 || last < from {
        return Ok(entries);
    }
    let mut reader = OrderedReader::open(bus, stream, Vec::new(), from).await?;
    while let Some(entry) = reader.next_within(QUIET).await? {
        let is_last = entry.sequence >= last;
        entries.push(entry);
        if is_last {
            break;
        }
    }
    Ok(entries)
}

/// `hygeia journal verify`: says of each chain whether it holds; false where one does not.
pub async fn command(bus: &Bus) -> anyhow::Result<bool> {
    let mut holds = true;
    for Walked { chain, messages, outcome } in verify(bus).await? {
        match outcome {
            Ok(end) => println!("{chain:<8} {messages:>8} entries  holds  ends in {}", end.hash),
            Err(link) => {
                holds = false;
                println!("{chain:<8} {messages:>8} entries  BROKEN {link}");
            }
        }
    }
    Ok(holds)
}
