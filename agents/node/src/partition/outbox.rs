//! What a partition's inputs lead to, on its way to the broker: many at once, but of one patient one at a time.
//!
//! Order per patient holds whatever fails, since the next effect of a lane is not sent before the one before it is stored.
//! An input counts as done once all its effects are stored; the position of a snapshot never runs ahead of that.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use hygeia_protocol::subject::Stream;
use tokio::task::JoinSet;

use crate::bus::{Bus, BusError, Fence, Stored};
use crate::telemetry::trace::{self, TraceContext};

/// Effects under way or waiting behind one of their lane, at most: past this no input is taken. A broker takes some
/// hundreds of messages a round trip; more in hand would only be more to send again after a crash.
pub const EFFECTS_MAX: usize = 256;

/// A message that an input leads to.
pub struct Effect {
    /// Effects of the same lane are stored one after the other.
    pub lane: Lane,
    /// The stream.
    pub stream: Stream,
    /// The subject in it.
    pub subject: String,
    /// Its identity; the same effect always has the same.
    pub message_id: String,
    /// The bytes.
    pub payload: Payload,
    /// What is noted once it is stored.
    pub noted: Option<Box<dyn FnOnce() + Send>>,
    /// The trace that it is sent in.
    pub trace: Option<TraceContext>,
}

/// What keeps effects in order: those of a patient, a mandate, a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lane(u64);

/// The bytes of an effect.
pub enum Payload {
    /// Made already.
    Ready(Vec<u8>),
    /// Made when its turn has come; an error ends the partition's task.
    Later(BoxFuture<'static, anyhow::Result<Vec<u8>>>),
}

/// Where effects are stored.
pub trait Sink: Send + Sync + 'static {
    /// Stores a message; returns once the broker has it.
    fn store(
        self: Arc<Self>,
        stream: Stream,
        subject: String,
        message_id: String,
        payload: Bytes,
    ) -> BoxFuture<'static, Result<Stored, BusError>>;
}

/// The broker, each fenced stream under this owner's fence.
pub struct FencedBus {
    bus: Bus,
    fences: Vec<Fence>,
}

/// The effects of one partition.
pub struct Outbox {
    sink: Arc<dyn Sink>,
    /// Ids that earlier owners have stored since the snapshot.
    stored: HashSet<String>,
    is_silent: bool,
    /// Lanes with an effect under way, and what waits behind it.
    lanes: HashMap<Lane, VecDeque<(u64, Effect)>>,
    under_way: JoinSet<Landing>,
    waiting: usize,
    /// Inputs that have effects not yet stored, and how many.
    open: BTreeMap<u64, usize>,
    /// The last place that was stored in each stream.
    places: BTreeMap<Stream, u64>,
}

/// An effect that has come to its end.
pub struct Landing {
    lane: Lane,
    input: u64,
    stream: Stream,
    result: anyhow::Result<Stored>,
    noted: Option<Box<dyn FnOnce() + Send>>,
    trace: Option<TraceContext>,
}

impl Lane {
    /// The lane of everything with this key.
    pub fn of(key: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        Self(hasher.finish())
    }
}

impl FencedBus {
    /// Stores in the streams of `fences` under them, in every other as it is.
    pub fn new(bus: Bus, fences: Vec<Fence>) -> Self {
        Self { bus, fences }
    }
}

impl Sink for FencedBus {
    fn store(
        self: Arc<Self>,
        stream: Stream,
        subject: String,
        message_id: String,
        payload: Bytes,
    ) -> BoxFuture<'static, Result<Stored, BusError>> {
        Box::pin(async move {
            match self.fences.iter().find(|fence| fence.stream() == stream) {
                Some(fence) => self.bus.publish_fenced(fence, &subject, &message_id, payload).await,
                None => self.bus.store(stream, &subject, &message_id, payload).await,
            }
        })
    }
}

impl Outbox {
    /// An outbox in which nothing waits. What has an id of `stored` is not stored again; `places` are the ends of the
    /// output streams, of which everything before is known to be an earlier owner's.
    pub fn new(sink: Arc<dyn Sink>, stored: HashSet<String>, places: BTreeMap<Stream, u64>) -> Self {
        Self {
            sink,
            stored,
            is_silent: false,
            lanes: HashMap::new(),
            under_way: JoinSet::new(),
            waiting: 0,
            open: BTreeMap::new(),
            places,
        }
    }

