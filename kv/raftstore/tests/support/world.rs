//! Several stores in one thread, in virtual time, from one seed.
//!
//! Each store's log and engine are on one memory disk that loses what was not synced when it
//! crashes. Writes, application and chunks are done some steps after they were asked for, in a
//! random interleaving. Messages are delayed, lost, doubled and cut off.
#![allow(dead_code, reason = "every suite uses a part")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use engine::{Cf, Engine, bitcask};
use proto::peer::{Epoch, Peer, PeerBody, PeerMessage, Region, RegionError, RegionId, StoreId};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tinykv_raftstore::{
    Answer, Applier, ChunkTask, Command, Config, KeySpan, LogEntry, PeerChange, Store, Task,
};
use wal::{Durability, LogBatch, MemFs, RecoveryReport, Seeded, TailPolicy, Wal};

use super::machine::{Op, Registers};

/// What is random in a world, and what not.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) seed: u64,
    pub(crate) stores: u64,
    /// How many of the stores the region begins with.
    pub(crate) members: u64,
    /// Messages that are lost, in percent.
    pub(crate) loss: u32,
    /// Messages that come twice, in percent.
    pub(crate) doubles: u32,
    /// The longest way of a message, in ticks.
    pub(crate) delay_max: u64,
    /// Chunks of snapshots that are damaged on their way, in percent.
    pub(crate) damage: u32,
    /// The keys of the region: the first, and the one after the last.
    pub(crate) range: (&'static str, &'static str),
    /// Changes to the stores' options.
    pub(crate) configure: fn(&mut Config),
}

impl Options {
    pub(crate) fn new(seed: u64, stores: u64) -> Options {
        Options {
            seed,
            stores,
            members: stores,
            loss: 0,
            doubles: 0,
            delay_max: 1,
            damage: 0,
            range: ("", ""),
            configure: |_| {},
        }
    }
}

/// A store that runs.
pub(crate) struct Running {
    pub(crate) store: Store<Bytes>,
    pub(crate) engine: Arc<dyn Engine>,
    applier: Applier<Registers>,
    wal: Wal<LogEntry>,
    /// What recovery found.
    pub(crate) report: RecoveryReport,
    writes: VecDeque<(u64, Vec<LogBatch<LogEntry>>, bool)>,
    tasks: VecDeque<Task>,
    chunks: VecDeque<ChunkTask>,
}

struct Node {
    fs: MemFs,
    running: Option<Running>,
    starts: u64,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done(Bytes),
    Failed(RegionError),
}

pub(crate) struct World {
    pub(crate) options: Options,
    pub(crate) now: u64,
    pub(crate) rng: SmallRng,
    nodes: BTreeMap<u64, Node>,
    /// Messages on their way, with the tick at which they arrive.
    network: Vec<(u64, u64, u64, Bytes)>,
    /// Pairs of stores between which nothing passes, in this direction.
    cut: BTreeSet<(u64, u64)>,
    next_tag: u64,
    /// Reads that wait: tag -> key.
    reads: BTreeMap<u64, (u64, Bytes)>,
    /// Who was asked under a tag that is not answered.
    asked: BTreeMap<u64, u64>,
    pub(crate) outcomes: BTreeMap<u64, Outcome>,
    pub(crate) changes: BTreeMap<u64, Result<Region, RegionError>>,
    pub(crate) alarms: Vec<String>,
    /// Whether queues are emptied in each step, so that nothing is interleaved.
    pub(crate) is_prompt: bool,
    /// Whether disks may fail.
    pub(crate) fails: bool,
    /// How likely a log is written, and an applier does something, in a step. It differs from world to world.
    diligence: f64,
}

pub(crate) const REGION: RegionId = RegionId(1);
const DEADLINE_TICKS: u32 = 40;

fn wal_options(store: u64, stores: u64) -> wal::Options {
    wal::Options {
        // As the server: a store alone has nobody to ask.
        tail: if stores == 1 { TailPolicy::Single } else { TailPolicy::Replicated },
        store_id: store,
        verify_all: true,
        segment_bytes: 256 << 10,
        pool_segments: 1,
        recovery_threads: 1,
        cache_bytes: 1 << 20,
        purge_bytes: 512 << 10,
        ..wal::Options::default()
    }
}

fn engine_options() -> bitcask::Options {
    bitcask::Options {
        background: false,
        segment_bytes: 64 << 10,
        allocate_bytes: 16 << 10,
        reserve_bytes: 4 << 10,
        ..bitcask::Options::default()
    }
}

