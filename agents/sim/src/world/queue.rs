//! Events by time: of two at one time the one that was put in first comes first.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

#[derive(Debug)]
pub(super) struct Queue<T> {
    heap: BinaryHeap<Timed<T>>,
    pushed: u64,
}

#[derive(Debug)]
struct Timed<T> {
    at_ms: u64,
    number: u64,
    event: T,
}

impl<T> Default for Queue<T> {
    fn default() -> Queue<T> {
        Queue { heap: BinaryHeap::new(), pushed: 0 }
    }
}

impl<T> Queue<T> {
    pub(super) fn push(&mut self, at_ms: u64, event: T) {
        self.pushed += 1;
        self.heap.push(Timed { at_ms, number: self.pushed, event });
    }

    pub(super) fn pop(&mut self) -> Option<(u64, T)> {
        self.heap.pop().map(|timed| (timed.at_ms, timed.event))
    }
}

// The heap gives out its greatest first: the earliest is made that.
impl<T> Ord for Timed<T> {
    fn cmp(&self, other: &Timed<T>) -> Ordering {
        (other.at_ms, other.number).cmp(&(self.at_ms, self.number))
    }
}

impl<T> PartialOrd for Timed<T> {
    fn partial_cmp(&self, other: &Timed<T>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Timed<T> {
    fn eq(&self, other: &Timed<T>) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Timed<T> {}
