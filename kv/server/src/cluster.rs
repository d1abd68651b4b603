//! One store of a cluster: its regions are replicated to the other stores.
//!
//! ```text
//!  workers ──── writes, readers ───┐                     ┌──> wal-writer: one sync for all regions
//!  peers   ──── messages, asks ────┼──> inbox ──> raft ──┼──> apply: entries onto the engine
//!  wal, apply, pool ── results ────┘      thread         ├──> pool: parts of snapshots, purges
//!                                                        └──> peers: messages, answers
//! ```
//!
//! A write goes into the log of its region and is answered when it is applied here. A read waits at
//! a barrier: the leader confirms that it leads, and says how much is applied; once as much is
//! applied here, the read is done as in a store that stands alone. So every store serves reads from
//! its own engine, and what was answered anywhere before is seen. If the region is removed here in
//! between, the read comes to the barrier again; see [`Erasures`].
//!
//! A store that does not lead forwards writes to the leader, or tells a client that can go there
//! itself. While there is no leader, requests wait, until their time is over.
//!
//! Invariants: the raft thread waits for nothing; a write is answered when a majority has it
//! durably and it is applied here; of a write whose outcome is not known the client hears just that.

mod admin;
mod apply_thread;
mod erasures;
mod forward;
mod inbox;
mod metrics;
mod open;
mod raft_thread;
mod readers;
mod request;
mod room;
mod scrub;
mod status;

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use proto::peer::{PeerMessage, RegionId, StoreId};
use tokio::sync::{mpsc, oneshot};

pub(crate) use erasures::{Erasures, Moment};
pub(crate) use metrics::ClusterMetrics;
pub(crate) use open::{Opened, open};
pub(crate) use status::{Inspection, region_json};

use crate::config::{Config, Sync};
use crate::halt::Halt;
use crate::peer::{Deliver, Disks, Incoming, Payload, Peers, PeersOptions};
use crate::pool::ThreadPool;
use crate::store::{Admission, Back, Limits, Reader, StoreError, Submission};
use inbox::{Event, Inbox, decode};
use raft_thread::{MemberChange, Parts, RaftThread};
pub(crate) use request::each;
use request::{Write, WriteTo};
use room::Room;

/// The state machine of a region.
type Machine = node::RawMachine;

/// The most bytes of snapshots that are sent in a second.
const SNAPSHOT_BYTES_PER_SECOND: u64 = 100 << 20;

/// How long a stopping store tries to hand leadership over.
const HAND_OVER_MAX: Duration = Duration::from_secs(2);

impl Payload for PeerMessage {
    fn encode(&self, out: &mut bytes::BytesMut) {
        PeerMessage::encode(self, out);
    }

    fn bytes(&self) -> usize {
        self.size_bytes()
    }
}

/// The running part of a store that belongs to a cluster.
pub(crate) struct Cluster {
    inbox: Arc<Inbox>,
    pub(crate) peers: Arc<Peers<PeerMessage>>,
    pub(crate) metrics: Arc<ClusterMetrics>,
    /// What is being erased here.
    pub(crate) erasures: Arc<Erasures>,
    room: Arc<Room>,
    pub(crate) members: BTreeMap<u64, String>,
    store_id: u64,
    /// Where clients reach this store by the native protocol.
    native: String,
    log: wal::WalReader<raftstore::LogEntry>,
    request_timeout: Duration,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("store_id", &self.store_id).finish_non_exhaustive()
    }
}

impl Cluster {
    /// Starts the threads. Clients reach this store at `native`.
    pub(crate) fn start(
        config: &Config,
        opened: Opened,
        listener: TcpListener,
        native: Option<SocketAddr>,
        (pool, halt): (Arc<dyn ThreadPool>, Arc<Halt>),
    ) -> io::Result<Cluster> {
        let inbox = Arc::new(Inbox::default());
        let metrics = Arc::new(ClusterMetrics::default());
        let erasures = Arc::new(Erasures::default());
        let Opened { node, wal, applier, engine, disks, room } = opened;
        let mut options = peers_options(config, native, disks);
        options.layout = open::layout_of(&node.store);
        let native = options.native.clone();
        let peers = Arc::new(Peers::start(listener, options, deliver(config, &inbox))?);
        let (tasks, tasks_out) = crossbeam_channel::unbounded();
        let (tick, log) = (config.raft_tick.0, wal.reader());
        let parts = Parts {
            node,
            engine,
            wal,
            durability: match config.sync {
                Sync::Always => wal::Durability::Synced,
                Sync::Interval | Sync::Never => wal::Durability::Deferred,
            },
            inbox: Arc::clone(&inbox),
            peers: Arc::clone(&peers),
            tasks,
            pool,
            halt,
            room: Arc::clone(&room),
            metrics: Arc::clone(&metrics),
            tick,
            election_ticks: u32::try_from(config.raft_election_ticks).unwrap_or(u32::MAX),
            scrub_every: config.log_scrub_interval.0,
            snapshot_tick_bytes: (SNAPSHOT_BYTES_PER_SECOND as f64 * tick.as_secs_f64()) as u64 + 1,
            chunk_bytes: 1 << 20,
        };
        let raft = RaftThread::new(parts);
        let apply = {
            let (inbox, metrics) = (Arc::clone(&inbox), Arc::clone(&metrics));
            let erasures = Arc::clone(&erasures);
            move || apply_thread::run(applier, &tasks_out, (&inbox, &erasures), &metrics)
        };
        let threads = vec![
            thread::Builder::new().name("raft".into()).spawn(move || raft.run())?,
            thread::Builder::new().name("apply".into()).spawn(apply)?,
        ];
        Ok(Cluster {
            inbox,
            peers,
            metrics,
            erasures,
            room,
            members: config.cluster.0.clone(),
            store_id: config.store_id,
            native,
            log,
            request_timeout: config.request_timeout.0,
            threads: Mutex::new(threads),
        })
    }