fn first_region(options: &Options) -> Region {
    let (start, end) = options.range;
    let members = options.members;
    Region {
        id: REGION,
        start: Bytes::from_static(start.as_bytes()),
        end: Bytes::from_static(end.as_bytes()),
        epoch: Epoch::FIRST,
        peers: (1..=members).map(|id| Peer::voter(id, id)).collect(),
    }
}

impl World {
    pub(crate) fn new(options: Options) -> World {
        let mut world = World {
            now: 0,
            rng: SmallRng::seed_from_u64(options.seed),
            nodes: BTreeMap::new(),
            network: Vec::new(),
            cut: BTreeSet::new(),
            next_tag: 0,
            reads: BTreeMap::new(),
            asked: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            changes: BTreeMap::new(),
            alarms: Vec::new(),
            is_prompt: false,
            fails: false,
            diligence: [0.5, 0.1][options.seed as usize % 2],
            options,
        };
        for id in 1..=world.options.stores {
            world.nodes.insert(id, Node { fs: MemFs::new(), running: None, starts: 0 });
            world.start(id);
        }
        world
    }

    // Stores.

    /// Starts a store on what its disk holds.
    pub(crate) fn start(&mut self, id: u64) {
        let node = self.nodes.get_mut(&id).unwrap();
        assert!(node.running.is_none(), "store {id} runs already");
        node.starts += 1;
        let seed = self.options.seed ^ id << 32 ^ node.starts << 48;
        let mut config = Config::new(StoreId(id));
        config.seed = seed;
        config.batch_bytes_max = 32 << 10;
        config.entry_bytes_max = 32 << 10;
        config.chunk_bytes = 64;
        config.resend_ticks = 3;
        config.snapshot_ticks = 40;
        config.compact_ticks = 2;
        (self.options.configure)(&mut config);
        let mut running = open(&node.fs, id, config, &self.options).unwrap();
        for other in 1..=self.options.stores {
            running.store.set_address(StoreId(other), format!("store-{other}"));
        }
        node.running = Some(running);
        self.pump(id);
    }

    /// Stops a store as a power failure does: what was not synced is lost or torn.
    pub(crate) fn crash(&mut self, id: u64) {
        let seed = self.rng.random();
        let node = self.nodes.get_mut(&id).unwrap();
        node.running = None;
        node.fs = node.fs.crash(&mut Seeded::new(seed));
        self.lose_requests(id);
    }

    /// Gives a store an empty disk. It is not one of the first members any more.
    pub(crate) fn wipe(&mut self, id: u64) {
        self.stop(id);
        self.nodes.get_mut(&id).unwrap().fs = MemFs::new();
        let members = std::mem::replace(&mut self.options.members, 0);
        self.start(id);
        self.options.members = members;
    }

    /// A copy of a store's disk, as a backup has it.
    pub(crate) fn copy_disk(&mut self, id: u64) -> MemFs {
        let seed = self.rng.random();
        self.nodes[&id].fs.crash(&mut Seeded::new(seed))
    }

    /// Starts a store again, on another disk.
    pub(crate) fn restart_on(&mut self, id: u64, disk: MemFs) {
        self.stop(id);
        self.nodes.get_mut(&id).unwrap().fs = disk;
        self.start(id);
    }

    /// Stops a store; its disk keeps all.
    pub(crate) fn stop(&mut self, id: u64) {
        self.nodes.get_mut(&id).unwrap().running = None;
        self.lose_requests(id);
    }

    /// Lets the power of a store fail after so many operations on its disk.
    pub(crate) fn crash_after(&mut self, id: u64, operations: Option<u64>) {
        self.fails = true;
        self.nodes[&id].fs.set_crash_after(operations.unwrap_or(u64::MAX));
    }

    /// Starts a store whose power failed, which is when its disk refuses what it does.
    pub(crate) fn start_crashed(&mut self, id: u64) {
        if !self.is_up(id) {
            self.crash(id);
            self.start(id);
        }
    }

    /// Appends until it is carried out, once: if that is not known, it is looked up.
    pub(crate) fn must_once(&mut self, op: &Op, token: &str) -> Bytes {
        for _ in 0..100 {
            let leader = self.elect();
            let tag = self.propose(leader, op);
            self.until("a command is answered", |world| world.outcomes.contains_key(&tag));
            match self.outcomes[&tag].clone() {
                Outcome::Done(value) => return value,
                Outcome::Failed(RegionError::Undetermined { .. }) => {
                    // Whatever was on its way is decided once a later command is.
                    self.must_put("fence", "");
                    let value = self.must_get(&String::from_utf8_lossy(&op.key()));
                    if value.ends_with(token.as_bytes()) {
                        return value;
                    }
                }
                Outcome::Failed(_) => {}
            }
            self.tick();
        }
        panic!("{op:?} is never carried out; SEED={}", self.options.seed);
    }

