//! A group of our nodes in one thread, each with a log in memory.

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tinykv_raft::{Config, Index, MemStorage, Membership, Message, Node, NodeId, Ready};

use crate::Group;

/// One group.
pub(crate) struct Ours {
    nodes: Vec<Node<MemStorage>>,
    ready: Ready,
    queue: Vec<Message>,
    spare: Vec<Message>,
    applied: u64,
}

pub(crate) fn node(id: u64, size: u64) -> Node<MemStorage> {
    let config = Config { pre_vote: false, check_quorum: false, ..Config::new(NodeId(id)) };
    let storage = MemStorage::with_membership(Membership::of_voters(1..=size));
    Node::new(config, storage, SmallRng::seed_from_u64(id)).expect("a new node starts")
}

impl Group for Ours {
    fn new(size: u64, _batch_append: bool) -> Ours {
        let mut group = Ours {
            nodes: (1..=size).map(|id| node(id, size)).collect(),
            ready: Ready::default(),
            queue: Vec::new(),
            spare: Vec::new(),
            applied: 0,
        };
        group.nodes[0].campaign().expect("it may campaign");
        group.settle();
        assert!(group.nodes[0].is_leader());
        group
    }

    fn propose(&mut self, batch: usize, data: &Bytes) {
        let batch = std::iter::repeat_n(data.clone(), batch);
        self.nodes[0].propose_batch(batch).expect("the leader takes it");
    }

    fn settle(&mut self) {
        loop {
            let mut idle = true;
            for node in &mut self.nodes {
                while node.has_ready() {
                    idle = false;
                    node.ready_into(&mut self.ready);
                    let storage = node.storage_mut();
                    self.ready.entries.iter().for_each(|entries| storage.append(entries));
                    if let Some(state) = self.ready.hard_state {
                        storage.set_hard_state(state);
                    }
                    self.applied += self.ready.committed().count() as u64;
                    let id = node.id();
                    node.advance(&self.ready);
                    self.queue.append(&mut self.ready.messages);
                    self.queue.extend(self.ready.promises.drain(..).filter(|m| m.to != id));
                }
            }
            std::mem::swap(&mut self.queue, &mut self.spare);
            for message in self.spare.drain(..) {
                idle = false;
                let to = message.to.0 as usize - 1;
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
            let index = Index(node.applied_index().0.saturating_sub(64));
            // Nothing to forget is fine.
            let _ = node.storage_mut().compact(index);
        }
    }

    fn applied(&self) -> u64 {
        self.applied
    }
}
