//! What a message may do to the node that gets it.

use tinykv_raft::{Body, Index, MemStorage, Message, Node, RoleKind, Term};

use super::Check;

/// A message that is being handled, and the receiver before it.
pub(crate) struct Delivery {
    term: Term,
    from_leader: bool,
    /// A follower may know entries to be committed up to here.
    shown: Option<Index>,
    committed: Index,
}

impl Delivery {
    pub(crate) fn of(node: &Node<MemStorage>, message: &Message) -> Delivery {
        let shown = match &message.body {
            Body::Append { prev, entries, .. } => Some(prev.index.plus(entries.len() as u64)),
            Body::Heartbeat { commit, .. } => Some(*commit),
            Body::Commit { index } => Some(*index),
            Body::Snapshot(snapshot) => Some(snapshot.last.index),
            _ => None,
        };
        let (term, from_leader) = (message.term, message.body.is_from_leader());
        Delivery { term, from_leader, shown, committed: node.committed() }
    }

    pub(crate) fn check(&self, node: &Node<MemStorage>) -> Check {
        let (id, term, committed) = (node.id(), node.term(), node.committed());
        if self.from_leader && self.term == term && node.role() != RoleKind::Follower {
            return Err(format!("roles: {id} heard the leader of {term} and does not follow it"));
        }
        match self.shown {
            Some(shown) if committed > self.committed.max(shown) => Err(format!(
                "commit: {id} committed {committed}, but was shown entries up to {shown} only"
            )),
            _ => Ok(()),
        }
    }
}
