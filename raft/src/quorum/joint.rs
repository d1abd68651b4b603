//! Two sets of voters that must both agree (section 6, "joint consensus").

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Majority, VoteResult};
use crate::types::{Index, NodeId};

/// The voters: `incoming` alone, or both sets while the membership changes from `outgoing`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Joint {
    /// The voters that stay.
    pub incoming: Majority,
    /// The voters that the joint configuration came from; empty if there is none.
    pub outgoing: Majority,
}

impl Joint {
    /// Returns whether two majorities must agree.
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Returns whether `id` votes in either half.
    pub fn contains(&self, id: NodeId) -> bool {
        self.incoming.contains(id) || self.outgoing.contains(id)
    }

    /// Returns all voters, ascending and without repetition.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + '_ {
        let (mut left, mut right) =
            (self.incoming.ids().iter().peekable(), self.outgoing.ids().iter().peekable());
        std::iter::from_fn(move || {
            let next = match (left.peek(), right.peek()) {
                (Some(l), Some(r)) => **l.min(r),
                (Some(id), None) | (None, Some(id)) => **id,
                (None, None) => return None,
            };
            left.next_if(|id| **id == next);
            right.next_if(|id| **id == next);
            Some(next)
        })
    }

    /// Returns the highest index that a majority of each half has reached.
    pub fn committed_index(&self, reached: impl Fn(NodeId) -> Option<Index>) -> Index {
        let incoming = self.incoming.committed_index(&reached);
        if self.outgoing.is_empty() || crate::mutant!("joint_one_counter") {
            return incoming;
        }
        incoming.min(self.outgoing.committed_index(&reached))
    }

    /// Returns how a vote stands: won if both halves are won, lost if either is lost.
    pub fn vote_result(&self, vote: impl Fn(NodeId) -> Option<bool>) -> VoteResult {
        match (self.incoming.vote_result(&vote), self.outgoing.vote_result(&vote)) {
            (VoteResult::Won, VoteResult::Won) => VoteResult::Won,
            (VoteResult::Lost, _) | (_, VoteResult::Lost) => VoteResult::Lost,
            _ => VoteResult::Pending,
        }
    }
}

impl fmt::Display for Joint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.incoming.fmt(f)?;
        if self.is_joint() {
            write!(f, "&&{}", self.outgoing)?;
        }
        Ok(())
    }
}
