//! A group of raft-rs nodes in one thread.

use bytes::Bytes;
use raft::eraftpb::{self, ConfState, Entry, HardState, Message, Snapshot};
use raft::{Config, Error, GetEntriesContext, RaftState, RawNode, Storage, StorageError};

use crate::Group;
use crate::log::{Log, Numbered};

impl Numbered for Entry {
    fn index(&self) -> u64 {
        self.index
    }

    fn term(&self) -> u64 {
        self.term
    }
}

/// The log that both sides use.
pub(crate) struct Neutral {
    log: Log<Entry>,
    hard_state: HardState,
    members: ConfState,
}

impl Storage for Neutral {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState::new(self.hard_state.clone(), self.members.clone()))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low < self.log.first() {
            return Err(Error::Store(StorageError::Compacted));
        }
        let mut entries = self.log.range(low, high.min(low + 4096));
        raft::util::limit_size(&mut entries, max_size.into());
        Ok(entries)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        self.log.term(index).ok_or(Error::Store(StorageError::Compacted))
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.log.first())
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.log.last())
    }

    fn snapshot(&self, _request_index: u64, _to: u64) -> raft::Result<Snapshot> {
        let mut snapshot = Snapshot::default();
        let data = snapshot.mut_metadata();
        data.index = self.log.first() - 1;
        data.term = self.term(data.index)?;
        data.set_conf_state(self.members.clone());
        Ok(snapshot)
    }
}

/// One group; `BATCHED` says whether it gathers appends, as ours does.
pub(crate) struct Rival<const BATCHED: bool> {
    pub(crate) nodes: Vec<RawNode<Neutral>>,
    queue: Vec<Message>,
    down: Option<u64>,
    applied: u64,
    reads: u64,
    /// Appends that were refused.
    probes: u64,
}

pub(crate) fn node<const BATCHED: bool>(id: u64, size: u64) -> RawNode<Neutral> {
    node_on::<BATCHED>(id, size, Log::default())
}

fn node_on<const BATCHED: bool>(id: u64, size: u64, log: Log<Entry>) -> RawNode<Neutral> {
    let config = Config {
        id,
        election_tick: 10,
        heartbeat_tick: 1,
        max_size_per_msg: 1 << 20,
        max_inflight_msgs: 256,
        batch_append: BATCHED,
        ..Config::default()
    };
    let mut members = ConfState::default();
    members.set_voters((1..=size).collect());
    let mut hard_state = HardState::default();
    hard_state.term = log.term(log.last()).unwrap_or_default();
    let store = Neutral { log, hard_state, members };
    let logger = slog::Logger::root(slog::Discard, slog::o!());
    RawNode::new(&config, store, &logger).expect("a new node starts")
}

/// Lets a node do all its work, and throws away what it sends.
pub(crate) fn work(node: &mut RawNode<Neutral>) {
    let mut sent = Vec::new();
    while node.has_ready() {
        portion(node, &mut sent);
        sent.clear();
    }
}

/// Does a portion of a node's work; returns how many entries were applied and reads confirmed.
fn portion(node: &mut RawNode<Neutral>, queue: &mut Vec<Message>) -> (u64, u64) {
    let mut ready = node.ready();
    queue.append(&mut ready.take_messages());
    let mut applied = ready.take_committed_entries().len() as u64;
    let reads = ready.take_read_states().len() as u64;
    let store = node.mut_store();
    if !ready.snapshot().is_empty() {
        let data = ready.snapshot().get_metadata();
        store.log.restart(data.index, data.term);
    }
    store.log.append(ready.entries());
    if let Some(state) = ready.hs() {
        store.hard_state = state.clone();
    }
    queue.append(&mut ready.take_persisted_messages());
    let mut light = node.advance(ready);
    if let Some(commit) = light.commit_index() {
        node.mut_store().hard_state.set_commit(commit);
    }
    queue.append(&mut light.take_messages());
    applied += light.take_committed_entries().len() as u64;
    node.advance_apply();
    (applied, reads)
}

