//! Terms, commit and applied indexes only grow while a node runs, and terms over restarts too.

use std::collections::BTreeMap;

use tinykv_raft::{Index, MemStorage, Node, Term};

use super::Check;

#[derive(Default)]
pub(super) struct Monotonic {
    seen: BTreeMap<u64, (Term, Index, Index)>,
}

impl Monotonic {
    pub(super) fn check(&mut self, node: &Node<MemStorage>) -> Check {
        let now = (node.term(), node.committed(), node.applied_index());
        let before = self.seen.insert(node.id().0, now).unwrap_or_default();
        match now.0 >= before.0 && now.1 >= before.1 && now.2 >= before.2 {
            true => Ok(()),
            false => Err(format!(
                "monotonic: node {} went from (term, commit, applied) {before:?} to {now:?}",
                node.id()
            )),
        }
    }

    /// What was not durable may be gone; whether it mattered is what the other guarantees say.
    pub(super) fn forget(&mut self, id: u64) {
        self.seen.remove(&id);
    }
}