    /// What was asked of a store that is gone is never answered.
    fn lose_requests(&mut self, id: u64) {
        let lost: Vec<u64> =
            self.asked.iter().filter(|(_, store)| **store == id).map(|(tag, _)| *tag).collect();
        for tag in lost {
            self.asked.remove(&tag);
            self.reads.remove(&tag);
            let reason = "the store is gone".to_owned();
            self.outcomes.insert(tag, Outcome::Failed(RegionError::Undetermined { reason }));
        }
    }

    pub(crate) fn is_up(&self, id: u64) -> bool {
        self.nodes[&id].running.is_some()
    }

    pub(crate) fn node(&self, id: u64) -> &Running {
        self.nodes[&id].running.as_ref().unwrap()
    }

    pub(crate) fn node_mut(&mut self, id: u64) -> &mut Running {
        self.nodes.get_mut(&id).unwrap().running.as_mut().unwrap()
    }

    pub(crate) fn fs(&self, id: u64) -> &MemFs {
        &self.nodes[&id].fs
    }

    pub(crate) fn ids(&self) -> Vec<u64> {
        self.nodes.keys().copied().collect()
    }

    pub(crate) fn running(&self) -> Vec<u64> {
        self.nodes.iter().filter(|(_, node)| node.running.is_some()).map(|(id, _)| *id).collect()
    }

    /// The value that a store's engine has, applied or not elsewhere.
    pub(crate) fn local(&self, id: u64, key: &str) -> Option<Bytes> {
        self.node(id).engine.get(Cf::Default, key.as_bytes()).unwrap()
    }

    // Network.

    /// Lets messages pass only within each of the groups.
    pub(crate) fn partition(&mut self, groups: &[&[u64]]) {
        self.cut.clear();
        let group = |id: u64| groups.iter().position(|group| group.contains(&id));
        for from in self.ids() {
            for to in self.ids() {
                if from != to && group(from) != group(to) {
                    self.cut.insert((from, to));
                }
            }
        }
    }

    /// Cuts one direction.
    pub(crate) fn cut(&mut self, from: u64, to: u64) {
        self.cut.insert((from, to));
    }

    pub(crate) fn heal(&mut self) {
        self.cut.clear();
    }

    fn send(&mut self, message: &PeerMessage) {
        let (from, to) = (message.from.store.0, message.to.store.0);
        if self.cut.contains(&(from, to)) {
            return;
        }
        let mut message = message.clone();
        if let PeerBody::Chunk(chunk) = &mut message.body
            && self.rng.random_range(0..100) < self.options.damage
            && !chunk.data.is_empty()
        {
            let mut data = chunk.data.to_vec();
            let at = data.len() - 1;
            data[at] ^= 1;
            chunk.data = data.into();
        }
        let mut bytes = BytesMut::new();
        message.encode(&mut bytes);
        let bytes = bytes.freeze();
        let copies = match self.rng.random_range(0..100) {
            lost if lost < self.options.loss => 0,
            double if double < self.options.loss + self.options.doubles => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let due = self.now + self.rng.random_range(0..=self.options.delay_max);
            self.network.push((due, from, to, bytes.clone()));
        }
    }

    fn deliver(&mut self) {
        let now = self.now;
        let (mut due, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.network).into_iter().partition(|it| it.0 <= now);
        self.network = rest;
        // Any order may happen.
        for at in (1..due.len()).rev() {
            let other = self.rng.random_range(0..=at);
            if self.options.delay_max > 0 {
                due.swap(at, other);
            }
        }
        for (_, from, to, bytes) in due {
            if self.cut.contains(&(from, to)) {
                continue;
            }
            if let Some(running) = self.nodes.get_mut(&to).and_then(|node| node.running.as_mut()) {
                running.store.step(PeerMessage::decode(&bytes).unwrap());
            }
        }
    }

    // Time.

    /// Lets a tick pass and does the work that comes up.
    pub(crate) fn tick(&mut self) {
        self.now += 1;
        for id in self.running() {
            self.node_mut(id).store.tick();
        }
        for _ in 0..3 {
            self.deliver();
            for id in self.running() {
                self.pump(id);
            }
        }
    }

    pub(crate) fn run(&mut self, ticks: u64) {
        for _ in 0..ticks {
            self.tick();
        }
    }

    /// Runs until something holds.
    pub(crate) fn until(&mut self, what: &str, mut holds: impl FnMut(&World) -> bool) {
        for _ in 0..3000 {
            if holds(self) {
                return;
            }
            self.tick();
        }
        let seed = self.options.seed;
        let status: Vec<_> =
            self.running().iter().map(|id| self.node(*id).store.status(REGION)).collect();
        panic!("{what}: not within 3000 ticks; SEED={seed}; {status:#?}");
    }