    /// Replicates chunks; the outcomes come back through `back`.
    pub(crate) fn write(&self, submissions: Vec<Submission>, back: &mpsc::UnboundedSender<Back>) {
        let deadline = Instant::now() + self.request_timeout;
        let write = |submission: Submission| {
            let (chunk, reply) = submission.into_parts();
            let may_redirect = reply.may_redirect();
            let to = WriteTo::Worker { reply, back: back.clone() };
            Write { chunk, deadline, may_redirect, to }
        };
        self.inbox.push(Event::Writes(submissions.into_iter().map(write).collect()));
    }

    /// Has readers wait until they see all that was answered so far.
    pub(crate) fn readable(&self, readers: Vec<Reader>, back: &mpsc::UnboundedSender<Back>) {
        let deadline = Instant::now() + self.request_timeout;
        self.inbox.push(Event::Readers { readers, deadline, back: back.clone() });
    }

    /// Whether this store cannot apply what is committed, since its disk is full. Reads of keys are
    /// carried out where the leader is then, as writes are.
    pub(crate) fn is_behind(&self) -> bool {
        self.room.is_full()
    }

    /// How things are now; none if the raft thread has ended.
    pub(crate) async fn inspect(&self) -> Option<Inspection> {
        let (answer, inspection) = oneshot::channel();
        self.inbox.push(Event::Inspect(answer));
        tokio::time::timeout(self.request_timeout, inspection).await.ok()?.ok()
    }

    /// Asks for leadership of a region to go to a store.
    pub(crate) async fn transfer(&self, region: u64, to: u64) -> Result<(), String> {
        let (answer, answered) = oneshot::channel();
        let (region, to) = (RegionId(region), StoreId(to));
        self.inbox.push(Event::Transfer { region, to, answer });
        answered.await.unwrap_or_else(|_| Err("the store stops".to_owned()))
    }

    /// Has the members of a region changed. The answer is JSON.
    async fn change(
        &self,
        region: u64,
        change: MemberChange,
    ) -> Result<serde_json::Value, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.inbox.push(Event::Change { region: RegionId(region), change, answer });
        answered.await.unwrap_or(Err(StoreError::Lost))
    }

    /// Hands leadership over, so that nobody waits for an election. Gives up after a while.
    pub(crate) fn hand_over(&self) {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
            return;
        };
        let leads = |inspection: &Inspection| {
            let store = StoreId(self.store_id);
            inspection.regions.iter().any(|it| it.leader.is_some_and(|peer| peer.store == store))
        };
        let hand_over = async {
            let mut look = tokio::time::interval(Duration::from_millis(10));
            let mut is_asked = false;
            loop {
                look.tick().await;
                match self.inspect().await {
                    Some(inspection) if leads(&inspection) => {}
                    _ => return,
                }
                if !std::mem::replace(&mut is_asked, true) {
                    let (answer, asked) = oneshot::channel();
                    self.inbox.push(Event::HandOver(answer));
                    // Without one that could lead there is nothing to wait for. An error means that
                    // the raft thread has ended.
                    if asked.await.unwrap_or(0) == 0 {
                        return;
                    }
                }
            }
        };
        // At the end of the time the others elect one themselves.
        let _ = runtime.block_on(async { tokio::time::timeout(HAND_OVER_MAX, hand_over).await });
    }

    /// Ends the threads.
    pub(crate) fn stop(&self) {
        self.inbox.push(Event::Stop);
        self.room.close();
        for thread in self.threads.lock().drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}

fn peers_options(config: &Config, native: Option<SocketAddr>, disks: Disks) -> PeersOptions {
    let advertised = config.advertise_addr.0.clone();
    let mut options =
        PeersOptions::new(config.cluster_id, config.store_id, config.cluster.0.clone());
    options.disks = Arc::new(disks);
    options.native = advertised.or_else(|| native.map(|it| it.to_string())).unwrap_or_default();
    options
}

/// Takes what other stores send. What they ask has as much room as our own clients have.
fn deliver(config: &Config, inbox: &Arc<Inbox>) -> Deliver {
    let inbox = Arc::clone(inbox);
    let (requests_max, bytes_max) = (config.max_inflight, config.max_pending_writes.bytes());
    let admission = Admission::new(Limits { requests_max, bytes_max });
    Arc::new(move |incoming| match incoming {
        Incoming::Messages { messages, .. } => inbox.push_messages(decode(&messages)),
        Incoming::Ask { timeout, body, replier, .. } => match forward::decode_question(&body) {
            Some(question) => match admission.enter(1, body.len()) {
                Ok(permit) => {
                    inbox.push(Event::Ask { timeout, question, by: (replier, permit) });
                }
                Err(_) => replier.answer(forward::encode_reply(&forward::Reply::Busy)),
            },
            // Dropping the replier answers.
            None => log::warn!("a question of another store cannot be read"),
        },
        Incoming::Connected(store) => inbox.push(Event::Connected(StoreId(store))),
        Incoming::Disconnected(store) => inbox.push(Event::Disconnected(StoreId(store))),
    })
}
