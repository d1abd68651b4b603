//! A thread for each job: simple, and dear where jobs are short.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};

use parking_lot::{Condvar, Mutex};

use super::{Job, PoolFull, PoolOptions, Room, ThreadPool, run};

/// A pool that starts a thread for each job.
#[derive(Debug)]
pub struct NaivePool {
    room: Arc<Room>,
    slots: Arc<Slots>,
    /// Threads that may not have ended; finished ones are joined when the next job comes.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// How many jobs may run at a time.
#[derive(Debug)]
struct Slots {
    free: Mutex<usize>,
    freed: Condvar,
}

impl NaivePool {
    /// Makes a pool, which has no threads yet.
    #[must_use]
    pub fn new(options: PoolOptions) -> NaivePool {
        NaivePool {
            room: Room::new(options.jobs_max.max(1)),
            slots: Arc::new(Slots {
                free: Mutex::new(options.threads.max(1)),
                freed: Condvar::new(),
            }),
            threads: Mutex::new(Vec::new()),
        }
    }
}

impl ThreadPool for NaivePool {
    fn spawn(&self, job: Job) -> Result<(), PoolFull> {
        let ticket = self.room.enter()?;
        let slots = Arc::clone(&self.slots);
        let body = move || {
            let _slot = slots.take();
            run(job, ticket);
        };
        let thread = thread::Builder::new().name("read".into()).spawn(body);
        // The system is out of threads: that is as good as a full pool.
        let thread = thread.map_err(|_| PoolFull)?;
        let mut threads = self.threads.lock();
        for done in threads.extract_if(.., |thread| thread.is_finished()) {
            // A thread that panicked said so already.
            let _ = done.join();
        }
        threads.push(thread);
        Ok(())
    }

    fn jobs(&self) -> usize {
        self.room.jobs.load(Ordering::Acquire)
    }
}

impl Slots {
    /// Waits until a job may run.
    fn take(&self) -> Slot<'_> {
        let mut free = self.free.lock();
        while *free == 0 {
            self.freed.wait(&mut free);
        }
        *free -= 1;
        Slot { slots: self }
    }
}

/// The leave for one job to run.
#[derive(Debug)]
struct Slot<'a> {
    slots: &'a Slots,
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.slots.free.lock() += 1;
        self.slots.freed.notify_one();
    }
}

impl Drop for NaivePool {
    fn drop(&mut self) {
        for thread in self.threads.get_mut().drain(..) {
            let _ = thread.join();
        }
    }
}
