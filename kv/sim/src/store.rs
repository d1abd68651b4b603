//! The product as a program of the world: [`Store`], a `node::Replicated` with its log and its
//! engine, driven as the server drives it, one piece of work at a time.
//!
//! ```text
//!   tick, receive, request ──> Replicated ──> messages, answers
//!                                  │  ^
//!            Lane::Log: Wal::write, sync ── persisted
//!            Lane::Apply: Applier::run ──── applied
//!            Lane::Snapshot: ChunkTask::run ── chunk_read
//! ```
//!
//! The pieces of the lanes are done later and apart, as threads do them; a crash in between loses
//! what the disk has not synced.

mod convert;
mod operate;
mod regions;
mod settings;
mod watch;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;

use engine::Engine;
use engine::bitcask::{self, Bitcask};
use node::{Output as NodeOutput, RawMachine, Read, Replicated, Request, Response, Time};
use proto::peer::{PeerMessage, Region, RegionId, StoreId};
use raftstore::{Applier, ChunkTask, Done, LogEntry, Task};
use rand::rngs::SmallRng;
use wal::{Durability, ErrFs, Fs, LogBatch, Wal};

use crate::history::{Answer, Op};
use crate::process::{
    Admin, Deed, Fact, Features, Lane, Log, Output, Process, Reply, Setup, State,
};
use crate::random::mix;
use crate::scenario::Scenario;
use settings::feature;
use watch::Watch;

/// After how many pieces of work of a lane the log is purged, and the engine merged.
const HOUSEKEEPING: u64 = 16;

/// The most portions of output after one input.
const ROUNDS_MAX: u32 = 10_000;

/// Output whose batches are not yet written.
struct Batches {
    number: u64,
    logs: Vec<LogBatch<LogEntry>>,
    must_sync: bool,
}

/// A running store.
pub struct Store {
    node: Replicated,
    applier: Applier<RawMachine>,
    engine: Arc<Bitcask>,
    wal: Wal<LogEntry>,
    /// What the lanes have to do, oldest first.
    batches: VecDeque<Batches>,
    tasks: VecDeque<Vec<Task>>,
    chunks: VecDeque<ChunkTask>,
    /// What each call that is not answered asks for.
    calls: BTreeMap<u64, Op>,
    deadline_ticks: u32,
    /// After how many ticks a change of members is given up.
    change_ticks: u32,
    now: Time,
    watch: Watch,
    output: Output<PeerMessage>,
    /// Clients name the region that they want.
    has_routes: bool,
    /// Calls with a wrong route, which must be refused, and what is wrong.
    misled: BTreeMap<u64, &'static str>,
    /// Changes of members that are not answered.
    changes: BTreeSet<u64>,
    /// Pieces of work done.
    pieces: u64,
}

impl Store {
    fn open(setup: &Setup<'_>, fs: &Arc<dyn Fs>) -> Result<Store, Box<dyn std::error::Error>> {
        let features = setup.features;
        let uid = mix(setup.seed, setup.store);
        let options = settings::engine(features, uid);
        let engine = Arc::new(bitcask::open(Arc::clone(fs), "data", options)?);
        let options = settings::wal(setup, uid);
        let (mut wal, mut report) = Wal::open(Arc::clone(fs), Path::new("wal"), options)?;
        let is_clean = report.is_clean();
        if feature(features, "wal_knows_terms", 1u64) == 0 {
            report.given_up.push((wal::Lsn(0), wal::Lsn(0)));
        }
        let shared: Arc<dyn Engine> = Arc::clone(&engine) as Arc<dyn Engine>;
        let applier = Applier::open(Arc::clone(&shared), RawMachine::default())?;
        let config = settings::store(setup);
        let reader = wal.reader();
        let mut store = raftstore::Store::open(config, reader, &report, &*shared, |batch| {
            wal.write(batch, Durability::Synced).map(drop)
        })?;
        for other in 1..=setup.stores {
            store.set_address(StoreId(other), format!("store-{other}"));
        }
        if store.is_new() {
            for region in regions::first(setup.stores, feature(features, "regions", 1)) {
                store.bootstrap(region)?;
            }
        }
        let mut store = Store {
            node: Replicated::new(store),
            applier,
            engine,
            wal,
            batches: VecDeque::new(),
            tasks: VecDeque::new(),
            chunks: VecDeque::new(),
            calls: BTreeMap::new(),
            deadline_ticks: feature(features, "deadline_ticks", 10),
            change_ticks: feature(features, "change_ticks", 40),
            now: Time::default(),
            watch: Watch::default(),
            output: Output::default(),
            has_routes: feature(features, "routes", 0u64) == 1,
            misled: BTreeMap::new(),
            changes: BTreeSet::new(),
            pieces: 0,
        };
        if !is_clean {
            store.output.notes.push(format!(
                "its log is damaged: faulty {:?}, ambiguous {}, repaired {}, given up {}",
                report.faulty,
                report.torn_ambiguous,
                report.repaired.len(),
                report.given_up.len()
            ));
        }
        for state in store.states()? {
            store.watch.starts_at(state.group, state.applied);
        }
        Ok(store)
    }

