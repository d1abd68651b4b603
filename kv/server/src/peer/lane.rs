//! What waits for one store: messages to be sent, requests to be sent, requests to be answered.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mutant::mutant;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{Done, Payload, PeerMetrics, PeersOptions};

/// One frame takes messages until it has so many bytes.
const FRAME_BYTES: usize = 4 << 20;

/// Why an ask has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The other store has not seen it.
    #[error("the store cannot be reached")]
    Unsent,
    /// Too many asks are in flight, or too many bytes of them; the other store has not seen it.
    #[error("too many requests wait for the store")]
    Busy,
    /// The other store may have seen it, and may do what was asked.
    #[error("the store did not answer")]
    Lost,
}

/// What waits for one store.
pub(super) struct Lane<M> {
    state: Mutex<State<M>>,
    /// Says that there is something to be sent.
    filled: Notify,
    metrics: Arc<PeerMetrics>,
    bytes_max: usize,
    asks_max: usize,
}

struct State<M> {
    connected: bool,
    messages: VecDeque<M>,
    /// Bytes of `messages`.
    bytes: usize,
    asks: VecDeque<Ask>,
    /// Bytes of `asks`.
    ask_bytes: usize,
    /// Asks without an answer yet, by id; those in `asks` too.
    waiting: BTreeMap<u64, Waiting>,
    next_id: u64,
    native: Option<String>,
}

/// A request to be sent.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) id: u64,
    pub(super) timeout: Duration,
    pub(super) body: Bytes,
}

/// A request without an answer yet.
struct Waiting {
    done: Done,
    deadline: Instant,
    /// Whether the other store may have it.
    sent: bool,
}

impl<M> fmt::Debug for Lane<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").finish_non_exhaustive()
    }
}

/// What is to be sent in one write.
#[derive(Debug)]
pub(super) struct Parcel<M> {
    pub(super) messages: Vec<M>,
    pub(super) asks: Vec<Ask>,
}

impl<M: Payload> Lane<M> {
    pub(super) fn new(options: &PeersOptions, metrics: Arc<PeerMetrics>) -> Lane<M> {
        Lane {
            state: Mutex::new(State {
                connected: false,
                messages: VecDeque::new(),
                bytes: 0,
                asks: VecDeque::new(),
                ask_bytes: 0,
                waiting: BTreeMap::new(),
                next_id: 1,
                native: None,
            }),
            filled: Notify::new(),
            metrics,
            bytes_max: options.lane_bytes_max,
            asks_max: options.asks_max,
        }
    }

    pub(super) fn metrics(&self) -> &Arc<PeerMetrics> {
        &self.metrics
    }

    /// Takes messages in, as far as there is room. Gives how many were dropped.
    pub(super) fn send(&self, messages: impl IntoIterator<Item = M>) -> usize {
        let mut messages = messages.into_iter();
        let mut state = self.state.lock();
        if !state.connected {
            drop(state);
            let dropped = messages.count();
            self.metrics.dropped_offline.inc_by(dropped as u64);
            return dropped;
        }
        while state.bytes < self.bytes_max || mutant!("peer-lane-unbounded") {
            let Some(message) = messages.next() else { break };
            state.bytes += message.bytes();
            state.messages.push_back(message);
        }
        drop(state);
        self.filled.notify_one();
        let dropped = messages.count();
        self.metrics.dropped_full.inc_by(dropped as u64);
        dropped
    }

    /// Takes a request in, or refuses it.
    pub(super) fn ask(&self, body: Bytes, timeout: Duration, done: Done) {
        self.metrics.asks.inc();
        let mut state = self.state.lock();
        let refusal = if !state.connected {
            Some(AskError::Unsent)
        } else if state.waiting.len() >= self.asks_max || state.ask_bytes >= self.bytes_max {
            Some(AskError::Busy)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            drop(state);
            self.metrics.asks_failed.inc();
            return done(Err(refusal));
        }
        let id = state.next_id;
        state.next_id += 1;
        let deadline = Instant::now() + timeout;
        state.waiting.insert(id, Waiting { done, deadline, sent: false });
        state.ask_bytes += body.len();
        state.asks.push_back(Ask { id, timeout, body });
        drop(state);
        self.filled.notify_one();
    }

    /// Waits until there is something to be sent, and takes it.
    pub(super) async fn take(&self) -> Parcel<M> {
        loop {
            let parcel = self.take_now();
            if !parcel.messages.is_empty() || !parcel.asks.is_empty() {
                return parcel;
            }
            self.filled.notified().await;
            // The raft thread is in the middle of a round when it wakes this one, and has more for
            // this store. Where cores are scarce, letting it go on first saves a write here and a
            // wake-up there: an eighth of what a put costs three stores and 64 clients on two cores.
            std::thread::yield_now();
            tokio::task::yield_now().await;
        }
    }

