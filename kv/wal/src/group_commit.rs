//! The log for threads: [`SharedWal`].
//!
//! Group commit: whoever finds nobody committing leads. It takes what waits, writes it as one
//! block, syncs once, tells everyone, and passes the lead to the first that came meanwhile. So a
//! single writer commits in its own thread, and many share a sync.
//!
//! Two threads belong to it: one prepares and seals segments; the other leads for batches that
//! nobody waits for, and writes the mark when the log falls idle.
//!
//! Where the disk is full, a thread that waits hears so. Batches that were handed in stay, in their
//! order, and are tried again until there is room: one that is given up must take all later ones with
//! it, which only their owner could do again.

mod queue;

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mutant::mutant;

use crate::appender::{Appender, Durability};
use crate::batch::{LogBatch, Ops};
use crate::entry::WalEntry;
use crate::error::{Error, Result};
use crate::fs::Fs;
use crate::id::Lsn;
use crate::index::Bounds;
use crate::options::Options;
use crate::purge::PurgeReport;
use crate::reader::WalReader;
use crate::recovery::RecoveryReport;
use crate::store::Store;
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Condvar, Mutex};
use crate::wal::open;
use queue::{Notify, Queue, Request, Waiter, echo};

/// Batches that wait together are at most this many bytes; more are refused as
/// [`Error::Busy`].
const QUEUE_BYTES_MAX: u64 = 64 << 20;

/// How long the log is idle before the mark is written.
const MARK_AFTER: Duration = Duration::from_millis(5);

/// How often a leader lets others run before it commits without them, and from how many writers
/// on that is worth it.
const GATHER_YIELDS: usize = 16;
const GATHER_CROWD: usize = 4;

/// How long the writer thread waits before it tries a full disk again.
const FULL_RETRY: Duration = Duration::from_millis(500);

/// A log of many groups that many threads use. Clones are handles to the same log, which is
/// closed with the last one. It reads as a [`WalReader`] does.
pub struct SharedWal<E> {
    reader: WalReader<E>,
    owner: Arc<Owner>,
}

/// Ends the threads when the last handle goes.
struct Owner {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    store: Arc<Store>,
    appender: Mutex<Appender>,
    queue: Mutex<Queue>,
    /// Wakes the writer thread.
    work: Condvar,
    /// Whether batches that were handed in wait for room on the disk.
    is_full: AtomicBool,
}

impl<E> Clone for SharedWal<E> {
    fn clone(&self) -> SharedWal<E> {
        SharedWal { reader: self.reader.clone(), owner: Arc::clone(&self.owner) }
    }
}

impl<E> Deref for SharedWal<E> {
    type Target = WalReader<E>;

    fn deref(&self) -> &WalReader<E> {
        &self.reader
    }
}

impl<E: WalEntry> SharedWal<E> {
    /// Opens the log in a folder as [`crate::Wal::open`] does, and starts its threads.
    ///
    /// # Errors
    /// As there; and [`Error::Io`] if a thread cannot be started.
    pub fn open(
        fs: Arc<dyn Fs>,
        dir: &Path,
        options: Options,
    ) -> Result<(SharedWal<E>, RecoveryReport)> {
        let (appender, report) = open(fs, dir, options, &[])?;
        let store = Arc::clone(&appender.store);
        let shared = Arc::new(Shared {
            store: Arc::clone(&store),
            appender: Mutex::new(appender),
            queue: Mutex::default(),
            work: Condvar::new(),
            is_full: AtomicBool::new(false),
        });
        let owner = Owner { shared: Arc::clone(&shared), threads: Mutex::default() };
        store.pool.set_threaded();
        let pool = Arc::clone(&store);
        owner.spawn("wal-pool", move || {
            pool.pool.work(&pool.dir, &pool.options, &pool.counters);
        })?;
        owner.spawn("wal-writer", move || shared.work())?;
        Ok((SharedWal { reader: WalReader::new(store), owner: Arc::new(owner) }, report))
    }

    /// Writes a batch and waits for it.
    ///
    /// # Errors
    /// As [`crate::Wal::write`]; and [`Error::Busy`] if too much waits.
    pub fn write(&self, batch: LogBatch<E>, durability: Durability) -> Result<Lsn> {
        let shared = &self.owner.shared;
        let waiter = Arc::new(Waiter::default());
        let request =
            shared.request(batch.into_ops(), durability, Notify::Waiter(Arc::clone(&waiter)))?;
        let lead = shared.enqueue(request, |queue| std::mem::replace(&mut queue.leading, true))?;
        if !lead {
            shared.lead(false);
        }
        loop {
            match waiter.wait() {
                Some(result) => return result,
                None => shared.lead(false),
            }
        }
    }

