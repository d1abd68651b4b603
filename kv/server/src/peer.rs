//! The way to the other stores of a cluster: one connection to each, which carries what this store
//! has to say, and the answers to what it asks; and a second one for snapshots, which must not hold
//! up the rest.
//!
//! ```text
//!  raft thread ── send ──> lane of a store ──> outgoing task ══ frames ══> incoming task ──> deliver
//!  front doors ── ask  ──>  (bounded)          reconnects                  of the other store
//!      ^                                            │
//!      └───────────── answer ───────────────────────┘
//! ```
//!
//! All tasks run on one thread of their own. Messages of all regions that wait for a store leave as
//! one frame in one write.
//!
//! Invariants: nobody who sends waits. A message that finds no connection, or a lane that is full,
//! is dropped and counted, since raft sends it again; an ask is refused. Every ask is answered
//! once, and its error tells whether the other store may have seen it. Of two connections from one
//! store the older is closed. A connection whose other side is silent for too long is closed, so
//! that a network that swallows packets is found out soon.

mod backoff;
mod disks;
mod incoming;
mod lane;
mod metrics;
mod others;
mod outgoing;
mod repeats;
mod wire;

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mutant::mutant;
use proto::peer_frame::PeerHello;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

pub use disks::Disks;
pub use incoming::Replier;
pub use lane::AskError;
pub use metrics::PeerMetrics;

use others::{Lanes, Others};

/// What travels between stores without an answer.
pub trait Payload: Send + 'static {
    /// Appends it as bytes.
    fn encode(&self, out: &mut BytesMut);

    /// About how many bytes it has.
    fn bytes(&self) -> usize;
}

impl Payload for Bytes {
    fn encode(&self, out: &mut BytesMut) {
        out.extend_from_slice(self);
    }

    fn bytes(&self) -> usize {
        self.len()
    }
}

/// What a connection carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Messages,
    /// What is large and can wait.
    Bulk,
}

/// Who this store is, whom it talks to, and the limits.
#[derive(Clone, Debug)]
pub struct PeersOptions {
    /// The cluster. Stores of another one are refused.
    pub cluster_id: u64,
    /// This store.
    pub store_id: u64,
    /// The addresses of all stores, `HOST:PORT`; this one's own is told to the others. Stores that
    /// are not named here are known once they have called.
    pub members: BTreeMap<u64, String>,
    /// Where clients reach this store by the native protocol; empty: nowhere.
    pub native: String,
    /// Which disk each store has, to tell one that lost its own.
    pub disks: Arc<Disks>,
    /// Tells the regions that this store began with from others; 0: they are not compared.
    pub layout: u64,
    /// The largest frame that is sent or taken, in bytes.
    pub frame_bytes_max: usize,
    /// The most bytes of messages that wait for one store, and of asks; one may go beyond.
    pub lane_bytes_max: usize,
    /// The most asks in flight to one store, and from one.
    pub asks_max: usize,
    /// How long a connection may take to come about, a write to make progress, and the other side
    /// to be silent.
    pub patience: Duration,
    /// The first and the longest pause between attempts to connect.
    pub backoff: (Duration, Duration),
}

impl PeersOptions {
    /// The usual limits.
    #[must_use]
    pub fn new(cluster_id: u64, store_id: u64, members: BTreeMap<u64, String>) -> PeersOptions {
        PeersOptions {
            cluster_id,
            store_id,
            members,
            native: String::new(),
            disks: Arc::new(Disks::forgetful(store_id)),
            layout: 0,
            frame_bytes_max: proto::peer_frame::PEER_FRAME_BYTES_MAX,
            lane_bytes_max: 64 << 20,
            asks_max: 4096,
            patience: Duration::from_secs(2),
            backoff: (Duration::from_millis(10), Duration::from_millis(500)),
        }
    }

    /// What this store says to another one first.
    fn hello(&self, kind: Kind, to: u64) -> PeerHello {
        PeerHello {
            cluster_id: self.cluster_id,
            from: self.store_id,
            to,
            agent: concat!("tinykv-server ", env!("CARGO_PKG_VERSION")).to_owned(),
            native: self.native.clone(),
            address: self.members.get(&self.store_id).cloned().unwrap_or_default(),
            disk: self.disks.own(),
            snapshots: kind == Kind::Bulk,
            layout: self.layout,
        }
    }

    /// Checks what another store said first. The error is for it to read.
    fn check(&self, hello: &PeerHello) -> Result<(), String> {
        if hello.cluster_id != self.cluster_id && !mutant!("peer-cluster-unchecked") {
            return Err(format!(
                "this is cluster {}, not {}: compare --cluster-id and the addresses",
                self.cluster_id, hello.cluster_id
            ));
        }
        if hello.to != self.store_id {
            return Err(format!(
                "this is store {}, not {}: compare --cluster and --store-id",
                self.store_id, hello.to
            ));
        }
        if hello.layout != self.layout && hello.layout != 0 && self.layout != 0 {
            return Err(
                "the stores began with other regions or members than this one: compare --cluster and \
                 --split-keys, and begin anew with an empty folder where they were wrong (with \
                 --join, if the others are a cluster already)"
                    .to_owned(),
            );
        }
        let is_reachable = self.members.contains_key(&hello.from) || !hello.address.is_empty();
        if hello.from == self.store_id || hello.from == 0 || !is_reachable {
            return Err(format!(
                "store {} is no other member of this cluster: compare --cluster and --store-id",
                hello.from
            ));
        }
        self.disks.check(hello.from, hello.disk)
    }
}

