//! The raft thread: it owns the raft store, and is the only one who calls it. It never waits for a
//! disk or a network.
//!
//! ```text
//!  events ──> step, persisted, applied ──> ticks that are due ──> requests ──> ready ──> carry out
//! ```
//!
//! Time passes before requests are looked at: a thread that was held up finds out that its lease
//! has ended before it lets anybody read. A request whose region has no leader waits for one.
//!
//! [`route`] says where requests go, [`output`] carries out what the raft store wants.

mod members;
mod output;
mod room;
mod route;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::Engine;
use node::Replicated;
use proto::peer::{PeerMessage, RegionId, StoreId};
use raftstore::{LogEntry, Task};
use tokio::sync::mpsc;
use wal::{Durability, SharedWal};

pub(super) use members::{ChangeAnswer, MemberChange};
pub(super) use route::Barriers;

use super::inbox::{Event, Inbox};
use super::metrics::ClusterMetrics;
use super::request::{Answers, AskedReads, AskedWrites, Barrier, Gathered, Joint, Write};
use super::room::Room;
use super::scrub::Scrubber;
use super::status::Inspection;
use crate::clock::Clock;
use crate::halt::Halt;
use crate::peer::Peers;
use crate::pool::ThreadPool;
use crate::store::{Back, Outcome, Reader, StoreError};
use room::Short;
use route::Parked;

/// How often the log is purged, in ticks.
const PURGE_TICKS: u64 = 200;

/// What the raft thread works with.
pub(super) struct Parts {
    pub(super) node: Replicated,
    pub(super) engine: Arc<dyn Engine>,
    pub(super) wal: SharedWal<LogEntry>,
    /// Whether a write waits for the disk.
    pub(super) durability: Durability,
    pub(super) inbox: Arc<Inbox>,
    pub(super) peers: Arc<Peers<PeerMessage>>,
    pub(super) tasks: crossbeam_channel::Sender<(u64, Vec<Task>)>,
    pub(super) pool: Arc<dyn ThreadPool>,
    pub(super) halt: Arc<Halt>,
    pub(super) room: Arc<Room>,
    pub(super) metrics: Arc<ClusterMetrics>,
    pub(super) tick: Duration,
    pub(super) election_ticks: u32,
    /// How often a piece of the log is checked; zero: never.
    pub(super) scrub_every: Duration,
    /// The most bytes of snapshots that are sent in a tick.
    pub(super) snapshot_tick_bytes: u64,
    pub(super) chunk_bytes: u64,
}

/// A request that the raft store has, and its region.
enum Pending {
    Write(RegionId, Write),
    Barriers(RegionId, Vec<Barrier>),
    Change { store: StoreId, answer: ChangeAnswer },
}

/// The raft thread.
pub(super) struct RaftThread {
    parts: Parts,
    clock: Clock,
    next_tick: Instant,
    ticks: u64,
    pending: HashMap<u64, Pending>,
    /// Numbers requests, joints and asks.
    next_number: u64,
    /// Requests to be routed now.
    writes: Vec<Write>,
    barriers: Barriers,
    /// Requests that wait for a leader of their region.
    parked: BTreeMap<RegionId, Parked>,
    /// Readers of keys that are on no region here, and until when they wait.
    nowhere: Vec<(Vec<Reader>, Instant, mpsc::UnboundedSender<Back>)>,
    /// Readers of this store who may read once this index of their region is applied.
    waiting: BTreeMap<RegionId, Vec<(u64, Vec<Barrier>)>>,
    /// Writes that were taken apart.
    joints: HashMap<u64, Gathered<Joint, Outcome>>,
    /// Asks of other stores.
    asked_writes: HashMap<u64, AskedWrites>,
    asked_reads: HashMap<u64, AskedReads>,
    answers: Answers,
    /// Bytes that wait for the log.
    log_bytes: u64,
    /// Bytes that wait to be applied.
    apply_bytes: u64,
    /// Parts of snapshots that may be read once there is room in the rate.
    chunks: VecDeque<raftstore::ChunkTask>,
    chunk_credit: u64,
    compactions: u64,
    is_purging: bool,
    scrubber: Scrubber,
    /// When it was last looked how much room is left on the disk.
    looked: Instant,
    /// While the disk lacks room.
    short: Option<Short>,
    failure: Option<String>,
    is_stopping: bool,
    /// Who leads each region, as it was told last.
    leaders: BTreeMap<RegionId, StoreId>,
}

