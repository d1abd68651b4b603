//! Threads that take jobs from one queue.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender};
use mutant::mutant;

use super::{Job, PoolFull, PoolOptions, Room, ThreadPool, Ticket, run};

/// A pool whose threads share one queue.
#[derive(Debug)]
pub struct SharedQueuePool {
    room: Arc<Room>,
    /// None once the pool is being dropped.
    queue: Option<Sender<(Job, Ticket)>>,
    threads: Vec<JoinHandle<()>>,
}

impl SharedQueuePool {
    /// Makes a pool and starts its threads.
    ///
    /// # Errors
    /// The system's, if it gives no threads.
    pub fn new(options: PoolOptions) -> std::io::Result<SharedQueuePool> {
        // The room bounds the queue.
        let (queue, jobs) = crossbeam_channel::unbounded();
        let mut pool = SharedQueuePool {
            room: Room::new(options.jobs_max.max(1)),
            queue: Some(queue),
            threads: Vec::new(),
        };
        for _ in 0..options.threads.max(1) {
            let jobs = jobs.clone();
            let thread = thread::Builder::new().name("read".into()).spawn(move || work(&jobs))?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }
}

/// Runs jobs until the pool is dropped and the queue is empty.
fn work(jobs: &Receiver<(Job, Ticket)>) {
    loop {
        match jobs.recv() {
            Ok((job, ticket)) => run(job, ticket),
            Err(_) if mutant!("pool-spins-on-drop") => thread::yield_now(),
            Err(_) => return,
        }
    }
}

impl ThreadPool for SharedQueuePool {
    fn spawn(&self, job: Job) -> Result<(), PoolFull> {
        let ticket = self.room.enter()?;
        let queue = self.queue.as_ref().expect("it is there until the pool is dropped");
        queue.send((job, ticket)).map_err(|_| PoolFull)
    }

    fn jobs(&self) -> usize {
        self.room.jobs.load(Ordering::Acquire)
    }
}

impl Drop for SharedQueuePool {
    fn drop(&mut self) {
        // The threads see the end of the queue behind the jobs that are in it.
        self.queue = None;
        if mutant!("pool-spins-on-drop") {
            return;
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
