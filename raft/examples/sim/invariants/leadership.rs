//! A leader leads while a majority hears it, and no longer (thesis 6.2); a leader that was removed
//! leaves, if it is to (thesis 4.2.2).

use std::collections::BTreeMap;

use tinykv_raft::{Body, Config, MemStorage, Membership, Message, Node, NodeId, RoleKind, Term};

use super::Check;
use tinykv_raft::quorum::VoteResult;

/// The leaders, and what they heard.
#[derive(Default)]
pub(crate) struct Leadership {
    leaders: BTreeMap<u64, Watch>,
}

/// What is known of a leader. Time is counted in its own ticks.
struct Watch {
    term: Term,
    now: u64,
    /// The wait for a majority began then.
    since: u64,
    heard: BTreeMap<NodeId, u64>,
    membership: Membership,
}

impl Watch {
    /// Returns whether a majority was heard within the last `ticks`.
    fn has_quorum(&self, id: NodeId, membership: &Membership, ticks: u64) -> bool {
        let late = |at: &u64| self.now - at < ticks;
        let active = |voter| Some(voter == id || self.heard.get(&voter).is_some_and(late));
        membership.voters.vote_result(active) == VoteResult::Won
    }
}

impl Leadership {
    pub(crate) fn ticked(&mut self, id: u64) {
        if let Some(watch) = self.leaders.get_mut(&id) {
            watch.now += 1;
        }
    }

    /// Before `message` reaches its receiver.
    pub(crate) fn heard(&mut self, message: &Message) {
        let Some(watch) = self.leaders.get_mut(&message.to.0) else { return };
        match message.body {
            Body::AppendAccepted { .. }
            | Body::AppendRejected { .. }
            | Body::HeartbeatResponse { .. }
                if message.term == watch.term =>
            {
                watch.heard.insert(message.from, watch.now);
            }
            // Its target gets a whole election timeout.
            Body::TransferLeader { .. } => watch.since = watch.now,
            _ => {}
        }
    }

    /// When a leader was asked to hand over.
    pub(crate) fn hands_over(&mut self, id: u64) {
        if let Some(watch) = self.leaders.get_mut(&id) {
            watch.since = watch.now;
        }
    }

    pub(super) fn check(&mut self, node: &Node<MemStorage>, config: &Config) -> Check {
        let (id, term, membership) = (node.id(), node.term(), node.membership());
        let patience = u64::from(config.election_ticks);
        let known = self.leaders.get_mut(&id.0).filter(|watch| watch.term == term);
        let Some(watch) = known else {
            let led = self.leaders.remove(&id.0).is_some();
            if led && node.role() == RoleKind::Candidate {
                return Err(format!("leadership: {id} led, and campaigns for {term}"));
            }
            if node.is_leader() {
                let (now, since, heard) = (0, 0, BTreeMap::new());
                let membership = membership.clone();
                self.leaders.insert(id.0, Watch { term, now, since, heard, membership });
            }
            return Ok(());
        };
        let removed = config.step_down_on_removal && !membership.is_voter(id);
        if !node.is_leader() {
            let lost = config.check_quorum && !watch.has_quorum(id, membership, patience);
            self.leaders.remove(&id.0);
            return match removed || lost {
                true => Ok(()),
                false => Err(format!("leadership: {id} gave up {term} without a reason")),
            };
        }
        if watch.membership != *membership {
            // Who is new is given time, and so is the leader if others decide now.
            for id in membership.ids().into_iter().filter(|id| !watch.membership.contains(*id)) {
                watch.heard.insert(id, watch.now);
            }
            watch.membership = membership.clone();
            watch.since = watch.now;
        }
        if removed {
            return Err(format!("leadership: {id} leads {term} and is no voter of {membership}"));
        }
        let waited = watch.now - watch.since > 2 * patience;
        if config.check_quorum && waited && !watch.has_quorum(id, membership, 2 * patience + 1) {
            return Err(format!("leadership: {id} leads {term} and hears no majority"));
        }
        Ok(())
    }

    pub(super) fn forget(&mut self, id: u64) {
        self.leaders.remove(&id);
    }
}
