//! Effects on their way: many at once, of one patient one after another, behind the fence of their owner.

use std::collections::{BTreeSet, VecDeque};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use hygeia_protocol::bytes::B32;
use hygeia_protocol::subject::{Partition, Stream};

use super::partition::End;
use crate::broker::{After, Publication, Stored, Subject};
use crate::port::Port;

/// Jobs under way at a time.
const FLIGHTS_MAX: usize = 16;

/// What follows from one message, in order.
pub(super) struct Job {
    /// Whose it is: two jobs of one key are never under way at once.
    pub(super) key: B32,
    /// What is stored, one after another.
    pub(super) effects: Vec<Effect>,
}

/// One message to be stored.
pub(super) struct Effect {
    pub(super) stream: Stream,
    pub(super) subject: Subject,
    pub(super) id: Rc<str>,
    pub(super) payload: Rc<[u8]>,
}

/// The marker that an owner's outputs follow.
#[derive(Clone, Copy)]
pub(super) struct Fence {
    pub(super) sequence: u64,
}

type Stores = Vec<(Stream, u64)>;
type Flight = Pin<Box<dyn Future<Output = Result<Stores, End>>>>;

/// The effects of one partition.
pub(super) struct Outbox {
    port: Port,
    partition: Partition,
    fences: Vec<(Stream, Fence)>,
    /// Jobs that wait, and the inputs that they follow from.
    queued: VecDeque<(u64, Job)>,
    flights: Vec<(u64, B32, Flight)>,
    /// The newest place that was stored in each stream, whoever stored it.
    places: Stores,
}

impl Outbox {
    pub(super) const fn new(port: Port, partition: Partition, fences: Vec<(Stream, Fence)>, places: Stores) -> Outbox {
        Outbox { port, partition, fences, queued: VecDeque::new(), flights: Vec::new(), places }
    }

    pub(super) fn push(&mut self, input: u64, job: Job) {
        self.queued.push_back((input, job));
    }

    pub(super) fn len(&self) -> usize {
        self.queued.len() + self.flights.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The newest place that was stored in a stream.
    pub(super) fn place(&self, stream: Stream) -> u64 {
        self.places.iter().find(|(of, _)| *of == stream).map_or(0, |(_, place)| *place)
    }

    /// The input up to which all is stored, where all up to `handled_to` were handled.
    pub(super) fn done_to(&self, handled_to: u64) -> u64 {
        let open = self.flights.iter().map(|(input, ..)| *input).chain(self.queued.iter().map(|(input, _)| *input));
        open.min().map_or(handled_to, |input| input - 1)
    }

    /// Goes on with what is under way, and begins what may begin.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Result<(), End> {
        loop {
            self.take_off();
            let mut has_landed = false;
            let mut place = 0;
            while let Some((.., flight)) = self.flights.get_mut(place) {
                match flight.as_mut().poll(context) {
                    Poll::Pending => place += 1,
                    Poll::Ready(stores) => {
                        self.note(stores?);
                        drop(self.flights.remove(place));
                        has_landed = true;
                    }
                }
            }
            if !has_landed || self.queued.is_empty() {
                return Ok(());
            }
        }
    }

    /// Begins queued jobs, the first of each key that is not under way.
    fn take_off(&mut self) {
        let mut busy: BTreeSet<B32> = self.flights.iter().map(|(_, key, _)| *key).collect();
        let mut place = 0;
        while self.flights.len() < FLIGHTS_MAX
            && let Some((_, job)) = self.queued.get(place)
        {
            if !busy.insert(job.key) {
                place += 1;
                continue;
            }
            let Some((input, job)) = self.queued.remove(place) else { return };
            let flight = self.flight(job.effects);
            self.flights.push((input, job.key, flight));
        }
    }

    fn flight(&self, effects: Vec<Effect>) -> Flight {
        let (port, partition, fences) = (self.port.clone(), self.partition, self.fences.clone());
        Box::pin(async move {
            let mut stores = Vec::new();
            for Effect { stream, subject, id, payload } in effects {
                let fence = fences.iter().find(|(of, _)| *of == stream).map(|(_, fence)| fence.sequence);
                let after = fence.map(|sequence| After { subject: Subject::Fence(partition), sequence });
                match port.publish_raw(Publication { stream, subject, id, payload, after }).await? {
                    Stored::New(place) | Stored::Duplicate(place) => stores.push((stream, place)),
                    Stored::WrongLast => return Err(End::Fenced(0)),
                }
            }
            Ok(stores)
        })
    }

    fn note(&mut self, stores: Stores) {
        for (stream, place) in stores {
            if let Some((_, newest)) = self.places.iter_mut().find(|(of, _)| *of == stream) {
                *newest = (*newest).max(place);
            }
        }
    }
}