impl Neutral {
    /// Forgets what stands up to `index`.
    pub(crate) fn compact(&mut self, index: u64) {
        self.log.compact(index);
    }
}

impl<const BATCHED: bool> Group for Rival<BATCHED> {
    fn size(&self) -> usize {
        self.nodes.len()
    }

    fn has_ready(&self, place: usize) -> bool {
        self.nodes[place].has_ready()
    }

    fn deliver(&mut self) -> bool {
        let queue = std::mem::take(&mut self.queue);
        let any = !queue.is_empty();
        for message in queue {
            if self.down != Some(message.to) {
                self.probes += u64::from(message.reject);
                let to = message.to as usize - 1;
                self.nodes[to].step(message).expect("it is understood");
            }
        }
        any
    }

    fn work(&mut self, place: usize) {
        let (applied, reads) = portion(&mut self.nodes[place], &mut self.queue);
        self.applied += applied;
        self.reads += reads;
    }

    fn new(size: u64) -> Self {
        let nodes = (1..=size).map(|id| node::<BATCHED>(id, size)).collect();
        let mut group =
            Rival { nodes, queue: Vec::new(), down: None, applied: 0, reads: 0, probes: 0 };
        group.elect(1);
        group
    }

    fn with_logs(logs: &[Vec<u64>]) -> Self {
        let (size, mut nodes) = (logs.len() as u64, Vec::new());
        for (id, terms) in (1..).zip(logs) {
            let mut log = Log::default();
            for (index, term) in (1..).zip(terms) {
                let mut entry = Entry::default();
                (entry.index, entry.term) = (index, *term);
                log.append(&[entry]);
            }
            nodes.push(node_on::<BATCHED>(id, size, log));
        }
        Rival { nodes, queue: Vec::new(), down: None, applied: 0, reads: 0, probes: 0 }
    }

    fn elect(&mut self, id: u64) {
        self.nodes[id as usize - 1].campaign().expect("it may campaign");
        self.settle();
    }

    fn propose(&mut self, batch: usize, data: &Bytes) {
        for _ in 0..batch {
            // It takes a vector and nothing else.
            self.nodes[0].propose(Vec::new(), data.to_vec()).expect("the leader takes it");
        }
    }

    fn tick_leader(&mut self) {
        self.nodes[0].tick();
    }

    fn read(&mut self, count: u64) {
        for token in 0..count {
            self.nodes[0].read_index(token.to_le_bytes().to_vec());
        }
    }

    fn set_down(&mut self, id: Option<u64>) {
        self.down = id;
    }

    fn compact(&mut self, keep: u64) {
        for node in &mut self.nodes {
            let index = node.raft.raft_log.applied.saturating_sub(keep);
            node.mut_store().log.compact(index);
        }
    }

    fn applied(&self) -> u64 {
        self.applied
    }

    fn reads(&self) -> u64 {
        self.reads
    }

    fn probes(&self) -> u64 {
        self.probes
    }

    fn last(&self, id: u64) -> u64 {
        self.nodes[id as usize - 1].raft.raft_log.last_index()
    }
}

/// A leader that has nothing to do, and has sent some heartbeats.
pub(crate) fn leader(size: u64) -> RawNode<Neutral> {
    let mut group: Rival<true> = Group::new(size);
    for _ in 0..4 {
        group.tick_leader();
        group.settle();
    }
    group.nodes.remove(0)
}

/// A leader whose membership goes from {1,2,3} to {4,5,6}.
pub(crate) fn joint_leader() -> RawNode<Neutral> {
    let mut node = leader(3);
    let mut change = eraftpb::ConfChangeV2::default();
    change.set_transition(eraftpb::ConfChangeTransition::Explicit);
    for id in 1..=6 {
        let mut step = eraftpb::ConfChangeSingle::default();
        step.node_id = id;
        step.set_change_type(match id {
            1..=3 => eraftpb::ConfChangeType::RemoveNode,
            _ => eraftpb::ConfChangeType::AddNode,
        });
        change.mut_changes().push(step);
    }
    node.apply_conf_change(&change).expect("it can be applied");
    node
}