    /// Does a part of a store's work.
    fn pump(&mut self, id: u64) {
        for round in 0.. {
            assert!(round < 10_000, "store {id} never comes to rest");
            let prompt = self.is_prompt;
            let (write, apply, chunk) = match prompt {
                true => (true, true, true),
                false => {
                    let diligence = self.diligence;
                    let mut does = || self.rng.random_bool(diligence);
                    (does(), does(), self.rng.random())
                }
            };
            let Some(running) = self.nodes.get_mut(&id).and_then(|node| node.running.as_mut())
            else {
                return;
            };
            let mut is_idle = !running.store.has_ready();
            if !is_idle {
                self.take_output(id);
            }
            let running = self.node_mut(id);
            if write && let Some((number, logs, must_sync)) = running.writes.pop_front() {
                is_idle = false;
                let count = logs.len();
                for (at, log) in logs.into_iter().enumerate() {
                    let last = at + 1 == count;
                    let durability = match must_sync && last {
                        true => Durability::Synced,
                        false => Durability::Deferred,
                    };
                    if running.wal.write(log, durability).is_err() {
                        return self.power_failed(id);
                    }
                }
                running.store.persisted(number);
            }
            if apply && !running.tasks.is_empty() {
                is_idle = false;
                let all = running.tasks.drain(..).collect();
                match running.applier.run(all) {
                    Ok(done) => running.store.applied(done),
                    Err(_) => return self.power_failed(id),
                }
            }
            if chunk && let Some(task) = running.chunks.pop_front() {
                is_idle = false;
                running.store.chunk_read(task.run());
            }
            self.node(id).store.assert_invariants();
            let waits = match prompt {
                true => !is_idle,
                false => self.node(id).store.has_ready(),
            };
            if !waits {
                return;
            }
        }
    }

    /// A store whose disk fails is gone, as without power.
    fn power_failed(&mut self, id: u64) {
        assert!(self.fails, "store {id}: its disk fails");
        self.stop(id);
    }

    fn take_output(&mut self, id: u64) {
        let ready = self.node_mut(id).store.ready();
        for message in &ready.messages {
            self.send(message);
        }
        let mut outcomes = Vec::new();
        for Answer { tag, result } in ready.answers {
            outcomes.push((tag, result.map_or_else(Outcome::Failed, Outcome::Done)));
        }
        for tag in ready.reads {
            let (_, key) = self.reads.remove(&tag).expect("a read is given out once");
            let view = self.node(id).engine.view().unwrap();
            let value = view.get(Cf::Default, &key).unwrap().unwrap_or_default();
            outcomes.push((tag, Outcome::Done(value)));
        }
        for (tag, outcome) in outcomes {
            self.reads.remove(&tag);
            assert_eq!(
                self.asked.remove(&tag),
                Some(id),
                "tag {tag} is answered once: {outcome:?}"
            );
            self.outcomes.insert(tag, outcome);
        }
        for Answer { tag, result } in ready.changes {
            assert!(self.changes.insert(tag, result).is_none(), "a change is answered once");
        }
        self.alarms.extend(ready.alarms.into_iter().map(|alarm| alarm.message));
        let running = self.node_mut(id);
        if !ready.logs.is_empty() {
            running.writes.push_back((ready.number, ready.logs, ready.must_sync));
        }
        running.tasks.extend(ready.tasks);
        running.chunks.extend(ready.chunks);
    }

    // Requests.

    fn tag(&mut self, id: u64) -> u64 {
        self.next_tag += 1;
        self.asked.insert(self.next_tag, id);
        self.next_tag
    }

    fn epoch(&self, id: u64) -> Epoch {
        self.node(id).store.region(REGION).map_or(Epoch::default(), |region| region.epoch)
    }

    /// Proposes to a store.
    pub(crate) fn propose(&mut self, id: u64, op: &Op) -> u64 {
        let epoch = self.epoch(id);
        self.propose_at(id, op, epoch)
    }

    pub(crate) fn propose_at(&mut self, id: u64, op: &Op, epoch: Epoch) -> u64 {
        let (tag, time) = (self.tag(id), self.now);
        let (keys, command) = (op.keys(), op.encode());
        self.node_mut(id).store.propose(Command {
            tag,
            region: REGION,
            epoch,
            keys,
            command,
            time,
            deadline_ticks: DEADLINE_TICKS,
        });
        self.pump(id);
        tag
    }