    fn take_now(&self) -> Parcel<M> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let (mut messages, mut bytes) = (Vec::new(), 0);
        while bytes < FRAME_BYTES
            && let Some(message) = state.messages.pop_front()
        {
            bytes += message.bytes();
            messages.push(message);
        }
        state.bytes = if state.messages.is_empty() { 0 } else { state.bytes - bytes };
        let asks: Vec<Ask> = state.asks.drain(..).collect();
        state.ask_bytes = 0;
        for ask in &asks {
            if let Some(waiting) = state.waiting.get_mut(&ask.id) {
                waiting.sent = true;
            }
        }
        Parcel { messages, asks }
    }

    /// Hands an answer to who asked; nobody may wait any more.
    pub(super) fn answer(&self, id: u64, body: Bytes) {
        let waiting = self.state.lock().waiting.remove(&id);
        if let Some(waiting) = waiting {
            // A store that loses a request answers with nothing.
            (waiting.done)(if body.is_empty() { Err(AskError::Lost) } else { Ok(body) });
        }
    }

    /// Gives up asks whose time is over.
    pub(super) fn expire(&self) {
        let now = Instant::now();
        let late: Vec<Waiting> = {
            let mut state = self.state.lock();
            state
                .waiting
                .extract_if(.., |_, waiting| waiting.deadline <= now)
                .map(|it| it.1)
                .collect()
        };
        self.fail(late);
    }

    /// Notes that there is a connection, to a store with this native address.
    pub(super) fn open(&self, native: String) {
        let mut state = self.state.lock();
        state.connected = true;
        state.native = (!native.is_empty()).then_some(native);
    }

    /// Notes that the connection is lost, and with it all that waited.
    pub(super) fn close(&self) {
        let (late, dropped) = {
            let mut state = self.state.lock();
            state.connected = false;
            state.bytes = 0;
            state.asks.clear();
            state.ask_bytes = 0;
            let dropped = std::mem::take(&mut state.messages);
            (std::mem::take(&mut state.waiting).into_values().collect(), dropped.len())
        };
        self.metrics.dropped_offline.inc_by(dropped as u64);
        self.fail(late);
    }

    /// Tells those who asked that there will be no answer.
    fn fail(&self, late: Vec<Waiting>) {
        self.metrics.asks_failed.inc_by(late.len() as u64);
        for waiting in late {
            (waiting.done)(Err(if waiting.sent { AskError::Lost } else { AskError::Unsent }));
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.state.lock().connected
    }

    pub(super) fn native(&self) -> Option<String> {
        self.state.lock().native.clone()
    }

    pub(super) fn queued_bytes(&self) -> usize {
        self.state.lock().bytes
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn lane() -> Lane<Bytes> {
        let mut options = PeersOptions::new(1, 1, BTreeMap::new());
        options.lane_bytes_max = 10;
        options.asks_max = 1;
        Lane::new(&options, Arc::default())
    }

    fn message(bytes: usize) -> Bytes {
        Bytes::from(vec![0; bytes])
    }

    #[test]
    fn what_finds_no_connection_or_no_room_is_dropped() {
        let lane = lane();
        assert_eq!(lane.send([message(1)]), 1, "no connection");
        lane.open(String::new());
        assert_eq!(lane.send([message(8), message(8), message(1)]), 1, "one may go beyond");
        assert_eq!((lane.take_now().messages.len(), lane.queued_bytes()), (2, 0));
        assert_eq!(lane.send([message(1)]), 0);
        lane.close();
        assert!(lane.take_now().messages.is_empty(), "what waited is lost with the connection");
        let metrics = lane.metrics();
        assert_eq!((metrics.dropped_offline.get(), metrics.dropped_full.get()), (2, 1));
    }

    #[test]
    fn every_ask_is_answered_once_and_says_whether_it_left() {
        let (lane, answers) = (lane(), Arc::new(Mutex::new(Vec::new())));
        let ask = |timeout| {
            let answers = Arc::clone(&answers);
            lane.ask(message(1), timeout, Box::new(move |answer| answers.lock().push(answer)));
        };
        let long = Duration::from_secs(3600);
        ask(long);
        lane.open(String::new());
        ask(Duration::ZERO);
        ask(long);
        lane.expire();
        ask(long);
        let id = lane.take_now().asks[1].id;
        lane.answer(id, message(2));
        lane.answer(id, message(3));
        ask(long);
        drop(lane.take_now());
        lane.close();
        let expected = vec![
            Err(AskError::Unsent),
            Err(AskError::Busy),
            Err(AskError::Unsent),
            Ok(message(2)),
            Err(AskError::Lost),
        ];
        assert_eq!(*answers.lock(), expected);
    }

    #[test]
    fn asks_that_wait_to_be_sent_are_bounded_in_bytes() {
        let mut options = PeersOptions::new(1, 1, BTreeMap::new());
        options.lane_bytes_max = 10;
        let (lane, refused) = (Lane::<Bytes>::new(&options, Arc::default()), Arc::default());
        lane.open(String::new());
        let ask = |bytes| {
            let refused: Arc<Mutex<Vec<AskError>>> = Arc::clone(&refused);
            let done = Box::new(move |it: Result<Bytes, AskError>| refused.lock().extend(it.err()));
            lane.ask(message(bytes), Duration::from_secs(3600), done);
        };
        ask(8);
        ask(8);
        assert_eq!(*refused.lock(), [], "one may go beyond");
        ask(1);
        assert_eq!(*refused.lock(), [AskError::Busy]);
        assert_eq!(lane.take_now().asks.len(), 2);
        ask(1);
        assert_eq!(*refused.lock(), [AskError::Busy], "there is room again");
    }
}
