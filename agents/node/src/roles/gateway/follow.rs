//! Keeps the board up to date from the broker's streams, and knows whether it is.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hygeia_protocol::message::{Alert, Message, Receipt, ScoredWindow, Settlement};
use hygeia_protocol::subject::Stream;

use super::board::{ALERTS_MAX, Board, OUTCOMES_MAX};
use crate::bus::{Bus, BusError, OrderedReader};
use crate::roles::Site;

/// Without a message for this long the stream is asked whether one was missed.
const IDLE: Duration = Duration::from_secs(1);
/// Lines of the ledger read at the start, in search of calls that were held back: most windows are quiet.
const LEDGER_LINES: u64 = 20_000;
/// Pause before a stream that failed is opened again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The board and the state of the streams behind it.
#[derive(Default)]
pub struct Followed {
    /// Written by the followers, read by requests; never held across an await.
    board: RwLock<Board>,
    alerts: AtomicBool,
    receipts: AtomicBool,
    settlements: AtomicBool,
    ledger: AtomicBool,
}

impl Followed {
    /// Starts following the streams of `site` until it stops.
    pub fn start(site: &Site) -> Arc<Self> {
        let followed = Arc::new(Self::default());
        tokio::spawn(follow(site.clone(), followed.clone(), Stream::Alerts));
        tokio::spawn(follow(site.clone(), followed.clone(), Stream::Receipts));
        tokio::spawn(follow(site.clone(), followed.clone(), Stream::Settlements));
        tokio::spawn(follow(site.clone(), followed.clone(), Stream::Ledger));
        followed
    }

    /// Whether every alert that the broker had a moment ago is on the board, with what became of it.
    pub fn is_current(&self) -> bool {
        [&self.alerts, &self.receipts, &self.settlements].iter().all(|current| current.load(Ordering::Acquire))
    }

    /// Looks at the board.
    pub fn with_board<T>(&self, look: impl FnOnce(&Board) -> T) -> T {
        look(&self.board.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn current(&self, stream: Stream) -> &AtomicBool {
        match stream {
            Stream::Alerts => &self.alerts,
            Stream::Receipts => &self.receipts,
            Stream::Ledger => &self.ledger,
            _ => &self.settlements,
        }
    }

    /// Takes in one message. One that cannot be read is passed over: whoever wrote it logged it, and the others matter.
    fn fold(&self, stream: Stream, payload: &[u8]) {
        let mut board = self.board.write().unwrap_or_else(PoisonError::into_inner);
        let folded = match stream {
            Stream::Alerts => Alert::decode(payload).map(|alert| board.alert(alert)),
            Stream::Receipts => Receipt::decode(payload).map(|receipt| board.receipt(&receipt)),
            Stream::Ledger => ScoredWindow::decode(payload).map(|line| board.scored(line)),
            _ => Settlement::decode(payload).map(|settlement| board.settlement(settlement)),
        };
        if let Err(reason) = folded {
            tracing::warn!(stream = stream.name(), %reason, "a message of another type was passed over");
        }
    }
}

async fn follow(site: Site, followed: Arc<Followed>, stream: Stream) {
    let mut next = 1;
    loop {
        let failure = tokio::select! {
            () = site.stop.cancelled() => return,
            result = read(&site.bus, &followed, stream, &mut next) => result.err(),
        };
        if let Some(reason) = failure {
            followed.current(stream).store(false, Ordering::Release);
            tracing::warn!(stream = stream.name(), %reason, "the board is not current; opening the stream again");
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}

/// Reads from `next` on. Returns when the stream holds something that did not come: then it has to be opened again.
async fn read(bus: &Bus, followed: &Followed, stream: Stream, next: &mut u64) -> Result<(), BusError> {
    let (messages, last) = bus.stream_state(stream).await?;
    *next = first_sequence(*next, messages, last, kept(stream));
    let mut reader = OrderedReader::open(bus, stream, Vec::new(), *next).await?;
    let current = followed.current(stream);
    current.store(*next > last, Ordering::Release);
    loop {
        if let Some(entry) = reader.next_within(IDLE).await? {
            followed.fold(stream, &entry.payload);
            *next = entry.sequence + 1;
        } else {
            // A reader whose consumer vanished in a restart of the broker is silent for long: ask the stream itself.
            let (messages, last) = bus.stream_state(stream).await?;
            if first_sequence(*next, messages, last, kept(stream)) != *next || *next <= last {
                return Ok(());
            }
        }
        if *next > last {
            current.store(true, Ordering::Release);
        }
    }
}

/// Messages of a stream that the board has room for.
fn kept(stream: Stream) -> u64 {
    let messages = match stream {
        Stream::Ledger => return LEDGER_LINES,
        Stream::Alerts => ALERTS_MAX,
        _ => OUTCOMES_MAX,
    };
    u64::try_from(messages).unwrap_or(u64::MAX)
}

/// Where to begin in a stream whose last message is `last` when the board has everything before `next`: what it has no
/// room for is left out. A stream that ends before that was made anew; one whose messages are all too old has nothing.
fn first_sequence(next: u64, messages: u64, last: u64, kept: u64) -> u64 {
    let tail = last.saturating_sub(kept) + 1;
    match next {
        _ if messages == 0 => last + 1,
        _ if next > last + 1 => tail,
        _ => next.max(tail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_begins_where_it_stopped_and_never_before_the_tail() {
        assert_eq!(first_sequence(1, 0, 0, 1_000), 1, "an empty stream");
        assert_eq!(first_sequence(1, 10, 10, 1_000), 1, "all of a short one");
        assert_eq!(first_sequence(1, 5_000, 5_000, 1_000), 4_001, "the tail of a long one");
        assert_eq!(first_sequence(4_900, 5_000, 5_000, 1_000), 4_900, "after a pause");
        assert_eq!(first_sequence(5_001, 5_000, 5_000, 1_000), 5_001, "nothing missed");
        assert_eq!(first_sequence(5_001, 7, 7, 1_000), 1, "the stream was made anew");
        assert_eq!(first_sequence(1, 0, 100, 1_000), 101, "everything in it expired");
    }
}
