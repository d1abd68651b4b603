//! A group of raft-rs nodes in one thread, each with its log in memory.

use bytes::Bytes;
use raft::eraftpb::Message;
use raft::storage::MemStorage;
use raft::{Config, RawNode};

use crate::Group;

/// One group.
pub(crate) struct Rival {
    nodes: Vec<RawNode<MemStorage>>,
    queue: Vec<Message>,
    applied: u64,
}

pub(crate) fn node(id: u64, size: u64, batch_append: bool) -> RawNode<MemStorage> {
    let config = Config {
        id,
        election_tick: 10,
        heartbeat_tick: 1,
        max_size_per_msg: 1 << 20,
        max_inflight_msgs: 256,
        batch_append,
        ..Config::default()
    };
    let voters: Vec<u64> = (1..=size).collect();
    let storage = MemStorage::new_with_conf_state((voters, vec![]));
    let logger = slog::Logger::root(slog::Discard, slog::o!());
    RawNode::new(&config, storage, &logger).expect("a new node starts")
}

impl Rival {
    fn work(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        let mut ready = node.ready();
        let mut out = ready.take_messages();
        self.applied += ready.take_committed_entries().len() as u64;
        let store = node.raft.raft_log.store.clone();
        if !ready.entries().is_empty() {
            store.wl().append(ready.entries()).expect("memory takes it");
        }
        if let Some(state) = ready.hs() {
            store.wl().set_hardstate(state.clone());
        }
        out.extend(ready.take_persisted_messages());
        let mut light = node.advance(ready);
        if let Some(commit) = light.commit_index() {
            store.wl().mut_hard_state().set_commit(commit);
        }
        out.extend(light.take_messages());
        self.applied += light.take_committed_entries().len() as u64;
        node.advance_apply();
        self.queue.extend(out);
    }
}

impl Group for Rival {
    fn new(size: u64, batch_append: bool) -> Rival {
        let nodes = (1..=size).map(|id| node(id, size, batch_append)).collect();
        let mut group = Rival { nodes, queue: Vec::new(), applied: 0 };
        group.nodes[0].campaign().expect("it may campaign");
        group.settle();
        group
    }

    fn propose(&mut self, batch: usize, data: &Bytes) {
        for _ in 0..batch {
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
                let to = message.to as usize - 1;
                self.nodes[to].step(message).expect("it is understood");
            }
            if idle {
                return;
            }
        }
    }

    fn tick_leader(&mut self) {
        self.nodes[0].tick();
    }

    fn compact(&mut self) {
        for node in &mut self.nodes {
            let index = node.raft.raft_log.applied.saturating_sub(64);
            // Nothing to forget is fine.
            let _ = node.raft.raft_log.store.wl().compact(index);
        }
    }

    fn applied(&self) -> u64 {
        self.applied
    }
}