    /// Takes an effect of the input at `input`. False where it is known to be stored already.
    pub fn push(&mut self, input: u64, effect: Effect) -> bool {
        if self.is_stored(&effect.message_id) {
            return false;
        }
        *self.open.entry(input).or_default() += 1;
        match self.lanes.get_mut(&effect.lane) {
            Some(behind) => {
                behind.push_back((input, effect));
                self.waiting += 1;
            }
            None => {
                self.lanes.insert(effect.lane, VecDeque::new());
                self.send(input, effect);
            }
        }
        true
    }

    /// Whether a message with this id needs not be stored any more.
    pub fn is_stored(&self, message_id: &str) -> bool {
        self.is_silent || self.stored.contains(message_id)
    }

    /// Whether an earlier owner is known to have stored a message with this id. Unlike [`Outbox::is_stored`] it says so of
    /// messages that were not sent at all, also while state is rebuilt in silence.
    pub fn has_id(&self, message_id: &str) -> bool {
        self.stored.contains(message_id)
    }

    /// True while inputs only rebuild state: all they lead to is known to be stored.
    pub fn is_silent(&self) -> bool {
        self.is_silent
    }

    /// Says whether inputs only rebuild state.
    pub(super) fn set_silent(&mut self, is_silent: bool) {
        self.is_silent = is_silent;
    }

    /// Forgets what earlier owners stored: every input that can lead to it was handled again.
    pub(super) fn forget_stored(&mut self) {
        self.stored = HashSet::new();
    }

    /// Effects under way or waiting.
    pub fn len(&self) -> usize {
        self.under_way.len() + self.waiting
    }

    /// Whether every effect is stored.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether another input may be taken.
    pub fn has_room(&self) -> bool {
        self.len() < EFFECTS_MAX
    }

    /// The place up to which every input is done, where all up to `handled_to` were handled.
    pub fn done_to(&self, handled_to: u64) -> u64 {
        self.open.first_key_value().map_or(handled_to, |(input, _)| input.saturating_sub(1).min(handled_to))
    }

    /// The last place that was stored in each output stream.
    pub fn places(&self) -> &BTreeMap<Stream, u64> {
        &self.places
    }

    /// The next effect that comes to its end; none while nothing is under way. Nothing is lost when it is dropped.
    pub async fn next(&mut self) -> Option<Landing> {
        let landed = self.under_way.join_next().await?;
        // The set aborts nothing while it lives, so a task that gave no landing has panicked.
        landed.map_or_else(|error| std::panic::resume_unwind(error.into_panic()), Some)
    }

    /// Takes note of an effect that has come to its end, and sends the next of its lane.
    pub fn land(&mut self, landing: Landing) -> anyhow::Result<()> {
        let Landing { lane, input, stream, result, noted, trace } = landing;
        let stored = result?;
        let place = self.places.entry(stream).or_default();
        *place = (*place).max(stored.sequence);
        if let Some(noted) = noted {
            // Its log lines name the trace.
            match trace {
                Some(context) => trace::inside(context, noted),
                None => noted(),
            }
        }
        self.close(input);
        match self.lanes.get_mut(&lane).and_then(VecDeque::pop_front) {
            Some((input, effect)) => {
                self.waiting -= 1;
                self.send(input, effect);
            }
            None => drop(self.lanes.remove(&lane)),
        }
        Ok(())
    }

    fn close(&mut self, input: u64) {
        if let Some(left) = self.open.get_mut(&input) {
            *left -= 1;
            if *left == 0 {
                self.open.remove(&input);
            }
        }
    }

