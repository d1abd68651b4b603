//! The roles of a member (section 5.1, figure 4). Each owns what only it needs, so that a follower
//! cannot hold a stale vote count or a leader's progress: leaving a role drops its data.

use crate::leader::Leader;
use crate::membership::Membership;
use crate::quorum::VoteResult;
use crate::types::{EntryId, NodeId, RoleKind};

/// What a member is.
#[derive(Debug)]
pub(crate) enum Role {
    Follower,
    PreCandidate(Votes),
    Candidate(Votes),
    Leader(Box<Leader>),
}

/// The answers to a candidate. A voter's first answer counts, and only once.
#[derive(Debug, Default)]
pub(crate) struct Votes {
    answers: Vec<(NodeId, bool)>,
    /// The last entry that a voter told to be committed.
    committed: EntryId,
}

impl Role {
    pub(crate) fn kind(&self) -> RoleKind {
        match self {
            Role::Follower => RoleKind::Follower,
            Role::PreCandidate(_) => RoleKind::PreCandidate,
            Role::Candidate(_) => RoleKind::Candidate,
            Role::Leader(_) => RoleKind::Leader,
        }
    }

    pub(crate) fn leader(&self) -> Option<&Leader> {
        match self {
            Role::Leader(leader) => Some(leader),
            _ => None,
        }
    }
}

impl Votes {
    /// Records an answer. The network may deliver it twice, so it is kept by voter: were messages
    /// counted, one voter could elect a leader.
    pub(crate) fn record(&mut self, voter: NodeId, granted: bool) {
        if self.answers.iter().all(|(id, _)| *id != voter) || crate::mutant!("votes_by_message") {
            self.answers.push((voter, granted));
        }
    }

    /// Notes what a voter knows to be committed.
    pub(crate) fn note_committed(&mut self, committed: EntryId) {
        self.committed = self.committed.max(committed);
    }

    /// Returns the last entry that a voter told to be committed.
    pub(crate) fn committed(&self) -> EntryId {
        self.committed
    }

    /// Returns how the vote stands.
    pub(crate) fn result(&self, membership: &Membership) -> VoteResult {
        if crate::mutant!("votes_by_message") {
            let yes = self.answers.iter().filter(|(_, granted)| *granted).count();
            let needed = membership.voters.ids().count() / 2 + 1;
            return if yes >= needed { VoteResult::Won } else { VoteResult::Pending };
        }
        membership
            .voters
            .vote_result(|id| self.answers.iter().find(|(voter, _)| *voter == id).map(|(_, v)| *v))
    }
}