    fn clock(&mut self, clock: u64) {
        self.now = self.now.max(Time(clock / 1000));
    }

    fn reply(&mut self, call: u64, reply: Reply) {
        if self.calls.remove(&call).is_some() {
            self.output.replies.push((call, reply));
        } else {
            let message = format!("call {call} is answered and was not open: {reply:?}");
            self.output.alarms.push(message);
        }
    }

    /// Takes what the node wants.
    fn collect(&mut self) {
        let mut rounds = 0;
        while self.node.has_ready() {
            rounds += 1;
            assert!(rounds <= ROUNDS_MAX, "the store never comes to rest");
            let NodeOutput {
                number,
                messages,
                logs,
                must_sync,
                tasks,
                chunks,
                answers,
                changes,
                reads,
                alarms,
                led: _,
            } = self.node.ready();
            // Reads come first: they see the engine as it is before the tasks.
            for call in reads {
                self.was_carried_out(call);
                let reply = self.read(call);
                self.reply(call, reply);
            }
            for answer in answers {
                if answer.result.is_ok() {
                    self.was_carried_out(answer.tag);
                }
                let reply = match (answer.result, self.calls.get(&answer.tag)) {
                    (Ok(responses), Some(op)) => convert::reply(op, responses),
                    (Ok(_), None) => Reply::Unknown { why: String::new() },
                    (Err(error), _) => convert::refusal(&error),
                };
                self.reply(answer.tag, reply);
            }
            for message in messages {
                self.watch.sends(&message, &mut self.output.facts);
                self.output.messages.push((message.to.store.0, message));
            }
            for answer in changes {
                self.changed(&answer);
            }
            if !logs.is_empty() {
                self.batches.push_back(Batches { number, logs, must_sync });
                self.output.work.push(Lane::Log);
            }
            if !tasks.is_empty() {
                self.tasks.push_back(tasks);
                self.output.work.push(Lane::Apply);
            }
            for chunk in chunks {
                self.chunks.push_back(chunk);
                self.output.work.push(Lane::Snapshot);
            }
            self.output.alarms.extend(alarms.into_iter().map(|alarm| alarm.message));
        }
        // Whatever changes has output.
        if rounds > 0 {
            self.node.store.assert_invariants();
            self.watch.looks(&self.node.store, &mut self.output.facts);
        }
    }

    fn read(&self, call: u64) -> Reply {
        let Some(op) = self.calls.get(&call) else {
            return Reply::Unknown { why: "it was not asked for".to_owned() };
        };
        let Some(read) = convert::read(op) else {
            return Reply::Unknown { why: "it is no read".to_owned() };
        };
        let read: Read = read;
        convert::reply(op, vec![node::read(&*self.engine, &read, self.now)])
    }

    fn write(&mut self, batches: Batches) -> Result<(), wal::Error> {
        for batch in batches.logs {
            self.wal.write(batch, Durability::Deferred)?;
        }
        if batches.must_sync {
            self.wal.sync()?;
        }
        self.node.store.persisted(batches.number);
        self.pieces += 1;
        if self.pieces.is_multiple_of(HOUSEKEEPING) {
            let report = self.wal.purge()?;
            self.node.store.free_log(&report.blocked_by);
            self.wal.prepare();
        }
        Ok(())
    }

    fn apply(&mut self, tasks: Vec<Task>) -> Result<(), raftstore::Error> {
        let committed = Watch::committed(&tasks);
        let done: Vec<Done<Vec<Response>>> = self.applier.run(tasks)?;
        self.watch.applied(&committed, &done, &mut self.output.facts);
        self.node.store.applied(done);
        self.pieces += 1;
        if self.pieces.is_multiple_of(HOUSEKEEPING) {
            self.engine.merge_step()?;
        }
        Ok(())
    }
}

impl Process for Store {
    type Message = PeerMessage;

