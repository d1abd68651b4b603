//! If an entry is committed in a term, it is in the logs of the leaders of all later terms (5.4.3).

use std::collections::BTreeMap;

use tinykv_raft::{EntryId, Index, MemStorage, Node, NodeId, Term};

use super::Check;

#[derive(Default)]
pub(super) struct LeaderCompleteness {
    /// Leaders that were checked when they were first seen.
    seen: BTreeMap<Term, NodeId>,
}

impl LeaderCompleteness {
    /// `committed` is the last entry that any node has applied. By Log Matching, whoever has it has
    /// all before it.
    pub(super) fn check(&mut self, node: &Node<MemStorage>, committed: EntryId) -> Check {
        let term = node.term();
        if !node.is_leader() || self.seen.insert(term, node.id()).is_some() {
            return Ok(());
        }
        if committed.index == Index(0) || committed.term >= term {
            return Ok(());
        }
        let has = node.entry_term(committed.index) == Some(committed.term)
            || node.applied_index() >= committed.index;
        match has {
            true => Ok(()),
            false => {
                let (id, last) = (node.id(), node.last());
                Err(format!(
                    "leader completeness: {id} leads {term} with a log up to {last}, without the committed {committed}"
                ))
            }
        }
    }
}
