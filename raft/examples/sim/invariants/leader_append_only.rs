//! A leader never overwrites or deletes entries in its log; it only appends (section 5.3).

use std::collections::BTreeMap;

use tinykv_raft::{EntryId, MemStorage, Node, Term};

use super::Check;

#[derive(Default)]
pub(super) struct LeaderAppendOnly {
    /// The end of a leader's log, and the term it leads.
    logs: BTreeMap<u64, (Term, EntryId)>,
}

impl LeaderAppendOnly {
    pub(super) fn check(&mut self, node: &Node<MemStorage>) -> Check {
        let id = node.id().0;
        if !node.is_leader() {
            self.logs.remove(&id);
            return Ok(());
        }
        let now = (node.term(), node.last());
        match self.logs.insert(id, now) {
            Some((term, last)) if term == now.0 && last > now.1 => {
                Err(format!("leader append-only: node {id} leads {term} and cut {last} off"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn forget(&mut self, id: u64) {
        self.logs.remove(&id);
    }
}