    fn features(rng: &mut SmallRng) -> Features {
        settings::draw(rng)
    }

    fn has_members() -> bool {
        true
    }

    fn adapt(scenario: &mut Scenario) {
        settings::adapt(scenario);
    }

    fn group(features: &Features, key: &str) -> u64 {
        regions::of(key, feature(features, "regions", 1))
    }

    fn folders() -> &'static [&'static str] {
        // A log can be mended, an engine cannot.
        &["wal", "wal", "wal", "data"]
    }

    fn log_end(fs: ErrFs) -> Option<u64> {
        let (fs, folder) = (Arc::new(fs), Path::new("wal"));
        let options = wal::options_of(Arc::clone(&fs) as Arc<dyn Fs>, folder).ok()?;
        Some(wal::verify(fs, folder, &options).ok()?.last_lsn.0)
    }

    fn start(setup: &Setup<'_>, fs: ErrFs) -> Result<Store, String> {
        let fs: Arc<dyn Fs> = Arc::new(fs);
        let mut store = Store::open(setup, &fs).map_err(|error| convert::explain(&*error))?;
        store.clock(setup.clock);
        Ok(store)
    }

    fn tick(&mut self, clock: u64) {
        self.clock(clock);
        self.node.store.tick();
    }

    fn receive(&mut self, message: PeerMessage, clock: u64) {
        self.clock(clock);
        self.node.store.step(message);
    }

    fn request(&mut self, call: u64, op: &Op, clock: u64) {
        self.clock(clock);
        self.calls.insert(call, op.clone());
        let region = self.route(call, op);
        let (now, deadline_ticks) = (self.now, self.deadline_ticks);
        let request = Request { tag: call, region, now, deadline_ticks };
        self.node.execute(&request, &convert::chunk(op));
    }

    fn work(&mut self, lane: Lane) {
        let stopped = match lane {
            Lane::Log => {
                let batches = self.batches.pop_front();
                batches.and_then(|it| self.write(it).err()).map(|error| convert::explain(&error))
            }
            Lane::Apply => {
                let tasks = self.tasks.pop_front();
                tasks.and_then(|it| self.apply(it).err()).map(|error| convert::explain(&error))
            }
            Lane::Snapshot => {
                if let Some(chunk) = self.chunks.pop_front() {
                    self.node.store.chunk_read(chunk.run());
                }
                None
            }
        };
        self.output.stopped = self.output.stopped.take().or(stopped);
    }

    fn output(&mut self) -> Output<PeerMessage> {
        if self.output.stopped.is_none() {
            self.collect();
        }
        std::mem::take(&mut self.output)
    }

    fn is_leader(&self) -> bool {
        self.node.store.regions().any(|region| self.node.store.is_leader(region))
    }

    fn states(&self) -> Result<Vec<State>, String> {
        let store = &self.node.store;
        let regions = store.regions().filter_map(|id| store.region(id));
        // One that waits for its first snapshot knows nothing.
        let regions: Vec<&Region> = regions.filter(|region| !region.peers.is_empty()).collect();
        watch::states(&*self.engine, &regions).map_err(|error| convert::explain(&error))
    }

    fn peek(&self, key: &str) -> Result<Option<String>, String> {
        let op = Op::Get { key: key.to_owned() };
        let read = convert::read(&op).ok_or("a get is a read")?;
        let response = node::read(&*self.engine, &read, self.now);
        match convert::reply(&op, vec![response]) {
            Reply::Done(Answer::Value(value)) => Ok(value),
            other => Err(format!("{other:?}")),
        }
    }

    fn logs(&self) -> Vec<Log> {
        self.node.store.regions().filter_map(|region| self.log(region)).collect()
    }

    fn admin(&mut self, admin: &Admin, clock: u64) {
        self.clock(clock);
        self.operate(admin);
    }

    fn damage(message: &mut PeerMessage, rng: &mut SmallRng) -> bool {
        operate::damage(message, rng)
    }

    fn log_entries(&self) -> u64 {
        let regions = self.node.store.regions();
        let lens = regions.filter_map(|region| {
            let status = self.node.store.status(region)?;
            Some(status.applied.index.0.saturating_sub(status.truncated.index.0))
        });
        lens.max().unwrap_or(0)
    }

    fn describe(message: &PeerMessage) -> String {
        watch::describe(message)
    }

    fn digest(message: &PeerMessage) -> u64 {
        watch::digest(message)
    }
}

fn fact(group: RegionId, deed: Deed) -> Fact {
    Fact { group: group.0, deed }
}