impl RaftThread {
    pub(super) fn new(parts: Parts) -> RaftThread {
        RaftThread {
            next_tick: Instant::now() + parts.tick,
            scrubber: Scrubber::new(parts.scrub_every),
            parts,
            clock: Clock::default(),
            ticks: 0,
            pending: HashMap::new(),
            next_number: 1,
            writes: Vec::new(),
            barriers: Barriers::new(),
            parked: BTreeMap::new(),
            nowhere: Vec::new(),
            waiting: BTreeMap::new(),
            joints: HashMap::new(),
            asked_writes: HashMap::new(),
            asked_reads: HashMap::new(),
            answers: Answers::default(),
            log_bytes: 0,
            apply_bytes: 0,
            chunks: VecDeque::new(),
            chunk_credit: 0,
            compactions: 0,
            is_purging: false,
            looked: Instant::now(),
            short: None,
            failure: None,
            is_stopping: false,
            leaders: BTreeMap::new(),
        }
    }

    /// Works until it is stopped.
    pub(super) fn run(mut self) {
        while !self.is_stopping {
            let events = self.parts.inbox.wait(self.next_tick);
            let started = Instant::now();
            for event in events {
                self.take(event);
            }
            self.pass_time();
            self.route();
            self.carry_out_all();
            // What waited for a leader that is known now.
            while !self.writes.is_empty() || !self.barriers.is_empty() {
                self.route();
                self.carry_out_all();
            }
            self.answers.flush();
            self.parts.metrics.rounds.inc();
            let took = started.elapsed().as_micros();
            self.parts.metrics.round_us.observe(u64::try_from(took).unwrap_or(u64::MAX));
        }
    }

    /// Takes one event.
    fn take(&mut self, event: Event) {
        match event {
            Event::Writes(writes) => self.writes.extend(writes),
            Event::Readers { readers, deadline, back } => self.admit(readers, deadline, &back),
            Event::Messages(messages) => {
                messages.into_iter().for_each(|message| self.parts.node.store.step(message));
            }
            Event::Ask { timeout, question, by } => self.asked(timeout, question, by),
            Event::Forwarded { writes, result } => self.forwarded(writes, result),
            Event::Confirmed { barriers, result } => self.confirmed(barriers, result),
            Event::Persisted { number, bytes } => {
                self.log_bytes -= bytes;
                self.parts.node.store.persisted(number);
            }
            Event::Applied { done, bytes } => {
                self.apply_bytes -= bytes;
                self.parts.node.store.applied(done);
                self.wake_readers();
            }
            Event::ChunkRead(read) => self.parts.node.store.chunk_read(read),
            Event::Purged(blocking) => {
                self.is_purging = false;
                self.parts.node.store.free_log(&blocking);
            }
            Event::Connected(store) => {
                if let Some(native) = self.parts.peers.native_of(store.0) {
                    self.parts.node.store.set_address(store, native);
                }
            }
            Event::Disconnected(store) => self.parts.node.store.report_unreachable(store),
            Event::Inspect(answer) => drop(answer.send(self.inspect())),
            Event::Transfer { region, to, answer } => {
                drop(answer.send(self.transfer(region, to)));
            }
            Event::Change { region, change, answer } => self.change(region, change, answer),
            Event::HandOver(answer) => drop(answer.send(self.hand_over(0))),
            Event::Failed(reason) => self.fail(reason),
            Event::Stop => self.is_stopping = true,
        }
    }

    /// Lets the ticks pass that are due. After a pause no more than end every lease and election.
    fn pass_time(&mut self) {
        let now = Instant::now();
        if now < self.next_tick {
            return;
        }
        let behind = now.duration_since(self.next_tick).as_nanos() / self.parts.tick.as_nanos();
        let due = u32::try_from(behind).unwrap_or(u32::MAX).saturating_add(1);
        for _ in 0..due.min(2 * self.parts.election_ticks) {
            self.parts.node.store.tick();
        }
        self.next_tick += self.parts.tick * due;
        self.ticks += u64::from(due);
        self.chunk_credit = self.parts.snapshot_tick_bytes;
        self.read_chunks();
        if self.failure.is_none() {
            self.look_at_room();
            self.purge();
            let (pool, metrics) = (&*self.parts.pool, &self.parts.metrics);
            self.scrubber.step(now, pool, || self.parts.wal.reader(), metrics);
            self.sweep();
        }
        let parked: Vec<RegionId> = self.parked.keys().copied().collect();
        parked.into_iter().for_each(|region| self.unpark(region));
        for (readers, deadline, back) in std::mem::take(&mut self.nowhere) {
            self.admit(readers, deadline, &back);
        }
        self.expire(now);
    }

