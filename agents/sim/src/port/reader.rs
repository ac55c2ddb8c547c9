//! All messages of a stream in the order of their places, for ever.

use std::collections::VecDeque;

use hygeia_protocol::subject::Stream;

use super::{LONG_MS, Port, other};
use crate::broker::{Entry, Filter};
use crate::call::{Reply, Request, Unanswered};

/// A reader of everything but fences.
pub struct OrderedReader {
    port: Port,
    stream: Stream,
    next: u64,
    at_hand: VecDeque<Entry>,
}

impl OrderedReader {
    /// Opens a stream from a place on.
    #[must_use]
    pub const fn open(port: Port, stream: Stream, from: u64) -> OrderedReader {
        OrderedReader { port, stream, next: from, at_hand: VecDeque::new() }
    }

    /// The next message, or `None` when none came for a while.
    pub async fn next_within(&mut self) -> Result<Option<Entry>, Unanswered> {
        if self.at_hand.is_empty() {
            let (stream, from) = (self.stream, self.next);
            let request = Request::Read { stream, filter: Filter::All, from, wait_ms: LONG_MS };
            let Reply::Entries(entries) = self.port.call(request).await? else { return other() };
            self.next = entries.last().map_or(self.next, |entry| entry.sequence + 1);
            self.at_hand.extend(entries);
        }
        Ok(self.at_hand.pop_front())
    }
}
