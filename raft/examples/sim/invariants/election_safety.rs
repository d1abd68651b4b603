//! At most one leader is elected in a term (section 5.2).

use std::collections::BTreeMap;

use tinykv_raft::{MemStorage, Node, NodeId, Term};

use super::Check;

#[derive(Default)]
pub(super) struct ElectionSafety {
    leaders: BTreeMap<Term, NodeId>,
}

impl ElectionSafety {
    pub(super) fn check(&mut self, node: &Node<MemStorage>) -> Check {
        if !node.is_leader() {
            return Ok(());
        }
        let (term, id) = (node.term(), node.id());
        let leader = *self.leaders.entry(term).or_insert(id);
        match leader == id {
            true => Ok(()),
            false => Err(format!("election safety: nodes {leader} and {id} lead term {term}")),
        }
    }
}