    fn send(&mut self, input: u64, effect: Effect) {
        let Effect { lane, stream, subject, message_id, payload, noted, trace } = effect;
        let sink = self.sink.clone();
        self.under_way.spawn(async move {
            let result = async {
                let payload = match payload {
                    Payload::Ready(bytes) => bytes,
                    Payload::Later(making) => making.await?,
                };
                Ok(sink.store(stream, subject, message_id, payload.into()).await?)
            };
            let result = match trace {
                Some(context) => trace::within(context, result).await,
                None => result.await,
            };
            Landing { lane, input, stream, result, noted, trace }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::sync::Semaphore;

    use super::*;

    /// Stores one message for each permit, and keeps their ids in order.
    struct Gate {
        open: Semaphore,
        stored: Mutex<Vec<String>>,
        fails: bool,
    }

    impl Sink for Gate {
        fn store(
            self: Arc<Self>,
            _stream: Stream,
            _subject: String,
            message_id: String,
            _payload: Bytes,
        ) -> BoxFuture<'static, Result<Stored, BusError>> {
            Box::pin(async move {
                self.open.acquire().await.unwrap().forget();
                if self.fails {
                    return Err(BusError::Fenced { stream: "TEST", epoch: None });
                }
                let mut stored = self.stored.lock().unwrap();
                stored.push(message_id);
                Ok(Stored { sequence: stored.len() as u64, duplicate: false })
            })
        }
    }

    fn gate(fails: bool) -> Arc<Gate> {
        Arc::new(Gate { open: Semaphore::new(0), stored: Mutex::default(), fails })
    }

    fn outbox(gate: &Arc<Gate>, stored: &[&str]) -> Outbox {
        let stored = stored.iter().map(|id| (*id).to_owned()).collect();
        Outbox::new(gate.clone(), stored, BTreeMap::new())
    }

    fn effect(lane: u8, id: &str) -> Effect {
        Effect {
            lane: Lane::of(lane),
            stream: Stream::Windows,
            subject: "window.v1.0".into(),
            message_id: id.into(),
            payload: Payload::Ready(Vec::new()),
            noted: None,
            trace: None,
        }
    }

    async fn land(outbox: &mut Outbox) {
        let landing = outbox.next().await.unwrap();
        outbox.land(landing).unwrap();
    }

    #[tokio::test]
    async fn one_lane_is_stored_in_order_and_another_does_not_wait_for_it() {
        let gate = gate(false);
        let mut outbox = outbox(&gate, &[]);
        for (input, lane, id) in [(1, 1, "a1"), (2, 1, "a2"), (2, 1, "a3"), (3, 2, "b1")] {
            assert!(outbox.push(input, effect(lane, id)));
        }
        assert_eq!((outbox.len(), outbox.under_way.len()), (4, 2), "of each lane one is under way");
        gate.open.add_permits(4);
        for _ in 0..4 {
            land(&mut outbox).await;
        }
        let stored = gate.stored.lock().unwrap().clone();
        let of_a: Vec<&String> = stored.iter().filter(|id| id.starts_with('a')).collect();
        assert_eq!(of_a, ["a1", "a2", "a3"]);
        assert!(outbox.is_empty() && outbox.lanes.is_empty() && outbox.open.is_empty());
        assert_eq!(outbox.places()[&Stream::Windows], 4);
    }

    #[tokio::test]
    async fn an_input_is_done_once_all_its_effects_are_stored() {
        let gate = gate(false);
        let mut outbox = outbox(&gate, &[]);
        outbox.push(4, effect(1, "first"));
        outbox.push(4, effect(1, "second"));
        outbox.push(6, effect(1, "third"));
        assert_eq!(outbox.done_to(9), 3);
        gate.open.add_permits(1);
        land(&mut outbox).await;
        assert_eq!(outbox.done_to(9), 3, "one of its two effects is still under way");
        gate.open.add_permits(1);
        land(&mut outbox).await;
        assert_eq!(outbox.done_to(9), 5);
        gate.open.add_permits(1);
        land(&mut outbox).await;
        assert_eq!(outbox.done_to(9), 9);
    }

    #[tokio::test]
    async fn what_is_stored_already_is_not_sent_and_opens_nothing() {
        let gate = gate(false);
        let mut outbox = outbox(&gate, &["old"]);
        assert!(!outbox.push(1, effect(1, "old")));
        assert!(outbox.push(1, effect(1, "new")));
        outbox.set_silent(true);
        assert!(!outbox.push(2, effect(1, "newer")), "while state is rebuilt");
        outbox.set_silent(false);
        outbox.forget_stored();
        assert!(outbox.push(3, effect(1, "old")));
        assert_eq!(outbox.len(), 2);
    }

    #[tokio::test]
    async fn a_refused_effect_is_an_error_and_nothing_behind_it_is_sent() {
        let gate = gate(true);
        let mut outbox = outbox(&gate, &[]);
        outbox.push(1, effect(1, "a1"));
        outbox.push(2, effect(1, "a2"));
        gate.open.add_permits(2);
        let landing = outbox.next().await.unwrap();
        let error = outbox.land(landing).unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(BusError::Fenced { .. })));
        assert!(outbox.under_way.is_empty() && gate.open.available_permits() == 1);
        assert_eq!(outbox.done_to(9), 0);
    }

    #[tokio::test]
    async fn a_full_outbox_has_no_room_until_something_is_stored() {
        let gate = gate(false);
        let mut outbox = outbox(&gate, &[]);
        for number in 0..EFFECTS_MAX {
            assert!(outbox.has_room());
            outbox.push(number as u64, effect((number % 200) as u8, &number.to_string()));
        }
        assert!(!outbox.has_room());
        gate.open.add_permits(1);
        land(&mut outbox).await;
        assert!(outbox.has_room());
    }
}