/// What comes from other stores.
#[derive(Debug)]
pub enum Incoming {
    /// Messages, in the order in which they were sent over one connection.
    Messages {
        /// The store that sent them.
        from: u64,
        /// What [`Payload::encode`] wrote there.
        messages: Vec<Bytes>,
    },
    /// A request.
    Ask {
        /// The store that asks.
        from: u64,
        /// How long it waits.
        timeout: Duration,
        /// What it asks.
        body: Bytes,
        /// Where the answer goes.
        replier: Replier,
    },
    /// There is a connection to a store now.
    Connected(u64),
    /// There is none any more; what was under way may be lost.
    Disconnected(u64),
}

/// Takes what comes in. It is called on the thread of the connections, and must not block.
pub type Deliver = Arc<dyn Fn(Incoming) + Send + Sync>;

/// Takes the answer to an ask. It is called once, on any thread, and must not block.
pub type Done = Box<dyn FnOnce(Result<Bytes, AskError>) + Send>;

/// The connections of this store. Dropping it closes them.
#[derive(Debug)]
pub struct Peers<M: Payload> {
    others: Arc<Others<M>>,
    metrics: Arc<PeerMetrics>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What is known of another store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// Its id.
    pub store_id: u64,
    /// Where it is reached: as the configuration says, or as it said itself.
    pub address: String,
    /// Whether there is a connection to it.
    pub connected: bool,
    /// Where clients reach it by the native protocol, once it has said so.
    pub native: Option<String>,
    /// Bytes of messages that wait for it.
    pub queued_bytes: usize,
}

impl<M: Payload> Peers<M> {
    /// Takes connections at `listener`, and connects to all other members.
    ///
    /// # Errors
    /// Those of the system.
    pub fn start(
        listener: TcpListener,
        options: PeersOptions,
        deliver: Deliver,
    ) -> io::Result<Peers<M>> {
        let metrics = Arc::new(PeerMetrics::default());
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let options = Arc::new(options);
        let others = Others::new(Arc::clone(&options), Arc::clone(&deliver), Arc::clone(&metrics));
        let others = Arc::new(others);
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let body = {
            let (others, metrics) = (Arc::clone(&others), Arc::clone(&metrics));
            move || {
                runtime.block_on(async move {
                    for (id, address) in &options.members {
                        others.meet(*id, address);
                    }
                    tokio::spawn(incoming::run(listener, others, deliver, metrics));
                    // An error means that the sender was dropped, which is the sign to stop.
                    let _ = stopped.await;
                });
            }
        };
        let thread = thread::Builder::new().name("peers".into()).spawn(body)?;
        Ok(Peers { others, metrics, address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it takes connections.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What is counted.
    #[must_use]
    pub fn metrics(&self) -> &Arc<PeerMetrics> {
        &self.metrics
    }

    /// Sends messages to a store, in order. Gives how many were dropped: those for which there was
    /// no connection or no room.
    pub fn send(&self, to: u64, messages: impl IntoIterator<Item = M>) -> usize {
        match self.others.get(to) {
            Some(lanes) => lanes.messages.send(messages),
            None => messages.into_iter().count(),
        }
    }

    /// Sends messages that are large and can wait, such as parts of snapshots, over a connection of
    /// their own. Gives how many were dropped.
    pub fn send_bulk(&self, to: u64, messages: impl IntoIterator<Item = M>) -> usize {
        match self.others.get(to) {
            Some(lanes) => lanes.bulk.send(messages),
            None => messages.into_iter().count(),
        }
    }

    /// The stores to which there is a connection.
    #[must_use]
    pub fn connected(&self) -> Vec<u64> {
        let connected = self.others.all().into_iter().filter(|(_, it)| it.messages.is_connected());
        connected.map(|(id, _)| id).collect()
    }

    /// Asks a store; `done` takes the answer, or why there is none within `timeout`.
    pub fn ask(&self, to: u64, body: Bytes, timeout: Duration, done: Done) {
        match self.others.get(to) {
            Some(lanes) => lanes.messages.ask(body, timeout, done),
            None => done(Err(AskError::Unsent)),
        }
    }

    /// Where clients reach a store by the native protocol, once it has said so.
    #[must_use]
    pub fn native_of(&self, store: u64) -> Option<String> {
        self.others.get(store).and_then(|lanes| lanes.messages.native())
    }

    /// What is known of the other stores, by their ids.
    #[must_use]
    pub fn status(&self) -> Vec<PeerStatus> {
        let status = |(store_id, lanes): (u64, Lanes<M>)| PeerStatus {
            store_id,
            address: lanes.address(),
            connected: lanes.messages.is_connected(),
            native: lanes.messages.native(),
            queued_bytes: lanes.messages.queued_bytes(),
        };
        self.others.all().into_iter().map(status).collect()
    }
}

impl<M: Payload> Drop for Peers<M> {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // The last handle may be dropped by what this thread delivers.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
        self.others.close();
    }
}
