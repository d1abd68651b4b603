//! One connection as the server sees it, whatever it speaks, and the list of all of them.
//!
//! A connection's task is ended from outside only while it waits for its client: idle, or stuck
//! in a write. Both are read and acted on by a task of the same worker, whose threads run one
//! task at a time, so that no request is lost between the look and the deed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use node::Time;
use parking_lot::Mutex;
use tokio::task::AbortHandle;

/// A front door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// The native protocol.
    Native,
    /// The Redis protocol.
    Resp,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Its number, from 1.
    pub(crate) id: u64,
    pub(crate) door: Door,
    /// The client's address and ours.
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    /// The worker that serves it.
    pub(crate) worker: usize,
    /// When it was taken.
    pub(crate) since: Time,
    /// When it last finished a request, in milliseconds since the epoch.
    active_ms: AtomicU64,
    /// Whether requests that it sent are not answered yet.
    busy: AtomicBool,
    /// Since when it takes none of its answers, in milliseconds since the epoch; 0 if it does.
    stalled_ms: AtomicU64,
    /// What the client calls itself, its library and that one's version.
    pub(crate) names: Mutex<Names>,
    task: Mutex<Task>,
}

/// The task of a connection.
#[derive(Debug)]
enum Task {
    /// It was started, and its handle is on its way here.
    Starting,
    Running(AbortHandle),
    /// It shall end.
    Closed,
}

/// What a client says about itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    pub(crate) name: String,
    pub(crate) library: String,
    pub(crate) library_version: String,
    /// The version of RESP.
    pub(crate) resp: u8,
}

impl Connection {
    /// Notes that requests are being carried out.
    pub(crate) fn begin(&self) {
        self.busy.store(true, Ordering::Relaxed);
    }

    /// Notes that all requests are answered.
    pub(crate) fn finish(&self, now: Time) {
        self.busy.store(false, Ordering::Relaxed);
        self.active_ms.store(now.0, Ordering::Relaxed);
    }

    /// Notes since when the client takes nothing; none: it does.
    pub(crate) fn set_stalled(&self, since: Option<Time>) {
        self.stalled_ms.store(since.map_or(0, |time| time.0), Ordering::Relaxed);
    }

    /// Whether requests are being carried out.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed)
    }

    /// Milliseconds since it finished a request; 0 while one is carried out.
    pub(crate) fn idle_ms(&self, now: Time) -> u64 {
        match self.is_busy() {
            true => 0,
            false => now.since_ms(Time(self.active_ms.load(Ordering::Relaxed))),
        }
    }

    /// Milliseconds since it took an answer, if some wait to be taken.
    pub(crate) fn stalled_ms(&self, now: Time) -> u64 {
        match self.stalled_ms.load(Ordering::Relaxed) {
            0 => 0,
            since => now.since_ms(Time(since)),
        }
    }

    /// Says which task serves it.
    pub(crate) fn set_task(&self, task: AbortHandle) {
        let mut state = self.task.lock();
        match *state {
            // It was closed before we came to say what is to be closed.
            Task::Closed => task.abort(),
            _ => *state = Task::Running(task),
        }
    }

    /// Ends its task where it waits.
    pub(crate) fn close(&self) {
        if let Task::Running(task) = std::mem::replace(&mut *self.task.lock(), Task::Closed) {
            task.abort();
        }
    }
}

/// All connections of a server.
#[derive(Debug)]
pub(crate) struct Connections {
    open: Mutex<BTreeMap<u64, Arc<Connection>>>,
    next_id: AtomicU64,
    max: usize,
}

/// A place in the list; the connection leaves it when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    all: Arc<Connections>,
    pub(crate) connection: Arc<Connection>,
}

impl Connections {
    /// An empty list with room for `max`.
    pub(crate) fn new(max: usize) -> Connections {
        Connections { open: Mutex::default(), next_id: AtomicU64::new(1), max }
    }

    /// Takes a connection in, if there is room.
    pub(crate) fn enter(
        self: &Arc<Self>,
        door: Door,
        (peer, local): (SocketAddr, SocketAddr),
        worker: usize,
        now: Time,
    ) -> Option<Place> {
        let mut open = self.open.lock();
        if open.len() >= self.max {
            return None;
        }
        let connection = Arc::new(Connection {
            id: self.next_id.fetch_add(1, Ordering::Relaxed),
            door,
            peer,
            local,
            worker,
            since: now,
            active_ms: AtomicU64::new(now.0),
            busy: AtomicBool::new(false),
            stalled_ms: AtomicU64::new(0),
            names: Mutex::new(Names { resp: 2, ..Names::default() }),
            task: Mutex::new(Task::Starting),
        });
        open.insert(connection.id, Arc::clone(&connection));
        Some(Place { all: Arc::clone(self), connection })
    }

    /// All connections, the oldest first.
    pub(crate) fn list(&self) -> Vec<Arc<Connection>> {
        self.open.lock().values().cloned().collect()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.open.lock().len()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.all.open.lock().remove(&self.connection.id);
    }
}