    /// Hands in a batch; `done` is called, in another thread, once it is written as asked, or
    /// refused. Batches handed in one after another are written and answered in this order. Where the
    /// disk is full they wait for room: see [`SharedWal::is_full`].
    ///
    /// The next commit waits for `done`, which therefore must be quick, and must not itself wait
    /// for the log: it may submit, but not write or sync.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::TooLarge`], [`Error::Poisoned`]: at once, and `done` is dropped.
    pub fn submit(
        &self,
        batch: LogBatch<E>,
        durability: Durability,
        done: impl FnOnce(Result<Lsn>) + Send + 'static,
    ) -> Result<()> {
        let shared = &self.owner.shared;
        let request = shared.request(batch.into_ops(), durability, Notify::Call(Box::new(done)))?;
        let leading = shared.enqueue(request, |queue| {
            queue.writer_leads |= !queue.leading;
            std::mem::replace(&mut queue.leading, true)
        })?;
        if !leading {
            shared.work.notify_one();
        }
        Ok(())
    }

    /// Whether batches that were handed in wait for room on the disk. They are tried again now and
    /// then; when the log is closed before, they are refused as [`Error::DiskFull`].
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.owner.shared.is_full.load(Ordering::Acquire)
    }

    /// Makes all that was written durable.
    ///
    /// # Errors
    /// Any error closes the log for good.
    pub fn sync(&self) -> Result<Lsn> {
        self.owner.shared.appender.lock().sync()
    }

    /// Makes everything up to a block durable, and gives the last block that is. Costs nothing
    /// where it is durable already; those who ask together share a sync.
    ///
    /// # Errors
    /// As [`crate::Wal::sync_to`].
    pub fn sync_to(&self, lsn: Lsn) -> Result<Lsn> {
        let synced = self.synced_lsn();
        if lsn <= synced { Ok(synced) } else { self.owner.shared.appender.lock().sync_to(lsn) }
    }

    /// Frees old segments as [`crate::Wal::purge`] does. Writers get their turn in between.
    ///
    /// # Errors
    /// As [`SharedWal::write`].
    pub fn purge(&self) -> Result<PurgeReport> {
        let appender = &self.owner.shared.appender;
        let mut purge = appender.lock().begin_purge();
        while appender.lock().go_on_with(&mut purge)? {}
        Ok(purge.report)
    }

    /// A reader for other owners.
    #[must_use]
    pub fn reader(&self) -> WalReader<E> {
        self.reader.clone()
    }
}

impl Shared {
    fn request(&self, mut ops: Ops, durability: Durability, notify: Notify) -> Result<Request> {
        self.store.check_alive()?;
        if let Some(bytes_min) = self.store.options.compress_bytes_min {
            ops.compress(bytes_min);
        }
        let bytes = ops.bytes_max();
        let limit = self.store.options.batch_bytes_max();
        if bytes > limit {
            return Err(Error::TooLarge { bytes, limit });
        }
        Ok(Request { ops, bytes, durability, notify })
    }

    fn enqueue<T>(&self, request: Request, then: impl FnOnce(&mut Queue) -> T) -> Result<T> {
        let mut queue = self.queue.lock();
        if queue.stop {
            return Err(Error::Poisoned);
        }
        if queue.bytes + request.bytes > QUEUE_BYTES_MAX {
            return Err(Error::Busy);
        }
        queue.bytes += request.bytes;
        queue.waiting.push_back(request);
        Ok(then(&mut queue))
    }

    /// Commits groups until nothing waits or, unless this is the writer thread, until one group
    /// is done and another thread can lead.
    fn lead(&self, is_writer: bool) {
        loop {
            self.gather();
            let mut appender = self.appender.lock();
            let options = &self.store.options;
            let bytes_max = options.group_bytes_max.min(options.batch_bytes_max());
            let group = self.queue.lock().take_group(bytes_max);
            let (told, kept) = commit(&mut appender, group);
            drop(appender);
            let told_count = told.len();
            let told = self.keep(kept, told);
            // Calls first: the next leader must not call before this one.
            let mut waiters = Vec::new();
            for (notify, result) in told {
                match notify {
                    Notify::Waiter(waiter) => waiters.push((waiter, result)),
                    Notify::Call(call) => call(result),
                }
            }
            let go_on = self.pass_on(is_writer, told_count);
            for (waiter, result) in waiters {
                waiter.done(result);
            }
            if !go_on {
                return;
            }
            self.await_room();
        }
    }

    /// Puts batches back for which the disk has no room, and refuses the threads that wait. Once the
    /// log is being closed, all are refused.
    fn keep(&self, kept: Vec<Request>, mut told: Vec<Told>) -> Vec<Told> {
        self.is_full.store(!kept.is_empty(), Ordering::Release);
        if kept.is_empty() {
            return told;
        }
        let mut queue = self.queue.lock();
        let refused = if queue.stop || mutant!("wal-full-disk-refuses") { kept.len() } else { 0 };
        for request in kept.into_iter().rev() {
            queue.bytes += request.bytes;
            queue.waiting.push_front(request);
        }
        // What comes behind would only be refused for the gap that these leave.
        let refused = if queue.stop { queue.waiting.len() } else { refused };
        let mut refused = queue.take(refused);
        // More than one group may wait: a thread behind the first one must not wait for room.
        refused.extend(queue.take_waiters());
        for request in refused {
            told.push((request.notify, Err(Error::DiskFull)));
        }
        told
    }

