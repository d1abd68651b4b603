//! Where the connections of one worker put their chunks, and get the answers.
//!
//! A round of the worker's event loop polls all connections that have input before the mailbox's
//! own task, which then takes all their chunks as one. So a round costs one hand-over to the
//! write thread and one wake-up back, not one for each connection.
//!
//! Where a sync is quick the hand-over costs as much as the sync does. So a worker waits for the
//! disk itself if that delays nobody: all that it serves are writes that wait for this very sync.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use node::{Chunk, Read, Response, Time};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};

use super::{Permit, Store, StoreError};

/// A worker whose reads are at most this part of its writes, one in sixteen, serves writers.
const READS_OF_WRITES: u64 = 16;

/// What became of a chunk: one response for each command.
pub(crate) type Outcome = Result<Vec<Response>, StoreError>;

/// A chunk on its way.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(super) chunk: Chunk,
    pub(super) reply: Reply,
}

/// Where an outcome goes, and the room that the chunk takes until it is answered.
#[derive(Debug)]
pub(crate) struct Reply {
    to: Destination,
    _permit: Permit,
}

impl Reply {
    pub(super) fn new(to: Destination, permit: Permit) -> Reply {
        Reply { to, _permit: permit }
    }
}

/// Where an outcome goes.
#[derive(Debug)]
pub(crate) enum Destination {
    /// To one that waits for nothing else.
    Once(oneshot::Sender<Outcome>),
    /// To one that waits for many.
    Tagged(Tagged),
}

/// The number by which a connection knows a request.
pub(crate) type Tag = u64;

/// Where the outcome of one request of many goes. It says by itself that the outcome is lost when
/// it is dropped without one.
#[derive(Debug)]
pub(crate) struct Tagged {
    tag: Tag,
    /// None once the outcome was sent.
    to: Option<mpsc::UnboundedSender<(Tag, Outcome)>>,
}

impl Tagged {
    pub(crate) fn new(tag: Tag, to: mpsc::UnboundedSender<(Tag, Outcome)>) -> Tagged {
        Tagged { tag, to: Some(to) }
    }

    /// Sends the outcome.
    pub(crate) fn send(mut self, outcome: Outcome) {
        if let Some(to) = self.to.take() {
            // An error means that nobody waits any more: the connection has gone.
            let _ = to.send((self.tag, outcome));
        }
    }
}

impl Drop for Tagged {
    fn drop(&mut self) {
        if let Some(to) = self.to.take() {
            let _ = to.send((self.tag, Err(StoreError::Lost)));
        }
    }
}

/// An outcome on its way back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(super) reply: Reply,
    pub(super) outcome: Outcome,
}

impl Answer {
    /// Hands the outcome over.
    fn deliver(self) {
        // An error means that nobody waits any more: the connection has gone.
        match self.reply.to {
            Destination::Once(to) => drop(to.send(self.outcome)),
            Destination::Tagged(to) => to.send(self.outcome),
        }
    }
}

/// A round's chunks on their way to the write thread, and the way back.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) submissions: Vec<Submission>,
    pub(super) back: mpsc::UnboundedSender<Vec<Answer>>,
}

/// The mailbox of one worker.
#[derive(Debug)]
pub(crate) struct Mailbox {
    store: Arc<Store>,
    submissions: Mutex<Vec<Submission>>,
    /// Says that there are submissions.
    filled: Notify,
    /// Reads that the worker began since its last round of writes.
    reads: AtomicU64,
    /// Parcels that the write thread has of it. While there is one, no chunk may overtake it.
    parcels_out: AtomicUsize,
}

impl Mailbox {
    pub(crate) fn new(store: Arc<Store>) -> Mailbox {
        Mailbox {
            store,
            submissions: Mutex::default(),
            filled: Notify::new(),
            reads: AtomicU64::new(0),
            parcels_out: AtomicUsize::new(0),
        }
    }

    /// Reads, if that needs no disk; none if it may.
    pub(crate) fn read_now(&self, read: &Read, now: Time) -> Option<Response> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.store.read_now(read, now)
    }

    /// Takes a chunk; its outcome goes to `to` when it is durable.
    pub(crate) fn submit(&self, chunk: Chunk, to: Destination) -> Result<(), StoreError> {
        let bytes = chunk.commands.iter().map(node::Command::bytes).sum();
        let permit = self.store.admission.enter(chunk.commands.len(), bytes).inspect_err(|_| {
            self.store.metrics.rejected.inflight.inc();
        })?;
        let mut submissions = self.submissions.lock();
        submissions.push(Submission { chunk, reply: Reply::new(to, permit) });
        if submissions.len() == 1 {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Carries a chunk out and waits for it.
    pub(crate) async fn run(&self, chunk: Chunk) -> Outcome {
        let (to, outcome) = oneshot::channel();
        self.submit(chunk, Destination::Once(to))?;
        outcome.await.unwrap_or(Err(StoreError::Lost))
    }

    /// Forwards what comes in, for as long as the worker lives.
    pub(crate) async fn forward(self: Arc<Self>) {
        let (back, mut answers) = mpsc::unbounded_channel::<Vec<Answer>>();
        loop {
            tokio::select! {
                () = self.filled.notified() => self.send(&back),
                Some(answers) = answers.recv() => {
                    self.parcels_out.fetch_sub(1, Ordering::Relaxed);
                    answers.into_iter().for_each(Answer::deliver);
                }
            }
        }
    }

    /// Sends what is there to where it is carried out.
    fn send(&self, back: &mpsc::UnboundedSender<Vec<Answer>>) {
        let submissions = std::mem::take(&mut *self.submissions.lock());
        if submissions.is_empty() {
            return;
        }
        let reads = self.reads.swap(0, Ordering::Relaxed);
        let delays_nobody = reads.saturating_mul(READS_OF_WRITES) <= submissions.len() as u64
            && self.parcels_out.load(Ordering::Relaxed) == 0;
        match self.store.commit_here(submissions, delays_nobody) {
            Ok(answers) => answers.into_iter().for_each(Answer::deliver),
            Err(submissions) => {
                self.parcels_out.fetch_add(1, Ordering::Relaxed);
                self.store.enqueue(Parcel { submissions, back: back.clone() });
            }
        }
    }
}
