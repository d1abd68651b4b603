//! The thread that writes groups where a write waits for the disk, and that removes expired keys.
//!
//! A sync costs the same for one chunk as for a hundred, so a group should have all that is on
//! its way. Clients that wait for their answers send again as soon as they have them, in a burst
//! that takes a moment to arrive: after a group of n chunks, the thread waits until n are there,
//! but no longer than a part of what the last syncs took. Where fewer come, because fewer clients
//! are left, it waits for fewer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::{Answer, Back, Store};
use crate::store::mailbox::Parcel;

/// The time between two looks at what has expired.
const TICK: Duration = Duration::from_millis(100);

/// Most chunks in a group; the rest is for the next one.
const GROUP_CHUNKS_MAX: usize = 4096;

/// The longest wait for a group to fill.
const GATHER_MAX: Duration = Duration::from_micros(500);

/// What waits for the write thread. [`super::Admission`] bounds it.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    parcels: VecDeque<Parcel>,
    chunks: usize,
    /// How many chunks must be there before the thread is woken.
    wanted: usize,
    stopping: bool,
}

impl Store {
    /// Hands a parcel to the write thread.
    pub(super) fn enqueue(&self, parcel: Parcel) {
        let mut state = self.queue.state.lock();
        state.chunks += parcel.submissions.len();
        state.parcels.push_back(parcel);
        if state.chunks >= state.wanted {
            self.queue.changed.notify_one();
        }
    }

    /// Chunks that wait for the write thread.
    pub(crate) fn queued_chunks(&self) -> usize {
        self.queue.state.lock().chunks
    }
}

/// The running thread.
#[derive(Debug)]
pub(crate) struct WriteThread {
    store: Arc<Store>,
    thread: Option<JoinHandle<()>>,
}

impl WriteThread {
    /// Starts the thread.
    pub(crate) fn start(store: Arc<Store>) -> std::io::Result<WriteThread> {
        let body = {
            let store = Arc::clone(&store);
            move || Loop::new(&store).run()
        };
        let thread = thread::Builder::new().name("write".into()).spawn(body)?;
        Ok(WriteThread { store, thread: Some(thread) })
    }
}

impl Drop for WriteThread {
    /// Ends the thread once all that was handed to it is answered.
    fn drop(&mut self) {
        self.store.queue.state.lock().stopping = true;
        self.store.queue.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the thread remembers.
struct Loop<'a> {
    store: &'a Store,
    /// How many chunks the group before had.
    last_chunks: usize,
    next_tick: Instant,
}

impl Loop<'_> {
    fn new(store: &Store) -> Loop<'_> {
        let next_tick = Instant::now() + TICK;
        Loop { store, last_chunks: 0, next_tick }
    }

    fn run(&mut self) {
        while let Some(parcels) = self.next_group() {
            if !parcels.is_empty() {
                self.commit(parcels);
            }
            let now = Instant::now();
            if now >= self.next_tick {
                let has_more = self.store.tick();
                self.next_tick = if has_more { now } else { now + TICK };
            }
        }
    }

    /// Waits for work. Gives nothing when a tick is due, none when the thread shall end.
    fn next_group(&mut self) -> Option<Vec<Parcel>> {
        let queue = &self.store.queue;
        let mut state = queue.state.lock();
        state.wanted = 1;
        while state.parcels.is_empty() {
            if state.stopping {
                return None;
            }
            if queue.changed.wait_until(&mut state, self.next_tick).timed_out() {
                return Some(Vec::new());
            }
        }
        // The rest of the burst is on its way.
        state.wanted = self.last_chunks;
        let deadline = Instant::now() + (self.store.commit_time() / 2).min(GATHER_MAX);
        while state.chunks < state.wanted && !state.stopping {
            if queue.changed.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        let mut parcels = Vec::new();
        let mut chunks = 0;
        while chunks < GROUP_CHUNKS_MAX
            && let Some(parcel) = state.parcels.pop_front()
        {
            chunks += parcel.submissions.len();
            parcels.push(parcel);
        }
        state.chunks -= chunks;
        self.last_chunks = chunks;
        Some(parcels)
    }

    /// Carries out a group, and sends each worker its answers.
    fn commit(&self, parcels: Vec<Parcel>) {
        let mut ways_back = Vec::with_capacity(parcels.len());
        let mut submissions = Vec::new();
        for mut parcel in parcels {
            ways_back.push((parcel.back, parcel.submissions.len()));
            submissions.append(&mut parcel.submissions);
        }
        let mut answers = self.store.commit(submissions).into_iter();
        for (back, count) in ways_back {
            let part: Vec<Answer> = answers.by_ref().take(count).collect();
            // The worker has gone, and its connections with it.
            let _ = back.send(Back::Answers(part));
        }
    }
}
