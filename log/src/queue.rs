//! The queue between the threads that log and the one that writes.
//!
//! Lines lie one behind the other in one buffer, which the writer takes whole: an append is a
//! copy under a lock that is never held for longer, and many records cost one write. Bounded in
//! bytes; what does not fit is dropped and counted.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mutant::mutant;

/// Lines that wait to be written.
#[derive(Debug)]
pub(crate) struct Queue {
    bytes_max: usize,
    state: Mutex<State>,
    /// The writer waits here for lines.
    filled: Condvar,
    /// Those who flush wait here for the writer.
    written: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    /// Records in `lines`.
    records: u64,
    /// Records dropped and not reported yet.
    dropped: u64,
    /// No more lines will come.
    closed: bool,
    /// The writer waits on `filled`: somebody has to wake it.
    idle: bool,
    /// Batches that the writer took.
    taken: u64,
    /// Batches that it has written.
    done: u64,
    /// The writer takes no further batch.
    finished: bool,
}

/// What the writer takes at once.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Whole lines.
    pub(crate) lines: Vec<u8>,
    /// How many records they are.
    pub(crate) records: u64,
    /// How many records were dropped since the last batch.
    pub(crate) dropped: u64,
}

impl Queue {
    /// Makes a queue of at most so many bytes.
    pub(crate) fn new(bytes_max: usize) -> Queue {
        Queue {
            bytes_max,
            state: Mutex::default(),
            filled: Condvar::new(),
            written: Condvar::new(),
        }
    }

    /// Appends a line, if there is room. Says whether there was.
    pub(crate) fn push(&self, line: &str) -> bool {
        let mut state = self.lock();
        if state.closed || line.len() > self.bytes_max - state.lines.len() {
            state.dropped += u64::from(!mutant!("log-drop-unreported"));
            return false;
        }
        state.lines.extend_from_slice(line.as_bytes());
        state.records += 1;
        if std::mem::take(&mut state.idle) {
            self.filled.notify_one();
        }
        true
    }

    /// Reports the last batch as written and waits for the next; none once the queue is closed
    /// and empty. `spare` is a buffer to be used again.
    pub(crate) fn next(&self, mut spare: Vec<u8>) -> Option<Batch> {
        let mut state = self.lock();
        state.done = state.taken;
        self.written.notify_all();
        if state.closed && mutant!("log-end-loses") {
            return None;
        }
        while state.lines.is_empty() && state.dropped == 0 {
            if state.closed {
                return None;
            }
            state.idle = true;
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        spare.clear();
        state.taken += 1;
        Some(Batch {
            lines: std::mem::replace(&mut state.lines, spare),
            records: std::mem::take(&mut state.records),
            dropped: std::mem::take(&mut state.dropped),
        })
    }

    /// Waits until all that was pushed before is written, but at most `limit`.
    pub(crate) fn flush(&self, limit: Duration) {
        if mutant!("log-flush-returns") {
            return;
        }
        let state = self.lock();
        // What waits now is in the batch after those taken.
        let goal = state.taken + u64::from(!state.lines.is_empty() || state.dropped > 0);
        let wait = self
            .written
            .wait_timeout_while(state, limit, |state| state.done < goal && !state.finished);
        drop(wait.unwrap_or_else(PoisonError::into_inner));
    }

    /// Ends the queue: what waits is still written, what comes is dropped. Waits for that, but
    /// at most `limit`; says whether the writer has finished.
    pub(crate) fn close(&self, limit: Duration) -> bool {
        let mut state = self.lock();
        state.closed = true;
        self.filled.notify_one();
        let wait = self.written.wait_timeout_while(state, limit, |state| !state.finished);
        wait.unwrap_or_else(PoisonError::into_inner).0.finished
    }

    /// Says that the writer takes no further batch, for whatever reason.
    pub(crate) fn finish(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.finished = true;
        self.written.notify_all();
    }

    /// The state. A panic cannot leave it halfway: no code of others runs under the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
