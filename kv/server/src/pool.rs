//! Threads for jobs that may wait for the disk.
//!
//! Three kinds do the same: a thread for each job, threads that share one queue, and rayon. In all
//! of them a job that panics costs neither a thread nor the process, the number of jobs that wait
//! or run is bounded, and dropping the pool ends its threads once the jobs that it took are done.

mod naive;
mod rayon_pool;
mod shared_queue;

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mutant::mutant;

pub use naive::NaivePool;
pub use rayon_pool::RayonPool;
pub use shared_queue::SharedQueuePool;

use crate::config::PoolKind;

/// A piece of work.
pub type Job = Box<dyn FnOnce() + Send>;

/// Threads that run jobs.
pub trait ThreadPool: Debug + Send + Sync {
    /// Has a job run on one of the threads.
    ///
    /// # Errors
    /// The job, if too many are waiting.
    fn spawn(&self, job: Job) -> Result<(), PoolFull>;

    /// The number of jobs that wait or run.
    fn jobs(&self) -> usize;
}

/// Too many jobs are waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many reads are waiting for the disk")]
pub struct PoolFull;

/// Makes a pool of a kind.
///
/// # Errors
/// The system's, if it gives no threads.
pub fn make(kind: PoolKind, options: PoolOptions) -> std::io::Result<Arc<dyn ThreadPool>> {
    Ok(match kind {
        PoolKind::Naive => Arc::new(NaivePool::new(options)),
        PoolKind::Shared => Arc::new(SharedQueuePool::new(options)?),
        PoolKind::Rayon => Arc::new(RayonPool::new(options)?),
    })
}

/// The size of a pool.
#[derive(Clone, Copy, Debug)]
pub struct PoolOptions {
    /// Threads, at least 1. A naive pool runs no more jobs than that at a time.
    pub threads: usize,
    /// Jobs that may wait or run, at least 1.
    pub jobs_max: usize,
}

/// Counts the jobs of a pool, and refuses those beyond its limit.
#[derive(Debug)]
struct Room {
    jobs: AtomicUsize,
    jobs_max: usize,
}

impl Room {
    fn new(jobs_max: usize) -> Arc<Room> {
        Arc::new(Room { jobs: AtomicUsize::new(0), jobs_max })
    }

    /// Takes the place of a job; it is given back when the ticket is dropped.
    fn enter(self: &Arc<Room>) -> Result<Ticket, PoolFull> {
        let entered = self.jobs.fetch_update(Ordering::AcqRel, Ordering::Acquire, |jobs| {
            (jobs < self.jobs_max).then_some(jobs + 1)
        });
        entered.map(|_| Ticket { room: Arc::clone(self) }).map_err(|_| PoolFull)
    }
}

/// The place of one job.
#[derive(Debug)]
struct Ticket {
    room: Arc<Room>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.room.jobs.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Runs a job; a panic ends the job only. What it said is in the log.
fn run(job: Job, ticket: Ticket) {
    if mutant!("pool-panic-escapes") {
        job();
    } else if catch_unwind(AssertUnwindSafe(job)).is_err() {
        log::error!("a job panicked; the pool goes on");
    }
    drop(ticket);
}