    /// Waits, on the writer thread, before a full disk is tried again.
    fn await_room(&self) {
        let mut queue = self.queue.lock();
        if self.is_full.load(Ordering::Acquire) && !queue.stop {
            self.work.wait_for(&mut queue, FULL_RETRY);
        }
    }

    /// Lets the writers of the last group come again, so that all share the next sync. Otherwise
    /// two halves of them would take turns, each waiting for the other's sync.
    fn gather(&self) {
        for _ in 0..GATHER_YIELDS {
            let queue = self.queue.lock();
            if queue.crowd < GATHER_CROWD || queue.waiting.len() >= queue.crowd {
                return;
            }
            drop(queue);
            thread::yield_now();
        }
    }

    /// Gives the lead to who waits first; true if it stays here.
    fn pass_on(&self, is_writer: bool, told: usize) -> bool {
        let mut queue = self.queue.lock();
        queue.crowd = queue.waiting.len() + told;
        queue.writer_leads = false;
        queue.unmarked = true;
        queue.commits += 1;
        let wake_writer = std::mem::take(&mut queue.writer_asleep);
        let stays = match queue.waiting.front().map(|request| &request.notify) {
            None => {
                queue.leading = false;
                false
            }
            Some(Notify::Waiter(waiter)) => {
                waiter.lead();
                false
            }
            Some(Notify::Call(_)) => {
                queue.writer_leads = true;
                is_writer
            }
        };
        if wake_writer || queue.writer_leads && !is_writer {
            self.work.notify_one();
        }
        stays
    }

    /// The writer thread.
    fn work(&self) {
        let mut queue = self.queue.lock();
        loop {
            if queue.writer_leads {
                drop(queue);
                self.lead(true);
                queue = self.queue.lock();
            } else if queue.stop && !queue.leading {
                drop(queue);
                // Nothing waits any more; an error here only leaves the last block unprotected.
                let _ = self.appender.lock().mark();
                return;
            } else if queue.unmarked {
                let before = queue.commits;
                let timed_out = self.work.wait_for(&mut queue, MARK_AFTER).timed_out();
                // Otherwise it is not idle, and the next commit says what the mark would.
                if timed_out && !queue.leading && queue.commits == before {
                    queue.unmarked = false;
                    drop(queue);
                    // An error has closed the log, and the next write says so.
                    let _ = self.appender.lock().mark();
                    queue = self.queue.lock();
                }
            } else {
                queue.writer_asleep = true;
                self.work.wait(&mut queue);
                queue.writer_asleep = false;
            }
        }
    }
}

/// Who is told about a batch, and what.
type Told = (Notify, Result<Lsn>);

/// Commits a group; gives what to tell each of it, in order, and what was handed in and finds no
/// room.
fn commit(appender: &mut Appender, group: Vec<Request>) -> (Vec<Told>, Vec<Request>) {
    let mut checked = Vec::with_capacity(group.len());
    let mut batches = Vec::with_capacity(group.len());
    let mut durability = Durability::Deferred;
    {
        let state = appender.store.state.read();
        let mut bounds = Bounds::default();
        for mut request in group {
            let fits = state.index.check(&request.ops.items, &mut bounds);
            if fits.is_ok() {
                if request.durability == Durability::Synced {
                    durability = Durability::Synced;
                }
                batches.push(std::mem::take(&mut request.ops));
            }
            checked.push((request, fits));
        }
    }
    let mut committed = match batches.is_empty() {
        true => Ok(Lsn(0)),
        false => appender.commit_or_keep(&mut batches, durability),
    };
    let is_full = matches!(committed, Err(Error::DiskFull));
    let mut answer = |fits: Result<()>| {
        fits?;
        match &mut committed {
            Ok(lsn) => Ok(*lsn),
            // The failure itself is told once.
            Err(error) => {
                let others = echo(error);
                Err(std::mem::replace(error, others))
            }
        }
    };
    let (mut told, mut kept) = (Vec::with_capacity(checked.len()), Vec::new());
    let mut left = batches.into_iter();
    for (mut request, fits) in checked {
        let ops = if fits.is_ok() && is_full { left.next() } else { None };
        match (&request.notify, ops) {
            (Notify::Call(_), Some(ops)) => {
                request.ops = ops;
                kept.push(request);
            }
            _ => told.push((request.notify, answer(fits))),
        }
    }
    (told, kept)
}

impl Owner {
    fn spawn(&self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<()> {
        let thread = thread::Builder::new().name(name.to_owned()).spawn(run);
        self.threads.lock().push(thread.map_err(Error::io(format!("start thread {name}")))?);
        Ok(())
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.queue.lock().stop = true;
        self.shared.work.notify_all();
        let mut threads = std::mem::take(&mut *self.threads.lock());
        let here = thread::current().id();
        // The writer first: it may still need segments. A callback that holds the last handle
        // drops it in the writer thread, which cannot wait for itself.
        while let Some(thread) = threads.pop() {
            if thread.thread().id() != here {
                // A panic of that thread was reported when it happened.
                let _ = thread.join();
            }
            if threads.len() == 1 {
                self.shared.store.pool.stop();
            }
        }
    }
}

#[cfg(test)]
mod tests;