    /// Reads at a store.
    pub(crate) fn read(&mut self, id: u64, key: &Bytes) -> u64 {
        let (tag, epoch) = (self.tag(id), self.epoch(id));
        self.reads.insert(tag, (id, key.clone()));
        let keys = KeySpan::of(key.clone());
        self.node_mut(id).store.read(tag, REGION, epoch, &keys, DEADLINE_TICKS);
        self.pump(id);
        tag
    }

    /// Changes members at a store.
    pub(crate) fn change(&mut self, id: u64, peer: Peer, remove: bool) -> u64 {
        self.next_tag += 1;
        let (tag, epoch) = (self.next_tag, self.epoch(id));
        let change = PeerChange { epoch, peer, remove };
        self.node_mut(id).store.change_peer(tag, REGION, change, DEADLINE_TICKS);
        self.pump(id);
        tag
    }

    /// A store that leads with a majority behind it, as far as can be seen from outside.
    pub(crate) fn leader(&self) -> Option<u64> {
        let leads = |id: &&u64| self.node(**id).store.is_leader(REGION);
        let term = |id: &u64| self.node(*id).store.status(REGION).unwrap().term;
        let running = self.running();
        running.iter().filter(leads).max_by_key(|id| term(id)).copied()
    }

    pub(crate) fn elect(&mut self) -> u64 {
        self.until("a leader is elected", |world| world.leader().is_some());
        self.leader().unwrap()
    }

    /// Proposes until it is carried out.
    pub(crate) fn must(&mut self, op: &Op) -> Bytes {
        for _ in 0..100 {
            let leader = self.elect();
            let tag = self.propose(leader, op);
            self.until("a command is answered", |world| world.outcomes.contains_key(&tag));
            if let Outcome::Done(value) = &self.outcomes[&tag] {
                return value.clone();
            }
            self.tick();
        }
        panic!("{op:?} is never carried out; SEED={}", self.options.seed);
    }

    pub(crate) fn must_put(&mut self, key: &str, value: &str) {
        self.must(&Op::Put(
            Bytes::copy_from_slice(key.as_bytes()),
            Bytes::copy_from_slice(value.as_bytes()),
        ));
    }

    /// Reads until it is answered.
    pub(crate) fn must_get(&mut self, key: &str) -> Bytes {
        let key = Bytes::copy_from_slice(key.as_bytes());
        for _ in 0..100 {
            let leader = self.elect();
            let tag = self.read(leader, &key);
            self.until("a read is answered", |world| world.outcomes.contains_key(&tag));
            if let Outcome::Done(value) = &self.outcomes[&tag] {
                return value.clone();
            }
            self.tick();
        }
        panic!("{key:?} is never read; SEED={}", self.options.seed);
    }

    /// Runs until all running stores of the region have applied the same.
    pub(crate) fn settle(&mut self) {
        self.until("all stores apply the same", |world| {
            let states: Vec<_> = world
                .running()
                .iter()
                .filter_map(|id| world.node(*id).store.status(REGION))
                .map(|status| (status.applied, status.last))
                .collect();
            states.windows(2).all(|pair| pair[0] == pair[1])
                && states.iter().all(|(applied, last)| applied == last)
                && world.leader().is_some()
        });
    }

    /// Purges the logs, as a driver does.
    pub(crate) fn purge(&mut self) {
        for id in self.running() {
            let running = self.node_mut(id);
            let report = running.wal.purge().unwrap();
            running.store.free_log(&report.blocked_by);
            self.pump(id);
        }
    }
}

/// Opens a store on a disk, and makes its first region if it is new.
pub(crate) fn open(
    fs: &MemFs,
    id: u64,
    config: Config,
    options: &Options,
) -> Result<Running, tinykv_raftstore::Error> {
    let fs: Arc<dyn wal::Fs> = Arc::new(fs.clone());
    let engine: Arc<dyn Engine> =
        Arc::new(bitcask::open(Arc::clone(&fs), "engine", engine_options())?);
    let (mut wal, report) = Wal::open(fs, Path::new("wal"), wal_options(id, options.stores))?;
    let applier = Applier::open(Arc::clone(&engine), Registers)?;
    let reader = wal.reader();
    let mut store = Store::open(config, reader, &report, engine.as_ref(), |batch| {
        wal.write(batch, Durability::Synced).map(drop)
    })?;
    if store.is_new() && id <= options.members {
        store.bootstrap(first_region(options))?;
    }
    Ok(Running {
        store,
        engine,
        applier,
        wal,
        report,
        writes: VecDeque::new(),
        tasks: VecDeque::new(),
        chunks: VecDeque::new(),
    })
}
