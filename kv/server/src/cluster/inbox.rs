//! What the raft thread hears of: one closed set of events, in the order in which they came.
//!
//! Requests are bounded by the store's admission, what other stores ask by one of its own, which tells
//! them that this store is busy; tasks and writes by what the raft store gives out; messages of other
//! stores here: beyond the limit they are dropped, since raft sends them again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use node::Response;
use parking_lot::{Condvar, Mutex};
use proto::peer::{PeerMessage, RegionId, StoreId};
use raftstore::{ChunkRead, Done};
use tokio::sync::{mpsc, oneshot};
use wal::GroupId;

use super::forward::Question;
use super::raft_thread::{Barriers, ChangeAnswer, MemberChange};
use super::request::Write;
use super::status::Inspection;
use crate::peer::{AskError, Replier};
use crate::store::{Back, Permit, Reader};

/// The most bytes of messages from other stores that wait; more are dropped.
const MESSAGE_BYTES_MAX: usize = 128 << 20;

/// What the raft thread hears of.
pub(super) enum Event {
    /// Writes of clients.
    Writes(Vec<Write>),
    /// Clients of a worker that want to read.
    Readers { readers: Vec<Reader>, deadline: Instant, back: mpsc::UnboundedSender<Back> },
    /// Messages of other stores.
    Messages(Vec<PeerMessage>),
    /// Another store asks; with the room that this takes.
    Ask { timeout: Duration, question: Question, by: (Replier, Permit) },
    /// Writes that were forwarded have an answer, or none.
    Forwarded { writes: Vec<(RegionId, Write)>, result: Result<Bytes, AskError> },
    /// The leader's answer to readers, or none.
    Confirmed { barriers: Barriers, result: Result<Bytes, AskError> },
    /// The log of this output and all before is durable.
    Persisted { number: u64, bytes: u64 },
    /// Tasks that the applier has done, and how many bytes they had.
    Applied { done: Vec<Done<Vec<Response>>>, bytes: u64 },
    /// A part of a snapshot.
    ChunkRead(ChunkRead),
    /// The log was purged; these groups hold it up.
    Purged(Vec<(GroupId, u32)>),
    /// There is a connection to a store.
    Connected(StoreId),
    /// There is none any more.
    Disconnected(StoreId),
    /// Someone wants to know how things are.
    Inspect(oneshot::Sender<Inspection>),
    /// Leadership of a region shall go to a store. The answer says why not.
    Transfer { region: RegionId, to: StoreId, answer: oneshot::Sender<Result<(), String>> },
    /// Leadership of all regions shall go to other stores. The answer says for how many they are
    /// asked.
    HandOver(oneshot::Sender<usize>),
    /// The members of a region shall change. The answer is JSON.
    Change { region: RegionId, change: MemberChange, answer: ChangeAnswer },
    /// The store cannot go on.
    Failed(String),
    /// The end.
    Stop,
}

/// Where events wait.
#[derive(Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    filled: Condvar,
    /// Messages of other stores that were dropped.
    pub(super) dropped: AtomicU64,
}

#[derive(Default)]
struct State {
    events: Vec<Event>,
    message_bytes: usize,
}

impl Inbox {
    /// Takes an event in.
    pub(super) fn push(&self, event: Event) {
        let mut state = self.state.lock();
        state.events.push(event);
        if state.events.len() == 1 {
            drop(state);
            self.filled.notify_one();
        }
    }

    /// Takes messages of another store in, if there is room.
    pub(super) fn push_messages(&self, messages: Vec<PeerMessage>) {
        let bytes: usize = messages.iter().map(PeerMessage::size_bytes).sum();
        let mut state = self.state.lock();
        if state.message_bytes >= MESSAGE_BYTES_MAX {
            self.dropped.fetch_add(messages.len() as u64, Ordering::Relaxed);
            return;
        }
        state.message_bytes += bytes;
        state.events.push(Event::Messages(messages));
        if state.events.len() == 1 {
            drop(state);
            self.filled.notify_one();
        }
    }

    /// Waits for events, at most until `deadline`, and takes all.
    pub(super) fn wait(&self, deadline: Instant) -> Vec<Event> {
        let mut state = self.state.lock();
        while state.events.is_empty() {
            if self.filled.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        state.message_bytes = 0;
        std::mem::take(&mut state.events)
    }
}

/// Decodes messages of another store. One that cannot be read is dropped.
pub(super) fn decode(messages: &[Bytes]) -> Vec<PeerMessage> {
    let decode = |bytes: &Bytes| {
        PeerMessage::decode(bytes)
            .inspect_err(|error| log::warn!("a message is dropped"; "reason" => error.to_string()))
            .ok()
    };
    messages.iter().filter_map(decode).collect()
}
