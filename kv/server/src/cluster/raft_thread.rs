//! The raft thread: it owns the raft store, and is the only one who calls it. It never waits for a
//! disk or a network.
//!
//! ```text
//!  events ──> step, persisted, applied ──> ticks that are due ──> requests ──> ready ──> carry out
//! ```
//!
//! Time passes before requests are looked at: a thread that was held up finds out that its lease
//! has ended before it lets anybody read. A request that finds no leader waits for one.

mod members;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::Engine;
use mutant::mutant;
use node::{Output, Replicated, Request, Response, decode_chunk, encode_chunk};
use proto::peer::{PeerBody, PeerMessage, RegionError, RegionId, StoreId};
use raftstore::{Answer, Done, KeySpan, LogEntry, Task};
use wal::{Durability, LogBatch, SharedWal};

use super::forward::{Question, Reply, Verdict, decode_reply, encode_question};
use super::inbox::{Event, Inbox};
use super::metrics::ClusterMetrics;
use super::request::{Answers, Asked, Barrier, BarrierTo, Write, WriteTo, left};
use super::status::Inspection;
use crate::clock::Clock;
use crate::peer::{AskError, Peers, Replier};
use crate::pool::ThreadPool;
use crate::store::{Outcome, StoreError};

pub(super) use members::{ChangeAnswer, MemberChange};

/// While more bytes than this wait for the log, the raft store is asked for nothing new.
const LOG_BYTES_MAX: u64 = 32 << 20;

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
    pub(super) tasks: crossbeam_channel::Sender<Vec<Task>>,
    pub(super) pool: Arc<dyn ThreadPool>,
    pub(super) metrics: Arc<ClusterMetrics>,
    pub(super) tick: Duration,
    pub(super) election_ticks: u32,
    /// The most bytes of snapshots that are sent in a tick.
    pub(super) snapshot_tick_bytes: u64,
    pub(super) chunk_bytes: u64,
}

/// A request that the raft store has.
enum Pending {
    Write(Write),
    Barriers(Vec<Barrier>),
    Change { store: StoreId, answer: ChangeAnswer },
}

/// The raft thread.
pub(super) struct RaftThread {
    parts: Parts,
    clock: Clock,
    next_tick: Instant,
    ticks: u64,
    pending: HashMap<u64, Pending>,
    next_tag: u64,
    /// Requests to be routed now.
    writes: Vec<Write>,
    barriers: Vec<Barrier>,
    /// Requests that wait for a leader.
    parked_writes: Vec<Write>,
    parked_barriers: Vec<Barrier>,
    /// Readers of this store who may read once this index is applied.
    waiting: Vec<(u64, Vec<Barrier>)>,
    /// Asks of other stores.
    asked: HashMap<u64, Asked>,
    answers: Answers,
    /// Bytes that wait for the log.
    log_bytes: u64,
    /// Parts of snapshots that may be read once there is room in the rate.
    chunks: std::collections::VecDeque<raftstore::ChunkTask>,
    chunk_credit: u64,
    compactions: u64,
    is_purging: bool,
    failure: Option<String>,
    is_stopping: bool,
    /// Who led when it was looked last.
    leader: Option<StoreId>,
}

