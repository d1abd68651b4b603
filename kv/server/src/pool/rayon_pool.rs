//! Rayon's threads, which steal jobs from each other.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;

use super::{Job, PoolFull, PoolOptions, Room, ThreadPool, run};

/// A pool of rayon's.
#[derive(Debug)]
pub struct RayonPool {
    room: Arc<Room>,
    /// None once the pool is being dropped.
    pool: Option<rayon::ThreadPool>,
    /// Rayon's own drop does not wait for its threads, so that they are started here and kept.
    threads: Vec<JoinHandle<()>>,
}

impl RayonPool {
    /// Makes a pool and starts its threads.
    ///
    /// # Errors
    /// The system's, if it gives no threads.
    pub fn new(options: PoolOptions) -> std::io::Result<RayonPool> {
        let threads = Mutex::new(Vec::new());
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(options.threads.max(1))
            .spawn_handler(|thread| {
                let body = || thread.run();
                threads.lock().push(thread::Builder::new().name("read".into()).spawn(body)?);
                Ok(())
            })
            .build()
            .map_err(std::io::Error::other)?;
        Ok(RayonPool {
            room: Room::new(options.jobs_max.max(1)),
            pool: Some(pool),
            threads: threads.into_inner(),
        })
    }
}

impl ThreadPool for RayonPool {
    fn spawn(&self, job: Job) -> Result<(), PoolFull> {
        let ticket = self.room.enter()?;
        let pool = self.pool.as_ref().expect("it is there until the pool is dropped");
        // A panic that reached rayon would abort the process; `run` lets none through.
        pool.spawn(move || run(job, ticket));
        Ok(())
    }

    fn jobs(&self) -> usize {
        self.room.jobs.load(Ordering::Acquire)
    }
}

impl Drop for RayonPool {
    fn drop(&mut self) {
        self.pool = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
