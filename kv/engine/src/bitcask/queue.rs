//! Brings concurrent writers together into groups.
//!
//! A writer puts its request into the queue. If nobody leads, it becomes the leader, or else it
//! waits. The leader takes requests from the front of the queue, has them committed as one group,
//! wakes their writers, and hands the lead to the writer at the front, if there is one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::{self, Thread};

use parking_lot::Mutex;

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
}

/// The queue of writers.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
}

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
        commit(&group);
        self.hand_over();
        for follower in &group[1..] {
            follower.release(DONE);
        }
        request.result()
    }

    /// Takes requests from the front, as many as fit into a group, and one at least.
    fn take(&self, group_bytes: usize) -> Vec<Arc<Request>> {
        let mut waiting = self.waiting.lock();
        let mut bytes = 0;
        let fit = waiting.requests.iter().take_while(|request| {
            let fits = bytes == 0 || bytes + request.len() <= group_bytes;
            bytes += request.len().max(1);
            fits
        });
        let count = fit.count();
        waiting.requests.drain(..count).collect()
    }

    fn hand_over(&self) {
        let mut waiting = self.waiting.lock();
        match waiting.requests.front() {
            Some(next) => next.release(LEADING),
            None => waiting.led = false,
        }
    }
}
