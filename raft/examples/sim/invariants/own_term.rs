//! A leader's log ends with an entry of its own term, and a leader commits by counting only entries of
//! its own term (5.4.2, 8).

use std::collections::BTreeMap;

use tinykv_raft::{Index, MemStorage, Node, Term};

use super::Check;

#[derive(Default)]
pub(super) struct OwnTerm {
    /// The term and the commit index of a leader when it was last seen.
    seen: BTreeMap<u64, (Term, Index)>,
}

impl OwnTerm {
    pub(super) fn check(&mut self, node: &Node<MemStorage>) -> Check {
        let (id, term, committed) = (node.id(), node.term(), node.committed());
        if !node.is_leader() {
            self.seen.remove(&id.0);
            return Ok(());
        }
        if node.last().term != term {
            return Err(format!(
                "own term: {id} leads {term}, and its log ends at {}",
                node.last()
            ));
        }
        match self.seen.insert(id.0, (term, committed)) {
            Some((before, known)) if before == term && committed > known => {
                match node.entry_term(committed) {
                    Some(other) if other != term => Err(format!(
                        "own term: {id} leads {term} and committed {committed} of {other} by counting"
                    )),
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    pub(super) fn forget(&mut self, id: u64) {
        self.seen.remove(&id);
    }
}
