//! A group of raft-rs nodes in one thread.

use bytes::Bytes;
use raft::eraftpb::{ConfState, Entry, HardState, Message, Snapshot};
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
}

pub(crate) fn node<const BATCHED: bool>(id: u64, size: u64) -> RawNode<Neutral> {
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
    let store = Neutral { log: Log::default(), hard_state: HardState::default(), members };
    let logger = slog::Logger::root(slog::Discard, slog::o!());
    RawNode::new(&config, store, &logger).expect("a new node starts")
}

impl<const BATCHED: bool> Rival<BATCHED> {
    fn work(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        let mut ready = node.ready();
        self.queue.append(&mut ready.take_messages());
        self.applied += ready.take_committed_entries().len() as u64;
        self.reads += ready.take_read_states().len() as u64;
        let store = node.mut_store();
        if !ready.snapshot().is_empty() {
            let data = ready.snapshot().get_metadata();
            store.log.restart(data.index, data.term);
        }
        store.log.append(ready.entries());
        if let Some(state) = ready.hs() {
            store.hard_state = state.clone();
        }
        self.queue.append(&mut ready.take_persisted_messages());
        let mut light = node.advance(ready);
        if let Some(commit) = light.commit_index() {
            node.mut_store().hard_state.set_commit(commit);
        }
        self.queue.append(&mut light.take_messages());
        self.applied += light.take_committed_entries().len() as u64;
        node.advance_apply();
    }
}

impl<const BATCHED: bool> Group for Rival<BATCHED> {
    fn new(size: u64) -> Self {
        let nodes = (1..=size).map(|id| node::<BATCHED>(id, size)).collect();
        let mut group = Rival { nodes, queue: Vec::new(), down: None, applied: 0, reads: 0 };
        group.elect(1);
        group
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

    fn settle(&mut self) {
        loop {
            let mut idle = true;
            for place in 0..self.nodes.len() {
                while self.nodes[place].has_ready() {
                    idle = false;
                    self.work(place);
                }
            }
            for message in std::mem::take(&mut self.queue) {
                idle = false;
                if self.down != Some(message.to) {
                    let to = message.to as usize - 1;
                    self.nodes[to].step(message).expect("it is understood");
                }
            }
            if idle {
                return;
            }
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
