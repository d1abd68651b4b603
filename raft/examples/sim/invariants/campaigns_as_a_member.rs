//! Nobody campaigns while a change of the membership is committed that it has not applied: it would
//! count a majority that is no longer one.

use std::collections::BTreeMap;

use tinykv_raft::{MemStorage, Node, Payload, RoleKind, Storage, Term};

use super::Check;

#[derive(Default)]
pub(super) struct CampaignsAsAMember {
    /// The term and role of a node when it was last seen.
    seen: BTreeMap<u64, (Term, RoleKind)>,
}

impl CampaignsAsAMember {
    pub(super) fn check(&mut self, node: &Node<MemStorage>) -> Check {
        let (id, now) = (node.id(), (node.term(), node.role()));
        let before = self.seen.insert(id.0, now);
        if before == Some(now) || !matches!(now.1, RoleKind::PreCandidate | RoleKind::Candidate) {
            return Ok(());
        }
        let (from, end) = (node.applied_index().next(), node.committed().next());
        // What is not in storage yet, or damaged, cannot be seen from here.
        if from >= end || from < node.storage().first_index() {
            return Ok(());
        }
        let entries = node.storage().entries(from, end, u64::MAX).unwrap_or_default();
        match entries.iter().find(|entry| matches!(entry.payload, Payload::Change(_))) {
            Some(change) => Err(format!(
                "membership: {id} campaigns with the change at {} committed and not applied",
                change.index
            )),
            None => Ok(()),
        }
    }

    pub(super) fn forget(&mut self, id: u64) {
        self.seen.remove(&id);
    }
}
