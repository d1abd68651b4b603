//! What clients ask and are told, in the order in which it happened.

use std::sync::Mutex;
use std::time::Instant;

use sim::history::{History, Kind, Op};
use tokio::sync::watch;

/// Calls on one group of keys, before clients go on to the next one: the fewer calls of unknown
/// outcome a key has, the sooner its history is judged.
const GROUP_CALLS: u64 = 300;

/// The history so far.
pub(crate) struct Recorder {
    started: Instant,
    state: Mutex<State>,
    /// How many writes were answered.
    writes: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    history: History,
    calls: u64,
}

impl Recorder {
    pub(crate) fn new() -> Recorder {
        let (started, state) = (Instant::now(), Mutex::default());
        Recorder { started, state, writes: watch::channel(0).0 }
    }

    /// Microseconds since the begin.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap()
    }

    /// The group of keys that clients use now.
    pub(crate) fn group(&self) -> u64 {
        self.state.lock().unwrap().calls / GROUP_CALLS
    }

    /// A call begins, before anything of it is sent. Gives its number.
    pub(crate) fn begin(&self, process: u64, op: Op) -> u64 {
        let mut state = self.state.lock().unwrap();
        state.calls += 1;
        // Under the lock, so that times stand in order.
        let (at, call) = (self.now(), state.calls);
        state.history.push(at, process, call, Kind::Invoke { op });
        call
    }

    /// A call ends, after its answer has come.
    pub(crate) fn end(&self, process: u64, call: u64, kind: Kind, is_read: bool) {
        let mut state = self.state.lock().unwrap();
        let at = self.now();
        let is_answered = matches!(kind, Kind::Ok { .. });
        state.history.push(at, process, call, kind);
        drop(state);
        if is_answered && !is_read {
            self.writes.send_modify(|writes| *writes += 1);
        }
    }

    /// Waits until so many more writes are answered.
    pub(crate) async fn wait_writes(&self, more: u64) {
        let mut writes = self.writes.subscribe();
        let target = *writes.borrow() + more;
        writes.wait_for(|writes| *writes >= target).await.unwrap();
    }

    /// Gives the history away.
    pub(crate) fn take(&self) -> History {
        std::mem::take(&mut self.state.lock().unwrap().history)
    }
}
