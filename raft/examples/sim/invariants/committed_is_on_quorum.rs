//! What a leader commits is durable on a majority of each half of the membership (5.3, 6).

use std::collections::BTreeMap;

use tinykv_raft::quorum::Majority;
use tinykv_raft::{Index, MemStorage, Node, NodeId, Storage};

use super::super::member::Member;
use super::Check;

#[derive(Default)]
pub(super) struct CommittedIsOnQuorum {
    /// The commit index when a node was last seen.
    seen: BTreeMap<u64, Index>,
}

impl CommittedIsOnQuorum {
    pub(super) fn check(&mut self, node: &Node<MemStorage>, all: &[Member]) -> Check {
        let index = node.committed();
        let before = self.seen.insert(node.id().0, index).unwrap_or(index);
        if index <= before || !node.is_leader() {
            return Ok(());
        }
        let term = node.entry_term(index);
        let has = |id: NodeId| {
            let disk = &all[id.0 as usize - 1].disk.durable;
            // Who is in a later term had the entry when it said so; since then that term's leader may
            // have replaced it, if this commit is one that never was heard of.
            let later = disk.hard_state().term > node.term();
            later || disk.first_index() > index || disk.term(index).ok() == term
        };
        // Counted here, and not by the code under test.
        let voters = &node.membership().voters;
        let agrees = |half: &Majority| {
            let ids = half.ids();
            ids.is_empty() || 2 * ids.iter().filter(|id| has(**id)).count() > ids.len()
        };
        match agrees(&voters.incoming) && agrees(&voters.outgoing) {
            true => Ok(()),
            false => Err(format!(
                "commit: {} committed {index}, which is not durable on a majority of {}",
                node.id(),
                node.membership()
            )),
        }
    }

    pub(super) fn forget(&mut self, id: u64) {
        self.seen.remove(&id);
    }
}