impl RaftThread {
    pub(super) fn new(parts: Parts) -> RaftThread {
        RaftThread {
            next_tick: Instant::now() + parts.tick,
            parts,
            clock: Clock::default(),
            ticks: 0,
            pending: HashMap::new(),
            next_tag: 1,
            writes: Vec::new(),
            barriers: Vec::new(),
            parked_writes: Vec::new(),
            parked_barriers: Vec::new(),
            waiting: Vec::new(),
            asked: HashMap::new(),
            answers: Answers::default(),
            log_bytes: 0,
            chunks: std::collections::VecDeque::new(),
            chunk_credit: 0,
            compactions: 0,
            is_purging: false,
            failure: None,
            is_stopping: false,
            leader: None,
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
            Event::Barrier(barrier) => self.barriers.push(barrier),
            Event::Messages(messages) => {
                messages.into_iter().for_each(|message| self.parts.node.store.step(message));
            }
            Event::Ask { timeout, question, replier } => self.asked(timeout, question, replier),
            Event::Forwarded { writes, result } => self.forwarded(writes, result),
            Event::Confirmed { barriers, result } => self.confirmed(barriers, result),
            Event::Persisted { number, bytes } => {
                self.log_bytes -= bytes;
                self.parts.node.store.persisted(number);
            }
            Event::Applied(done) => self.applied(done),
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
        self.purge();
        self.sweep();
        self.writes.append(&mut self.parked_writes);
        self.barriers.append(&mut self.parked_barriers);
        self.expire(now);
    }

    /// Gives up readers whose time is over.
    fn expire(&mut self, now: Instant) {
        for (_, barriers) in &mut self.waiting {
            for late in barriers.extract_if(.., |barrier| barrier.is_late(now)) {
                late.finish(Err(StoreError::NoLeader));
            }
        }
        self.waiting.retain(|(_, barriers)| !barriers.is_empty());
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

    /// The region of all keys. Where there are several, each request belongs to one of them.
    fn region(&self) -> Option<RegionId> {
        self.parts.node.store.regions().next()
    }

    /// Sends requests where they can be carried out.
    fn route(&mut self) {
        let leader = self.region().and_then(|region| self.parts.node.store.leader(region));
        let leader = leader.map(|hint| hint.peer.store);
        if leader != self.leader {
            self.leader = leader;
            let name = leader.map_or(0, |store| store.0);
            log::info!("the leader has changed"; "store" => name);
            self.writes.append(&mut self.parked_writes);
            self.barriers.append(&mut self.parked_barriers);
        }
        if self.writes.is_empty() && self.barriers.is_empty() {
            return;
        }
        let (writes, barriers) =
            (std::mem::take(&mut self.writes), std::mem::take(&mut self.barriers));
        let (writes, barriers) = self.drop_late(writes, barriers);
        match leader {
            Some(store) if store == self.parts.node.store.id() => {
                writes.into_iter().for_each(|write| self.propose(write));
                self.read(barriers);
            }
            leader => {
                let writes = writes.into_iter().filter_map(|it| self.turn_away(it, leader));
                let writes: Vec<Write> = writes.collect();
                let (remote, barriers): (Vec<_>, Vec<_>) =
                    barriers.into_iter().partition(Barrier::is_remote);
                remote.into_iter().for_each(|it| it.finish(Err(StoreError::NoLeader)));
                match leader {
                    Some(store) => {
                        self.forward_writes(store, writes);
                        self.forward_barriers(store, barriers);
                    }
                    None => {
                        self.parked_writes.extend(writes);
                        self.parked_barriers.extend(barriers);
                    }
                }
            }
        }
    }

    /// Answers the requests whose time is over, or that come after a failure.
    fn drop_late(
        &mut self,
        mut writes: Vec<Write>,
        mut barriers: Vec<Barrier>,
    ) -> (Vec<Write>, Vec<Barrier>) {
        let (now, failed) = (Instant::now(), self.failure.is_some());
        let error = || if failed { StoreError::Stopped } else { StoreError::NoLeader };
        for late in writes.extract_if(.., |it| failed || it.deadline <= now) {
            self.finish(late, Err(error()));
        }
        for late in barriers.extract_if(.., |it| failed || it.is_late(now)) {
            late.finish(Err(error()));
        }
        (writes, barriers)
    }

    /// Gives a write back that may be forwarded; answers one that another store has forwarded here,
    /// or whose client can go to the leader itself.
    fn turn_away(&mut self, write: Write, leader: Option<StoreId>) -> Option<Write> {
        if matches!(write.to, WriteTo::Ask { .. }) {
            self.finish(write, Err(StoreError::NoLeader));
            return None;
        }
        let address = leader.and_then(|store| self.parts.peers.native_of(store.0));
        match address {
            Some(address) if write.may_redirect => {
                self.finish(write, Err(StoreError::NotLeader { address }));
                None
            }
            _ => Some(write),
        }
    }

    fn tag(&mut self, pending: Pending) -> u64 {
        let tag = self.next_tag;
        self.next_tag += 1;
        self.pending.insert(tag, pending);
        tag
    }

    /// How many ticks are left until a deadline, at least 1.
    fn ticks_left(&self, deadline: Instant) -> u32 {
        let ticks = left(deadline).as_nanos() / self.parts.tick.as_nanos();
        u32::try_from(ticks).unwrap_or(u32::MAX / 2).max(1)
    }

    /// Proposes a write.
    fn propose(&mut self, write: Write) {
        let (chunk, deadline_ticks) = (write.chunk.clone(), self.ticks_left(write.deadline));
        let tag = self.tag(Pending::Write(write));
        let request = Request { tag, region: None, now: self.clock.now(), deadline_ticks };
        self.parts.node.execute(&request, &chunk);
    }

    /// Asks the raft store whether readers may read.
    fn read(&mut self, barriers: Vec<Barrier>) {
        let Some(deadline) = barriers.iter().map(|it| it.deadline).max() else { return };
        let region = self.region().and_then(|region| self.parts.node.store.region(region)).cloned();
        let Some(region) = region else {
            return barriers.into_iter().for_each(|it| it.finish(Err(StoreError::NoLeader)));
        };
        let deadline_ticks = self.ticks_left(deadline);
        let tag = self.tag(Pending::Barriers(barriers));
        let keys = KeySpan::none_in(&region);
        self.parts.node.store.read(tag, region.id, region.epoch, &keys, deadline_ticks);
    }

    /// Sends writes to the leader.
    fn forward_writes(&mut self, leader: StoreId, writes: Vec<Write>) {
        let Some(deadline) = writes.iter().map(|it| it.deadline).max() else { return };
        let parts = writes.iter().map(|it| encode_chunk(&it.chunk)).collect();
        let body = encode_question(&Question::Writes(parts));
        self.parts.metrics.forwarded_writes.inc_by(writes.len() as u64);
        let inbox = Arc::clone(&self.parts.inbox);
        let done = Box::new(move |result| inbox.push(Event::Forwarded { writes, result }));
        self.parts.peers.ask(leader.0, body, left(deadline), done);
    }

    /// Asks the leader from when on readers may read here.
    fn forward_barriers(&mut self, leader: StoreId, barriers: Vec<Barrier>) {
        let Some(deadline) = barriers.iter().map(|it| it.deadline).max() else { return };
        let body = encode_question(&Question::Readable);
        self.parts.metrics.forwarded_reads.inc_by(barriers.len() as u64);
        let inbox = Arc::clone(&self.parts.inbox);
        let done = Box::new(move |result| inbox.push(Event::Confirmed { barriers, result }));
        self.parts.peers.ask(leader.0, body, left(deadline), done);
    }

    /// Takes what became of writes that were forwarded.
    fn forwarded(&mut self, writes: Vec<Write>, result: Result<bytes::Bytes, AskError>) {
        let reply = result.map(|body| decode_reply(&body));
        match reply {
            Ok(Some(Reply::Writes(verdicts))) if verdicts.len() == writes.len() => {
                for (write, verdict) in writes.into_iter().zip(verdicts) {
                    match verdict {
                        Verdict::NotLeader => self.parked_writes.push(write),
                        verdict => self.finish(write, verdict.into()),
                    }
                }
            }
            Err(AskError::Unsent | AskError::Busy) | Ok(Some(Reply::NotLeader)) => {
                self.parked_writes.extend(writes);
            }
            _ => {
                for write in writes {
                    let reason = "the leader did not answer".to_owned();
                    let outcome = match mutant!("lost-forwards-answered") {
                        true => Ok(write.chunk.commands.iter().map(|_| Response::Done).collect()),
                        false => Err(StoreError::Undetermined(reason)),
                    };
                    self.finish(write, outcome);
                }
            }
        }
    }

    /// Takes what the leader says to readers.
    fn confirmed(&mut self, barriers: Vec<Barrier>, result: Result<bytes::Bytes, AskError>) {
        match result.ok().and_then(|body| decode_reply(&body)) {
            Some(Reply::Readable(index)) => {
                self.waiting.push((index, barriers));
                self.wake_readers();
            }
            // A read may be asked again.
            _ => self.parked_barriers.extend(barriers),
        }
    }

    /// Lets those read for whom enough is applied.
    fn wake_readers(&mut self) {
        let applied = self.applied_index();
        for (_, barriers) in self.waiting.extract_if(.., |(index, _)| *index <= applied) {
            barriers.into_iter().for_each(|barrier| barrier.finish(Ok(applied)));
        }
    }

    fn applied_index(&self) -> u64 {
        let status = self.region().and_then(|region| self.parts.node.store.status(region));
        status.map_or(0, |status| status.applied.index.0)
    }

    /// Takes a question of another store.
    fn asked(&mut self, timeout: Duration, question: Question, replier: Replier) {
        let deadline = Instant::now() + timeout;
        match question {
            Question::Readable => {
                self.barriers.push(Barrier { deadline, to: BarrierTo::Ask(replier) });
            }
            Question::Writes(parts) => {
                let ask = self.next_tag;
                self.next_tag += 1;
                let asked = Asked::new(replier, parts.len());
                if parts.is_empty() {
                    return asked.answer();
                }
                self.asked.insert(ask, asked);
                for (place, bytes) in parts.into_iter().enumerate() {
                    let to = WriteTo::Ask { ask, place };
                    let chunk = decode_chunk(&bytes);
                    let is_read = chunk.is_some();
                    let chunk = chunk.unwrap_or_default();
                    let write = Write { chunk, deadline, may_redirect: false, to };
                    match is_read {
                        true => self.writes.push(write),
                        false => {
                            let reason = "the leader cannot read it: update the older store";
                            self.finish(write, Err(StoreError::Refused(reason.to_owned())));
                        }
                    }
                }
            }
        }
    }

    fn applied(&mut self, done: Vec<Done<Vec<Response>>>) {
        self.parts.node.store.applied(done);
        self.wake_readers();
    }

    /// Carries out all that the raft store gives out.
    fn carry_out_all(&mut self) {
        while self.failure.is_none() && self.log_bytes < LOG_BYTES_MAX {
            let ready = self.parts.node.ready();
            if ready.is_empty() {
                return;
            }
            self.carry_out(ready);
        }
    }

    fn carry_out(&mut self, ready: Output) {
        self.send(ready.messages);
        self.write(ready.logs, ready.number, ready.must_sync);
        for tag in ready.reads {
            if let Some(Pending::Barriers(barriers)) = self.pending.remove(&tag) {
                let applied = self.applied_index();
                barriers.into_iter().for_each(|barrier| barrier.finish(Ok(applied)));
            }
        }
        if !ready.tasks.is_empty() {
            // An error means that the applier has failed, and has said so.
            let _ = self.parts.tasks.send(ready.tasks);
        }
        self.chunks.extend(ready.chunks);
        self.read_chunks();
        for Answer { tag, result } in ready.answers {
            self.answered(tag, result);
        }
        for Answer { tag, result } in ready.changes {
            self.changed(tag, result);
        }
        for alarm in ready.alarms {
            log::warn!("{}", alarm.message; "region" => alarm.region.0);
        }
    }

    /// Sends messages, those of a snapshot apart.
    fn send(&mut self, messages: Vec<PeerMessage>) {
        let mut lots: BTreeMap<(u64, bool), Vec<PeerMessage>> = BTreeMap::new();
        for message in messages {
            let is_bulk = matches!(message.body, PeerBody::Chunk(_));
            lots.entry((message.to.store.0, is_bulk)).or_default().push(message);
        }
        for ((store, is_bulk), messages) in lots {
            let dropped = match is_bulk {
                true => self.parts.peers.send_bulk(store, messages),
                false => self.parts.peers.send(store, messages),
            };
            if dropped > 0 {
                self.parts.node.store.report_unreachable(StoreId(store));
            }
        }
    }

    /// Hands batches to the log. Only the last is waited for.
    fn write(&mut self, logs: Vec<LogBatch<LogEntry>>, number: u64, must_sync: bool) {
        let last = logs.len().saturating_sub(1);
        for (place, batch) in logs.into_iter().enumerate() {
            let bytes = batch.bytes();
            self.log_bytes += bytes;
            let durability = match must_sync && place == last {
                true => self.parts.durability,
                false => Durability::Deferred,
            };
            let number = if place == last { number } else { 0 };
            let inbox = Arc::clone(&self.parts.inbox);
            let started = Instant::now();
            let metrics = Arc::clone(&self.parts.metrics);
            let done = move |result: wal::Result<wal::Lsn>| match result {
                Ok(_) => {
                    let took = started.elapsed().as_micros();
                    metrics.log_write_us.observe(u64::try_from(took).unwrap_or(u64::MAX));
                    inbox.push(Event::Persisted { number, bytes });
                }
                Err(error) => {
                    inbox.push(Event::Failed(format!("the log cannot be written: {error}")));
                }
            };
            if let Err(error) = self.parts.wal.submit(batch, durability, done) {
                self.fail(format!("the log takes no batch: {error}"));
            }
        }
    }

    /// Has parts of snapshots read, as far as the rate allows.
    fn read_chunks(&mut self) {
        while self.chunk_credit > 0
            && let Some(task) = self.chunks.pop_front()
        {
            self.chunk_credit = self.chunk_credit.saturating_sub(self.parts.chunk_bytes);
            self.parts.metrics.snapshot_chunks.inc();
            let inbox = Arc::clone(&self.parts.inbox);
            let job = move || inbox.push(Event::ChunkRead(task.run()));
            if self.parts.pool.spawn(Box::new(job)).is_err() {
                // The raft store gives the snapshot up after a while, and begins anew.
                log::warn!("a part of a snapshot is not read: the pool is full");
            }
        }
    }

    /// Takes what the raft store says to a request.
    fn answered(&mut self, tag: u64, result: Result<Vec<Response>, RegionError>) {
        match (self.pending.remove(&tag), result) {
            (None | Some(Pending::Change { .. }), _) => {}
            (Some(Pending::Write(write)), Ok(responses)) => self.finish(write, Ok(responses)),
            (Some(Pending::Write(write)), Err(error)) => match refusal(error) {
                None => self.parked_writes.push(write),
                Some(error) => self.finish(write, Err(error)),
            },
            (Some(Pending::Barriers(barriers)), Err(error)) => match refusal(error) {
                None => self.parked_barriers.extend(barriers),
                Some(error) => {
                    barriers.into_iter().for_each(|it| it.finish(Err(error.clone())));
                }
            },
            (Some(Pending::Barriers(barriers)), Ok(_)) => {
                barriers.into_iter().for_each(|it| it.finish(Err(StoreError::Lost)));
            }
        }
    }

    /// Sends the outcome of a write back.
    fn finish(&mut self, write: Write, outcome: Outcome) {
        match write.to {
            WriteTo::Worker { reply, back } => self.answers.push(back, reply, outcome),
            WriteTo::Ask { ask, place } => {
                let Some(asked) = self.asked.get_mut(&ask) else { return };
                if asked.set(place, outcome.into())
                    && let Some(asked) = self.asked.remove(&ask)
                {
                    asked.answer();
                }
            }
        }
    }

    /// Hands leadership over.
    fn transfer(&mut self, region: Option<RegionId>, to: Option<StoreId>) -> Result<(), String> {
        let region = region.or(self.region()).ok_or("there is no region on this store")?;
        let id = self.parts.node.store.id();
        let status = self.parts.node.store.status(region);
        let status = status.ok_or_else(|| format!("region {region} is not on this store"))?;
        let peers = self.parts.peers.connected();
        let is_target = |peer: &&proto::peer::Peer| match to {
            Some(store) => peer.store == store,
            None => peer.store != id && !peer.learner && peers.contains(&peer.store.0),
        };
        let target = status.region.peers.iter().find(is_target);
        let target = target.ok_or("there is no such store with a peer of the region")?;
        if target.store == id && self.parts.node.store.is_leader(region) {
            return Ok(());
        }
        self.parts.node.store.transfer_leader(region, target.id).map_err(|error| error.to_string())
    }

    fn inspect(&self) -> Inspection {
        let store = &self.parts.node.store;
        Inspection {
            failure: self.failure.clone(),
            regions: store.regions().filter_map(|region| store.status(region)).collect(),
            raft: store.metrics(),
            requests: self.pending.len() as u64,
            parked: (self.parked_writes.len() + self.parked_barriers.len()) as u64,
            waiting_readers: self.waiting.len() as u64,
            log_bytes: self.log_bytes,
        }
    }

    /// Stops carrying anything out: who waits hears so, the other stores go on without this one.
    fn fail(&mut self, reason: String) {
        if self.failure.is_some() {
            return;
        }
        log::error!("this store stops: {reason}");
        self.parts.metrics.set_failure(reason.clone());
        self.failure = Some(reason);
        for (_, pending) in std::mem::take(&mut self.pending) {
            match pending {
                Pending::Write(write) => self.finish(write, Err(StoreError::Lost)),
                Pending::Barriers(barriers) => {
                    barriers.into_iter().for_each(|it| it.finish(Err(StoreError::Stopped)));
                }
                Pending::Change { answer, .. } => drop(answer.send(Err(StoreError::Lost))),
            }
        }
        for (_, barriers) in std::mem::take(&mut self.waiting) {
            barriers.into_iter().for_each(|it| it.finish(Err(StoreError::Stopped)));
        }
    }
}

/// What a client is told; none: the request waits for a leader.
fn refusal(error: RegionError) -> Option<StoreError> {
    let text = error.to_string();
    match error {
        RegionError::NotLeader { .. }
        | RegionError::StaleCommand
        | RegionError::RegionNotFound { .. }
        | RegionError::KeyNotInRegion { .. }
        | RegionError::EpochNotMatch { .. }
        | RegionError::StoreNotMatch { .. } => None,
        RegionError::ServerIsBusy { reason } => Some(StoreError::Busy(reason)),
        RegionError::RaftEntryTooLarge { .. } => Some(StoreError::Refused(text)),
        RegionError::DeadlineExceeded => Some(StoreError::NoLeader),
        RegionError::Undetermined { reason } => Some(StoreError::Undetermined(reason)),
    }
}
