//! The store of this process: one engine and one node, and the ways to them.
//!
//! ```text
//!  a read that needs no disk ──────────────────────────> engine          on the caller's thread
//!  a read that may           ──> thread pool ──────────> engine
//!  a chunk with writes       ──> mailbox of the worker ─┬> write thread   if it waits for the disk
//!                                (all of one round)     └> worker itself  if not, or if that delays nobody
//!                                  node: one batch, engine: one write, then the answers
//! ```
//!
//! In a cluster chunks go to the raft thread instead, and reads wait at a barrier first; see
//! [`crate::cluster`].
//!
//! Invariants: one thread at a time is in the node; an answer is released when its batch is as
//! durable as configured, never before; every chunk that was taken is answered once, also when
//! the server stops; what waits is bounded in number and bytes.

mod admission;
mod backlog;
mod commit;
mod error;
mod mailbox;
mod write_thread;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use engine::{Durability, Engine};
use node::{Page, Read, Response, Scan, Time};
use parking_lot::Mutex;
use tokio::sync::oneshot;

pub(crate) use admission::{Admission, Limits, Permit};
pub(crate) use backlog::{Backlog, NO_ROOM};
pub(crate) use error::StoreError;
pub(crate) use mailbox::{
    Admitted, Answer, Back, Destination, Landed, Landing, Mailbox, Outcome, Reach, Reader, Reply,
    Submission, Tag, Tagged, Waiter,
};
pub(crate) use write_thread::WriteThread;

use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::halt::Halt;
use crate::metrics::Metrics;
use crate::pool::ThreadPool;
use commit::Committer;
use write_thread::Queue;

/// The store of this process.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) clock: Clock,
    pub(crate) admission: Admission,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) pool: Arc<dyn ThreadPool>,
    pub(crate) durability: Durability,
    committer: Mutex<Committer>,
    /// What a group took lately, in nanoseconds.
    commit_nanos: AtomicU64,
    queue: Queue,
    /// The way to the other stores, once it is there; none: this store stands alone.
    cluster: OnceLock<Arc<Cluster>>,
    /// The last write that failed, if no other has succeeded since.
    failure: Mutex<Option<String>>,
    /// What ends the process where it cannot go on.
    pub(crate) halt: Arc<Halt>,
}

/// What a store is made of.
#[derive(Debug)]
pub(crate) struct StoreOptions {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) durability: Durability,
    pub(crate) pool: Arc<dyn ThreadPool>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) limits: Limits,
}

impl Store {
    /// Makes a store of what the engine holds.
    pub(crate) fn new(options: StoreOptions) -> node::Result<Store> {
        let committer = Committer::new(options.engine.as_ref())?;
        Ok(Store {
            engine: options.engine,
            clock: Clock::default(),
            admission: Admission::new(options.limits),
            metrics: options.metrics,
            pool: options.pool,
            durability: options.durability,
            committer: Mutex::new(committer),
            commit_nanos: AtomicU64::new(0),
            queue: Queue::default(),
            cluster: OnceLock::new(),
            failure: Mutex::default(),
            halt: Arc::default(),
        })
    }

    /// Makes it a store of a cluster. Once, before there are clients.
    pub(crate) fn join(&self, cluster: Arc<Cluster>) {
        let first = self.cluster.set(cluster).is_ok();
        assert!(first, "a store joins once");
    }

    /// The way to the other stores; none: this store stands alone.
    pub(crate) fn cluster(&self) -> Option<&Arc<Cluster>> {
        self.cluster.get()
    }

    /// Reads, if that needs no disk; none if it may.
    pub(crate) fn read_now(&self, read: &Read, now: Time) -> Option<Response> {
        node::read_nowait(self.engine.as_ref(), read, now)
    }

    /// Reads, on a thread that may wait for the disk.
    pub(crate) async fn read(
        self: &Arc<Self>,
        reads: Vec<Read>,
    ) -> Result<Vec<Response>, StoreError> {
        self.on_pool(move |store| {
            let now = store.clock.now();
            reads.iter().map(|it| node::read(store.engine.as_ref(), it, now)).collect()
        })
        .await
    }

    /// Reads a page of a range, on a thread that may wait for the disk.
    pub(crate) async fn scan(self: &Arc<Self>, scan: Scan) -> Result<Page, StoreError> {
        self.on_pool(move |store| store.page(&scan)).await?
    }

    /// Reads, on a thread that may wait for the disk; the outcome goes to `to`.
    pub(crate) fn read_to(self: &Arc<Self>, read: Read, to: Tagged) -> Result<(), StoreError> {
        self.to_pool(move |store| {
            let response = node::read(store.engine.as_ref(), &read, store.clock.now());
            to.send_read(Ok(vec![response]));
        })
    }

    /// Reads a page of a range, on a thread that may wait for the disk; the outcome goes to `to`.
    pub(crate) fn scan_to(self: &Arc<Self>, scan: Scan, to: Tagged) -> Result<(), StoreError> {
        self.to_pool(move |store| {
            to.send_read(store.page(&scan).map(|page| vec![Response::Pairs(page.pairs)]));
        })
    }

    /// Reads a page of a range.
    fn page(&self, scan: &Scan) -> Result<Page, StoreError> {
        let view = self.engine.view()?;
        Ok(node::scan(view.as_ref(), scan, self.clock.now())?)
    }

    /// Takes room for requests, if there is some.
    fn enter(&self, requests: usize, bytes: usize) -> Result<Permit, StoreError> {
        let permit = self.admission.enter(requests, bytes);
        permit.inspect_err(|_| {
            self.metrics.rejected.inflight.inc();
        })
    }

    /// Runs a job on the pool.
    fn to_pool(
        self: &Arc<Self>,
        job: impl FnOnce(&Store) + Send + 'static,
    ) -> Result<(), StoreError> {
        let permit = self.enter(1, 0)?;
        let store = Arc::clone(self);
        let job = Box::new(move || {
            job(&store);
            drop(permit);
        });
        self.pool.spawn(job).map_err(|full| {
            self.metrics.rejected.read_pool.inc();
            StoreError::Busy(full.to_string())
        })
    }

    /// Runs a job on the pool, and waits for it.
    async fn on_pool<T: Send + 'static>(
        self: &Arc<Self>,
        job: impl FnOnce(&Store) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        // An error means that nobody waits any more: the connection has gone.
        self.to_pool(move |store| drop(answer.send(job(store))))?;
        answered.await.map_err(|_| StoreError::Lost)
    }

    /// Why writes fail now, if they do.
    pub(crate) fn failure(&self) -> Option<String> {
        self.halt.reason().or_else(|| self.failure.lock().clone())
    }

    /// Live keys in the column family of the Redis protocol, expired ones that are not removed
    /// yet included.
    pub(crate) fn keys(&self) -> u64 {
        self.engine.stats().cfs[engine::Cf::Default.index()].keys
    }
}

/// Copies bytes that are kept, so that they do not keep a connection's read buffer alive.
pub(crate) fn keep(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}
