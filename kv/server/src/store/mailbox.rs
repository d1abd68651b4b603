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

use mutant::mutant;
use node::{Chunk, Read, Response, Scan, Time};
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

impl Submission {
    /// The chunk, and where its outcome goes.
    pub(crate) fn into_parts(self) -> (Chunk, Reply) {
        (self.chunk, self.reply)
    }
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

    /// Whether the client can be sent to another store: one of the native protocol can.
    pub(crate) fn may_redirect(&self) -> bool {
        matches!(self.to, Destination::Tagged(_))
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

/// One who waits until reads see all that was answered before; called on the worker's thread.
pub(crate) type Waiter = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// What comes back to a worker.
pub(crate) enum Back {
    /// Outcomes of a parcel.
    Answers(Vec<Answer>),
    /// That these may read, or why not.
    Readable(Vec<Waiter>, Result<(), StoreError>),
}

impl Answer {
    pub(crate) fn new(reply: Reply, outcome: Outcome) -> Answer {
        Answer { reply, outcome }
    }

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
    pub(super) back: mpsc::UnboundedSender<Back>,
}

/// The mailbox of one worker.
pub(crate) struct Mailbox {
    store: Arc<Store>,
    submissions: Mutex<Vec<Submission>>,
    /// Readers of a store of a cluster.
    waiters: Mutex<Vec<Waiter>>,
    /// Says that there are submissions or readers.
    filled: Notify,
    /// Reads that the worker began since its last round of writes.
    reads: AtomicU64,
    /// Parcels that the write thread has of it. While there is one, no chunk may overtake it.
    parcels_out: AtomicUsize,
}

impl std::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailbox").finish_non_exhaustive()
    }
}

impl Mailbox {
    pub(crate) fn new(store: Arc<Store>) -> Mailbox {
        Mailbox {
            store,
            submissions: Mutex::default(),
            waiters: Mutex::default(),
            filled: Notify::new(),
            reads: AtomicU64::new(0),
            parcels_out: AtomicUsize::new(0),
        }
    }

    /// Reads, if that needs neither a disk nor another store; none if it may.
    pub(crate) fn read_now(&self, read: &Read, now: Time) -> Option<Response> {
        if self.store.cluster().is_some() {
            return None;
        }
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.store.read_now(read, now)
    }

    /// Calls `waiter` on this thread once reads see all that was answered before.
    pub(crate) fn when_readable(&self, waiter: Waiter) {
        if self.store.cluster().is_none() || mutant!("cluster-reads-without-barrier") {
            return waiter(Ok(()));
        }
        let mut waiters = self.waiters.lock();
        waiters.push(waiter);
        if waiters.len() == 1 {
            self.filled.notify_one();
        }
    }

    /// Waits until reads see all that was answered before.
    pub(crate) async fn readable(&self) -> Result<(), StoreError> {
        if self.store.cluster().is_none() {
            return Ok(());
        }
        let (to, readable) = oneshot::channel();
        self.when_readable(Box::new(move |result| drop(to.send(result))));
        readable.await.unwrap_or(Err(StoreError::Lost))
    }

    /// Reads, where [`Mailbox::read_now`] cannot.
    pub(crate) async fn read(&self, read: Read) -> Result<Vec<Response>, StoreError> {
        self.readable().await?;
        if self.store.cluster().is_some()
            && let Some(response) = self.store.read_now(&read, self.store.clock.now())
        {
            return Ok(vec![response]);
        }
        self.store.read(vec![read]).await
    }

    /// Reads, where [`Mailbox::read_now`] cannot; the outcome goes to `to`.
    pub(crate) fn read_to(&self, read: Read, to: Tagged) -> Result<(), StoreError> {
        if self.store.cluster().is_none() {
            return self.store.read_to(read, to);
        }
        let store = Arc::clone(&self.store);
        self.when_readable(Box::new(move |readable| match readable {
            Err(error) => to.send(Err(error)),
            Ok(()) => match store.read_now(&read, store.clock.now()) {
                Some(response) => to.send(Ok(vec![response])),
                // Where the pool is full, dropping `to` answers.
                None => drop(store.read_to(read, to)),
            },
        }));
        Ok(())
    }

    /// Reads a page of a range; the outcome goes to `to`.
    pub(crate) fn scan_to(&self, scan: Scan, to: Tagged) -> Result<(), StoreError> {
        if self.store.cluster().is_none() {
            return self.store.scan_to(scan, to);
        }
        let store = Arc::clone(&self.store);
        self.when_readable(Box::new(move |readable| match readable {
            Err(error) => to.send(Err(error)),
            // Where the pool is full, dropping `to` answers.
            Ok(()) => drop(store.scan_to(scan, to)),
        }));
        Ok(())
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
        let (back, mut answers) = mpsc::unbounded_channel::<Back>();
        loop {
            tokio::select! {
                () = self.filled.notified() => self.send(&back),
                Some(answer) = answers.recv() => match answer {
                    Back::Answers(answers) => {
                        self.parcels_out.fetch_sub(1, Ordering::Relaxed);
                        answers.into_iter().for_each(Answer::deliver);
                    }
                    Back::Readable(waiters, result) => {
                        waiters.into_iter().for_each(|waiter| waiter(result.clone()));
                    }
                }
            }
        }
    }

    /// Sends what is there to where it is carried out.
    fn send(&self, back: &mpsc::UnboundedSender<Back>) {
        let submissions = std::mem::take(&mut *self.submissions.lock());
        if let Some(cluster) = self.store.cluster() {
            let waiters = std::mem::take(&mut *self.waiters.lock());
            if !submissions.is_empty() {
                cluster.write(submissions, back);
            }
            if !waiters.is_empty() {
                cluster.readable(waiters, back);
            }
            return;
        }
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
