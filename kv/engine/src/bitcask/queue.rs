//! Brings concurrent writers together into groups.
//!
//! A writer puts its request into the queue. If nobody leads, it becomes the leader, or else it
//! waits. The leader takes requests from the front of the queue, has them committed as one group,
//! wakes their writers, and hands the lead to the writer at the front, if there is one.
//!
//! # When a leader waits
//!
//! Writers that write again as soon as they are answered come back just after a sync ended. A
//! leader that syncs at once, with the few that are back, makes the others wait for a whole sync
//! more, and so on: each sync serves about half of them. So a leader waits until as many have
//! arrived as were there lately, but at most for half of the time that a sync takes. It does not
//! wait for a group without a sync, nor when there was one writer only.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::frame::Draft;
use crate::{Durability, Error, Result};

const WAITING: u8 = 0;
const LEADING: u8 = 1;
const DONE: u8 = 2;

/// A batch that waits to be written.
#[derive(Debug)]
pub(super) struct Request {
    /// `None` asks for no more than a sync of everything before.
    pub(super) draft: Option<Draft>,
    pub(super) durability: Durability,
    state: AtomicU8,
    result: Mutex<Option<Error>>,
    writer: Thread,
}

impl Request {
    fn len(&self) -> usize {
        self.draft.as_ref().map_or(0, |draft| draft.len() as usize)
    }

    /// Says how it went; the writer goes on once the group is released.
    pub(super) fn fail(&self, error: Error) {
        *self.result.lock() = Some(error);
    }

    fn release(&self, state: u8) {
        // Once the state is set, the writer may be gone.
        let writer = self.writer.clone();
        self.state.store(state, Ordering::Release);
        writer.unpark();
    }

    fn result(&self) -> Result<()> {
        self.result.lock().take().map_or(Ok(()), Err)
    }
}

#[derive(Debug, Default)]
struct Waiting {
    requests: VecDeque<Arc<Request>>,
    led: bool,
    /// How many writers there were at once lately.
    writers: usize,
    /// How many requests the leader waits for; 0 if it does not wait.
    wanted: usize,
    /// How long a group with a sync took lately.
    sync_time: Duration,
}

/// The queue of writers.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    /// Tells the leader that as many requests as it wants are there.
    arrived: Condvar,
}

/// The longest wait for other writers.
const GATHER_MAX: Duration = Duration::from_millis(2);

impl Queue {
    /// Has a batch committed, by this thread or another, in a group that `commit` writes.
    pub(super) fn write(
        &self,
        draft: Option<Draft>,
        durability: Durability,
        group_bytes: usize,
        commit: impl Fn(&[Arc<Request>]),
    ) -> Result<()> {
        let request = Arc::new(Request {
            draft,
            durability,
            state: AtomicU8::new(WAITING),
            result: Mutex::new(None),
            writer: thread::current(),
        });
        let leads = {
            let mut waiting = self.waiting.lock();
            waiting.requests.push_back(Arc::clone(&request));
            if waiting.wanted > 0 && waiting.requests.len() >= waiting.wanted {
                self.arrived.notify_one();
            }
            !std::mem::replace(&mut waiting.led, true)
        };
        if !leads {
            while request.state.load(Ordering::Acquire) == WAITING {
                thread::park();
            }
            if request.state.load(Ordering::Acquire) == DONE {
                return request.result();
            }
        }
        let group = self.take(group_bytes);
        debug_assert!(Arc::ptr_eq(&group[0], &request), "the leader is first in its group");
        let syncs = group.iter().any(|request| request.durability == Durability::Always);
        let start = syncs.then(Instant::now);
        commit(&group);
        self.hand_over(group.len(), start.map(|start| start.elapsed()));
        for follower in &group[1..] {
            follower.release(DONE);
        }
        request.result()
    }

    /// Takes requests from the front, as many as fit into a group, and one at least.
    fn take(&self, group_bytes: usize) -> Vec<Arc<Request>> {
        let mut waiting = self.waiting.lock();
        self.gather(&mut waiting);
        let mut bytes = 0;
        let fit = waiting.requests.iter().take_while(|request| {
            let fits = bytes == 0 || bytes + request.len() <= group_bytes;
            bytes += request.len().max(1);
            fits
        });
        let count = fit.count();
        waiting.requests.drain(..count).collect()
    }

    /// Waits for other writers, if that pays.
    fn gather(&self, waiting: &mut MutexGuard<'_, Waiting>) {
        let wanted = waiting.writers;
        let syncs = waiting.requests.iter().any(|r| r.durability == Durability::Always);
        if !syncs || waiting.requests.len() >= wanted {
            return;
        }
        let until = Instant::now() + (waiting.sync_time / 2).min(GATHER_MAX);
        waiting.wanted = wanted;
        while waiting.requests.len() < wanted {
            if self.arrived.wait_until(waiting, until).timed_out() {
                break;
            }
        }
        waiting.wanted = 0;
    }

    /// Lets the next writer lead, after a group of so many that took so long if it was synced.
    fn hand_over(&self, group: usize, sync_time: Option<Duration>) {
        let mut waiting = self.waiting.lock();
        let writers = group + waiting.requests.len();
        // It rises at once, and falls by an eighth a group.
        waiting.writers = writers.max(waiting.writers - waiting.writers.div_ceil(8));
        if let Some(time) = sync_time {
            waiting.sync_time = (waiting.sync_time * 7 + time) / 8;
        }
        match waiting.requests.front() {
            Some(next) => next.release(LEADING),
            None => waiting.led = false,
        }
    }
}