    /// Gives up readers whose time is over.
    fn expire(&mut self, now: Instant) {
        let waiting = self.waiting.values_mut().flatten();
        let late: Vec<Barrier> = waiting
            .flat_map(|(_, barriers)| barriers.extract_if(.., |it| it.is_late(now)))
            .collect();
        self.finish_barriers(late, &StoreError::NoLeader);
        for waiting in self.waiting.values_mut() {
            waiting.retain(|(_, barriers)| !barriers.is_empty());
        }
        self.waiting.retain(|_, waiting| !waiting.is_empty());
    }

    /// Purges the log now and then, on another thread.
    fn purge(&mut self) {
        let compactions = self.parts.node.store.metrics().compactions;
        let is_due = compactions != self.compactions || self.ticks.is_multiple_of(PURGE_TICKS);
        if !is_due || self.is_purging {
            return;
        }
        self.compactions = compactions;
        let (wal, inbox) = (self.parts.wal.clone(), Arc::clone(&self.parts.inbox));
        let job = move || match wal.purge() {
            Ok(report) => inbox.push(Event::Purged(report.blocked_by)),
            // What was rewritten so far is no loss; the next one goes on.
            Err(wal::Error::DiskFull) => inbox.push(Event::Purged(Vec::new())),
            Err(error) => inbox.push(Event::Failed(format!("the log cannot be purged: {error}"))),
        };
        // A pool that is full has it done later.
        self.is_purging = self.parts.pool.spawn(Box::new(job)).is_ok();
    }

    /// Has keys removed that have expired, where this store leads.
    fn sweep(&mut self) {
        let (now, engine) = (self.clock.now(), self.parts.engine.as_ref());
        if let Err(error) = self.parts.node.sweep(engine, now) {
            log::warn!("expired keys cannot be removed"; "error" => error.to_string());
        }
    }

    /// Hands leadership of a region over.
    fn transfer(&mut self, region: RegionId, to: StoreId) -> Result<(), String> {
        let store = &mut self.parts.node.store;
        let found = store.region(region).ok_or(format!("region {region} is not on this store"))?;
        let target = found.peer_on(to).ok_or("there is no such store with a peer of the region")?;
        if to == store.id() && store.is_leader(region) {
            return Ok(());
        }
        store.transfer_leader(region, target.id).map_err(|error| error.to_string())
    }

    /// Hands leadership of all regions over that this store leads, to other stores in turns that begin
    /// with the turn `first`. Gives how many others are asked to lead.
    fn hand_over(&mut self, first: usize) -> usize {
        let connected = self.parts.peers.connected();
        let store = &mut self.parts.node.store;
        let led: Vec<RegionId> =
            store.regions().filter(|region| store.is_leader(*region)).collect();
        let mut asked = 0;
        for (turn, id) in (first..).zip(led) {
            let Some(region) = store.region(id) else { continue };
            let may_lead = |peer: &&proto::peer::Peer| {
                peer.store != store.id() && !peer.learner && connected.contains(&peer.store.0)
            };
            let targets: Vec<raft::NodeId> =
                region.peers.iter().filter(may_lead).map(|peer| peer.id).collect();
            let Some(target) = targets.get(turn % targets.len().max(1)) else { continue };
            match store.transfer_leader(id, *target) {
                Ok(()) => asked += 1,
                Err(error) => log::info!("leadership is not handed over"; "region" => id.0,
                    "reason" => error.to_string()),
            }
        }
        asked
    }

    fn inspect(&self) -> Inspection {
        let store = &self.parts.node.store;
        let parked = self.parked.values().map(|it| it.writes.len() + it.barriers.len());
        Inspection {
            failure: self.failure.clone(),
            regions: store.regions().filter_map(|region| store.status(region)).collect(),
            raft: store.metrics(),
            requests: self.pending.len() as u64,
            parked: parked.sum::<usize>() as u64,
            waiting_readers: self.waiting.values().map(Vec::len).sum::<usize>() as u64,
            log_bytes: self.log_bytes,
            shortage: self.shortage(),
        }
    }

    /// Stops writing: who waits hears so, and the other stores are asked to lead. Messages still
    /// leave, for what depends on a write never does.
    fn fail(&mut self, reason: String) {
        if self.failure.is_some() {
            return;
        }
        self.hand_over(0);
        self.parts.halt.halt(reason.clone());
        self.failure = Some(reason);
        for (_, pending) in std::mem::take(&mut self.pending) {
            match pending {
                Pending::Write(_, write) => self.finish(write, Err(StoreError::Lost)),
                Pending::Barriers(_, barriers) => {
                    self.finish_barriers(barriers, &StoreError::Stopped);
                }
                Pending::Change { answer, .. } => drop(answer.send(Err(StoreError::Lost))),
            }
        }
        for (_, barriers) in std::mem::take(&mut self.waiting).into_values().flatten() {
            self.finish_barriers(barriers, &StoreError::Stopped);
        }
    }
}
