//! The threads of a bitcask: a thin shell around [`merge_step`](super::Bitcask::merge_step), and
//! around the syncs of [`sync_due`](super::Bitcask::sync_due).

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::Shared;
use crate::Result;
use crate::folder::failed;

/// How often the merge thread looks whether there is work.
const MERGE_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct State {
    stop: bool,
    /// Whether a segment was sealed since the merge thread looked last.
    merge: bool,
    /// When the oldest batch was written that waits for its sync.
    sync: Option<Instant>,
    /// Whether much is not synced.
    sync_ahead: bool,
}

/// What the threads wait for.
#[derive(Debug, Default)]
pub(super) struct Signal {
    state: Mutex<State>,
    merge: Condvar,
    sync: Condvar,
}

impl Signal {
    /// Says that there may be something to merge.
    pub(super) fn merge(&self) {
        self.state.lock().merge = true;
        self.merge.notify_one();
    }

    /// Says that a batch waits for its sync since `now`.
    pub(super) fn sync(&self, now: Instant) {
        self.state.lock().sync.get_or_insert(now);
        self.sync.notify_one();
    }

    /// Says that much is not synced.
    pub(super) fn sync_ahead(&self) {
        self.state.lock().sync_ahead = true;
        self.sync.notify_one();
    }

    fn is_stopped(&self) -> bool {
        self.state.lock().stop
    }

    /// Waits until there may be something to merge; `false` if the thread is to end.
    fn wait_merge(&self) -> bool {
        let mut state = self.state.lock();
        if !state.stop && !state.merge {
            self.merge.wait_for(&mut state, MERGE_EVERY);
        }
        state.merge = false;
        !state.stop
    }

    /// Waits until a sync is due, or pays; `false` if the thread is to end.
    fn wait_sync(&self, delay: Duration) -> bool {
        let mut state = self.state.lock();
        while !state.stop {
            let due = state.sync.map(|since| since + delay);
            if state.sync_ahead || due.is_some_and(|due| due <= Instant::now()) {
                state.sync = None;
                state.sync_ahead = false;
                return true;
            }
            match due {
                Some(due) => {
                    self.sync.wait_until(&mut state, due);
                }
                None => self.sync.wait(&mut state),
            }
        }
        false
    }
}

/// The threads, if there are any.
#[derive(Debug)]
pub(super) struct Threads {
    handles: Vec<JoinHandle<()>>,
}

impl Threads {
    pub(super) fn start(shared: &Arc<Shared>) -> Result<Threads> {
        let mut threads = Threads { handles: Vec::new() };
        if !shared.options.background {
            return Ok(threads);
        }
        for (name, job) in [("bitcask-merge", merge as fn(&Shared)), ("bitcask-sync", sync)] {
            let mine = Arc::clone(shared);
            let started =
                std::thread::Builder::new().name(name.to_owned()).spawn(move || job(&mine));
            match started {
                Ok(handle) => threads.handles.push(handle),
                Err(error) => {
                    threads.stop(shared);
                    return Err(failed("start a thread for", &shared.folder.path, error));
                }
            }
        }
        Ok(threads)
    }

    pub(super) fn stop(&mut self, shared: &Shared) {
        shared.signal.state.lock().stop = true;
        shared.signal.merge.notify_all();
        shared.signal.sync.notify_all();
        for handle in self.handles.drain(..) {
            // A panic was reported by its thread.
            let _ = handle.join();
        }
    }
}

fn merge(shared: &Shared) {
    while shared.signal.wait_merge() {
        loop {
            match shared.merge_step() {
                Ok(true) if !shared.signal.is_stopped() => {}
                Ok(_) => break,
                Err(error) => {
                    log::warn!("a merge stopped"; "error" => error.to_string());
                    break;
                }
            }
        }
    }
}

fn sync(shared: &Shared) {
    while shared.signal.wait_sync(shared.options.sync_delay()) {
        if shared.sync_all().is_err() {
            // It is poisoned, which was logged.
            return;
        }
    }
}
